// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/util.h"
#include "tests/lib/shop.h"

#define CONNECTIONS_MAX 32

struct stub {
	pthread_t thread;
	pthread_mutex_t lock;
	int listen_fd, stop_fd;
	char path[108];
	char *say;                   /* guarded by lock; NULL: silence */
	struct buf heard;            /* guarded by lock */
	int silent[CONNECTIONS_MAX]; /* the thread's: kept open */
	size_t nr_silent;
};

static int open_listener(uint16_t port, const char *path)
{
	int one = 1;
	int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const struct sockaddr *a = path ? (const struct sockaddr *)&un :
					  (const struct sockaddr *)&in;

	if (path) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
		unlink(path);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, a, path ? sizeof(un) : sizeof(in)) || listen(fd, 16))
		fail_msg("stub: cannot listen on %s%u: %s", path ?: "", port, strerror(errno));
	return fd;
}

/* Headers and as much body as Content-Length says: enough for what our own client sends. */
static bool whole(const char *text, size_t len)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4),
		   *length = strcasestr(text, "\r\nContent-Length: ");

	if (!end)
		return false;
	return !length || length > end ||
		len - (size_t)(end + 4 - text) >= strtoul(length + 18, NULL, 10);
}

static void serve(struct stub *s, int fd)
{
	struct timeval tv = { .tv_sec = 5 };
	struct buf b;
	char piece[4096];
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	buf_init(&b, 1 << 20);
	while (!whole(buf_str(&b), b.len) && (n = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(&b, piece, (size_t)n);

	pthread_mutex_lock(&s->lock);
	buf_reset(&s->heard);
	buf_addstr(&s->heard, buf_str(&b));
	char *say = s->say ? strdup(s->say) : NULL;
	pthread_mutex_unlock(&s->lock);
	buf_release(&b);
	if (say) {
		ssize_t sent = send(fd, say, strlen(say), MSG_NOSIGNAL);
		(void)sent; /* a client that has gone away is its own test's business */
		close(fd);
	} else if (s->nr_silent < CONNECTIONS_MAX) {
		s->silent[s->nr_silent++] = fd;
	} else {
		close(fd);
	}
	free(say);
}

static void *run(void *ctx)
{
	struct stub *s = ctx;
	struct pollfd p[2] = { { .fd = s->listen_fd, .events = POLLIN },
			       { .fd = s->stop_fd, .events = POLLIN } };

	while (poll(p, 2, -1) >= 0 && !p[1].revents) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			serve(s, fd);
	}
	return NULL;
}

struct stub *stub_start(uint16_t port, const char *path)
{
	struct stub *s = calloc(1, sizeof(*s));

	if (!s)
		fail_msg("no memory");
	s->listen_fd = open_listener(port, path);
	s->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (path)
		snprintf(s->path, sizeof(s->path), "%s", path);
	buf_init(&s->heard, 1 << 20);
	pthread_mutex_init(&s->lock, NULL);
	if (s->stop_fd < 0 || pthread_create(&s->thread, NULL, run, s))
		fail_msg("stub: cannot start");
	return s;
}

void stub_stop(struct stub *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	if (write(s->stop_fd, &one, sizeof(one)) != sizeof(one))
		fail_msg("stub: cannot stop");
	pthread_join(s->thread, NULL);
	for (size_t i = 0; i < s->nr_silent; i++)
		close(s->silent[i]);
	close(s->listen_fd);
	close(s->stop_fd);
	if (*s->path)
		unlink(s->path);
	buf_release(&s->heard);
	free(s->say);
	free(s);
}

void stub_say(struct stub *s, const char *raw)
{
	pthread_mutex_lock(&s->lock);
	free(s->say);
	s->say = raw ? strdup(raw) : NULL;
	buf_reset(&s->heard);
	pthread_mutex_unlock(&s->lock);
}

void stub_say_json(struct stub *s, int status, const char *json)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_addf(
		&b,
		"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		status, strlen(json), json);
	stub_say(s, buf_str(&b));
	buf_release(&b);
}

const char *stub_heard(struct stub *s)
{
	static char text[65536];

	pthread_mutex_lock(&s->lock);
	snprintf(text, sizeof(text), "%s", buf_str(&s->heard));
	pthread_mutex_unlock(&s->lock);
	return text;
}
