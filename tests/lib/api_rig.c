// SPDX-License-Identifier: GPL-2.0-or-later
#include "api_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "netns.h"

struct server *server;
char rig_folder[] = "/tmp/archaic-api-XXXXXX", rig_path[64];
char answer[1 << 17];

struct server_config rig_config(void)
{
	return (struct server_config){ .socket_path = rig_path, .request_s = 2 };
}

void rig_start(struct server_config c)
{
	struct problem p;

	if (server_start(&c, &fake_control_ops, &fake, &server, &p))
		fail_msg("%s", p.detail);
}

int rig_group_setup(void **state)
{
	(void)state;
	int err = netns_enter();
	if (err) {
		printf("SKIP test_api_server: no network namespace of its own: %s\n",
		       strerror(-err));
		return 0;
	}
	if (!mkdtemp(rig_folder))
		return -1;
	chmod(rig_folder, 0755);
	snprintf(rig_path, sizeof(rig_path), "%s/control.sock", rig_folder);
	return 0;
}

int rig_group_teardown(void **state)
{
	(void)state;
	rmdir(rig_folder);
	return 0;
}

int rig_setup(void **state)
{
	(void)state;
	fake_control_init(&fake);
	return 0;
}

void rig_need(void **state)
{
	(void)state;
	if (!*rig_path)
		skip();
}

int rig_teardown(void **state)
{
	(void)state;
	server_stop(server);
	server = NULL;
	return 0;
}

/* ---- a client that sends exactly what it is told */

int dial_unix(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", rig_path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		close(fd);
		return -errno;
	}
	return fd;
}

int dial(enum server_part part)
{
	if (part == SERVER_CONTROL)
		return dial_unix();
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(server_port(server, part)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

void put(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

/* Until the peer closes, or @ms without a byte. The status, 0 for none. */
int hear(int fd, int ms)
{
	size_t len = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int status = 0;

	while (len < sizeof(answer) - 1 && poll(&p, 1, ms) > 0) {
		ssize_t n = read(fd, answer + len, sizeof(answer) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	answer[len] = '\0';
	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}

bool answer_has(const char *line)
{
	char wanted[512];

	snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", line);
	return strstr(answer, wanted);
}

int raw(enum server_part part, const char *text)
{
	CLEANUP(closep) int fd = dial(part);

	assert_true(fd >= 0);
	put(fd, text, strlen(text));
	return hear(fd, 8000);
}

int get(enum server_part part, const char *target, const char *headers)
{
	char text[2048];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n%s%sConnection: close\r\n\r\n", target,
		 strstr(headers, "Host:") ? "" : "Host: localhost\r\n", headers);
	return raw(part, text);
}

int post(enum server_part part, const char *target, const char *headers, const char *body)
{
	char text[4096];

	snprintf(
		text, sizeof(text),
		"POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Type: application/json\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s",
		target, headers, strlen(body), body);
	return raw(part, text);
}
