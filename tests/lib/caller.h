/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caller.h - a process that connects, and hands its sockets to the test.
 *
 * The sockets are the process's as far as the kernel and the observer know (who
 * called connect(), whose cgroup); the test writes and reads them. It ends with
 * its parent.
 */
#ifndef ARCHAIC_TEST_CALLER_H
#define ARCHAIC_TEST_CALLER_H

#include <stdint.h>
#include <sys/types.h>

struct caller {
	pid_t pid;
	int line; /* socket */
};

/** caller_start() - in the caller's network namespace. 0 or -errno. */
int caller_start(struct caller *c);

/** caller_connect() - begin to connect to @address (IPv4 or IPv6). A blocking socket with time-outs of 5 s, perhaps not connected yet, owned by the caller; or -errno. */
int caller_connect(struct caller *c, const char *address, uint16_t port);

/** caller_stop() - kill and reap. May be said twice. */
void caller_stop(struct caller *c);

#endif
