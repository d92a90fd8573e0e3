/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * features.h - the last second of one service as a vector of numbers.
 *
 * A window keeps what the ticks of the last seconds counted. Features are always taken over
 * the newest FEATURES_WINDOW_NS, whether ticks are 100 ms or 1 s, so that both have one
 * distribution; a tick longer than that is a window of its own. The error ratio alone
 * looks further back, up to FEATURES_ERRORS_NS, until it has FEATURES_ERRORS_MIN requests:
 * a service of three requests a second has evidence too.
 *
 * Missing is not zero: a feature that this second says nothing about (no request finished,
 * too few for an error ratio) is NaN, and NaN is no evidence. Silence with requests in
 * flight does show: FEATURE_IN_FLIGHT and FEATURE_OLDEST are gauges and always there.
 *
 * Model scale: logarithms with an offset of what the instrument resolves, so that 0.1 against
 * 0.2 ms is not a doubling. Human scale: ms, ratio, requests/s, cores, count.
 *
 * Self time is server time less the time waiting for callees. A call that ended in this tick
 * for a request that ends in the next is carried over; a call that was given up counts with
 * the age of the oldest call on that edge. Parallel calls count in full: self time of a
 * service that makes them is too small, never too large.
 *
 * Plain data; no allocation; not thread-safe.
 */
#ifndef ARCHAIC_FEATURES_H
#define ARCHAIC_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/anomaly.h"
#include "observe/sample.h"

#define FEATURES_WINDOW_NS 1000000000ULL
#define FEATURES_ERRORS_NS 10000000000ULL
#define FEATURES_ERRORS_MIN 20
#define WINDOW_SLOTS 12      /* of >= 90 ms */
#define WINDOW_LONG_SLOTS 48 /* of >= 225 ms */

struct window_slot {
	uint64_t span_ns, requests, duration_ns, self_ns, cpu_ns;
	uint32_t duration[ABI_HIST_BUCKETS], runq[ABI_HIST_BUCKETS];
};

struct window_errors {
	uint64_t span_ns, finished, failed;
};

struct window {
	struct window_slot slots[WINDOW_SLOTS];         /* ring */
	struct window_errors errors[WINDOW_LONG_SLOTS]; /* ring */
	size_t newest, nr;
	size_t newest_errors, nr_errors;
	uint64_t at_ns;           /* of the newest tick; 0: none yet */
	uint64_t first_ns;        /* of the first tick */
	uint64_t finished_ns;     /* end of the last tick in which a request finished; 0: never */
	uint64_t carry_ns;        /* time waited for callees, for requests still in flight */
	uint64_t calls_oldest_ns; /* oldest outgoing call at the end of the newest tick */
	uint64_t oldest_ns;       /* gauge */
	uint32_t in_flight;       /* gauge */
	uint64_t tx_bytes;        /* in the newest tick */
};

struct features {
	double v[NR_FEATURES];            /* model scale; NaN: missing */
	bool traffic;                     /* something finished in the window, or is in flight */
	bool total_loss;                  /* in flight and none finished for as long as was asked */
	uint64_t requests;                /* finished in the window */
	double p99_ms;                    /* of them; 0 without any */
	struct hist duration;             /* of them */
	uint64_t errors_n, errors_failed; /* in the longer window */
	double errors_ratio;              /* of them; 0 under FEATURES_ERRORS_MIN */
	double oldest_ms;
	uint32_t in_flight;
};

/**
 * window_push() - take one tick.
 * @s: the service's sample, NULL where the tick has none (silent).
 * @t: the tick, for the edges whose client is @id.
 */
void window_push(struct window *w, uint32_t id, const struct service_sample *s,
		 const struct tick *t);

/** features_take() - the features at the end of the newest tick. @loss_ns: so long nothing finishes in a total loss. */
void features_take(const struct window *w, uint64_t loss_ns, struct features *ret);

/** feature_human() - a model-scale value in the unit of feature_unit(); NaN stays NaN. */
double feature_human(enum feature f, double v);

/** feature_unit() - "ms", "", "requests/s", "cores" or "requests". */
const char *feature_unit(enum feature f);

/** feature_resolution() - the least spread, model scale, that the instrument can tell from none. */
double feature_resolution(enum feature f);

/** feature_follows_load() - is its normal value regressed on the rate? */
bool feature_follows_load(enum feature f);

/** feature_harmful() - is more of it worse? (FEATURE_RATE is not.) */
bool feature_harmful(enum feature f);

/** features_hash() - of names, order, resolutions: models of another list are refused. */
uint64_t features_hash(void);

#endif
