// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/slow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"
#define BATCH 64
#define COUNT_PATH "GET /count "

/* Of one descriptor; what waits is told by the generation, which a close changes. */
struct peer {
	bool open;
	uint32_t generation;
	unsigned char ends; /* of "\r\n\r\n", how many bytes were seen */
	bool count;         /* the request under way asks for the count */
	unsigned int line;  /* bytes of its first line that were like COUNT_PATH */
};

struct waiting {
	uint64_t due_ns;
	uint64_t count; /* to be told; UINT64_MAX: "ok" */
	int fd;
	uint32_t generation;
};

struct slow {
	const struct slow_options *o;
	int epoll, timer, listener;
	uint64_t requests, first_ns;
	bool stalled;
	struct peer peers[SLOW_CONNECTIONS_MAX];
	/* One time for all: who came first is due first. Grows; never more than all clients have under way. */
	struct waiting *queue;
	size_t first, nr, cap;
};

int slow_listen(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(*port) };
	socklen_t len = sizeof(a);
	const int one = 1;
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return -errno;
	*port = ntohs(a.sin_port);
	return TAKE_FD(fd);
}

static int grow(struct slow *s)
{
	size_t cap = s->cap ? s->cap * 2 : 1024;
	struct waiting *q = calloc(cap, sizeof(*q));

	if (!q)
		return -ENOMEM;
	for (size_t i = 0; i < s->nr; i++)
		q[i] = s->queue[(s->first + i) % s->cap];
	free(s->queue);
	s->queue = q;
	s->cap = cap;
	s->first = 0;
	return 0;
}

static void drop(struct slow *s, int fd)
{
	s->peers[fd].open = false;
	s->peers[fd].generation++;
	close(fd);
}

static int came(struct slow *s, int fd, uint64_t now_ns)
{
	struct peer *p = &s->peers[fd];

	if (s->nr == s->cap && grow(s))
		return -ENOMEM;
	if (!s->first_ns)
		s->first_ns = now_ns;
	s->queue[(s->first + s->nr++) % s->cap] = (struct waiting){
		.due_ns = now_ns + (p->count ? 0 : s->o->takes_ns),
		.count = p->count ? s->requests : UINT64_MAX,
		.fd = fd,
		.generation = p->generation,
	};
	s->requests += !p->count;
	p->ends = 0;
	p->count = false;
	p->line = 0;
	return 0;
}

static int read_requests(struct slow *s, int fd)
{
	static const char end[] = "\r\n\r\n", count[] = COUNT_PATH;
	struct peer *p = &s->peers[fd];
	char in[16384];
	ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		drop(s, fd);
		return 0;
	}
	uint64_t now_ns = clock_mono_ns();

	for (ssize_t i = 0; i < n; i++) {
		if (p->line < sizeof(count) - 1) {
			p->line = in[i] == count[p->line] ? p->line + 1 : sizeof(count);
			p->count = p->line == sizeof(count) - 1;
		}
		p->ends = in[i] == end[p->ends] ? p->ends + 1 : in[i] == '\r';
		if (p->ends == 4 && came(s, fd, now_ns))
			return -ENOMEM;
	}
	return 0;
}

static size_t answer_text(const struct waiting *w, char *to, size_t size)
{
	char body[24];

	if (w->count == UINT64_MAX) {
		memcpy(to, ANSWER, sizeof(ANSWER) - 1);
		return sizeof(ANSWER) - 1;
	}
	int len = snprintf(body, sizeof(body), "%" PRIu64 "\n", w->count);
	return (size_t)snprintf(to, size, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len,
				body);
}

/* Those that are due and of one connection, next to each other, in one write. */
static void answer_some(struct slow *s, uint64_t now_ns)
{
	char text[BATCH * 128];
	const struct waiting first = s->queue[s->first];
	size_t len = 0;
	unsigned int nr = 0;

	while (s->nr && nr < BATCH) {
		const struct waiting *w = &s->queue[s->first];

		if (w->due_ns > now_ns || w->fd != first.fd || w->generation != first.generation)
			break;
		len += answer_text(w, text + len, sizeof(text) - len);
		s->first = (s->first + 1) % s->cap;
		s->nr--;
		nr++;
	}
	/* A client that does not read what it asked for is dropped. */
	if (s->peers[first.fd].open && s->peers[first.fd].generation == first.generation &&
	    send(first.fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
		drop(s, first.fd);
}

static void stall(struct slow *s)
{
	struct timespec ts = { .tv_sec = (time_t)(s->o->stall_for_ns / NSEC_PER_SEC),
			       .tv_nsec = (long)(s->o->stall_for_ns % NSEC_PER_SEC) };

	s->stalled = true;
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static void accept_all(struct slow *s)
{
	const int one = 1;
	int fd;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

		if (fd >= SLOW_CONNECTIONS_MAX || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev)) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		s->peers[fd].open = true;
		s->peers[fd].ends = 0;
		s->peers[fd].line = 0;
		s->peers[fd].count = false;
	}
}

static int wake_at(struct slow *s, uint64_t ns)
{
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(ns / NSEC_PER_SEC),
						 .tv_nsec = (long)(ns % NSEC_PER_SEC) } };

	return timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &when, NULL) ? -errno : 0;
}

static int turn(struct slow *s)
{
	struct epoll_event events[256];
	uint64_t fired;
	int n = epoll_wait(s->epoll, events, ARRAY_SIZE(events), -1), err = 0;

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n && !err; i++) {
		int fd = events[i].data.fd;

		if (fd == s->listener)
			accept_all(s);
		else if (fd == s->timer)
			(void)!read(s->timer, &fired, sizeof(fired));
		else if (s->peers[fd].open)
			err = read_requests(s, fd);
	}
	uint64_t now_ns = clock_mono_ns();

	if (s->o->stall_for_ns && !s->stalled && s->first_ns &&
	    now_ns >= s->first_ns + s->o->stall_after_ns)
		stall(s);
	now_ns = clock_mono_ns();
	while (s->nr && s->queue[s->first].due_ns <= now_ns)
		answer_some(s, now_ns);
	return err ?: s->nr ? wake_at(s, s->queue[s->first].due_ns) : 0;
}

int slow_serve(int listener, const struct slow_options *o)
{
	CLEANUP(freep) struct slow *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	prctl(PR_SET_TIMERSLACK, 1UL);
	s->o = o;
	s->listener = listener;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	struct epoll_event in = { .events = EPOLLIN, .data.fd = listener },
			   timer = { .events = EPOLLIN, .data.fd = s->timer };
	int err = s->epoll < 0 || s->timer < 0 ||
			epoll_ctl(s->epoll, EPOLL_CTL_ADD, listener, &in) ||
			epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &timer) ?
		-errno :
		grow(s);

	while (!err)
		err = turn(s);
	closep(&s->epoll);
	closep(&s->timer);
	free(s->queue);
	return err;
}
