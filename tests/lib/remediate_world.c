// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

const char *world_name(uint32_t service)
{
	static const char *const names[] = { "", "auth", "db", "product" };

	return service < ARRAY_SIZE(names) ? names[service] : "";
}

static int submit(void *ctx, struct job *j)
{
	struct world *w = ctx;

	if ((w->full && j->kind != JOB_RECORD) || w->nr_jobs == WORLD_JOBS_MAX)
		return -ENOSPC;
	w->jobs[w->nr_jobs++] = j;
	return 0;
}

static void hold(void *ctx, uint32_t service, uint64_t until_ns)
{
	struct world *w = ctx;

	assert_in_range(service, 1, WORLD_SERVICES);
	w->held_until[service] = until_ns;
}

static void changed(void *ctx, const struct incident *i)
{
	assert_non_null(i);
	((struct world *)ctx)->changes++;
}

static int64_t wall_ms(void *ctx, uint64_t mono_ns)
{
	(void)ctx;
	return 1705312200000 +
		(int64_t)(mono_ns / NSEC_PER_MSEC); /* 2024-01-15T09:50:00Z plus the uptime */
}

static int reset_fault(void *ctx, uint32_t service, const char *name, char *says, size_t size)
{
	struct world *w = ctx;
	int armed = w->armed;

	(void)says;
	(void)size;
	assert_string_equal(name, world_name(service));
	w->resets++;
	w->last_target = service;
	w->armed = 0;
	return armed;
}

static int restart(void *ctx, const struct service_facts *target, char *says, size_t size)
{
	struct world *w = ctx;

	w->restarts++;
	w->last_target = target->service;
	snprintf(says, size,
		 w->restart_err ? "it did not come back" : "process 77 killed; a new one listens");
	return w->restart_err;
}

static int prepare(void *ctx, enum action_kind kind, const struct service_facts *target,
		   struct change *ret, char *says, size_t size)
{
	struct world *w = ctx;

	w->prepares++;
	w->last_kind = kind;
	w->last_target = target->service;
	*ret = (struct change){ .kind = kind };
	snprintf(ret->kube.workload.name, sizeof(ret->kube.workload.name), "%s", target->name);
	snprintf(says, size, w->prepare_ret ? "an autoscaler owns it" : "it can be done");
	return w->prepare_ret;
}

static int change(void *ctx, const struct change *c, char *says, size_t size)
{
	struct world *w = ctx;

	assert_int_equal(c->kind, w->last_kind);
	w->changed++;
	snprintf(says, size, w->change_err ? "it is not ready" : "it was done");
	return w->change_err;
}

static int undo(void *ctx, const struct change *c, char *says, size_t size)
{
	struct world *w = ctx;

	assert_int_equal(c->kind, w->last_kind);
	assert_string_equal(c->kube.workload.name, world_name(w->last_target));
	w->undos++;
	snprintf(says, size, w->undo_ret ? "somebody has changed it" : "it is as it was");
	return w->undo_ret;
}

void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	engine_config_default(&w->config);
	w->config.mode = GUARD_AUTO_SAFE;
	w->now_ns = WORLD_START_NS;
	w->tick_ns = NSEC_PER_SEC;
	for (uint32_t s = 1; s <= WORLD_SERVICES; s++) {
		struct service_facts *f = &w->facts[s - 1];
		*f = (struct service_facts){ .service = s,
					     .supervised = true,
					     .replicas = 1,
					     .nr_pids = 1,
					     .main_pid = (pid_t)(70 + s),
					     .main_start_ticks = 5,
					     .nr_ports = 1,
					     .ports = { (uint16_t)(8000 + s) } };
		snprintf(f->name, sizeof(f->name), "%s", world_name(s));
		w->verdicts[s - 1].service = s;
		snprintf(w->verdicts[s - 1].name, SERVICE_NAME_MAX, "%s", world_name(s));
		world_well(w, s);
	}
}

void world_start(struct world *w)
{
	struct engine_ops ops = {
		.ctx = w, .submit = submit, .hold = hold, .changed = changed, .wall_ms = wall_ms
	};

	assert_int_equal(engine_new(&w->config, &ops, w->store, w->now_ns, &w->e), 0);
}

void world_release(struct world *w)
{
	for (size_t k = 0; k < w->nr_jobs; k++)
		job_free(w->jobs[k]);
	w->nr_jobs = 0;
	engine_free(w->e);
	w->e = NULL;
}

void world_sick(struct world *w, uint32_t service, enum scorer scorer)
{
	struct verdict *v = &w->verdicts[service - 1];

	v->anomalous = v->opened = v->suspect = true;
	v->scorer = scorer;
	v->score = .71;
	v->classic_score = .52;
	v->threshold = .62;
	v->onset_ns = w->now_ns - 2 * NSEC_PER_SEC;
	v->nr_top = 2;
	v->top[0] = (struct feature_credit){
		.feature = FEATURE_P99, .share = .7, .value = 2011, .normal = 12.5, .z = 30
	};
	v->top[1] = (struct feature_credit){
		.feature = FEATURE_SELF, .share = .2, .value = 2003, .normal = 4, .z = 28
	};
	snprintf(v->why, sizeof(v->why), "p99 is 2011 ms, normally 12.5 ms");
}

void world_well(struct world *w, uint32_t service)
{
	struct verdict *v = &w->verdicts[service - 1];
	struct service_facts *f = &w->facts[service - 1];

	v->closed = v->anomalous;
	v->anomalous = v->opened = v->suspect = false;
	f->answered = 20;
	f->window_answered = 200;
	f->window_caller_timeouts = 0;
	f->in_flight = 0;
	f->oldest_ns = f->silent_ns = 0;
	f->process_state = 0;
}

void world_all_well(struct world *w)
{
	for (uint32_t s = 1; s <= WORLD_SERVICES; s++)
		world_well(w, s);
	w->diagnosed = false;
}

void world_diagnose(struct world *w, uint32_t root, enum fault_class class, uint32_t victim)
{
	struct diagnosis *d = &w->diagnosis;

	*d = (struct diagnosis){ .known = root != 0,
				 .nr_causes = root != 0,
				 .nr_victims = victim != 0 };
	w->diagnosed = true;
	d->causes[0] = (struct cause){
		.service = root, .resource = class, .confidence = .82, .nr_reasons = 1
	};
	snprintf(d->causes[0].name, SERVICE_NAME_MAX, "%s", world_name(root));
	snprintf(d->causes[0].reasons[0], sizeof(d->causes[0].reasons[0]),
		 "self time is 2003 ms, normally 4 ms");
	d->victims[0].service = victim;
	snprintf(d->victims[0].name, SERVICE_NAME_MAX, "%s", world_name(victim));
	snprintf(d->why, sizeof(d->why),
		 root ? "its own time explains its callers'" : "nothing explains it");
}

void world_slow_db(struct world *w)
{
	world_sick(w, DB, SCORER_FOREST);
	world_sick(w, PRODUCT, SCORER_FOREST);
	world_diagnose(w, DB, FAULT_CLASS_LATENCY, PRODUCT);
}

void world_jobs(struct world *w)
{
	struct executor x = { .ctx = w,
			      .reset_fault = reset_fault,
			      .restart = restart,
			      .store = w->store,
			      .prepare = prepare,
			      .change = change,
			      .undo = undo };

	while (w->nr_jobs) {
		struct job *j = w->jobs[0];
		memmove(&w->jobs[0], &w->jobs[1], --w->nr_jobs * sizeof(w->jobs[0]));
		if (j->kind == JOB_PLAN) {
			w->asked++;
			w->question = *j->question;
			j->answer = w->answer;
		} else {
			job_run(j, &x);
		}
		engine_done(w->e, w->now_ns, j);
	}
}

void world_tick(struct world *w, unsigned n)
{
	while (n--) {
		w->now_ns += w->tick_ns;
		w->diagnosis.at_ns = w->now_ns;
		for (size_t k = 0; k < WORLD_SERVICES; k++)
			w->verdicts[k].at_ns = w->facts[k].at_ns = w->now_ns;
		struct engine_input in = { .now_ns = w->now_ns,
					   .verdicts = w->verdicts,
					   .nr_verdicts = WORLD_SERVICES,
					   .diagnosis = w->diagnosed ? &w->diagnosis : NULL,
					   .facts = w->facts,
					   .nr_facts = WORLD_SERVICES,
					   .kill_switch = w->kill_switch };
		engine_tick(w->e, &in);
		for (size_t k = 0; k < WORLD_SERVICES; k++)
			w->verdicts[k].opened = w->verdicts[k].closed = false;
		if (!w->hold_jobs)
			world_jobs(w);
	}
}

static int take_first(const struct incident *i, void *ctx)
{
	*(const struct incident **)ctx = i;
	return 1;
}

const struct incident *world_incident(const struct world *w)
{
	const struct incident *i = NULL;

	engine_each(w->e, take_first, &i);
	return i;
}

int world_find(const struct incident *i, const char *event, const char *text)
{
	for (size_t k = 0; k < i->nr_timeline; k++)
		if (!strcmp(i->timeline[k].event, event) &&
		    (!text || strstr(i->timeline[k].text, text)))
			return (int)k;
	return -1;
}
