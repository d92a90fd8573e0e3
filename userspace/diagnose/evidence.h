/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence.h - seconds of history against what is usual: how ill is everybody, how much of that
 * is one's own, and what do callers know of it.
 *
 * Per service four kinds of trouble, each as evidence ln(1 + z) in the harmful direction, and
 * only where the effect matters (5 ms and 1.3 times; one point and three requests):
 *  - time: a request takes longer, those still in flight included. One's own is what waiting for
 *    callees, seen at the client's end, does not account for;
 *  - errors: more requests fail. One's own is what failed calls do not account for. Calls
 *    that are usually made and now are not, while requests fail that nothing else accounts for,
 *    are refused connections: evidence that the server is gone;
 *  - network: callers see more than the server does. Against the server, unless one client
 *    alone sees it at several servers;
 *  - silence: callers wait, nothing is answered. Against the server, also where the server's
 *    own end shows nothing at all.
 *
 * Node 0 is the outside world, when it is called. Pure.
 */
#ifndef ARCHAIC_EVIDENCE_H
#define ARCHAIC_EVIDENCE_H

#include "detect/anomaly.h"
#include "diagnose/diagnosis.h"
#include "diagnose/history.h"
#include "diagnose/rank.h"

#define EVIDENCE_NODES_MAX SERVICE_MAX

_Static_assert(EVIDENCE_NODES_MAX <= RANK_NODES_MAX, "all nodes can be ranked");

enum trouble { TROUBLE_TIME, TROUBLE_ERRORS, TROUBLE_NETWORK, TROUBLE_GONE, NR_TROUBLES };

struct node_evidence {
	const struct node_history *history; /* borrowed; NULL: the outside world */
	struct node_now now;
	double more_s, own_s;           /* a request; 0 where it does not matter */
	double more_errors, own_errors; /* a request */
	double network_s;               /* a call */
	double gone;                    /* share of a client's requests that fail because of it */
	double waited_by_callers_s;     /* oldest unanswered call */
	double slow_cpu;                /* CPU a request against usual; 1 where unknown */
	double slow_runq;               /* run-queue wait against usual */
	double total[NR_TROUBLES], own[NR_TROUBLES]; /* compressed evidence */
	double anomaly, self;                        /* the largest of each */
	enum fault_class resource;                   /* of self */
	bool unsure;    /* fails without calling anybody: by itself, or because nobody answers? */
	bool silent;    /* callers wait or requests are in flight, nothing finishes */
	bool alarmed;   /* the detector says so */
	double onset_s; /* before now, negative; NaN */
};

struct edge_evidence {
	const struct edge_history *history; /* borrowed */
	uint32_t client, server;            /* indexes of nodes */
	bool from_outside;                  /* no client node: never ranked */
	struct edge_now now;
	double more_s, more_errors; /* a request of the client */
	double network_s;
	bool vanished; /* usually made, now not */
};

struct evidence {
	struct node_evidence nodes[EVIDENCE_NODES_MAX];
	struct edge_evidence edges[DIAGNOSE_EDGES_MAX];
	size_t nr_nodes, nr_edges;
	double load;                  /* requests from outside against usual; 1 where unknown */
	double load_rate, load_usual; /* 1/s */
};

/** evidence_take() - @v: the newest verdicts; @slots: how many seconds to look at. */
void evidence_take(const struct history *h, const struct verdict *v, size_t nr, size_t slots,
		   struct evidence *ret);

/** evidence_reasons() - sentences for node @i into @c, with figures; the strongest first. */
void evidence_reasons(const struct evidence *e, size_t i, struct cause *c);

/** evidence_time() - seconds in words, "2.01 s", "1.2 ms"; returns @text. */
const char *evidence_time(double s, char text[static 24]);

#endif
