/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample.h - what one tick saw: the only thing that detection and diagnosis read.
 *
 * observe/ fills one struct tick per tick from the kernel's counters; every
 * number is the difference to the tick before, but for those named as gauges.
 * A tick owns its arrays; tick_release() frees them. Plain data: can be copied
 * (tick_copy), recorded, replayed and pushed by an agent.
 */
#ifndef ARCHAIC_SAMPLE_H
#define ARCHAIC_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi.h" /* ABI_HIST_BUCKETS and the bucket bounds */
#include "discover/service.h"

/* Counts per bucket of the one bucket scheme of the house, see abi.h. */
struct hist {
	uint64_t n[ABI_HIST_BUCKETS];
};

struct service_sample {
	uint32_t id;
	char name[SERVICE_NAME_MAX];

	/* As a server, over all clients and methods. */
	uint64_t requests; /* finished: the last byte of the response has left */
	uint64_t status_class
		[6]; /* [1]..[5] by first digit, as clients got it where that was seen; [0]: no valid status */
	struct hist ttfb, duration;
	uint64_t ttfb_ns, duration_ns; /* sums */
	uint64_t rx_bytes, tx_bytes;   /* of HTTP messages, headers included */
	uint64_t aborted;              /* connection gone before the response was complete */
	uint64_t unparsed;
	uint32_t in_flight; /* gauge: requests that have come and are not answered */
	uint64_t oldest_ns; /* gauge: age of the oldest of them; 0 without any */

	/* Tasks. */
	uint64_t cpu_ns;
	struct hist runq; /* woken to running */
	uint64_t runq_ns;
};

/* A call: client service -> server service, from both ends. Id 0 is the outside world. */
struct edge_sample {
	uint32_t client, server;
	uint64_t server_requests, server_failed; /* 5xx */
	struct hist server_duration;
	uint64_t server_duration_ns;
	uint64_t client_requests, client_failed; /* 5xx, as the client's end saw them */
	struct hist client_duration;
	uint64_t client_duration_ns;
	uint64_t client_aborted; /* the client went away (its time-out) before the whole answer came */
	uint32_t client_in_flight; /* gauge */
	uint64_t client_oldest_ns; /* gauge: age of the oldest unanswered call */
};

struct tick {
	uint64_t at_ns;   /* CLOCK_MONOTONIC at its end */
	uint64_t span_ns; /* since the tick before */
	struct service_sample *services;
	size_t nr_services;
	struct edge_sample *edges;
	size_t nr_edges;
};

void tick_release(struct tick *t);

/** tick_copy() - a deep copy. 0 or -ENOMEM. */
int tick_copy(const struct tick *from, struct tick *ret);

const struct service_sample *tick_service(const struct tick *t, uint32_t id);

/** hist_upper_ns() - upper bound of bucket @i in ns; UINT64_MAX for the last. */
uint64_t hist_upper_ns(size_t i);
uint64_t hist_count(const struct hist *h);
void hist_add(struct hist *to, const struct hist *from);

/** hist_quantile_ns() - quantile @q (0..1), linear within its bucket; 0 when empty; the lower bound in the last bucket. */
double hist_quantile_ns(const struct hist *h, double q);

#endif
