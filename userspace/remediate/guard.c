// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/guard.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

#define HOUR_NS (3600 * NSEC_PER_SEC)
#define BUSY_CORES .9
#define ERRORS_MIN 20 /* answers in the window before a share of errors means anything */

struct entry {
	uint32_t incident, service; /* service 0: free */
	uint64_t started_ns, ended_ns;
	bool in_flight, counts; /* counts: it changed something */
};

struct guard {
	struct guard_limits limits;
	struct entry entries[GUARD_HISTORY_MAX];
	unsigned failures; /* in a row */
	uint64_t breaker_until_ns;
};

static const char *const mode_names[NR_GUARD_MODES] = { "observe", "suggest", "auto-safe", "auto" };

const char *guard_mode_name(enum guard_mode m)
{
	return m < NR_GUARD_MODES ? mode_names[m] : "unknown";
}

int guard_mode_parse(const char *name, enum guard_mode *ret)
{
	for (size_t i = 0; i < NR_GUARD_MODES; i++)
		if (!strcmp(name, mode_names[i])) {
			*ret = (enum guard_mode)i;
			return 0;
		}
	return -EINVAL;
}

void guard_limits_default(struct guard_limits *l)
{
	*l = (struct guard_limits){
		.per_incident = 3,
		.per_hour = 6,
		.cooldown_ns = 300 * NSEC_PER_SEC,
		.blast_ratio = .25,
		.breaker_failures = 2,
		.breaker_ns = HOUR_NS,
		.witnesses = 2,
		.late_ns = 8 * NSEC_PER_SEC,
		.unanswered_ns = 3 * NSEC_PER_SEC,
	};
}

int guard_new(const struct guard_limits *limits, struct guard **ret)
{
	struct guard *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->limits = *limits;
	*ret = g;
	return 0;
}

void guard_free(struct guard *g)
{
	free(g);
}

void guard_set_limits(struct guard *g, const struct guard_limits *limits)
{
	g->limits = *limits;
}

const struct guard_limits *guard_limits(const struct guard *g)
{
	return &g->limits;
}

/* ---- witnesses: each looks from another side (the server's socket, the scheduler, the callers) */

static const char *serving_witness(const struct guard_limits *l, const struct service_facts *f)
{
	if (f->silent_ns >= l->unanswered_ns)
		return "its requests go unanswered";
	if (f->window_answered >= ERRORS_MIN && f->window_failed * 2 >= f->window_answered)
		return "half of its answers or more are errors";
	if (f->oldest_ns >= l->late_ns)
		return "its answers are later than its callers wait";
	return NULL;
}

static const char *process_witness(const struct service_facts *f)
{
	if (!f->nr_pids)
		return "its process is gone";
	switch (f->process_state) {
	case 'T':
	case 't':
		return "its process is stopped";
	case 'D':
		return "its process is stuck in the kernel";
	case 'Z':
		return "its process is dead";
	case 'R':
		return f->silent_ns && f->cpu_cores >= BUSY_CORES ?
			"its process is busy and answers nothing" :
			NULL;
	default:
		return NULL;
	}
}

unsigned guard_witnesses(const struct guard_limits *l, const struct service_facts *f,
			 const char *ret[GUARD_WITNESSES_MAX])
{
	const char *const all[GUARD_WITNESSES_MAX] = {
		serving_witness(l, f),
		process_witness(f),
		f->window_caller_timeouts ? "its callers' time-outs expire" : NULL,
	};
	unsigned n = 0;

	for (size_t i = 0; i < GUARD_WITNESSES_MAX; i++)
		if (all[i])
			ret[n++] = all[i];
	return n;
}

/* ---- limits */

static bool on_list(const char (*list)[SERVICE_NAME_MAX], size_t nr, const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}

static bool is_cause(const struct diagnosis *d, uint32_t service)
{
	for (size_t i = 0; i < d->nr_causes; i++)
		if (d->causes[i].service == service)
			return true;
	return false;
}

static struct guard_verdict verdict(enum guard_answer answer, const char *why)
{
	return (struct guard_verdict){ .answer = answer, .why = why };
}

static struct guard_verdict wait_until(const char *why, uint64_t until_ns)
{
	return (struct guard_verdict){ .answer = GUARD_WAIT, .why = why, .until_ns = until_ns };
}

static struct guard_verdict check_target(const struct guard *g, const struct guard_question *q)
{
	const struct guard_limits *l = &g->limits;

	if (!is_cause(q->diagnosis, q->action->target))
		return verdict(GUARD_DENY, "the target is not among the ranked causes");
	if (!q->target)
		return verdict(GUARD_DENY, "the target is not attached any more");
	if (on_list(l->protected_, l->nr_protected, q->action->target_name))
		return verdict(GUARD_DENY, "the target is on the protected list");
	if (l->nr_allowed && !on_list(l->allowed, l->nr_allowed, q->action->target_name))
		return verdict(GUARD_DENY, "the target is not on the allow-list");
	return verdict(GUARD_ALLOW, "");
}

static struct guard_verdict check_rates(const struct guard *g, const struct guard_question *q,
					uint64_t now_ns)
{
	const struct guard_limits *l = &g->limits;
	unsigned incident = 0, hour = 0;
	uint64_t hour_until = 0, cool_until = 0;
	bool in_flight = false;

	for (size_t i = 0; i < GUARD_HISTORY_MAX; i++) {
		const struct entry *e = &g->entries[i];
		if (!e->service)
			continue;
		in_flight |= e->in_flight && e->service == q->action->target;
		if (!e->counts)
			continue;
		incident += e->incident == q->incident;
		if (now_ns - e->started_ns < HOUR_NS) {
			hour++;
			if (!hour_until || e->started_ns + HOUR_NS < hour_until)
				hour_until = e->started_ns + HOUR_NS;
		}
		uint64_t cool = MAX(e->ended_ns, e->started_ns) + l->cooldown_ns;
		if (e->service == q->action->target && cool > cool_until)
			cool_until = cool;
	}
	if (incident >= l->per_incident)
		return verdict(GUARD_DENY, "the limit of actions for one incident is reached");
	if (guard_breaker_open(g, now_ns, NULL))
		return verdict(GUARD_DENY, "actions are suspended: the last ones did not help");
	if (in_flight)
		return verdict(GUARD_WAIT, "another action on this service is in flight");
	if (hour >= l->per_hour)
		return wait_until("the limit of actions in one hour is reached", hour_until);
	if (cool_until > now_ns)
		return wait_until("the service cools down after the last action", cool_until);
	return verdict(GUARD_ALLOW, "");
}

static struct guard_verdict check_harm(const struct guard *g, const struct guard_question *q)
{
	const struct guard_limits *l = &g->limits;
	const struct action *a = q->action;
	struct guard_verdict v = verdict(GUARD_ALLOW, "");

	v.nr_witnesses = guard_witnesses(l, q->target, v.witnesses);
	if (a->risk >= 1 && v.nr_witnesses < l->witnesses) {
		v.answer = GUARD_WAIT;
		v.lacks_witnesses = true;
		v.why = "too few independent witnesses say that the service is not serving";
		return v;
	}
	bool only_one_not_serving = q->target->replicas <= 1 &&
		(serving_witness(l, q->target) || !q->target->nr_pids);
	if (a->blast_ratio > l->blast_ratio && !only_one_not_serving) {
		v.answer = GUARD_DENY;
		v.why = "it would take away more of the service's replicas than is allowed, and they are serving";
	}
	return v;
}

static struct guard_verdict check_mode(const struct guard_question *q, struct guard_verdict v)
{
	bool safe = q->action->reversible && q->action->risk <= 1;

	if (q->approved) {
		v.why = "a person approved it, and it is within every limit";
	} else if (q->mode == GUARD_OBSERVE) {
		v.answer = GUARD_WAIT;
		v.why = "mode observe: nothing is done";
	} else if (q->mode == GUARD_SUGGEST) {
		v.answer = GUARD_ASK;
		v.why = "mode suggest: a person must approve it";
	} else if (q->mode == GUARD_AUTO_SAFE && !safe) {
		v.answer = GUARD_ASK;
		v.why = "mode auto-safe: this is not reversible or too risky without a person";
	} else {
		v.why = "the target is a ranked cause, and it is within every limit";
	}
	return v;
}

struct guard_verdict guard_check(const struct guard *g, const struct guard_question *q,
				 uint64_t now_ns)
{
	if (q->action->kind == ACTION_ESCALATE || q->action->kind == ACTION_NOOP)
		return verdict(GUARD_ALLOW, "it touches nothing");
	if (q->kill_switch)
		return verdict(GUARD_WAIT, "the kill-switch file is there: nothing is touched");

	struct guard_verdict v = check_target(g, q);
	if (v.answer == GUARD_ALLOW)
		v = check_rates(g, q, now_ns);
	if (v.answer == GUARD_ALLOW)
		v = check_harm(g, q);
	if (v.answer == GUARD_ALLOW)
		v = check_mode(q, v);
	return v;
}

/* ---- memory */

/* A free entry, else the oldest that no limit looks at any more; NULL: remembering it would mean to forget a limit. */
static struct entry *entry_new(struct guard *g, uint64_t now_ns)
{
	struct entry *oldest = NULL;
	uint64_t keep_ns = MAX(HOUR_NS, g->limits.cooldown_ns);

	for (size_t i = 0; i < GUARD_HISTORY_MAX; i++) {
		struct entry *e = &g->entries[i];
		if (!e->service)
			return e;
		if (e->in_flight || now_ns - MAX(e->started_ns, e->ended_ns) < keep_ns)
			continue;
		if (!oldest || e->started_ns < oldest->started_ns)
			oldest = e;
	}
	return oldest;
}

static struct entry *entry_in_flight(struct guard *g, uint32_t incident, uint32_t service)
{
	for (size_t i = 0; i < GUARD_HISTORY_MAX; i++) {
		struct entry *e = &g->entries[i];
		if (e->in_flight && e->incident == incident && e->service == service)
			return e;
	}
	return NULL;
}

static void count_failure(struct guard *g, uint64_t now_ns)
{
	if (g->breaker_until_ns && now_ns >= g->breaker_until_ns) {
		g->breaker_until_ns = 0;
		g->failures = 0;
	}
	if (++g->failures >= g->limits.breaker_failures)
		g->breaker_until_ns = now_ns + g->limits.breaker_ns;
}

int guard_record(struct guard *g, uint32_t incident, uint32_t service, enum guard_outcome o,
		 uint64_t now_ns)
{
	if (o == GUARD_STARTED) {
		struct entry *e = service ? entry_new(g, now_ns) : NULL;
		if (!e)
			return -ENOSPC;
		*e = (struct entry){ .incident = incident,
				     .service = service,
				     .started_ns = now_ns,
				     .in_flight = true,
				     .counts = true };
		return 0;
	}
	struct entry *e = entry_in_flight(g, incident, service);
	if (e) {
		e->in_flight = false;
		e->ended_ns = now_ns;
		if (o == GUARD_NOTHING)
			*e = (struct entry){ 0 };
	}
	if (o == GUARD_FAILED)
		count_failure(g, now_ns);
	if (o == GUARD_HELPED)
		g->failures = 0;
	return 0;
}

bool guard_breaker_open(const struct guard *g, uint64_t now_ns, uint64_t *until_ns)
{
	if (until_ns)
		*until_ns = g->breaker_until_ns;
	return g->limits.breaker_failures && g->breaker_until_ns > now_ns;
}
