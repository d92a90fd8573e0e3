/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slowdown.h - wrong tokens, by the address that sent them: each waits longer.
 *
 * Every wrong token of an address doubles its next one's wait, from
 * SLOWDOWN_FIRST_NS up to SLOWDOWN_WAIT_MAX_NS; SLOWDOWN_FORGET_NS without one
 * forgives it. An IPv6 address counts as its /64, which is what one house gets.
 *
 * At most SLOWDOWN_ADDRESSES are remembered; a further one takes the place of
 * the one that was quiet for longest (counted): whoever has that many addresses
 * is held by gate.h's brake over all of them. A right token is never delayed
 * and clears its address. Pure; the caller locks.
 */
#ifndef ARCHAIC_SLOWDOWN_H
#define ARCHAIC_SLOWDOWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define SLOWDOWN_ADDRESSES 256
#define SLOWDOWN_FIRST_NS 250000000ULL
#define SLOWDOWN_WAIT_MAX_NS 5000000000ULL
#define SLOWDOWN_FORGET_NS 600000000000ULL

struct slowdown_entry {
	uint8_t address[16]; /* IPv4 as mapped IPv6; the /64 of IPv6 */
	uint64_t last_ns;    /* 0: free */
	uint32_t wrong;      /* in a row */
};

struct slowdown {
	struct slowdown_entry entries[SLOWDOWN_ADDRESSES];
	uint64_t wrong;   /* in all */
	uint64_t evicted; /* entries that gave way to another address */
};

/** slowdown_wrong() - count a wrong token of @from (AF_INET or AF_INET6; others share one entry). Returns how long its answer waits, ns. */
uint64_t slowdown_wrong(struct slowdown *s, const struct sockaddr *from, uint64_t now_ns);

/** slowdown_right() - @from has shown the right one. */
void slowdown_right(struct slowdown *s, const struct sockaddr *from);

/** slowdown_addresses() - how many have a wrong token to their name that is not forgiven yet. */
size_t slowdown_addresses(const struct slowdown *s, uint64_t now_ns);

#endif
