// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnose/rank.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define ROUNDS 100
#define TIE .02
#define FAR UINT32_MAX

double rank_compress(double z)
{
	return z > 0 ? log1p(z) : 0;
}

static double delta_of(const struct rank_node *nodes, const struct rank_edge *e)
{
	double delta = isnan(e->delta) ? nodes[e->server].delta : e->delta;

	return delta > 0 ? delta : 0;
}

/* What the client has from this edge, as a share of all it suffers. */
static double share_of(const struct rank_node *nodes, const struct rank_edge *e)
{
	double delta = delta_of(nodes, e), all = nodes[e->client].delta;

	if (!(delta > 0))
		return 0;
	return all > 0 ? fmin(1, delta / all) : 1;
}

static void find_self(const struct rank_node *nodes, size_t nr, const struct rank_edge *edges,
		      size_t nr_edges, double *self)
{
	for (size_t i = 0; i < nr; i++)
		self[i] = nodes[i].anomaly;
	for (size_t k = 0; k < nr_edges; k++) {
		const struct rank_edge *e = &edges[k];
		/* A healthy callee accounts for nothing, whatever the figures say. */
		if (e->client != e->server && nodes[e->server].anomaly > 0)
			self[e->client] = fmin(self[e->client],
					       nodes[e->client].anomaly * (1 - share_of(nodes, e)));
	}
	for (size_t i = 0; i < nr; i++)
		if (!isnan(nodes[i].own))
			self[i] = fmax(nodes[i].own, 0);
}

/* Depth of every node from the entries along anomalous servers; FAR where there is no such path. */
static void find_depth(const struct rank_node *nodes, size_t nr, const struct rank_edge *edges,
		       size_t nr_edges, const bool *entry, uint32_t *depth)
{
	bool moved = true;

	for (size_t i = 0; i < nr; i++)
		depth[i] = entry[i] ? 0 : FAR;
	for (size_t round = 0; moved && round < nr; round++) {
		moved = false;
		for (size_t k = 0; k < nr_edges; k++) {
			const struct rank_edge *e = &edges[k];
			if (depth[e->client] == FAR || depth[e->server] <= depth[e->client] + 1 ||
			    !(nodes[e->server].anomaly > 0))
				continue;
			depth[e->server] = depth[e->client] + 1;
			moved = true;
		}
	}
}

static void find_entries(const struct rank_node *nodes, size_t nr, const struct rank_edge *edges,
			 size_t nr_edges, bool *entry)
{
	bool any = false;

	for (size_t i = 0; i < nr; i++)
		any |= entry[i] = nodes[i].entry && nodes[i].anomaly > 0;
	if (any)
		return;
	for (size_t i = 0; i < nr; i++)
		entry[i] = nodes[i].anomaly > 0;
	for (size_t k = 0; k < nr_edges; k++)
		if (edges[k].client != edges[k].server && nodes[edges[k].client].anomaly > 0)
			entry[edges[k].server] = false;
}

/*
 * Weight of going from client to server. Callees are weighed against the worst of them: where calls
 * are made side by side, several account for all of the client's harm and more.
 */
static double weight_of(const struct rank_node *nodes, const struct rank_edge *e,
			const uint32_t *depth, const double *worst)
{
	if (depth[e->client] == FAR || depth[e->server] == FAR || e->client == e->server ||
	    !(worst[e->client] > 0))
		return 0;
	double share = delta_of(nodes, e) / fmax(worst[e->client], nodes[e->client].delta);
	return nodes[e->server].anomaly * share;
}

static void walk(const struct rank_node *nodes, size_t nr, const struct rank_edge *edges,
		 size_t nr_edges, const bool *entry, const uint32_t *depth, const double *self,
		 double *visits)
{
	double out[RANK_NODES_MAX] = { 0 }, start[RANK_NODES_MAX] = { 0 },
	       worst[RANK_NODES_MAX] = { 0 }, all = 0;

	for (size_t k = 0; k < nr_edges; k++)
		worst[edges[k].client] = fmax(worst[edges[k].client], delta_of(nodes, &edges[k]));
	for (size_t i = 0; i < nr; i++) {
		out[i] = depth[i] == FAR ? 0 : self[i];
		start[i] = entry[i] ? nodes[i].anomaly : 0;
		all += start[i];
	}
	for (size_t k = 0; k < nr_edges; k++)
		out[edges[k].client] += weight_of(nodes, &edges[k], depth, worst);
	for (size_t i = 0; i < nr && all > 0; i++)
		visits[i] = start[i] /= all;

	for (int round = 0; round < ROUNDS; round++) {
		double next[RANK_NODES_MAX] = { 0 }, anew = 0;
		for (size_t i = 0; i < nr; i++) {
			/* Who ends here, as who has nowhere to go, begins anew. */
			double goes_on = out[i] > 0 ? (1 - RANK_RESTART) * (1 - self[i] / out[i]) :
						      0;
			anew += visits[i] * (1 - goes_on);
		}
		for (size_t i = 0; i < nr; i++)
			next[i] = anew * start[i];
		for (size_t k = 0; k < nr_edges; k++) {
			const struct rank_edge *e = &edges[k];
			if (out[e->client] > 0)
				next[e->server] += (1 - RANK_RESTART) * visits[e->client] *
					weight_of(nodes, e, depth, worst) / out[e->client];
		}
		memcpy(visits, next, nr * sizeof(*visits));
	}
	for (size_t i = 0; i < nr; i++)
		visits[i] *= out[i] > 0 ? self[i] / out[i] : 0;
}

static int by_score(const void *a, const void *b)
{
	const struct rank_score *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return (x->node > y->node) - (x->node < y->node);
}

/* Does @b go before @a although its score is a shade lower? */
static bool breaks_tie(const struct rank_node *nodes, const struct rank_score *a,
		       const struct rank_score *b)
{
	double x = nodes[a->node].onset_s, y = nodes[b->node].onset_s;

	if (b->score < a->score * (1 - TIE))
		return false;
	if (!isnan(x) && !isnan(y) && fabs(x - y) > .5)
		return y < x;
	return b->depth > a->depth;
}

int rank_causes(const struct rank_node *nodes, size_t nr, const struct rank_edge *edges,
		size_t nr_edges, struct rank_score *ret, size_t *nr_ret)
{
	double self[RANK_NODES_MAX] = { 0 }, ends[RANK_NODES_MAX] = { 0 }, all = 0;
	bool entry[RANK_NODES_MAX] = { 0 };
	uint32_t depth[RANK_NODES_MAX];
	size_t n = 0;

	if (nr > RANK_NODES_MAX)
		return -EINVAL;
	for (size_t k = 0; k < nr_edges; k++)
		if (edges[k].client >= nr || edges[k].server >= nr)
			return -EINVAL;

	find_self(nodes, nr, edges, nr_edges, self);
	find_entries(nodes, nr, edges, nr_edges, entry);
	find_depth(nodes, nr, edges, nr_edges, entry, depth);
	walk(nodes, nr, edges, nr_edges, entry, depth, self, ends);

	for (size_t i = 0; i < nr; i++) {
		if (depth[i] == FAR || !(nodes[i].anomaly > 0))
			continue;
		double score = ends[i];
		all += score;
		ret[n++] = (struct rank_score){ (uint32_t)i, score, self[i], depth[i] };
	}
	for (size_t i = 0; i < n && all > 0; i++)
		ret[i].score /= all;
	qsort(ret, n, sizeof(*ret), by_score);
	for (size_t i = 0; i + 1 < n; i++)
		if (breaks_tie(nodes, &ret[i], &ret[i + 1])) {
			struct rank_score swap = ret[i];
			ret[i] = ret[i + 1];
			ret[i + 1] = swap;
		}
	*nr_ret = n;
	return 0;
}
