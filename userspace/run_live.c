// SPDX-License-Identifier: GPL-2.0-or-later
/* Life, and what is called at each tick. */
#include "run_live.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "run_live_internal.h"
#include "run_ops.h"

static void on_load(void *ctx, const char *json)
{
	events_publish(((struct live *)ctx)->events, "load", json);
}

/* Wall time: whatever an earlier life gave out is below. A life of less than 1000 events a second stays below the next one. */
static uint64_t first_event_id(void)
{
	return (uint64_t)MAX(clock_wall_ms(), (int64_t)1);
}

static int fill(struct live *l)
{
	struct loads_config c = { .changed = on_load, .ctx = l };

	return series_new(&l->series)                    ?:
		events_new(first_event_id(), &l->events) ?:
							   loads_new(&c, &l->loads);
}

int live_open(struct daemon *d)
{
	pthread_condattr_t attr;
	struct live *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->acts_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &attr);
	pthread_condattr_destroy(&attr);
	l->tokens = LIVE_ACTS_BURST;
	l->level = -1;
	d->live = l;
	int err = fill(l);
	err = err ?: -pthread_create(&l->thread, NULL, live_publisher, d);
	l->running = !err;
	return err;
}

void live_close(struct daemon *d)
{
	struct live *l = d->live;

	if (!l)
		return;
	if (l->running) {
		pthread_mutex_lock(&l->lock);
		l->stop = true;
		pthread_cond_signal(&l->wake);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->thread, NULL);
	}
	loads_free(l->loads);
	events_free(l->events);
	series_free(l->series);
	for (size_t i = 0; i < LIVE_ACTS_KEPT; i++)
		free(l->acts[i].json);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->acts_lock);
	free(l);
	d->live = NULL;
}

/* ---- the tick */

static void keep(struct daemon *d, const struct tick *t)
{
	struct series_score scores[SERVICE_MAX];
	const struct observer_can *can = d->observer ? observer_can(d->observer) : NULL;
	struct series_input in = {
		.end_ms = clock_mono_to_wall_ms(t->at_ns),
		.tick = t,
		.knows_tasks = d->merge || (can && !can->tasks),
		.knows_in_flight = d->merge || (can && !can->in_flight),
		.scores = scores,
	};

	for (size_t i = 0; i < d->nr_verdicts; i++) {
		const struct verdict *v = &d->verdicts[i];
		/* No threshold: nothing scores yet, and a zero would say that all is well. */
		if (v->threshold > 0)
			scores[in.nr_scores++] =
				(struct series_score){ v->service, v->score, v->threshold };
	}
	series_push(d->live->series, &in);
}

void live_tick(struct daemon *d, const struct tick *t)
{
	struct live *l = d->live;

	keep(d, t);
	if (t->at_ns < l->next_ns)
		return;
	/* By the grid, and not by when the tick happened to come: else ticks of 100 ms make 1.1 s of it. */
	l->next_ns = MAX(l->next_ns + LIVE_PERIOD_NS, t->at_ns + LIVE_PERIOD_NS / 2);
	pthread_mutex_lock(&l->lock);
	l->due = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* ---- events */

void live_publish(struct live *l, const char *type, cJSON *json)
{
	CLEANUP(json_freep) cJSON *owned = json;
	CLEANUP(json_textp) char *text = owned ? cJSON_PrintUnformatted(owned) : NULL;

	if (text)
		events_publish(l->events, type, text);
}

static cJSON *anomaly_json(const struct verdict *v)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "service", v->name);
	cJSON_AddBoolToObject(j, "active", v->anomalous);
	cJSON_AddNumberToObject(j, "score", v->score);
	cJSON_AddNumberToObject(j, "threshold", v->threshold);
	cJSON_AddStringToObject(j, "scorer", scorer_name(v->scorer));
	cJSON_AddStringToObject(j, "why", v->why);
	cJSON *features = cJSON_AddArrayToObject(j, "features");
	for (size_t k = 0; k < v->nr_top; k++) {
		cJSON *f = cJSON_CreateObject();
		cJSON_AddStringToObject(f, "feature", feature_name(v->top[k].feature));
		cJSON_AddNumberToObject(f, "share_ratio", v->top[k].share);
		cJSON_AddNumberToObject(f, "value", v->top[k].value);
		cJSON_AddNumberToObject(f, "normal", v->top[k].normal);
		cJSON_AddNumberToObject(f, "z", v->top[k].z);
		cJSON_AddItemToArray(features, f);
	}
	return j;
}

void live_verdicts(struct daemon *d)
{
	for (size_t i = 0; i < d->nr_verdicts; i++)
		if (d->verdicts[i].opened || d->verdicts[i].closed)
			live_publish(d->live, "anomaly", anomaly_json(&d->verdicts[i]));
}

struct live_fault_seen *live_seen(struct live *l, const char *id)
{
	for (size_t i = 0; i < l->nr_seen; i++)
		if (!strcmp(l->seen[i].id, id))
			return &l->seen[i];
	return NULL;
}

static void note_seen(struct live *l, const struct fault *f)
{
	struct live_fault_seen *s = live_seen(l, f->id);

	if (f->state != FAULT_ARMED) {
		if (s)
			*s = l->seen[--l->nr_seen];
		return;
	}
	/* All armed ones fit, once those that ended have been told. */
	if (!s && l->nr_seen < FAULT_ARMED_MAX)
		s = &l->seen[l->nr_seen++];
	if (!s)
		return;
	snprintf(s->id, sizeof(s->id), "%s", f->id);
	s->touched = f->touched_requests;
	s->spared = f->spared_requests;
}

void live_fault(struct daemon *d, const struct fault *f)
{
	note_seen(d->live, f);
	live_publish(d->live, "fault", fault_json(f, clock_boot_ns()));
}

void live_incident(struct daemon *d, const struct incident *i)
{
	live_publish(d->live, "incident", incident_to_json(i));
}

void live_losses(struct daemon *d, struct live_losses *ret)
{
	events_stats(d->live->events, &ret->events);
	series_stats(d->live->series, &ret->series);
	pthread_mutex_lock(&d->live->acts_lock);
	ret->acts = d->live->left_out_ever;
	pthread_mutex_unlock(&d->live->acts_lock);
}

/* ---- calls */

int op_series(void *ctx, const struct control_series *which, struct series_window *ret,
	      struct problem *p)
{
	struct daemon *d = ctx;
	int err = series_window(which->from_s, which->to_s, which->step_s, which->now_s, ret);

	if (err || !series_read(d->live->series, which->service, which->now_s, ret))
		return err;
	/* Not a tick old, or gone before the history began: known all the same, if the registry knows it. */
	LOCKED(d);
	return ops_service(d, which->service, p) ? 0 : -ENOENT;
}

struct events *op_events(void *ctx)
{
	return ((struct daemon *)ctx)->live->events;
}

int op_load_shapes(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return loads_shapes(((struct daemon *)ctx)->live->loads, ret);
}

int op_loads(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return loads_list(((struct daemon *)ctx)->live->loads, ret);
}

int op_load(void *ctx, const char *id, cJSON **ret, struct problem *p)
{
	return loads_get(((struct daemon *)ctx)->live->loads, id, ret, p);
}

int op_load_start(void *ctx, const struct caller *who, const struct control_load *what, cJSON **ret,
		  struct problem *p)
{
	int err = loads_start(((struct daemon *)ctx)->live->loads, what->shape, what->with_failures,
			      ret, p);

	if (!err)
		log_info("%s started load test %s%s", ops_who(who), what->shape,
			 what->with_failures ? " with failures" : "");
	return err;
}

int op_load_stop(void *ctx, const struct caller *who, const char *id, cJSON **ret,
		 struct problem *p)
{
	int err = loads_stop(((struct daemon *)ctx)->live->loads, id, ret, p);

	if (!err)
		log_info("%s stopped load test %s", ops_who(who), id);
	return err;
}
