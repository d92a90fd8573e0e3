/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_roles.h - what is done where agent, detector and operator are processes of their own; for run*.c alone.
 *
 * An agent watches and pushes (run_push.c); a detector merges and judges (run_nodes.c); an
 * operator follows the detector's judgement and acts, while it holds the lock (run_follow.c,
 * run_hold.c). `run` has none of the three.
 */
#ifndef ARCHAIC_RUN_ROLES_H
#define ARCHAIC_RUN_ROLES_H

#include "observe/merge.h"
#include "remediate/judgement.h"
#include "run_daemon.h"

/** role_watches(), role_judges(), role_acts() - which stages are here. */
bool role_watches(const struct daemon *d);
bool role_judges(const struct daemon *d);
bool role_acts(const struct daemon *d);

/** role_name() - "run", "agent", "detector", "operator". */
const char *role_name(enum role r);

/** role_ops() - daemon_ops without what this role does not have; filled once, at the start. */
const struct control_ops *role_ops(struct daemon *d);

/** role_server() - ports and tokens of this role into @s; *samples_token is the caller's to wipe. 0 or -errno, logged. */
int role_server(struct daemon *d, struct server_config *s, char **samples_token);

/** role_open() - the parts below that this role has. 0 or -errno, logged. */
int role_open(struct daemon *d);
/** role_close() - stop and free them. Without the lock, before what they use goes. */
void role_close(struct daemon *d);

/** role_lacks() - add a sentence for each thing that is amiss between the processes. Under the lock. */
void role_lacks(struct daemon *d, cJSON *lacks);

/** role_degradation() - 0: all is there; 2: a part is missing; 3: nothing is known. Under the lock. */
int role_degradation(const struct daemon *d);

/** role_metrics() - counters and states of what is here. Under the lock. */
int role_metrics(struct daemon *d, struct metrics *m);

/* ---- agent: run_push.c */

int push_open(struct daemon *d);
void push_close(struct daemon *d);

/** push_tick() - queue a tick; the oldest goes where there is no room. Never waits. Under the lock. */
void push_tick(struct daemon *d, const struct tick *t);

struct push_stats {
	uint64_t pushed, retried;
	uint64_t overrun; /* ticks that found no room: the oldest went */
	uint64_t refused; /* by the detector */
	uint64_t too_big; /* did not fit into one sample */
	uint64_t edges_lost, peers_lost;
	size_t waiting;
	bool reached; /* the last call was answered */
	char why[200];
};

void push_stats(struct daemon *d, struct push_stats *ret);

/* ---- detector: run_nodes.c */

int nodes_open(struct daemon *d);
void nodes_close(struct daemon *d);

/** nodes_tick() - what the nodes have said since the last one. Under the lock. */
void nodes_tick(struct daemon *d, uint64_t now_ns, struct tick *ret);

/** nodes_know() - is what @service does known now? True where there are no nodes. Under the lock. */
bool nodes_know(const struct daemon *d, uint32_t service);

/** nodes_silence() - blame nobody whose node is late or gone. Under the lock. */
void nodes_silence(struct daemon *d, struct diagnosis *diagnosis);

/** nodes_view() - "node" and "node_state" into a service's object. Under the lock. */
void nodes_view(const struct daemon *d, uint32_t service, cJSON *j);

int op_sample(void *ctx, const struct caller *who, const cJSON *body, cJSON **ret,
	      struct problem *p);
int op_nodes(void *ctx, cJSON **ret, struct problem *p);
int op_judgement(void *ctx, cJSON **ret, struct problem *p);

/* ---- detector: run_review.c, where Kubernetes says whose an agent's token is */

/** review_open() - d->review, where a service account is configured; else nothing. 0 or -errno, logged. */
int review_open(struct daemon *d);
void review_close(struct daemon *d);

/** op_vouched() - control_ops' call. */
bool op_vouched(void *ctx, const char *authorization);

/** review_says_yes() - is this TokenReview's answer about @user, and did the token hold? */
bool review_says_yes(const cJSON *answer, const char *user);

/* ---- operator: run_follow.c */

int follow_open(struct daemon *d);
void follow_close(struct daemon *d);

/** follow_tick() - hand the newest judgement to the engine, once, where we hold the lock. Under the lock. */
void follow_tick(struct daemon *d, uint64_t now_ns);

/** follow_hears() - does the detector answer? Under the lock. */
bool follow_hears(const struct daemon *d);

/** follow_lacks() - what is amiss with the detector, and with the lock; "" where nothing is. Under the lock. */
void follow_lacks(struct daemon *d, char says[2][400]);

/* ---- who of several operators acts: run_hold.c */

struct hold;

/** hold_open() - a file's lock, or a Kubernetes Lease where one is configured. 0 or -errno, logged. */
int hold_open(const struct config *c, struct hold **ret);
/** hold_close() - gives it back. NULL is fine. */
void hold_close(struct hold *h);
/** hold_step() - try to get or to keep it; may wait for the API. Every KUBE_LEASE_RETRY_NS or so, from one thread. */
void hold_step(struct hold *h, uint64_t now_ns);
/** hold_is_ours() - may we act at @now_ns? Any thread. */
bool hold_is_ours(const struct hold *h, uint64_t now_ns);
/** hold_says() - a sentence; "" while it is ours. Under no lock; @size bytes. */
void hold_says(struct hold *h, char *says, size_t size);

#endif
