/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc_address.h - where a process is reached in a network namespace that is not ours, and where we are.
 *
 * Of another one without entering it: from /proc/PID/net/fib_trie, the kernel's own IPv4 routes as text. IPv6 is not looked for.
 */
#ifndef ARCHAIC_PROC_ADDRESS_H
#define ARCHAIC_PROC_ADDRESS_H

#include <netinet/in.h>
#include <stdio.h>
#include <sys/types.h>

/** proc_address() - its namespace's first IPv4 address that is not loopback. 0, -ENOENT (it has none), or -errno. */
int proc_address(pid_t pid, char ret[static INET_ADDRSTRLEN]);

/** fib_trie_address() - the same of the text. 0 or -ENOENT. */
int fib_trie_address(FILE *f, char ret[static INET_ADDRSTRLEN]);

/** own_addresses() - of our own namespace, IPv4 and IPv6, that are up and neither loopback nor link-local. How many of @max. */
size_t own_addresses(char (*ret)[INET6_ADDRSTRLEN], size_t max);

#endif
