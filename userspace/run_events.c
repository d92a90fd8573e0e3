// SPDX-License-Identifier: GPL-2.0-or-later
/* The thread that tells once a second how everything is. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "run_live_internal.h"

static cJSON *brief(struct daemon *d, const struct service *s)
{
	const struct verdict *v = view_verdict(d, s->id);
	cJSON *j = view_service(d, s);

	cJSON_DeleteItemFromObjectCaseSensitive(j, "cgroup");
	cJSON_DeleteItemFromObjectCaseSensitive(j, "pids");
	cJSON_AddNumberToObject(j, "threshold", v ? v->threshold : 0);
	cJSON_AddBoolToObject(j, "warm", v && v->warm);
	return j;
}

/* Under the lock. */
static cJSON *sample_json(struct daemon *d)
{
	cJSON *j = cJSON_CreateObject(), *edges = view_edges(d);
	const struct service *s;

	cJSON_AddNumberToObject(j, "t", (double)clock_wall_ms() / 1e3);
	cJSON *services = cJSON_AddArrayToObject(j, "services");
	for (size_t i = 0; (s = registry_at(d->registry, i)); i++)
		cJSON_AddItemToArray(services, brief(d, s));
	cJSON_AddItemToObject(j, "edges", edges);
	return j;
}

/*
 * Armed faults whose counts have moved since they were told, and what ended without
 * a word: replaced by another, reset by a repair, run out while somebody looked.
 */
static int tell_fault(const struct fault *f, void *ctx)
{
	struct daemon *d = ctx;
	const struct live_fault_seen *s = live_seen(d->live, f->id);
	bool armed = f->state == FAULT_ARMED;

	if (armed ? !s || s->touched != f->touched_requests || s->spared != f->spared_requests :
		    s != NULL)
		live_fault(d, f);
	return 0;
}

static void tell_level(struct daemon *d)
{
	struct live *l = d->live;
	int level = view_degradation(d);

	if (level == l->level)
		return;
	if (l->level >= 0) {
		CLEANUP(json_freep) cJSON *health = view_health(d);
		cJSON *j = cJSON_CreateObject();
		cJSON_AddNumberToObject(j, "level", level);
		cJSON_AddItemToObject(j, "why",
				      cJSON_DetachItemFromObjectCaseSensitive(health, "lacks"));
		live_publish(l, "degraded", j);
	}
	l->level = level;
}

static void tell(struct daemon *d)
{
	cJSON *sample = NULL;

	pthread_mutex_lock(&d->lock);
	tell_level(d);
	if (events_wanted(d->live->events, clock_mono_ns())) {
		if (d->faults)
			faults_each(d->faults, tell_fault, d);
		sample = sample_json(d);
	}
	pthread_mutex_unlock(&d->lock);
	if (sample)
		live_publish(d->live, "sample", sample);
}

void *live_publisher(void *ctx)
{
	struct daemon *d = ctx;
	struct live *l = d->live;

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		if (!l->due) {
			pthread_cond_wait(&l->wake, &l->lock);
			continue;
		}
		l->due = false;
		pthread_mutex_unlock(&l->lock);
		tell(d);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}
