// SPDX-License-Identifier: GPL-2.0-or-later
/* The snapshot: families, series by label text, and the fold onto Prometheus's buckets. */
#include "serve/metrics.h"

#include <errno.h>
#include <string.h>

#include "serve/metrics_family.h"
#include "serve/repair.h"

#define US(n) ((n) * 1000ULL)
#define MS(n) ((n) * 1000000ULL)
#define LABELS(...) { __VA_ARGS__ }
#define LABEL_VALUE_MAX 128 /* bytes of one value; the rest is cut off */

/* OpenTelemetry's advice for HTTP durations, with three finer steps below 5 ms. */
static const uint64_t duration_bounds[] = { US(500),  MS(1),    US(2500), MS(5),    MS(10),
					    MS(25),   MS(50),   MS(75),   MS(100),  MS(250),
					    MS(500),  MS(750),  MS(1000), MS(2500), MS(5000),
					    MS(7500), MS(10000) };
static const uint64_t runqueue_bounds[] = { US(5),   US(10),  US(25),   US(50),  US(100), US(250),
					    US(500), MS(1),   US(2500), MS(5),   MS(10),  MS(25),
					    MS(50),  MS(100), MS(250),  MS(1000) };

_Static_assert(ARRAY_SIZE(duration_bounds) <= METRICS_BOUNDS_MAX, "bounds");
_Static_assert(ARRAY_SIZE(runqueue_bounds) <= METRICS_BOUNDS_MAX, "bounds");

#define HIST_OF(b) METRIC_HISTOGRAM, .bounds = (b), .nr_bounds = ARRAY_SIZE(b)
#define HTTP_LABELS                                                       \
	"http_request_method", "http_response_status_code", "error_type", \
		"network_protocol_version", "url_scheme"

static const struct metric_family families[NR_METRICS] = {
	[METRIC_HTTP_SERVER_DURATION] = { "http_server_request_duration_seconds",
					  "Requests as the server's side saw them, first byte of the request to last byte of the response.",
					  HIST_OF(duration_bounds), .identity = true,
					  .labels = LABELS(HTTP_LABELS, "http_route") },
	[METRIC_HTTP_CLIENT_DURATION] = { "http_client_request_duration_seconds",
					  "Requests as the client's side saw them.",
					  HIST_OF(duration_bounds), .identity = true,
					  .labels = LABELS(HTTP_LABELS, "http_route",
							   "server_address") },
	[METRIC_HTTP_SERVER_TTFB] = { "archaic_http_server_time_to_first_byte_seconds",
				      "First byte of the request to first byte of the response.",
				      HIST_OF(duration_bounds), .identity = true,
				      .labels = LABELS(HTTP_LABELS) },
	[METRIC_REQUEST_BYTES] = { "archaic_http_server_request_bytes_total",
				   "Bytes of requests that a server got, headers included.",
				   METRIC_COUNTER, .identity = true },
	[METRIC_RESPONSE_BYTES] = { "archaic_http_server_response_bytes_total",
				    "Bytes of responses that a server sent, headers included.",
				    METRIC_COUNTER, .identity = true },
	[METRIC_UNTIMED] = { "archaic_http_server_untimed_requests_total",
			     "Finished requests that are in no histogram, since their start was not remembered.",
			     METRIC_COUNTER, .identity = true },
	[METRIC_UNPARSED] = { "archaic_http_server_unparsed_streams_total",
			      "Streams to a server that were not HTTP/1.x, or lost their place.",
			      METRIC_COUNTER, .identity = true },
	[METRIC_CPU_SECONDS] = { "container_cpu_time_seconds_total",
				 "CPU time of a service's tasks.", METRIC_COUNTER, .identity = true,
				 .labels = LABELS("cpu_mode") },
	[METRIC_RUNQUEUE] = { "archaic_sched_runqueue_latency_seconds", "From woken to running.",
			      HIST_OF(runqueue_bounds), .identity = true },
	[METRIC_EDGE_REQUESTS] = { "archaic_service_edge_requests_total",
				   "Calls from one service to another, as the caller saw them.",
				   METRIC_COUNTER, .labels = LABELS("client", "server", "failed") },
	[METRIC_EDGE_DURATION] = { "archaic_service_edge_duration_seconds",
				   "How long calls between services took.",
				   HIST_OF(duration_bounds),
				   .labels = LABELS("client", "server", "failed") },
	[METRIC_IN_FLIGHT] = { "archaic_http_server_requests_in_flight",
			       "Requests that have come and are not answered.", METRIC_GAUGE,
			       .identity = true },
	[METRIC_ABORTED] = { "archaic_http_server_aborted_requests_total",
			     "Requests whose connection was gone before the response was complete.",
			     METRIC_COUNTER, .identity = true },
	[METRIC_ANOMALY_SCORE] = { "archaic_anomaly_score",
				   "The boxed isolation forest's score, 0 to 1.", METRIC_GAUGE,
				   .identity = true },
	[METRIC_ANOMALY_ACTIVE] = { "archaic_anomaly_active", "1 while a service is anomalous.",
				    METRIC_GAUGE, .identity = true },
	[METRIC_BASELINE_SAMPLES] = { "archaic_detector_baseline_samples",
				      "Samples learned of a service.", METRIC_GAUGE,
				      .identity = true },
	[METRIC_INCIDENTS] = { "archaic_incidents_total", "Incidents by how they ended.",
			       METRIC_COUNTER, .identity = true, .labels = LABELS("result") },
	[METRIC_REMEDIATIONS] = { "archaic_remediations_total", "Repairs that were executed.",
				  METRIC_COUNTER, .identity = true,
				  .labels = LABELS("action", "result") },
	[METRIC_FAULTS_ACTIVE] = { "archaic_faults_active", "Faults that are armed.", METRIC_GAUGE,
				   .identity = true, .labels = LABELS("type") },
	[METRIC_FAULT_REQUESTS] = { "archaic_fault_requests_total",
				    "Requests that a fault touched, and those that the draw spared.",
				    METRIC_COUNTER, .identity = true,
				    .labels = LABELS("type", "outcome") },
	[METRIC_WORKLOAD_INFO] = { "archaic_workload_info", "What a service is, once.",
				   METRIC_GAUGE, .identity = true,
				   .labels = LABELS("service_instance_id", "container_id",
						    "systemd_unit") },
	[METRIC_BUILD_INFO] = { "archaic_build_info", "The version that runs.", METRIC_GAUGE,
				.labels = LABELS("version") },
	[METRIC_EVENTS_LOST] = { "archaic_events_lost_total", "What a stage dropped.",
				 METRIC_COUNTER, .labels = LABELS("stage") },
	[METRIC_HTTP_PARSE] = { "archaic_http_parse_total",
				"Outcomes of parsing HTTP in the kernel.", METRIC_COUNTER,
				.labels = LABELS("outcome") },
	[METRIC_PROGRAM_RUNS] = { "archaic_bpf_program_runs_total", "Runs of a BPF program.",
				  METRIC_COUNTER, .labels = LABELS("program") },
	[METRIC_PROGRAM_SECONDS] = { "archaic_bpf_program_run_seconds_total",
				     "Time spent in a BPF program.", METRIC_COUNTER,
				     .labels = LABELS("program") },
	[METRIC_MAP_ENTRIES] = { "archaic_bpf_map_entries", "Entries of a BPF map.", METRIC_GAUGE,
				 .labels = LABELS("map") },
	[METRIC_MAP_MAX_ENTRIES] = { "archaic_bpf_map_max_entries",
				     "Most entries that a BPF map holds.", METRIC_GAUGE,
				     .labels = LABELS("map") },
	[METRIC_MAP_EVICTIONS] = { "archaic_map_evictions_total",
				   "Entries that did not fit into a BPF map.", METRIC_COUNTER,
				   .labels = LABELS("map") },
	[METRIC_SERIES_OVERFLOW] = { "archaic_series_overflow_total",
				     "Series of a metric that were folded into one in this scrape, over the cap.",
				     METRIC_COUNTER, .labels = LABELS("metric") },
	[METRIC_DEGRADATION] = { "archaic_degradation_level",
				 "0: everything works; higher: less does.", .kind = METRIC_GAUGE },
	[METRIC_API_REQUESTS] = { "archaic_api_requests_total", "Requests to our own interface.",
				  METRIC_COUNTER, .labels = LABELS("outcome") },
	[METRIC_SAMPLES] = { "archaic_samples_total",
			     "Ticks that an agent has pushed or a detector got, by what became of them.",
			     METRIC_COUNTER, .labels = LABELS("outcome") },
	[METRIC_NODE_STATE] = { "archaic_node_state",
				"Which of the states a node is in, as the detector sees it.",
				.kind = METRIC_GAUGE, .labels = LABELS("node", "state") },
	[METRIC_NODE_CLOCK] = { "archaic_node_clock_offset_seconds",
				"A node's wall clock less the detector's.", .kind = METRIC_GAUGE,
				.labels = LABELS("node") },
	[METRIC_NODE_CLOCK_LIES] = { "archaic_node_clock_wrong",
				     "Is a node's clock off, or did it jump within the last minute?",
				     .kind = METRIC_GAUGE, .labels = LABELS("node") },
	[METRIC_OTLP_SPANS] = { "archaic_otlp_spans_total",
				"Spans of traces, by what became of them.", METRIC_COUNTER,
				.labels = LABELS("outcome") },
	[METRIC_OTLP_REQUESTS] = { "archaic_otlp_requests_total",
				   "Requests to the OpenTelemetry receiver.", METRIC_COUNTER,
				   .labels = LABELS("outcome") },
	[METRIC_OTLP_QUEUE] = { "archaic_otlp_queue_spans", "Spans that wait to be sent.",
				.kind = METRIC_GAUGE },
	[METRIC_OTLP_QUEUE_MAX] = { "archaic_otlp_queue_max_spans",
				    "Most spans that the queue holds.", .kind = METRIC_GAUGE },
};

const struct metric_family *metric_family(enum metric which)
{
	return &families[which];
}

/* ---- series */

int metrics_new(struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	*ret = m;
	return 0;
}

static void series_free(struct metric_series *s)
{
	if (!s)
		return;
	free(s->labels);
	free(s->exemplars);
	free(s->buckets);
	free(s);
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t f = 0; f < NR_METRICS; f++) {
		struct metric_series *s, *next;
		HASH_ITER(hh, m->table[f].series, s, next) {
			HASH_DEL(m->table[f].series, s);
			series_free(s);
		}
		series_free(m->table[f].overflow);
	}
	free(m);
}

void metrics_set_namespace(struct metrics *m, const char *namespace)
{
	snprintf(m->namespace, sizeof(m->namespace), "%s", namespace ?: "");
}

static int add_label(struct buf *b, const char *name, const char *value)
{
	char text[LABEL_VALUE_MAX + 1];
	int err = 0;

	if (!*value)
		return 0;
	snprintf(text, sizeof(text), "%s", value);
	text_repair(text);
	err = buf_addf(b, "%s%s=\"", b->len ? "," : "", name);
	for (const char *c = text; *c && !err; c++) {
		if (*c == '\\' || *c == '"')
			err = buf_addf(b, "\\%c", *c);
		else if (*c == '\n')
			err = buf_addstr(b, "\\n");
		else
			err = buf_add(b, c, 1);
	}
	return err ?: buf_addstr(b, "\"");
}

static int write_labels(const struct metrics *m, const struct metric_family *f,
			const char *const *values, struct buf *b)
{
	int err = 0;

	if (f->identity && *values) {
		err = add_label(b, "service_name", *values);
		if (!err && **values++)
			err = add_label(b, "service_namespace", m->namespace);
	}
	for (size_t i = 0; values[i] && !err; i++) {
		if (i == METRICS_LABELS_MAX || !f->labels[i])
			return -EINVAL;
		err = add_label(b, f->labels[i], values[i]);
	}
	return err;
}

static struct metric_series *series_new(const struct metric_family *f, char *labels)
{
	struct metric_series *s = calloc(1, sizeof(*s));

	if (s && f->kind == METRIC_HISTOGRAM)
		s->buckets = calloc(f->nr_bounds + 1, sizeof(*s->buckets));
	if (!s || (f->kind == METRIC_HISTOGRAM && !s->buckets)) {
		free(labels);
		free(s);
		return NULL;
	}
	s->labels = labels;
	return s;
}

static int find_overflow(struct metrics *m, enum metric which, struct metric_series **ret)
{
	struct metric_series **overflow = &m->table[which].overflow;

	if (!*overflow) {
		char *labels = strdup("otel_metric_overflow=\"true\"");
		*overflow = labels ? series_new(&families[which], labels) : NULL;
	}
	*ret = *overflow;
	return *overflow ? 0 : -ENOMEM;
}

/* *ret is NULL where there is none yet; @b then holds its labels. */
static int look_up(struct metrics *m, enum metric which, const char *const *values, struct buf *b,
		   struct metric_series **ret)
{
	struct metric_series *s = NULL;

	buf_init(b, (METRICS_LABELS_MAX + 2) * (2 * LABEL_VALUE_MAX + 64));
	int err = write_labels(m, &families[which], values, b);
	if (err)
		return err;
	HASH_FIND(hh, m->table[which].series, buf_str(b), b->len, s);
	*ret = s;
	return 0;
}

static int find_series(struct metrics *m, enum metric which, const char *const *values,
		       struct metric_series **ret)
{
	CLEANUP(buf_release) struct buf b = { 0 };
	struct metric_series *s;

	if (!values)
		return find_overflow(m, which, ret);
	int err = look_up(m, which, values, &b, &s);
	if (err)
		return err;
	if (s) {
		*ret = s;
		return 0;
	}
	if (HASH_COUNT(m->table[which].series) >= METRICS_SERIES_MAX) {
		m->table[which].folded++;
		return find_overflow(m, which, ret);
	}
	size_t len = b.len;
	char *labels = buf_take(&b);
	s = labels ? series_new(&families[which], labels) : NULL;
	if (!s)
		return -ENOMEM;
	HASH_ADD_KEYPTR(hh, m->table[which].series, s->labels, len, s);
	*ret = s;
	return 0;
}

int metrics_add(struct metrics *m, enum metric which, const char *const *values, double value)
{
	struct metric_series *s;

	if (families[which].kind == METRIC_HISTOGRAM)
		return -EINVAL;
	int err = find_series(m, which, values, &s);
	if (!err)
		s->value += value;
	return err;
}

int metrics_add_hist(struct metrics *m, enum metric which, const char *const *values,
		     const struct hist *h, uint64_t sum_ns)
{
	const struct metric_family *f = &families[which];
	struct metric_series *s;
	size_t to = 0;

	if (f->kind != METRIC_HISTOGRAM)
		return -EINVAL;
	int err = find_series(m, which, values, &s);
	if (err)
		return err;
	/* Each bound is one of the kernel's, so every source bucket lies within one of ours. */
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++) {
		while (to < f->nr_bounds && hist_upper_ns(i) > f->bounds[to])
			to++;
		s->buckets[to] += h->n[i];
	}
	s->sum_ns += (double)sum_ns;
	return 0;
}

/* OpenTelemetry's form of an id that came as a UUID: Jaeger does not find the other (status 400). */
static void strip_dashes(char *id)
{
	size_t n = 0;

	for (size_t i = 0; id[i]; i++)
		if (id[i] != '-')
			id[n++] = id[i];
	id[n] = '\0';
}

int metrics_exemplar(struct metrics *m, enum metric which, const char *const *values,
		     const struct metric_exemplar *ex)
{
	const struct metric_family *f = &families[which];
	CLEANUP(buf_release) struct buf b = { 0 };
	struct metric_series *s;
	size_t i = 0;

	if (f->kind != METRIC_HISTOGRAM)
		return -EINVAL;
	/* A stranger's bytes: what is no plain id stands for nothing. */
	if (!*ex->trace_id || ex->trace_id[strspn(ex->trace_id, "0123456789abcdefABCDEF-")])
		return 0;
	int err = look_up(m, which, values, &b, &s);
	if (err || !s)
		return err;
	while (i < f->nr_bounds && ex->value * 1e9 > (double)f->bounds[i])
		i++;
	if (!s->buckets[i] || (s->exemplars && *s->exemplars[i].trace_id))
		return 0;
	if (!s->exemplars)
		s->exemplars = calloc(f->nr_bounds + 1, sizeof(*s->exemplars));
	if (!s->exemplars)
		return -ENOMEM;
	s->exemplars[i] = *ex;
	strip_dashes(s->exemplars[i].trace_id);
	return 0;
}
