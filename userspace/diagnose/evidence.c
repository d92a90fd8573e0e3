// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnose/evidence.h"

#include <math.h>
#include <string.h>

#include "base/util.h"

#define MORE_S .005 /* less than this more matters to nobody */
#define MORE_TIMES 1.3
#define MORE_ERRORS .01
#define FAILURES_MIN 3
#define SILENT_S 2. /* nothing finished for so long */
#define VANISHED .8 /* this share of the usual calls is missing */
#define GONE_S 1.8  /* and nothing at all arrived for so long */
#define GONE_SLOTS 3
#define Z_CAP 1000.
#define QUEUES 8.
#define QUEUE_S .05    /* a call this much slower, */
#define QUEUE_TIMES 3. /* and so many times, makes its caller's requests queue */

/* Seconds more than usual; 0 where that does not matter. A mean that nobody knows yet is judged by 1 s. */
static double more_time(double now_s, const struct usual *u)
{
	if (isnan(now_s))
		return 0;
	if (!usual_known(u))
		return now_s > 1 ? now_s : 0;
	double more = now_s - u->mean;
	return more >= MORE_S && now_s >= MORE_TIMES * u->mean ? more : 0;
}

static double time_evidence(double more_s, const struct usual *u)
{
	double spread = fmax(fmax(1.25 * u->deviation, .05 * u->mean), .002);
	return rank_compress(fmin(more_s / spread, Z_CAP));
}

static double error_evidence(double more, const struct usual *u)
{
	return rank_compress(fmin(more / fmax(1.25 * u->deviation, MORE_ERRORS), Z_CAP));
}

static size_t node_of(const struct evidence *e, uint32_t id)
{
	for (size_t i = 0; i < e->nr_nodes; i++)
		if (e->nodes[i].history ? e->nodes[i].history->id == id : id == 0)
			return i;
	return SIZE_MAX;
}

/* The outside world becomes a node when somebody calls it. */
static size_t server_of(struct evidence *e, uint32_t id)
{
	size_t i = node_of(e, id);

	if (i != SIZE_MAX || id || e->nr_nodes == EVIDENCE_NODES_MAX)
		return i;
	e->nodes[e->nr_nodes] =
		(struct node_evidence){ .slow_cpu = 1, .slow_runq = 1, .onset_s = NAN };
	return e->nr_nodes++;
}

/* ---- each by itself */

static double times(double now, const struct usual *u, double least)
{
	return isnan(now) || !usual_known(u) ? 1 : now / fmax(u->mean, least);
}

static void look_at_node(const struct history *h, const struct node_history *n, size_t slots,
			 struct node_evidence *ret)
{
	*ret = (struct node_evidence){ .history = n, .onset_s = NAN };
	history_node(h, n, slots, &ret->now);
	ret->more_s = more_time(ret->now.time_s, &n->time_s);
	double usual_errors = usual_known(&n->errors) ? n->errors.mean : 0;
	double failed = ret->now.errors * ret->now.finished;
	if (failed >= FAILURES_MIN &&
	    ret->now.errors - usual_errors >= (usual_known(&n->errors) ? MORE_ERRORS : .1))
		ret->more_errors = ret->now.errors - usual_errors;
	ret->silent = ret->now.in_flight > 0 && ret->now.oldest_s >= SILENT_S &&
		ret->now.quiet_s >= SILENT_S;
	ret->slow_cpu = times(ret->now.cpu_s, &n->cpu_s, 1e-4);
	ret->slow_runq = times(ret->now.runq_s, &n->runq_s, 1e-4);
}

/* The newest seconds in which some calls were due: were they made? What was before they stopped is no matter. */
static bool vanished(const struct history *h, const struct edge_history *x,
		     const struct node_history *client)
{
	if (!usual_known(&x->calls) || x->calls.mean < .1)
		return false;
	for (size_t slots = 1; slots <= GONE_SLOTS; slots++) {
		struct node_now requests;
		struct edge_now calls;
		history_node(h, client, slots, &requests);
		history_edge(h, x, slots, &calls);
		double due = x->calls.mean * (requests.finished + requests.in_flight);
		if (due >= FAILURES_MIN)
			return calls.calls < (1 - VANISHED) * due;
	}
	return false;
}

static void look_at_edge(const struct history *h, const struct edge_history *x, size_t slots,
			 struct evidence *e, struct edge_evidence *ret)
{
	*ret = (struct edge_evidence){ .history = x, .from_outside = !x->client };
	history_edge(h, x, slots, &ret->now);
	ret->server = (uint32_t)server_of(e, x->server);
	ret->client = (uint32_t)node_of(e, x->client);
	if (!isnan(ret->now.network_s) && usual_known(&x->network_s))
		ret->network_s = more_time(ret->now.network_s, &x->network_s);
	if (ret->from_outside || ret->client == (uint32_t)SIZE_MAX)
		return;

	double requests = e->nodes[ret->client].now.requests;
	if (requests <= 0)
		return;
	double usual_wait = usual_known(&x->wait_s) ? x->wait_s.mean : 0;
	double usual_failed = usual_known(&x->failed) && usual_known(&x->calls) ?
		x->failed.mean * x->calls.mean :
		0;
	ret->more_s = fmax(ret->now.total_s / requests - usual_wait, 0);
	ret->more_errors = fmax((ret->now.failed + ret->now.aborted) / requests - usual_failed, 0);
	ret->vanished = vanished(h, x, e->nodes[ret->client].history);
}

/* ---- what callers know of a server */

static void hear_callers(struct evidence *e)
{
	for (size_t k = 0; k < e->nr_edges; k++) {
		struct edge_evidence *x = &e->edges[k];
		struct node_evidence *server = &e->nodes[x->server];
		if (x->from_outside)
			continue;

		server->waited_by_callers_s = fmax(server->waited_by_callers_s, x->now.oldest_s);
		/* Unanswered calls count, also where the server's end shows no request at all. */
		bool unanswered = !x->now.server_finished && x->now.calls > 0 &&
			(x->now.aborted > 0 || x->now.oldest_s >= SILENT_S);
		if (unanswered || !server->history) {
			double more = more_time(x->now.time_s, &x->history->time_s);
			server->more_s = fmax(server->more_s, more);
			if (!server->history)
				server->total[TROUBLE_TIME] =
					fmax(server->total[TROUBLE_TIME],
					     time_evidence(more, &x->history->time_s));
		}
		if (unanswered)
			server->silent = true;
	}
}

/* How many servers does this client see a network in between? */
static size_t slow_networks(const struct evidence *e, uint32_t client)
{
	size_t n = 0;

	for (size_t k = 0; k < e->nr_edges; k++)
		n += !e->edges[k].from_outside && e->edges[k].client == client &&
			e->edges[k].network_s > 0;
	return n;
}

static size_t clients_with_slow_network(const struct evidence *e, uint32_t server)
{
	size_t n = 0;

	for (size_t k = 0; k < e->nr_edges; k++)
		n += !e->edges[k].from_outside && e->edges[k].server == server &&
			e->edges[k].network_s > 0;
	return n;
}

/* One client that sees it at several servers, which others reach well, has it itself. */
static void place_network(struct evidence *e)
{
	for (size_t k = 0; k < e->nr_edges; k++) {
		struct edge_evidence *x = &e->edges[k];
		if (x->from_outside || !(x->network_s > 0))
			continue;
		bool clients = slow_networks(e, x->client) > 1 &&
			clients_with_slow_network(e, x->server) == 1;
		struct node_evidence *n = &e->nodes[clients ? x->client : x->server];
		n->network_s = fmax(n->network_s, x->network_s);
		n->total[TROUBLE_NETWORK] =
			fmax(n->total[TROUBLE_NETWORK],
			     time_evidence(x->network_s, &x->history->network_s));
		/* Its own network is not its callee's doing. */
		if (clients)
			x->more_s = fmax(x->more_s - x->network_s, 0);
	}
}

/* ---- what is one's own */

/* Nothing arrives, and nothing waits. */
static bool quiet(const struct node_evidence *n)
{
	return n->history && n->now.quiet_s >= GONE_S && !n->now.in_flight;
}

/* The outside world calls it no more either; that has no cause inside. */
static bool outside_is_gone(const struct node_evidence *n)
{
	return quiet(n) && n->history->outside && usual_known(&n->history->outside_rate) &&
		n->history->outside_rate.mean * n->now.quiet_s >= FAILURES_MIN;
}

/* Was this server lost by all its clients, and not merely by one that fails before it calls anybody? */
static bool lost_by_all(const struct evidence *e, uint32_t server)
{
	size_t clients = 0, lost = 0;

	for (size_t k = 0; k < e->nr_edges; k++) {
		if (e->edges[k].from_outside || e->edges[k].server != server ||
		    !usual_known(&e->edges[k].history->calls))
			continue;
		clients++;
		lost += e->edges[k].vanished;
	}
	return clients == lost && (clients > 1 || outside_is_gone(&e->nodes[server]));
}

/*
 * Failures that no failed call accounts for, and calls that are not made any more: refused. Who calls
 * one after the other does not come to the second when the first fails, so the calls to several
 * can vanish for one. Then it is the one that the outside world has lost too; and where all of a
 * client's calls vanished, a server is only gone if its other clients have lost it as well.
 */
static void blame_the_gone(struct evidence *e, uint32_t client, double unexplained)
{
	bool alive = false, outside = false;

	for (size_t k = 0; k < e->nr_edges; k++) {
		const struct edge_evidence *x = &e->edges[k];
		if (x->from_outside || x->client != client)
			continue;
		alive |= x->now.calls > 0 && !x->vanished && usual_known(&x->history->calls);
		outside |= x->vanished && outside_is_gone(&e->nodes[x->server]);
	}
	for (size_t k = 0; k < e->nr_edges; k++) {
		struct edge_evidence *x = &e->edges[k];
		struct node_evidence *server = &e->nodes[x->server];
		if (x->from_outside || x->client != client || !x->vanished ||
		    (outside && !outside_is_gone(server)))
			continue;
		if (!quiet(server) || (!alive && !lost_by_all(e, x->server))) {
			/* Whom others still reach is not gone; who has just fallen silent may be. */
			e->nodes[client].unsure |= server->history && server->now.quiet_s > 0 &&
				!server->now.in_flight;
			continue;
		}
		x->more_errors = unexplained;
		server->gone = fmax(server->gone, unexplained);
		server->total[TROUBLE_GONE] =
			fmax(server->total[TROUBLE_GONE],
			     error_evidence(unexplained, &x->history->failed));
	}
}

/*
 * Who has a fixed number of workers queues requests while they wait for a callee, and a queue takes
 * many times as long as one call: waiting that is not the call's own time is the callee's doing all
 * the same. A call that is much slower than usual stands for up to QUEUES times its own time; and
 * its time, or its age, is measured against the age of the oldest request, too.
 */
static void count_queues(struct edge_evidence *x, const struct node_evidence *client)
{
	double usual = usual_known(&x->history->time_s) ? x->history->time_s.mean : 0;

	if (!(client->more_s > 0) || isnan(x->now.time_s) || x->now.time_s < usual + QUEUE_S ||
	    x->now.time_s < QUEUE_TIMES * usual)
		return;
	double share = x->more_s / client->more_s;
	if (client->now.oldest_s >= 1)
		share = fmax(share, fmax(x->now.oldest_s, x->now.time_s) / client->now.oldest_s);
	x->more_s = client->more_s * fmin(1, QUEUES * share);
}

static void find_own(struct evidence *e, uint32_t i)
{
	struct node_evidence *n = &e->nodes[i];
	double waited_s = 0, failed = 0;

	for (size_t k = 0; k < e->nr_edges; k++) {
		struct edge_evidence *x = &e->edges[k];
		if (x->from_outside || x->client != i || x->server == i)
			continue;
		count_queues(x, n);
		waited_s += x->more_s;
		failed += x->more_errors;
	}
	double unexplained = n->more_errors - failed;
	if (unexplained > .1 * n->more_errors && n->more_errors > 0)
		blame_the_gone(e, i, unexplained);
	failed = 0;
	for (size_t k = 0; k < e->nr_edges; k++)
		if (!e->edges[k].from_outside && e->edges[k].client == i && e->edges[k].server != i)
			failed += e->edges[k].more_errors;
	n->own_s = fmax(n->more_s - waited_s, 0);
	n->own_errors = fmax(n->more_errors - failed, 0);
}

/*
 * More CPU a request, or longer waits for one, only where they can make up the time that is lost: with 2 s
 * late responses a busy machine's noise, or what few requests share, is no cause.
 */
static bool is_cpu(const struct node_evidence *n)
{
	double usual_s = n->history ? n->history->cpu_s.mean : 0;

	return (n->slow_cpu >= 2 && n->now.cpu_s - usual_s >= .1 * n->own_s) ||
		(n->slow_runq >= 4 && n->now.waits_s >= .5 * n->own_s);
}

static void weigh(struct node_evidence *n)
{
	static const struct usual nothing;
	const struct usual *time = n->history ? &n->history->time_s : &nothing;
	const struct usual *errors = n->history ? &n->history->errors : &nothing;

	if (n->history)
		n->total[TROUBLE_TIME] = time_evidence(n->more_s, time);
	n->total[TROUBLE_ERRORS] = error_evidence(n->more_errors, errors);
	n->own[TROUBLE_TIME] = n->more_s > 0 ? n->total[TROUBLE_TIME] * n->own_s / n->more_s : 0;
	n->own[TROUBLE_ERRORS] =
		n->more_errors > 0 ? n->total[TROUBLE_ERRORS] * n->own_errors / n->more_errors : 0;
	n->own[TROUBLE_NETWORK] = n->total[TROUBLE_NETWORK];
	n->own[TROUBLE_GONE] = n->total[TROUBLE_GONE];

	enum trouble worst = TROUBLE_TIME;
	for (enum trouble t = 0; t < NR_TROUBLES; t++) {
		n->anomaly = fmax(n->anomaly, n->total[t]);
		if (n->own[t] > n->own[worst])
			worst = t;
	}
	n->self = n->own[worst];
	if (worst == TROUBLE_GONE)
		n->resource = FAULT_CLASS_DOWN;
	else if (worst == TROUBLE_NETWORK)
		n->resource = FAULT_CLASS_NETWORK;
	else if (worst == TROUBLE_ERRORS)
		n->resource = FAULT_CLASS_ERRORS;
	else if (n->silent)
		/* Nobody waits inside it although callers wait for it: nothing arrives. */
		n->resource = n->history && !n->now.in_flight ? FAULT_CLASS_NETWORK :
								FAULT_CLASS_UNRESPONSIVE;
	else if (is_cpu(n))
		n->resource = FAULT_CLASS_CPU;
	else if (n->own_s > 0)
		n->resource = FAULT_CLASS_LATENCY;
}

static void weigh_load(struct evidence *e)
{
	for (size_t i = 0; i < e->nr_nodes; i++) {
		const struct node_evidence *n = &e->nodes[i];
		if (!n->history || !n->history->outside ||
		    !usual_known(&n->history->outside_rate) || n->now.span_s <= 0)
			continue;
		/* Only what was answered: who waits in flight may have come from inside. */
		e->load_rate += n->now.from_outside / n->now.span_s;
		e->load_usual += n->history->outside_rate.mean;
	}
	e->load = e->load_usual > 0 ? e->load_rate / e->load_usual : 1;
}

void evidence_take(const struct history *h, const struct verdict *v, size_t nr, size_t slots,
		   struct evidence *ret)
{
	ret->nr_nodes = ret->nr_edges = 0;
	ret->load = ret->load_rate = ret->load_usual = 0;
	for (size_t i = 0; i < h->nr_nodes && i < EVIDENCE_NODES_MAX; i++)
		look_at_node(h, h->nodes[i], slots, &ret->nodes[ret->nr_nodes++]);
	for (size_t i = 0; i < h->nr_edges; i++) {
		struct edge_evidence *x = &ret->edges[ret->nr_edges];
		look_at_edge(h, h->edges[i], slots, ret, x);
		/* An edge to or from somebody without a sample says nothing. */
		if (x->server != (uint32_t)SIZE_MAX &&
		    (x->from_outside || x->client != (uint32_t)SIZE_MAX))
			ret->nr_edges++;
	}
	for (size_t k = 0; k < nr; k++) {
		size_t i = node_of(ret, v[k].service);
		if (i == SIZE_MAX || !v[k].service)
			continue;
		ret->nodes[i].alarmed = v[k].anomalous || v[k].suspect;
		if (v[k].onset_ns && v[k].onset_ns <= h->at_ns)
			ret->nodes[i].onset_s = -(double)(h->at_ns - v[k].onset_ns) / 1e9;
	}

	hear_callers(ret);
	place_network(ret);
	for (uint32_t i = 0; i < ret->nr_nodes; i++)
		find_own(ret, i);
	for (size_t i = 0; i < ret->nr_nodes; i++)
		weigh(&ret->nodes[i]);
	weigh_load(ret);
}
