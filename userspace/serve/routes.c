// SPDX-License-Identifier: GPL-2.0-or-later
/* The table: what is not in it does not exist. openapi.json describes each row; a test compares them both ways. */
#include "serve/routes.h"

#include <errno.h>
#include <string.h>

#include "serve/metrics.h"

#define SOCKET SERVER_CONTROL
#define OPERATOR SERVER_OPERATOR
#define DETECTOR SERVER_DETECTOR
#define DASHBOARD SERVER_DASHBOARD
#define CHAOS SERVER_CHAOS
#define PAGES SERVER_PAGES
#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int route_health(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->health)
		return exchange_missing(x);
	return x->ops->health(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

static int route_openapi(struct exchange *x)
{
	if (buf_add(&x->reply->body, openapi_json, (size_t)(openapi_json_end - openapi_json)))
		return problem_set(&x->problem, 503, "out of memory");
	x->reply->status = 200;
	x->reply->content_type = "application/json";
	return 0;
}

static int route_doctor(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->doctor)
		return exchange_missing(x);
	return x->ops->doctor(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

static int route_mode(struct exchange *x)
{
	cJSON *json;

	if (!x->ops->mode)
		return exchange_missing(x);
	return x->ops->mode(x->ctx, &json, &x->problem) ?: exchange_json(x, 200, json);
}

static int route_set_mode(struct exchange *x)
{
	static const char *const modes[] = { "observe", "suggest", "auto-safe", "auto" };
	const char *mode;
	cJSON *json;
	int err = exchange_may_act(x, NULL) ?: exchange_text(x, "mode", true, 16, &mode);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i], mode) != 0)
			continue;
		if (!x->ops->set_mode)
			return exchange_missing(x);
		return x->ops->set_mode(x->ctx, &x->caller, mode, &json, &x->problem) ?:
			exchange_json(x, 200, json);
	}
	return problem_parameter(&x->problem, 400, "mode", mode,
				 "observe, suggest, auto-safe or auto");
}

static int route_metrics(struct exchange *x)
{
	CLEANUP(metrics_freep) struct metrics *m = NULL;
	bool openmetrics = metrics_wants_openmetrics(x->req->accept);

	if (!x->ops->metrics)
		return exchange_missing(x);
	if (metrics_new(&m) || x->ops->metrics(x->ctx, m))
		return problem_set(&x->problem, 503, "the metrics could not be read");
	x->reply->body.max = METRICS_TEXT_MAX;
	if (metrics_render(m, openmetrics, &x->reply->body))
		return problem_set(&x->problem, 503, "there are more series than one answer holds");
	x->reply->status = 200;
	x->reply->content_type = openmetrics ?
		"application/openmetrics-text; version=1.0.0; charset=utf-8" :
		"text/plain; version=0.0.4; charset=utf-8";
	return 0;
}

static const struct route routes[] = {
	{ "GET", "/v1/health", SOCKET | OPERATOR | DETECTOR | PAGES, .handler = route_health },
	{ "GET", "/v1/openapi.json", SOCKET | OPERATOR | DETECTOR | PAGES,
	  .handler = route_openapi },

	{ "GET", "/v1/services", SOCKET | DETECTOR | PAGES, .handler = route_services },
	{ "POST", "/v1/services", SOCKET, BODY_JSON,
	  .fields = LIST("name", "port", "pid", "cgroup", "container", "pod", "unit", "supervised"),
	  .handler = route_attach },
	{ "GET", "/v1/services/{name}", SOCKET | DETECTOR | PAGES, .handler = route_service },
	{ "DELETE", "/v1/services/{name}", SOCKET, .handler = route_detach },
	{ "POST", "/v1/services/{name}/accept", SOCKET, .handler = route_accept },
	{ "GET", "/v1/graph", SOCKET | DETECTOR | PAGES, .handler = route_graph },
	{ "GET", "/v1/scores", SOCKET | DETECTOR | DASHBOARD, .handler = route_scores },
	/* Its members are observe/wire.h's. */
	{ "POST", "/v1/samples", SOCKET | DETECTOR, BODY_JSON, .handler = route_sample },
	{ "GET", "/v1/nodes", SOCKET | DETECTOR | DASHBOARD, .handler = route_nodes },
	{ "GET", "/v1/judgement", SOCKET | DETECTOR, .handler = route_judgement },
	{ "GET", "/v1/requests", SOCKET | DETECTOR | PAGES,
	  .query = LIST("service", "slow", "failed", "limit"), .handler = route_requests },

	{ "GET", "/v1/faults", SOCKET | DETECTOR | PAGES, .query = LIST("service"),
	  .handler = route_faults },
	/* The body's other members are the fault module's, which names an unknown one. */
	{ "POST", "/v1/faults", SOCKET | CHAOS, BODY_JSON, .query = LIST("dry_run"),
	  .handler = route_arm },
	{ "DELETE", "/v1/faults", SOCKET | CHAOS, .query = LIST("service"),
	  .handler = route_disarm_all },
	{ "GET", "/v1/faults/types", SOCKET | DETECTOR | PAGES, .handler = route_fault_types },
	{ "GET", "/v1/faults/{id}", SOCKET | DETECTOR | PAGES, .handler = route_fault },
	{ "DELETE", "/v1/faults/{id}", SOCKET | CHAOS, .handler = route_disarm },

	{ "GET", "/v1/incidents", SOCKET | OPERATOR | PAGES,
	  .query = LIST("state", "before", "limit"), .handler = route_incidents },
	{ "GET", "/v1/incidents/{id}", SOCKET | OPERATOR | PAGES, .handler = route_incident },
	{ "POST", "/v1/incidents/{id}/approve", SOCKET | OPERATOR | DASHBOARD, BODY_MAYBE,
	  .fields = LIST("action"), .handler = route_approve },
	{ "POST", "/v1/incidents/{id}/reject", SOCKET | OPERATOR | DASHBOARD, BODY_MAYBE,
	  .fields = LIST("why"), .handler = route_reject },
	{ "GET", "/v1/incidents/{id}/report", SOCKET | OPERATOR | DASHBOARD,
	  .handler = route_report },
	{ "POST", "/v1/analyze", SOCKET | OPERATOR, BODY_JSON, .any_query = true,
	  .handler = route_analyze },

	{ "GET", "/v1/mode", SOCKET | OPERATOR | DASHBOARD, .handler = route_mode },
	{ "POST", "/v1/mode", SOCKET, BODY_JSON, .fields = LIST("mode"),
	  .handler = route_set_mode },
	{ "GET", "/v1/doctor", SOCKET | DETECTOR | DASHBOARD, .handler = route_doctor },

	{ "GET", "/v1/series", SOCKET | DETECTOR | PAGES,
	  .query = LIST("service", "metric", "from", "to", "step"), .handler = route_series },
	{ "GET", "/v1/events", SOCKET | PAGES, .query = LIST("last_event_id"),
	  .handler = route_events },
	{ "GET", "/v1/loads", SOCKET | PAGES, .handler = route_loads },
	{ "POST", "/v1/loads", SOCKET | CHAOS, BODY_JSON, .fields = LIST("shape", "with_failures"),
	  .handler = route_load_start },
	{ "GET", "/v1/loads/shapes", SOCKET | PAGES, .handler = route_load_shapes },
	{ "GET", "/v1/loads/{id}", SOCKET | PAGES, .handler = route_load },
	{ "DELETE", "/v1/loads/{id}", SOCKET | CHAOS, .handler = route_load_stop },
	{ "GET", "/v1/audit", SOCKET | CHAOS, .query = LIST("limit"), .handler = route_audit },

	/* The contract's own paths. */
	{ "GET", "/health", OPERATOR | DETECTOR, .handler = route_health },
	{ "GET", "/incidents", OPERATOR, .query = LIST("state", "before", "limit"),
	  .handler = route_incidents },
	{ "GET", "/incidents/{id}", OPERATOR, .handler = route_incident },
	{ "POST", "/incidents/{id}/approve", OPERATOR, BODY_MAYBE, .fields = LIST("action"),
	  .handler = route_approve },
	{ "POST", "/incidents/{id}/reject", OPERATOR, BODY_MAYBE, .fields = LIST("why"),
	  .handler = route_reject },
	{ "POST", "/analyze", OPERATOR, BODY_JSON, .any_query = true, .handler = route_analyze },
	{ "GET", "/metrics", DETECTOR, .handler = route_metrics },
	{ "GET", "/services", DETECTOR, .handler = route_services },
	{ "GET", "/services/{name}", DETECTOR, .handler = route_service },
	{ "GET", "/graph", DETECTOR, .handler = route_graph },
	{ "GET", "/scores", DETECTOR, .handler = route_scores },
	{ "GET", "/api/v1/query", DETECTOR, .any_query = true, .handler = route_query,
	  .query = LIST("query", "time", "timeout", "limit", "lookback_delta", "stats") },
	{ "POST", "/api/v1/query", DETECTOR, BODY_FORM, .any_query = true, .handler = route_query },
	{ "GET", "/api/v1/query_range", DETECTOR, .any_query = true, .handler = route_query,
	  .query = LIST("query", "start", "end", "step", "timeout", "limit", "lookback_delta",
			"stats") },
	{ "POST", "/api/v1/query_range", DETECTOR, BODY_FORM, .any_query = true,
	  .handler = route_query },
};

const struct route *router_routes(size_t *nr)
{
	*nr = ARRAY_SIZE(routes);
	return routes;
}
