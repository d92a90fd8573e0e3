/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * workload.h - a cgroup's path into what runs there: which container, pod, systemd unit.
 *
 * By the forms that runc's callers give their cgroups (cgroupfs and systemd drivers
 * of Docker, containerd, CRI-O, Podman, the kubelet) and by systemd's own suffixes. The
 * path is a stranger's text: only what has exactly these forms is taken. Pure; any thread.
 */
#ifndef ARCHAIC_WORKLOAD_H
#define ARCHAIC_WORKLOAD_H

#include "discover/service.h"

#define WORKLOAD_CONTAINER_MAX SERVICE_CONTAINER_MAX
#define WORKLOAD_POD_UID_MAX \
	37 /* 8-4-4-4-12 hex digits, or 32 of them (static pods), and the NUL */

struct workload {
	char container_id[WORKLOAD_CONTAINER_MAX]; /* "": in no container that we know */
	char container_cgroup[SERVICE_CGROUP_MAX]; /* the path down to that container; "" without */
	char pod_uid[WORKLOAD_POD_UID_MAX]; /* "": in no pod; with '-', whatever the driver made of it */
	char pod_cgroup[SERVICE_CGROUP_MAX];   /* the path down to that pod; "" without */
	char systemd_unit[SERVICE_CGROUP_MAX]; /* the innermost .service or .scope; "" without */
	bool is_unit; /* the path ends with it, and it is a .service, and not a user's own */
};

/** workload_of_cgroup() - @path: below the cgroup v2 mount, "/system.slice/nginx.service". */
void workload_of_cgroup(const char *path, struct workload *ret);

#endif
