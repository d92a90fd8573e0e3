// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "remediate/engine_internal.h"

/* Learning is held while an incident lives; renewed each tick, and ends by itself soon after the last one. */
#define MEMBER_HOLD_NS (5 * NSEC_PER_SEC)

static const struct verdict *verdict_of(const struct engine_input *in, uint32_t service)
{
	for (size_t k = 0; k < in->nr_verdicts; k++)
		if (in->verdicts[k].service == service)
			return &in->verdicts[k];
	return NULL;
}

static bool any_anomalous(const struct incident *i, const struct engine_input *in)
{
	for (size_t k = 0; k < i->nr_members; k++) {
		const struct verdict *v = verdict_of(in, i->members[k]);
		if (v && v->anomalous)
			return true;
	}
	return false;
}

static bool any_suspect(const struct incident *i, const struct engine_input *in)
{
	for (size_t k = 0; k < i->nr_members; k++) {
		const struct verdict *v = verdict_of(in, i->members[k]);
		if (v && v->suspect)
			return true;
	}
	return false;
}

void engine_escalate(struct engine *e, struct incident *i, uint64_t now_ns, const char *why)
{
	if (i->state == INCIDENT_ESCALATED)
		return;
	cJSON *j = cJSON_CreateObject();
	i->state = INCIDENT_ESCALATED;
	e->stats.escalated++;
	engine_count(e, i, "escalated");
	incident_note(i, now_ns, "escalated", "%s", why);
	cJSON_AddStringToObject(j, "why", why);
	engine_audit(e, i, "engine", "escalated", now_ns, j);
}

/* ---- plan */

static void fill_question(const struct engine *e, const struct incident *i,
			  const struct action *actions, size_t nr, struct llm_question *q)
{
	memcpy(q->incident, i->id, sizeof(q->incident));
	q->diagnosis = i->diagnosis;
	memcpy(q->actions, actions, nr * sizeof(*actions));
	q->nr_actions = nr;
	for (size_t k = 0; k < i->nr_evidence && q->nr_evidence < LLM_EVIDENCE_MAX; k++) {
		const struct incident_evidence *x = &i->evidence[k];
		if (!x->has_feature)
			continue;
		struct llm_evidence *to = &q->evidence[q->nr_evidence++];
		*to = (struct llm_evidence){ .service = x->service,
					     .feature = x->top.feature,
					     .value = x->top.value,
					     .normal = x->top.normal,
					     .z = x->top.z };
		memcpy(to->id, x->id, sizeof(to->id));
	}
	for (size_t k = 0; k < nr && q->nr_history < ACTIONS_MAX; k++) {
		const struct cause *c = &i->diagnosis.causes[0];
		const struct history_entry *h = history_entry_find(
			&e->history, actions[k].target_name, c->resource, actions[k].kind);
		if (h)
			q->history[q->nr_history++] =
				(struct llm_history){ actions[k].target, actions[k].kind, h->tried,
						      h->verified, h->failed };
	}
}

/* False: the model cannot be asked; @why_not says so. */
static bool ask_model(struct engine *e, struct incident *i, const struct action *actions, size_t nr,
		      const char **why_not)
{
	CLEANUP(job_freep) struct job *j = engine_job(e, JOB_PLAN, i);
	*why_not = "there was no memory to ask the model";
	if (!j)
		return false;
	j->question = calloc(1, sizeof(*j->question));
	if (!j->question)
		return false;
	fill_question(e, i, actions, nr, j->question);
	uint64_t id = j->id;
	if (e->ops.submit(e->ops.ctx, j)) {
		e->stats.submit_full++;
		*why_not = "the worker had no room for the question";
		return false;
	}
	TAKE_PTR(j);
	i->job = id;
	i->planning = true;
	return true;
}

static void add_words(char *to, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void add_words(char *to, size_t size, const char *fmt, ...)
{
	size_t used = strlen(to);
	va_list ap;

	va_start(ap, fmt);
	if (used < size)
		vsnprintf(to + used, size - used, fmt, ap);
	va_end(ap);
}

static void note_plan(struct engine *e, struct incident *i, uint64_t now_ns)
{
	const struct plan *p = &i->plan;
	char order[INCIDENT_TEXT_MAX] = "";
	cJSON *j = cJSON_CreateObject();

	for (size_t k = 0; k < p->nr_actions; k++)
		add_words(order, sizeof(order), "%s%s %s", k ? ", then " : "",
			  action_kind_name(p->actions[k].kind), p->actions[k].target_name);
	incident_note(i, now_ns, "plan", "by %s: %s", planner_name(p->by), order);
	if (p->fell_back_because[0])
		incident_note(i, now_ns, "note", "the playbook planned because %s",
			      p->fell_back_because);
	cJSON_AddStringToObject(j, "by", planner_name(p->by));
	cJSON_AddStringToObject(j, "order", order);
	cJSON_AddStringToObject(j, "fell_back_because", p->fell_back_because);
	engine_audit(e, i, planner_name(p->by), "plan", now_ns, j);
	i->state = INCIDENT_PLANNED;
	i->wait_since_ns = now_ns;
	i->approved = i->has_guard = false;
}

static void make_plan(struct engine *e, struct incident *i, uint64_t now_ns,
		      const struct llm_answer *a, const char *because)
{
	struct action all[ACTIONS_MAX];
	struct plan *p = &i->plan;
	const struct diagnosis *d = &i->diagnosis;
	size_t nr = actions_enumerate(d, e->facts, e->nr_facts, all);
	const struct action *chosen = a && a->usable ? action_find(all, nr, a->action_id) : NULL;

	*p = (struct plan){ .by = PLANNER_PLAYBOOK, .confidence = d->causes[0].confidence };
	memcpy(p->actions, all, nr * sizeof(all[0]));
	p->nr_actions = playbook_order(d, e->facts, e->nr_facts, &e->history, p->actions, nr,
				       p->why, sizeof(p->why));
	i->has_plan = true;
	i->settled_root = d->causes[0].service;
	if (because)
		snprintf(p->fell_back_because, sizeof(p->fell_back_because), "%s", because);
	if (!chosen) {
		e->stats.plans_playbook++;
		e->stats.plans_fell_back += because != NULL;
		note_plan(e, i, now_ns);
		return;
	}
	/* The model's choice first, then the playbook's without it. */
	struct action rest[ACTIONS_MAX + 1] = { *chosen };
	size_t kept = 1;
	for (size_t k = 0; k < p->nr_actions && kept < ACTIONS_MAX; k++)
		if (strcmp(p->actions[k].id, chosen->id) != 0)
			rest[kept++] = p->actions[k];
	memcpy(p->actions, rest, kept * sizeof(rest[0]));
	p->nr_actions = kept;
	p->by = e->config.llm.format == LLM_GEMINI ? PLANNER_GEMINI : PLANNER_OPENAI;
	memcpy(p->model, a->model, sizeof(p->model));
	memcpy(p->why, a->why, sizeof(p->why));
	p->confidence = a->confidence;
	e->stats.plans_model++;
	note_plan(e, i, now_ns);
}

/*
 * An answer that leaves the engine's first cause needs the engine's own evidence: small models leave it
 * at random, and poisoned telemetry makes large ones leave it on purpose (as AIOpsDoom showed).
 */
static const char *why_not_followed(const struct incident *i, const struct llm_question *q,
				    const struct llm_answer *a, char text[static 224])
{
	const struct action *chosen = action_find(q->actions, q->nr_actions, a->action_id);
	bool root_near = playbook_near(&i->diagnosis, a->root);
	bool target_near = chosen &&
		(chosen->kind == ACTION_ESCALATE || playbook_near(&i->diagnosis, chosen->target));

	if (root_near && target_near)
		return NULL;
	const char *name = "another service";
	for (size_t k = 0; k < i->diagnosis.nr_causes; k++)
		if (i->diagnosis.causes[k].service ==
		    (root_near && chosen ? chosen->target : a->root))
			name = i->diagnosis.causes[k].name;
	snprintf(text, 224,
		 "the model chose %s, for which the engine's own evidence is weaker than for %s",
		 name, i->diagnosis.causes[0].name);
	return text;
}

void engine_plan_done(struct engine *e, struct incident *i, const struct job *j, uint64_t now_ns)
{
	char text[224];
	const char *because = NULL;

	i->planning = false;
	if (!i->live || i->state != INCIDENT_OPEN || !incident_root(i))
		return;
	if (incident_root(i)->service != j->question->diagnosis.causes[0].service) {
		incident_note(i, now_ns, "note",
			      "the model's answer is about an earlier diagnosis: not used");
		return;
	}
	if (!j->answer.usable)
		because = j->answer.because[0] ? j->answer.because : "the model gave no answer";
	else
		because = why_not_followed(i, j->question, &j->answer, text);
	make_plan(e, i, now_ns, because ? NULL : &j->answer, because);
}

static void drive_open(struct engine *e, struct incident *i, uint64_t now_ns)
{
	if (i->planning)
		return;
	if (!incident_root(i)) {
		char why[sizeof(i->diagnosis.why) + 64];

		if (now_ns - i->opened_ns < e->config.unknown_patience_ns)
			return;
		snprintf(why, sizeof(why), "the root cause is unknown, a person must look%s%s",
			 i->diagnosis.why[0] ? ": " : "", i->diagnosis.why);
		engine_escalate(e, i, now_ns, why);
		return;
	}
	if (i->root_streak < e->config.plan_after_ticks)
		return;
	struct action actions[ACTIONS_MAX];
	size_t nr = actions_enumerate(&i->diagnosis, e->facts, e->nr_facts, actions);
	const char *why_not = NULL;
	if (e->config.llm.format != LLM_OFF && ask_model(e, i, actions, nr, &why_not))
		return;
	make_plan(e, i, now_ns, NULL, why_not);
}

/* ---- guard */

struct guard_verdict engine_ask_guard(struct engine *e, const struct incident *i, uint64_t now_ns)
{
	const struct action *a = &i->plan.actions[i->plan.next];
	struct guard_question q = { .incident = i->nr,
				    .mode = e->config.mode,
				    .kill_switch = e->kill_switch,
				    .approved = i->approved,
				    .action = a,
				    .diagnosis = &i->diagnosis,
				    .target = facts_find(e->facts, e->nr_facts, a->target) };

	return guard_check(e->guard, &q, now_ns);
}

void engine_next(struct incident *i, uint64_t now_ns)
{
	i->plan.next++;
	i->wait_since_ns = now_ns;
	i->approved = i->has_guard = false;
	i->state = INCIDENT_PLANNED;
	i->dirty = i->unsaved = true;
}

/* Written once per answer and sentence, not once a tick. */
static void note_guard(struct incident *i, const struct guard_verdict *v, uint64_t now_ns)
{
	static const char *const words[] = { [GUARD_ALLOW] = "allowed",
					     [GUARD_WAIT] = "waits",
					     [GUARD_ASK] = "asks",
					     [GUARD_DENY] = "refused" };
	const struct action *a = &i->plan.actions[i->plan.next];
	bool news = !i->has_guard || i->guard.answer != v->answer ||
		strcmp(i->guard.why, v->why) != 0;

	i->guard = *v;
	i->has_guard = true;
	if (!news)
		return;
	snprintf(i->guard_text, sizeof(i->guard_text), "%s", v->why);
	if (v->until_ns > now_ns)
		add_words(i->guard_text, sizeof(i->guard_text), " (%.0f s more)",
			  (double)(v->until_ns - now_ns) / 1e9);
	for (unsigned k = 0; k < v->nr_witnesses; k++)
		add_words(i->guard_text, sizeof(i->guard_text), "%s %s",
			  k ? "," : "; witnesses:", v->witnesses[k]);
	incident_note(i, now_ns, "guard", "%s %s: %s: %.180s", action_kind_name(a->kind),
		      a->target_name, words[v->answer], i->guard_text);
}

static void drive_planned(struct engine *e, struct incident *i, uint64_t now_ns)
{
	if (i->plan.next >= i->plan.nr_actions || i->nr_actions == INCIDENT_ACTIONS_MAX) {
		engine_escalate(e, i, now_ns, "no candidate is left: a person must look");
		return;
	}
	const struct action *a = &i->plan.actions[i->plan.next];
	if (a->kind == ACTION_ESCALATE) {
		engine_escalate(
			e, i, now_ns,
			i->nr_actions ?
				"what was tried did not help: a person must look" :
				i->plan.next ?
				"the guard allows nothing that could help: a person must look" :
				"nothing can be done about it from here: a person must look");
		return;
	}
	struct guard_verdict v = engine_ask_guard(e, i, now_ns);
	note_guard(i, &v, now_ns);
	switch (v.answer) {
	case GUARD_ALLOW:
		engine_act(e, i, planner_name(i->plan.by), now_ns);
		break;
	case GUARD_ASK:
		i->state = INCIDENT_AWAITING_APPROVAL;
		break;
	case GUARD_WAIT:
		i->state = INCIDENT_PLANNED;
		if (v.lacks_witnesses && now_ns - i->wait_since_ns >= e->config.witness_patience_ns)
			engine_next(i, now_ns);
		break;
	case GUARD_DENY:
		engine_next(i, now_ns);
		break;
	}
}

/* ---- verification and healing */

static void drive_verifying(struct engine *e, struct incident *i, const struct engine_input *in)
{
	const struct incident_action *a = &i->actions[i->nr_actions - 1];
	const struct service_facts *f = facts_find(in->facts, in->nr_facts, a->target);
	struct verify_tick t = { .at_ns = in->now_ns, .suspect = any_suspect(i, in) };

	if (f) {
		t.answered = f->answered;
		t.oldest_ns = f->oldest_ns;
	}
	enum verify_result r = verify_step(&i->verify, &e->config.verify, &t);
	if (r != VERIFY_PENDING)
		engine_verified(e, i, r, any_anomalous(i, in), in->now_ns);
}

static void heal(struct engine *e, struct incident *i, uint64_t now_ns)
{
	if (incident_acted(i)) {
		incident_note(i, now_ns, "healed", "calm again, not proved to be our doing");
	} else {
		i->result = INCIDENT_RESULT_HEALED;
		e->stats.healed++;
		engine_count(e, i, "healed");
		incident_note(i, now_ns, "healed", "calm again with no action of ours");
	}
	engine_close(e, i, i->state == INCIDENT_ESCALATED ? INCIDENT_ESCALATED : INCIDENT_CLOSED,
		     now_ns);
}

static void drop_stale_externals(struct incident *i, uint64_t now_ns)
{
	for (size_t k = 0; k < i->nr_external; k++)
		if (i->external[k].until_ns <= now_ns) {
			incident_note(
				i, now_ns, "note",
				"an outside alert was neither repeated nor resolved: dropped");
			i->external[k--] = i->external[--i->nr_external];
		}
}

/* True: it has ended. */
static bool drive_calm(struct engine *e, struct incident *i, const struct engine_input *in)
{
	drop_stale_externals(i, in->now_ns);
	if (i->nr_external || any_anomalous(i, in)) {
		i->calm_since_ns = 0;
		return false;
	}
	if (!i->calm_since_ns)
		i->calm_since_ns = in->now_ns;
	if (in->now_ns - i->calm_since_ns < e->config.calm_ns)
		return false;
	heal(e, i, in->now_ns);
	return true;
}

/* Kept only until its members' anomalies close, so that they open no incident anew; a relapse may, after a while. */
static void drive_repaired(struct engine *e, struct incident *i, const struct engine_input *in)
{
	i->nr_external = 0;
	if (!any_anomalous(i, in) || in->now_ns - i->closed_ns >= e->config.verify.window_ns)
		engine_close(e, i, INCIDENT_REPAIRED, in->now_ns);
}

/*
 * Nothing is learned of a live incident's members. But where it has been handed to a person, a hold on
 * those that are still anomalous would keep the detector from ever taking a level that lasts for the
 * new normal (it learns nothing of them before that), and the incident from ever ending.
 */
static void hold_members(struct engine *e, const struct incident *i, const struct engine_input *in)
{
	if (!e->ops.hold || i->state == INCIDENT_REPAIRED)
		return;
	for (size_t k = 0; k < i->nr_members; k++) {
		const struct verdict *v = verdict_of(in, i->members[k]);
		if (i->state != INCIDENT_ESCALATED || !v || !v->anomalous)
			e->ops.hold(e->ops.ctx, i->members[k], in->now_ns + MEMBER_HOLD_NS);
	}
}

void engine_drive(struct engine *e, struct incident *i, const struct engine_input *in)
{
	hold_members(e, i, in);
	switch (i->state) {
	case INCIDENT_OPEN:
		if (drive_calm(e, i, in))
			break;
		drive_open(e, i, in->now_ns);
		if (i->state == INCIDENT_PLANNED)
			drive_planned(e, i, in->now_ns);
		break;
	case INCIDENT_PLANNED:
	case INCIDENT_AWAITING_APPROVAL:
		/* First of all, also before it may be found calm: what did not help does not stay. */
		if (i->undo_wanted)
			engine_undo(e, i, in->now_ns);
		else if (!drive_calm(e, i, in))
			drive_planned(e, i, in->now_ns);
		break;
	case INCIDENT_VERIFYING:
		drive_verifying(e, i, in);
		break;
	case INCIDENT_REPAIRED:
		drive_repaired(e, i, in);
		break;
	case INCIDENT_ESCALATED:
		drive_calm(e, i, in);
		break;
	default: /* acting: engine_done() goes on */
		break;
	}
}
