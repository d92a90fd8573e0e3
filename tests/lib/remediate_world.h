/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remediate_world.h - an engine with injected time, hand-made ticks and a worker without a thread.
 *
 * Three services: auth (1, port 8001), db (2, 8002), product (3, 8003), all supervised
 * and answering. A test makes some of them sick, ticks, and looks at the incident.
 */
#ifndef ARCHAIC_TEST_REMEDIATE_WORLD_H
#define ARCHAIC_TEST_REMEDIATE_WORLD_H

#include "remediate/engine.h"

#define WORLD_SERVICES 3
#define WORLD_JOBS_MAX 32
#define AUTH 1
#define DB 2
#define PRODUCT 3
#define WORLD_START_NS (1000 * 1000000000ULL)

struct world {
	struct engine_config config;
	struct engine *e;
	struct store *store;
	uint64_t now_ns;
	uint64_t tick_ns;
	struct verdict verdicts[WORLD_SERVICES];
	struct service_facts facts[WORLD_SERVICES];
	struct diagnosis diagnosis;
	bool diagnosed; /* diagnosis is handed over */
	bool kill_switch;

	/* The worker. */
	struct job *jobs[WORLD_JOBS_MAX];
	size_t nr_jobs;
	bool full;      /* refuses everything but records */
	bool hold_jobs; /* accepted, not run */
	int armed;      /* what reset_fault finds */
	int restart_err;
	unsigned resets, restarts;
	int prepare_ret, change_err, undo_ret; /* what change.h's three answer */
	unsigned prepares, changed, undos;
	enum action_kind last_kind;
	uint32_t last_target;
	struct llm_answer answer; /* what a JOB_PLAN gets */
	unsigned asked;
	struct llm_question question; /* of the last JOB_PLAN */
	unsigned changes;
	uint64_t held_until[WORLD_SERVICES + 1];
};

/** world_init() - config as by default, mode auto-safe; change it, then world_start(). */
void world_init(struct world *w);
void world_start(struct world *w);
void world_release(struct world *w);

/** world_sick() - @service's anomaly opens with the next tick. */
void world_sick(struct world *w, uint32_t service, enum scorer scorer);

/** world_well() - no anomaly, answering. */
void world_well(struct world *w, uint32_t service);

/** world_all_well() - all three, and nothing is diagnosed any more. */
void world_all_well(struct world *w);

/** world_diagnose() - @root is the cause, @victim (0: none) suffers. */
void world_diagnose(struct world *w, uint32_t root, enum fault_class class, uint32_t victim);

/** world_slow_db() - db is slow, the forest says so of it and of product, and db is named. */
void world_slow_db(struct world *w);

/** world_tick() - @n ticks; jobs run at the end of each. */
void world_tick(struct world *w, unsigned n);

/** world_jobs() - run and hand back what waits. */
void world_jobs(struct world *w);

/** world_incident() - the newest; NULL: none. */
const struct incident *world_incident(const struct world *w);

/** world_find() - where @event (and @text within it, may be NULL) stands in the timeline; -1: nowhere. */
int world_find(const struct incident *i, const char *event, const char *text);

const char *world_name(uint32_t service);

#endif
