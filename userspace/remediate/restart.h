/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restart.h - restart a supervised process: kill exactly it, and wait for its successor.
 *
 * The process is held by a pidfd before its start ticks are compared, so that a
 * number used anew is never hit. SIGKILL also ends a stopped process. Starting
 * it again is the supervisor's business; we wait until a new socket listens on
 * the service's port, in the network namespace that the old one listened in.
 * Refuses process 1, itself, and a service without a port. Blocks: worker thread.
 */
#ifndef ARCHAIC_RESTART_H
#define ARCHAIC_RESTART_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "remediate/facts.h"

#define RESTART_WAIT_NS (15ULL * 1000000000ULL) /* for the exit and the new listener together */

/**
 * restart_process() - kill @f->main_pid and wait for a new listener on each of its ports.
 * @wait_ns: bound on the whole. @cancel: looked at every 50 ms; NULL: never.
 * @says: filled in every case with one sentence.
 * 0; -ESRCH (gone, or another process under that number), -EPERM, -EINVAL (nothing to restart),
 * -ETIMEDOUT (killed, but it did not end, or nobody listens again), -ECANCELED.
 */
int restart_process(const struct service_facts *f, uint64_t wait_ns, const atomic_bool *cancel,
		    char *says, size_t size);

#endif
