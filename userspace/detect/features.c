// SPDX-License-Identifier: GPL-2.0-or-later
#include "detect/features.h"

#include <math.h>
#include <string.h>

#include "base/util.h"

#define SLOT_NS 90000000ULL /* shorter ticks are gathered into one slot */
#define LONG_SLOT_NS 225000000ULL

/* One row a feature: how it is scaled, what the instrument resolves, what it means. */
static const struct {
	const char *name, *unit;
	double offset;     /* added before the logarithm, human unit / to_human */
	double to_human;   /* seconds to ms and the like */
	double resolution; /* model scale */
	bool follows_load, harmful;
} table[NR_FEATURES] = {
	/*
	 * A histogram bucket is 25 % wide (.22 in the logarithm): at .12 one step is 1.9 sigma and no
	 * anomaly. Half a millisecond is what scheduling alone does to a request.
	 */
	[FEATURE_P50] = { "p50", "ms", 5e-4, 1e3, .12, true, true },
	[FEATURE_P99] = { "p99", "ms", 5e-4, 1e3, .15, true, true },
	[FEATURE_ERRORS] = { "errors", "", 0, 1, .3, false, true },
	[FEATURE_RATE] = { "rate", "requests/s", .5, 1, .15, false, false },
	[FEATURE_CPU] = { "cpu", "cores", .005, 1, .15, true, true },
	[FEATURE_RUNQUEUE] = { "runqueue", "ms", 5e-5, 1e3, .2, true, true },
	[FEATURE_SELF] = { "self", "ms", 5e-4, 1e3, .15, true, true },
	[FEATURE_IN_FLIGHT] = { "in_flight", "requests", 1, 1, .35, true, true },
	[FEATURE_OLDEST] = { "oldest_in_flight", "ms", .01, 1e3, .25, false, true },
};

/* Ratios under this are the same: one failure in two hundred requests is no level. */
#define ERRORS_FLOOR .005

const char *feature_name(enum feature f)
{
	return f < NR_FEATURES ? table[f].name : "unknown";
}

const char *feature_unit(enum feature f)
{
	return f < NR_FEATURES ? table[f].unit : "";
}

double feature_resolution(enum feature f)
{
	return table[f].resolution;
}

bool feature_follows_load(enum feature f)
{
	return table[f].follows_load;
}

bool feature_harmful(enum feature f)
{
	return table[f].harmful;
}

const char *scorer_name(enum scorer s)
{
	static const char *const names[] = { "none", "forest", "static", "total_loss" };
	return s < ARRAY_SIZE(names) ? names[s] : "unknown";
}

uint64_t features_hash(void)
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (size_t i = 0; i < NR_FEATURES; i++) {
		double figures[] = { table[i].offset, table[i].resolution };
		unsigned char bytes[sizeof(figures)];
		memcpy(bytes, figures, sizeof(bytes));
		for (size_t k = 0; k < sizeof(bytes); k++)
			h = (h ^ bytes[k]) * 0x100000001b3ULL;
		for (const char *s = table[i].name; *s; s++)
			h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	}
	return h;
}

/* Model scale of a value in seconds, cores, count. */
static double model(enum feature f, double value)
{
	return log(value + table[f].offset);
}

static double model_ratio(double ratio)
{
	double p = fmin(fmax(ratio, ERRORS_FLOOR), 1 - ERRORS_FLOOR);
	return log(p / (1 - p));
}

double feature_human(enum feature f, double v)
{
	if (isnan(v))
		return v;
	if (f == FEATURE_ERRORS) {
		double p = 1 / (1 + exp(-v));
		return p < ERRORS_FLOOR * 1.01 ? 0 : p;
	}
	return fmax(exp(v) - table[f].offset, 0) * table[f].to_human;
}

/* ---- the window */

static void count_hist(uint32_t *to, const struct hist *from)
{
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		to[i] = (uint32_t)MIN(to[i] + from->n[i], (uint64_t)UINT32_MAX);
}

/* Time that calls of @id, ended or given up in this tick, took. */
static uint64_t waited_ns(struct window *w, uint32_t id, const struct tick *t)
{
	uint64_t wait = 0, oldest = 0, given_up = w->calls_oldest_ns + t->span_ns / 2;

	for (size_t i = 0; i < t->nr_edges; i++) {
		const struct edge_sample *e = &t->edges[i];
		if (e->client != id || !id)
			continue;
		/* Where only the server's end is seen, it is the best there is. */
		wait += e->client_requests ? e->client_duration_ns : e->server_duration_ns;
		wait += e->client_aborted * given_up;
		oldest = MAX(oldest, e->client_oldest_ns);
	}
	w->calls_oldest_ns = oldest;
	return wait;
}

/*
 * Server time less waiting time. Where more was waited than served, the rest belongs to requests
 * that are still in flight and is carried to the tick in which they end.
 */
static uint64_t self_ns(struct window *w, uint64_t served_ns, uint64_t wait)
{
	wait += w->carry_ns;
	w->carry_ns = 0;
	if (wait <= served_ns)
		return served_ns - wait;
	/* Nobody left who could have waited: the two ends disagree, forget it. */
	w->carry_ns = w->in_flight ? wait - served_ns : 0;
	return 0;
}

static struct window_slot *slot_for(struct window *w, uint64_t span_ns)
{
	struct window_slot *s = &w->slots[w->newest];

	if (w->nr && s->span_ns + span_ns / 2 < SLOT_NS)
		return s;
	w->newest = (w->newest + 1) % WINDOW_SLOTS;
	w->nr = MIN(w->nr + 1, (size_t)WINDOW_SLOTS);
	s = &w->slots[w->newest];
	*s = (struct window_slot){ 0 };
	return s;
}

static struct window_errors *errors_for(struct window *w, uint64_t span_ns)
{
	struct window_errors *e = &w->errors[w->newest_errors];

	if (w->nr_errors && e->span_ns + span_ns / 2 < LONG_SLOT_NS)
		return e;
	w->newest_errors = (w->newest_errors + 1) % WINDOW_LONG_SLOTS;
	w->nr_errors = MIN(w->nr_errors + 1, (size_t)WINDOW_LONG_SLOTS);
	e = &w->errors[w->newest_errors];
	*e = (struct window_errors){ 0 };
	return e;
}

void window_push(struct window *w, uint32_t id, const struct service_sample *s,
		 const struct tick *t)
{
	static const struct service_sample silent;
	struct window_slot *slot = slot_for(w, t->span_ns);
	struct window_errors *errors = errors_for(w, t->span_ns);

	if (!s)
		s = &silent;
	if (!w->at_ns)
		w->first_ns = t->at_ns;
	w->at_ns = t->at_ns;
	w->in_flight = s->in_flight;
	w->oldest_ns = s->oldest_ns;
	w->tx_bytes = s->tx_bytes;
	if (s->requests)
		w->finished_ns = t->at_ns;

	slot->span_ns += t->span_ns;
	slot->requests += s->requests;
	slot->duration_ns += s->duration_ns;
	slot->self_ns += self_ns(w, s->duration_ns, waited_ns(w, id, t));
	slot->cpu_ns += s->cpu_ns;
	count_hist(slot->duration, &s->duration);
	count_hist(slot->runq, &s->runq);

	errors->span_ns += t->span_ns;
	errors->finished += s->requests + s->aborted;
	errors->failed += s->status_class[5] + s->aborted;
}

/* The newest slots that make FEATURES_WINDOW_NS, summed; at least one. */
static void sum_window(const struct window *w, struct window_slot *sum, struct hist *duration,
		       struct hist *runq)
{
	*sum = (struct window_slot){ 0 };
	*duration = *runq = (struct hist){ 0 };
	for (size_t k = 0; k < w->nr; k++) {
		const struct window_slot *s =
			&w->slots[(w->newest + WINDOW_SLOTS - k) % WINDOW_SLOTS];
		if (k && sum->span_ns + s->span_ns / 2 > FEATURES_WINDOW_NS)
			break;
		sum->span_ns += s->span_ns;
		sum->requests += s->requests;
		sum->duration_ns += s->duration_ns;
		sum->self_ns += s->self_ns;
		sum->cpu_ns += s->cpu_ns;
		for (size_t i = 0; i < ABI_HIST_BUCKETS; i++) {
			duration->n[i] += s->duration[i];
			runq->n[i] += s->runq[i];
		}
	}
}

static void take_errors(const struct window *w, struct features *f)
{
	uint64_t span = 0;

	for (size_t k = 0; k < w->nr_errors; k++) {
		const struct window_errors *e =
			&w->errors[(w->newest_errors + WINDOW_LONG_SLOTS - k) % WINDOW_LONG_SLOTS];
		bool enough = f->errors_n >= FEATURES_ERRORS_MIN &&
			span + e->span_ns / 2 > FEATURES_WINDOW_NS;
		if (k && (enough || span + e->span_ns / 2 > FEATURES_ERRORS_NS))
			break;
		span += e->span_ns;
		f->errors_n += e->finished;
		f->errors_failed += e->failed;
	}
	if (f->errors_n < FEATURES_ERRORS_MIN)
		return;
	f->errors_ratio = (double)f->errors_failed / (double)f->errors_n;
	f->v[FEATURE_ERRORS] = model_ratio(f->errors_ratio);
}

/*
 * Nothing finished for @loss_ns although the oldest request has waited that long. A response
 * that is still being sent (a download, a stream of events) is not silence.
 */
static bool total_loss(const struct window *w, uint64_t loss_ns)
{
	uint64_t quiet_since = MAX(w->finished_ns, w->first_ns);

	return w->in_flight && w->oldest_ns >= loss_ns && !w->tx_bytes &&
		w->at_ns - quiet_since >= loss_ns;
}

void features_take(const struct window *w, uint64_t loss_ns, struct features *ret)
{
	struct hist duration, runq;
	struct window_slot sum;

	*ret = (struct features){ .in_flight = w->in_flight,
				  .oldest_ms = (double)w->oldest_ns / 1e6 };
	for (size_t i = 0; i < NR_FEATURES; i++)
		ret->v[i] = NAN;
	if (!w->nr)
		return;

	sum_window(w, &sum, &duration, &runq);
	double span_s = fmax((double)sum.span_ns / 1e9, 1e-3);
	ret->requests = sum.requests;
	ret->duration = duration;
	ret->total_loss = total_loss(w, loss_ns);
	take_errors(w, ret);
	ret->v[FEATURE_RATE] = model(FEATURE_RATE, (double)sum.requests / span_s);
	ret->v[FEATURE_CPU] = model(FEATURE_CPU, (double)sum.cpu_ns / 1e9 / span_s);
	ret->v[FEATURE_IN_FLIGHT] = model(FEATURE_IN_FLIGHT, w->in_flight);
	ret->v[FEATURE_OLDEST] = model(FEATURE_OLDEST, (double)w->oldest_ns / 1e9);
	if (hist_count(&runq))
		ret->v[FEATURE_RUNQUEUE] =
			model(FEATURE_RUNQUEUE, hist_quantile_ns(&runq, .95) / 1e9);
	if (hist_count(&duration)) {
		ret->p99_ms = hist_quantile_ns(&duration, .99) / 1e6;
		ret->v[FEATURE_P50] = model(FEATURE_P50, hist_quantile_ns(&duration, .5) / 1e9);
		ret->v[FEATURE_P99] = model(FEATURE_P99, ret->p99_ms / 1e3);
	}
	if (sum.requests)
		ret->v[FEATURE_SELF] =
			model(FEATURE_SELF, (double)sum.self_ns / 1e9 / (double)sum.requests);
	ret->traffic = sum.requests || w->in_flight;
}
