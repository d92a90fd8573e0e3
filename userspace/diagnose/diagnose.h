/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diagnose.h - ticks and verdicts in, the ranked causes out.
 *
 * Keeps, per service and per edge, the last HISTORY_SLOTS seconds and a slow
 * baseline of healthy seconds (history.h). When asked, it compares the seconds
 * since the onset with the baseline, turns them into evidence (evidence.h),
 * explains away what callees account for, and ranks (rank.h).
 *
 * Answers with known = false, and a reason, where the evidence does not carry:
 * nobody is anomalous, two candidates cannot be told apart, or the load from
 * outside rose and everybody suffers from that.
 *
 * Pure: no clock, disk, log; knows nothing of faults. Bounded: SERVICE_MAX
 * services, DIAGNOSE_EDGES_MAX edges; more are counted and not used.
 * Not thread-safe: the daemon's mutex guards it.
 */
#ifndef ARCHAIC_DIAGNOSE_H
#define ARCHAIC_DIAGNOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/anomaly.h"
#include "diagnose/diagnosis.h"
#include "observe/sample.h"

#define DIAGNOSE_EDGES_MAX 1024

struct diagnoser;

struct diagnoser_stats {
	size_t nr_services, nr_edges;
	uint64_t services_refused, edges_refused; /* tables full */
};

/** diagnoser_new() - 0 or -ENOMEM. */
int diagnoser_new(struct diagnoser **ret);
void diagnoser_free(struct diagnoser *g);

static inline void diagnoser_freep(struct diagnoser **g)
{
	diagnoser_free(*g);
}

/**
 * diagnoser_feed() - take one tick and the verdicts that the detector gave on it.
 * Every tick, healthy or not. @t and @v are borrowed. 0, -EINVAL (time went back) or -ENOMEM.
 */
int diagnoser_feed(struct diagnoser *g, const struct tick *t, const struct verdict *v, size_t nr);

/**
 * diagnoser_run() - who is the cause of what is anomalous now?
 * Looks at the verdicts of the last feed. May be asked again every tick: the
 * answer gets firmer as evidence comes in. Always fills @ret.
 */
void diagnoser_run(const struct diagnoser *g, struct diagnosis *ret);

/**
 * diagnoser_warm() - is it known what is usual for every service with requests in the last
 * HISTORY_SLOTS, and for every call between services, and is there such a service at all?
 * Before that an answer may come late, or be "unknown".
 */
bool diagnoser_warm(const struct diagnoser *g);

/** diagnoser_forget() - @service was detached: drop it and its edges. */
void diagnoser_forget(struct diagnoser *g, uint32_t service);

/** diagnoser_shelve() - the same, but what is usual waits for a service of that name, as after diagnoser_load(). */
void diagnoser_shelve(struct diagnoser *g, uint32_t service);

/* About 200 bytes a service and 250 an edge; this is the most diagnoser_save() writes. */
#define DIAGNOSER_BLOB_MAX (1U << 19)

/** diagnoser_save() - append what is usual, by the services' names, with a version and a checksum. 0, or buf's errors. */
int diagnoser_save(const struct diagnoser *g, struct buf *b);

/**
 * diagnoser_load() - take what is usual from a blob; each waits for the services of its names. Before
 * the first tick: services that are known already keep what they have. @data is untrusted.
 * 0, -EINVAL (torn, not a blob), -ESTALE (another version: learn anew), -ENOMEM; nothing was taken on failure.
 */
int diagnoser_load(struct diagnoser *g, const void *data, size_t len);

void diagnoser_stats(const struct diagnoser *g, struct diagnoser_stats *ret);

#endif
