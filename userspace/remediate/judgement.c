// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/judgement.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"

static void put(cJSON *to, const char *name, double v)
{
	if (isfinite(v) && v != 0)
		cJSON_AddNumberToObject(to, name, v);
}

static void put_text(cJSON *to, const char *name, const char *text)
{
	if (*text)
		cJSON_AddStringToObject(to, name, text);
}

static void put_true(cJSON *to, const char *name, bool yes)
{
	if (yes)
		cJSON_AddTrueToObject(to, name);
}

/* 0 ("never", "not known") is left out: no age. */
static void put_age(cJSON *to, const char *name, uint64_t at_ns, uint64_t end_ns)
{
	if (at_ns)
		cJSON_AddNumberToObject(to, name, ((double)end_ns - (double)at_ns) / 1e9);
}

static cJSON *verdict_json(const struct verdict *v, uint64_t end_ns)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "id", v->service);
	put_text(j, "name", v->name);
	put_true(j, "anomalous", v->anomalous);
	put_true(j, "opened", v->opened);
	put_true(j, "closed", v->closed);
	put_true(j, "suspect", v->suspect);
	put_true(j, "warm", v->warm);
	cJSON_AddStringToObject(j, "scorer", scorer_name(v->scorer));
	put(j, "score", v->score);
	put(j, "classic_score", v->classic_score);
	put(j, "threshold", v->threshold);
	put(j, "baseline_samples", (double)v->baseline_samples);
	put_age(j, "age_s", v->at_ns, end_ns);
	put_age(j, "onset_s", v->onset_ns, end_ns);
	put_age(j, "opened_s", v->opened_ns, end_ns);
	put_age(j, "suspect_s", v->suspect_ns, end_ns);
	put_text(j, "why", v->why);
	cJSON *top = cJSON_AddArrayToObject(j, "top");
	for (size_t i = 0; i < v->nr_top; i++) {
		cJSON *f = cJSON_CreateObject();
		cJSON_AddStringToObject(f, "feature", feature_name(v->top[i].feature));
		put(f, "share", v->top[i].share);
		put(f, "value", v->top[i].value);
		put(f, "normal", v->top[i].normal);
		put(f, "z", v->top[i].z);
		cJSON_AddItemToArray(top, f);
	}
	return j;
}

static cJSON *cause_json(const struct cause *c)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "id", c->service);
	put_text(j, "name", c->name);
	cJSON_AddStringToObject(j, "resource", fault_class_name(c->resource));
	put(j, "confidence", c->confidence);
	cJSON *reasons = cJSON_AddArrayToObject(j, "reasons");
	for (size_t i = 0; i < c->nr_reasons; i++)
		cJSON_AddItemToArray(reasons, cJSON_CreateString(c->reasons[i]));
	return j;
}

static cJSON *diagnosis_json(const struct diagnosis *d, uint64_t end_ns)
{
	cJSON *j = cJSON_CreateObject();

	put_true(j, "known", d->known);
	put_age(j, "age_s", d->at_ns, end_ns);
	put_text(j, "why", d->why);
	cJSON *causes = cJSON_AddArrayToObject(j, "causes");
	for (size_t i = 0; i < d->nr_causes; i++)
		cJSON_AddItemToArray(causes, cause_json(&d->causes[i]));
	cJSON *victims = cJSON_AddArrayToObject(j, "victims");
	for (size_t i = 0; i < d->nr_victims; i++) {
		cJSON *v = cJSON_CreateObject();
		cJSON_AddNumberToObject(v, "id", d->victims[i].service);
		put_text(v, "name", d->victims[i].name);
		cJSON_AddItemToArray(victims, v);
	}
	return j;
}

static cJSON *facts_json(const struct service_facts *f)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "id", f->service);
	put_text(j, "name", f->name);
	put_true(j, "supervised", f->supervised);
	/* Containers and units are their machine's: nobody elsewhere can ask for them. */
	if (*f->pod) {
		put_text(j, "namespace", f->pod_namespace);
		put_text(j, "pod", f->pod);
	}
	put(j, "replicas", f->replicas);
	put(j, "processes", (double)f->nr_pids);
	cJSON *ports = cJSON_AddArrayToObject(j, "ports");
	for (size_t i = 0; i < f->nr_ports; i++)
		cJSON_AddItemToArray(ports, cJSON_CreateNumber(f->ports[i]));
	put(j, "answered", (double)f->answered);
	put(j, "failed", (double)f->failed);
	put(j, "in_flight", f->in_flight);
	put(j, "oldest_s", (double)f->oldest_ns / 1e9);
	put(j, "cpu_cores", f->cpu_cores);
	put(j, "window_answered", (double)f->window_answered);
	put(j, "window_failed", (double)f->window_failed);
	put(j, "window_caller_timeouts", (double)f->window_caller_timeouts);
	put(j, "silent_s", (double)f->silent_ns / 1e9);
	return j;
}

static cJSON *place_json(const struct judgement_place *p)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "id", p->service);
	put_text(j, "name", p->name);
	put_text(j, "local", p->local);
	put_text(j, "node", p->node);
	put_text(j, "address", p->address);
	put(j, "port", p->port);
	return j;
}

cJSON *judgement_json(const struct judgement *in)
{
	CLEANUP(json_freep) cJSON *j = cJSON_CreateObject();

	cJSON_AddNumberToObject(j, "version", JUDGEMENT_VERSION);
	cJSON_AddNumberToObject(j, "life", (double)in->life);
	cJSON_AddNumberToObject(j, "tick", (double)in->tick);
	cJSON_AddNumberToObject(j, "age_s", (double)in->age_ns / 1e9);
	cJSON *verdicts = cJSON_AddArrayToObject(j, "verdicts");
	for (size_t i = 0; i < in->nr_verdicts; i++)
		cJSON_AddItemToArray(verdicts, verdict_json(&in->verdicts[i], in->at_ns));
	if (in->has_diagnosis)
		cJSON_AddItemToObject(j, "diagnosis", diagnosis_json(&in->diagnosis, in->at_ns));
	cJSON *facts = cJSON_AddArrayToObject(j, "facts");
	for (size_t i = 0; i < in->nr_facts; i++)
		cJSON_AddItemToArray(facts, facts_json(&in->facts[i]));
	cJSON *nodes = cJSON_AddArrayToObject(j, "nodes");
	for (size_t i = 0; i < in->nr_places; i++)
		cJSON_AddItemToArray(nodes, place_json(&in->places[i]));
	return nodes ? TAKE_PTR(j) : NULL;
}

const struct judgement_place *judgement_place(const struct judgement *j, uint32_t service)
{
	for (size_t i = 0; service && i < j->nr_places; i++)
		if (j->places[i].service == service)
			return &j->places[i];
	return NULL;
}
