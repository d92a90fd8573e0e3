// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/util.h"

#define EVENTS 256
#define READ_SIZE (64 << 10)

const char *failure_name(enum failure f)
{
	static const char *const names[NR_FAILURES] = { "connect", "timeout", "cut", "protocol",
							"status" };

	return f < NR_FAILURES ? names[f] : "none";
}

void conn_init(struct conn *c, struct loop *l, const struct conn_owner *owner, void *ctx)
{
	memset(c, 0, offsetof(struct conn, response));
	memset(&c->response, 0, offsetof(struct response, line));
	c->loop = l;
	c->owner = owner;
	c->ctx = ctx;
	c->fd = -1;
	c->bytes_in = c->bytes_out = 0;
}

static int watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	return epoll_ctl(c->loop->epoll, op, c->fd, &ev) ? -errno : 0;
}

int conn_open(struct conn *c, const struct target *t, uint64_t now_ns)
{
	const int one = 1;
	CLEANUP(closep) int fd =
		socket(t->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    (connect(fd, (const struct sockaddr *)&t->address, t->address_len) &&
	     errno != EINPROGRESS))
		return -errno;
	c->fd = fd;
	int err = watch(c, EPOLL_CTL_ADD, EPOLLOUT);
	if (err) {
		c->fd = -1;
		return err;
	}
	c->fd = TAKE_FD(fd);
	c->state = CONN_OPENING;
	c->opened_ns = now_ns;
	c->err = 0;
	c->out_len = 0;
	c->first = c->in_flight = 0;
	response_begin(&c->response, c->head_only);
	return 0;
}

void conn_close(struct conn *c, enum failure why, uint64_t now_ns)
{
	if (c->state == CONN_CLOSED)
		return;
	close(c->fd); /* and epoll forgets it */
	c->fd = -1;
	c->state = CONN_CLOSED;
	c->out_len = 0;
	/* An answer that the server may end with its connection was told of; what follows it cannot come any more. */
	while (c->in_flight) {
		struct conn_request rq = c->requests[c->first];

		c->first = (c->first + 1) % CONN_DEPTH_MAX;
		c->in_flight--;
		c->owner->failed(c, &rq, why == NR_FAILURES ? FAIL_CUT : why, now_ns);
	}
	c->owner->closed(c, why, now_ns);
}

static void break_off(struct conn *c, enum failure why, int err, uint64_t now_ns)
{
	c->err = err;
	conn_close(c, why, now_ns);
}

unsigned int conn_room(const struct conn *c, unsigned int depth)
{
	return c->state != CONN_OPEN || c->out_len || c->in_flight >= depth ? 0 :
									      depth - c->in_flight;
}

/* What the kernel takes now; the rest when the socket is writable again. */
static void flush(struct conn *c, bool waiting, uint64_t now_ns)
{
	ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		/* An answer may lie there that says why: reading will find the end. */
		c->out_len = 0;
		watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
		return;
	}
	if (n > 0) {
		c->out += n;
		c->out_len -= (size_t)n;
		c->bytes_out += (size_t)n;
	}
	if (!!c->out_len == waiting)
		return;
	int err = watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | (c->out_len ? EPOLLOUT : 0U));
	if (err)
		break_off(c, FAIL_CUT, err, now_ns);
}

void conn_send(struct conn *c, const char *text, size_t len, const uint64_t *due_ns,
	       unsigned int nr, uint64_t now_ns)
{
	for (unsigned int i = 0; i < nr; i++)
		c->requests[(c->first + c->in_flight++) % CONN_DEPTH_MAX] = (struct conn_request){
			.due_ns = due_ns ? due_ns[i] : now_ns,
			.sent_ns = now_ns,
		};
	c->out = text;
	c->out_len = len;
	flush(c, false, now_ns);
}

/* The front response is whole: tell, and be ready for the next. False: the connection has ended. */
static bool answered(struct conn *c, uint64_t now_ns)
{
	bool keep_alive = c->response.keep_alive;
	struct conn_request rq = c->requests[c->first];

	c->first = (c->first + 1) % CONN_DEPTH_MAX;
	c->in_flight--;
	c->owner->answered(c, &rq, now_ns);
	if (c->state != CONN_OPEN)
		return false;
	if (!keep_alive) {
		conn_close(c, NR_FAILURES, now_ns);
		return false;
	}
	response_begin(&c->response, c->head_only);
	return true;
}

static bool take(struct conn *c, const char *data, size_t len, uint64_t now_ns)
{
	size_t at = 0;

	c->bytes_in += len;
	while (at < len) {
		if (!c->in_flight) {
			c->response.why = "it sent what nobody asked for";
			break_off(c, FAIL_PROTOCOL, EPROTO, now_ns);
			return false;
		}
		ssize_t n = response_feed(&c->response, data + at, len - at);
		if (n < 0) {
			break_off(c, FAIL_PROTOCOL, EPROTO, now_ns);
			return false;
		}
		at += (size_t)n;
		if (c->response.state == RESPONSE_DONE && !answered(c, now_ns))
			return false;
	}
	return true;
}

static void end(struct conn *c, int err, uint64_t now_ns)
{
	if (!err && c->in_flight && !response_eof(&c->response)) {
		answered(c, now_ns); /* a body that ends so: closes, too */
		return;
	}
	/* An idle connection may be ended at any time; one that owes an answer may not. */
	break_off(c, c->in_flight ? FAIL_CUT : NR_FAILURES, err, now_ns);
}

static void read_all(struct conn *c)
{
	static __thread char in[READ_SIZE];

	for (;;) {
		ssize_t n = recv(c->fd, in, sizeof(in), MSG_DONTWAIT);
		int err = n < 0 ? errno : 0;

		if (err == EAGAIN || err == EINTR)
			break;
		uint64_t now_ns = clock_mono_ns();
		if (n <= 0) {
			end(c, err, now_ns);
			return;
		}
		if (!take(c, in, (size_t)n, now_ns))
			return;
		if (n < (ssize_t)sizeof(in)) {
			c->owner->drained(c, now_ns);
			return;
		}
	}
	c->owner->drained(c, clock_mono_ns());
}

static void opening(struct conn *c)
{
	uint64_t now_ns = clock_mono_ns();
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (!err)
		err = -watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
	if (err) {
		break_off(c, FAIL_CONNECT, err, now_ns);
		return;
	}
	c->state = CONN_OPEN;
	c->owner->opened(c, now_ns);
}

static void handle(struct conn *c, uint32_t events)
{
	if (c->state == CONN_OPENING) {
		opening(c);
		return;
	}
	if (events & EPOLLOUT && c->out_len)
		flush(c, true, clock_mono_ns());
	if (c->state == CONN_OPEN && events & ~(uint32_t)EPOLLOUT)
		read_all(c);
}

void conn_check(struct conn *c, uint64_t timeout_ns, uint64_t now_ns)
{
	if (c->state == CONN_OPENING && now_ns > c->opened_ns + timeout_ns)
		break_off(c, FAIL_CONNECT, ETIMEDOUT, now_ns);
	else if (c->in_flight && now_ns > c->requests[c->first].sent_ns + timeout_ns)
		break_off(c, FAIL_TIMEOUT, ETIMEDOUT, now_ns);
}

int loop_init(struct loop *l)
{
	/* These two are told from connections by their addresses. */
	struct epoll_event timer = { .events = EPOLLIN, .data.ptr = &l->timer },
			   signals = { .events = EPOLLIN, .data.ptr = &l->signals };
	sigset_t set;

	*l = (struct loop){ .epoll = -1, .timer = -1, .signals = -1 };
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->epoll < 0 || l->timer < 0 || l->signals < 0 ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->timer, &timer) ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->signals, &signals)) {
		int err = -errno;

		loop_release(l);
		return err;
	}
	return 0;
}

void loop_release(struct loop *l)
{
	closep(&l->epoll);
	closep(&l->timer);
	closep(&l->signals);
	l->epoll = l->timer = l->signals = -1;
}

static int arm(struct loop *l, uint64_t at_ns)
{
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at_ns / NSEC_PER_SEC),
						 .tv_nsec = (long)(at_ns % NSEC_PER_SEC) } };

	if (at_ns == l->armed_ns)
		return 0;
	if (timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &when, NULL))
		return -errno;
	l->armed_ns = at_ns;
	return 0;
}

int loop_wait(struct loop *l, uint64_t until_ns)
{
	struct epoll_event events[EVENTS];
	struct signalfd_siginfo si;
	uint64_t fired;
	int err = arm(l, until_ns), n;

	if (err)
		return err;
	n = epoll_wait(l->epoll, events, EVENTS, -1);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == &l->timer) {
			if (read(l->timer, &fired, sizeof(fired)) == sizeof(fired))
				l->armed_ns = 0;
		} else if (events[i].data.ptr == &l->signals) {
			if (read(l->signals, &si, sizeof(si)) == sizeof(si))
				l->signal = (int)si.ssi_signo;
		} else {
			handle(events[i].data.ptr, events[i].events);
		}
	}
	return 0;
}
