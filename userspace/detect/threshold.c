// SPDX-License-Identifier: GPL-2.0-or-later
#include "detect/threshold.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/util.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/*
 * Shape and scale from the excesses (ascending), by a0 = mean and a1 = mean of (1 - p) x:
 * k = a0 / (a0 - 2 a1) - 2, shape = -k, scale = 2 a0 a1 / (a0 - 2 a1). For a clamped shape the
 * scale that keeps the mean: a0 (1 - shape).
 */
static void pareto_fit(const double *excess, size_t n, double shape_min, double shape_max,
		       struct tail *t)
{
	double a0 = 0, a1 = 0;

	for (size_t i = 0; i < n; i++) {
		a0 += excess[i] / (double)n;
		a1 += excess[i] * (1 - ((double)i + .65) / (double)n) / (double)n;
	}
	double d = a0 - 2 * a1;
	t->shape = d > 1e-12 * a0 ? 2 - a0 / d : shape_min;
	t->shape = fmin(fmax(t->shape, shape_min), shape_max);
	t->scale = a0 * (1 - t->shape);
}

int tail_fit(double *values, size_t n, double shape_min, double shape_max, struct tail *ret)
{
	struct tail t = { 0 };

	if (n < TAIL_SAMPLES_MIN || shape_min > shape_max || shape_max >= 1)
		return -EINVAL;

	qsort(values, n, sizeof(*values), by_value);
	size_t first = (size_t)ceil(TAIL_LEVEL * (double)n);
	t.typical = values[n / 2];
	t.level = values[first - 1];
	t.unlike = values[(size_t)(.99 * (double)(n - 1))];
	t.nr_peaks = n - first;
	for (size_t i = first; i < n; i++)
		values[i] -= t.level;
	pareto_fit(&values[first], t.nr_peaks, shape_min, shape_max, &t);

	double ratio = TAIL_RISK * (double)n / (double)t.nr_peaks;
	double beyond = fabs(t.shape) < 1e-6 ? -log(ratio) : (pow(ratio, -t.shape) - 1) / t.shape;
	/* Not raised to the largest value seen: that may be the one bad second of the baseline. */
	t.limit = t.level + t.scale * beyond;
	for (size_t i = first; i < n; i++)
		values[i] += t.level;
	*ret = t;
	return 0;
}

static bool slower(double now_ms, double normal_ms, double times, double more_ms)
{
	return now_ms >= times * normal_ms && now_ms >= normal_ms + more_ms;
}

/* Requests that took longer than @limit_ms for certain: those in buckets that begin there. */
static uint64_t slower_than(const struct hist *h, double limit_ms)
{
	uint64_t n = 0;

	for (size_t i = 1; i < ABI_HIST_BUCKETS; i++)
		if ((double)hist_upper_ns(i - 1) >= limit_ms * 1e6)
			n += h->n[i];
	return n;
}

/* In a second of few requests the p99 is one of them, and one slow request is no slow service. */
static bool p99_is_one_request(const struct features *now, double normal_ms)
{
	double limit_ms = fmax(1.3 * normal_ms, normal_ms + 5);

	return now->requests >= 4 && slower_than(&now->duration, limit_ms) < 2;
}

unsigned effects(const struct features *now, const double normal[NR_FEATURES])
{
	static const enum feature latencies[] = { FEATURE_P50, FEATURE_P99, FEATURE_SELF };
	unsigned ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(latencies); i++) {
		double ms = feature_human(latencies[i], now->v[latencies[i]]);
		if (!isnan(ms) && slower(ms, normal[latencies[i]], 1.3, 5))
			ret |= 1U << latencies[i];
	}
	if (p99_is_one_request(now, normal[FEATURE_P99]))
		ret &= ~(1U << FEATURE_P99);
	if (now->errors_n >= FEATURES_ERRORS_MIN && now->errors_failed >= 3 &&
	    now->errors_ratio >= normal[FEATURE_ERRORS] + .01)
		ret |= 1U << FEATURE_ERRORS;
	if (now->oldest_ms >= 500 && now->oldest_ms >= 3 * normal[FEATURE_OLDEST] &&
	    now->oldest_ms >= 3 * normal[FEATURE_P99])
		ret |= 1U << FEATURE_OLDEST;

	double cores = feature_human(FEATURE_CPU, now->v[FEATURE_CPU]);
	if (!isnan(cores) && cores >= 1.5 * normal[FEATURE_CPU] &&
	    cores >= normal[FEATURE_CPU] + .15)
		ret |= 1U << FEATURE_CPU;
	double runqueue_ms = feature_human(FEATURE_RUNQUEUE, now->v[FEATURE_RUNQUEUE]);
	if (!isnan(runqueue_ms) && slower(runqueue_ms, normal[FEATURE_RUNQUEUE], 2, 5))
		ret |= 1U << FEATURE_RUNQUEUE;
	return ret;
}

unsigned static_effects(const struct features *now, const struct static_limits *limits)
{
	return (now->p99_ms > limits->p99_ms ? 1U << FEATURE_P99 : 0) |
		(now->errors_ratio > limits->errors_ratio ? 1U << FEATURE_ERRORS : 0);
}

static enum debounce_change close_if_calm(struct debounce *d, unsigned calm_ticks)
{
	if (!d->open || (d->calm < calm_ticks && d->idle < VOTES_IDLE))
		return DEBOUNCE_SAME;
	*d = (struct debounce){ .voted_ns = d->voted_ns };
	return DEBOUNCE_CLOSED;
}

enum debounce_change debounce_vote(struct debounce *d, enum debounce_vote vote, bool at_once,
				   uint64_t now_ns, unsigned calm_ticks)
{
	bool due = !d->voted_ns || now_ns - d->voted_ns >= VOTE_NS;

	if (!due && !at_once)
		return DEBOUNCE_SAME;
	if (due)
		d->voted_ns = now_ns;
	if (vote == VOTE_IDLE) {
		d->idle++;
		return close_if_calm(d, calm_ticks);
	}

	d->idle = 0;
	if (due || vote == VOTE_SUSPECT)
		d->votes = (uint8_t)((d->votes << due) | (vote == VOTE_SUSPECT));
	if (vote == VOTE_CALM) {
		d->calm++;
		return close_if_calm(d, calm_ticks);
	}
	if (!at_once && __builtin_popcount(d->votes & ((1U << VOTES_WINDOW) - 1)) < VOTES_OPEN) {
		/* Lone: it would open nothing, so it must not keep everything open. */
		d->calm -= MIN(d->calm, (unsigned)VOTES_LONE_COST);
		return DEBOUNCE_SAME;
	}
	d->calm = 0;
	if (d->open)
		return DEBOUNCE_SAME;
	d->open = true;
	return DEBOUNCE_OPENED;
}
