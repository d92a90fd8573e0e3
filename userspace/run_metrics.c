// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The daemon's numbers as series. Runs under the daemon's lock, so it copies and adds, and
 * writes no text: that is done from the snapshot, without the lock.
 */
#include <limits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "discover/workload.h"
#include "run_export.h"
#include "run_live.h"
#include "run_roles.h"

#define EXEMPLARS_MAX 512 /* requests that are looked at, newest first */

struct scrape {
	struct daemon *d;
	struct metrics *m;
	char host[HOST_NAME_MAX + 1];
};

struct counted {
	const char *name;
	uint64_t n;
};

static const char *service_name(const struct daemon *d, uint32_t id)
{
	const struct service *s = id ? registry_by_id(d->registry, id) : NULL;

	return s ? s->name : "outside";
}

/* The labels of one kind of request, in the families' order; texts live as long as this. */
struct http_labels {
	char status[8];
	const char *values[METRICS_LABELS_MAX + 1];
};

/* What OpenTelemetry calls an error: 5xx at a server, 4xx too at a client, and no valid status at all. */
static const char *error_type(uint16_t status, uint8_t side, const char *text)
{
	if (!status)
		return "_OTHER";
	return status >= (side == ABI_SIDE_CLIENT ? 400 : 500) ? text : "";
}

static void make_labels(const struct daemon *d, uint32_t server, uint32_t client, uint16_t status,
			uint8_t method, uint8_t side, struct http_labels *l)
{
	bool is_client = side == ABI_SIDE_CLIENT;
	size_t n = 0;

	snprintf(l->status, sizeof(l->status), "%u", status);
	l->values[n++] = service_name(d, is_client ? client : server);
	l->values[n++] = request_method(method);
	l->values[n++] = status ? l->status : "";
	l->values[n++] = error_type(status, side, l->status);
	l->values[n++] = "1.1";
	l->values[n++] = "http";
	if (is_client) {
		l->values[n++] = ""; /* no route: the kernel's series have none */
		l->values[n++] = service_name(d, server);
	}
	l->values[n] = NULL;
}

static void add_server(struct scrape *x, const struct observer_series *s,
		       const struct http_labels *l)
{
	const char *server = l->values[0];

	metrics_add_hist(x->m, METRIC_HTTP_SERVER_DURATION, l->values, &s->duration,
			 s->duration_ns);
	metrics_add_hist(x->m, METRIC_HTTP_SERVER_TTFB, l->values, &s->ttfb, s->ttfb_ns);
	metrics_add(x->m, METRIC_REQUEST_BYTES, METRIC_LABELS(server), (double)s->rx_bytes);
	metrics_add(x->m, METRIC_RESPONSE_BYTES, METRIC_LABELS(server), (double)s->tx_bytes);
	metrics_add(x->m, METRIC_UNTIMED, METRIC_LABELS(server), (double)s->untimed);
}

/*
 * Each call once: at its client's end where that is ours, since that is what counts for it, else at the
 * server's. A call that was given up, or broke, has failed and has no duration.
 */
static void add_edge(struct scrape *x, const struct observer_series *s)
{
	bool ours = s->key.side == ABI_SIDE_CLIENT ? s->key.client : !s->key.client;
	const char *client = service_name(x->d, s->key.client);
	const char *server = service_name(x->d, s->key.server);
	const char *const *labels = METRIC_LABELS(
		client, server, s->key.status >= 500 || !s->key.status ? "true" : "false");

	if (!ours || !(s->requests + s->aborted))
		return;
	metrics_add(x->m, METRIC_EDGE_REQUESTS, labels, (double)(s->requests + s->aborted));
	if (s->requests)
		metrics_add_hist(x->m, METRIC_EDGE_DURATION, labels, &s->duration, s->duration_ns);
}

static void add_series(void *ctx, const struct observer_series *s)
{
	struct scrape *x = ctx;
	bool of_server = s->key.side == ABI_SIDE_SERVER;
	struct http_labels l;

	/* What found no room in the kernel's table has no labels left: the family's overflow series. */
	if (s->key.server == ABI_SERIES_OTHER) {
		if (s->requests)
			metrics_add_hist(x->m,
					 of_server ? METRIC_HTTP_SERVER_DURATION :
						     METRIC_HTTP_CLIENT_DURATION,
					 NULL, &s->duration, s->duration_ns);
		return;
	}
	make_labels(x->d, s->key.server, s->key.client, s->key.status, s->key.method, s->key.side,
		    &l);
	if (of_server && s->key.server && s->aborted)
		metrics_add(x->m, METRIC_ABORTED, METRIC_LABELS(l.values[0]), (double)s->aborted);
	if (of_server && s->key.server && s->unparsed)
		metrics_add(x->m, METRIC_UNPARSED, METRIC_LABELS(l.values[0]), (double)s->unparsed);
	add_edge(x, s);
	if (!s->requests)
		return;
	if (of_server && s->key.server)
		add_server(x, s, &l);
	else if (!of_server && s->key.client)
		metrics_add_hist(x->m, METRIC_HTTP_CLIENT_DURATION, l.values, &s->duration,
				 s->duration_ns);
}

/* A request that is known by its trace id stands for the bucket it fell into. */
static bool add_exemplar(void *ctx, const struct request *r)
{
	struct scrape *x = ctx;
	struct metric_exemplar ex = { .wall_ms =
					      clock_mono_to_wall_ms(r->start_ns + r->duration_ns) };
	bool of_server = r->side == ABI_SIDE_SERVER;
	struct http_labels l;

	if (!*r->trace_id || (r->flags & ABI_REQUEST_ABORTED))
		return true;
	_Static_assert(sizeof(ex.trace_id) >= sizeof(r->trace_id), "a trace id fits");
	snprintf(ex.trace_id, sizeof(ex.trace_id), "%s", r->trace_id);
	make_labels(x->d, r->server, r->client, r->status, r->method, r->side, &l);
	ex.value = (double)r->duration_ns / 1e9;
	metrics_exemplar(x->m,
			 of_server ? METRIC_HTTP_SERVER_DURATION : METRIC_HTTP_CLIENT_DURATION,
			 l.values, &ex);
	if (of_server) {
		ex.value = (double)r->ttfb_ns / 1e9;
		metrics_exemplar(x->m, METRIC_HTTP_SERVER_TTFB, l.values, &ex);
	}
	return true;
}

static void add_tasks(void *ctx, const struct observer_tasks *t)
{
	struct scrape *x = ctx;
	const char *name = service_name(x->d, t->service);

	metrics_add(x->m, METRIC_CPU_SECONDS, METRIC_LABELS(name), (double)t->cpu_ns / 1e9);
	metrics_add_hist(x->m, METRIC_RUNQUEUE, METRIC_LABELS(name), &t->runq, t->runq_ns);
}

static void add_counts(struct scrape *x, enum metric which, const struct counted *list, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		metrics_add(x->m, which, METRIC_LABELS(list[i].name), (double)list[i].n);
}

static void add_kernel_losses(struct scrape *x, const struct abi_stats *s)
{
	const struct counted lost[] = {
		{ "socket_storage", s->storage_nomem }, { "series", s->series_dropped },
		{ "request_ring", s->ring_dropped },    { "pipeline", s->pipeline_overflow },
		{ "wakeups", s->wakeups_dropped },
	};
	const struct counted parse[] = {
		{ "ok", s->parsed },
		{ "lost", s->streams_lost },
		{ "not_http", s->streams_opaque },
		{ "budget", s->streams_budget },
		{ "orphan", s->orphan_responses },
	};
	const struct counted evicted[] = { { "series", s->series_overflow } };

	add_counts(x, METRIC_EVENTS_LOST, lost, ARRAY_SIZE(lost));
	add_counts(x, METRIC_HTTP_PARSE, parse, ARRAY_SIZE(parse));
	add_counts(x, METRIC_MAP_EVICTIONS, evicted, ARRAY_SIZE(evicted));
}

/* Programs and maps. */
static void add_self(struct scrape *x)
{
	struct observer_self self;

	if (observer_self(x->d->observer, &self) < 0)
		return;
	add_kernel_losses(x, &self.stats);
	/*
	 * The kernel counts runs only when asked (--program-stats, kernel.bpf_stats_enabled), and those of
	 * a tail call to whoever called it: 0 would be a lie.
	 */
	for (size_t i = 0; i < self.nr_programs; i++) {
		if (!self.programs[i].runs)
			continue;
		metrics_add(x->m, METRIC_PROGRAM_RUNS, METRIC_LABELS(self.programs[i].name),
			    (double)self.programs[i].runs);
		metrics_add(x->m, METRIC_PROGRAM_SECONDS, METRIC_LABELS(self.programs[i].name),
			    (double)self.programs[i].run_ns / 1e9);
	}
	for (size_t i = 0; i < self.nr_maps; i++) {
		metrics_add(x->m, METRIC_MAP_ENTRIES, METRIC_LABELS(self.maps[i].name),
			    (double)self.maps[i].entries);
		metrics_add(x->m, METRIC_MAP_MAX_ENTRIES, METRIC_LABELS(self.maps[i].name),
			    (double)self.maps[i].max_entries);
	}
}

/* What userspace's own tables and queues had no room for. */
static void add_losses(struct scrape *x)
{
	static const struct engine_stats none;
	const struct engine_stats *e = x->d->engine ? engine_stats(x->d->engine) : &none;
	const struct registry_stats r = registry_stats(x->d->registry);
	struct live_losses live;

	live_losses(x->d, &live);
	const struct counted lost[] = {
		{ "listeners_slow", live.events.dropped_slow },
		{ "listeners_turned_away", live.events.turned_away },
		{ "listeners_reset", live.events.resets },
		{ "events", live.events.refused },
		{ "history_services", live.series.refused },
		{ "history_points", live.series.no_memory },
		{ "audit_requests", live.acts },
		{ "ticks_late", x->d->late_ticks },
		{ "ticks_unread", x->d->failed_reads },
		{ "scans", r.failed_scans },
		{ "services", r.refused_full },
		{ "service_pids", r.pids_overflow },
		{ "service_ports", r.ports_overflow },
		{ "incidents", e->live_full },
		{ "records", e->records_dropped },
		{ "records_refused", e->records_failed },
		{ "jobs", e->submit_full },
	};

	add_counts(x, METRIC_EVENTS_LOST, lost, ARRAY_SIZE(lost));
}

/*
 * Ended faults are forgotten after FAULT_ENDED_MAX more: the counter then falls, which
 * Prometheus takes for a restart and goes on from.
 */
static int add_fault(const struct fault *f, void *ctx)
{
	struct scrape *x = ctx;
	const char *type = fault_types()[f->req.type].name;
	const char *name = f->req.service;

	metrics_add(x->m, METRIC_FAULTS_ACTIVE, METRIC_LABELS(name, type), f->state == FAULT_ARMED);
	metrics_add(x->m, METRIC_FAULT_REQUESTS, METRIC_LABELS(name, type, "touched"),
		    (double)f->touched_requests);
	metrics_add(x->m, METRIC_FAULT_REQUESTS, METRIC_LABELS(name, type, "spared"),
		    (double)f->spared_requests);
	return 0;
}

static void add_service(struct scrape *x, const struct service *s)
{
	const struct verdict *v = view_verdict(x->d, s->id);
	struct recent_service r;
	struct workload w;
	char instance[HOST_NAME_MAX + 16];

	recent_service(x->d->recent, s->id, &r);
	metrics_add(x->m, METRIC_IN_FLIGHT, METRIC_LABELS(s->name), r.sum.in_flight);
	workload_of_cgroup(s->cgroup, &w);
	/* As Prometheus names an instance; unique over hosts, where ids are not. */
	snprintf(instance, sizeof(instance), s->nr_ports ? "%s:%u" : "%s/%u", x->host,
		 s->nr_ports ? s->ports[0] : s->id);
	metrics_add(x->m, METRIC_WORKLOAD_INFO,
		    METRIC_LABELS(s->name, instance, w.container_id, w.systemd_unit), 1);
	if (!v)
		return;
	metrics_add(x->m, METRIC_ANOMALY_SCORE, METRIC_LABELS(s->name), v->score);
	metrics_add(x->m, METRIC_ANOMALY_ACTIVE, METRIC_LABELS(s->name), v->anomalous);
	metrics_add(x->m, METRIC_BASELINE_SAMPLES, METRIC_LABELS(s->name),
		    (double)v->baseline_samples);
}

/* What may happen to a service stands at 0 until it does: a first event is a rise then, not a beginning. */
static void add_zeroes(struct scrape *x, const char *service)
{
	static const char *const ends[] = { "repaired", "escalated", "healed", "unverified",
					    "rejected" };
	static const char *const results[] = { "done", "failed", "nothing" };
	static const enum action_kind kinds[] = { ACTION_RESET_FAULT, ACTION_RESTART };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		metrics_add(x->m, METRIC_INCIDENTS, METRIC_LABELS(service, ends[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (size_t k = 0; k < ARRAY_SIZE(results); k++)
			metrics_add(x->m, METRIC_REMEDIATIONS,
				    METRIC_LABELS(service, action_kind_name(kinds[i]), results[k]),
				    0);
}

static void add_operator(struct scrape *x)
{
	const struct tally *t = x->d->engine ? engine_tally(x->d->engine) : NULL;

	for (size_t i = 0; t && i < t->nr; i++) {
		const struct tally_count *c = &t->counts[i];
		if (*c->action)
			metrics_add(x->m, METRIC_REMEDIATIONS,
				    METRIC_LABELS(c->service, c->action, c->result), (double)c->n);
		else
			metrics_add(x->m, METRIC_INCIDENTS, METRIC_LABELS(c->service, c->result),
				    (double)c->n);
	}
}

static void add_api(struct scrape *x)
{
	struct server_stats s = { 0 };

	/* The first scrape may come before the server's start has returned. */
	if (x->d->server)
		server_stats(x->d->server, &s);
	const struct counted requests[] = {
		{ "answered", s.requests },
		{ "origin", s.refused_origin },
		{ "token", s.refused_token },
		{ "slow", s.too_slow },
	};
	add_counts(x, METRIC_API_REQUESTS, requests, ARRAY_SIZE(requests));
}

int view_metrics(struct daemon *d, struct metrics *m)
{
	static const struct requests_filter any;
	struct scrape x = { .d = d, .m = m };
	const struct service *s;

	gethostname(x.host, sizeof(x.host) - 1);
	metrics_set_namespace(m, d->config->observe.namespace);
	if (d->observer) {
		observer_series(d->observer, add_series, &x);
		observer_tasks(d->observer, add_tasks, &x);
		add_self(&x);
		requests_each(d->requests, &any, EXEMPLARS_MAX, add_exemplar, &x);
	}
	for (size_t i = 0; (s = registry_at(d->registry, i)); i++) {
		add_service(&x, s);
		add_zeroes(&x, s->name);
	}
	if (d->faults)
		faults_each(d->faults, add_fault, &x);
	add_operator(&x);
	add_losses(&x);
	add_api(&x);
	trace_export_metrics(d, m);
	role_metrics(d, m);
	metrics_add(m, METRIC_BUILD_INFO, METRIC_LABELS(ARCHAIC_VERSION), 1);
	return metrics_add(m, METRIC_DEGRADATION, METRIC_LABELS(), view_degradation(d));
}
