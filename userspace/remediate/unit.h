/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit.h - restart one systemd service, over D-Bus.
 *
 * Asks systemd's manager itself (org.freedesktop.systemd1), never a shell. Refuses what the machine
 * stands on (units of systemd, of the bus, of logins and of container runtimes, and ours), what
 * is not a .service, what is not loaded, and what refuses to be stopped or started by hand.
 * Blocks: worker thread only; one thread at a time.
 */
#ifndef ARCHAIC_UNIT_H
#define ARCHAIC_UNIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNIT_NAME_MAX 254
#define UNIT_CALL_US (5ULL * 1000000ULL)
#define UNIT_WAIT_NS (60ULL * 1000000000ULL)

struct unit_state {
	char name[UNIT_NAME_MAX];
	char active[32];     /* "active", "failed", "activating" … */
	uint32_t main_pid;   /* 0: none */
	uint64_t started_us; /* ExecMainStartTimestampMonotonic: another one is another run */
};

/** unit_name_valid() - a .service's name as systemd takes it, and not one of those that are refused. @why: a static sentence. */
bool unit_name_valid(const char *name, const char **why);

/**
 * unit_prepare() - may @name be restarted now? @bus: an address, or "system". @says: in every case.
 * 0; 1: no; -EACCES, -EHOSTUNREACH (no such bus), -ETIMEDOUT, -EIO.
 */
int unit_prepare(const char *bus, const char *name, struct unit_state *ret, char *says,
		 size_t size);

/**
 * unit_restart() - RestartUnit(replace), and wait until it is active with another main process.
 * @u: as unit_prepare() found it; where another run has begun since: -EBUSY. Errors as above, or -ETIMEDOUT
 * (asked for, but it is not active), -ECANCELED.
 */
int unit_restart(const char *bus, const struct unit_state *u, uint64_t wait_ns,
		 const atomic_bool *cancel, char *says, size_t size);

#endif
