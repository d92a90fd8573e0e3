/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * synth.h - ticks of services that do not exist: a small simulation of requests that call other
 * services, counted as the observer would count them.
 *
 * Every request is drawn (Poisson arrivals, lognormal times, now and then a pause), follows its
 * service's calls one after the other, and is accounted to the tick in which it ends: so
 * windows, calls that straddle ticks, time-outs and what stays in flight behave as in life.
 * Faults are knobs of a service. The same seed gives the same ticks. Test code: it asserts.
 */
#ifndef ARCHAIC_TEST_SYNTH_H
#define ARCHAIC_TEST_SYNTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/random.h"
#include "observe/sample.h"

#define SYNTH_SERVICES 8
#define SYNTH_CALLS 4
#define SYNTH_WORKERS 32
#define SYNTH_USERS 64
#define SYNTH_FOREVER UINT64_MAX

struct synth_call {
	size_t to;
	double probability;
	bool unseen; /* the observer cannot tell who calls: the edge is missing */
};

struct synth_service {
	const char *name;
	double own_ms;              /* median of its own time a request */
	double cpu_ms;              /* a request */
	double outside_per_s;       /* requests from the outside world */
	double slow_share, slow_ms; /* of the outside's requests: logins with their password hash */
	struct synth_call calls[SYNTH_CALLS];
	size_t nr_calls;
	size_t workers; /* requests worked on at once, others queue; 0: any number. Only for who is called
				 from outside alone: requests must come in the order of time */
	uint64_t free_ns[SYNTH_WORKERS]; /* when each worker is free again */
	/* Faults. */
	double extra_ms;    /* added to every response */
	double extra_share; /* of the requests that get it; 0 means all */
	double error_share; /* answered with 500 */
	double network_ms;  /* between this server and its clients */
	double cpu_factor;  /* own time and CPU times this; 0 means 1 */
	bool stopped;       /* SIGSTOP: nothing finishes */
	bool dead;          /* connections are refused */
};

struct synth_span {
	uint32_t client, server; /* ids; client 0: outside */
	uint64_t start_ns, end_ns, client_end_ns;
	bool failed, given_up, unseen, server_done, client_done;
};

struct synth {
	struct synth_service services[SYNTH_SERVICES]; /* id = index + 1 */
	size_t nr_services;
	struct random random;
	uint64_t now_ns, tick_ns;
	uint64_t timeout_ns; /* of every client, the outside too: 8 s */
	double load;         /* factor on all outside rates */
	double swing;        /* slow swing of the load, 0 .. 1 */
	double contention;   /* own times grow by this for each time the load is above 1 */
	double waits;        /* for a CPU take this many times as long; 0 means 1 */
	double crowded; /* somebody else uses the CPUs: own times and run queues times this; 0 means 1 */
	size_t users; /* 0: requests come at random at their rates; else that many users, who wait for an
				 answer before they ask again */
	uint64_t user_next_ns[SYNTH_USERS];
	struct synth_span *spans; /* owned */
	size_t nr_spans, cap_spans;
};

/** The demo: auth 1, db 2, product 3 (-> auth, db), payment 4 (-> auth, db); all but db called from outside. */
enum { SYNTH_AUTH = 1, SYNTH_DB, SYNTH_PRODUCT, SYNTH_PAYMENT };

void synth_demo(struct synth *s, uint64_t seed);
void synth_release(struct synth *s);

static inline struct synth_service *synth_of(struct synth *s, uint32_t id)
{
	return &s->services[id - 1];
}

/** synth_tick() - let tick_ns pass and count it. @ret: owned by the caller, tick_release(). */
void synth_tick(struct synth *s, struct tick *ret);

/** synth_continue() - SIGCONT, or a restart when @lost: what was in flight is answered, or aborted. */
void synth_continue(struct synth *s, uint32_t id, bool lost);

#endif
