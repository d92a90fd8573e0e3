/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gen.h - one request, again and again, over many connections.
 *
 * Closed loop (no rate): each connection keeps @depth requests under way; the
 * server's slowness slows the sender. Open loop (a rate): request number i is
 * due at start + i / rate, whatever the server does. It goes to the connection
 * that has waited longest; when none has room it waits, and its latency counts
 * from when it was due. At the end nothing more is sent, and what is under way
 * is waited for, up to the time-out each; what was due by then and never sent
 * is told apart (tally_unsent()).
 *
 * A connection that ends is opened again, at once; after a failed attempt
 * GEN_RETRY_NS later, and each failed attempt is a failed request.
 */
#ifndef ARCHAIC_LOAD_GEN_H
#define ARCHAIC_LOAD_GEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "tools/load/tally.h"

#define GEN_CONNECTIONS_MAX 4096
#define GEN_RATE_MAX 1e6
#define GEN_REQUEST_MAX (1 << 20) /* bytes of one request */
#define GEN_RETRY_NS (100 * NSEC_PER_MSEC)

struct gen_request {
	const char *method, *body; /* borrowed; body NULL: none */
	size_t body_len;
	const char *const *headers; /* NULL-ended "Name: value" */
	bool close;                 /* "Connection: close": a connection for each request */
};

/** gen_build() - the request's text for @t. 0, or -EINVAL (a header that is none), or buf's error. */
int gen_build(const struct target *t, const struct gen_request *rq, struct buf *ret);

struct gen_options {
	const struct target *target; /* after target_connect() */
	const char *text;            /* one request, of gen_build() */
	size_t text_len;
	bool head_only; /* the method is HEAD */
	unsigned int connections, depth;
	uint64_t duration_ns; /* 0: until @requests */
	uint64_t requests;    /* 0: until @duration_ns; both: what comes first */
	double rate_per_s;    /* 0: closed loop */
	uint64_t timeout_ns;
	/* Once a second, before tally_second(). Not 0: stop. */
	int (*second)(void *ctx, const struct tally *t, uint64_t now_ns);
	void *ctx;
};

/** gen_run() - 0, -errno, or -EINTR with @signal set when it was interrupted; @t is whole in that case too. */
int gen_run(const struct gen_options *o, struct tally *t, int *signal);

#endif
