// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_control.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "serve/metrics.h"

struct fake_control fake;

void fake_control_init(struct fake_control *f)
{
	*f = (struct fake_control){ 0 };
	pthread_mutex_init(&f->lock, NULL);
}

static int give(struct fake_control *f, const char *json, cJSON **ret)
{
	if (f->broken)
		return -EIO;
	*ret = cJSON_Parse(json);
	return *ret ? 0 : -ENOMEM;
}

static void note(struct fake_control *f, const struct caller *who, const char *id,
		 const char *service)
{
	pthread_mutex_lock(&f->lock);
	f->calls++;
	f->who = *who;
	snprintf(f->id, sizeof(f->id), "%s", id ?: "");
	snprintf(f->service, sizeof(f->service), "%s", service ?: "");
	pthread_mutex_unlock(&f->lock);
}

static int known(const char *name, struct problem *p)
{
	if (!strcmp(name, "db") || !strcmp(name, "auth"))
		return 0;
	return problem_set(p, 404, "there is no service %s", name);
}

static int health(void *ctx, cJSON **ret, struct problem *p)
{
	struct fake_control *f = ctx;
	struct timespec t = { .tv_sec = f->hold_ms / 1000,
			      .tv_nsec = (long)(f->hold_ms % 1000) * 1000000 };

	(void)p;
	if (f->hold_ms)
		nanosleep(&t, NULL);
	return give(
		f,
		"{\"version\":\"0\",\"uptime_s\":1,\"mode\":\"suggest\",\"degradation_level\":0,\"works\":[],"
		"\"lacks\":[],\"detector\":{\"warm\":false,\"baseline\":9,\"services\":[]},"
		"\"operator\":{\"planner\":\"playbook\"}}",
		ret);
}

static int caller_service(void *ctx, pid_t pid, char ret[static SERVICE_NAME_MAX])
{
	struct fake_control *f = ctx;

	if (pid <= 0 || !*f->self)
		return -ENOENT;
	snprintf(ret, SERVICE_NAME_MAX, "%s", f->self);
	return 0;
}

#define DB_JSON "{\"name\":\"db\",\"source\":\"port\",\"ports\":[8002]}"
#define FAULT_JSON                                                                                                      \
	"{\"id\":\"f-db\",\"type\":\"timeout\",\"service\":\"db\",\"params\":{},\"probability\":1,\"state\":\"armed\"," \
	"\"says\":\"db answers late\"}"
#define INCIDENT_JSON                                                                                                  \
	"{\"id\":\"i-0001\",\"state\":\"awaiting_approval\",\"opened_at\":\"2024-01-15T10:30:00.000Z\",\"causes\":[]," \
	"\"victims\":[],\"timeline\":[]}"

static int services(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return give(ctx, "{\"items\":[" DB_JSON "]}", ret);
}

static int service(void *ctx, const char *name, cJSON **ret, struct problem *p)
{
	return known(name, p) ?: give(ctx, DB_JSON, ret);
}

static int attach(void *ctx, const struct caller *who, const struct control_attach *what,
		  cJSON **ret, struct problem *p)
{
	struct fake_control *f = ctx;

	if (!strcmp(what->name, "db"))
		return problem_set(p, 409, "the name db is taken");
	note(f, who, NULL, what->name);
	f->attach = *what;
	return give(f, DB_JSON, ret);
}

static int detach(void *ctx, const struct caller *who, const char *name, struct problem *p)
{
	note(ctx, who, NULL, name);
	return known(name, p);
}

static int accept_level(void *ctx, const struct caller *who, const char *name, cJSON **ret,
			struct problem *p)
{
	note(ctx, who, NULL, name);
	return known(name, p) ?: give(ctx, DB_JSON, ret);
}

static int graph(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return give(ctx, "{\"nodes\":[],\"edges\":[]}", ret);
}

static int items(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return give(ctx, "{\"items\":[]}", ret);
}

static int requests(void *ctx, const struct control_requests *which, cJSON **ret, struct problem *p)
{
	struct fake_control *f = ctx;

	(void)p;
	f->requests = *which;
	/* A path of a stranger's: no UTF-8. */
	return give(
		f,
		"{\"items\":[{\"at\":\"2024-01-15T10:30:00.000Z\",\"service\":\"db\",\"client\":\"outside\","
		"\"side\":\"server\",\"method\":\"GET\",\"path\":\"/\xff\xc3\",\"status\":200,"
		"\"duration_ms\":1}]}",
		ret);
}

static int faults(void *ctx, const char *name, cJSON **ret, struct problem *p)
{
	struct fake_control *f = ctx;

	snprintf(f->service, sizeof(f->service), "%s", name ?: "");
	return (name ? known(name, p) : 0) ?: give(ctx, "{\"items\":[" FAULT_JSON "]}", ret);
}

static int no_id(const char *id, const char *is, const char *what, struct problem *p)
{
	return strcmp(id, is) ? problem_set(p, 404, "there is no %s %s", what, id) : 0;
}

static int fault(void *ctx, const char *id, cJSON **ret, struct problem *p)
{
	return no_id(id, "f-db", "fault", p) ?: give(ctx, FAULT_JSON, ret);
}

static int arm(void *ctx, const struct caller *who, const struct control_arm *what, cJSON **ret,
	       struct problem *p)
{
	static const char *const fields[] = { "service",    "type",  "params", "probability",
					      "duration_s", "match", "slot",   NULL };
	struct fake_control *f = ctx;
	const char *unknown = json_unknown(what->body, fields);

	if (f->refuse)
		return problem_set(p, f->refuse, "refused with %d", f->refuse);
	if (unknown)
		return problem_parameter(p, 400, unknown, "given", "left out");
	if (strcmp(json_str(what->body, "type"), "timeout") != 0)
		return problem_parameter(p, 400, "type", json_str(what->body, "type"), "timeout");
	if (json_num(what->body, "probability", 1) > 1)
		return problem_parameter(p, 400, "probability", "over 1", "0 to 1");
	note(f, who, NULL, what->service);
	f->dry_run = what->dry_run;
	if (strcmp(json_str(what->body, "service"), what->service) != 0)
		return problem_set(p, 500, "the body's service was not replaced");
	return known(what->service, p) ?: give(f, FAULT_JSON, ret);
}

static int disarm(void *ctx, const struct caller *who, const char *id, cJSON **ret,
		  struct problem *p)
{
	int err = no_id(id, "f-db", "fault", p);

	if (!err)
		note(ctx, who, id, NULL);
	return err ?: give(ctx, FAULT_JSON, ret);
}

static int disarm_all(void *ctx, const struct caller *who, const char *name, cJSON **ret,
		      struct problem *p)
{
	struct fake_control *f = ctx;

	note(f, who, NULL, name);
	f->all = !name;
	return (name ? known(name, p) : 0) ?: give(f, "{\"items\":[]}", ret);
}

static int incidents(void *ctx, const struct control_incidents *which, cJSON **ret,
		     struct problem *p)
{
	struct fake_control *f = ctx;

	(void)p;
	f->incidents = *which;
	return give(f, "{\"items\":[" INCIDENT_JSON "]}", ret);
}

static int incident(void *ctx, const char *id, cJSON **ret, struct problem *p)
{
	return no_id(id, "i-0001", "incident", p) ?: give(ctx, INCIDENT_JSON, ret);
}

static int approve(void *ctx, const struct caller *who, const char *id, const char *action,
		   cJSON **ret, struct problem *p)
{
	struct fake_control *f = ctx;
	int err = no_id(id, "i-0001", "incident", p);

	if (err)
		return err;
	note(f, who, id, NULL);
	snprintf(f->action, sizeof(f->action), "%s", action ?: "(none)");
	return give(f, INCIDENT_JSON, ret);
}

static int reject(void *ctx, const struct caller *who, const char *id, const char *why, cJSON **ret,
		  struct problem *p)
{
	struct fake_control *f = ctx;
	int err = no_id(id, "i-0001", "incident", p);

	if (err)
		return err;
	note(f, who, id, NULL);
	snprintf(f->why, sizeof(f->why), "%s", why);
	return give(f, INCIDENT_JSON, ret);
}

static int report(void *ctx, const char *id, char **ret, struct problem *p)
{
	int err = no_id(id, "i-0001", "incident", p);

	(void)ctx;
	if (!err && !(*ret = strdup("# i-0001\n")))
		return -ENOMEM;
	return err;
}

static int analyze(void *ctx, const struct caller *who, const cJSON *body, cJSON **ret,
		   struct problem *p)
{
	const char *name = json_str(body, "service");

	if (!name)
		return problem_parameter(p, 400, "service", "missing", "a service's name");
	note(ctx, who, NULL, name);
	if (!strcmp(json_str(body, "status") ?: "", "resolved"))
		return 0;
	return give(ctx, INCIDENT_JSON, ret);
}

static int mode(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return give(ctx, "{\"mode\":\"suggest\"}", ret);
}

static int set_mode(void *ctx, const struct caller *who, const char *wanted, cJSON **ret,
		    struct problem *p)
{
	struct fake_control *f = ctx;

	(void)p;
	note(f, who, NULL, NULL);
	snprintf(f->mode, sizeof(f->mode), "%s", wanted);
	return give(f, "{\"mode\":\"observe\"}", ret);
}

/* A window with a single known value: a rate of 7 in its first step. */
static int series(void *ctx, const struct control_series *which, struct series_window *ret,
		  struct problem *p)
{
	struct fake_control *f = ctx;
	int err = known(which->service, p) ?:
		series_window(which->from_s, which->to_s, which->step_s, which->now_s, ret);

	pthread_mutex_lock(&f->lock);
	f->series = *which;
	pthread_mutex_unlock(&f->lock);
	if (!err)
		ret->values[SERIES_RATE][0] = 7;
	return err;
}

static struct events *events(void *ctx)
{
	return ((struct fake_control *)ctx)->events;
}

#define LOAD_JSON                                                                      \
	"{\"id\":\"l-0001\",\"shape\":\"spike\",\"state\":\"running\",\"started_at\":" \
	"\"2024-01-15T10:30:00.000Z\",\"remaining_s\":1,\"requests\":0,\"errors\":0,\"says\":\"running\"}"

static int loads(void *ctx, cJSON **ret, struct problem *p)
{
	(void)p;
	return give(ctx, "{\"items\":[" LOAD_JSON "]}", ret);
}

static int load(void *ctx, const char *id, cJSON **ret, struct problem *p)
{
	return no_id(id, "l-0001", "load test", p) ?: give(ctx, LOAD_JSON, ret);
}

static int load_start(void *ctx, const struct caller *who, const struct control_load *what,
		      cJSON **ret, struct problem *p)
{
	struct fake_control *f = ctx;

	(void)p;
	note(f, who, NULL, NULL);
	f->load = *what;
	return give(f, LOAD_JSON, ret);
}

static int load_stop(void *ctx, const struct caller *who, const char *id, cJSON **ret,
		     struct problem *p)
{
	int err = no_id(id, "l-0001", "load test", p);

	if (err)
		return err;
	note(ctx, who, id, NULL);
	return give(ctx, LOAD_JSON, ret);
}

static int audit(void *ctx, size_t limit, cJSON **ret, struct problem *p)
{
	(void)limit;
	(void)p;
	return give(ctx, "{\"items\":[]}", ret);
}

static void acted(void *ctx, const struct control_act *what)
{
	struct fake_control *f = ctx;

	pthread_mutex_lock(&f->lock);
	f->acts++;
	f->act_status = what->status;
	snprintf(f->act, sizeof(f->act), "%s %s: %s", what->method, what->path, what->answer);
	pthread_mutex_unlock(&f->lock);
}

static int metrics(void *ctx, struct metrics *m)
{
	(void)ctx;
	return metrics_add(m, METRIC_BUILD_INFO, METRIC_LABELS("0"), 1);
}

const struct control_ops fake_control_ops = {
	.health = health,
	.caller_service = caller_service,
	.services = services,
	.service = service,
	.attach = attach,
	.detach = detach,
	.accept = accept_level,
	.graph = graph,
	.scores = items,
	.requests = requests,
	.faults = faults,
	.fault = fault,
	.fault_types = items,
	.arm = arm,
	.disarm = disarm,
	.disarm_all = disarm_all,
	.incidents = incidents,
	.incident = incident,
	.approve = approve,
	.reject = reject,
	.report = report,
	.analyze = analyze,
	.mode = mode,
	.set_mode = set_mode,
	.doctor = items,
	.metrics = metrics,
	.series = series,
	.events = events,
	.load_shapes = items,
	.loads = loads,
	.load = load,
	.load_start = load_start,
	.load_stop = load_stop,
	.audit = audit,
	.acted = acted,
};
