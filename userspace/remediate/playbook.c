// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/playbook.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

/* Smaller is earlier. The steps leave room for the history to move a kind past its neighbours, not past escalate. */
enum { RANK_HISTORY = 10, RANK_CAUSE = 100, RANK_LAST = 100000, RANK_DROP = RANK_LAST + 1 };

static const char *const result_names[] = { "none", "verified", "failed", "nothing", "unverified" };

const char *history_result_name(enum history_result r)
{
	return r < ARRAY_SIZE(result_names) ? result_names[r] : "none";
}

enum history_result history_result_parse(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(result_names); i++)
		if (!strcmp(name, result_names[i]))
			return (enum history_result)i;
	return HISTORY_NONE;
}

static struct history_entry *entry_for(struct history *h, const char *service,
				       enum fault_class class, enum action_kind kind)
{
	struct history_entry *oldest = &h->entries[0];

	for (size_t i = 0; i < h->nr; i++) {
		struct history_entry *e = &h->entries[i];
		if (e->class == class && e->kind == kind && !strcmp(e->service, service))
			return e;
		if (e->stamp < oldest->stamp)
			oldest = e;
	}
	struct history_entry *e = h->nr < HISTORY_MAX ? &h->entries[h->nr++] : oldest;
	*e = (struct history_entry){ .class = class, .kind = kind };
	snprintf(e->service, sizeof(e->service), "%s", service);
	return e;
}

void history_add(struct history *h, const char *service, enum fault_class class,
		 enum action_kind kind, enum history_result result)
{
	if (result == HISTORY_NONE)
		return;
	struct history_entry *e = entry_for(h, service, class, kind);

	e->last = result;
	e->tried++;
	e->verified += result == HISTORY_VERIFIED;
	e->failed += result == HISTORY_FAILED;
	e->stamp = ++h->stamp;
}

const struct history_entry *history_entry_find(const struct history *h, const char *service,
					       enum fault_class class, enum action_kind kind)
{
	for (size_t i = 0; h && i < h->nr; i++) {
		const struct history_entry *e = &h->entries[i];
		if (e->class == class && e->kind == kind && !strcmp(e->service, service))
			return e;
	}
	return NULL;
}

bool playbook_near(const struct diagnosis *d, uint32_t service)
{
	for (size_t i = 0; i < d->nr_causes; i++)
		if (d->causes[i].service == service)
			return i == 0 ||
				d->causes[i].confidence >= PLAYBOOK_NEAR * d->causes[0].confidence;
	return false;
}

/* Stopped, stuck or spinning: nothing but a new process will answer. */
static bool process_is_stuck(const struct service_facts *f)
{
	return f && f->silent_ns &&
		(strchr("TtDZ", f->process_state ? f->process_state : ' ') ||
		 (f->process_state == 'R' && f->cpu_cores >= .9));
}

static int rank_in_class(const struct cause *c, const struct service_facts *f,
			 enum action_kind kind)
{
	bool down = c->resource == FAULT_CLASS_DOWN;
	bool restart_first = process_is_stuck(f) || down;

	bool load = c->resource == FAULT_CLASS_CPU || c->resource == FAULT_CLASS_LATENCY;

	switch (kind) {
	case ACTION_RESET_FAULT:
		return restart_first ? 2 : 0;
	case ACTION_RESTART:
	case ACTION_RESTART_CONTAINER:
	case ACTION_RESTART_UNIT:
	case ACTION_RESTART_POD:
		return restart_first ? 0 : 3;
	case ACTION_SCALE:
		return load && !restart_first ? 1 : RANK_DROP;
	case ACTION_ROLLBACK:
		return c->resource == FAULT_CLASS_ERRORS ? 4 : 6;
	case ACTION_ROLLOUT_RESTART:
		return 5;
	case ACTION_NOOP:
		return down && f && f->supervised ? 1 : RANK_DROP;
	default:
		return RANK_LAST;
	}
}

static size_t cause_index(const struct diagnosis *d, uint32_t service)
{
	size_t i = 0;

	while (i < d->nr_causes && d->causes[i].service != service)
		i++;
	return i;
}

static int rank(const struct diagnosis *d, const struct service_facts *facts, size_t nr_facts,
		const struct history *h, const struct action *a)
{
	if (a->kind == ACTION_ESCALATE)
		return RANK_LAST;
	size_t i = cause_index(d, a->target);
	if (i == d->nr_causes || !playbook_near(d, a->target))
		return RANK_DROP;

	const struct cause *c = &d->causes[i];
	int r = rank_in_class(c, facts_find(facts, nr_facts, a->target), a->kind);
	if (r >= RANK_LAST)
		return r;
	const struct history_entry *e = history_entry_find(h, a->target_name, c->resource, a->kind);
	if (e && e->last == HISTORY_FAILED)
		r += RANK_HISTORY;
	else if (e && e->last == HISTORY_VERIFIED)
		r -= RANK_HISTORY;
	return r + (int)i * RANK_CAUSE;
}

size_t playbook_order(const struct diagnosis *d, const struct service_facts *facts, size_t nr_facts,
		      const struct history *h, struct action *actions, size_t nr, char *why,
		      size_t why_size)
{
	int ranks[ACTIONS_MAX];
	size_t kept = 0;

	nr = MIN(nr, (size_t)ACTIONS_MAX);
	for (size_t i = 0; i < nr; i++) {
		struct action a = actions[i];
		int r = rank(d, facts, nr_facts, h, &a);
		if (r == RANK_DROP)
			continue;
		size_t at = kept++;
		for (; at > 0 && ranks[at - 1] > r; at--) {
			ranks[at] = ranks[at - 1];
			actions[at] = actions[at - 1];
		}
		ranks[at] = r;
		actions[at] = a;
	}

	if (!kept || !d->nr_causes || actions[0].kind == ACTION_ESCALATE) {
		snprintf(why, why_size,
			 "nothing can be done about it from here: a person must look");
		return kept;
	}
	const struct action *first = &actions[0];
	const struct cause *c = &d->causes[cause_index(d, first->target)];
	const struct history_entry *e =
		history_entry_find(h, first->target_name, c->resource, first->kind);
	snprintf(why, why_size, "%s of %s: %s first%s", fault_class_name(c->resource),
		 first->target_name, action_kind_name(first->kind),
		 e && e->last == HISTORY_VERIFIED ? ", as it helped here the last time" : "");
	return kept;
}
