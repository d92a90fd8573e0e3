/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * requests.h - the last sampled, slow and failed requests, for /v1/requests.
 *
 * A ring of fixed size: the newest push the oldest out. Paths and trace ids are
 * raw bytes of strangers, kept as C strings (cut at a NUL): whoever writes them
 * as JSON uses text_json() or makes them UTF-8 first (request_printable()).
 * Not thread-safe.
 */
#ifndef ARCHAIC_REQUESTS_H
#define ARCHAIC_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi.h"

struct requests;

struct request {
	uint64_t seq;      /* 1, 2, 3 ...: never used twice */
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	uint64_t ttfb_ns, duration_ns;
	uint32_t server, client; /* service ids; 0: the outside world */
	uint16_t status;         /* 0: none */
	uint8_t method;          /* ABI_METHOD_* */
	uint8_t side;            /* ABI_SIDE_* */
	uint8_t flags;           /* ABI_REQUEST_* */
	char path[ABI_PATH_MAX + 1];
	char trace_id[ABI_TRACE_MAX +
		      1];   /* X-Trace-ID, or the trace id out of traceparent; "" without */
	char parent_id[17]; /* the span id out of traceparent, 16 hex digits; "" without */
};

/* What to look for; zeroes mean "any". */
struct requests_filter {
	uint32_t service;  /* as server or client */
	bool slow, failed; /* only those; both: either */
	uint64_t after_seq;
};

/** requests_new() - a ring of @max requests (1 .. 65536). NULL: no memory. */
struct requests *requests_new(size_t max);
void requests_free(struct requests *q);
void requests_freep(struct requests **q);

/** requests_add() - copy an event in. */
void requests_add(struct requests *q, const struct abi_request *r);

/** requests_newest() - the one that was added last; NULL: none yet. Borrowed until the next requests_add(). */
const struct request *requests_newest(const struct requests *q);

/** requests_each() - newest first, until @cb returns false or @max were given. Returns how many were given. Borrowed. */
size_t requests_each(const struct requests *q, const struct requests_filter *f, size_t max,
		     bool (*cb)(void *ctx, const struct request *r), void *ctx);

/** request_method() - "GET" ...; "_OTHER" for what is not in the table. Static. */
const char *request_method(uint8_t method);

/** request_printable() - @s with bad UTF-8 and control characters as '?', into @to (@size > 0 bytes, terminated). Returns @to. */
const char *request_printable(const char *s, char *to, size_t size);

#endif
