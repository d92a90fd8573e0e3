/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_live.h - what the pages follow: history, events, load tests, the audit's log; for run*.c alone.
 *
 * The tick only adds to the history and wakes a thread of its own, which makes
 * the sample event once a second, under the daemon's lock for as long as a GET
 * of the graph takes, and prints it without. Nobody listening: nothing is made.
 */
#ifndef ARCHAIC_RUN_LIVE_H
#define ARCHAIC_RUN_LIVE_H

#include "run_daemon.h"
#include "serve/events.h"

#define LIVE_PERIOD_NS NSEC_PER_SEC
#define LIVE_ACTS_BURST 60 /* requests to change something that the audit takes at once … */
#define LIVE_ACTS_PER_S 2 /* … and then each second; what is over it is counted in its next entry */

struct live;

/** live_open() - make it and start its thread; d->live. 0 or -errno. */
int live_open(struct daemon *d);

/** live_close() - after the server is gone and without the lock: ends load tests, joins, frees. */
void live_close(struct daemon *d);

/* Under the daemon's lock. */

/** live_tick() - a tick into the history; wakes the publisher where a second is over. */
void live_tick(struct daemon *d, const struct tick *t);

/** live_verdicts() - an event for each anomaly that the newest verdicts open or close. */
void live_verdicts(struct daemon *d);

/** live_fault() - an event for a fault that was armed, or that ended. */
void live_fault(struct daemon *d, const struct fault *f);

/** live_incident() - an event for an incident that changed. */
void live_incident(struct daemon *d, const struct incident *i);

/* What was turned away or lost, for /metrics. */
struct live_losses {
	struct events_stats events;
	struct series_stats series;
	uint64_t acts; /* requests that the audit has left out */
};

void live_losses(struct daemon *d, struct live_losses *ret);

/* control_ops' calls. */

int op_series(void *ctx, const struct control_series *which, struct series_window *ret,
	      struct problem *p);
struct events *op_events(void *ctx);
int op_load_shapes(void *ctx, cJSON **ret, struct problem *p);
int op_loads(void *ctx, cJSON **ret, struct problem *p);
int op_load(void *ctx, const char *id, cJSON **ret, struct problem *p);
int op_load_start(void *ctx, const struct caller *who, const struct control_load *what, cJSON **ret,
		  struct problem *p);
int op_load_stop(void *ctx, const struct caller *who, const char *id, cJSON **ret,
		 struct problem *p);
int op_audit(void *ctx, size_t limit, cJSON **ret, struct problem *p);
void op_acted(void *ctx, const struct control_act *what);

#endif
