/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * service.h - what a service is: an id in the kernel, a name outside.
 *
 * A service's key is (network namespace or cgroup, port), since two pods may
 * share 8080. Ids start at 1 and are never used twice in a daemon's life (32 bits
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

enum service_source { SERVICE_BY_PORT, SERVICE_BY_PID, SERVICE_BY_CGROUP, SERVICE_FOUND };

struct service {
	uint32_t id;
	char name[SERVICE_NAME_MAX];
	enum service_source source;
	uint32_t netns_ino;                /* of its listening sockets; 0 while not known */
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
