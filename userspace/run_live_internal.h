/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files behind run_live.h share. */
#ifndef ARCHAIC_RUN_LIVE_INTERNAL_H
#define ARCHAIC_RUN_LIVE_INTERNAL_H

#include "load/loads.h"
#include "run_live.h"
#include "serve/events.h"

#define LIVE_ACTS_KEPT 200 /* where nothing is kept on disk */

struct live_act {
	int64_t at_ms;
	char actor[SERVICE_NAME_MAX], event[16];
	char *json; /* owned */
};

/* A fault's counts as they were told last. */
struct live_fault_seen {
	char id[FAULT_ID_MAX];
	uint64_t touched, spared;
};

struct live {
	struct series *series;
	struct events *events;
	struct loads *loads;

	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of what the thread waits for; a leaf */
	pthread_cond_t wake;
	bool due, stop;
	uint64_t next_ns; /* the daemon's lock */
	int level;        /* degradation, as told last; the thread's own */
	struct live_fault_seen seen[FAULT_ARMED_MAX]; /* the daemon's lock */
	size_t nr_seen;

	pthread_mutex_t acts_lock;
	struct live_act acts[LIVE_ACTS_KEPT]; /* newest at next_act - 1 */
	size_t next_act;
	double tokens;
	uint64_t tokens_ns, left_out, left_out_ever;
};

/** live_seen() - how a fault was told last, while armed; NULL: not. Under the daemon's lock. */
struct live_fault_seen *live_seen(struct live *l, const char *id);

/** live_publish() - @json as one event of @type; it is taken. */
void live_publish(struct live *l, const char *type, cJSON *json);

/** live_publisher() - the thread; ctx is the daemon. */
void *live_publisher(void *ctx);

#endif
