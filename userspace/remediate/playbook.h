/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * playbook.h - fault class -> candidates in the order in which to try them.
 *
 * The plan that needs no key and no network, and the fallback of the model's.
 * History re-orders it: what failed last time on this service and class moves
 * back, what was verified moves to the front; escalate is always last. Pure;
 * the history is not thread-safe.
 */
#ifndef ARCHAIC_PLAYBOOK_H
#define ARCHAIC_PLAYBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remediate/action.h"

#define HISTORY_MAX 512 /* entries; the oldest is overwritten */

enum history_result {
	HISTORY_NONE,
	HISTORY_VERIFIED,
	HISTORY_FAILED,
	HISTORY_NOTHING,
	HISTORY_UNVERIFIED
};

/** history_result_name() - "none", "verified", "failed", "nothing", "unverified". */
const char *history_result_name(enum history_result r);

/** history_result_parse() - HISTORY_NONE for what is not a name. */
enum history_result history_result_parse(const char *name);

struct history_entry {
	char service[SERVICE_NAME_MAX]; /* by name: ids do not outlive a daemon */
	enum fault_class class;
	enum action_kind kind;
	enum history_result last;
	unsigned tried, verified, failed;
	uint64_t stamp; /* of the last change; larger is newer */
};

struct history {
	struct history_entry entries[HISTORY_MAX];
	size_t nr;
	uint64_t stamp;
};

void history_add(struct history *h, const char *service, enum fault_class class,
		 enum action_kind kind, enum history_result result);

/** history_entry_find() - NULL where it was never tried. */
const struct history_entry *history_entry_find(const struct history *h, const char *service,
					       enum fault_class class, enum action_kind kind);

/**
 * playbook_order() - sort @actions in place into the order in which to try them.
 * @h: may be NULL. @why: filled with one sentence, @why_size bytes.
 *
 * The first cause's class decides. An unresponsive service whose process is stopped, stuck or
 * spinning is restarted first; otherwise reset_fault goes first, since it costs nothing where
 * nothing is armed. Then, of what is offered: more replicas where it is slow or short of CPU, one
 * restart, the template of before where it answers errors, a restart of all one after the other. Candidates of a lower-ranked cause are kept only where its confidence comes
 * near the first's (PLAYBOOK_NEAR), noop only where a supervisor is about to act.
 * Returns how many are kept: never 0 when an escalate was among them.
 */
size_t playbook_order(const struct diagnosis *d, const struct service_facts *facts, size_t nr_facts,
		      const struct history *h, struct action *actions, size_t nr, char *why,
		      size_t why_size);

/** A cause is near the first when its confidence is at least this share of the first's. */
#define PLAYBOOK_NEAR 0.8

/** playbook_near() - does the engine's own evidence also carry @service? */
bool playbook_near(const struct diagnosis *d, uint32_t service);

#endif
