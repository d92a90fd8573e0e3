// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/target.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "base/util.h"

static int refuse(const char **why, const char *sentence)
{
	*why = sentence;
	return -EINVAL;
}

static int parse_port(const char *s, size_t len, uint16_t *ret)
{
	char text[8];
	uint64_t port;

	if (!len || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, len);
	text[len] = '\0';
	if (text_to_u64(text, 1, 65535, &port))
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

/* "host", "host:port", "[::1]", "[::1]:port". */
static int parse_authority(const char *s, size_t len, struct target *t, const char **why)
{
	const char *host = s, *end = s + len, *rest;
	size_t n;

	if (len && *s == '[') {
		const char *close = memchr(s, ']', len);
		if (!close)
			return refuse(why, "its IPv6 address lacks a ]");
		host = s + 1;
		n = (size_t)(close - host);
		rest = close + 1;
	} else {
		const char *colon = memchr(s, ':', len);
		n = colon ? (size_t)(colon - s) : len;
		rest = s + n;
	}
	if (!n || n >= sizeof(t->host))
		return refuse(why, "its host is empty or too long");
	memcpy(t->host, host, n);
	t->host[n] = '\0';
	t->port = 80;
	if (rest < end &&
	    (*rest != ':' || parse_port(rest + 1, (size_t)(end - rest - 1), &t->port)))
		return refuse(why, "its port must be 1 to 65535");
	bool v6 = strchr(t->host, ':');

	snprintf(t->authority, sizeof(t->authority), "%s%s%s", v6 ? "[" : "", t->host,
		 v6 ? "]" : "");
	if (t->port != 80)
		snprintf(t->authority + strlen(t->authority),
			 sizeof(t->authority) - strlen(t->authority), ":%u", t->port);
	return 0;
}

int target_parse(const char *url, struct target *ret, const char **why)
{
	struct target t = { 0 };

	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f)
			return refuse(
				why,
				"it has a blank, a control character or one that is not ASCII");
	if (!strncasecmp(url, "https://", 8))
		return refuse(why, "https is not spoken here: measure the server behind it");
	if (strncasecmp(url, "http://", 7) != 0)
		return refuse(why, "it must look like http://127.0.0.1:8003/products");
	const char *authority = url + 7;
	size_t len = strcspn(authority, "/?#");
	const char *path = authority + len;

	if (memchr(authority, '@', len))
		return refuse(why, "a user name is not sent; give the header by --header");
	if (strchr(path, '#'))
		return refuse(why, "a fragment (#) is not sent to a server");
	if (strlen(path) + 2 > sizeof(t.path))
		return refuse(why, "its path is too long");
	snprintf(t.path, sizeof(t.path), "%s%s", *path == '/' ? "" : "/", path);
	int err = parse_authority(authority, len, &t, why);
	if (!err)
		*ret = t;
	return err;
}

static int try_address(const struct addrinfo *a, unsigned int timeout_ms)
{
	CLEANUP(closep) int fd =
		socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int err = 0;
	socklen_t len = sizeof(err);

	if (fd < 0)
		return -errno;
	if (!connect(fd, a->ai_addr, a->ai_addrlen))
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, (int)timeout_ms) != 1)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

int target_connect(struct target *t, unsigned int timeout_ms)
{
	const struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char port[8];
	int err = -ENOENT, nr = 0;

	snprintf(port, sizeof(port), "%u", t->port);
	if (getaddrinfo(t->host, port, &want, &list))
		return -ENOENT;
	for (struct addrinfo *a = list; a && nr < TARGET_ADDRESSES; a = a->ai_next, nr++) {
		err = try_address(a, timeout_ms);
		if (err)
			continue;
		memcpy(&t->address, a->ai_addr, a->ai_addrlen);
		t->address_len = a->ai_addrlen;
		break;
	}
	freeaddrinfo(list);
	return err;
}
