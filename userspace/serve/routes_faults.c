// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "serve/routes.h"

/* An id that cannot exist is not found, like one that does not. */
static int fault_id(struct exchange *x, const char **ret)
{
	const char *id = x->args[0];

	if (strlen(id) >= CONTROL_ID_MAX || id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return problem_set(&x->problem, 404, "there is no fault of this id");
	*ret = id;
	return 0;
}

int route_faults(struct exchange *x)
{
	const char *service = exchange_query(x, "service");
	cJSON *json;
	int err = service ? exchange_service(x, service, &service) : 0;

	if (err)
		return err;
	if (!x->ops->faults)
		return exchange_missing(x);
	return x->ops->faults(x->ctx, service, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_fault(struct exchange *x)
{
	const char *id;
	cJSON *json;

	if (!x->ops->fault)
		return exchange_missing(x);
	return fault_id(x, &id)                               ?:
		x->ops->fault(x->ctx, id, &json, &x->problem) ?:
								exchange_json(x, 200, json);
}

int route_fault_types(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->fault_types)
		return exchange_missing(x);
	return x->ops->fault_types(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

/* The body's service becomes the real name, so that nobody after us needs to know what "self" was. */
static int resolve_service(struct exchange *x, struct control_arm *what)
{
	const char *asked, *type, *name;
	int err = exchange_text(x, "service", true, SERVICE_NAME_MAX, &asked) ?:
		exchange_text(x, "type", true, CONTROL_ID_MAX, &type)         ?:
		exchange_service(x, asked, &name);

	if (err)
		return err;
	snprintf(what->service, sizeof(what->service), "%s", name);
	if (!strcmp(asked, what->service))
		return 0;
	cJSON *text = cJSON_CreateString(what->service);
	if (!text || !cJSON_ReplaceItemInObjectCaseSensitive(x->body, "service", text)) {
		cJSON_Delete(text);
		return problem_set(&x->problem, 503, "out of memory");
	}
	return 0;
}

int route_arm(struct exchange *x)
{
	struct control_arm what = { .body = x->body };
	cJSON *json;
	int err = exchange_bool(x, "dry_run", &what.dry_run) ?:
		resolve_service(x, &what)                    ?:
							       exchange_may_act(x, what.service);

	if (err)
		return err;
	if (!x->ops->arm)
		return exchange_missing(x);
	err = x->ops->arm(x->ctx, &x->caller, &what, &json, &x->problem);
	if (err)
		return err;
	const char *id = json_str(json, "id");
	if (!what.dry_run && id)
		snprintf(x->reply->location, sizeof(x->reply->location), "/v1/faults/%s", id);
	return exchange_json(x, what.dry_run ? 200 : 201, json);
}

/* Whose fault is it? Ids are never used twice, so the answer cannot go stale. */
static int may_disarm(struct exchange *x, const char *id)
{
	if (x->caller.transport == TRANSPORT_TCP || x->caller.is_root)
		return 0;
	if (!x->ops->fault)
		return exchange_missing(x);

	cJSON *json;
	int err = x->ops->fault(x->ctx, id, &json, &x->problem);
	if (err)
		return err;
	CLEANUP(json_freep) cJSON *fault = json;
	return exchange_may_act(x, json_str(fault, "service"));
}

int route_disarm(struct exchange *x)
{
	const char *id;
	cJSON *json;
	int err = fault_id(x, &id) ?: may_disarm(x, id);

	if (err)
		return err;
	if (!x->ops->disarm)
		return exchange_missing(x);
	return x->ops->disarm(x->ctx, &x->caller, id, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}

int route_disarm_all(struct exchange *x)
{
	const char *service = exchange_query(x, "service");
	cJSON *json;
	char name[SERVICE_NAME_MAX];
	int err = service ? exchange_service(x, service, &service) : 0;

	if (err)
		return err;
	/* exchange_may_act() looks the caller up again: keep what "self" stood for. */
	if (service) {
		snprintf(name, sizeof(name), "%s", service);
		service = name;
	}
	err = exchange_may_act(x, service);
	if (err)
		return err;
	if (!x->ops->disarm_all)
		return exchange_missing(x);
	return x->ops->disarm_all(x->ctx, &x->caller, service, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}
