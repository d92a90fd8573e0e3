/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user.h - one user of the shop, on a thread of its own, over keep-alive connections.
 *
 * Signs up, logs in, then again and again: list products, add to cart, view,
 * check out, clear. All users together keep to one rate: each request takes
 * the next slot of a common schedule. Slots that nobody took, because all were
 * waiting, are not made up for: there is no burst after a stall.
 */
#ifndef ARCHAIC_TRAFFIC_USER_H
#define ARCHAIC_TRAFFIC_USER_H

#include <stdbool.h>
#include <stdint.h>

struct traffic {
	const char *auth_url, *product_url, *payment_url; /* borrowed; no slash at the end */
	double rate_per_s;
	unsigned int timeout_ms;
	char run[16]; /* tells this run's users from another's */
};

struct user {
	const struct traffic *traffic;
	unsigned int nr;
};

/** user_run() - a thread's body; @user: a struct user. Returns NULL after user_stop_all(). */
void *user_run(void *user);

/** user_stop_all() - no new requests; those under way are given up within a second. Async-signal-safe. */
void user_stop_all(void);

#endif
