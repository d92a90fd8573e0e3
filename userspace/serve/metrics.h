/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metrics.h - numbers in, Prometheus or OpenMetrics text out.
 *
 * A struct metrics is one scrape's snapshot. Whoever holds the numbers adds
 * series to it (fast, under its own lock), then the text is rendered from the
 * snapshot alone: a slow scraper never holds anybody. Pure: no clock, no
 * kernel, no disk.
 *
 * Series with the same labels are added up. Each family holds at most
 * METRICS_SERIES_MAX series; what is over it is folded into one with
 * otel_metric_overflow="true" and counted in archaic_series_overflow_total.
 * Histograms come in the kernel's buckets (bpf/abi.h) and are folded onto the
 * family's bounds, each of which is one of the kernel's: nothing is guessed.
 *
 * One thread at a time for each snapshot.
 */
#ifndef ARCHAIC_METRICS_H
#define ARCHAIC_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "observe/sample.h"

#define METRICS_SERIES_MAX 2000
#define METRICS_LABELS_MAX 8
#define METRICS_TEXT_MAX ((size_t)96 << 20) /* bytes of one answer */

/* The families, with their labels in the order in which values are passed. (S): service_name comes first. */
enum metric {
	METRIC_HTTP_SERVER_DURATION, /* (S) http_request_method, http_response_status_code, error_type, network_protocol_version, url_scheme, http_route */
	METRIC_HTTP_CLIENT_DURATION, /* (S) the same six, then server_address (no port: a callee is a service's name) */
	METRIC_HTTP_SERVER_TTFB, /* (S) the first five */
	METRIC_REQUEST_BYTES,    /* (S) counter: as a server, headers included */
	METRIC_RESPONSE_BYTES,   /* (S) counter: as a server, headers included */
	METRIC_UNTIMED,          /* (S) counter: finished requests that no histogram holds */
	METRIC_UNPARSED,         /* (S) counter: streams that were not understood */
	METRIC_CPU_SECONDS,      /* (S) cpu_mode */
	METRIC_RUNQUEUE,         /* (S) */
	METRIC_EDGE_REQUESTS,    /* client, server, failed="true|false" */
	METRIC_EDGE_DURATION,    /* client, server, failed */
	METRIC_IN_FLIGHT,        /* (S) gauge */
	METRIC_ABORTED,          /* (S) counter */
	METRIC_ANOMALY_SCORE,    /* (S) gauge 0..1 */
	METRIC_ANOMALY_ACTIVE,   /* (S) gauge 0 or 1 */
	METRIC_BASELINE_SAMPLES, /* (S) gauge */
	METRIC_INCIDENTS, /* (S) result; counter. (S): of the root cause, "" where it is unknown */
	METRIC_REMEDIATIONS,    /* (S) action, result="done|failed|nothing"; counter */
	METRIC_FAULTS_ACTIVE,   /* (S) type; gauge */
	METRIC_FAULT_REQUESTS,  /* (S) type, outcome="touched|spared"; counter */
	METRIC_WORKLOAD_INFO,   /* (S) service_instance_id, container_id, systemd_unit; value 1 */
	METRIC_BUILD_INFO,      /* version; value 1 */
	METRIC_EVENTS_LOST,     /* stage; counter */
	METRIC_HTTP_PARSE,      /* outcome; counter */
	METRIC_PROGRAM_RUNS,    /* program; counter */
	METRIC_PROGRAM_SECONDS, /* program; counter */
	METRIC_MAP_ENTRIES,     /* map; gauge */
	METRIC_MAP_MAX_ENTRIES, /* map; gauge */
	METRIC_MAP_EVICTIONS,   /* map; counter */
	METRIC_SERIES_OVERFLOW, /* metric; counter: written by the renderer itself */
	METRIC_DEGRADATION,     /* gauge 0 (all works) .. 3 */
	METRIC_API_REQUESTS, /* outcome="answered|origin|token|slow"; counter: our own interface */
	METRIC_OTLP_SPANS, /* outcome="sent|dropped_full|dropped_late|rejected"; counter: traces that leave us */
	METRIC_OTLP_REQUESTS,   /* outcome="ok|later|refused"; counter */
	METRIC_OTLP_QUEUE,      /* gauge */
	METRIC_OTLP_QUEUE_MAX,  /* gauge */
	METRIC_SAMPLES,         /* outcome; counter: agents' ticks, at either end */
	METRIC_NODE_STATE,      /* node, state="live|late|gone"; gauge, 1 for the one that is so */
	METRIC_NODE_CLOCK,      /* node; gauge, s */
	METRIC_NODE_CLOCK_LIES, /* node; gauge 0 or 1 */
	NR_METRICS,
};

/* One request that stands for its bucket; OpenMetrics only. */
struct metric_exemplar {
	char trace_id[64];
	double value; /* s */
	int64_t wall_ms;
};

struct metrics;

/** metrics_new() - an empty snapshot; *ret is freed with metrics_free(). 0 or -ENOMEM. */
int metrics_new(struct metrics **ret);
void metrics_free(struct metrics *m);

/** metrics_set_namespace() - service_namespace of every series that has a service_name; copied, cut at 63 bytes.
 * "" leaves the label out, which is the default. */
void metrics_set_namespace(struct metrics *m, const char *namespace);

static inline void metrics_freep(struct metrics **m)
{
	metrics_free(*m);
}

/**
 * metrics_add() - add @value to the counter or gauge with these labels.
 * @values: NULL-ended, METRICS_LABELS_MAX texts at most, as the enum's comment lists them; "" leaves a label
 * out, and so does ending early. NULL: the overflow series.
 * Text need not be UTF-8. 0, -EINVAL (a histogram family, or more labels than it has) or -ENOMEM.
 */
int metrics_add(struct metrics *m, enum metric which, const char *const *values, double value);

/**
 * metrics_add_hist() - add a cumulative histogram.
 * @sum_ns: sum of all observations.
 * 0, -EINVAL (not a histogram family) or -ENOMEM.
 */
int metrics_add_hist(struct metrics *m, enum metric which, const char *const *values,
		     const struct hist *h, uint64_t sum_ns);

/**
 * metrics_exemplar() - let @ex stand for the bucket of its value, where the series is there, has
 * observations in that bucket and nothing stands for it yet: the newest is given first. A UUID loses its
 * dashes, as traces have it (export/span.h).
 * 0, -EINVAL (not a histogram family), or -ENOMEM.
 */
int metrics_exemplar(struct metrics *m, enum metric which, const char *const *values,
		     const struct metric_exemplar *ex);

/* The labels of a call, in place: METRIC_LABELS("db", "GET", "200"). */
#define METRIC_LABELS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

/**
 * metrics_render() - every family that has series.
 * @openmetrics: OpenMetrics 1.0 with exemplars and "# EOF"; else Prometheus text 0.0.4.
 * 0 or buf's error; @out is then incomplete and must not be sent.
 */
int metrics_render(const struct metrics *m, bool openmetrics, struct buf *out);

/** metrics_wants_openmetrics() - does this Accept header (NULL: none) prefer OpenMetrics to plain text? */
bool metrics_wants_openmetrics(const char *accept);

#endif
