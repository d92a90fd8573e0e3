/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * series.h - an hour of seconds and a day of tens of seconds for each service, for charts.
 *
 * Ticks in; out come points on a grid of unix time, each a second (or ten)
 * long. Points are made from the ticks' own counters and histograms, so a
 * point of ten seconds is exact, no mean of means. What is not known is a gap
 * (NAN), never zero: a tick without the service, a second before it was known,
 * a quantile of no requests.
 *
 * A point is 40 bytes: eleven numbers of 16 bits, logarithmic from 1e-6 to 1e8
 * (within 0.03 %), and the durations' heat as 18 counts of 8 bits, logarithmic
 * too (within 5 %, exact up to 3). Points live in chunks of SERIES_CHUNK, which
 * are allocated when the first of them is known: 61 chunks of seconds and 145
 * of tens are 496 KB, with the accumulators SERIES_BYTES_MAX a service at most:
 * 200 services that were there for a whole day take 100 MB, ten of them 5.
 *
 * Services are kept by name: one that was restarted goes on where it was. At
 * most SERIES_SERVICES_MAX: a further one takes the place of the one that was
 * unseen for longest, if it is unseen for a minute; else it is refused
 * (counted). Thread-safe by a lock of its own, held for milliseconds at most.
 */
#ifndef ARCHAIC_SERIES_H
#define ARCHAIC_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "observe/sample.h"

#define SERIES_SERVICES_MAX SERVICE_MAX
#define SERIES_CHUNK 60       /* points */
#define SERIES_FINE_S 3600    /* what is kept of seconds */
#define SERIES_COARSE_S 86400 /* and of tens */
#define SERIES_COARSE_STEP_S 10
#define SERIES_BYTES_MAX (500 << 10)
#define SERIES_POINTS_MAX 3600 /* of one answer */
#define SERIES_HEAT_BUCKETS 18
#define SERIES_SPAN_MAX_S 60 /* a tick that covers more leaves a gap */

enum series_metric {
	SERIES_RATE,   /* requests per s */
	SERIES_ERRORS, /* share of 5xx and aborted; unknown without requests, as are the next four */
	SERIES_P50,    /* ms, of the whole duration */
	SERIES_P90,
	SERIES_P99,
	SERIES_SELF,      /* ms a request, mean: server time less time waiting for callees */
	SERIES_CPU,       /* cores */
	SERIES_RUNQUEUE,  /* ms, p95 from woken to running; unknown where nothing woke */
	SERIES_SCORE,     /* 0..1: the point's highest */
	SERIES_THRESHOLD, /* 0..1 */
	SERIES_IN_FLIGHT, /* requests: the point's highest */
	NR_SERIES_METRICS,
};

/** series_metric_name() - as the interface has it: "rate_per_s", "p99_ms", … Static. */
const char *series_metric_name(enum series_metric m);

/** series_metric_unit() - "1/s", "ratio", "ms", "cores", "requests". Static. */
const char *series_metric_unit(enum series_metric m);

/** series_metric_parse() - @len bytes of @name. 0 or -EINVAL. */
int series_metric_parse(const char *name, size_t len, enum series_metric *ret);

/** series_heat_bound_ms() - the upper bound of heat bucket @i; INFINITY for the last. */
double series_heat_bound_ms(size_t i);

struct series;

/* One tick, as the history takes it. */
struct series_input {
	int64_t end_ms; /* unix time of the tick's end; may jump: the grid follows it */
	const struct tick *tick;
	bool knows_tasks, knows_in_flight; /* false: those numbers are gaps */
	const struct series_score {
		uint32_t service;
		double score, threshold;
	} *scores; /* of the same tick; a service without one has a gap there */
	size_t nr_scores;
};

struct series_stats {
	size_t services;
	size_t bytes;       /* of chunks and tables */
	uint64_t refused;   /* services that found no room */
	uint64_t no_memory; /* points that were lost to a failed allocation */
};

/** series_new() - 0 or -ENOMEM. */
int series_new(struct series **ret);
void series_free(struct series *s);

/** series_push() - take one tick in; borrowed for the call. */
void series_push(struct series *s, const struct series_input *in);

/* Points from @from_s on, each @step_s long; arrays of @nr. series_window_release(). */
struct series_window {
	int64_t from_s; /* a multiple of step_s */
	uint32_t step_s;
	size_t nr;
	float *values[NR_SERIES_METRICS]; /* NAN: not known */
	uint32_t (*heat)[SERIES_HEAT_BUCKETS];
	bool *heat_known;
	int64_t known_s; /* where the history begins; INT64_MAX: there is none */
	void *memory;
};

/**
 * series_window() - an empty window that covers [@from_s, @to_s), all unknown.
 * The step is rounded up to a multiple of ten where the window begins before the hour of seconds
 * that ends at @now_s. 0, -E2BIG (over SERIES_POINTS_MAX), -EINVAL (no time in it) or -ENOMEM.
 */
int series_window(int64_t from_s, int64_t to_s, uint32_t step_s, int64_t now_s,
		  struct series_window *ret);
void series_window_release(struct series_window *w);

/**
 * series_read() - fill @w with what is known of service @name.
 * Where a step holds several points: rate, errors, p50, p90, self time, CPU and threshold are means (errors
 * and times weighted by requests); p99, run queue, score and requests in flight are the highest; heat is
 * the sum. The second that is not over yet is left out. 0, or -ENOENT: never heard of it.
 */
int series_read(struct series *s, const char *name, int64_t now_s, struct series_window *w);

void series_stats(struct series *s, struct series_stats *ret);

static inline void series_freep(struct series **s)
{
	series_free(*s);
}

#endif
