/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * series_prometheus.h - what is older than our memory, from the Prometheus server that scrapes us.
 *
 * Asks /api/v1/query_range once a metric, for the part of a window that lies
 * before what we know ourselves, with the metrics' own names (metrics.h). Heat,
 * self time and threshold are not to be had there and stay gaps, as does
 * whatever the server does not answer within SERIES_PROMETHEUS_MS in all.
 */
#ifndef ARCHAIC_SERIES_PROMETHEUS_H
#define ARCHAIC_SERIES_PROMETHEUS_H

#include "base/buf.h"
#include "observe/series.h"

#define SERIES_PROMETHEUS_MS 10000
#define SERIES_PROMETHEUS_ANSWER_MAX ((size_t)1 << 20)

/**
 * series_from_prometheus() - fill @w's gaps before w->known_s for @metrics (bits).
 * @url: the server. @service: a valid name. Waits; any thread. Fills what it gets.
 */
void series_from_prometheus(const char *url, const char *service, unsigned metrics,
			    struct series_window *w);

/** series_promql() - the expression for one metric of @service over @step_s, into @to. 0, -ENOENT (not to be had there) or buf's error. */
int series_promql(enum series_metric m, const char *service, uint32_t step_s, struct buf *to);

/** series_take_matrix() - Prometheus's answer into a metric's first @nr values of @w; gaps only. 0 or -EINVAL (not such an answer). */
int series_take_matrix(const char *json, size_t len, enum series_metric m, size_t nr,
		       struct series_window *w);

#endif
