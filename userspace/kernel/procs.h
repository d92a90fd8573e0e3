/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * procs.h - what /proc says of processes. Everything in it is untrusted and may
 * vanish between two reads; command names may hold spaces, parentheses, newlines.
 * Thread-safe.
 */
#ifndef ARCHAIC_KERNEL_PROCS_H
#define ARCHAIC_KERNEL_PROCS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
	pid_t pid, ppid;
	char state;           /* 'R' 'S' 'D' 'T' 't' 'Z' ... */
	uint64_t start_ticks; /* field 22: with the pid, names a process for good */
	char comm[64];        /* raw; the kernel cuts it at 15 bytes */
};

/** proc_stat_parse() - the text of /proc/PID/stat. 0 or -EINVAL. */
int proc_stat_parse(const char *text, struct proc_stat *ret);

/** proc_stat() - of process @pid now. 0, -ENOENT (gone) or -EINVAL. */
int proc_stat(pid_t pid, struct proc_stat *ret);

/** proc_netns() - the inode of @pid's network namespace. 0 or -errno. */
int proc_netns(pid_t pid, uint32_t *ret);

/**
 * proc_each_socket() - every open socket of every process of the system (or of @only, when not 0).
 * @cb: the socket's inode and the process that holds it; non-zero ends the walk and is returned.
 * Costs a readlink for each open file of the machine. 0, @cb's value, or -errno.
 */
int proc_each_socket(pid_t only, int (*cb)(void *ctx, uint64_t inode, pid_t pid), void *ctx);

#endif
