/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * action.h - the closed list of what may be done, bounded to what is valid now.
 *
 * Turns ranked causes and the services' state into candidates. It is blind to
 * faults: reset_fault is a candidate whether or not anything is armed, and
 * finds out when it is executed. What else is offered hangs on what the service
 * is: a pod, a container, a unit, or else a process that something starts again.
 * Pure; any thread.
 */
#ifndef ARCHAIC_ACTION_H
#define ARCHAIC_ACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diagnose/diagnosis.h"
#include "remediate/facts.h"

#define ACTIONS_MAX 20      /* candidates of one incident */
#define ACTION_CAUSES_MAX 3 /* so many of the ranked causes get candidates */

enum action_kind {
	ACTION_RESET_FAULT,
	ACTION_RESTART,
	ACTION_NOOP,
	ACTION_ESCALATE,
	/* By somebody else's hand, see change.h. */
	ACTION_RESTART_CONTAINER,
	ACTION_RESTART_UNIT,
	ACTION_RESTART_POD,
	ACTION_ROLLOUT_RESTART,
	ACTION_SCALE,
	ACTION_ROLLBACK,
	NR_ACTION_KINDS
};

struct action {
	char id[8]; /* "a1" …: what a planner answers with */
	enum action_kind kind;
	uint32_t target; /* service id; 0 for escalate without a root */
	char target_name[SERVICE_NAME_MAX];
	int risk; /* 0 (touches nothing of the user's) .. 3 */
	bool reversible;
	double blast_ratio;     /* share of the target's replicas that it takes away for a moment */
	char precondition[128]; /* sentence */
	char expected[128];     /* sentence: what should be seen afterwards */
	char undo[128]; /* sentence: how it is taken back, or why there is nothing to take back */
};

/** action_kind_name() - "reset_fault", "restart", "noop", "escalate", "restart_container", "restart_unit", "restart_pod", "rollout_restart", "scale", "rollback". */
const char *action_kind_name(enum action_kind k);

/**
 * actions_enumerate() - the candidates for @d, given the services' state.
 * @ret: ACTIONS_MAX entries; always ends with one escalate.
 * Returns how many. A cause without facts (it has gone) gets no candidates.
 */
size_t actions_enumerate(const struct diagnosis *d, const struct service_facts *facts,
			 size_t nr_facts, struct action *ret);

/** action_find() - by id; NULL where it was not offered. */
const struct action *action_find(const struct action *list, size_t nr, const char *id);

#endif
