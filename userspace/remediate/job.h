/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * job.h - what is too slow for the sampler: asking a model, acting, writing to disk.
 *
 * The engine makes a job and hands it to engine_ops.submit(); a worker thread
 * calls job_run() with no lock held; the main thread hands it back to
 * engine_done(). A worker runs jobs in the order given (one thread): an audit
 * record is then on disk before the action that follows it. An action carries
 * its own undo record as well, and is not executed when that cannot be written.
 */
#ifndef ARCHAIC_JOB_H
#define ARCHAIC_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/store.h"
#include "remediate/action.h"
#include "remediate/change.h"
#include "remediate/facts.h"
#include "remediate/llm.h"

#define JOB_RECORDS_MAX 64

enum job_kind { JOB_PLAN, JOB_ACT, JOB_UNDO, JOB_RECORD };

/* One row for the store: an incident as it stands, or an audit entry. */
struct record {
	bool audit;
	int64_t at_ms;
	char id[16];    /* incident id */
	char state[24]; /* incidents: state; audit: event */
	char actor[32]; /* audit only */
	char root[SERVICE_NAME_MAX];
	char *json; /* owned */
};

struct job {
	uint64_t id;
	enum job_kind kind;
	uint32_t incident; /* its number; 0: none */

	/* JOB_PLAN */
	struct llm_question *question; /* owned */
	struct llm_answer answer;      /* out */

	/* JOB_ACT */
	struct action action;
	struct service_facts target;

	/* JOB_ACT of those that change_handles(): out, what was done. JOB_UNDO: what to take back. */
	struct change change;

	/* JOB_ACT: the undo record, written first. JOB_RECORD: what to write. */
	struct record records[JOB_RECORDS_MAX];
	size_t nr_records;

	/* out */
	int err;        /* 0 or -errno: it could not be done */
	bool acted;     /* something was changed */
	char says[240]; /* the result, or the failure, in words */
};

/* What the worker needs; borrowed by job_run(). Members may be NULL where noted. */
struct executor {
	void *ctx;
	/**
	 * reset_fault() - disarm whatever is armed on @service. Called with no lock held: takes its own.
	 * Returns how many were disarmed (0: nothing was armed), or -errno. @says: a sentence, optional.
	 */
	int (*reset_fault)(void *ctx, uint32_t service, const char *name, char *says, size_t size);
	/** restart() - NULL takes restart_process(). 0 or -errno. */
	int (*restart)(void *ctx, const struct service_facts *target, char *says, size_t size);
	/* Of change.h; NULL: they cannot be done here. ctx passes through. 0, 1 or -errno as there. */
	int (*prepare)(void *ctx, enum action_kind kind, const struct service_facts *target,
		       struct change *ret, char *says, size_t size);
	int (*change)(void *ctx, const struct change *c, char *says, size_t size);
	int (*undo)(void *ctx, const struct change *c, char *says, size_t size);
	struct llm *llm;     /* NULL: plans fall back */
	struct store *store; /* NULL: nothing is kept */
	const atomic_bool
		*cancel; /* true: give up soon (looked at about once a second); NULL: never */
};

/** job_run() - do it; fills the out members. In the worker thread; may take seconds. */
void job_run(struct job *j, const struct executor *x);

/** job_free() - also what it owns. NULL is fine. */
void job_free(struct job *j);

static inline void job_freep(struct job **j)
{
	job_free(*j);
}

#endif
