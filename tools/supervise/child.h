/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * child.h - one supervised program: started, watched, started again.
 *
 * It runs in a cgroup, a process group and a log file of its own, and dies with
 * the supervisor (PR_SET_PDEATHSIG), so a killed supervisor leaves no orphan on
 * the port. Not thread-safe; the supervisor has one thread.
 */
#ifndef ARCHAIC_SUPERVISE_CHILD_H
#define ARCHAIC_SUPERVISE_CHILD_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_NAME_MAX 64
#define CHILD_ARGS_MAX 64
#define CHILDREN_MAX 32

#define BACKOFF_MIN_NS 100000000ULL
#define BACKOFF_MAX_NS 5000000000ULL
#define BACKOFF_RESET_NS 10000000000ULL /* up for so long: well again */

struct child {
	char name[CHILD_NAME_MAX];
	char *argv[CHILD_ARGS_MAX + 1];     /* borrowed */
	char cgroup[PATH_MAX];              /* "": none */
	const char *run_dir;                /* borrowed */
	pid_t pid;                          /* 0: not running */
	uint64_t started_ns, restart_at_ns; /* CLOCK_MONOTONIC; restart_at_ns 0: not waiting */
	uint64_t backoff_ns;                /* of the last restart */
	unsigned int restarts;
};

/** child_name_valid() - [A-Za-z0-9._-], no leading dot or dash, shorter than CHILD_NAME_MAX. */
bool child_name_valid(const char *name);

/** child_backoff_ns() - how long to wait after a death: @last_ns was waited before (0: never), @up_ns it ran since. Pure. */
uint64_t child_backoff_ns(uint64_t last_ns, uint64_t up_ns);

/** child_prepare() - make the cgroup. 0 or -errno; -EBUSY: somebody lives in it. */
int child_prepare(const struct child *c);

/** child_start() - fork and exec; writes NAME.pid. 0 or -errno. */
int child_start(struct child *c, uint64_t now_ns);

/** child_died() - after its wait: kill what it left in its cgroup, and set when it starts again. */
void child_died(struct child *c, uint64_t now_ns);

/** child_remove() - the pid file and the cgroup, after the last death. 0 or -errno. */
int child_remove(const struct child *c);

/** child_cut_log() - keep NAME.log bounded, see logfile.h. */
void child_cut_log(const struct child *c);

#endif
