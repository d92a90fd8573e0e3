// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnose/history.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static void usual_learn(struct usual *u, double value)
{
	if (isnan(value))
		return;
	u->n = MIN(u->n + 1, (uint32_t)FORGETS_AFTER);
	/* One bad second pulls no more than five usual deviations. */
	if (u->n > KNOWN_AFTER) {
		double most = 5 * u->deviation + 1e-6;
		value = fmin(fmax(value, u->mean - most), u->mean + most);
	}
	double step = 1. / u->n, off = value - u->mean;
	u->mean += step * off;
	u->deviation += step * (fabs(off) - u->deviation);
}

struct node_history *history_find(const struct history *h, uint32_t service)
{
	for (size_t i = 0; i < h->nr_nodes; i++)
		if (h->nodes[i]->id == service)
			return h->nodes[i];
	return NULL;
}

static struct node_history *node_for(struct history *h, const struct service_sample *s, int *err)
{
	struct node_history *n = history_find(h, s->id);

	if (n) {
		memcpy(n->name, s->name, sizeof(n->name)); /* a found service was attached */
		return n;
	}
	if (h->nr_nodes == SERVICE_MAX) {
		h->stats.services_refused++;
		return NULL;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		*err = -ENOMEM;
		return NULL;
	}
	n->id = s->id;
	snprintf(n->name, sizeof(n->name), "%.*s", (int)sizeof(s->name) - 1, s->name);
	history_restore_node(h, n);
	return h->nodes[h->nr_nodes++] = n;
}

static struct edge_history *edge_for(struct history *h, const struct edge_sample *s, int *err)
{
	for (size_t i = 0; i < h->nr_edges; i++)
		if (h->edges[i]->client == s->client && h->edges[i]->server == s->server)
			return h->edges[i];
	if (h->nr_edges == DIAGNOSE_EDGES_MAX) {
		h->stats.edges_refused++;
		return NULL;
	}
	struct edge_history *e = calloc(1, sizeof(*e));
	if (!e) {
		*err = -ENOMEM;
		return NULL;
	}
	e->client = s->client;
	e->server = s->server;
	history_restore_edge(h, e);
	return h->edges[h->nr_edges++] = e;
}

/* ---- sums */

static size_t ago(const struct history *h, size_t k)
{
	return (h->newest + HISTORY_SLOTS - k) % HISTORY_SLOTS;
}

size_t history_since(const struct history *h, uint64_t ns, size_t max)
{
	size_t k = 1;

	/* A slot begins where the one before it ended. */
	while (k < h->nr && k < max && h->slot_end_ns[ago(h, k)] > ns)
		k++;
	return k;
}

void history_node(const struct history *h, const struct node_history *n, size_t slots,
		  struct node_now *ret)
{
	const struct node_slot *last = &n->slots[h->newest];
	double duration_s = 0, cpu_s = 0, runq_s = 0, runq_n = 0, failed = 0;
	bool quiet = true;

	*ret = (struct node_now){ .in_flight = last->in_flight,
				  .oldest_s = (double)last->oldest_ns / 1e9 };
	for (size_t k = 0; k < MIN(slots, h->nr); k++) {
		const struct node_slot *s = &n->slots[ago(h, k)];
		ret->span_s += s->span_s;
		ret->finished += (double)s->requests;
		ret->aborted += (double)s->aborted;
		ret->from_outside += (double)s->from_outside;
		failed += (double)s->failed;
		duration_s += (double)s->duration_ns / 1e9;
		cpu_s += (double)s->cpu_ns / 1e9;
		runq_s += (double)s->runq_ns / 1e9;
		runq_n += (double)s->runq_n;
		quiet &= !s->requests;
		if (quiet)
			ret->quiet_s += s->span_s;
	}
	ret->requests = ret->finished + ret->aborted + ret->in_flight;
	/* Half the age of the oldest is what those in flight have waited on average so far. */
	double waiting_s = ret->in_flight * ret->oldest_s / 2;
	double done = ret->finished + ret->in_flight;
	ret->time_s = done > 0 ? (duration_s + waiting_s) / done : NAN;
	ret->errors = ret->finished > 0 ? failed / ret->finished : NAN;
	ret->cpu_s = ret->finished > 0 ? cpu_s / ret->finished : NAN;
	ret->runq_s = runq_n > 0 ? runq_s / runq_n : NAN;
	ret->waits_s = done > 0 ? runq_s / done : 0;
}

void history_edge(const struct history *h, const struct edge_history *e, size_t slots,
		  struct edge_now *ret)
{
	const struct edge_slot *last = &e->slots[h->newest];
	double client_s = 0, given_up_s = 0;

	*ret = (struct edge_now){ .in_flight = last->client_in_flight,
				  .oldest_s = (double)last->client_oldest_ns / 1e9 };
	for (size_t k = 0; k < MIN(slots, h->nr); k++) {
		const struct edge_slot *s = &e->slots[ago(h, k)];
		ret->finished += (double)s->client_requests;
		ret->failed += (double)s->client_failed;
		ret->aborted += (double)s->client_aborted;
		ret->slow += (double)s->slow;
		ret->server_finished += (double)s->server_requests;
		ret->server_s += (double)s->server_duration_ns / 1e9;
		client_s += (double)s->client_duration_ns / 1e9;
		given_up_s += (double)s->given_up_ns / 1e9;
	}
	/* Where the client's end was not seen, the server's is the best there is. */
	if (!ret->finished && !ret->aborted && !ret->in_flight) {
		ret->finished = ret->server_finished;
		client_s = ret->server_s;
	}
	ret->calls = ret->finished + ret->aborted + ret->in_flight;
	ret->total_s = client_s + given_up_s + ret->in_flight * ret->oldest_s / 2;
	ret->time_s = ret->calls > 0 ? ret->total_s / ret->calls : NAN;
	ret->network_s = ret->finished > 0 && ret->server_finished > 0 ?
		client_s / ret->finished - ret->server_s / ret->server_finished :
		NAN;
	ret->server_s = ret->server_finished > 0 ? ret->server_s / ret->server_finished : NAN;
}

/* ---- learning what is usual, from one slot that proved healthy */

/* Sums over one old slot: the same functions, looking from there. */
static void learn_slot(struct history *h, size_t k)
{
	struct history then = { .newest = ago(h, k), .nr = h->nr };

	for (size_t i = 0; i < h->nr_nodes; i++) {
		struct node_history *n = h->nodes[i];
		struct node_now now;
		history_node(&then, n, 1, &now);
		if (now.requests <= 0)
			continue;
		usual_learn(&n->time_s, now.time_s);
		usual_learn(&n->errors, now.errors);
		if (n->outside)
			usual_learn(&n->outside_rate, now.from_outside / fmax(now.span_s, 1e-3));
		usual_learn(&n->cpu_s, now.cpu_s);
		usual_learn(&n->runq_s, now.runq_s);
	}
	for (size_t i = 0; i < h->nr_edges; i++) {
		struct edge_history *e = h->edges[i];
		const struct node_history *client = history_find(h, e->client);
		struct node_now of_client;
		struct edge_now now;
		history_edge(&then, e, 1, &now);
		if (client) {
			history_node(&then, client, 1, &of_client);
			if (of_client.requests > 0) {
				usual_learn(&e->calls, now.calls / of_client.requests);
				usual_learn(&e->wait_s, now.total_s / of_client.requests);
			}
		}
		if (now.calls <= 0)
			continue;
		usual_learn(&e->time_s, now.time_s);
		usual_learn(&e->failed, (now.failed + now.aborted) / now.calls);
		usual_learn(&e->network_s, now.network_s);
	}
}

/* ---- taking ticks */

/* Gauges of who is missing in a tick are zero, also where the slot has seen them before. */
static void clear_gauges(struct history *h)
{
	for (size_t i = 0; i < h->nr_nodes; i++) {
		h->nodes[i]->slots[h->newest].in_flight = 0;
		h->nodes[i]->slots[h->newest].oldest_ns = 0;
	}
	for (size_t i = 0; i < h->nr_edges; i++)
		h->edges[i]->slots[h->newest].client_in_flight = 0;
}

static void begin_slot(struct history *h)
{
	h->newest = (h->newest + 1) % HISTORY_SLOTS;
	h->nr = MIN(h->nr + 1, (size_t)HISTORY_SLOTS);
	h->newest_s = 0;
	for (size_t i = 0; i < h->nr_nodes; i++)
		h->nodes[i]->slots[h->newest] = (struct node_slot){ 0 };
	for (size_t i = 0; i < h->nr_edges; i++)
		h->edges[i]->slots[h->newest] = (struct edge_slot){ 0 };
}

static void add_node(struct node_slot *to, const struct service_sample *s)
{
	to->requests += s->requests;
	to->failed += s->status_class[5];
	to->aborted += s->aborted;
	to->duration_ns += s->duration_ns;
	to->cpu_ns += s->cpu_ns;
	to->runq_ns += s->runq_ns;
	to->runq_n += hist_count(&s->runq);
	to->in_flight = s->in_flight;
	to->oldest_ns = s->oldest_ns;
}

/* Calls in buckets that lie wholly above twice the usual time and five milliseconds. */
static uint64_t count_slow(const struct edge_history *e, const struct hist *calls)
{
	double limit_ns = (2 * e->time_s.mean + .005) * 1e9;
	uint64_t n = 0;

	for (size_t i = 1; i < ABI_HIST_BUCKETS && usual_known(&e->time_s); i++)
		if ((double)hist_upper_ns(i - 1) >= limit_ns)
			n += calls->n[i];
	return n;
}

static void add_edge(const struct history *h, struct edge_history *e, const struct edge_sample *s)
{
	struct edge_slot *to = &e->slots[h->newest];
	uint64_t oldest = MAX(to->client_oldest_ns, e->slots[ago(h, 1)].client_oldest_ns);

	to->server_requests += s->server_requests;
	to->server_failed += s->server_failed;
	to->server_duration_ns += s->server_duration_ns;
	to->client_requests += s->client_requests;
	to->client_failed += s->client_failed;
	to->client_duration_ns += s->client_duration_ns;
	to->client_aborted += s->client_aborted;
	to->slow += count_slow(e, &s->client_duration) + s->client_aborted;
	/* Who gave up had waited as long as the oldest call that was seen before. */
	to->given_up_ns += s->client_aborted * MAX(oldest, s->client_oldest_ns);
	to->client_in_flight = s->client_in_flight;
	to->client_oldest_ns = s->client_oldest_ns;
}

int history_push(struct history *h, const struct tick *t, bool calm)
{
	int err = 0;

	if (t->at_ns < h->at_ns)
		return -EINVAL;
	h->at_ns = t->at_ns;
	double span_s = (double)t->span_ns / 1e9;
	if (!h->nr || h->newest_s + span_s / 2 > (double)SLOT_NS / 1e9) {
		begin_slot(h);
		if (h->learn_hold)
			h->learn_hold--;
		if (calm && !h->learn_hold && h->nr > LEARN_AFTER)
			learn_slot(h, LEARN_AFTER);
	}
	if (!calm)
		h->learn_hold = 2 * LEARN_AFTER;
	h->newest_s += span_s;
	h->slot_end_ns[h->newest] = t->at_ns;
	clear_gauges(h);

	for (size_t i = 0; i < t->nr_services; i++) {
		struct node_history *n = node_for(h, &t->services[i], &err);
		if (n)
			add_node(&n->slots[h->newest], &t->services[i]);
	}
	for (size_t i = 0; i < h->nr_nodes; i++)
		h->nodes[i]->slots[h->newest].span_s = h->newest_s;
	for (size_t i = 0; i < t->nr_edges; i++) {
		struct edge_history *e = edge_for(h, &t->edges[i], &err);
		struct node_history *server = history_find(h, t->edges[i].server);
		if (e)
			add_edge(h, e, &t->edges[i]);
		if (server && !t->edges[i].client) {
			server->slots[h->newest].from_outside += t->edges[i].server_requests;
			server->outside |= t->edges[i].server_requests > 0;
		}
	}
	return err;
}

void history_release(struct history *h)
{
	for (size_t i = 0; i < h->nr_nodes; i++)
		free(h->nodes[i]);
	for (size_t i = 0; i < h->nr_edges; i++)
		free(h->edges[i]);
	history_saved_release(&h->saved);
	*h = (struct history){ 0 };
}

void history_forget(struct history *h, uint32_t service)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->nr_nodes; i++) {
		if (h->nodes[i]->id == service)
			free(h->nodes[i]);
		else
			h->nodes[kept++] = h->nodes[i];
	}
	h->nr_nodes = kept;
	kept = 0;
	for (size_t i = 0; i < h->nr_edges; i++) {
		if (h->edges[i]->client == service || h->edges[i]->server == service)
			free(h->edges[i]);
		else
			h->edges[kept++] = h->edges[i];
	}
	h->nr_edges = kept;
}
