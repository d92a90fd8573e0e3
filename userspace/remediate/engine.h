/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.h - from an anomaly to a verified repair: the incidents' state machine.
 *
 * Fed once a tick with verdicts, the diagnosis and the services' facts; holds
 * the incidents, the guard and the history. It never waits: what is slow leaves
 * by ops.submit() and comes back by engine_done(). All time is passed in. Not
 * thread-safe: every call under the daemon's one mutex (job_run() without it).
 *
 * One live incident per root and its victims: an anomaly of a member joins; a
 * diagnosis that changes its mind before a plan was made moves the root, and is
 * noted. Live incidents are bounded by ENGINE_LIVE_MAX (more are counted, and
 * not opened), finished ones in memory by ENGINE_RECENT_MAX (older ones are in
 * the store).
 */
#ifndef ARCHAIC_ENGINE_H
#define ARCHAIC_ENGINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/problem.h"
#include "base/store.h"
#include "incident/incident.h"
#include "remediate/facts.h"
#include "remediate/guard.h"
#include "remediate/job.h"
#include "remediate/llm.h"
#include "remediate/playbook.h"
#include "remediate/tally.h"
#include "remediate/verify.h"

#define ENGINE_LIVE_MAX 16
#define ENGINE_RECENT_MAX 64

struct engine_config {
	enum guard_mode mode;
	struct guard_limits guard;
	struct verify_limits verify;
	struct llm_config
		llm; /* the engine reads format, model and prompt size only; the key stays with struct llm */
	unsigned plan_after_ticks; /* 3: the same root so many ticks in a row before a plan is made */
	uint64_t unknown_patience_ns; /* 30 s: then an incident without a root is escalated */
	uint64_t witness_patience_ns; /* 20 s: so long a candidate waits for its witnesses, then the next has its turn */
	uint64_t calm_ns; /* 3 s without an anomaly among the members: it has healed */
	uint64_t hold_ns; /* 60 s: after an action nothing is learned of the target */
	uint64_t external_ttl_ns; /* 1 h: an outside alert that is neither repeated nor resolved is dropped */
};

/** engine_config_default() - the figures above; mode suggest, the model off. */
void engine_config_default(struct engine_config *c);

/* How the engine reaches the world. ctx is passed through. */
struct engine_ops {
	void *ctx;
	/** submit() - queue @j for the worker; it comes back by engine_done(). Takes ownership on 0; else -errno (full). */
	int (*submit)(void *ctx, struct job *j);
	/** hold() - do not learn from @service until @until_ns (detector_hold()); may be NULL. */
	void (*hold)(void *ctx, uint32_t service, uint64_t until_ns);
	/** changed() - an incident was opened or changed: for logs and /v1/events; may be NULL. @i is borrowed. */
	void (*changed)(void *ctx, const struct incident *i);
	/** wall_ms() - the wall time of a monotonic instant; NULL takes clock_mono_to_wall_ms(). */
	int64_t (*wall_ms)(void *ctx, uint64_t mono_ns);
};

struct engine_input {
	uint64_t now_ns;
	const struct verdict *verdicts;
	size_t nr_verdicts;
	const struct diagnosis *diagnosis; /* of this tick; NULL: nothing is anomalous */
	const struct service_facts *facts;
	size_t nr_facts;
	bool kill_switch; /* the kill-switch file is there */
};

struct engine_stats {
	uint64_t opened, merged, repaired, escalated, healed, unverified, rejected;
	uint64_t actions, actions_failed, actions_nothing;
	uint64_t undone, undo_failed;
	uint64_t plans_playbook, plans_model, plans_fell_back;
	uint64_t live_full;       /* anomalies that found no room */
	uint64_t records_dropped; /* store rows that the queue had no room for */
	uint64_t records_failed;  /* rows that the store refused */
	uint64_t submit_full;     /* jobs that the worker's queue refused */
};

struct engine;

/**
 * engine_new() - @config and @ops are copied.
 * @store: borrowed, may be NULL. Read here (ids go on, the history is learned, incidents left open
 * by an earlier life are closed with a note) and by engine_list_json() and friends; written by jobs and, for
 * what is still queued then, by engine_free().
 * 0, -ENOMEM, or the store's error.
 */
int engine_new(const struct engine_config *config, const struct engine_ops *ops,
	       struct store *store, uint64_t now_ns, struct engine **ret);

/** engine_free() - writes what is still queued for the store; jobs that are out must be freed by whoever holds them. */
void engine_free(struct engine *e);

/** engine_tick() - one step of everything. */
void engine_tick(struct engine *e, const struct engine_input *in);

/** engine_done() - @j has run; takes ownership. */
void engine_done(struct engine *e, uint64_t now_ns, struct job *j);

/**
 * engine_approve() - a person says yes to the candidate whose turn it is; the guard's other checks stand.
 * @id: "i-0004". @by: who, for the audit. @action: the action id that was meant, or NULL for the one
 * whose turn it is.
 * 0, or -errno with @p: 404 no such incident, 409 nothing awaits approval (or another action), 422 the guard says no.
 */
int engine_approve(struct engine *e, uint64_t now_ns, const char *id, const char *action,
		   const char *by, struct problem *p);

/** engine_reject() - a person takes it over: escalated. Errors as engine_approve(). */
int engine_reject(struct engine *e, uint64_t now_ns, const char *id, const char *by,
		  const char *why, struct problem *p);

/**
 * engine_analyze() - an anomaly from outside: the detector's own JSON or an Alertmanager webhook, version 4.
 *
 * Detector: {"service", "score"?, "threshold"?, "scorer"?, "why"?, "status"?: "firing"|"resolved"}; other
 * members are ignored. Alertmanager: each alert's labels service, service_name, app, job or instance
 * (host:port) are looked up among the services of the last tick.
 * A known service opens or joins an incident; an unknown one opens an incident with its root unknown,
 * escalated at once; a resolved alert closes what it opened when nothing else keeps it open.
 * @ret: the incident (the first one concerned), borrowed until the next call; NULL where a resolved
 * alert concerned none. 0, or -EINVAL (400), -EPERM (422: too many live ones) with @p.
 */
int engine_analyze(struct engine *e, uint64_t now_ns, const cJSON *body,
		   const struct incident **ret, struct problem *p);

void engine_set_mode(struct engine *e, enum guard_mode m, const char *by, uint64_t now_ns);
enum guard_mode engine_mode(const struct engine *e);

/** engine_set_limits() - other limits of the guard and of verification from the next tick on; copied. Incidents under way go on. */
void engine_set_limits(struct engine *e, const struct guard_limits *guard,
		       const struct verify_limits *verify);

/** engine_find() - an incident in memory by id; NULL where there is none (it may be in the store). */
const struct incident *engine_find(const struct engine *e, const char *id);

/** engine_incident_json() - from memory, else the store. 0, -ENOENT, -ENOMEM or the store's error. */
int engine_incident_json(struct engine *e, const char *id, cJSON **ret);

/**
 * engine_list_json() - {"items":[…],"next":"i-0012"|absent}, newest first.
 * @before: only ids below this one; NULL: from the newest. @state: only this one; NULL: all. @limit: 1..200.
 */
int engine_list_json(struct engine *e, const char *before, const char *state, unsigned limit,
		     cJSON **ret);

/** engine_report() - the post-mortem of @id as Markdown. As engine_incident_json(), or buf's error. */
int engine_report(struct engine *e, const char *id, struct buf *to);

/** engine_each() - incidents in memory, newest first, until @fn returns non-zero (which is returned). */
int engine_each(const struct engine *e, int (*fn)(const struct incident *i, void *ctx), void *ctx);

const struct engine_stats *engine_stats(const struct engine *e);
/** engine_tally() - how incidents and actions ended, by service; borrowed. */
const struct tally *engine_tally(const struct engine *e);
const struct guard *engine_guard(const struct engine *e);

static inline void engine_freep(struct engine **e)
{
	engine_free(*e);
}

#endif
