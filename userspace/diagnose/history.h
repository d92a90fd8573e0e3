/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * history.h - the last minute of every service and edge, second by second, and what they are
 * like when healthy.
 *
 * Ticks are gathered into slots of a second. A slot that is LEARN_AFTER slots old goes into the
 * slow means of the healthy state, unless something was anomalous meanwhile. Sums over the
 * newest n slots are what evidence is made of.
 *
 * Time that has not ended yet counts too: a request in flight, or a call, is as old as half the
 * oldest one on average, so the mean time a request includes those that hang.
 *
 * Bounded by SERVICE_MAX nodes and DIAGNOSE_EDGES_MAX edges, about 6 KiB each, allocated when
 * first seen. Pure, not thread-safe.
 */
#ifndef ARCHAIC_HISTORY_H
#define ARCHAIC_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "diagnose/diagnose.h"
#include "observe/sample.h"

#define HISTORY_SLOTS 48
#define SLOT_NS 900000000ULL
#define LEARN_AFTER 8     /* slots */
#define KNOWN_AFTER 20    /* healthy slots until a mean says anything */
#define FORGETS_AFTER 600 /* the means follow the last ten healthy minutes */

/* A slow mean and mean deviation. */
struct usual {
	double mean, deviation;
	uint32_t n;
};

struct node_slot {
	double span_s;
	uint64_t requests, failed, aborted, duration_ns, cpu_ns, runq_ns, runq_n;
	uint64_t from_outside; /* requests that nobody we know sent */
	uint64_t oldest_ns;    /* gauge at the end */
	uint32_t in_flight;    /* gauge at the end */
};

struct edge_slot {
	uint64_t server_requests, server_failed, server_duration_ns;
	uint64_t client_requests, client_failed, client_duration_ns, client_aborted;
	uint64_t slow;             /* calls that took much longer than usual */
	uint64_t given_up_ns;      /* time that the aborted calls had waited */
	uint64_t client_oldest_ns; /* gauge at the end */
	uint32_t client_in_flight; /* gauge at the end */
};

struct node_history {
	uint32_t id;
	char name[SERVICE_NAME_MAX];
	struct node_slot slots[HISTORY_SLOTS];      /* ring, by history.newest */
	struct usual time_s, errors, cpu_s, runq_s; /* a request; ratio; a request; a wake-up */
	struct usual outside_rate;                  /* 1/s */
	bool outside;                               /* has been called from outside */
};

struct edge_history {
	uint32_t client, server; /* ids; client 0: outside */
	struct edge_slot slots[HISTORY_SLOTS];
	struct usual time_s;    /* a call, as the client's end sees it */
	struct usual wait_s;    /* all calls, a request of the client */
	struct usual calls;     /* a request of the client */
	struct usual failed;    /* ratio of calls */
	struct usual network_s; /* client's end less server's end, a call */
};

/* What was usual in an earlier life of the process, waiting for services of these names. */
struct saved_node {
	char name[SERVICE_NAME_MAX]; /* "": taken */
	bool outside;
	struct usual usual[5]; /* time_s, errors, cpu_s, runq_s, outside_rate */
};

struct saved_edge {
	char client[SERVICE_NAME_MAX],
		server[SERVICE_NAME_MAX]; /* client "": outside; server "": taken */
	struct usual usual[5];            /* time_s, wait_s, calls, failed, network_s */
};

struct history_saved {
	struct saved_node *nodes; /* owned */
	struct saved_edge *edges; /* owned */
	size_t nr_nodes, nr_edges;
};

struct history {
	struct node_history *nodes[SERVICE_MAX];        /* owned */
	struct edge_history *edges[DIAGNOSE_EDGES_MAX]; /* owned */
	size_t nr_nodes, nr_edges;
	size_t newest, nr; /* slots in use */
	double newest_s;   /* span of the newest */
	uint64_t slot_end_ns[HISTORY_SLOTS];
	uint64_t at_ns;
	size_t learn_hold; /* slots that must pass before learning goes on */
	struct diagnoser_stats stats;
	struct history_saved saved;
};

/* Means over a stretch, time in flight included. */
struct node_now {
	double span_s, requests, finished, time_s, errors, cpu_s, runq_s, from_outside;
	double waits_s; /* for a CPU, all wake-ups of a request together */
	double aborted, oldest_s, in_flight;
	double quiet_s; /* since a request finished; span_s where none did */
};

struct edge_now {
	double calls, finished, failed, aborted, slow;
	double time_s;  /* a call, client's end, in-flight and given-up calls included */
	double total_s; /* of all calls */
	double server_finished, server_s;
	double network_s; /* client's end less server's, over calls that ended; NaN without both */
	double in_flight, oldest_s;
};

/** history_push() - one tick; @calm: nothing is anomalous. 0, -EINVAL (time went back), -ENOMEM. */
int history_push(struct history *h, const struct tick *t, bool calm);
void history_release(struct history *h);
void history_forget(struct history *h, uint32_t service);

/** history_shelve() - the same, but what is usual of it waits for the service's name; where no room is left it is forgotten. (history_store.c) */
void history_shelve(struct history *h, uint32_t service);

/** history_since() - how many of the newest slots began at or after @ns (at least 1, at most @max). */
size_t history_since(const struct history *h, uint64_t ns, size_t max);

/** history_node(), history_edge() - means over the newest @slots. */
void history_node(const struct history *h, const struct node_history *n, size_t slots,
		  struct node_now *ret);
void history_edge(const struct history *h, const struct edge_history *e, size_t slots,
		  struct edge_now *ret);

/** history_save() - append all that is usual to @b. As diagnoser_save(). (history_store.c) */
int history_save(const struct history *h, struct buf *b);

/** history_load() - as diagnoser_load(). (history_store.c) */
int history_load(struct history *h, const void *data, size_t len);

/** history_restore_node(), history_restore_edge() - a new one takes what is kept under its name, if anything. (history_store.c) */
void history_restore_node(struct history *h, struct node_history *n);
void history_restore_edge(struct history *h, struct edge_history *e);

void history_saved_release(struct history_saved *s);

struct node_history *history_find(const struct history *h, uint32_t service);

/** usual_known() - has it been seen often enough? */
static inline bool usual_known(const struct usual *u)
{
	return u->n >= KNOWN_AFTER;
}

#endif
