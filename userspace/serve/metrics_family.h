/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * metrics_family.h - what metrics.c keeps and metrics_text.c writes. Nobody else includes this.
 */
#ifndef ARCHAIC_METRICS_FAMILY_H
#define ARCHAIC_METRICS_FAMILY_H

#include <uthash.h>

#include "serve/metrics.h"

#define METRICS_BOUNDS_MAX 24 /* of a histogram */

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
	const char *name, *help;
	enum metric_kind kind;
	const uint64_t *bounds; /* ns, rising, each one of hist_upper_ns(); histograms only */
	size_t nr_bounds;
	bool identity;                              /* the first value is service_name */
	const char *labels[METRICS_LABELS_MAX + 1]; /* NULL-ended */
};

struct metric_series {
	UT_hash_handle hh;
	char *labels; /* a="b",c="d", escaped; owned, the key */
	double value;
	uint64_t *buckets; /* nr_bounds + 1, not cumulative; owned; histograms only */
	double sum_ns;
	struct metric_exemplar *exemplars; /* nr_bounds + 1; owned; NULL: none */
};

struct metrics {
	char namespace[64];
	struct {
		struct metric_series *series;
		struct metric_series *overflow;
		uint64_t folded;
	} table[NR_METRICS];
};

/** metric_family() - the description of @which. Static. */
const struct metric_family *metric_family(enum metric which);

#endif
