// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault_rig.h"

#define BODY_JSON                                                                                   \
	"{\"items\":[{\"id\":\"p1\",\"name\":\"Widget \\\"one\\\"\",\"price\":9.99,\"stock\":100}," \
	"{\"id\":\"p2\",\"name\":\"Go\",\"price\": 100 ,\"stock\":5}]}"

static void reply_big(int fd)
{
	static char body[1 << 20]; /* all zero, and never written to: threads may share it */
	char head[128];

	int n = snprintf(
		head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
		FAULT_RIG_BIG);
	bool alive = send(fd, head, (size_t)n, MSG_NOSIGNAL) == n;
	for (size_t sent = 0; alive && sent < FAULT_RIG_BIG; sent += sizeof(body))
		alive = send(fd, body, sizeof(body), MSG_NOSIGNAL) == (ssize_t)sizeof(body);
}

static void reply(int fd, const char *path)
{
	char text[4096];

	if (!strncmp(path, "/big", 4)) {
		reply_big(fd);
		return;
	}
	bool json = !strncmp(path, "/json", 5) || !strncmp(path, "/gzip", 5);
	const char *body = json ? BODY_JSON : "hello, this is text\n";

	if (!strncmp(path, "/none", 5))
		snprintf(text, sizeof(text), "HTTP/1.1 204 No Content\r\n\r\n");
	else
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
			 json ? "application/json" : "text/plain",
			 !strncmp(path, "/gzip", 5) ? "Content-Encoding: gzip\r\n" : "",
			 strlen(body), body);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return;
}

/* All requests that came, one answer each, in as many sends. */
static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[65536];
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

		if (got <= 0)
			break;
		n += (size_t)got;
		buf[n] = '\0';
		for (char *end; (end = strstr(buf, "\r\n\r\n"));) {
			char path[256] = "/";

			sscanf(buf, "%*15s %255s", path);
			reply(fd, path);
			end += 4;
			n -= (size_t)(end - buf);
			memmove(buf, end, n + 1);
		}
	}
	close(fd);
	return NULL;
}

static int listen_at(int family, uint16_t port)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(0x7f000001) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int err = family == AF_INET ? bind(fd, (void *)&in, sizeof(in)) :
				      bind(fd, (void *)&in6, sizeof(in6));
	if (err < 0 || listen(fd, 512) < 0)
		_exit(2);
	return fd;
}

_Noreturn void fault_server_main(int family, const uint16_t port[2], int procs_fd, int ready_fd)
{
	struct pollfd p[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(procs_fd, "0", 1) != 1)
		_exit(3);
	for (int i = 0; i < 2; i++)
		p[i] = (struct pollfd){ .fd = listen_at(family, port[i]), .events = POLLIN };
	if (write(ready_fd, "r", 1) != 1)
		_exit(4);
	for (;;) {
		poll(p, 2, -1);
		for (int i = 0; i < 2; i++) {
			pthread_t t;
			int one = 1;

			if (!(p[i].revents & POLLIN))
				continue;
			int fd = accept(p[i].fd, NULL, NULL);
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			if (fd >= 0 && pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0)
				pthread_detach(t);
		}
	}
}
