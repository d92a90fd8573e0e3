/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listen.h - listening sockets, and who holds the one we wanted.
 */
#ifndef ARCHAIC_LISTEN_H
#define ARCHAIC_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/problem.h"

/**
 * listen_tcp() - a listening socket.
 * @address: numeric IPv4 or IPv6. @port: 0 for any free one. @option: the option that changes the port, for the problem.
 * @ret_fd: owned by the caller. @ret_port: what it got.
 * 0, -EINVAL (not an address), -EADDRINUSE (the problem names the holder), or another -errno.
 */
int listen_tcp(const char *address, uint16_t port, const char *option, int *ret_fd,
	       uint16_t *ret_port, struct problem *p);

/** address_is_loopback() - is the numeric @address the host's own? False for what is no address. */
bool address_is_loopback(const char *address);

/**
 * listen_unix() - a listening Unix socket, 0660 root:@group, or 0600 where there is no such group.
 * The folder is made (0755) when only its last part is missing. A socket file that nobody answers on is
 * replaced; anything else at @path is left alone.
 * 0, -EADDRINUSE (somebody answers), -EINVAL (path too long), -EEXIST (not a socket) or another -errno.
 */
int listen_unix(const char *path, const char *group, int *ret_fd, struct problem *p);

/**
 * holder_find() - the process that listens on TCP @port in our network namespace.
 * @name: its comm, control characters replaced. 0, or -ENOENT (none, or not visible to us).
 */
int holder_find(uint16_t port, pid_t *ret, char name[static 32]);

#endif
