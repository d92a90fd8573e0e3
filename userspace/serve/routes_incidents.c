// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "serve/routes.h"

static const char *const states[] = { "open",      "planned",  "awaiting_approval", "acting",
				      "verifying", "repaired", "escalated",         "closed" };

static bool id_possible(const char *id)
{
	return *id && strlen(id) < CONTROL_ID_MAX &&
		!id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

static int incident_id(struct exchange *x, const char **ret)
{
	*ret = x->args[0];
	return id_possible(*ret) ? 0 :
				   problem_set(&x->problem, 404, "there is no incident of this id");
}

int route_incidents(struct exchange *x)
{
	struct control_incidents which = { .limit = 100 };
	const char *state = exchange_query(x, "state"), *before = exchange_query(x, "before");
	cJSON *json;
	size_t i = 0;
	int err = exchange_limit(x, CONTROL_INCIDENTS_MAX, &which.limit);

	if (err)
		return err;
	while (state && i < ARRAY_SIZE(states) && strcmp(states[i], state) != 0)
		i++;
	if (i == ARRAY_SIZE(states))
		return problem_parameter(
			&x->problem, 400, "state", state,
			"open, planned, awaiting_approval, acting, verifying, repaired, escalated or closed");
	if (before && !id_possible(before))
		return problem_parameter(&x->problem, 400, "before", before,
					 "an incident's id, like i-0004");
	snprintf(which.state, sizeof(which.state), "%s", state ?: "");
	snprintf(which.before, sizeof(which.before), "%s", before ?: "");
	if (!x->ops->incidents)
		return exchange_missing(x);
	return x->ops->incidents(x->ctx, &which, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_incident(struct exchange *x)
{
	const char *id;
	cJSON *json;

	if (!x->ops->incident)
		return exchange_missing(x);
	return incident_id(x, &id)                               ?:
		x->ops->incident(x->ctx, id, &json, &x->problem) ?:
								   exchange_json(x, 200, json);
}

int route_approve(struct exchange *x)
{
	const char *id, *action;
	cJSON *json;
	int err = incident_id(x, &id)     ?:
		exchange_may_act(x, NULL) ?:
		exchange_text(x, "action", false, CONTROL_ID_MAX, &action);

	if (err)
		return err;
	if (!x->ops->approve)
		return exchange_missing(x);
	return x->ops->approve(x->ctx, &x->caller, id, *action ? action : NULL, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}

int route_reject(struct exchange *x)
{
	const char *id, *why;
	cJSON *json;
	int err = incident_id(x, &id)     ?:
		exchange_may_act(x, NULL) ?:
					    exchange_text(x, "why", false, CONTROL_WHY_MAX, &why);

	if (err)
		return err;
	if (!x->ops->reject)
		return exchange_missing(x);
	return x->ops->reject(x->ctx, &x->caller, id, why, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}

int route_report(struct exchange *x)
{
	const char *id;
	CLEANUP(freep) char *text = NULL;
	int err = incident_id(x, &id);

	if (err)
		return err;
	if (!x->ops->report)
		return exchange_missing(x);
	err = x->ops->report(x->ctx, id, &text, &x->problem);
	if (err)
		return err;
	if (buf_addstr(&x->reply->body, text))
		return problem_set(&x->problem, 503, "the report is too large");
	x->reply->status = 200;
	x->reply->content_type = "text/markdown; charset=utf-8";
	return 0;
}

/* What others send: the engine knows the two forms. */
int route_analyze(struct exchange *x)
{
	cJSON *json = NULL;

	if (!x->ops->analyze)
		return exchange_missing(x);
	int err = x->ops->analyze(x->ctx, &x->caller, x->body, &json, &x->problem);
	if (err)
		return err;
	if (json)
		return exchange_json(x, 200, json);
	x->reply->status = 204; /* resolved, and nothing was open */
	return 0;
}
