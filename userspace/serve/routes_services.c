// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "serve/routes.h"

#define PID_LIMIT (4U << 20) /* the kernel's PID_MAX_LIMIT */

int route_services(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->services)
		return exchange_missing(x);
	return x->ops->services(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_service(struct exchange *x)
{
	const char *name;
	cJSON *json;

	if (!x->ops->service)
		return exchange_missing(x);
	return exchange_service(x, x->args[0], &name)             ?:
		x->ops->service(x->ctx, name, &json, &x->problem) ?:
								    exchange_json(x, 200, json);
}

/* "/a/../b" would name another cgroup than it seems to. */
static bool cgroup_path_ok(const char *path)
{
	size_t len = strlen(path);

	return path[0] == '/' && !strstr(path, "/../") &&
		(len < 3 || strcmp(path + len - 3, "/..") != 0);
}

static int parse_selector(struct exchange *x, struct control_attach *what)
{
	uint64_t port = 0, pid = 0;
	const char *cgroup = NULL, *container, *pod, *unit;
	int err = exchange_whole(x, "port", 1, UINT16_MAX, &port)                    ?:
		exchange_whole(x, "pid", 1, PID_LIMIT, &pid)                         ?:
		exchange_text(x, "cgroup", false, SERVICE_CGROUP_MAX, &cgroup)       ?:
		exchange_text(x, "container", false, CONTROL_TARGET_MAX, &container) ?:
		exchange_text(x, "pod", false, CONTROL_TARGET_MAX, &pod)             ?:
		exchange_text(x, "unit", false, CONTROL_TARGET_MAX, &unit);

	if (err)
		return err;
	if (!!port + !!pid + !!*cgroup + !!*container + !!*pod + !!*unit != 1)
		return problem_set(
			&x->problem, 400,
			"exactly one of port, pid, cgroup, container, pod and unit must be given");
	if (*cgroup && !cgroup_path_ok(cgroup))
		return problem_parameter(
			&x->problem, 400, "cgroup", cgroup,
			"a path below the cgroup v2 mount that begins with / and has no ..");
	what->port = (uint16_t)port;
	what->pid = (pid_t)pid;
	snprintf(what->cgroup, sizeof(what->cgroup), "%s", cgroup);
	snprintf(what->container, sizeof(what->container), "%s", container);
	snprintf(what->pod, sizeof(what->pod), "%s", pod);
	snprintf(what->unit, sizeof(what->unit), "%s", unit);
	return 0;
}

/* What it is says how it is called. */
static bool names_itself(const struct control_attach *what)
{
	return *what->container || *what->pod || *what->unit;
}

int route_attach(struct exchange *x)
{
	struct control_attach what = { 0 };
	const cJSON *supervised = cJSON_GetObjectItemCaseSensitive(x->body, "supervised");
	const char *name;
	cJSON *json;
	int err = exchange_may_act(x, NULL)                              ?:
		exchange_text(x, "name", false, SERVICE_NAME_MAX, &name) ?:
									   parse_selector(x, &what);

	if (err)
		return err;
	if (!*name && !names_itself(&what))
		return exchange_text(x, "name", true, SERVICE_NAME_MAX, &name);
	if (*name && (!service_name_valid(name) || !strcmp(name, "self")))
		return problem_parameter(
			&x->problem, 400, "name", name,
			"letters, digits, '.', '_' and '-', not beginning with '.' or '-', and not self");
	if (supervised && !cJSON_IsBool(supervised))
		return problem_parameter(&x->problem, 400, "supervised", "not a boolean",
					 "true or false");
	if (!x->ops->attach)
		return exchange_missing(x);

	snprintf(what.name, sizeof(what.name), "%s", name);
	what.supervised = cJSON_IsTrue(supervised);
	err = x->ops->attach(x->ctx, &x->caller, &what, &json, &x->problem);
	if (err)
		return err;
	snprintf(x->reply->location, sizeof(x->reply->location), "/v1/services/%s",
		 json_str(json, "name") ?: what.name);
	return exchange_json(x, 201, json);
}

int route_detach(struct exchange *x)
{
	const char *name;
	int err = exchange_may_act(x, NULL) ?: exchange_service(x, x->args[0], &name);

	if (err)
		return err;
	if (!x->ops->detach)
		return exchange_missing(x);
	err = x->ops->detach(x->ctx, &x->caller, name, &x->problem);
	if (!err)
		x->reply->status = 204;
	return err;
}

int route_accept(struct exchange *x)
{
	const char *name;
	cJSON *json;
	int err = exchange_may_act(x, NULL) ?: exchange_service(x, x->args[0], &name);

	if (err)
		return err;
	if (!x->ops->accept)
		return exchange_missing(x);
	return x->ops->accept(x->ctx, &x->caller, name, &json, &x->problem) ?:
		exchange_json(x, 200, json);
}

int route_graph(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->graph)
		return exchange_missing(x);
	return x->ops->graph(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_scores(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->scores)
		return exchange_missing(x);
	return x->ops->scores(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

int route_requests(struct exchange *x)
{
	struct control_requests which = { .limit = 100 };
	const char *service = exchange_query(x, "service");
	cJSON *json;
	int err = exchange_bool(x, "slow", &which.slow)   ?:
		exchange_bool(x, "failed", &which.failed) ?:
		exchange_limit(x, CONTROL_ITEMS_MAX, &which.limit);

	if (!err && service)
		err = exchange_service(x, service, &service);
	if (err)
		return err;
	if (!x->ops->requests)
		return exchange_missing(x);
	snprintf(which.service, sizeof(which.service), "%s", service ?: "");
	return x->ops->requests(x->ctx, &which, &json, &x->problem) ?: exchange_json(x, 200, json);
}
