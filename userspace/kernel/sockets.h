/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockets.h - the TCP sockets of our network namespace, by NETLINK_SOCK_DIAG, and the listeners of others.
 *
 * IPv4 and IPv6; a v4-mapped address is given as IPv4. Thread-safe: each call
 * opens its own netlink socket.
 */
#ifndef ARCHAIC_KERNEL_SOCKETS_H
#define ARCHAIC_KERNEL_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct socket_entry {
	uint8_t family;                   /* AF_INET or AF_INET6 */
	uint8_t state;                    /* TCP_ESTABLISHED, TCP_LISTEN, ... */
	uint16_t local_port, remote_port; /* host byte order */
	uint8_t local[16],
		remote[16]; /* network byte order; IPv4 in the first 4 bytes, the rest 0 */
	uint64_t inode; /* as in /proc/PID/fd; 0: no process holds it (not accepted yet, or closing) */
	uint64_t cookie; /* bpf_get_socket_cookie() */
	uint64_t cgroup_id; /* of the cgroup that it was made in; 0 where the kernel does not say (before 5.9) */
};

/**
 * sockets_each() - one dump.
 * @listening: the listeners; else all others but TIME_WAIT and NEW_SYN_RECV.
 * @cb: the entry is borrowed; non-zero ends the dump and is returned.
 * 0, @cb's value, or -errno.
 */
int sockets_each(bool listening, int (*cb)(void *ctx, const struct socket_entry *s), void *ctx);

/**
 * sockets_listeners_of() - the listeners of the network namespace that process @pid lives in.
 * From /proc/PID/net/tcp and tcp6, read no further than they go: needs no right to enter. Of the entry only
 * family, state, local_port and inode are set. 0, @cb's value, -ENOENT (the process is gone), or -errno.
 */
int sockets_listeners_of(pid_t pid, int (*cb)(void *ctx, const struct socket_entry *s), void *ctx);

#endif
