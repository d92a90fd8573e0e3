/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detector_state.h - the detector's inside, for detector*.c and judge.c only.
 */
#ifndef ARCHAIC_DETECTOR_STATE_H
#define ARCHAIC_DETECTOR_STATE_H

#include "detect/baseline.h"
#include "detect/detector.h"
#include "detect/features.h"
#include "detect/threshold.h"

/* A vector waits this long, longer than an anomaly takes to open, and is dropped if one does. */
#define LEARN_DELAY_NS 6000000000ULL
#define PENDING_MAX 72      /* at 100 ms a tick 60 wait */
#define CANDIDATES_MAX 1024 /* vectors of a level that may become the new one */
#define TRAFFIC_RECENT_NS (60 * NSEC_PER_SEC)

struct pending {
	uint64_t at_ns;
	double v[NR_FEATURES];
};

/* The last vectors of an anomaly, in case it turns out to be the new normal. A ring. */
struct candidates {
	float (*rows)[NR_FEATURES]; /* owned; NULL until the first anomaly */
	size_t nr, next;
	uint64_t calm_since_ns; /* anomalous, but unheld and within the static limits, since; 0: not */
};

struct entry {
	uint32_t id;
	char name[SERVICE_NAME_MAX];
	struct window window;
	struct baseline baseline;
	struct debounce debounce;
	struct pending pending[PENDING_MAX]; /* ring */
	size_t pending_first, nr_pending;
	struct candidates candidates;
	uint64_t hold_until_ns;
	bool accepted;            /* a new level was taken: the next vote closes the anomaly */
	uint64_t traffic_ns;      /* newest tick with traffic; 0: never */
	uint64_t unlike_since_ns; /* first of the present run of unlike ticks; 0: none */
	uint64_t tree_ns;         /* when a tree was replaced last */
	size_t fit_at;            /* rows at which the next whole fit is due while filling */
	struct {
		enum scorer scorer; /* SCORER_NONE: it was not suspect */
		uint64_t since_ns;  /* the run of unlike ticks that it ended began then */
	} votes[VOTES_WINDOW];      /* newest first */
	struct verdict verdict;     /* the last one */
};

/* Baselines from disk, waiting for the service of their name. */
struct restored {
	char name[SERVICE_NAME_MAX];
	float (*rows)[NR_FEATURES]; /* owned */
	size_t nr;
};

struct detector {
	struct detector_config cfg;
	struct entry *entries[SERVICE_MAX]; /* owned */
	size_t nr_entries;
	struct restored restored[SERVICE_MAX];
	size_t nr_restored;
	uint64_t at_ns;
	struct detector_stats stats;
};

/**
 * judge() - fill @v for the tick that e->window took last: suspicion, score, features, why.
 * Leaves the debounced fields (anomalous, opened, closed, onset_ns) to the caller.
 * @f: taken from e->window. @at_once: open without debounce. @unlike: p < 1e-2.
 */
void judge(const struct entry *e, const struct detector_config *cfg, const struct features *f,
	   struct verdict *v, bool *at_once, bool *unlike);

/** entry_warm() - does the forest decide? */
static inline bool entry_warm(const struct entry *e, const struct detector_config *cfg)
{
	return e->baseline.fitted_nr >= cfg->baseline_samples;
}

/** detector_restore() - give @e the baseline that waits under its name, if any. 0 or -ENOMEM. */
int detector_restore(struct detector *d, struct entry *e);

#endif
