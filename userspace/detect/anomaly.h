/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * anomaly.h - what detection hands to diagnosis: plain data.
 */
#ifndef ARCHAIC_ANOMALY_H
#define ARCHAIC_ANOMALY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/service.h"

/* The features of DETECTION.md, in model order. */
enum feature {
	FEATURE_P50,       /* log of the median duration, s */
	FEATURE_P99,       /* log of the 99th percentile, s */
	FEATURE_ERRORS,    /* logit of the 5xx and aborted share */
	FEATURE_RATE,      /* log of requests per s */
	FEATURE_CPU,       /* cores, load taken out */
	FEATURE_RUNQUEUE,  /* log of the run-queue p95, s */
	FEATURE_SELF,      /* log of self time, s: server time less time waiting for callees */
	FEATURE_IN_FLIGHT, /* log(1 + requests in flight) */
	FEATURE_OLDEST,    /* log of the age of the oldest request in flight, s */
	NR_FEATURES,
};

/** feature_name() - a stable snake_case name: "p99", "errors", "self", "oldest_in_flight", ... */
const char *feature_name(enum feature f);

enum scorer {
	SCORER_NONE,
	SCORER_FOREST,     /* boxed isolation forest */
	SCORER_STATIC,     /* fixed limits, while the baseline is being learned */
	SCORER_TOTAL_LOSS, /* requests in flight and none finished for 3 s */
};

/** scorer_name() - "none", "forest", "static", "total_loss". */
const char *scorer_name(enum scorer s);

struct feature_credit {
	enum feature feature;
	double share;  /* of the score, 0..1 */
	double value;  /* in human units: ms, ratio, 1/s, cores, count */
	double normal; /* the baseline's median, same unit */
	double z;      /* robust, signed, clipped at +-30 */
};

/* One service's state after a tick. */
struct verdict {
	uint32_t service;
	char name[SERVICE_NAME_MAX];
	uint64_t at_ns;
	bool anomalous;       /* debounced: open */
	bool opened, closed;  /* the debounced state changed with this tick */
	bool accepted;        /* closed because what it does has become its normal */
	bool suspect;         /* this tick alone is over the threshold */
	enum scorer scorer;   /* what made it suspect (the first to fire while open) */
	double score;         /* 0..1, boxed */
	double classic_score; /* 0..1, the same forest without boxes */
	double threshold;
	struct feature_credit top[3]; /* by share, largest first */
	size_t nr_top;
	size_t baseline_samples; /* gathered of the full baseline */
	bool warm;               /* the forest decides */
	uint64_t onset_ns;       /* when open: first tick that was unlike the baseline (p < 1e-2) */
	char why[160];           /* one sentence, numbers with units */
	/* While it is open: since when, what the newest suspect tick said, and what is still lacking. */
	uint64_t opened_ns, suspect_ns;
	char open_why[160];
	unsigned calm, calm_needed; /* votes in a row without suspicion, of those that end it */
};

#endif
