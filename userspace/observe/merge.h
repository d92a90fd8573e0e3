/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * merge.h - the samples of many nodes into one tick, by one clock.
 *
 * Nodes push when they will; merge_tick() is called when the detector's own clock
 * says so, and takes one waiting sample of each node (more where they pile up). No
 * node's clock decides anything: it is compared, and what does not fit is known
 * and told (struct merge_node). What comes twice, out of order, or from an earlier
 * life of an agent is refused; what is MERGE_STALE_NS old is not mixed into now.
 *
 * A service is (node, name). It is shown under its name, or as NAME.NODE where
 * another node has one of that name already; ids are never used twice.
 *
 * Edges across nodes are joined from both ends: the client's node says which
 * service was called, by the address that it has from here (merge_answer()); the
 * server's node says from which node it was called. Where several services of that
 * node call the same server, the server's end is shared out among them as their
 * own ends count; while a node is silent, as it was last.
 *
 * Of a node that is late or gone nothing is in the tick; merge_service() says so,
 * and whoever blames must ask. Pure: time is passed in. Not thread-safe.
 */
#ifndef ARCHAIC_MERGE_H
#define ARCHAIC_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problem.h"
#include "observe/wire.h"

#define MERGE_NODES_MAX 64
#define MERGE_QUEUE_MAX 3                    /* samples of a node that wait; the oldest goes */
#define MERGE_LATE_NS (3 * NSEC_PER_SEC)     /* without a fresh sample: late, */
#define MERGE_GONE_NS (10 * NSEC_PER_SEC)    /* and then gone */
#define MERGE_FORGET_NS (600 * NSEC_PER_SEC) /* a gone node's services are dropped */
#define MERGE_ABSENT_NS (30 * NSEC_PER_SEC) /* a service that its live node tells no more of, too */
#define MERGE_STALE_NS (5 * NSEC_PER_SEC) /* a sample this much older than the freshest way here */
#define MERGE_CLOCK_OFF_MS 2000           /* wall clocks may differ so much */
#define MERGE_CLOCK_JUMP_MS 500           /* between two ticks */
#define MERGE_CLOCK_TOLD_NS (60 * NSEC_PER_SEC) /* so long after a jump it is told */

enum node_state { NODE_LIVE, NODE_LATE, NODE_GONE };

/** node_state_name() - "live", "late", "gone". */
const char *node_state_name(enum node_state s);

/* A service as it is known here. Borrowed from merge_…() until the next call that takes a sample or ticks. */
struct merge_service {
	uint32_t id;
	char name[SERVICE_NAME_MAX];  /* shown */
	char local[SERVICE_NAME_MAX]; /* on its node */
	char node[NODE_NAME_MAX];
	enum node_state state; /* its node's */
	struct wire_service what;
	uint64_t seen_ns; /* in a sample, last */
};

/* A node, for people and for the operator. */
struct merge_node {
	char node[NODE_NAME_MAX];
	enum node_state state;
	uint64_t silent_ns;          /* since its last fresh sample */
	char from[INET6_ADDRSTRLEN]; /* where its samples come from; "": the control socket */
	uint16_t control_port;
	char lacks[WIRE_LACKS_MAX];
	int64_t clock_off_ms; /* its wall clock less ours, way included */
	bool clock_lies; /* off by more than MERGE_CLOCK_OFF_MS, or it jumped within the last minute */
	char clock_says[160]; /* a sentence; "" where it fits */
	size_t nr_services;
	uint64_t samples, repeated, old, stale, overrun, clock_jumps, services_refused;
};

struct merge_stats {
	size_t nr_nodes, nr_services;
	uint64_t samples;          /* taken */
	uint64_t repeated;         /* refused: the same once more */
	uint64_t old;              /* refused: out of order, or of an earlier life */
	uint64_t stale;            /* not used: too old */
	uint64_t overrun;          /* not used: MERGE_QUEUE_MAX newer ones came before a tick */
	uint64_t nodes_refused;    /* MERGE_NODES_MAX */
	uint64_t services_refused; /* SERVICE_MAX, in samples */
	uint64_t edges_lost;       /* more than a tick holds */
	uint64_t endpoints_lost;   /* more than an answer holds */
	uint64_t clock_jumps;
};

struct merge;

/** merge_new() - @version: of the first list of peers; must grow from life to life (wall time). 0 or -ENOMEM. */
int merge_new(uint64_t version, struct merge **ret);
void merge_free(struct merge *m);

/**
 * merge_push() - take a node's sample.
 * @s: on 0 what it owns is taken, and it is empty.
 * @from: the address it came from, "" for none.
 * @now_ns, @wall_ms: both clocks of ours.
 * 0 (also where it is stale, and counted), -EEXIST (409: repeated, old, or another agent
 * of this name is at work) or -ENOSPC (422: too many nodes), with @p.
 */
int merge_push(struct merge *m, struct wire_sample *s, const char *from, uint64_t now_ns,
	       int64_t wall_ms, struct problem *p);

/** merge_answer() - what @node is to know of the others; @known: the version it has. wire_answer_release(). 0 or -ENOMEM. */
int merge_answer(struct merge *m, const char *node, uint64_t known, struct wire_answer *ret);

/** merge_tick() - one tick of all nodes that have something to say. tick_release(). 0 or -ENOMEM (the samples are kept). */
int merge_tick(struct merge *m, uint64_t now_ns, struct tick *ret);

/** merge_changes() - services that came, changed or went (@gone: its last state) since the last call, once each. */
void merge_changes(struct merge *m, void (*cb)(void *ctx, const struct merge_service *s, bool gone),
		   void *ctx);

/** merge_service() - by id; NULL: unknown. */
const struct merge_service *merge_service(const struct merge *m, uint32_t id);

/** merge_each_node() - all that were ever heard of and not forgotten. */
void merge_each_node(const struct merge *m, uint64_t now_ns,
		     void (*cb)(void *ctx, const struct merge_node *n), void *ctx);

void merge_stats(const struct merge *m, struct merge_stats *ret);

static inline void merge_freep(struct merge **m)
{
	merge_free(*m);
}

#endif
