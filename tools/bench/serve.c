// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The least that an HTTP server can do: whatever comes in between two blank
 * lines is a request. It never waits for a slow reader: the client reads.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "bench.h"

#define FD_MAX 4096

/* How many bytes of the final \r\n\r\n each connection has seen. */
static unsigned char progress[FD_MAX];

int bench_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1;
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1024))
		return -errno;
	return TAKE_FD(fd);
}

static void accept_one(int epoll, int listener)
{
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd >= FD_MAX || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev)) {
		close(fd);
		return;
	}
	progress[fd] = 0;
}

static void answer(int fd)
{
	static const char end[] = "\r\n\r\n";
	char in[16384];
	ssize_t n = recv(fd, in, sizeof(in), 0);

	if (n <= 0) {
		close(fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		progress[fd] = in[i] == end[progress[fd]] ? progress[fd] + 1 : in[i] == '\r';
		if (progress[fd] < 4)
			continue;
		progress[fd] = 0;
		if (send(fd, BENCH_RESPONSE, strlen(BENCH_RESPONSE), MSG_NOSIGNAL) < 0) {
			close(fd);
			return;
		}
	}
}

int bench_serve(uint16_t port, int cpu)
{
	CLEANUP(closep) int listener = listen_on(port);
	if (listener < 0)
		return listener;
	CLEANUP(closep) int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener }, events[64];
	int err = bench_pin(cpu);

	if (err || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev))
		return err ?: -errno;
	for (;;) {
		int n = epoll_wait(epoll, events, ARRAY_SIZE(events), -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n; i++)
			if (events[i].data.fd == listener)
				accept_one(epoll, listener);
			else
				answer(events[i].data.fd);
	}
}
