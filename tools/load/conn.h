/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.h - keep-alive connections on one epoll loop, requests in a row on each.
 *
 * A connection is opened, sends what it is given, and tells its owner of every
 * request's end, in the order of sending: answered, or failed and why. It
 * closes by itself when the server says so, breaks the rules, or lets the
 * oldest request wait for longer than the time-out; it never opens itself
 * again. Nothing is resent. One thread; callbacks run within loop_wait() and
 * may send, open and close, but not free the connection.
 */
#ifndef ARCHAIC_LOAD_CONN_H
#define ARCHAIC_LOAD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/load/response.h"
#include "tools/load/target.h"

#define CONN_DEPTH_MAX 64 /* requests under way on one connection */

/* Why a request failed. FAIL_STATUS is the owner's own judgement: an answer came. */
enum failure {
	FAIL_CONNECT,  /* no connection could be made */
	FAIL_TIMEOUT,  /* the answer did not come in time */
	FAIL_CUT,      /* the connection ended before the answer did */
	FAIL_PROTOCOL, /* the answer was not HTTP as it should be */
	FAIL_STATUS,   /* 400 or over */
	NR_FAILURES
};

/** failure_name() - "connect", "timeout", "cut", "protocol", "status". */
const char *failure_name(enum failure f);

struct loop {
	int epoll, timer, signals;
	uint64_t armed_ns; /* when the timer fires; 0: it does not */
	int signal;        /* SIGINT or SIGTERM came; 0: none */
};

/** loop_init() - takes SIGINT and SIGTERM into the loop (blocks them for this thread). 0 or -errno. */
int loop_init(struct loop *l);
void loop_release(struct loop *l);

/** loop_wait() - handle what comes until @until_ns at the latest (CLOCK_MONOTONIC), or one round of it. 0 or -errno. */
int loop_wait(struct loop *l, uint64_t until_ns);

struct conn;

struct conn_request {
	uint64_t due_ns;  /* when it was to be sent */
	uint64_t sent_ns; /* when it was handed to the kernel */
};

struct conn_owner {
	/* The connection stands: it may send. */
	void (*opened)(struct conn *c, uint64_t now_ns);
	/* An answer came, whole. c->response is it. */
	void (*answered)(struct conn *c, const struct conn_request *rq, uint64_t now_ns);
	void (*failed)(struct conn *c, const struct conn_request *rq, enum failure why,
		       uint64_t now_ns);
	/* All that had come is handled: time to send again. Not called after closed(). */
	void (*drained)(struct conn *c, uint64_t now_ns);
	/* It is closed, every request has been told of. @why: NR_FAILURES where the server ended it as it may. */
	void (*closed)(struct conn *c, enum failure why, uint64_t now_ns);
};

enum conn_state { CONN_CLOSED, CONN_OPENING, CONN_OPEN };

struct conn {
	struct loop *loop; /* borrowed, as all pointers */
	const struct conn_owner *owner;
	void *ctx; /* the owner's */
	bool head_only;
	enum conn_state state;
	int fd, err;        /* the errno that ended it; 0: none */
	uint64_t opened_ns; /* when it began to open */
	const char *out;
	size_t out_len; /* bytes of @out that the kernel has not taken yet */
	unsigned int first, in_flight;
	struct conn_request requests[CONN_DEPTH_MAX]; /* a ring from @first */
	struct response response;
	uint64_t bytes_in, bytes_out;
};

void conn_init(struct conn *c, struct loop *l, const struct conn_owner *owner, void *ctx);

/** conn_open() - begin to connect; opened() or closed() follows. 0 or -errno (then neither follows). */
int conn_open(struct conn *c, const struct target *t, uint64_t now_ns);

/** conn_room() - how many more requests it takes, of @depth together; 0 while text is still waiting to be sent. */
unsigned int conn_room(const struct conn *c, unsigned int depth);

/**
 * conn_send() - send @nr requests, not more than conn_room().
 * @text: all of them, borrowed until their answers have come. @due_ns: when each was due; NULL: now.
 */
void conn_send(struct conn *c, const char *text, size_t len, const uint64_t *due_ns,
	       unsigned int nr, uint64_t now_ns);

/** conn_check() - close it where opening or the oldest answer takes longer than @timeout_ns. */
void conn_check(struct conn *c, uint64_t timeout_ns, uint64_t now_ns);

/** conn_close() - at once; requests under way are told of as failed for @why, then closed(). */
void conn_close(struct conn *c, enum failure why, uint64_t now_ns);

#endif
