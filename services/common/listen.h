/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * listen.h - a listening socket, or one sentence on why not.
 */
#ifndef ARCHAIC_LISTEN_H
#define ARCHAIC_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * listen_open() - listen on @address (an IPv4 or IPv6 literal) and @port (host order).
 * @ret: owned by the caller. @why: @size bytes, filled on failure: names the holder of a taken port where
 * /proc tells it. 0 or -errno.
 */
int listen_open(const char *address, uint16_t port, int *ret, char *why, size_t size);

/** listen_is_loopback() - is the literal @address one of the loopback addresses? */
bool listen_is_loopback(const char *address);

#endif
