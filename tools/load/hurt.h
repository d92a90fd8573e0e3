/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hurt.h - faults for the length of a load test, through the services' own endpoints.
 *
 * `timeout` at probability .2 on db and `error` at .1 on auth, as a user would
 * arm them by curl. Each has a duration a little over the run's, so that they
 * end by themselves where nobody is left to reset them.
 */
#ifndef ARCHAIC_LOAD_HURT_H
#define ARCHAIC_LOAD_HURT_H

#include <stddef.h>
#include <stdint.h>

/**
 * hurt_arm() - both, for @duration_ns. Where the second fails, the first is reset.
 * @db_url, @auth_url: without a slash at the end. @why: on failure, a sentence, @size bytes.
 * 0 or -errno.
 */
int hurt_arm(const char *db_url, const char *auth_url, uint64_t duration_ns, char *why,
	     size_t size);

/** hurt_reset() - what these endpoints armed, on both; also when nothing is. 0 or -errno with @why. */
int hurt_reset(const char *db_url, const char *auth_url, char *why, size_t size);

#endif
