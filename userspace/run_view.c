// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "run_roles.h"

#define EDGES_MAX 1024

static const char *const source_names[] = { "port",      "pid", "cgroup", "port",
					    "container", "pod", "unit" };

const struct verdict *view_verdict(const struct daemon *d, uint32_t service)
{
	for (size_t i = 0; i < d->nr_verdicts; i++)
		if (d->verdicts[i].service == service)
			return &d->verdicts[i];
	return NULL;
}

/* Three digits after the point: more would be noise. */
static void add_number(cJSON *to, const char *name, double v)
{
	cJSON_AddNumberToObject(to, name, isfinite(v) ? round(v * 1000) / 1000 : 0);
}

static double share(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

/* A quantile in ms; null while there is nothing to take it of. */
static void add_quantile_ms(cJSON *to, const char *name, const struct hist *h, double q)
{
	if (hist_count(h))
		add_number(to, name, hist_quantile_ns(h, q) / 1e6);
	else
		cJSON_AddNullToObject(to, name);
}

static void add_list(cJSON *to, const char *name, const char *const *items, size_t nr)
{
	cJSON *list = cJSON_AddArrayToObject(to, name);

	for (size_t i = 0; i < nr; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(items[i]));
}

int view_degradation(const struct daemon *d)
{
	if (!role_watches(d))
		return role_degradation(d);
	if (!d->observer)
		return 3;
	const struct observer_can *can = observer_can(d->observer);
	if (can->requests)
		return 3;
	return can->tasks || can->in_flight ? 2 : can->clients || can->aborted || !d->store ? 1 : 0;
}

static void add_abilities(struct daemon *d, cJSON *j)
{
	static const char *const names[] = { "requests", "clients", "in flight", "aborted",
					     "tasks" };
	const char *works[8], *lacks[8];
	size_t nr_works = 0, nr_lacks = 0;

	if (d->observer) {
		const struct observer_can *can = observer_can(d->observer);
		const char *const why[] = { can->requests, can->clients, can->in_flight,
					    can->aborted, can->tasks };

		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			if (why[i])
				lacks[nr_lacks++] = why[i];
			else
				works[nr_works++] = names[i];
		}
	} else if (role_watches(d)) {
		lacks[nr_lacks++] = d->observer_lack;
	}
	if (!d->store)
		lacks[nr_lacks++] = "no store on disk: incidents are lost when the daemon ends";
	add_list(j, "works", works, nr_works);
	add_list(j, "lacks", lacks, nr_lacks);
	role_lacks(d, cJSON_GetObjectItemCaseSensitive(j, "lacks"));
}

static void add_detector(struct daemon *d, cJSON *j)
{
	cJSON *det = cJSON_AddObjectToObject(j, "detector");

	cJSON_AddBoolToObject(det, "warm", d->warm);
	add_number(det, "tick_s", (double)d->tick_ns / 1e9);
	cJSON_AddNumberToObject(det, "baseline", d->config->detect.baseline);
	cJSON *list = cJSON_AddArrayToObject(det, "services");
	for (size_t i = 0; i < d->nr_verdicts; i++) {
		const struct verdict *v = &d->verdicts[i];
		cJSON *s = cJSON_CreateObject();

		cJSON_AddStringToObject(s, "name", v->name);
		cJSON_AddNumberToObject(s, "baseline_samples", (double)v->baseline_samples);
		cJSON_AddBoolToObject(s, "warm", v->warm);
		cJSON_AddItemToArray(list, s);
	}
}

static void add_operator(struct daemon *d, cJSON *j)
{
	cJSON *op = cJSON_AddObjectToObject(j, "operator");

	if (!d->engine) {
		cJSON_AddStringToObject(op, "planner", "in another process");
		return;
	}
	const struct engine_stats *e = engine_stats(d->engine);
	const struct guard_limits *g = guard_limits(engine_guard(d->engine));
	cJSON_AddStringToObject(op, "planner", d->llm ? "model, else playbook" : "playbook");
	add_number(op, "cooldown_s", (double)g->cooldown_ns / 1e9);
	cJSON_AddNumberToObject(op, "max_actions_per_hour", g->per_hour);
	cJSON_AddNumberToObject(op, "max_actions_per_incident", g->per_incident);
	cJSON_AddNumberToObject(op, "incidents_opened", (double)e->opened);
	cJSON_AddNumberToObject(op, "incidents_repaired", (double)e->repaired);
	cJSON_AddNumberToObject(op, "incidents_escalated", (double)e->escalated);
	cJSON_AddNumberToObject(op, "incidents_healed", (double)e->healed);
}

cJSON *view_health(struct daemon *d)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "version", ARCHAIC_VERSION);
	add_number(j, "uptime_s", (double)(clock_mono_ns() - d->started_ns) / 1e9);
	cJSON_AddStringToObject(
		j, "mode", guard_mode_name(d->engine ? engine_mode(d->engine) : GUARD_OBSERVE));
	cJSON_AddStringToObject(j, "role", role_name(d->role));
	cJSON_AddNumberToObject(j, "degradation_level", view_degradation(d));
	add_abilities(d, j);
	add_detector(d, j);
	add_operator(d, j);
	return j;
}

static int add_fault_id(const struct fault *f, void *ctx)
{
	const struct {
		cJSON *list;
		uint32_t service;
	} *to = ctx;

	if (f->state == FAULT_ARMED && f->service_id == to->service)
		cJSON_AddItemToArray(to->list, cJSON_CreateString(f->id));
	return 0;
}

static void add_text(cJSON *j, const char *name, const char *text)
{
	cJSON_AddItemToObject(j, name, *text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static void add_identity(cJSON *j, const struct service *s, const char *namespace)
{
	cJSON_AddStringToObject(j, "name", s->name);
	cJSON_AddStringToObject(j, "namespace", *s->namespace ? s->namespace : namespace);
	cJSON_AddStringToObject(j, "source", source_names[s->source]);
	cJSON_AddBoolToObject(j, "found", s->found);
	add_text(j, "container_id", s->container_id);
	add_text(j, "pod", s->pod);
	add_text(j, "unit", s->unit);
	cJSON_AddBoolToObject(j, "supervised", s->supervised);
	cJSON *ports = cJSON_AddArrayToObject(j, "ports");
	for (size_t i = 0; i < s->nr_ports; i++)
		cJSON_AddItemToArray(ports, cJSON_CreateNumber(s->ports[i]));
	cJSON_AddStringToObject(j, "cgroup", s->cgroup);
	cJSON *pids = cJSON_AddArrayToObject(j, "pids");
	for (size_t i = 0; i < s->nr_pids; i++)
		if (s->pids[i]) /* 0: on another machine */
			cJSON_AddItemToArray(pids, cJSON_CreateNumber(s->pids[i]));
}

static void add_traffic(cJSON *j, const struct recent_service *r)
{
	const struct service_sample *s = &r->sum;
	double span = r->span_s > 0 ? r->span_s : 1;

	add_number(j, "rate_per_s", (double)s->requests / span);
	add_number(j, "error_ratio",
		   share(s->status_class[5] + s->aborted, s->requests + s->aborted));
	cJSON *latency = cJSON_AddObjectToObject(j, "latency_ms");
	add_quantile_ms(latency, "p50", &s->duration, .5);
	add_quantile_ms(latency, "p90", &s->duration, .9);
	add_quantile_ms(latency, "p99", &s->duration, .99);
	cJSON *self = cJSON_AddObjectToObject(j, "self_ms");
	if (s->requests)
		add_number(self, "mean",
			   fmax(0, (double)s->duration_ns - (double)r->callee_ns) /
				   (double)s->requests / 1e6);
	else
		cJSON_AddNullToObject(self, "mean");
	cJSON_AddNumberToObject(j, "in_flight", s->in_flight);
	add_number(j, "oldest_in_flight_ms", (double)s->oldest_ns / 1e6);
	add_number(j, "cpu_cores", (double)s->cpu_ns / 1e9 / span);
	cJSON *runq = cJSON_AddObjectToObject(j, "runqueue_ms");
	add_quantile_ms(runq, "p95", &s->runq, .95);
}

cJSON *view_service(struct daemon *d, const struct service *s)
{
	cJSON *j = cJSON_CreateObject();
	const struct verdict *v = view_verdict(d, s->id);
	struct recent_service r;
	struct {
		cJSON *list;
		uint32_t service;
	} faults = { .service = s->id };

	recent_service(d->recent, s->id, &r);
	add_identity(j, s, d->config->observe.namespace);
	add_traffic(j, &r);
	cJSON_AddNumberToObject(j, "requests_total", (double)recent_total(d->recent, s->id));
	add_number(j, "score", v ? v->score : 0);
	cJSON_AddBoolToObject(j, "anomalous", v && v->anomalous);
	cJSON_AddStringToObject(j, "why", v ? v->why : "");
	faults.list = cJSON_AddArrayToObject(j, "faults");
	if (d->faults)
		faults_each(d->faults, add_fault_id, &faults);
	nodes_view(d, s->id, j);
	cJSON_AddNumberToObject(j, "baseline_samples", v ? (double)v->baseline_samples : 0);
	return j;
}

static const char *name_of(const struct daemon *d, uint32_t id)
{
	const struct service *s = id ? registry_by_id(d->registry, id) : NULL;

	return s ? s->name : "outside";
}

static void add_end(cJSON *to, const char *name, uint64_t requests, uint64_t failed,
		    const struct hist *h)
{
	cJSON *end = cJSON_AddObjectToObject(to, name);

	cJSON_AddNumberToObject(end, "requests", (double)requests);
	add_number(end, "error_ratio", share(failed, requests));
	add_quantile_ms(end, "p50_ms", h, .5);
	add_quantile_ms(end, "p99_ms", h, .99);
}

static cJSON *edge_json(const struct daemon *d, const struct edge_sample *e, double span_s)
{
	cJSON *j = cJSON_CreateObject();
	uint64_t requests = e->server_requests ?: e->client_requests;
	double server_mean = share(e->server_duration_ns, e->server_requests);
	double client_mean = share(e->client_duration_ns, e->client_requests);

	cJSON_AddStringToObject(j, "client", name_of(d, e->client));
	cJSON_AddStringToObject(j, "server", name_of(d, e->server));
	add_number(j, "rate_per_s", (double)requests / (span_s > 0 ? span_s : 1));
	add_number(j, "error_ratio",
		   e->client_requests + e->client_aborted ?
			   share(e->client_failed + e->client_aborted,
				 e->client_requests + e->client_aborted) :
			   share(e->server_failed, e->server_requests));
	add_end(j, "at_server", e->server_requests, e->server_failed, &e->server_duration);
	add_end(j, "at_client", e->client_requests, e->client_failed, &e->client_duration);
	/* What the client waited for and the server did not spend: known only where both ends are seen. */
	if (e->client_requests && e->server_requests && client_mean > 0)
		add_number(j, "network_share_ratio",
			   fmax(0, client_mean - server_mean) / client_mean);
	else
		cJSON_AddNullToObject(j, "network_share_ratio");
	cJSON_AddNumberToObject(j, "client_aborted", (double)e->client_aborted);
	cJSON_AddNumberToObject(j, "client_in_flight", e->client_in_flight);
	return j;
}

cJSON *view_edges(const struct daemon *d)
{
	cJSON *edges = cJSON_CreateArray();
	struct edge_sample *list = calloc(EDGES_MAX, sizeof(*list));
	double span_s;
	size_t nr = list ? recent_edges(d->recent, list, EDGES_MAX, &span_s) : 0;
	for (size_t i = 0; i < nr; i++)
		cJSON_AddItemToArray(edges, edge_json(d, &list[i], span_s));
	free(list);
	return edges;
}

cJSON *view_graph(struct daemon *d)
{
	cJSON *j = cJSON_CreateObject();
	cJSON *nodes = cJSON_AddArrayToObject(j, "nodes");
	const struct service *s;

	for (size_t i = 0; (s = registry_at(d->registry, i)); i++)
		cJSON_AddItemToArray(nodes, view_service(d, s));
	cJSON_AddItemToObject(j, "edges", view_edges(d));
	return j;
}

/* Why an anomaly has not ended yet; null where there is none. */
static void add_open(cJSON *to, const struct verdict *v)
{
	if (!v->anomalous) {
		cJSON_AddNullToObject(to, "open");
		return;
	}
	cJSON *open = cJSON_AddObjectToObject(to, "open");

	add_number(open, "for_s", (double)(v->at_ns - v->opened_ns) / 1e9);
	add_number(open, "suspect_s_ago", (double)(v->at_ns - v->suspect_ns) / 1e9);
	cJSON_AddStringToObject(open, "why", v->open_why);
	cJSON_AddNumberToObject(open, "calm_ticks", v->calm);
	cJSON_AddNumberToObject(open, "calm_ticks_needed", v->calm_needed);
}

cJSON *view_scores(struct daemon *d)
{
	cJSON *j = cJSON_CreateObject();
	cJSON *items = cJSON_AddArrayToObject(j, "items");

	for (size_t i = 0; i < d->nr_verdicts; i++) {
		const struct verdict *v = &d->verdicts[i];
		cJSON *s = cJSON_CreateObject();

		cJSON_AddStringToObject(s, "service", v->name);
		add_number(s, "score", v->score);
		add_number(s, "classic_score", v->classic_score);
		add_number(s, "threshold", v->threshold);
		cJSON_AddStringToObject(s, "scorer", scorer_name(v->scorer));
		cJSON_AddBoolToObject(s, "anomalous", v->anomalous);
		cJSON_AddBoolToObject(s, "suspect", v->suspect);
		cJSON_AddBoolToObject(s, "warm", v->warm);
		cJSON_AddNumberToObject(s, "baseline_samples", (double)v->baseline_samples);
		cJSON_AddStringToObject(s, "why", v->why);
		add_open(s, v);
		cJSON *features = cJSON_AddArrayToObject(s, "features");
		for (size_t k = 0; k < v->nr_top; k++) {
			cJSON *f = cJSON_CreateObject();
			cJSON_AddStringToObject(f, "feature", feature_name(v->top[k].feature));
			add_number(f, "share_ratio", v->top[k].share);
			add_number(f, "value", v->top[k].value);
			add_number(f, "normal", v->top[k].normal);
			add_number(f, "z", v->top[k].z);
			cJSON_AddItemToArray(features, f);
		}
		cJSON_AddItemToArray(items, s);
	}
	return j;
}
