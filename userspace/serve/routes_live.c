// SPDX-License-Identifier: GPL-2.0-or-later
/* What the pages follow as it happens: events, load tests, the log of every action. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "serve/routes.h"

#define AUDIT_ITEMS_MAX 500

static const char *const shapes[] = { "normal", "spike", "endurance", "stress" };

static int last_event(struct exchange *x, bool *has, uint64_t *ret)
{
	const char *query = exchange_query(x, "last_event_id");
	const char *given = query ?: x->req->last_event_id;

	*has = given && *given;
	if (!*has || !text_to_u64(given, 0, UINT64_MAX - 1, ret))
		return 0;
	return problem_parameter(&x->problem, 400, query ? "last_event_id" : "Last-Event-ID", given,
				 "the whole number of an earlier event's id");
}

int route_events(struct exchange *x)
{
	struct events *events = x->ops->events ? x->ops->events(x->ctx) : NULL;
	uint64_t last = 0;
	bool has;

	if (!events)
		return exchange_missing(x);
	int err = last_event(x, &has, &last);
	if (err)
		return err;
	err = events_open(events, has, last, x->req->now_ns, &x->reply->events);
	if (err == -EBUSY)
		return problem_set(&x->problem, 503,
				   "%d listeners are here already; close one of them",
				   EVENTS_LISTENERS_MAX);
	if (err)
		return problem_set(&x->problem, 503, "the daemon is stopping, or out of memory");
	x->reply->status = 200;
	x->reply->content_type = "text/event-stream; charset=utf-8";
	return 0;
}

/* ---- load tests */

static bool id_possible(const char *id)
{
	return *id && strlen(id) < CONTROL_ID_MAX &&
		!id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")];
}

static int load_id(struct exchange *x, const char **ret)
{
	*ret = x->args[0];
	return id_possible(*ret) ?
		0 :
		problem_set(&x->problem, 404, "there is no load test of this id");
}

int route_load_shapes(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->load_shapes)
		return exchange_missing(x);
	return x->ops->load_shapes(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_loads(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->loads)
		return exchange_missing(x);
	return x->ops->loads(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_load(struct exchange *x)
{
	const char *id;
	cJSON *json;

	if (!x->ops->load)
		return exchange_missing(x);
	return load_id(x, &id)                               ?:
		x->ops->load(x->ctx, id, &json, &x->problem) ?:
							       exchange_json(x, 200, json);
}

static int parse_load(struct exchange *x, struct control_load *ret)
{
	const cJSON *failures = cJSON_GetObjectItemCaseSensitive(x->body, "with_failures");
	const char *shape;
	size_t i = 0;
	int err = exchange_text(x, "shape", true, sizeof(ret->shape), &shape);

	if (err)
		return err;
	while (i < ARRAY_SIZE(shapes) && strcmp(shapes[i], shape) != 0)
		i++;
	if (i == ARRAY_SIZE(shapes))
		return problem_parameter(&x->problem, 400, "shape", shape,
					 "normal, spike, endurance or stress");
	if (failures && !cJSON_IsBool(failures))
		return problem_parameter(&x->problem, 400, "with_failures", "not a truth value",
					 "true or false");
	*ret = (struct control_load){ .with_failures = cJSON_IsTrue(failures) };
	snprintf(ret->shape, sizeof(ret->shape), "%s", shape);
	return 0;
}

int route_load_start(struct exchange *x)
{
	struct control_load what;
	cJSON *json;
	int err = exchange_may_act(x, NULL) ?: parse_load(x, &what);

	if (err)
		return err;
	if (!x->ops->load_start)
		return exchange_missing(x);
	err = x->ops->load_start(x->ctx, &x->caller, &what, &json, &x->problem);
	if (err)
		return err;
	snprintf(x->reply->location, sizeof(x->reply->location), "/v1/loads/%s",
		 json_str(json, "id") ?: "");
	return exchange_json(x, 201, json);
}

int route_load_stop(struct exchange *x)
{
	const char *id;
	cJSON *json;
	int err = load_id(x, &id) ?: exchange_may_act(x, NULL);

	if (err)
		return err;
	if (!x->ops->load_stop)
		return exchange_missing(x);
	return x->ops->load_stop(x->ctx, &x->caller, id, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}

int route_audit(struct exchange *x)
{
	size_t limit = 100;
	cJSON *json;
	int err = exchange_limit(x, AUDIT_ITEMS_MAX, &limit);

	if (err)
		return err;
	if (!x->ops->audit)
		return exchange_missing(x);
	return x->ops->audit(x->ctx, limit, &json, &x->problem) ?: exchange_json(x, 200, json);
}
