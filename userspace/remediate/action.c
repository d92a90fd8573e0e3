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
	[ACTION_RESTART_CONTAINER] = { "restart_container", 1, true, 1,
				       "the Engine knows this very container, and it runs",
				       "the same container runs anew, and is healthy where it can say so",
				       "nothing to undo: the same image runs again" },
	[ACTION_RESTART_UNIT] = { "restart_unit", 1, true, 1,
				  "systemd has loaded the unit, it is not stopped, and may be",
				  "another main process runs, and the unit is active",
				  "nothing to undo: the same unit runs again" },
	[ACTION_RESTART_POD] = { "restart_pod", 1, true, 1,
				 "a controller makes another; it is the only one, not ready, or two others stay ready",
				 "as many pods as before are ready, without this one",
				 "nothing to undo: its controller has made another of the same template" },
	[ACTION_ROLLOUT_RESTART] = { "rollout_restart", 2, true, .25,
				     "it replaces a quarter at once at most, and is neither paused nor under way",
				     "every pod was replaced, and all are available",
				     "nothing to undo: the template is the same but for the time of the restart" },
	[ACTION_SCALE] = { "scale", 1, true, 0, "no autoscaler owns the number of replicas",
			   "half as many replicas again share the load",
			   "the number of replicas that was there, unless somebody has changed ours" },
	[ACTION_ROLLBACK] = { "rollback", 2, true, .25,
			      "the present revision is less than 6 h old, and an earlier one differs",
			      "every pod runs the template of the revision before",
			      "the template that was there, unless somebody has changed ours" },
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

/* One restart of one, by whoever keeps it running; and what only a Deployment's pod can have. */
static void add_changes(struct action *list, size_t *nr, const struct cause *c,
			const struct service_facts *f)
{
	size_t at = *nr;

	if (f->pod[0])
		add(list, nr, ACTION_RESTART_POD, c->service, c->name);
	else if (f->container_id[0])
		add(list, nr, ACTION_RESTART_CONTAINER, c->service, c->name);
	else if (f->unit[0])
		add(list, nr, ACTION_RESTART_UNIT, c->service, c->name);
	else if (f->supervised && f->nr_pids)
		add(list, nr, ACTION_RESTART, c->service, c->name);
	if (*nr > at)
		list[at].blast_ratio = 1.0 / MAX(f->replicas, 1U);
	if (!f->pod[0])
		return;
	add(list, nr, ACTION_SCALE, c->service, c->name);
	add(list, nr, ACTION_ROLLOUT_RESTART, c->service, c->name);
	add(list, nr, ACTION_ROLLBACK, c->service, c->name);
}

size_t actions_enumerate(const struct diagnosis *d, const struct service_facts *facts,
			 size_t nr_facts, struct action *ret)
{
	_Static_assert(ACTION_CAUSES_MAX * 5 + 2 <= ACTIONS_MAX, "every candidate has room");
	const struct cause *root = d->nr_causes ? &d->causes[0] : NULL;
	size_t nr = 0;

	for (size_t i = 0; i < d->nr_causes && i < ACTION_CAUSES_MAX; i++) {
		const struct cause *c = &d->causes[i];
		const struct service_facts *f = facts_find(facts, nr_facts, c->service);
		if (!f)
			continue;
		add(ret, &nr, ACTION_RESET_FAULT, c->service, c->name);
		add_changes(ret, &nr, c, f);
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
