// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two rings of chunks a service, indexed by time: chunk k of the grid lives in
 * slot k modulo the ring's length and knows its k, so that a gap, or a clock
 * that jumped, needs no shifting: what has another k is not there.
 */
#include "observe/series.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/util.h"
#include "observe/series_code.h"

/* One chunk more than is kept: the newest is never full. */
#define FINE_CHUNKS (SERIES_FINE_S / SERIES_CHUNK + 1)
#define COARSE_CHUNKS (SERIES_COARSE_S / SERIES_COARSE_STEP_S / SERIES_CHUNK + 1)
#define UNSEEN_S 60

struct chunk {
	int64_t index; /* unix time / (step * SERIES_CHUNK) */
	struct series_point point[SERIES_CHUNK];
};

struct tier {
	uint32_t step_s;
	size_t nr_chunks;
	struct chunk **chunks;
	struct series_sum sum;
};

struct entry {
	char name[SERVICE_NAME_MAX]; /* "": free */
	int64_t seen_s;
	struct tier fine, coarse;
	struct chunk *slots[FINE_CHUNKS + COARSE_CHUNKS];
};

_Static_assert(sizeof(struct entry) + (FINE_CHUNKS + COARSE_CHUNKS) * sizeof(struct chunk) <=
		       SERIES_BYTES_MAX,
	       "the header's figure");

struct series {
	pthread_mutex_t lock;
	struct entry *entries[SERIES_SERVICES_MAX]; /* allocated with the first tick of each */
	struct series_stats stats;
};

int series_new(struct series **ret)
{
	struct series *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->stats.bytes = sizeof(*s);
	*ret = s;
	return 0;
}

static void clear(struct series *s, struct entry *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(e->slots); i++) {
		if (e->slots[i])
			s->stats.bytes -= sizeof(struct chunk);
		free(e->slots[i]);
	}
	*e = (struct entry){
		.fine = { .step_s = 1, .nr_chunks = FINE_CHUNKS, .sum.slot = INT64_MIN },
		.coarse = { .step_s = SERIES_COARSE_STEP_S,
			    .nr_chunks = COARSE_CHUNKS,
			    .sum.slot = INT64_MIN },
	};
	e->fine.chunks = e->slots;
	e->coarse.chunks = e->slots + FINE_CHUNKS;
}

void series_free(struct series *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SERIES_SERVICES_MAX; i++) {
		if (s->entries[i])
			clear(s, s->entries[i]);
		free(s->entries[i]);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- services */

static struct entry *find(const struct series *s, const char *name)
{
	for (size_t i = 0; i < SERIES_SERVICES_MAX; i++)
		if (s->entries[i] && !strcmp(s->entries[i]->name, name))
			return s->entries[i];
	return NULL;
}

static struct entry *allocate(struct series *s, size_t i)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e) {
		s->stats.no_memory++;
		return NULL;
	}
	s->entries[i] = e;
	s->stats.bytes += sizeof(*e);
	s->stats.services++;
	clear(s, e);
	return e;
}

static struct entry *take(struct series *s, const char *name, int64_t now_s)
{
	struct entry *oldest = NULL;

	for (size_t i = 0; i < SERIES_SERVICES_MAX; i++) {
		struct entry *e = s->entries[i];
		if (!e) {
			oldest = allocate(s, i);
			break;
		}
		if (now_s - e->seen_s >= UNSEEN_S && (!oldest || e->seen_s < oldest->seen_s))
			oldest = e;
	}
	if (!oldest) {
		s->stats.refused++;
		return NULL;
	}
	clear(s, oldest);
	snprintf(oldest->name, sizeof(oldest->name), "%s", name);
	return oldest;
}

/* ---- writing */

static void write_point(struct series *s, struct tier *t, int64_t slot,
			const struct series_point *p)
{
	int64_t index = slot / SERIES_CHUNK;
	struct chunk **at = &t->chunks[(size_t)index % t->nr_chunks];

	if (!*at) {
		*at = malloc(sizeof(**at));
		if (!*at) {
			s->stats.no_memory++;
			return;
		}
		s->stats.bytes += sizeof(**at);
		(*at)->index = -1;
	}
	if ((*at)->index != index) {
		(*at)->index = index;
		for (size_t i = 0; i < SERIES_CHUNK; i++)
			series_point_unknown(&(*at)->point[i]);
	}
	(*at)->point[slot % SERIES_CHUNK] = *p;
}

static void flush(struct series *s, struct tier *t)
{
	struct series_point p;

	if (t->sum.slot == INT64_MIN)
		return;
	series_sum_point(&t->sum, &p);
	write_point(s, t, t->sum.slot, &p);
}

static void start(struct series_sum *sum, int64_t slot)
{
	*sum = (struct series_sum){ .slot = slot, .score = NAN, .threshold = NAN };
}

static void add(struct series_sum *to, const struct series_sum *one)
{
	to->span_s += one->span_s;
	to->requests += one->requests;
	to->aborted += one->aborted;
	to->failed += one->failed;
	hist_add(&to->duration, &one->duration);
	hist_add(&to->runq, &one->runq);
	to->duration_ns += one->duration_ns;
	to->callee_ns += one->callee_ns;
	to->cpu_ns += one->cpu_ns;
	to->score = fmax(to->score, one->score);
	to->threshold = isnan(one->threshold) ? to->threshold : one->threshold;
	to->in_flight = MAX(to->in_flight, one->in_flight);
	to->knows_tasks = one->knows_tasks;
	to->knows_in_flight = one->knows_in_flight;
}

/*
 * A tick belongs to the point that it ends in. Points before that which it reaches
 * into and which no other tick ended in get what it alone stands for: the span of a
 * late tick, and the second that two ticks of a second have jumped over, are no gaps.
 */
static void add_tick(struct series *s, struct tier *t, const struct series_sum *one, double begin_s,
		     int64_t end_slot)
{
	struct series_point p;
	int64_t from = MAX(t->sum.slot + 1, (int64_t)floor(begin_s / t->step_s));

	if (t->sum.slot != end_slot) {
		flush(s, t);
		if (t->sum.slot != INT64_MIN && from < end_slot &&
		    one->span_s <= SERIES_SPAN_MAX_S) {
			series_sum_point(one, &p);
			for (int64_t slot = from; slot < end_slot; slot++)
				write_point(s, t, slot, &p);
		}
		start(&t->sum, end_slot);
	}
	add(&t->sum, one);
}

static uint64_t callees_ns(const struct tick *t, uint32_t id)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->nr_edges; i++)
		if (t->edges[i].client == id)
			sum += t->edges[i].client_duration_ns;
	return sum;
}

static struct series_sum sum_of(const struct series_input *in, const struct service_sample *v)
{
	struct series_sum sum = {
		.span_s = (double)in->tick->span_ns / 1e9,
		.requests = v->requests,
		.aborted = v->aborted,
		.failed = v->status_class[5] + v->aborted,
		.duration = v->duration,
		.runq = v->runq,
		.duration_ns = v->duration_ns,
		.callee_ns = callees_ns(in->tick, v->id),
		.cpu_ns = v->cpu_ns,
		.score = NAN,
		.threshold = NAN,
		.in_flight = v->in_flight,
		.knows_tasks = in->knows_tasks,
		.knows_in_flight = in->knows_in_flight,
	};

	for (size_t i = 0; i < in->nr_scores; i++) {
		if (in->scores[i].service != v->id)
			continue;
		sum.score = in->scores[i].score;
		sum.threshold = in->scores[i].threshold;
	}
	return sum;
}

void series_push(struct series *s, const struct series_input *in)
{
	int64_t end_s = in->end_ms / 1000;
	double begin_s = (double)in->end_ms / 1e3 - (double)in->tick->span_ns / 1e9;

	if (in->end_ms <= 0)
		return;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < in->tick->nr_services; i++) {
		const struct service_sample *v = &in->tick->services[i];
		struct entry *e = find(s, v->name) ?: take(s, v->name, end_s);
		if (!e)
			continue;
		struct series_sum one = sum_of(in, v);
		e->seen_s = end_s;
		add_tick(s, &e->fine, &one, begin_s, end_s);
		add_tick(s, &e->coarse, &one, begin_s, end_s / SERIES_COARSE_STEP_S);
	}
	pthread_mutex_unlock(&s->lock);
}

void series_stats(struct series *s, struct series_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	pthread_mutex_unlock(&s->lock);
}

/* ---- reading */

/* What one step of the answer is made of. */
struct gather {
	size_t nr;
	double weight; /* requests per s, of the points that have any */
	double sum[NR_SERIES_METRICS];
	double weights[NR_SERIES_METRICS];
	uint32_t heat[SERIES_HEAT_BUCKETS];
};

enum how { MEAN, WEIGHTED, HIGHEST };

static const enum how how[NR_SERIES_METRICS] = {
	[SERIES_RATE] = MEAN,      [SERIES_ERRORS] = WEIGHTED,   [SERIES_P50] = WEIGHTED,
	[SERIES_P90] = WEIGHTED,   [SERIES_P99] = HIGHEST,       [SERIES_SELF] = WEIGHTED,
	[SERIES_CPU] = MEAN,       [SERIES_RUNQUEUE] = HIGHEST,  [SERIES_SCORE] = HIGHEST,
	[SERIES_THRESHOLD] = MEAN, [SERIES_IN_FLIGHT] = HIGHEST,
};

static void gather_point(struct gather *g, const struct series_point *p)
{
	double rate = series_decode(p->value[SERIES_RATE]);

	g->nr++;
	for (int m = 0; m < NR_SERIES_METRICS; m++) {
		double v = series_decode(p->value[m]);
		if (isnan(v))
			continue;
		double w = how[m] == WEIGHTED ? fmax(rate, SERIES_CODE_LEAST) : 1;
		g->sum[m] = how[m] != HIGHEST ? g->sum[m] + v * w :
			g->weights[m] == 0    ? v :
						fmax(g->sum[m], v);
		g->weights[m] += w;
	}
	for (size_t k = 0; k < SERIES_HEAT_BUCKETS; k++)
		g->heat[k] += series_decode_count(p->heat[k]);
}

static void settle(const struct gather *g, struct series_window *w, size_t i)
{
	for (int m = 0; m < NR_SERIES_METRICS; m++)
		if (g->weights[m] > 0)
			w->values[m][i] =
				(float)(how[m] == HIGHEST ? g->sum[m] : g->sum[m] / g->weights[m]);
	/* Whole, as it was before it was encoded. */
	w->values[SERIES_IN_FLIGHT][i] = roundf(w->values[SERIES_IN_FLIGHT][i]);
	memcpy(w->heat[i], g->heat, sizeof(g->heat));
	w->heat_known[i] = true;
}

static const struct series_point *point_at(const struct tier *t, int64_t slot)
{
	int64_t index = slot / SERIES_CHUNK;
	const struct chunk *c = t->chunks[(size_t)index % t->nr_chunks];

	if (!c || c->index != index || slot == t->sum.slot)
		return NULL;
	const struct series_point *p = &c->point[slot % SERIES_CHUNK];
	return series_point_known(p) ? p : NULL;
}

static void read_step(const struct entry *e, int64_t now_s, struct series_window *w, size_t i)
{
	struct gather g = { 0 };
	int64_t from_s = w->from_s + (int64_t)i * w->step_s;

	for (int64_t s = from_s; s < from_s + w->step_s;) {
		/* Whole tens only from the coarse ring: a step that is none was never older than an hour. */
		bool fine = s >= now_s - SERIES_FINE_S;
		const struct tier *t = fine ? &e->fine : &e->coarse;
		const struct series_point *p = point_at(t, s / t->step_s);
		if (p) {
			gather_point(&g, p);
			w->known_s = MIN(w->known_s, s);
		}
		s += t->step_s;
	}
	if (g.nr)
		settle(&g, w, i);
}

int series_read(struct series *s, const char *name, int64_t now_s, struct series_window *w)
{
	pthread_mutex_lock(&s->lock);
	const struct entry *e = find(s, name);
	/* What is older than a day is in no ring, whatever a slot's index may say. */
	for (size_t i = 0; e && i < w->nr; i++)
		if (w->from_s + (int64_t)(i + 1) * w->step_s > now_s - SERIES_COARSE_S)
			read_step(e, now_s, w, i);
	pthread_mutex_unlock(&s->lock);
	return e ? 0 : -ENOENT;
}

int series_window(int64_t from_s, int64_t to_s, uint32_t step_s, int64_t now_s,
		  struct series_window *ret)
{
	const uint32_t coarse = SERIES_COARSE_STEP_S;
	size_t per_point = NR_SERIES_METRICS * sizeof(float) +
		SERIES_HEAT_BUCKETS * sizeof(uint32_t) + sizeof(bool);

	if (from_s < 0 || to_s <= from_s || !step_s)
		return -EINVAL;
	if (from_s < now_s - SERIES_FINE_S && step_s % coarse)
		step_s += coarse - step_s % coarse;
	from_s -= from_s % step_s;
	uint64_t nr = ((uint64_t)(to_s - from_s) + step_s - 1) / step_s;
	if (nr > SERIES_POINTS_MAX)
		return -E2BIG;

	char *memory = calloc(nr, per_point);
	if (!memory)
		return -ENOMEM;
	*ret = (struct series_window){
		.from_s = from_s, .step_s = step_s, .nr = nr, .known_s = INT64_MAX, .memory = memory
	};
	ret->heat = (void *)memory;
	memory += nr * SERIES_HEAT_BUCKETS * sizeof(uint32_t);
	for (int m = 0; m < NR_SERIES_METRICS; m++, memory += nr * sizeof(float)) {
		ret->values[m] = (float *)(void *)memory;
		for (size_t i = 0; i < nr; i++)
			ret->values[m][i] = NAN;
	}
	ret->heat_known = (bool *)memory;
	return 0;
}

void series_window_release(struct series_window *w)
{
	free(w->memory);
	w->memory = NULL;
}
