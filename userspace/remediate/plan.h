/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan.h - what remediation intends: candidates in order, who ordered them, and why. Plain data.
 */
#ifndef ARCHAIC_PLAN_H
#define ARCHAIC_PLAN_H

#include <stddef.h>

#include "remediate/action.h"

#define PLAN_WHY_MAX \
	304 /* a model's 300 characters at most, in bytes with the NUL: cut at a character */
#define PLAN_MODEL_MAX 64

enum planner { PLANNER_PLAYBOOK, PLANNER_GEMINI, PLANNER_OPENAI };

/** planner_name() - "playbook", "gemini", "openai". */
const char *planner_name(enum planner p);

struct plan {
	enum planner by;
	char model[PLAN_MODEL_MAX]; /* "" for the playbook */
	struct action actions[ACTIONS_MAX];
	size_t nr_actions;
	size_t next; /* the candidate whose turn it is; == nr_actions: none left */
	char why[PLAN_WHY_MAX];
	char fell_back_because[224]; /* "" where the model was not asked or was followed */
	double confidence;           /* the planner's own, 0..1 */
};

#endif
