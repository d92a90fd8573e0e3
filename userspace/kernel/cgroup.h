/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup.h - the cgroup v2 hierarchy, wherever it is mounted.
 *
 * Paths are those of /proc/PID/cgroup: below the mount, beginning with '/'.
 * They are untrusted text: what is opened is checked to lie below the mount.
 * Thread-safe.
 */
#ifndef ARCHAIC_KERNEL_CGROUP_H
#define ARCHAIC_KERNEL_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "discover/service.h"

/** cgroup_root() - the mount point of cgroup v2, from /proc/self/mountinfo. 0 or -ENOENT (not mounted). */
int cgroup_root(char ret[static PATH_MAX]);

/** cgroup_path_valid() - begins with '/', no "." or ".." component, no "//", not too long. */
bool cgroup_path_valid(const char *path);

/** cgroup_open_path() - a directory fd of @path ("/" is the root itself), closed by the caller. The fd, -EINVAL, or -errno. */
int cgroup_open_path(const char *path);

/** cgroup_path_id() - the kernel's id of @path. 0 or -errno. */
int cgroup_path_id(const char *path, uint64_t *ret);

/** cgroup_of_pid() - the v2 path that process @pid lives in. 0, -ENOENT (process gone, no v2 line), -ENAMETOOLONG. */
int cgroup_of_pid(pid_t pid, char ret[static SERVICE_CGROUP_MAX]);

/** cgroup_procs() - up to @max thread group leaders that live in @path itself. Returns how many there are (may be over @max), or -errno. */
ssize_t cgroup_procs(const char *path, pid_t *ret, size_t max);

/**
 * cgroup_procs_below() - the same of @path and all below it, CGROUP_BELOW_DEPTH deep and CGROUP_BELOW_MAX cgroups wide:
 * what is further down is not seen.
 */
#define CGROUP_BELOW_DEPTH 5
#define CGROUP_BELOW_MAX 64
ssize_t cgroup_procs_below(const char *path, pid_t *ret, size_t max);

/**
 * cgroup_find() - the path of the cgroup named @name (one component): the first in breadth, CGROUP_FIND_MAX looked at.
 * 0, -ENOENT, -EINVAL (no name), or -errno.
 */
#define CGROUP_FIND_MAX 8192
int cgroup_find(const char *name, char ret[static SERVICE_CGROUP_MAX]);

#endif
