// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/plan.h"

#include "base/util.h"

const char *planner_name(enum planner p)
{
	static const char *const names[] = { "playbook", "gemini", "openai" };

	return p < ARRAY_SIZE(names) ? names[p] : "unknown";
}
