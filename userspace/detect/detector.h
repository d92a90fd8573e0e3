/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detector.h - ticks in, one verdict a service out.
 *
 * Per service: a window of the last second becomes a feature vector
 * (features.h); a baseline of clean vectors (baseline.h) gives robust z values,
 * a boxed isolation forest and its thresholds; what is over a threshold AND big
 * enough to matter (threshold.h) is suspect; suspects are debounced.
 *
 * Life of a service: under shadow_samples only static limits apply (p99 > 1 s,
 * errors > 10 %, total loss); then the forest scores in the shadow; from
 * baseline_samples on the service is warm and the forest decides. Total loss and
 * >= 50 % errors (n >= 20) open at once at any age. A second without traffic and
 * with nothing in flight is no sample and no symptom.
 *
 * Never learned from: an open anomaly, the seconds before it (vectors wait
 * LEARN_DELAY_NS), a hold. Lone suspect ticks are learned: they are the tail of
 * what is normal. A level that lasts is accepted after accept_ns of an anomaly
 * without hold and within the static limits, or by detector_accept().
 *
 * Votes: one a second, also where ticks are shorter, since windows that overlap
 * are one piece of evidence; a tick of 1 s or more is one vote.
 *
 * Pure: no clock, disk, log. Bounded by SERVICE_MAX services; further ones are
 * counted and get no verdict. Not thread-safe: the daemon's mutex guards it.
 */
#ifndef ARCHAIC_DETECTOR_H
#define ARCHAIC_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/anomaly.h"
#include "detect/threshold.h"
#include "observe/sample.h"

struct detector;

struct detector_config {
	uint64_t seed;           /* of all random draws: the same ticks give the same verdicts */
	size_t shadow_samples;   /* 256; at least 100 */
	size_t baseline_samples; /* 1024; shadow_samples .. 2048 */
	unsigned calm_ticks;     /* votes without suspicion that close an anomaly: 12 */
	uint64_t tree_period_ns; /* the oldest tree is replaced this often: 10 s */
	uint64_t accept_ns;      /* a new level is accepted after this: 30 min */
	struct static_limits limits; /* p99 > 1 s, errors > 10 %, total loss after 3 s */
};

struct detector_stats {
	size_t nr_services;
	size_t nr_warm;
	uint64_t services_refused; /* SERVICE_MAX reached: ticks of services without a verdict */
	uint64_t verdicts_dropped; /* did not fit into the caller's array */
	uint64_t samples_learned;
	uint64_t samples_masked; /* anomaly, hold */
	uint64_t fits;           /* whole forests */
	uint64_t trees_replaced;
	uint64_t accepted; /* new levels that became the normal */
};

/* Blob size for one service is about 74 KiB; this is the most detector_save() writes. */
#define DETECTOR_BLOB_MAX (20U << 20)

/** detector_config_default() - the figures in the comments above, seed 1. */
void detector_config_default(struct detector_config *cfg);

/** detector_new() - NULL @cfg: defaults. 0, -EINVAL (a figure outside its bounds), -ENOMEM. */
int detector_new(const struct detector_config *cfg, struct detector **ret);
void detector_free(struct detector *d);

static inline void detector_freep(struct detector **d)
{
	detector_free(*d);
}

/**
 * detector_tick() - judge one tick.
 * @t:   Borrowed. at_ns must not go back.
 * @out: One verdict a service, in the order in which services were first seen;
 *       a known service that is missing in @t counts as silent. SERVICE_MAX fit all.
 * @nr:  Verdicts written.
 *
 * 0, -EINVAL (time went back), -ENOMEM (the verdicts written are valid; what
 * could not be learned is lost).
 */
int detector_tick(struct detector *d, const struct tick *t, struct verdict *out, size_t max,
		  size_t *nr);

/**
 * detector_hold() - do not learn from @service before @until_ns (monotonic).
 * The longest hold wins; UINT64_MAX: until detector_release(). For open incidents
 * and the minute after an action. An unknown service is ignored.
 */
void detector_hold(struct detector *d, uint32_t service, uint64_t until_ns);

/** detector_release() - end a hold now. */
void detector_release(struct detector *d, uint32_t service);

/**
 * detector_accept() - an operator's word: what @service does now is normal.
 * The samples gathered while anomalous replace the baseline where they are enough
 * (shadow_samples), else the baseline starts anew. Closes the anomaly with the next
 * tick. 0, -ENOENT, -ENOMEM.
 */
int detector_accept(struct detector *d, uint32_t service);

/** detector_forget() - @service was detached: drop all that is known of it. */
void detector_forget(struct detector *d, uint32_t service);

/**
 * detector_shelve() - @service is gone and may come back under its name: drop all but its baseline, which waits for
 * that name as those of detector_load() do. Where SERVICE_MAX wait already, the oldest is lost. 0 or -ENOMEM (it is
 * forgotten).
 */
int detector_shelve(struct detector *d, uint32_t service);

/**
 * detector_warm() - is every service that had traffic in the last minute warm,
 * and is there at least one? The caller slows its ticks to 1 s then.
 */
bool detector_warm(const struct detector *d);

/** detector_scores() - every service's last verdict; returns how many were written. */
size_t detector_scores(const struct detector *d, struct verdict *out, size_t max);

void detector_stats(const struct detector *d, struct detector_stats *ret);

/**
 * detector_save() - append all baselines to @b, keyed by service name, with a
 * version, the hash of the feature list and a checksum. The forests are not in it:
 * they are grown again from the samples. 0, or buf's errors.
 */
int detector_save(const struct detector *d, struct buf *b);

/**
 * detector_load() - take baselines from a blob; each waits for the service of its
 * name. @data is untrusted. 0, -EINVAL (torn, not a blob), -ESTALE (another version
 * or feature list: learn anew), -ENOMEM; nothing was taken on failure.
 */
int detector_load(struct detector *d, const void *data, size_t len);

#endif
