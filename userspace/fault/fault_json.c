// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "fault/fault_internal.h"

static void add_params(cJSON *to, const struct fault *f)
{
	const struct fault_request *r = &f->req;

	if (r->given & 1u << FAULT_P_INTENSITY)
		cJSON_AddNumberToObject(to, "intensity", r->intensity);
	if (r->type == FAULT_TIMEOUT)
		cJSON_AddNumberToObject(to, "delay_ms", (double)f->delay_ns / 1e6);
	if (r->type == FAULT_ERROR)
		cJSON_AddNumberToObject(to, "status", f->status);
	if (r->type == FAULT_CPU || r->type == FAULT_LOSS)
		cJSON_AddNumberToObject(to, "percent", f->percent);
	if (r->type == FAULT_BAD_DATA) {
		cJSON *keys = cJSON_AddArrayToObject(to, "keys");

		for (size_t i = 0; i < r->nr_keys; i++)
			cJSON_AddItemToArray(keys, cJSON_CreateString(r->keys[i]));
	}
	if (r->type != FAULT_CPU)
		cJSON_AddNumberToObject(to, "seed", (double)r->seed);
}

static void add_time(cJSON *to, const char *name, int64_t wall_ms)
{
	char text[CLOCK_TEXT_SIZE];

	cJSON_AddStringToObject(to, name, clock_format(wall_ms, text));
}

cJSON *fault_json(const struct fault *f, uint64_t now_boot_ns)
{
	bool live = f->state == FAULT_ARMED && f->ends_ns > now_boot_ns;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "id", f->id);
	cJSON_AddStringToObject(o, "type", fault_types()[f->req.type].name);
	cJSON_AddStringToObject(o, "service", f->req.service);
	if (f->req.slot[0])
		cJSON_AddStringToObject(o, "slot", f->req.slot);
	cJSON *match = cJSON_AddObjectToObject(o, "match");
	if (f->req.match_health)
		cJSON_AddTrueToObject(match, "health");
	add_params(cJSON_AddObjectToObject(o, "params"), f);
	cJSON_AddStringToObject(o, "on_replace", f->req.follow ? "follow" : "end");
	cJSON_AddNumberToObject(o, "probability", f->req.probability);
	add_time(o, "armed_at", f->armed_wall_ms);
	add_time(o, "ends_at",
		 f->armed_wall_ms + (int64_t)((f->ends_ns - f->armed_ns) / NSEC_PER_MSEC));
	cJSON_AddNumberToObject(o, "remaining_s",
				live ? (double)((f->ends_ns - now_boot_ns) / NSEC_PER_MSEC) / 1e3 :
				       0);
	cJSON_AddStringToObject(o, "state", fault_state_name(f->state));
	cJSON *touched = cJSON_AddObjectToObject(o, "touched");
	cJSON_AddNumberToObject(touched, "requests", (double)f->touched_requests);
	cJSON_AddNumberToObject(touched, "packets", (double)f->touched_packets);
	cJSON *spared = cJSON_AddObjectToObject(o, "spared");
	cJSON_AddNumberToObject(spared, "requests", (double)(f->spared_requests + f->out_of_reach));
	cJSON_AddStringToObject(o, "backend", f->backend);
	cJSON_AddStringToObject(o, "says", f->says);
	return o;
}

/* ---- types */

/* The type's own range, made tighter by the daemon's limits. */
static double max_of(const struct fault_param_desc *d, enum fault_type type,
		     const struct faults_config *c)
{
	double max = d->max;

	if (d->param == FAULT_P_INTENSITY) {
		max = MIN(max, (double)c->max_intensity);
		if (type == FAULT_TIMEOUT)
			max = MIN(max, (double)(c->max_delay_ns / (2 * NSEC_PER_SEC)));
	}
	if (d->param == FAULT_P_DELAY_MS)
		max = MIN(max, (double)c->max_delay_ns / 1e6);
	return max;
}

static cJSON *param_json(const struct fault_param_desc *d, enum fault_type type,
			 const struct faults_config *c)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", d->name);
	cJSON_AddStringToObject(o, "kind", d->text ? "names" : d->whole ? "integer" : "number");
	cJSON_AddStringToObject(o, "unit", d->unit);
	cJSON_AddNumberToObject(o, "min", d->min);
	cJSON_AddNumberToObject(o, "max", max_of(d, type, c));
	cJSON_AddStringToObject(o, "says", d->says);
	return o;
}

static cJSON *type_json(const struct fault_type_desc *t, const struct faults_config *c)
{
	const char *chosen = NULL;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "type", t->name);
	cJSON_AddStringToObject(o, "says", t->says);
	cJSON_AddBoolToObject(o, "allowed", c->allowed_types & 1u << t->type);
	cJSON *params = cJSON_AddArrayToObject(o, "params");
	for (size_t i = 0; i < t->nr_params; i++)
		cJSON_AddItemToArray(params, param_json(&t->params[i], t->type, c));
	cJSON *backends = cJSON_AddArrayToObject(o, "backends");
	for (size_t i = 0; i < FAULT_BACKENDS_MAX && t->backends[i].name; i++) {
		const char *why = backend_lack(t->backends[i].name, 0, c);
		cJSON *b = cJSON_CreateObject();

		cJSON_AddStringToObject(b, "name", t->backends[i].name);
		cJSON_AddStringToObject(b, "says", t->backends[i].mechanism);
		cJSON_AddBoolToObject(b, "available", !why);
		cJSON_AddStringToObject(b, "why", why ? why : "");
		cJSON_AddItemToArray(backends, b);
		if (!why && !chosen)
			chosen = t->backends[i].name;
	}
	cJSON_AddItemToObject(o, "backend",
			      chosen ? cJSON_CreateString(chosen) : cJSON_CreateNull());
	return o;
}

cJSON *faults_types_json(const struct faults_config *cfg)
{
	struct faults_config defaults;
	cJSON *o = cJSON_CreateObject();
	cJSON *items = cJSON_AddArrayToObject(o, "items");

	faults_config_default(&defaults);
	for (int i = 0; i < NR_FAULT_TYPES; i++)
		cJSON_AddItemToArray(items, type_json(&fault_types()[i], cfg ? cfg : &defaults));
	return o;
}
