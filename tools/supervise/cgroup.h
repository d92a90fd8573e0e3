/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup.h - one cgroup v2 a child, below a parent of ours.
 *
 * Where the hierarchy is mounted is kernel/cgroup.h's business. Only directories
 * that hold no process are taken over, and only empty ones are removed. No
 * controller is asked for.
 */
#ifndef ARCHAIC_SUPERVISE_CGROUP_H
#define ARCHAIC_SUPERVISE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/** cgroup_make() - make @dir and its parent. 0, -EBUSY (a process lives in it) or -errno. */
int cgroup_make(const char *dir);

/** cgroup_open_procs() - cgroup.procs of @dir, for writing; the caller closes it. The fd or -errno. */
int cgroup_open_procs(const char *dir);

/** cgroup_kill() - SIGKILL to all that live in @dir. Returns how many there were, or -errno. */
int cgroup_kill(const char *dir);

/** cgroup_remove() - remove @dir, then its parent if that is empty. 0, -EBUSY or -errno; gone already is 0. */
int cgroup_remove(const char *dir);

#endif
