/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * span.h - a request as the kernel side saw it into a span as OpenTelemetry has it.
 *
 * A call between two services that are both watched gives two spans: CLIENT, of
 * the caller, and SERVER, of the callee. The trace id is the request's own:
 * traceparent's; an X-Trace-ID that is a UUID without its dashes; any other
 * X-Trace-ID hashed, so that its spans share a trace. A request that carried
 * none is a trace of its own. The parent is traceparent's, which the service's
 * own tracing may have reported or not: nobody is asked.
 * Queries are not kept: they hold what must not leave the machine. Pure.
 */
#ifndef ARCHAIC_SPAN_H
#define ARCHAIC_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/service.h"
#include "observe/requests.h"

#define SPAN_FAULTS_MAX 4 /* armed faults that a span names; more are left out */
#define SPAN_FAULT_ID_MAX 16

struct span {
	uint8_t trace_id[16], span_id[8];
	uint8_t parent_id[8];                     /* all zero: none */
	uint64_t start_ns, first_byte_ns, end_ns; /* since the epoch; first_byte_ns 0: no answer */
	uint32_t server_id, client_id;            /* service ids; 0: the outside world */
	uint16_t status;                          /* 0: none */
	uint16_t server_port;                     /* 0: not known, or more than one */
	uint8_t method;                           /* ABI_METHOD_* */
	uint8_t side;                             /* ABI_SIDE_*: whose span it is */
	uint8_t flags;                            /* ABI_REQUEST_* */
	char server[SERVICE_NAME_MAX];            /* "": not known */
	char client[SERVICE_NAME_MAX];
	char path[ABI_PATH_MAX + 1];                     /* printable ASCII; "": not kept */
	char faults[SPAN_FAULTS_MAX][SPAN_FAULT_ID_MAX]; /* armed on the server; "" ends the list */
};

/**
 * span_make() - everything but the names, the port and the faults, which are "" and 0.
 * @to_epoch_ns: what added to CLOCK_MONOTONIC gives the wall time.
 * @seed: random, one for a process's life: ids come from it and the request's number.
 */
void span_make(const struct request *r, uint64_t to_epoch_ns, uint64_t seed, struct span *ret);

/** span_owner() - the name of the service whose span it is; "": none. Borrowed. */
const char *span_owner(const struct span *s);

/** span_failed() - by the semantic conventions: 5xx at a server, 4xx too at a client, and no answer at all. */
bool span_failed(const struct span *s);

/**
 * span_pair() - make each SERVER span the child of the CLIENT span of the same call, where both are
 * among the @nr: same trace, services, method and path, and within its time. What has a partner
 * elsewhere keeps the parent that it has.
 */
void span_pair(struct span *spans, size_t nr);

#endif
