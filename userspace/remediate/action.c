// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/action.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

struct action_template {
	const char *name;
	int risk;
	bool reversible;
	double blast_ratio;
	const char *precondition, *expected, *undo;
};

/* Risk and reversibility as agreed in DETECTION: a restart of one supervised process that is not serving is 1. */
static const struct action_template templates[NR_ACTION_KINDS] = {
	[ACTION_RESET_FAULT] = { "reset_fault", 0, true, 0,
				 "none: it finds out whether anything is armed",
				 "latency and errors are back in the baseline with the next requests",
				 "nothing to undo: only what this daemon armed itself is disarmed" },
	[ACTION_RESTART] = { "restart", 1, true, 1, "a supervisor starts the process again",
			     "another process listens on the port within 15 s and answers as before",
			     "nothing to undo: the supervisor has started the same program again" },
	[ACTION_NOOP] = { "noop", 0, true, 0, "none",
			  "the service comes back by itself or by its supervisor",
			  "nothing to undo: nothing was done" },
	[ACTION_ESCALATE] = { "escalate", 0, true, 0, "none", "a person looks at it",
			      "nothing to undo: nothing was done" },
};

const char *action_kind_name(enum action_kind k)
{
	return k < NR_ACTION_KINDS ? templates[k].name : "unknown";
}

static void add(struct action *list, size_t *nr, enum action_kind kind, uint32_t target,
		const char *name)
{
	if (*nr == ACTIONS_MAX)
		return;
	const struct action_template *t = &templates[kind];
	struct action *a = &list[*nr];

	*a = (struct action){ .kind = kind,
			      .target = target,
			      .risk = t->risk,
			      .reversible = t->reversible,
			      .blast_ratio = t->blast_ratio };
	snprintf(a->id, sizeof(a->id), "a%zu", ++*nr);
	snprintf(a->target_name, sizeof(a->target_name), "%s", name);
	snprintf(a->precondition, sizeof(a->precondition), "%s", t->precondition);
	snprintf(a->expected, sizeof(a->expected), "%s", t->expected);
	snprintf(a->undo, sizeof(a->undo), "%s", t->undo);
}

size_t actions_enumerate(const struct diagnosis *d, const struct service_facts *facts,
			 size_t nr_facts, struct action *ret)
{
	_Static_assert(ACTION_CAUSES_MAX * 2 + 2 <= ACTIONS_MAX, "every candidate has room");
	const struct cause *root = d->nr_causes ? &d->causes[0] : NULL;
	size_t nr = 0;

	for (size_t i = 0; i < d->nr_causes && i < ACTION_CAUSES_MAX; i++) {
		const struct cause *c = &d->causes[i];
		const struct service_facts *f = facts_find(facts, nr_facts, c->service);
		if (!f)
			continue;
		add(ret, &nr, ACTION_RESET_FAULT, c->service, c->name);
		if (f->supervised && f->nr_pids) {
			add(ret, &nr, ACTION_RESTART, c->service, c->name);
			ret[nr - 1].blast_ratio = 1.0 / MAX(f->replicas, 1U);
		}
	}
	if (root && facts_find(facts, nr_facts, root->service))
		add(ret, &nr, ACTION_NOOP, root->service, root->name);
	add(ret, &nr, ACTION_ESCALATE, root ? root->service : 0, root ? root->name : "");
	return nr;
}

const struct action *action_find(const struct action *list, size_t nr, const char *id)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(list[i].id, id))
			return &list[i];
	return NULL;
}
