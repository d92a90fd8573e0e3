/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * played.h - what looks like pods on a node: a cgroup with a container's id, a network namespace joined to
 * the test's by a veth pair, a server in it, a bundle, and a minder whose working folder is among the
 * bundles. The run time alone is played; kernel, cgroups, namespaces and packets are real.
 *
 * One node at a time, in a network namespace of the test's own. Failures of the harness fail the test.
 */
#ifndef ARCHAIC_TEST_PLAYED_H
#define ARCHAIC_TEST_PLAYED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "discover/service.h"

#define PLAYED_PORT 8080 /* of every container */

struct played {
	char id[SERVICE_CONTAINER_MAX];
	char pod_cgroup[192], cgroup[256]; /* folders, the second in the first */
	char address[16];                  /* 10.77.N.2 */
	pid_t pid;                         /* 0: none */
	int to_child;
};

struct played_answer {
	int status;  /* 0: none came */
	uint64_t ns; /* request sent to first bytes */
};

/** played_open() - namespace, parent cgroup, folder, minder. False, after "SKIP @name: reason": not on this machine. */
bool played_open(const char *name);

/** played_close() - end and remove all of it; the containers have ended before. May be said twice. */
void played_close(void);

/** played_start() - a container "db" of pod shop/@pod, serving httpd.h's paths. Returns when it listens. */
void played_start(struct played *c, const char *pod);

/** played_end() - kill it and wait until its cgroup is gone. */
void played_end(struct played *c);

/** played_ask() - GET /200/5 from this side of its veth pair. */
struct played_answer played_ask(const struct played *c);

/** played_dir(), played_parent() - a folder of the test's own; the containers' parent cgroup, as /proc/PID/cgroup has it. */
const char *played_dir(void);
const char *played_parent(void);

#endif
