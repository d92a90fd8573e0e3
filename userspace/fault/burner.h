/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * burner.h - a process that keeps a service's own cgroup busy.
 *
 * Only where the service owns its cgroup. It runs under SCHED_IDLE, so that it
 * takes what nobody else wants, works for a bounded part of every
 * BURNER_PERIOD_NS, and ends by itself when the fault's lease or deadline is over or
 * the pipe to the daemon breaks. It is journaled all the same: a freezer could stop it.
 */
#ifndef ARCHAIC_BURNER_H
#define ARCHAIC_BURNER_H

#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/fault_abi.h"

#define BURNER_PERIOD_NS 10000000ULL

struct burner {
	pid_t pid; /* 0: none */
	int pipe_fd;
	unsigned long long start_ticks;
};

/**
 * burner_prepare() - fork it; it waits. @cgroup: v2 path, "/…".
 * The caller journals pid and start ticks, then burner_go(). 0 or -errno.
 */
int burner_prepare(const char *cgroup, const struct fault_ctl *ctl, double percent,
		   struct burner *ret);

/** burner_go() - let it enter the cgroup and burn. 0 or -errno. */
int burner_go(struct burner *b);

/** burner_stop() - end and reap it. */
void burner_stop(struct burner *b);

#endif
