/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rank.h - a graph of who calls whom and how ill each is, in; the likely causes, best first, out.
 *
 * The core of diagnosis without its plumbing, so that it can be fed from anywhere: ticks, or
 * the recorded metrics of a benchmark.
 *
 *  1. What is a node's own? Where the caller does not know better, its harm less the largest
 *     share that one callee accounts for: self = anomaly (1 - min(1, max delta(edge) / delta)).
 *  2. Candidates lie on a path of anomalous nodes from an entry, a node whose trouble
 *     somebody outside sees. Without any entry, every anomalous node that no anomalous node
 *     calls is one.
 *  3. Personalised PageRank (S. Brin, L. Page, 1998; for root causes as in MonitorRank,
 *     M. Kim et al., SIGMETRICS 2013): a walk begins at an entry, at each node ends there in
 *     proportion to self or goes to callees in proportion to their anomaly and the harm they
 *     do, and is given up with probability RANK_RESTART. score = share of the walks that end
 *     there. (With a walk that stays instead of ending, all mass drains to the deepest node.)
 *  4. Scores within 2 % are a tie: the earlier onset first, then the deeper node.
 *
 * Pure. 64-bit floats throughout; deterministic.
 */
#ifndef ARCHAIC_RANK_H
#define ARCHAIC_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANK_NODES_MAX 256
#define RANK_RESTART .15

struct rank_node {
	double anomaly; /* >= 0, harmful direction, log-compressed: rank_compress(z) */
	double delta; /* harm, any unit that is the same for all (s a request, failures a request) */
	double own;   /* anomaly that no callee accounts for; NaN: worked out as in 1. */
	double onset_s; /* any zero; NaN: not known */
	bool entry;
};

struct rank_edge {
	uint32_t client, server; /* indexes of nodes */
	double delta; /* harm that the client has from it, a request of the client; NaN: the server's delta */
};

struct rank_score {
	uint32_t node;
	double score;   /* shares; the sum is 1 unless nobody is a candidate */
	double self;    /* 1. */
	unsigned depth; /* calls away from the nearest entry */
};

/** rank_compress() - a robust z in the harmful direction as evidence: ln(1 + z), 0 below 0. */
double rank_compress(double z);

/**
 * rank_causes() - @ret: room for @nr; written: candidates only, best first.
 * 0, -EINVAL (too many nodes, an edge to nowhere), -ENOMEM.
 */
int rank_causes(const struct rank_node *nodes, size_t nr, const struct rank_edge *edges,
		size_t nr_edges, struct rank_score *ret, size_t *nr_ret);

#endif
