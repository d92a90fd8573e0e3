// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "incident/incident.h"

/*
 * cJSON's Add functions pass a NULL on, and return NULL when memory ends: the
 * first of them to fail makes the object incomplete, so they are counted.
 */
struct maker {
	const struct incident *i;
	bool failed;
};

static cJSON *check(struct maker *m, cJSON *j)
{
	m->failed |= !j;
	return j;
}

static void add_text(struct maker *m, cJSON *to, const char *name, const char *text)
{
	check(m,
	      text && *text ? cJSON_AddStringToObject(to, name, text) :
			      cJSON_AddNullToObject(to, name));
}

static void add_number(struct maker *m, cJSON *to, const char *name, double v)
{
	check(m,
	      isfinite(v) ? cJSON_AddNumberToObject(to, name, v) : cJSON_AddNullToObject(to, name));
}

static void add_time(struct maker *m, cJSON *to, const char *name, uint64_t at_ns)
{
	char text[CLOCK_TEXT_SIZE];

	if (!at_ns)
		check(m, cJSON_AddNullToObject(to, name));
	else
		add_text(m, to, name,
			 clock_format((int64_t)(at_ns / NSEC_PER_MSEC) + m->i->wall_offset_ms,
				      text));
}

/* Three places: finer than a tick, and no tail of a binary fraction. */
static double seconds(uint64_t from_ns, uint64_t to_ns)
{
	double s = to_ns >= from_ns ? (double)(to_ns - from_ns) / 1e9 :
				      -((double)(from_ns - to_ns) / 1e9);

	return round(s * 1000) / 1000;
}

static double places(double v, double scale)
{
	return round(v * scale) / scale;
}

static cJSON *append(struct maker *m, cJSON *list)
{
	cJSON *o = check(m, cJSON_CreateObject());

	if (o && !cJSON_AddItemToArray(list, o)) {
		cJSON_Delete(o);
		o = check(m, NULL);
	}
	return o;
}

static void fill_cause(struct maker *m, cJSON *o, const struct cause *c)
{
	add_text(m, o, "service", c->name);
	add_text(m, o, "resource", fault_class_name(c->resource));
	add_number(m, o, "confidence", places(c->confidence, 1000));
	cJSON *reasons = check(m, cJSON_AddArrayToObject(o, "reasons"));
	for (size_t k = 0; k < c->nr_reasons; k++)
		check(m,
		      cJSON_AddItemToArray(reasons, cJSON_CreateString(c->reasons[k])) ? o : NULL);
}

static void add_diagnosis(struct maker *m, cJSON *o)
{
	const struct diagnosis *d = &m->i->diagnosis;
	const struct cause *root = incident_root(m->i);

	if (root)
		fill_cause(m, check(m, cJSON_AddObjectToObject(o, "root_cause")), root);
	else
		check(m, cJSON_AddNullToObject(o, "root_cause"));
	cJSON *causes = check(m, cJSON_AddArrayToObject(o, "causes"));
	for (size_t k = 0; m->i->has_diagnosis && k < d->nr_causes; k++)
		fill_cause(m, append(m, causes), &d->causes[k]);
	cJSON *victims = check(m, cJSON_AddArrayToObject(o, "victims"));
	for (size_t k = 0; m->i->has_diagnosis && k < d->nr_victims; k++)
		check(m,
		      cJSON_AddItemToArray(victims, cJSON_CreateString(d->victims[k].name)) ? o :
											      NULL);
}

static void add_evidence(struct maker *m, cJSON *o)
{
	cJSON *list = check(m, cJSON_AddArrayToObject(o, "evidence"));

	for (size_t k = 0; k < m->i->nr_evidence; k++) {
		const struct incident_evidence *e = &m->i->evidence[k];
		cJSON *j = append(m, list);
		add_text(m, j, "id", e->id);
		add_text(m, j, "service", e->service_name);
		add_time(m, j, "at", e->at_ns);
		add_text(m, j, "source", e->source);
		add_text(m, j, "scorer", scorer_name(e->scorer));
		add_number(m, j, "score", places(e->score, 10000));
		add_number(m, j, "classic_score", places(e->classic_score, 10000));
		add_number(m, j, "threshold", places(e->threshold, 10000));
		add_text(m, j, "feature", e->has_feature ? feature_name(e->top.feature) : NULL);
		if (e->has_feature) {
			add_number(m, j, "value", places(e->top.value, 10000));
			add_number(m, j, "normal", places(e->top.normal, 10000));
			add_number(m, j, "z", places(e->top.z, 100));
		}
		add_text(m, j, "text", e->text);
	}
}

static void add_plan(struct maker *m, cJSON *o)
{
	const struct plan *p = &m->i->plan;

	if (!m->i->has_plan) {
		check(m, cJSON_AddNullToObject(o, "plan"));
		return;
	}
	cJSON *j = check(m, cJSON_AddObjectToObject(o, "plan"));
	add_text(m, j, "by", planner_name(p->by));
	add_text(m, j, "model", p->model);
	/* The candidate whose turn it is; after the last one, that one. */
	size_t turn = p->next < p->nr_actions ? p->next : p->nr_actions - 1;
	cJSON *a = p->nr_actions ? check(m, cJSON_AddObjectToObject(j, "action")) : NULL;
	if (a) {
		add_text(m, a, "id", p->actions[turn].id);
		add_text(m, a, "kind", action_kind_name(p->actions[turn].kind));
		add_text(m, a, "target", p->actions[turn].target_name);
		add_number(m, a, "risk", p->actions[turn].risk);
		check(m, cJSON_AddBoolToObject(a, "reversible", p->actions[turn].reversible));
		add_text(m, a, "expected", p->actions[turn].expected);
		add_text(m, a, "undo", p->actions[turn].undo);
	} else {
		check(m, cJSON_AddNullToObject(j, "action"));
	}
	add_text(m, j, "why", p->why);
	add_text(m, j, "fell_back_because", p->fell_back_because);
}

static void add_guard(struct maker *m, cJSON *o)
{
	if (!m->i->has_guard) {
		check(m, cJSON_AddNullToObject(o, "guard"));
		return;
	}
	cJSON *j = check(m, cJSON_AddObjectToObject(o, "guard"));
	check(m, cJSON_AddBoolToObject(j, "allowed", m->i->guard.answer == GUARD_ALLOW));
	add_text(m, j, "why", m->i->guard_text);
}

static void add_actions(struct maker *m, cJSON *o)
{
	cJSON *list = check(m, cJSON_AddArrayToObject(o, "actions"));

	for (size_t k = 0; k < m->i->nr_actions; k++) {
		const struct incident_action *a = &m->i->actions[k];
		cJSON *j = append(m, list);
		add_text(m, j, "kind", action_kind_name(a->kind));
		add_text(m, j, "target", a->target_name);
		add_time(m, j, "started_at", a->started_ns);
		add_text(m, j, "result", a->done ? a->result : "in progress");
		add_text(m, j, "undo", a->undo);
	}
}

static void add_verification(struct maker *m, cJSON *o)
{
	const struct incident *i = m->i;

	if (i->result == INCIDENT_RESULT_NONE) {
		check(m, cJSON_AddNullToObject(o, "verification"));
		return;
	}
	cJSON *j = check(m, cJSON_AddObjectToObject(o, "verification"));
	add_text(m, j, "result", incident_result_name(i->result));
	if (i->verified_ns && i->verify.started_ns)
		add_number(m, j, "after_s", seconds(i->verify.started_ns, i->verified_ns));
	else
		check(m, cJSON_AddNullToObject(j, "after_s"));
}

static void add_timeline(struct maker *m, cJSON *o)
{
	cJSON *list = check(m, cJSON_AddArrayToObject(o, "timeline"));

	for (size_t k = 0; k < m->i->nr_timeline; k++) {
		const struct incident_event *e = &m->i->timeline[k];
		cJSON *j = append(m, list);
		add_time(m, j, "at", e->at_ns);
		add_number(m, j, "since_onset_s", seconds(m->i->onset_ns, e->at_ns));
		add_text(m, j, "event", e->event);
		add_text(m, j, "text", e->text);
	}
}

cJSON *incident_to_json(const struct incident *i)
{
	struct maker m = { .i = i };
	CLEANUP(json_freep) cJSON *o = check(&m, cJSON_CreateObject());

	add_text(&m, o, "id", i->id);
	add_text(&m, o, "state", incident_state_name(i->state));
	add_time(&m, o, "opened_at", i->opened_ns);
	add_time(&m, o, "closed_at", i->closed_ns);
	add_diagnosis(&m, o);
	add_evidence(&m, o);
	add_plan(&m, o);
	add_guard(&m, o);
	add_actions(&m, o);
	add_verification(&m, o);
	add_timeline(&m, o);
	return m.failed ? NULL : TAKE_PTR(o);
}
