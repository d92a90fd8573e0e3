/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service.h - what a service is: an id in the kernel, a name outside.
 *
 * A service's key is (network namespace or cgroup, port), since two pods may
 * share 8080. A container, pod or unit is one service with all of its ports; its
 * processes and cgroup are those of the present instance (see `instance`). Ids start at 1 and are never used twice in a daemon's life (32 bits
 * last 136 years at one a second); 0 means "nobody we know".
 */
#ifndef ARCHAIC_SERVICE_H
#define ARCHAIC_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVICE_NAME_MAX 64    /* bytes with the NUL; [A-Za-z0-9._-], no leading dot or dash */
#define SERVICE_CGROUP_MAX 256 /* path below the v2 mount, begins with '/' */
#define SERVICE_PORTS_MAX 8
#define SERVICE_PIDS_MAX 64
#define SERVICE_MAX 256

/* FOUND: by its port alone. What was found of a container or unit has that source, and `found`. */
enum service_source {
	SERVICE_BY_PORT,
	SERVICE_BY_PID,
	SERVICE_BY_CGROUP,
	SERVICE_FOUND,
	SERVICE_BY_CONTAINER,
	SERVICE_BY_POD,
	SERVICE_BY_UNIT,
};

#define SERVICE_CONTAINER_MAX 65 /* 64 hex digits and the NUL */
#define SERVICE_NAMESPACE_MAX 64 /* of a pod: a DNS label */
#define SERVICE_WORKLOAD_MAX 254 /* a pod's or unit's name */

struct service {
	uint32_t id;
	char name[SERVICE_NAME_MAX];
	enum service_source source;
	bool found;        /* by itself, not attached */
	uint32_t instance; /* of a container, pod or unit: another one at each replacement; 0: one that moves but is not replaced */
	char container_id[SERVICE_CONTAINER_MAX]; /* its present container; "" without, and of a pod */
	char namespace[SERVICE_NAMESPACE_MAX];    /* of its pod; "" without */
	char pod[SERVICE_WORKLOAD_MAX];           /* its present pod; "" without */
	char unit[SERVICE_WORKLOAD_MAX]; /* its systemd unit, with the suffix; "" unless it is selected by it */
	uint32_t netns_ino;              /* of its listening sockets; 0 while not known */
	uint16_t ports[SERVICE_PORTS_MAX]; /* host byte order */
	size_t nr_ports;
	char cgroup[SERVICE_CGROUP_MAX]; /* of its listening sockets' process; "" while not known */
	uint64_t cgroup_id; /* the kernel's id of that cgroup (its inode); 0 while not known */
	bool own_cgroup;    /* no process outside this service lives in the cgroup */
	pid_t pids[SERVICE_PIDS_MAX]; /* thread group leaders, main one (holds the listener, oldest) first */
	size_t nr_pids;
	bool supervised; /* something starts it again when it dies: a restart may kill it */
	uint64_t main_start_ticks; /* starttime of pids[0], /proc/PID/stat field 22: tells a reused pid */
};

/** service_name_valid() - may @name be a service's name? */
bool service_name_valid(const char *name);

#endif
