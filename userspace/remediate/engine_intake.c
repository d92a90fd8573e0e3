// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "remediate/engine_internal.h"

/* ---- which incident? */

static struct incident *live_with(struct engine *e, uint32_t service)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->live && incident_has_member(e->table[k], service))
			return e->table[k];
	return NULL;
}

/* What a diagnosis says belongs together: the root and its victims. An unknown root ties nothing to anything. */
static bool in_diagnosis(const struct diagnosis *d, uint32_t service)
{
	if (!d || !d->known || !d->nr_causes)
		return false;
	if (d->causes[0].service == service)
		return true;
	for (size_t k = 0; k < d->nr_victims; k++)
		if (d->victims[k].service == service)
			return true;
	return false;
}

static bool touches(const struct incident *i, const struct diagnosis *d)
{
	for (size_t k = 0; k < i->nr_members; k++)
		if (in_diagnosis(d, i->members[k]))
			return true;
	return false;
}

static struct incident *live_touching(struct engine *e, const struct diagnosis *d)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->live && touches(e->table[k], d))
			return e->table[k];
	return NULL;
}

/* ---- evidence */

static void add_evidence(struct incident *i, const struct verdict *v,
			 const struct feature_credit *top)
{
	struct incident_evidence *x = incident_add_evidence(i);

	if (!x)
		return;
	x->service = v->service;
	memcpy(x->service_name, v->name, sizeof(x->service_name));
	x->at_ns = v->at_ns;
	snprintf(x->source, sizeof(x->source), "detector");
	x->scorer = v->scorer;
	x->score = v->score;
	x->classic_score = v->classic_score;
	x->threshold = v->threshold;
	x->has_feature = top != NULL;
	if (top)
		x->top = *top;
	snprintf(x->text, sizeof(x->text), "%s", v->why);
}

static void set_onset(struct incident *i, uint64_t onset_ns)
{
	if (!onset_ns || onset_ns >= i->onset_ns)
		return;
	i->onset_ns = onset_ns;
	if (i->nr_timeline && !strcmp(i->timeline[0].event, "onset"))
		i->timeline[0].at_ns = onset_ns;
}

static void note_anomaly(struct incident *i, const struct verdict *v)
{
	char top[96] = "";

	if (v->nr_top)
		snprintf(top, sizeof(top), ", top feature %s %.4g (normal %.4g)",
			 feature_name(v->top[0].feature), v->top[0].value, v->top[0].normal);
	incident_note(i, v->at_ns, "anomaly", "%s: scorer %s, score %.3f, threshold %.3f%s",
		      v->name, scorer_name(v->scorer), v->score, v->threshold, top);
	for (size_t k = 0; k < v->nr_top; k++)
		add_evidence(i, v, &v->top[k]);
	if (!v->nr_top)
		add_evidence(i, v, NULL);
}

static struct incident *open_for(struct engine *e, const struct verdict *v, uint64_t now_ns)
{
	struct incident *i = engine_open(e, now_ns);
	cJSON *j = i ? cJSON_CreateObject() : NULL;

	if (!i)
		return NULL;
	incident_note(i, i->onset_ns, "onset", "%s is unlike its baseline since then", v->name);
	cJSON_AddStringToObject(j, "service", v->name);
	cJSON_AddStringToObject(j, "scorer", scorer_name(v->scorer));
	engine_audit(e, i, "detector", "opened", now_ns, j);
	return i;
}

static void take_verdict(struct engine *e, const struct verdict *v, const struct diagnosis *d,
			 uint64_t now_ns)
{
	struct incident *i = live_with(e, v->service);

	/* It was repaired, and here it is again: a story of its own. */
	if (i && i->state == INCIDENT_REPAIRED && v->opened) {
		engine_close(e, i, INCIDENT_REPAIRED, now_ns);
		i = NULL;
	}
	bool joined = false;
	if (!i && in_diagnosis(d, v->service)) {
		i = live_touching(e, d);
		joined = i && i->state != INCIDENT_REPAIRED;
		if (!joined)
			i = NULL;
	}
	bool fresh = !i;
	if (fresh)
		i = open_for(e, v, now_ns);
	if (!i)
		return;
	incident_add_member(i, v->service);
	set_onset(i, v->onset_ns);
	if (fresh || joined || v->opened)
		note_anomaly(i, v);
}

/* ---- diagnosis */

static void add_diagnosis_members(struct incident *i, const struct diagnosis *d)
{
	incident_add_member(i, d->causes[0].service);
	for (size_t k = 0; k < d->nr_victims; k++)
		incident_add_member(i, d->victims[k].service);
}

static void add_victim(struct diagnosis *d, uint32_t service, const char *name)
{
	if (d->nr_victims == DIAGNOSIS_VICTIMS_MAX || !service || d->causes[0].service == service)
		return;
	for (size_t k = 0; k < d->nr_victims; k++)
		if (d->victims[k].service == service)
			return;
	d->victims[d->nr_victims].service = service;
	snprintf(d->victims[d->nr_victims++].name, SERVICE_NAME_MAX, "%s", name);
}

/* Victims come one after the other, as their windows fill: whoever was seen suffering stays on the list. */
static void merge_victims(struct incident *i, const struct diagnosis *d)
{
	size_t before = i->diagnosis.nr_victims;

	for (size_t k = 0; k < d->nr_victims; k++)
		add_victim(&i->diagnosis, d->victims[k].service, d->victims[k].name);
	if (i->diagnosis.nr_victims != before)
		i->dirty = i->unsaved = true;
}

static void refresh(struct incident *i, const struct diagnosis *d)
{
	struct diagnosis old = i->diagnosis;
	bool news = !i->has_diagnosis || old.causes[0].confidence != d->causes[0].confidence ||
		old.causes[0].resource != d->causes[0].resource;

	i->diagnosis = *d;
	if (i->has_diagnosis && old.known)
		merge_victims(i, &old);
	i->has_diagnosis = true;
	i->external_diagnosis = false;
	if (news)
		i->dirty = i->unsaved = true;
}

static void note_diagnosis(struct incident *i, const struct diagnosis *d, const char *how)
{
	const struct cause *c = &d->causes[0];

	incident_note(i, d->at_ns, "diagnosis", "%s%s is the root cause (%s, confidence %.2f): %s",
		      how, c->name, fault_class_name(c->resource), c->confidence, d->why);
}

/* Before anything was done a better answer replaces the plan; afterwards it is only noted. */
static void change_root(struct incident *i, const struct diagnosis *d, unsigned stable_after)
{
	uint32_t root = d->causes[0].service;
	bool acting = i->state == INCIDENT_ACTING || i->state == INCIDENT_VERIFYING ||
		i->state == INCIDENT_REPAIRED || (i->state == INCIDENT_ESCALATED && i->has_plan) ||
		incident_acted(i);

	if (!acting) {
		if (i->has_plan) {
			i->state = INCIDENT_OPEN;
			i->has_plan = i->has_guard = i->approved = false;
		}
		i->diagnosis = *d;
		i->has_diagnosis = true;
		i->external_diagnosis = false;
		i->root_streak = 1;
		note_diagnosis(i, d, "on second thoughts, ");
		return;
	}
	i->root_streak = i->rival_root == root ? i->root_streak + 1 : 1;
	i->rival_root = root;
	if (i->root_streak == stable_after)
		incident_note(
			i, d->at_ns, "note",
			"a later diagnosis names %s instead; the action under way is judged first",
			d->causes[0].name);
}

static void adopt(struct engine *e, struct incident *i, const struct diagnosis *d)
{
	const struct cause *root = incident_root(i);

	if (!d->known) {
		if (!i->has_diagnosis) {
			i->diagnosis = *d;
			i->has_diagnosis = true;
			i->dirty = i->unsaved = true;
		}
		return;
	}
	if (i->state != INCIDENT_REPAIRED)
		add_diagnosis_members(i, d);
	if (!root) {
		refresh(i, d);
		i->root_streak = 1;
		note_diagnosis(i, d, "");
		if (i->state == INCIDENT_ESCALATED && !i->has_plan)
			i->state = INCIDENT_OPEN;
	} else if (root->service != d->causes[0].service) {
		change_root(i, d, e->config.plan_after_ticks);
	} else {
		i->root_streak = i->rival_root ? 1 : i->root_streak + 1;
		i->rival_root = 0;
		if (i->state == INCIDENT_OPEN)
			refresh(i, d);
		else if (i->state != INCIDENT_REPAIRED)
			merge_victims(i, d);
	}
}

void engine_adopt_external(struct engine *e, struct incident *i, const struct service_facts *f,
			   const char *why, uint64_t now_ns)
{
	(void)e;
	if (incident_root(i))
		return;
	struct diagnosis d = { .at_ns = now_ns, .known = true, .nr_causes = 1 };
	struct cause *c = &d.causes[0];

	c->service = f->service;
	memcpy(c->name, f->name, sizeof(c->name));
	c->resource = FAULT_CLASS_UNKNOWN;
	c->confidence = .3; /* somebody else's word, not yet borne out by our own evidence */
	snprintf(c->reasons[0], sizeof(c->reasons[0]), "an alert from outside names it");
	c->nr_reasons = 1;
	snprintf(d.why, sizeof(d.why), "an alert from outside: %.150s", why);
	incident_trim(d.why);
	i->diagnosis = d;
	i->has_diagnosis = i->external_diagnosis = true;
	i->root_streak = 0;
	note_diagnosis(i, &d, "");
}

/* Two incidents that a diagnosis ties together become the older one, unless something is under way in the younger. */
static void merge(struct engine *e, struct incident *into, struct incident *from, uint64_t now_ns)
{
	if (from->state != INCIDENT_OPEN && from->state != INCIDENT_PLANNED)
		return;
	for (size_t k = 0; k < from->nr_members; k++)
		incident_add_member(into, from->members[k]);
	for (size_t k = 0; k < from->nr_external && into->nr_external < INCIDENT_EXTERNAL_MAX; k++)
		into->external[into->nr_external++] = from->external[k];
	set_onset(into, from->onset_ns);
	incident_note(into, now_ns, "joined", "%s has the same cause and goes on here", from->id);
	incident_note(from, now_ns, "closed", "the same cause as %s: it goes on there", into->id);
	engine_close(e, from, INCIDENT_CLOSED, now_ns);
	e->stats.merged++;
}

static void take_diagnosis(struct engine *e, const struct diagnosis *d, uint64_t now_ns)
{
	struct incident *first = NULL;

	for (size_t k = 0; k < e->nr; k++) {
		struct incident *i = e->table[k];
		bool relevant = d->known ? touches(i, d) : !i->has_diagnosis;
		if (!i->live || !relevant)
			continue;
		if (first && d->known && first->state != INCIDENT_REPAIRED) {
			merge(e, first, i, now_ns);
			continue;
		}
		adopt(e, i, d);
		first = i;
	}
}

void engine_intake(struct engine *e, const struct engine_input *in)
{
	for (size_t k = 0; k < in->nr_verdicts; k++)
		if (in->verdicts[k].anomalous)
			take_verdict(e, &in->verdicts[k], in->diagnosis, in->now_ns);
	if (in->diagnosis)
		take_diagnosis(e, in->diagnosis, in->now_ns);
	for (size_t k = 0; k < e->nr; k++) {
		struct incident *i = e->table[k];
		if (i->live && i->external_diagnosis && i->state == INCIDENT_OPEN)
			i->root_streak++;
	}
}
