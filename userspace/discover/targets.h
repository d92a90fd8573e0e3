/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * targets.h - who the containers of this machine are, kept by a thread of its own.
 *
 * The thread asks Docker over its socket and reads the bundles of the other run times
 * (bundle.h), when somebody wants to know what it does not know, at most every
 * TARGETS_PERIOD_NS, and never by itself: a machine without containers costs nothing.
 * Whoever asks looks into the table of the last round and never waits, but for
 * targets_refresh().
 *
 * Bounded: TARGETS_MAX containers; more are counted. A Docker that does not answer is
 * asked again with the next round and delays only that. Any thread.
 */
#ifndef ARCHAIC_TARGETS_H
#define ARCHAIC_TARGETS_H

#include "discover/target.h"

#define TARGETS_MAX 1024
#define TARGETS_PERIOD_NS 500000000ULL
#define TARGETS_DOCKER_MS 2000 /* for each answer of Docker's */

struct targets;

/** targets_new() - start the thread. @docker: path of the Engine's socket, copied; "": no Docker. 0 or -errno. */
int targets_new(const char *docker, struct targets **ret);
void targets_free(struct targets *t);

/**
 * targets_describe() - what is known of container @id; asks for a round where nothing is.
 * 0, or -EAGAIN: not yet, or never.
 */
int targets_describe(struct targets *t, const char *id, struct target *ret);

/**
 * targets_find() - the running containers that @s asks for, up to @max; asks for a round where there are none.
 * Returns how many there are.
 */
size_t targets_find(struct targets *t, const struct target_selector *s, struct target *ret,
		    size_t max);

/** targets_refresh() - wait for a round that begins from here on, @wait_ns at most. 0 or -ETIMEDOUT. Not for the sampler's thread. */
int targets_refresh(struct targets *t, uint64_t wait_ns);

struct targets_stats {
	uint64_t rounds, docker_failed, broken_bundles, over_max;
	size_t known;
};

void targets_stats(struct targets *t, struct targets_stats *ret);

static inline void targets_freep(struct targets **t)
{
	targets_free(*t);
}

#endif
