/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * workload.h - a cgroup's path into what runs there: which container, which systemd unit.
 *
 * By the forms that runc's callers give their cgroups (cgroupfs and systemd drivers
 * of Docker, containerd, CRI-O, Podman) and by systemd's own suffixes. The path is a
 * stranger's text: only what has exactly these forms is taken. Pure; any thread.
 */
#ifndef ARCHAIC_WORKLOAD_H
#define ARCHAIC_WORKLOAD_H

#include "discover/service.h"

#define WORKLOAD_CONTAINER_MAX 65 /* 64 hex digits and the NUL */

struct workload {
	char container_id[WORKLOAD_CONTAINER_MAX]; /* "": in no container that we know */
	char systemd_unit[SERVICE_CGROUP_MAX]; /* the innermost .service or .scope; "" without */
};

/** workload_of_cgroup() - @path: below the cgroup v2 mount, "/system.slice/nginx.service". */
void workload_of_cgroup(const char *path, struct workload *ret);

#endif
