// SPDX-License-Identifier: GPL-2.0-or-later
/* What handlers share: typed parameters, rights, and answers. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "serve/repair.h"
#include "serve/router.h"

void reply_release(struct reply *r)
{
	buf_release(&r->body);
	events_shut(r->events, false, clock_mono_ns());
	r->events = NULL;
}

static void add_member(struct buf *b, const char *name, const char *value)
{
	if (*value) {
		buf_addf(b, ",\"%s\":", name);
		text_json(b, value);
	}
}

void reply_problem(struct reply *r, const struct problem *p)
{
	struct problem fallback;

	if (!p->status) {
		problem_set(&fallback, 500,
			    "the daemon failed without a reason; its log may say more");
		p = &fallback;
	}
	buf_release(&r->body);
	buf_init(&r->body, ROUTER_ANSWER_MAX);
	r->status = p->status;
	r->content_type = "application/problem+json";
	buf_addstr(&r->body, "{\"type\":\"about:blank\",\"title\":");
	text_json(&r->body, p->title);
	buf_addf(&r->body, ",\"status\":%d", p->status);
	add_member(&r->body, "detail", p->detail);
	add_member(&r->body, "parameter", p->parameter);
	add_member(&r->body, "value", p->value);
	add_member(&r->body, "allowed", p->allowed);
	buf_addstr(&r->body, "}\n");
}

int exchange_json(struct exchange *x, int status, cJSON *json)
{
	CLEANUP(json_freep) cJSON *owned = json;
	CLEANUP(json_textp) char *text = owned ? cJSON_PrintUnformatted(owned) : NULL;

	if (!text)
		return problem_set(&x->problem, 503, "out of memory");
	text_repair(text);
	if (buf_addstr(&x->reply->body, text) || buf_addstr(&x->reply->body, "\n"))
		return problem_set(&x->problem, 503,
				   "the answer is larger than 16 MiB; ask for less with limit");
	x->reply->status = status;
	x->reply->content_type = "application/json";
	return 0;
}

const char *exchange_query(const struct exchange *x, const char *name)
{
	for (size_t i = 0; i < x->nr_query; i++)
		if (!strcmp(x->query[i].name, name))
			return x->query[i].value;
	return NULL;
}

int exchange_bool(struct exchange *x, const char *name, bool *ret)
{
	const char *value = exchange_query(x, name);

	if (!value)
		return 0;
	if (!strcmp(value, "true"))
		*ret = true;
	else if (!strcmp(value, "false"))
		*ret = false;
	else
		return problem_parameter(&x->problem, 400, name, value, "true or false");
	return 0;
}

int exchange_limit(struct exchange *x, size_t max, size_t *ret)
{
	char allowed[64];
	const char *value = exchange_query(x, "limit");
	uint64_t n = *ret;

	snprintf(allowed, sizeof(allowed), "a whole number from 1 to %zu", max);
	if (value && text_to_u64(value, 1, max, &n))
		return problem_parameter(&x->problem, 400, "limit", value, allowed);
	*ret = n;
	return 0;
}

/* The flawed member as it was given, cut. */
static int flawed(struct exchange *x, const char *name, const cJSON *given, const char *allowed)
{
	CLEANUP(json_textp) char *text = given ? cJSON_PrintUnformatted(given) : NULL;

	return problem_parameter(&x->problem, 400, name, given ? text ?: "?" : "missing", allowed);
}

int exchange_text(struct exchange *x, const char *name, bool required, size_t max, const char **ret)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(x->body, name);
	char allowed[64];

	if (!given && !required) {
		*ret = "";
		return 0;
	}
	snprintf(allowed, sizeof(allowed), "text of 1 to %zu bytes", max - 1);
	if (!cJSON_IsString(given) || !*given->valuestring || strlen(given->valuestring) >= max)
		return flawed(x, name, given, allowed);
	*ret = given->valuestring;
	return 0;
}

int exchange_whole(struct exchange *x, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(x->body, name);
	char allowed[80];

	if (!given)
		return 0;
	snprintf(allowed, sizeof(allowed), "a whole number from %llu to %llu",
		 (unsigned long long)min, (unsigned long long)max);
	if (!cJSON_IsNumber(given) || given->valuedouble < (double)min ||
	    given->valuedouble > (double)max || given->valuedouble != floor(given->valuedouble))
		return flawed(x, name, given, allowed);
	*ret = (uint64_t)given->valuedouble;
	return 0;
}

int exchange_missing(struct exchange *x)
{
	return problem_set(&x->problem, 503, "this daemon does not offer this");
}

void exchange_self(struct exchange *x)
{
	struct caller *c = &x->caller;

	c->service[0] = '\0';
	if (c->transport == TRANSPORT_UNIX && x->ops->caller_service &&
	    x->ops->caller_service(x->ctx, c->pid, c->service))
		c->service[0] = '\0';
}

int exchange_may_act(struct exchange *x, const char *service)
{
	if (x->caller.transport == TRANSPORT_TCP || x->caller.is_root)
		return 0;
	exchange_self(x);
	if (service && *x->caller.service && !strcmp(service, x->caller.service))
		return 0;
	if (*x->caller.service)
		return problem_set(&x->problem, 403,
				   "user %u may act only on its own service, %s; ask as root",
				   x->caller.uid, x->caller.service);
	return problem_set(
		&x->problem, 403,
		"user %u may act only on its own service, and process %d belongs to none; ask as root",
		x->caller.uid, (int)x->caller.pid);
}

int exchange_service(struct exchange *x, const char *name, const char **ret)
{
	if (strcmp(name, "self") != 0) {
		if (!service_name_valid(name))
			return problem_set(&x->problem, 404, "there is no service of this name");
		*ret = name;
		return 0;
	}
	exchange_self(x);
	if (x->caller.transport == TRANSPORT_TCP)
		return problem_set(
			&x->problem, 404,
			"self has a meaning on the control socket only; name the service");
	if (!*x->caller.service)
		return problem_set(
			&x->problem, 404,
			"process %d belongs to no attached service; attach it first: archaic-ebpf attach NAME --pid %d",
			(int)x->caller.pid, (int)x->caller.pid);
	*ret = x->caller.service;
	return 0;
}
