/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netns.h - other network namespaces: named by their inode, held by a descriptor, entered in a thread.
 *
 * Nobody's namespace but that of a short-lived thread ever changes: what the thread
 * makes there (netlink sockets, children, links) belongs to that namespace, everything
 * else of the process is as before. Entering takes CAP_SYS_ADMIN; looking at
 * a namespace's sockets (kernel/sockets.h) does not.
 * An open descriptor keeps a namespace alive: hold it no longer than what was made there.
 * Thread-safe.
 */
#ifndef ARCHAIC_KERNEL_NETNS_H
#define ARCHAIC_KERNEL_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** netns_here() - inode of the calling thread's network namespace; 0 where it cannot be told. */
uint32_t netns_here(void);

/**
 * netns_open() - a descriptor of the namespace with inode @ino, closed by the caller.
 * @hint: a process that lives there, or 0: looked for among all processes and the folders where
 * ip-netns and Docker keep theirs, which costs a walk through /proc.
 * The fd, -ENOENT (nobody lives there: it is gone), or -errno.
 */
int netns_open(uint32_t ino, pid_t hint);

/**
 * netns_run() - call @fn(@ctx) in a thread that has entered @fd, and wait for it.
 * @fn's value, -EPERM (entering takes CAP_SYS_ADMIN; @fn was not called), or -errno. All signals
 * are blocked in the thread.
 */
int netns_run(int fd, int (*fn)(void *ctx), void *ctx);

/** netns_can_enter() - may this process enter network namespaces? Tried once, with its own. */
bool netns_can_enter(void);

/**
 * netns_is_neighbour() - is the namespace that @pid lives in joined to the caller's by a device, as a container's is
 * to that of its bridge? By the id that the kernel gives it here when a device of ours has its peer there. An
 * older daemon's, test's or cluster's containers on the same kernel are no neighbours. Needs no right.
 */
bool netns_is_neighbour(pid_t pid);

#endif
