/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bundle.h - containers of containerd and CRI-O, without their APIs: from what runs.
 *
 * Each container has a minder, a process of root's: containerd-shim-*, whose working
 * folder is the bundle of its pod among those of all others, or conmon, whose command
 * line names the bundle. In a bundle lies config.json with the annotations that the
 * kubelet's run-time interface defines. It is read through /proc/PID, so
 * that it is found wherever the run time keeps it, in whatever mount namespace: it
 * takes CAP_SYS_PTRACE, no mount and no socket.
 *
 * Docker's own bundles say nothing of names and are left to docker/docker.h.
 *
 * Untrusted: files are regular ones of at most BUNDLE_BYTES_MAX, names of known forms only, an
 * unknown or broken one is left out and counted. Reads disks: not for the sampler's
 * thread. Any thread.
 */
#ifndef ARCHAIC_BUNDLE_H
#define ARCHAIC_BUNDLE_H

#include <stddef.h>
#include <sys/types.h>

#include "discover/target.h"

#define BUNDLE_BYTES_MAX (1U << 20)
#define BUNDLES_MAX 1024 /* looked at in one go */

/** bundle_parse() - a config.json into names (not pid, not cgroup). @t->id is set by the caller. 0, -EINVAL (no such JSON), -ENODATA (names nobody, or is a pod's sandbox). */
int bundle_parse(const char *json, size_t len, struct target *t);

struct bundles_stats {
	size_t looked_at, broken, over_max;
};

/**
 * bundles_each() - every container with a minder.
 * @known: what was read before of container @id, NULL: nothing. A bundle does not change: it is not read again.
 * @cb: @t is borrowed. 0 or -errno.
 */
int bundles_each(const struct target *(*known)(void *ctx, const char *id),
		 void (*cb)(void *ctx, const struct target *t), void *ctx,
		 struct bundles_stats *stats);

/** target_locate() - set t->cgroup from t->pid, if that process lives in t's container; else both are cleared. */
void target_locate(struct target *t);

#endif
