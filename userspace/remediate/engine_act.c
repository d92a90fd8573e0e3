// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "remediate/engine_internal.h"

/* What an operator needs to take it back by hand, on disk before it is done. */
static bool add_undo_record(struct engine *e, const struct incident *i, const struct action *a,
			    const char *by, uint64_t now_ns, struct job *job)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "incident", i->id);
	cJSON_AddStringToObject(j, "action", a->id);
	cJSON_AddStringToObject(j, "kind", action_kind_name(a->kind));
	cJSON_AddStringToObject(j, "target", a->target_name);
	cJSON_AddNumberToObject(j, "pid", job->target.main_pid);
	cJSON_AddStringToObject(j, "precondition", a->precondition);
	cJSON_AddStringToObject(j, "expected", a->expected);
	cJSON_AddStringToObject(j, "undo", a->undo);
	char *text = j ? cJSON_PrintUnformatted(j) : NULL;
	cJSON_Delete(j);
	if (!text)
		return false;
	struct record *r = &job->records[job->nr_records++];
	*r = (struct record){ .audit = true, .at_ms = engine_wall_ms(e, now_ns), .json = text };
	snprintf(r->id, sizeof(r->id), "%s", i->id);
	snprintf(r->state, sizeof(r->state), "action");
	snprintf(r->actor, sizeof(r->actor), "%s", by);
	return true;
}

static void note_started(struct incident *i, const struct action *a, uint64_t now_ns)
{
	struct incident_action *x = &i->actions[i->nr_actions++];

	*x = (struct incident_action){ .kind = a->kind, .target = a->target, .started_ns = now_ns };
	memcpy(x->id, a->id, sizeof(x->id));
	memcpy(x->target_name, a->target_name, sizeof(x->target_name));
	memcpy(x->undo, a->undo, sizeof(x->undo));
	incident_note(i, now_ns, "action_started", "%s of %s", action_kind_name(a->kind),
		      a->target_name);
}

static void start_verifying(struct incident *i, uint64_t now_ns)
{
	i->state = INCIDENT_VERIFYING;
	i->result = INCIDENT_RESULT_PENDING;
	verify_start(&i->verify, now_ns);
}

/* Waiting is an action without a deed: only the verification is of interest. */
static void wait_and_see(struct incident *i, const struct action *a, uint64_t now_ns)
{
	note_started(i, a, now_ns);
	struct incident_action *x = &i->actions[i->nr_actions - 1];
	x->done = true;
	x->done_ns = now_ns;
	snprintf(x->result, sizeof(x->result), "nothing was done; watching");
	start_verifying(i, now_ns);
}

bool engine_act(struct engine *e, struct incident *i, const char *by, uint64_t now_ns)
{
	const struct action *a = &i->plan.actions[i->plan.next];
	const struct service_facts *f = facts_find(e->facts, e->nr_facts, a->target);

	if (a->kind == ACTION_NOOP) {
		wait_and_see(i, a, now_ns);
		return true;
	}
	CLEANUP(job_freep) struct job *j = engine_job(e, JOB_ACT, i);
	if (!j || !f)
		return false;
	j->action = *a;
	j->target = *f;
	if (!add_undo_record(e, i, a, by, now_ns, j) ||
	    guard_record(e->guard, i->nr, a->target, GUARD_STARTED, now_ns))
		return false;
	uint64_t id = j->id;
	engine_submit_records(e);
	if (e->ops.submit(e->ops.ctx, j)) {
		e->stats.submit_full++;
		guard_record(e->guard, i->nr, a->target, GUARD_NOTHING, now_ns);
		return false;
	}
	TAKE_PTR(j);
	i->job = id;
	i->state = INCIDENT_ACTING;
	e->stats.actions++;
	note_started(i, a, now_ns);
	if (e->ops.hold)
		e->ops.hold(e->ops.ctx, a->target, now_ns + e->config.hold_ns);
	return true;
}

static void outcome(struct engine *e, struct incident *i, enum guard_outcome g,
		    enum history_result h, uint64_t now_ns)
{
	const struct incident_action *a = &i->actions[i->nr_actions - 1];
	enum fault_class class = FAULT_CLASS_UNKNOWN;
	cJSON *j = cJSON_CreateObject();

	for (size_t k = 0; k < i->diagnosis.nr_causes; k++)
		if (i->diagnosis.causes[k].service == a->target)
			class = i->diagnosis.causes[k].resource;
	/* Waiting is nothing that the guard counts: it would open its breaker for what nobody did. */
	if (a->kind != ACTION_NOOP)
		guard_record(e->guard, i->nr, a->target, g, now_ns);
	history_add(&e->history, a->target_name, class, a->kind, h);
	cJSON_AddStringToObject(j, "service", a->target_name);
	cJSON_AddStringToObject(j, "class", fault_class_name(class));
	cJSON_AddStringToObject(j, "kind", action_kind_name(a->kind));
	cJSON_AddStringToObject(j, "result", history_result_name(h));
	engine_audit(e, i, "engine", "outcome", now_ns, j);
}

void engine_act_done(struct engine *e, struct incident *i, const struct job *j, uint64_t now_ns)
{
	if (!i->nr_actions)
		return;
	struct incident_action *a = &i->actions[i->nr_actions - 1];
	a->done = true;
	a->done_ns = now_ns;
	a->err = j->err;
	a->acted = j->acted;
	memcpy(a->result, j->says, MIN(sizeof(a->result), sizeof(j->says)));
	incident_note(i, now_ns, "action_done", "%s of %s: %.180s", action_kind_name(a->kind),
		      a->target_name, a->result);
	tally_add(&e->tally, a->target_name, action_kind_name(a->kind),
		  j->err           ? "failed" :
			  j->acted ? "done" :
				     "nothing");
	i->change = j->change;
	if (j->err) {
		e->stats.actions_failed++;
		i->result = INCIDENT_RESULT_FAILED;
		i->undo_wanted = j->acted && change_undoes(a->kind);
		outcome(e, i, GUARD_FAILED, HISTORY_FAILED, now_ns);
		engine_next(i, now_ns);
	} else if (!j->acted) {
		/* Nothing was changed, so there is nothing to wait for. */
		e->stats.actions_nothing++;
		outcome(e, i, GUARD_NOTHING, HISTORY_NOTHING, now_ns);
		engine_next(i, now_ns);
	} else {
		guard_record(e->guard, i->nr, a->target, GUARD_DONE, now_ns);
		if (e->ops.hold)
			e->ops.hold(e->ops.ctx, a->target, now_ns + e->config.hold_ns);
		start_verifying(i, now_ns);
	}
}

bool engine_undo(struct engine *e, struct incident *i, uint64_t now_ns)
{
	CLEANUP(job_freep) struct job *j = engine_job(e, JOB_UNDO, i);

	if (!j)
		return false;
	j->change = i->change;
	uint64_t id = j->id;
	engine_submit_records(e);
	if (e->ops.submit(e->ops.ctx, j)) {
		e->stats.submit_full++;
		return false;
	}
	TAKE_PTR(j);
	i->job = id;
	i->undo_wanted = false;
	i->state = INCIDENT_ACTING;
	i->dirty = i->unsaved = true;
	if (e->ops.hold && i->nr_actions)
		e->ops.hold(e->ops.ctx, i->actions[i->nr_actions - 1].target,
			    now_ns + e->config.hold_ns);
	return true;
}

void engine_undo_done(struct engine *e, struct incident *i, const struct job *j, uint64_t now_ns)
{
	cJSON *o = cJSON_CreateObject();
	const char *kind = action_kind_name(j->change.kind);

	e->stats.undone += j->acted;
	e->stats.undo_failed += j->err < 0;
	incident_note(i, now_ns, "undone", "%s: %.200s", kind, j->says);
	tally_add(&e->tally, i->nr_actions ? i->actions[i->nr_actions - 1].target_name : NULL, kind,
		  j->err < 0       ? "undo_failed" :
			  j->acted ? "undone" :
				     "left");
	cJSON_AddStringToObject(o, "kind", kind);
	cJSON_AddStringToObject(o, "result", j->says);
	engine_audit(e, i, "engine", "undone", now_ns, o);
	/* Whoever cannot take a thing back does not try the next one. */
	if (j->err < 0) {
		engine_escalate(e, i, now_ns,
				"what did not help could not be taken back: a person must look");
		return;
	}
	i->state = INCIDENT_PLANNED;
}

static void repaired(struct engine *e, struct incident *i, uint64_t now_ns)
{
	const struct incident_action *a = &i->actions[i->nr_actions - 1];
	double after = (double)(i->verify.first_good_ns - i->verify.started_ns) / 1e9;

	i->recovered_ns = i->verify.first_good_ns;
	i->verified_ns = now_ns;
	outcome(e, i, GUARD_HELPED, HISTORY_VERIFIED, now_ns);
	if (a->kind == ACTION_NOOP) {
		i->result = INCIDENT_RESULT_HEALED;
		e->stats.healed++;
		engine_count(e, i, "healed");
		incident_note(i, now_ns, "healed", "back in the baseline with no action of ours");
		engine_close(e, i, INCIDENT_CLOSED, now_ns);
		return;
	}
	i->result = INCIDENT_RESULT_VERIFIED;
	incident_note(i, i->recovered_ns, "recovered",
		      "%s answers as in its baseline, %.1f s after the action", a->target_name,
		      after);
	incident_note(i, now_ns, "verified",
		      "back in the baseline for %u of %u ticks: repaired by %s of %s",
		      e->config.verify.need, e->config.verify.of, action_kind_name(a->kind),
		      a->target_name);
	e->stats.repaired++;
	engine_count(e, i, "repaired");
	/* Its end for people; it stays live until its members' anomalies close. */
	i->state = INCIDENT_REPAIRED;
	i->closed_ns = now_ns;
}

void engine_verified(struct engine *e, struct incident *i, enum verify_result r, bool anomalous,
		     uint64_t now_ns)
{
	const struct incident_action *last = &i->actions[i->nr_actions - 1];

	if (r == VERIFY_VERIFIED) {
		repaired(e, i, now_ns);
	} else if (r == VERIFY_FAILED) {
		i->result = INCIDENT_RESULT_FAILED;
		incident_note(
			i, now_ns, "failed",
			"not back in the baseline within %.0f s (%u of %u ticks were bad); %s",
			(double)e->config.verify.window_ns / 1e9, i->verify.bad, i->verify.spoke,
			change_undoes(last->kind) ?
				"it is taken back, then the next candidate has its turn" :
				"nothing to undo: the next candidate has its turn");
		i->undo_wanted = change_undoes(last->kind);
		outcome(e, i, GUARD_FAILED, HISTORY_FAILED, now_ns);
		engine_next(i, now_ns);
	} else {
		i->result = INCIDENT_RESULT_UNVERIFIED;
		e->stats.unverified++;
		engine_count(e, i, "unverified");
		incident_note(i, now_ns, "unverified",
			      "only %u ticks had traffic within %.0f s: not proved to be repaired",
			      i->verify.spoke, (double)e->config.verify.window_ns / 1e9);
		outcome(e, i, GUARD_UNPROVEN, HISTORY_UNVERIFIED, now_ns);
		if (anomalous)
			engine_escalate(
				e, i, now_ns,
				"it is still unlike its baseline, and without traffic nothing can be proved");
		else
			engine_close(e, i, INCIDENT_CLOSED, now_ns);
	}
}
