/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target.h - "http://host:port/path" into where to connect and what to write into a request.
 *
 * Refused with a sentence: https (load is about the server, and TLS would be
 * measured with it), user names, fragments, blanks and control characters.
 */
#ifndef ARCHAIC_LOAD_TARGET_H
#define ARCHAIC_LOAD_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define TARGET_HOST_MAX 256  /* with the NUL */
#define TARGET_PATH_MAX 2048 /* with the NUL */
#define TARGET_ADDRESSES 8

struct target {
	char host[TARGET_HOST_MAX]; /* without brackets */
	char authority[TARGET_HOST_MAX +
		       8];          /* the Host header's value: the port only where it is not 80 */
	char path[TARGET_PATH_MAX]; /* with the query; "/" at least */
	uint16_t port;
	struct sockaddr_storage address; /* of target_connect() */
	socklen_t address_len;
};

/** target_parse() - @url into host, authority, path and port. 0, or -EINVAL with @why set to a static sentence. */
int target_parse(const char *url, struct target *ret, const char **why);

/**
 * target_connect() - look the host up and find the first address, IPv6 or IPv4, that takes a connection.
 * Waits up to @timeout_ms for each of TARGET_ADDRESSES at most; the connection is closed again.
 * 0, -ENOENT (no such host), or the -errno of the last attempt.
 */
int target_connect(struct target *t, unsigned int timeout_ms);

#endif
