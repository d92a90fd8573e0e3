// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/util.h"
#include "run_daemon.h"

struct scrape {
	struct daemon *d;
	struct metrics *m;
};

static const char *service_name(const struct daemon *d, uint32_t id)
{
	const struct service *s = id ? registry_by_id(d->registry, id) : NULL;

	return s ? s->name : "outside";
}

static void add_server(struct scrape *x, const struct observer_series *s, const char *status)
{
	const char *server = service_name(x->d, s->key.server);
	const char *error = s->key.status >= 500 ? status : "";
	const char *const *labels =
		METRIC_LABELS(server, request_method(s->key.method), status, error, "1.1", "http");

	metrics_add_hist(x->m, METRIC_HTTP_SERVER_DURATION, labels, &s->duration, s->duration_ns,
			 NULL);
	metrics_add_hist(x->m, METRIC_HTTP_SERVER_TTFB, labels, &s->ttfb, s->ttfb_ns, NULL);
	metrics_add(x->m, METRIC_REQUEST_BYTES, METRIC_LABELS(server), (double)s->rx_bytes);
	metrics_add(x->m, METRIC_RESPONSE_BYTES, METRIC_LABELS(server), (double)s->tx_bytes);
}

static void add_client(struct scrape *x, const struct observer_series *s, const char *status)
{
	const char *client = service_name(x->d, s->key.client);
	const char *server = service_name(x->d, s->key.server);
	const char *error = s->key.status >= 500 ? status : "";

	metrics_add_hist(x->m, METRIC_HTTP_CLIENT_DURATION,
			 METRIC_LABELS(client, request_method(s->key.method), status, error, "1.1",
				       "http", "", server),
			 &s->duration, s->duration_ns, NULL);
}

static void add_series(void *ctx, const struct observer_series *s)
{
	struct scrape *x = ctx;
	char status[8];
	const char *client = service_name(x->d, s->key.client);
	const char *server = service_name(x->d, s->key.server);
	const char *failed = s->key.status >= 500 ? "true" : "false";

	/* What found no room in the kernel's table has no labels left: the family's overflow series. */
	if (s->key.server == ABI_SERIES_OTHER) {
		if (s->requests)
			metrics_add_hist(x->m, METRIC_HTTP_SERVER_DURATION, NULL, &s->duration,
					 s->duration_ns, NULL);
		return;
	}
	snprintf(status, sizeof(status), "%u", s->key.status);
	if (s->aborted && s->key.side == ABI_SIDE_SERVER && s->key.server)
		metrics_add(x->m, METRIC_ABORTED, METRIC_LABELS(server), (double)s->aborted);
	if (!s->requests)
		return;
	if (s->key.side == ABI_SIDE_SERVER && s->key.server)
		add_server(x, s, status);
	else if (s->key.side == ABI_SIDE_CLIENT && s->key.client)
		add_client(x, s, status);

	/* Each call once: by its server's end where that is ours, else by the client's. */
	if (s->key.side == ABI_SIDE_SERVER || !s->key.server) {
		metrics_add(x->m, METRIC_EDGE_REQUESTS, METRIC_LABELS(client, server, failed),
			    (double)s->requests);
		metrics_add_hist(x->m, METRIC_EDGE_DURATION, METRIC_LABELS(client, server, failed),
				 &s->duration, s->duration_ns, NULL);
	}
}

static void add_tasks(void *ctx, const struct observer_tasks *t)
{
	struct scrape *x = ctx;
	const char *name = service_name(x->d, t->service);

	metrics_add(x->m, METRIC_CPU_SECONDS, METRIC_LABELS(name), (double)t->cpu_ns / 1e9);
	metrics_add_hist(x->m, METRIC_RUNQUEUE, METRIC_LABELS(name), &t->runq, t->runq_ns, NULL);
}

static void add_self(struct scrape *x)
{
	struct observer_self self;

	if (observer_self(x->d->observer, &self) < 0)
		return;
	const struct {
		const char *stage;
		uint64_t n;
	} lost[] = {
		{ "socket_storage", self.stats.storage_nomem },
		{ "series", self.stats.series_dropped },
		{ "request_ring", self.stats.ring_dropped },
		{ "pipeline", self.stats.pipeline_overflow },
		{ "wakeups", self.stats.wakeups_dropped },
	}, parse[] = {
		{ "ok", self.stats.parsed },
		{ "lost", self.stats.streams_lost },
		{ "not_http", self.stats.streams_opaque },
		{ "budget", self.stats.streams_budget },
		{ "orphan", self.stats.orphan_responses },
	};
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++)
		metrics_add(x->m, METRIC_EVENTS_LOST, METRIC_LABELS(lost[i].stage),
			    (double)lost[i].n);
	for (size_t i = 0; i < ARRAY_SIZE(parse); i++)
		metrics_add(x->m, METRIC_HTTP_PARSE, METRIC_LABELS(parse[i].stage),
			    (double)parse[i].n);
	for (size_t i = 0; i < self.nr_programs; i++) {
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
	char instance[32];

	recent_service(x->d->recent, s->id, &r);
	metrics_add(x->m, METRIC_IN_FLIGHT, METRIC_LABELS(s->name), r.sum.in_flight);
	snprintf(instance, sizeof(instance), "%u", s->id);
	metrics_add(x->m, METRIC_WORKLOAD_INFO, METRIC_LABELS(s->name, instance), 1);
	if (!v)
		return;
	metrics_add(x->m, METRIC_ANOMALY_SCORE, METRIC_LABELS(s->name), v->score);
	metrics_add(x->m, METRIC_ANOMALY_ACTIVE, METRIC_LABELS(s->name), v->anomalous);
	metrics_add(x->m, METRIC_BASELINE_SAMPLES, METRIC_LABELS(s->name),
		    (double)v->baseline_samples);
}

static void add_operator(struct scrape *x)
{
	const struct engine_stats *e = engine_stats(x->d->engine);
	const struct {
		const char *result;
		uint64_t n;
	} ended[] = {
		{ "repaired", e->repaired }, { "escalated", e->escalated },
		{ "healed", e->healed },     { "unverified", e->unverified },
		{ "rejected", e->rejected },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
		metrics_add(x->m, METRIC_INCIDENTS, METRIC_LABELS("", ended[i].result),
			    (double)ended[i].n);
	metrics_add(x->m, METRIC_REMEDIATIONS, METRIC_LABELS("", "", "done"),
		    (double)(e->actions - e->actions_failed - e->actions_nothing));
	metrics_add(x->m, METRIC_REMEDIATIONS, METRIC_LABELS("", "", "failed"),
		    (double)e->actions_failed);
	metrics_add(x->m, METRIC_REMEDIATIONS, METRIC_LABELS("", "", "nothing"),
		    (double)e->actions_nothing);
}

int view_metrics(struct daemon *d, struct metrics *m)
{
	struct scrape x = { .d = d, .m = m };
	struct server_stats http = { 0 };
	const struct service *s;

	if (d->observer) {
		observer_series(d->observer, add_series, &x);
		observer_tasks(d->observer, add_tasks, &x);
		add_self(&x);
	}
	for (size_t i = 0; (s = registry_at(d->registry, i)); i++)
		add_service(&x, s);
	faults_each(d->faults, add_fault, &x);
	add_operator(&x);
	if (d->server)
		server_stats(d->server, &http);
	metrics_add(m, METRIC_API_REQUESTS, METRIC_LABELS("answered"), (double)http.requests);
	metrics_add(m, METRIC_API_REQUESTS, METRIC_LABELS("origin"), (double)http.refused_origin);
	metrics_add(m, METRIC_API_REQUESTS, METRIC_LABELS("token"), (double)http.refused_token);
	metrics_add(m, METRIC_API_REQUESTS, METRIC_LABELS("slow"), (double)http.too_slow);
	metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("ticks_late"), (double)d->late_ticks);
	metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("ticks_unread"), (double)d->failed_reads);
	metrics_add(m, METRIC_BUILD_INFO, METRIC_LABELS(ARCHAIC_VERSION), 1);
	return metrics_add(m, METRIC_DEGRADATION, METRIC_LABELS(), view_degradation(d));
}
