// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A request's JSON into a struct fault_request, by the table of types. Pure.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "base/util.h"
#include "fault/fault.h"

#define DURATION_MAX_S (366.0 * 86400)

/* The value as it was given, for the problem. */
static void shown(const cJSON *v, char *text, size_t len)
{
	char *printed = cJSON_IsString(v) ? NULL : cJSON_PrintUnformatted(v);

	snprintf(text, len, "%.*s", (int)len - 1,
		 cJSON_IsString(v) ? v->valuestring :
			 printed   ? printed :
				     "?");
	cJSON_free(printed);
}

static int refuse(struct problem *p, const char *name, const cJSON *v, const char *allowed)
{
	char text[96];

	shown(v, text, sizeof(text));
	return problem_parameter(p, 400, name, text, allowed);
}

/* A number, or the text of one (a query parameter that was passed on). */
static int number(const cJSON *v, const char *name, double min, double max, bool whole,
		  const char *allowed, double *ret, struct problem *p)
{
	double d = NAN;

	if (cJSON_IsNumber(v))
		d = v->valuedouble;
	else if (!cJSON_IsString(v) || text_to_double(v->valuestring, -1e300, 1e300, &d) < 0)
		return refuse(p, name, v, allowed);
	if (!isfinite(d) || d < min || d > max || (whole && d != floor(d)))
		return refuse(p, name, v, allowed);
	*ret = d;
	return 0;
}

static bool is_name(const char *s, size_t len)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	return len > 0 && strspn(s, allowed) >= len;
}

static bool add_key(struct fault_request *r, const char *s, size_t len)
{
	if (r->nr_keys == FAULT_KEYS_MAX || len >= FAULT_KEY_MAX || !is_name(s, len))
		return false;
	memcpy(r->keys[r->nr_keys], s, len);
	r->keys[r->nr_keys++][len] = '\0';
	return true;
}

/* An array of names, or names with commas between. */
static int keys(const cJSON *v, const struct fault_param_desc *d, struct fault_request *r,
		struct problem *p)
{
	const cJSON *item;

	r->nr_keys = 0;
	if (cJSON_IsString(v)) {
		for (const char *s = v->valuestring;; s++) {
			size_t len = strcspn(s, ",");

			if (!add_key(r, s, len))
				return refuse(p, d->name, v, d->allowed);
			s += len;
			if (!*s)
				return 0;
		}
	}
	cJSON_ArrayForEach(item, v)
		if (!cJSON_IsString(item) ||
		    !add_key(r, item->valuestring, strlen(item->valuestring)))
			return refuse(p, d->name, v, d->allowed);
	return cJSON_IsArray(v) && r->nr_keys ? 0 : refuse(p, d->name, v, d->allowed);
}

static const struct fault_param_desc *param_of(const struct fault_type_desc *t, const char *name)
{
	for (size_t i = 0; i < t->nr_params; i++)
		if (!strcmp(t->params[i].name, name))
			return &t->params[i];
	return NULL;
}

static void allowed_params(const struct fault_type_desc *t, char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < t->nr_params && n < len; i++)
		n += (size_t)snprintf(text + n, len - n, "%s%s", i ? ", " : "one of ",
				      t->params[i].name);
}

static int param(const struct fault_type_desc *t, const cJSON *v, struct fault_request *r,
		 struct problem *p)
{
	const struct fault_param_desc *d = param_of(t, v->string);
	char allowed[128];
	double x = 0;

	if (!d) {
		allowed_params(t, allowed, sizeof(allowed));
		return refuse(p, v->string, v, allowed);
	}
	int err = d->text ? keys(v, d, r, p) :
			    number(v, d->name, d->min, d->max, d->whole, d->allowed, &x, p);
	if (err)
		return err;
	r->given |= 1u << d->param;
	switch (d->param) {
	case FAULT_P_INTENSITY:
		r->intensity = (uint32_t)x;
		break;
	case FAULT_P_DELAY_MS:
		r->delay_ms = x;
		break;
	case FAULT_P_STATUS:
		r->status = (uint32_t)x;
		break;
	case FAULT_P_PERCENT:
		r->percent = x;
		break;
	case FAULT_P_SEED:
		r->seed = (uint64_t)x;
		break;
	case FAULT_P_KEYS:
	case NR_FAULT_PARAMS:
		break;
	}
	return 0;
}

static int text_member(const cJSON *v, const char *name, char *to, size_t len, struct problem *p)
{
	char allowed[128];

	snprintf(allowed, sizeof(allowed), "a name of 1 to %zu letters, digits, ., _ or -",
		 len - 1);
	if (!cJSON_IsString(v) || strlen(v->valuestring) >= len || !v->valuestring[0] ||
	    strspn(v->valuestring,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
		    strlen(v->valuestring))
		return refuse(p, name, v, allowed);
	snprintf(to, len, "%s", v->valuestring);
	return 0;
}

static int match(const cJSON *v, struct fault_request *r, struct problem *p)
{
	const cJSON *m;

	if (!cJSON_IsObject(v))
		return refuse(p, "match", v, "an object");
	cJSON_ArrayForEach(m, v) {
		if (strcmp(m->string, "health") != 0)
			return refuse(p, m->string, m, "the member health of match");
		if (!cJSON_IsBool(m))
			return refuse(p, "match.health", m, "true or false");
		r->match_health = cJSON_IsTrue(m);
	}
	return 0;
}

static int duration(const cJSON *v, struct fault_request *r, struct problem *p)
{
	double s;

	int err = number(v, v->string, 0.001, DURATION_MAX_S, false, "a number of seconds over 0",
			 &s, p);
	if (!err)
		r->duration_ns = (uint64_t)(s * 1e9);
	return err;
}

static int on_replace(const cJSON *v, struct fault_request *r, struct problem *p)
{
	const char *text = cJSON_IsString(v) ? v->valuestring : "";

	if (strcmp(text, "end") != 0 && strcmp(text, "follow") != 0)
		return refuse(p, "on_replace", v, "end or follow");
	r->follow = text[0] == 'f';
	return 0;
}

static int member(const struct fault_type_desc *t, const cJSON *v, struct fault_request *r,
		  struct problem *p)
{
	const char *name = v->string;
	const cJSON *inner;

	if (!strcmp(name, "type"))
		return 0;
	if (!strcmp(name, "service"))
		return text_member(v, name, r->service, sizeof(r->service), p);
	if (!strcmp(name, "slot"))
		return text_member(v, name, r->slot, sizeof(r->slot), p);
	if (!strcmp(name, "probability"))
		return number(v, name, 0, 1, false, "a number from 0 to 1", &r->probability, p);
	if (!strcmp(name, "duration_s") || !strcmp(name, "duration"))
		return duration(v, r, p);
	if (!strcmp(name, "match"))
		return match(v, r, p);
	if (!strcmp(name, "on_replace"))
		return on_replace(v, r, p);
	if (strcmp(name, "params") != 0)
		return param(t, v, r, p);
	if (!cJSON_IsObject(v))
		return refuse(p, name, v, "an object");
	cJSON_ArrayForEach(inner, v) {
		int err = param(t, inner, r, p);

		if (err)
			return err;
	}
	return 0;
}

/* What belongs together: intensity or the native figure, and loss needs one. */
static int together(const struct fault_type_desc *t, const struct fault_request *r,
		    struct problem *p)
{
	uint32_t native = r->given &
		(1u << FAULT_P_DELAY_MS | 1u << FAULT_P_STATUS | 1u << FAULT_P_PERCENT);

	if (native && (r->given & 1u << FAULT_P_INTENSITY)) {
		char text[16];

		snprintf(text, sizeof(text), "%u", r->intensity);
		return problem_parameter(p, 400, "intensity", text,
					 "left out where the native parameter is given");
	}
	if (t->type == FAULT_LOSS && !(r->given & 1u << FAULT_P_PERCENT))
		return problem_parameter(p, 400, "percent", "missing", "a number from 0.1 to 100");
	return 0;
}

int fault_request_parse(const cJSON *body, struct fault_request *ret, struct problem *p)
{
	struct fault_request r = { .probability = 1, .intensity = 1 };
	const cJSON *m;

	if (!cJSON_IsObject(body))
		return problem_set(p, 400, "the body must be a JSON object");
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(body, "type");
	const struct fault_type_desc *t =
		cJSON_IsString(type) ? fault_type_find(type->valuestring) : NULL;
	static const char allowed[] = "one of timeout, error, bad_data, cpu, crash, loss";
	if (!type)
		return problem_parameter(p, 400, "type", "missing", allowed);
	if (!t)
		return refuse(p, "type", type, allowed);

	r.type = t->type;
	cJSON_ArrayForEach(m, body) {
		int err = member(t, m, &r, p);

		if (err)
			return err;
	}
	int err = together(t, &r, p);
	if (!err)
		*ret = r;
	return err;
}
