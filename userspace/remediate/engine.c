// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "base/util.h"
#include "incident/archive.h"
#include "remediate/engine_internal.h"

void engine_config_default(struct engine_config *c)
{
	*c = (struct engine_config){
		.mode = GUARD_SUGGEST,
		.plan_after_ticks = 3,
		.unknown_patience_ns = 30 * NSEC_PER_SEC,
		.witness_patience_ns = 20 * NSEC_PER_SEC,
		.calm_ns = 3 * NSEC_PER_SEC,
		.hold_ns = 60 * NSEC_PER_SEC,
		.external_ttl_ns = 3600 * NSEC_PER_SEC,
	};
	guard_limits_default(&c->guard);
	verify_limits_default(&c->verify);
	llm_config_default(&c->llm);
}

int64_t engine_wall_ms(const struct engine *e, uint64_t now_ns)
{
	return e->ops.wall_ms ? e->ops.wall_ms(e->ops.ctx, now_ns) : clock_mono_to_wall_ms(now_ns);
}

static int learn_from_store(struct engine *e, uint64_t now_ns)
{
	int err = archive_close_left_open(e->store, engine_wall_ms(e, now_ns));

	if (err >= 0)
		err = archive_last_nr(e->store, &e->last_nr);
	return err ? err : archive_history(e->store, &e->history);
}

int engine_new(const struct engine_config *config, const struct engine_ops *ops,
	       struct store *store, uint64_t now_ns, struct engine **ret)
{
	CLEANUP(engine_freep) struct engine *e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->config = *config;
	explicit_bzero(e->config.llm.key, sizeof(e->config.llm.key));
	e->ops = *ops;
	e->store = store;
	int err = guard_new(&config->guard, &e->guard);
	if (!err && store)
		err = learn_from_store(e, now_ns);
	if (err)
		return err;
	*ret = TAKE_PTR(e);
	return 0;
}

void engine_set_mode(struct engine *e, enum guard_mode m, const char *by, uint64_t now_ns)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "from", guard_mode_name(e->config.mode));
	cJSON_AddStringToObject(j, "to", guard_mode_name(m));
	e->config.mode = m;
	engine_audit(e, NULL, by, "mode", now_ns, j);
	engine_flush(e, now_ns);
}

void engine_set_limits(struct engine *e, const struct guard_limits *guard,
		       const struct verify_limits *verify)
{
	guard_set_limits(e->guard, guard);
	e->config.guard = *guard;
	e->config.verify = *verify;
}

enum guard_mode engine_mode(const struct engine *e)
{
	return e->config.mode;
}

const struct engine_stats *engine_stats(const struct engine *e)
{
	return &e->stats;
}

const struct tally *engine_tally(const struct engine *e)
{
	return &e->tally;
}

void engine_count(struct engine *e, const struct incident *i, const char *result)
{
	const struct cause *root = incident_root(i);

	tally_add(&e->tally, root ? root->name : NULL, "", result);
}

const struct guard *engine_guard(const struct engine *e)
{
	return e->guard;
}

/* ---- the table */

static size_t count_live(const struct engine *e)
{
	size_t n = 0;

	for (size_t k = 0; k < e->nr; k++)
		n += e->table[k]->live;
	return n;
}

/* Makes room by forgetting the oldest finished one: it is in the store. */
static void forget_oldest(struct engine *e)
{
	size_t k = 0;

	while (k < e->nr && e->table[k]->live)
		k++;
	if (k == e->nr)
		return;
	if (e->store && e->table[k]->unsaved)
		e->stats.records_dropped++;
	free(e->table[k]);
	memmove(&e->table[k], &e->table[k + 1], (--e->nr - k) * sizeof(e->table[0]));
}

struct incident *engine_open(struct engine *e, uint64_t now_ns)
{
	if (count_live(e) == ENGINE_LIVE_MAX) {
		e->stats.live_full++;
		return NULL;
	}
	if (e->nr == ENGINE_TABLE_MAX)
		forget_oldest(e);
	struct incident *i = malloc(sizeof(*i));
	if (!i) {
		e->stats.live_full++;
		return NULL;
	}
	incident_init(i, ++e->last_nr, now_ns, engine_wall_ms(e, now_ns));
	e->table[e->nr++] = i;
	e->stats.opened++;
	return i;
}

void engine_close(struct engine *e, struct incident *i, enum incident_state state, uint64_t now_ns)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "state", incident_state_name(state));
	cJSON_AddStringToObject(j, "result", incident_result_name(i->result));
	engine_audit(e, i, "engine", "closed", now_ns, j);
	i->state = state;
	i->live = false;
	i->closed_ns = i->closed_ns ? i->closed_ns : now_ns;
	i->dirty = i->unsaved = true;
}

static struct incident *find(const struct engine *e, const char *id)
{
	for (size_t k = 0; k < e->nr; k++)
		if (!strcmp(e->table[k]->id, id))
			return e->table[k];
	return NULL;
}

const struct incident *engine_find(const struct engine *e, const char *id)
{
	return find(e, id);
}

int engine_each(const struct engine *e, int (*fn)(const struct incident *i, void *ctx), void *ctx)
{
	int r = 0;

	for (size_t k = e->nr; !r && k > 0; k--)
		r = fn(e->table[k - 1], ctx);
	return r;
}

/* ---- what leaves for the store */

struct job *engine_job(struct engine *e, enum job_kind kind, const struct incident *i)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j) {
		j->id = ++e->last_job;
		j->kind = kind;
		j->incident = i ? i->nr : 0;
	}
	return j;
}

void engine_audit(struct engine *e, const struct incident *i, const char *actor, const char *event,
		  uint64_t now_ns, cJSON *json)
{
	CLEANUP(json_freep) cJSON *owned = json;
	if (!e->store)
		return;
	if (i && owned)
		cJSON_AddStringToObject(owned, "incident", i->id);
	char *text = owned && e->nr_audit < ENGINE_AUDIT_MAX ? cJSON_PrintUnformatted(owned) : NULL;
	if (!text) {
		e->stats.records_dropped++;
		return;
	}
	struct record *r = &e->audit[e->nr_audit++];
	*r = (struct record){ .audit = true, .at_ms = engine_wall_ms(e, now_ns), .json = text };
	snprintf(r->state, sizeof(r->state), "%s", event);
	snprintf(r->actor, sizeof(r->actor), "%s", actor);
	snprintf(r->id, sizeof(r->id), "%s", i ? i->id : "");
}

static bool snapshot(const struct incident *i, struct record *r)
{
	CLEANUP(json_freep) cJSON *j = incident_to_json(i);
	char *text = j ? cJSON_PrintUnformatted(j) : NULL;
	const struct cause *root = incident_root(i);

	if (!text)
		return false;
	*r = (struct record){ .at_ms = (int64_t)(i->opened_ns / NSEC_PER_MSEC) + i->wall_offset_ms,
			      .json = text };
	snprintf(r->id, sizeof(r->id), "%s", i->id);
	snprintf(r->state, sizeof(r->state), "%s", incident_state_name(i->state));
	snprintf(r->root, sizeof(r->root), "%s", root ? root->name : "");
	return true;
}

/* Audit first: an incident's row must not tell of what the log does not know yet. */
static void fill_records(struct engine *e, struct job *j)
{
	size_t take = MIN(e->nr_audit, (size_t)JOB_RECORDS_MAX / 2);

	memcpy(j->records, e->audit, take * sizeof(e->audit[0]));
	j->nr_records = take;
	e->nr_audit -= take;
	memmove(e->audit, &e->audit[take], e->nr_audit * sizeof(e->audit[0]));
	for (size_t k = 0; k < e->nr && j->nr_records < JOB_RECORDS_MAX; k++) {
		struct incident *i = e->table[k];
		if (i->unsaved && snapshot(i, &j->records[j->nr_records])) {
			i->unsaved = false;
			j->nr_records++;
		}
	}
}

static bool anything_unsaved(const struct engine *e)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->unsaved)
			return true;
	return e->nr_audit > 0;
}

void engine_submit_records(struct engine *e)
{
	if (!e->store || !anything_unsaved(e))
		return;
	CLEANUP(job_freep) struct job *j = engine_job(e, JOB_RECORD, NULL);
	if (!j)
		return;
	fill_records(e, j);
	if (e->ops.submit(e->ops.ctx, j)) {
		/* The rows go with the job: the incidents' are made again, the audit's are lost and counted. */
		e->stats.submit_full++;
		for (size_t k = 0; k < j->nr_records; k++) {
			struct incident *i = j->records[k].audit ? NULL : find(e, j->records[k].id);
			if (i)
				i->unsaved = true;
			else
				e->stats.records_dropped++;
		}
		return;
	}
	e->recording++;
	TAKE_PTR(j);
}

void engine_flush(struct engine *e, uint64_t now_ns)
{
	(void)now_ns;
	for (size_t k = 0; k < e->nr; k++) {
		if (e->table[k]->dirty && e->ops.changed)
			e->ops.changed(e->ops.ctx, e->table[k]);
		e->table[k]->dirty = false;
	}
	/* One at a time, so that a slow disk gathers changes instead of filling the worker's queue. */
	if (!e->recording)
		engine_submit_records(e);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	struct executor x = { .store = e->store };
	while (e->store && anything_unsaved(e)) {
		CLEANUP(job_freep) struct job *j = engine_job(e, JOB_RECORD, NULL);
		if (!j)
			break;
		fill_records(e, j);
		if (!j->nr_records)
			break;
		job_run(j, &x);
	}
	for (size_t k = 0; k < e->nr_audit; k++)
		free(e->audit[k].json);
	for (size_t k = 0; k < e->nr; k++)
		free(e->table[k]);
	guard_free(e->guard);
	free(e);
}

/* ---- the public steps */

void engine_tick(struct engine *e, const struct engine_input *in)
{
	e->nr_facts = MIN(in->nr_facts, (size_t)SERVICE_MAX);
	if (e->nr_facts)
		memcpy(e->facts, in->facts, e->nr_facts * sizeof(e->facts[0]));
	e->kill_switch = in->kill_switch;
	engine_intake(e, in);
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->live)
			engine_drive(e, e->table[k], in);
	engine_flush(e, in->now_ns);
}

void engine_done(struct engine *e, uint64_t now_ns, struct job *j)
{
	CLEANUP(job_freep) struct job *owned = j;
	struct incident *i = NULL;

	for (size_t k = 0; k < e->nr; k++)
		if (owned->incident && e->table[k]->nr == owned->incident)
			i = e->table[k];
	if (owned->kind == JOB_RECORD) {
		e->recording--;
		if (owned->err)
			e->stats.records_failed += owned->nr_records;
	} else if (i && i->job == owned->id) {
		i->job = 0;
		if (owned->kind == JOB_PLAN)
			engine_plan_done(e, i, owned, now_ns);
		else if (owned->kind == JOB_UNDO)
			engine_undo_done(e, i, owned, now_ns);
		else
			engine_act_done(e, i, owned, now_ns);
	}
	engine_flush(e, now_ns);
}

static struct incident *awaiting(struct engine *e, const char *id, struct problem *p, int *err)
{
	struct incident *i = find(e, id);

	*err = 0;
	if (!i) {
		cJSON *stored = NULL;
		bool known = e->store && !archive_load(e->store, id, &stored);
		cJSON_Delete(stored);
		*err = known ? problem_set(p, 409, "incident %.16s has ended", id) :
			       problem_set(p, 404, "there is no incident %.16s", id);
	} else if (i->state != INCIDENT_AWAITING_APPROVAL) {
		*err = problem_set(p, 409, "incident %s is %s: nothing in it awaits approval",
				   i->id, incident_state_name(i->state));
	}
	return *err ? NULL : i;
}

static cJSON *said_by(const struct incident *i, const char *why)
{
	const struct action *a = &i->plan.actions[i->plan.next];
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "action", a->id);
	cJSON_AddStringToObject(j, "kind", action_kind_name(a->kind));
	cJSON_AddStringToObject(j, "target", a->target_name);
	if (why)
		cJSON_AddStringToObject(j, "why", why);
	return j;
}

int engine_approve(struct engine *e, uint64_t now_ns, const char *id, const char *action,
		   const char *by, struct problem *p)
{
	int err;
	struct incident *i = awaiting(e, id, p, &err);
	if (!i)
		return err;
	const struct action *a = &i->plan.actions[i->plan.next];
	if (action && strcmp(action, a->id) != 0)
		return problem_set(
			p, 409,
			"action %.8s is not the one that awaits approval: that is %s (%s of %s)",
			action, a->id, action_kind_name(a->kind), a->target_name);

	i->approved = true;
	struct guard_verdict v = engine_ask_guard(e, i, now_ns);
	if (v.answer != GUARD_ALLOW) {
		i->approved = false;
		return problem_set(p, 422, "the guard refuses %s of %s: %s",
				   action_kind_name(a->kind), a->target_name, v.why);
	}
	i->guard = v;
	i->has_guard = true;
	snprintf(i->guard_text, sizeof(i->guard_text), "%s", v.why);
	incident_note(i, now_ns, "approved", "%s of %s, approved by %s", action_kind_name(a->kind),
		      a->target_name, by);
	engine_audit(e, i, by, "approved", now_ns, said_by(i, NULL));
	i->state = INCIDENT_PLANNED;
	/* The worker's queue may be full: it stays approved, and the next tick tries again. */
	engine_act(e, i, by, now_ns);
	engine_flush(e, now_ns);
	return 0;
}

int engine_reject(struct engine *e, uint64_t now_ns, const char *id, const char *by,
		  const char *why, struct problem *p)
{
	int err;
	struct incident *i = awaiting(e, id, p, &err);
	if (!i)
		return err;
	const struct action *a = &i->plan.actions[i->plan.next];
	char text[PLAN_WHY_MAX] = "";

	if (why && text_is_utf8(why, strlen(why)))
		llm_clean_why(why, text);
	incident_note(i, now_ns, "rejected", "%s of %s, rejected by %s%s%.150s",
		      action_kind_name(a->kind), a->target_name, by, text[0] ? ": " : "", text);
	engine_audit(e, i, by, "rejected", now_ns, said_by(i, text));
	e->stats.rejected++;
	engine_count(e, i, "rejected");
	engine_escalate(e, i, now_ns, "the plan was rejected: a person takes it over");
	engine_flush(e, now_ns);
	return 0;
}
