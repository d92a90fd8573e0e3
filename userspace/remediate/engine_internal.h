/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine_internal.h - what the engine's own files share. For remediate/engine*.c only.
 *
 * engine.c owns the incidents' table and what leaves for the store;
 * engine_intake.c turns verdicts and diagnoses into incidents;
 * engine_drive.c moves one incident through its states;
 * engine_act.c starts actions and takes their results;
 * engine_analyze.c takes what others send.
 */
#ifndef ARCHAIC_ENGINE_INTERNAL_H
#define ARCHAIC_ENGINE_INTERNAL_H

#include "remediate/engine.h"

#define ENGINE_TABLE_MAX (ENGINE_LIVE_MAX + ENGINE_RECENT_MAX)
#define ENGINE_AUDIT_MAX 256

struct engine {
	struct engine_config config; /* its llm.key is wiped */
	struct engine_ops ops;
	struct store *store;
	struct guard *guard;
	struct history history;
	struct engine_stats stats;
	struct tally tally;

	struct incident *table[ENGINE_TABLE_MAX]; /* ascending numbers */
	size_t nr;
	uint32_t last_nr;
	uint64_t last_job;

	struct record audit[ENGINE_AUDIT_MAX];
	size_t nr_audit;
	unsigned recording; /* JOB_RECORDs that are out */

	/* Of the last tick, for what comes between ticks. */
	struct service_facts facts[SERVICE_MAX];
	size_t nr_facts;
	bool kill_switch;
};

/* ---- engine.c */

int64_t engine_wall_ms(const struct engine *e, uint64_t now_ns);

/** A new live incident in the table; NULL: too many live ones, or no memory (counted). */
struct incident *engine_open(struct engine *e, uint64_t now_ns);

/** Its end: no more driven. @result is kept as it is for INCIDENT_RESULT_NONE. */
void engine_close(struct engine *e, struct incident *i, enum incident_state state, uint64_t now_ns);

/** One more incident that ended so, under its root's name. @result: static. */
void engine_count(struct engine *e, const struct incident *i, const char *result);

/** Queue an audit entry. @json is taken; NULL (no memory) is counted as dropped. */
void engine_audit(struct engine *e, const struct incident *i, const char *actor, const char *event,
		  uint64_t now_ns, cJSON *json);

/** Tell ops.changed() of what changed and hand rows to the store. At the end of every public call. */
void engine_flush(struct engine *e, uint64_t now_ns);

/** Hand what is unsaved to the worker now: before an action, so that its record follows what led to it. */
void engine_submit_records(struct engine *e);

struct job *engine_job(struct engine *e, enum job_kind kind, const struct incident *i);

/* ---- engine_intake.c */

/** Verdicts and diagnosis into incidents. */
void engine_intake(struct engine *e, const struct engine_input *in);

/** @i takes the diagnosis of an outside alert on @service. */
void engine_adopt_external(struct engine *e, struct incident *i, const struct service_facts *f,
			   const char *why, uint64_t now_ns);

/* ---- engine_drive.c */

/** One step of a live incident. */
void engine_drive(struct engine *e, struct incident *i, const struct engine_input *in);

void engine_plan_done(struct engine *e, struct incident *i, const struct job *j, uint64_t now_ns);

/** The guard on the candidate whose turn it is. */
struct guard_verdict engine_ask_guard(struct engine *e, const struct incident *i, uint64_t now_ns);

/** The next candidate has its turn. */
void engine_next(struct incident *i, uint64_t now_ns);

void engine_escalate(struct engine *e, struct incident *i, uint64_t now_ns, const char *why);

/* ---- engine_act.c */

/** Start the candidate whose turn it is. False: the worker's queue is full; try again. */
bool engine_act(struct engine *e, struct incident *i, const char *by, uint64_t now_ns);

void engine_act_done(struct engine *e, struct incident *i, const struct job *j, uint64_t now_ns);

/** Take the last action back. False: the worker's queue is full; try again. */
bool engine_undo(struct engine *e, struct incident *i, uint64_t now_ns);

void engine_undo_done(struct engine *e, struct incident *i, const struct job *j, uint64_t now_ns);

/** The verification ended: @r is not VERIFY_PENDING. */
void engine_verified(struct engine *e, struct incident *i, enum verify_result r, bool anomalous,
		     uint64_t now_ns);

#endif
