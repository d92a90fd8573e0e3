/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard.h - may this action be executed now?
 *
 * Whoever proposes (playbook, model, a person), the guard disposes. Pure: data
 * and now_ns in, a verdict with a static sentence out; guard_record() alone
 * changes its memory. It refuses rather than forgets: when its memory is full,
 * the answer is no.
 * Limits as in Google's SRE workbook, ch. "Canarying releases", and
 * as STRATUS does: one thing at a time, small, undone when it did not help.
 * Not thread-safe.
 */
#ifndef ARCHAIC_GUARD_H
#define ARCHAIC_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remediate/action.h"

#define GUARD_NAMES_MAX 32
#define GUARD_HISTORY_MAX 256
#define GUARD_WITNESSES_MAX 3

enum guard_mode { GUARD_OBSERVE, GUARD_SUGGEST, GUARD_AUTO_SAFE, GUARD_AUTO, NR_GUARD_MODES };

/** guard_mode_name() - "observe", "suggest", "auto-safe", "auto". */
const char *guard_mode_name(enum guard_mode m);

/** guard_mode_parse() - 0 or -EINVAL. */
int guard_mode_parse(const char *name, enum guard_mode *ret);

struct guard_limits {
	char allowed[GUARD_NAMES_MAX]
		    [SERVICE_NAME_MAX]; /* only these may be acted on; none: every attached one */
	size_t nr_allowed;
	char protected_[GUARD_NAMES_MAX][SERVICE_NAME_MAX]; /* never these */
	size_t nr_protected;
	unsigned per_incident;     /* 3 */
	unsigned per_hour;         /* 6, over all services */
	uint64_t cooldown_ns;      /* 300 s, per service */
	double blast_ratio;        /* .25 of the replicas at once */
	unsigned breaker_failures; /* 2 in a row open it */
	uint64_t breaker_ns;       /* 3600 s: so long it stays open */
	unsigned witnesses;        /* 2 before an action of risk >= 1 */
	uint64_t late_ns; /* 8 s: an answer later than this comes after its callers' time-outs */
	uint64_t unanswered_ns; /* 3 s without an answer while requests wait */
};

/** guard_limits_default() - the figures above. */
void guard_limits_default(struct guard_limits *l);

enum guard_answer {
	GUARD_ALLOW,
	GUARD_WAIT, /* not now: ask again (cool-down, in flight, observe, kill switch, hourly limit, witnesses) */
	GUARD_ASK,  /* a person must approve it */
	GUARD_DENY, /* never for this incident: take the next candidate */
};

struct guard_verdict {
	enum guard_answer answer;
	const char *why;      /* static sentence, never NULL */
	uint64_t until_ns;    /* when waiting has a known end; else 0 */
	bool lacks_witnesses; /* that is what it waits for */
	unsigned nr_witnesses;
	const char *witnesses[GUARD_WITNESSES_MAX]; /* static phrases */
};

struct guard_question {
	uint32_t incident;
	enum guard_mode mode;
	bool kill_switch; /* the file is there */
	bool approved;    /* a person said yes to exactly this action: stands in for the mode */
	const struct action *action;
	const struct diagnosis *diagnosis;
	const struct service_facts *target; /* NULL: it is not there any more */
};

enum guard_outcome {
	GUARD_STARTED,  /* it is in flight from here on */
	GUARD_NOTHING,  /* it ended and had found nothing to do: costs no cool-down, no budget */
	GUARD_DONE,     /* it ended; verification decides */
	GUARD_HELPED,   /* verified: closes the breaker's count */
	GUARD_FAILED,   /* could not be executed, or did not help */
	GUARD_UNPROVEN, /* no traffic to verify with */
};

struct guard;

/** guard_new() - @limits is copied. 0 or -ENOMEM. */
int guard_new(const struct guard_limits *limits, struct guard **ret);
void guard_free(struct guard *g);

/** guard_check() - the verdict; changes nothing. */
struct guard_verdict guard_check(const struct guard *g, const struct guard_question *q,
				 uint64_t now_ns);

/** guard_record() - what became of an action on @service for @incident. 0, or -ENOSPC for a start when the memory is full. */
int guard_record(struct guard *g, uint32_t incident, uint32_t service, enum guard_outcome o,
		 uint64_t now_ns);

/** guard_breaker_open() - are actions suspended after repeated failures? @until_ns may be NULL. */
bool guard_breaker_open(const struct guard *g, uint64_t now_ns, uint64_t *until_ns);

const struct guard_limits *guard_limits(const struct guard *g);

/** guard_set_limits() - other limits from the next question on; what is remembered stays, so a cool-down that was begun counts. */
void guard_set_limits(struct guard *g, const struct guard_limits *limits);

/** guard_witnesses() - the independent witnesses that @f's service is not serving. Returns how many of @ret were set. */
unsigned guard_witnesses(const struct guard_limits *l, const struct service_facts *f,
			 const char *ret[GUARD_WITNESSES_MAX]);

static inline void guard_freep(struct guard **g)
{
	guard_free(*g);
}

#endif
