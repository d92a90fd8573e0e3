// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "run_export.h"
#include "run_live.h"
#include "run_ops.h"
#include "run_roles.h"
#include "serve/doctor.h"

#define TARGETS_WAIT_NS (5 * NSEC_PER_SEC)

int ops_give(cJSON *j, cJSON **ret)
{
	if (!j)
		return -ENOMEM;
	*ret = j;
	return 0;
}

cJSON *ops_list(cJSON **items)
{
	cJSON *j = cJSON_CreateObject();

	*items = cJSON_AddArrayToObject(j, "items");
	return j;
}

const struct service *ops_service(struct daemon *d, const char *name, struct problem *p)
{
	const struct service *s = registry_by_name(d->registry, name);

	if (!s)
		problem_set(p, 404, "there is no service %s; `archaic-ebpf services` lists them",
			    name);
	return s;
}

const char *ops_who(const struct caller *who)
{
	return who->transport == TRANSPORT_TCP ? "tcp" :
		who->is_root                   ? "root" :
		*who->service                  ? who->service :
						 "user";
}

/* ---- services */

static int op_health(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	(void)p;
	return ops_give(view_health(d), ret);
}

static int op_caller_service(void *ctx, pid_t pid, char ret[static SERVICE_NAME_MAX])
{
	struct daemon *d = ctx;
	LOCKED(d);

	const struct service *s = registry_by_pid(d->registry, pid);
	if (!s)
		return -ENOENT;
	snprintf(ret, SERVICE_NAME_MAX, "%s", s->name);
	return 0;
}

static int op_services(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	cJSON *items, *j = ops_list(&items);
	const struct service *s;
	LOCKED(d);

	(void)p;
	for (size_t i = 0; (s = registry_at(d->registry, i)); i++)
		cJSON_AddItemToArray(items, view_service(d, s));
	return ops_give(j, ret);
}

static int op_service(void *ctx, const char *name, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	const struct service *s = ops_service(d, name, p);
	return s ? ops_give(view_service(d, s), ret) : -ENOENT;
}

static int op_attach(void *ctx, const struct caller *who, const struct control_attach *what,
		     cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	struct service s;
	struct target_selector target;
	const char *const texts[] = { "", what->container, what->pod, what->unit };
	int asked = run_target_asked(texts, &target, p);
	const struct registry_attach a = {
		.name = *what->name ? what->name : NULL,
		.port = what->port,
		.pid = what->pid,
		.cgroup = *what->cgroup ? what->cgroup : NULL,
		.target = asked > 0 ? &target : NULL,
		.supervised = what->supervised,
	};
	if (asked < 0)
		return asked;
	/* Without the lock: Docker may take its time. Who is not known by then is not found. */
	if (asked && d->targets && target.kind != TARGET_UNIT)
		targets_refresh(d->targets, TARGETS_WAIT_NS);
	LOCKED(d);

	int err = registry_attach(d->registry, &a, clock_mono_ns(), &s, p);
	if (err)
		return err;
	/* Known to the kernel when this call returns, not at the next scan. */
	daemon_scan(d, clock_mono_ns());
	log_info("%s attached service %s", ops_who(who), s.name);
	const struct service *now = registry_by_id(d->registry, s.id);
	return ops_give(view_service(d, now ? now : &s), ret);
}

static int op_detach(void *ctx, const struct caller *who, const char *name, struct problem *p)
{
	struct daemon *d = ctx;
	struct service s;
	LOCKED(d);

	int err = registry_detach(d->registry, name, &s, p);
	if (err)
		return err;
	daemon_scan(d, clock_mono_ns());
	log_info("%s detached service %s", ops_who(who), s.name);
	return 0;
}

static int op_accept(void *ctx, const struct caller *who, const char *name, cJSON **ret,
		     struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	const struct service *s = ops_service(d, name, p);
	if (!s)
		return -ENOENT;
	const struct verdict *v = view_verdict(d, s->id);
	if (!v || !v->anomalous)
		return problem_set(p, 409, "%s is not anomalous: there is nothing to accept",
				   s->name);
	int err = detector_accept(d->detector, s->id);
	if (err)
		return err;
	log_info("%s accepts what %s does now as its normal", ops_who(who), s->name);
	return ops_give(view_service(d, s), ret);
}

static int op_graph(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	(void)p;
	return ops_give(view_graph(d), ret);
}

static int op_scores(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	(void)p;
	return ops_give(view_scores(d), ret);
}

/* ---- requests */

struct request_list {
	struct daemon *d;
	cJSON *items;
};

static bool add_request(void *ctx, const struct request *r)
{
	struct request_list *l = ctx;
	char path[ABI_PATH_MAX + 1], trace[ABI_TRACE_MAX + 1], when[CLOCK_TEXT_SIZE];
	const struct service *server = registry_by_id(l->d->registry, r->server);
	const struct service *client = registry_by_id(l->d->registry, r->client);
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "at", clock_format(clock_mono_to_wall_ms(r->start_ns), when));
	cJSON_AddStringToObject(j, "service", server ? server->name : "outside");
	cJSON_AddStringToObject(j, "client", client ? client->name : "outside");
	cJSON_AddStringToObject(j, "side", r->side == ABI_SIDE_SERVER ? "server" : "client");
	cJSON_AddStringToObject(j, "method", request_method(r->method));
	cJSON_AddStringToObject(j, "path", request_printable(r->path, path, sizeof(path)));
	cJSON_AddNumberToObject(j, "status", r->status);
	cJSON_AddNumberToObject(j, "ttfb_ms", (double)r->ttfb_ns / 1e6);
	cJSON_AddNumberToObject(j, "duration_ms", (double)r->duration_ns / 1e6);
	cJSON_AddBoolToObject(j, "slow", r->flags & ABI_REQUEST_SLOW);
	cJSON_AddBoolToObject(j, "failed", r->flags & (ABI_REQUEST_FAILED | ABI_REQUEST_ABORTED));
	cJSON_AddStringToObject(j, "trace_id",
				request_printable(r->trace_id, trace, sizeof(trace)));
	cJSON_AddItemToArray(l->items, j);
	return true;
}

static int op_requests(void *ctx, const struct control_requests *which, cJSON **ret,
		       struct problem *p)
{
	struct daemon *d = ctx;
	struct requests_filter f = { .slow = which->slow, .failed = which->failed };
	LOCKED(d);

	if (*which->service) {
		const struct service *s = ops_service(d, which->service, p);
		if (!s)
			return -ENOENT;
		f.service = s->id;
	}
	struct request_list l = { .d = d };
	cJSON *j = ops_list(&l.items);
	requests_each(d->requests, &f, which->limit, add_request, &l);
	return ops_give(j, ret);
}

/* ---- incidents */

static int no_incident(struct problem *p, const char *id)
{
	return problem_set(p, 404, "there is no incident %s; `archaic-ebpf incidents` lists them",
			   id);
}

static int op_incidents(void *ctx, const struct control_incidents *which, cJSON **ret,
			struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	int err = engine_list_json(d->engine, *which->before ? which->before : NULL,
				   *which->state ? which->state : NULL, (unsigned)which->limit,
				   ret);
	return err == -EINVAL ? problem_parameter(p, 400, "before", which->before,
						  "an incident's id, like i-0004") :
				err;
}

static int op_incident(void *ctx, const char *id, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	int err = engine_incident_json(d->engine, id, ret);
	return err == -ENOENT ? no_incident(p, id) : err;
}

static int op_approve(void *ctx, const struct caller *who, const char *id, const char *action,
		      cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	int err = engine_approve(d->engine, clock_mono_ns(), id, action, ops_who(who), p);
	return err ?: engine_incident_json(d->engine, id, ret);
}

static int op_reject(void *ctx, const struct caller *who, const char *id, const char *why,
		     cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	LOCKED(d);

	int err = engine_reject(d->engine, clock_mono_ns(), id, ops_who(who), why, p);
	return err ?: engine_incident_json(d->engine, id, ret);
}

static int op_report(void *ctx, const char *id, char **ret, struct problem *p)
{
	struct daemon *d = ctx;
	CLEANUP(buf_release) struct buf b;
	LOCKED(d);

	buf_init(&b, 1 << 20);
	int err = engine_report(d->engine, id, &b);
	if (err == -ENOENT)
		return no_incident(p, id);
	if (err)
		return err;
	*ret = buf_take(&b);
	return *ret ? 0 : -ENOMEM;
}

static int op_analyze(void *ctx, const struct caller *who, const cJSON *body, cJSON **ret,
		      struct problem *p)
{
	struct daemon *d = ctx;
	const struct incident *i;
	LOCKED(d);

	int err = engine_analyze(d->engine, clock_mono_ns(), body, &i, p);
	if (err || !i)
		return err;
	log_info("%s reported trouble: incident %s", ops_who(who), i->id);
	return ops_give(incident_to_json(i), ret);
}

static int op_mode(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	cJSON *j = cJSON_CreateObject();
	LOCKED(d);

	(void)p;
	cJSON_AddStringToObject(j, "mode", guard_mode_name(engine_mode(d->engine)));
	return ops_give(j, ret);
}

static int op_set_mode(void *ctx, const struct caller *who, const char *mode, cJSON **ret,
		       struct problem *p)
{
	struct daemon *d = ctx;
	enum guard_mode m;

	if (guard_mode_parse(mode, &m) < 0)
		return problem_parameter(p, 400, "mode", mode,
					 "observe, suggest, auto-safe or auto");
	pthread_mutex_lock(&d->lock);
	engine_set_mode(d->engine, m, ops_who(who), clock_mono_ns());
	pthread_mutex_unlock(&d->lock);
	log_info("%s set the mode to %s", ops_who(who), mode);
	return op_mode(ctx, ret, p);
}

/* Without the lock but for the configuration: it takes as long as a few forks. */
static int op_doctor(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	struct faults_config c;
	char model[400], traces[640];

	(void)p;
	run_limits_now(d, &c);
	run_model_says(d->config, model, sizeof(model));
	trace_export_says(d->config, traces, sizeof(traces));
	return doctor_report(d->observer ? observer_can(d->observer) : NULL, d->observer_lack, &c,
			     model, traces, ret);
}

static int op_metrics(void *ctx, struct metrics *m)
{
	struct daemon *d = ctx;
	LOCKED(d);

	return view_metrics(d, m);
}

const struct control_ops daemon_ops = {
	.health = op_health,
	.caller_service = op_caller_service,
	.services = op_services,
	.service = op_service,
	.attach = op_attach,
	.detach = op_detach,
	.accept = op_accept,
	.graph = op_graph,
	.sample = op_sample,
	.nodes = op_nodes,
	.judgement = op_judgement,
	.scores = op_scores,
	.requests = op_requests,
	.faults = op_faults,
	.fault = op_fault,
	.fault_types = op_fault_types,
	.arm = op_arm,
	.disarm = op_disarm,
	.disarm_all = op_disarm_all,
	.incidents = op_incidents,
	.incident = op_incident,
	.approve = op_approve,
	.reject = op_reject,
	.report = op_report,
	.analyze = op_analyze,
	.mode = op_mode,
	.set_mode = op_set_mode,
	.doctor = op_doctor,
	.metrics = op_metrics,
	.series = op_series,
	.events = op_events,
	.load_shapes = op_load_shapes,
	.loads = op_loads,
	.load = op_load,
	.load_start = op_load_start,
	.load_stop = op_load_stop,
	.audit = op_audit,
	.acted = op_acted,
};
