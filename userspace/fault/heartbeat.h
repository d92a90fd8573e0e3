/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heartbeat.h - the thread that keeps armed faults armed.
 *
 * Every FAULT_RENEW_NS it moves the lease of each registered fault, and the
 * guardian's, to now + FAULT_LEASE_NS. A lease that is already over when its turn comes is lost
 * for ever: it is not moved again, and heartbeat_lost() says so.
 *
 * Thread-safe. The leases are written by this thread alone, each with one store.
 */
#ifndef ARCHAIC_HEARTBEAT_H
#define ARCHAIC_HEARTBEAT_H

#include <stdbool.h>
#include <linux/types.h>
#include <stdint.h>

#include "guardian.h"

struct heartbeat;

/** heartbeat_start() - @page: borrowed until heartbeat_stop(). 0 or -errno. */
int heartbeat_start(struct guardian_page *page, struct heartbeat **ret);

/** heartbeat_stop() - joins the thread. NULL is allowed. */
void heartbeat_stop(struct heartbeat *h);

/** heartbeat_add() - keep @lease (set already) alive. A slot, or -ENOSPC. */
int heartbeat_add(struct heartbeat *h, __u64 *lease);

/** heartbeat_remove() - forget it; when this returns, @lease is not written any more. */
void heartbeat_remove(struct heartbeat *h, int slot);

bool heartbeat_lost(struct heartbeat *h, int slot);

/** heartbeat_lost_total() - leases lost since the start. */
uint64_t heartbeat_lost_total(struct heartbeat *h);

/**
 * heartbeat_renew() - move one lease to @new_end, unless it is over by @now's reckoning.
 * @new_end: computed BEFORE this call: if we are stopped between the check and the store, what is stored is as old as
 * the stop is long, and the lease stays over. False: it is lost.
 */
bool heartbeat_renew(__u64 *lease, uint64_t new_end, uint64_t (*now)(void));

#endif
