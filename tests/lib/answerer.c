// SPDX-License-Identifier: GPL-2.0-or-later
#include "answerer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

struct connection {
	struct answerer *a;
	int fd;
};

/* False: the peer went away, or sends more than a request of ours may have. */
static bool hear_request(int fd, struct answerer_request *q)
{
	char text[sizeof(q->head) + sizeof(q->body)];
	size_t len = 0, head = 0, body = 0;

	while (!head || len < head + body) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		const char *end = strstr(text, "\r\n\r\n");
		const char *length = strstr(text, "Content-Length: ");
		if (!end)
			continue;
		head = (size_t)(end + 4 - text);
		body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
	}
	if (head >= sizeof(q->head) || body >= sizeof(q->body))
		return false;
	memcpy(q->head, text, head);
	q->head[head] = '\0';
	memcpy(q->body, text + head, body);
	q->body[body] = '\0';
	q->body_len = body;
	return sscanf(text, "%15s %1023s", q->method, q->path) == 2;
}

static void *serve_one(void *ctx)
{
	struct connection *c = ctx;
	struct answerer_request q = { 0 };

	if (hear_request(c->fd, &q))
		c->a->fn(c->a->ctx, &q, c->fd);
	/* Closed by answerer_stop(): a number used anew must not be shut down there. */
	shutdown(c->fd, SHUT_RDWR);
	free(c);
	return NULL;
}

static void *serve(void *ctx)
{
	struct answerer *a = ctx;

	for (;;) {
		int fd = accept(a->fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		unsigned n = atomic_load(&a->connections);
		struct connection *c = n < ANSWERER_CONNECTIONS ? malloc(sizeof(*c)) : NULL;
		if (!c) {
			close(fd);
			continue;
		}
		*c = (struct connection){ a, fd };
		a->fds[n] = fd;
		if (pthread_create(&a->threads[n], NULL, serve_one, c)) {
			close(fd);
			free(c);
			continue;
		}
		atomic_store(&a->connections, n + 1);
	}
}

static void start(struct answerer *a, int fd, const void *address, socklen_t len, answerer_fn *fn,
		  void *ctx)
{
	*a = (struct answerer){ .fn = fn, .ctx = ctx, .fd = fd };
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, address, len), 0);
	assert_int_equal(listen(fd, 16), 0);
}

void answerer_unix(struct answerer *a, const char *path, answerer_fn *fn, void *ctx)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	assert_true(strlen(path) < sizeof(to.sun_path));
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	start(a, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), &to, sizeof(to), fn, ctx);
	assert_int_equal(pthread_create(&a->thread, NULL, serve, a), 0);
}

void answerer_tcp(struct answerer *a, answerer_fn *fn, void *ctx)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(to);

	start(a, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), &to, sizeof(to), fn, ctx);
	assert_int_equal(getsockname(a->fd, (struct sockaddr *)&to, &len), 0);
	a->port = ntohs(to.sin_port);
	assert_int_equal(pthread_create(&a->thread, NULL, serve, a), 0);
}

void answerer_stop(struct answerer *a)
{
	shutdown(a->fd, SHUT_RDWR);
	pthread_join(a->thread, NULL);
	close(a->fd);
	unsigned n = atomic_load(&a->connections);
	for (unsigned i = 0; i < n; i++) {
		shutdown(a->fds[i], SHUT_RDWR);
		pthread_join(a->threads[i], NULL);
		close(a->fds[i]);
	}
}

void answer_raw(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

void answer_whole(int fd, int status, const char *body)
{
	char head[160];

	snprintf(head, sizeof(head),
		 "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n",
		 status, strlen(body));
	answer_raw(fd, head);
	answer_raw(fd, body);
}

void answer_huge(int fd, size_t size)
{
	char block[4097], head[96];

	memset(block, ' ', sizeof(block) - 1);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	answer_raw(fd, head);
	for (size_t left = size; left;) {
		block[MIN(left, sizeof(block) - 1)] = '\0';
		left -= strlen(block);
		answer_raw(fd, block);
	}
}

void answer_silence(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
}
