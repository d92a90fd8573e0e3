// SPDX-License-Identifier: GPL-2.0-or-later
#include "diagnose/diagnose.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "diagnose/evidence.h"
#include "diagnose/history.h"
#include "diagnose/rank.h"

#define LOOK_BACK_SLOTS 30
#define SURGE 1.7    /* times the usual load from outside */
#define STRONG 1.38  /* evidence, ln(1 + z): z of 3 */
#define MARGIN 1.3   /* first over second */
#define OWN_SHARE .6 /* of its trouble: then a second cause beside it is no doubt */

struct diagnoser {
	struct history history;
	struct verdict verdicts[SERVICE_MAX]; /* of the newest tick */
	size_t nr_verdicts;
	struct evidence *evidence; /* owned; scratch of diagnoser_run() */
};

const char *fault_class_name(enum fault_class c)
{
	static const char *const names[] = { "unknown", "latency", "errors", "unresponsive",
					     "cpu",     "network", "down" };
	return c < ARRAY_SIZE(names) ? names[c] : "unknown";
}

int diagnoser_new(struct diagnoser **ret)
{
	CLEANUP(diagnoser_freep) struct diagnoser *g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->evidence = calloc(1, sizeof(*g->evidence));
	if (!g->evidence)
		return -ENOMEM;
	*ret = TAKE_PTR(g);
	return 0;
}

void diagnoser_free(struct diagnoser *g)
{
	if (!g)
		return;
	history_release(&g->history);
	free(g->evidence);
	free(g);
}

int diagnoser_feed(struct diagnoser *g, const struct tick *t, const struct verdict *v, size_t nr)
{
	bool calm = true;

	if (t->at_ns < g->history.at_ns)
		return -EINVAL;
	g->nr_verdicts = MIN(nr, (size_t)SERVICE_MAX);
	if (g->nr_verdicts)
		memcpy(g->verdicts, v, g->nr_verdicts * sizeof(*v));
	/*
	 * A suspect tick that leads to nothing is the tail of what is usual; one that leads to an anomaly is
	 * younger than LEARN_AFTER by then.
	 */
	for (size_t i = 0; i < g->nr_verdicts; i++)
		calm &= !v[i].anomalous;
	return history_push(&g->history, t, calm);
}

void diagnoser_shelve(struct diagnoser *g, uint32_t service)
{
	history_shelve(&g->history, service);
	diagnoser_forget(g, service);
}

void diagnoser_forget(struct diagnoser *g, uint32_t service)
{
	history_forget(&g->history, service);
	for (size_t i = 0; i < g->nr_verdicts; i++)
		if (g->verdicts[i].service == service)
			g->verdicts[i--] = g->verdicts[--g->nr_verdicts];
}

bool diagnoser_warm(const struct diagnoser *g)
{
	const struct history *h = &g->history;
	size_t busy = 0;

	for (size_t i = 0; i < h->nr_nodes; i++) {
		struct node_now now;
		history_node(h, h->nodes[i], HISTORY_SLOTS, &now);
		if (!(now.requests > 0))
			continue;
		if (!usual_known(&h->nodes[i]->time_s))
			return false;
		busy++;
	}
	for (size_t i = 0; i < h->nr_edges; i++)
		if (history_find(h, h->edges[i]->client) && !usual_known(&h->edges[i]->wait_s))
			return false;
	return busy > 0;
}

int diagnoser_save(const struct diagnoser *g, struct buf *b)
{
	return history_save(&g->history, b);
}

int diagnoser_load(struct diagnoser *g, const void *data, size_t len)
{
	return history_load(&g->history, data, len);
}

void diagnoser_stats(const struct diagnoser *g, struct diagnoser_stats *ret)
{
	*ret = g->history.stats;
	ret->nr_services = g->history.nr_nodes;
	ret->nr_edges = g->history.nr_edges;
}

/* ---- the answer */

static void answer(struct diagnosis *d, bool known, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void answer(struct diagnosis *d, bool known, const char *fmt, ...)
{
	va_list ap;

	d->known = known;
	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
}

/* When did it begin? The earliest onset of what is open; false where nothing is. */
static bool find_onset(const struct diagnoser *g, uint64_t *ret)
{
	bool any = false;

	*ret = 0;
	for (size_t i = 0; i < g->nr_verdicts; i++) {
		const struct verdict *v = &g->verdicts[i];
		if (!v->anomalous)
			continue;
		uint64_t onset = v->onset_ns ? v->onset_ns : v->at_ns;
		*ret = any ? MIN(*ret, onset) : onset;
		any = true;
	}
	return any;
}

static void rank(const struct evidence *e, struct rank_score *scores, size_t *nr)
{
	struct rank_node nodes[EVIDENCE_NODES_MAX] = { 0 };
	struct rank_edge edges[DIAGNOSE_EDGES_MAX];
	size_t nr_edges = 0;

	for (size_t i = 0; i < e->nr_nodes; i++) {
		const struct node_evidence *n = &e->nodes[i];
		nodes[i] = (struct rank_node){
			.anomaly = n->anomaly,
			.delta = 1,
			.own = n->self,
			.onset_s = n->onset_s,
			.entry = n->history && n->history->outside && n->anomaly > 0,
		};
	}
	for (size_t k = 0; k < e->nr_edges; k++) {
		const struct edge_evidence *x = &e->edges[k];
		if (x->from_outside)
			continue;
		const struct node_evidence *client = &e->nodes[x->client];
		double time = client->more_s > 0 ? x->more_s / client->more_s : 0;
		double errors = client->more_errors > 0 ? x->more_errors / client->more_errors : 0;
		edges[nr_edges++] =
			(struct rank_edge){ x->client, x->server, fmin(fmax(time, errors), 1) };
	}
	if (rank_causes(nodes, e->nr_nodes, edges, nr_edges, scores, nr))
		*nr = 0;
}

/* Does a chain of calls lead from @from to @to? Marks all that can reach @to. */
static void find_upstream(const struct evidence *e, uint32_t to, bool *upstream)
{
	bool moved = true;

	memset(upstream, 0, e->nr_nodes * sizeof(*upstream));
	upstream[to] = true;
	while (moved) {
		moved = false;
		for (size_t k = 0; k < e->nr_edges; k++) {
			const struct edge_evidence *x = &e->edges[k];
			if (x->from_outside || !upstream[x->server] || upstream[x->client])
				continue;
			upstream[x->client] = moved = true;
		}
	}
}

/* Whose every other request calls a server that answers nothing needs no evidence of its own. */
static bool depends_on(const struct evidence *e, uint32_t client, uint32_t root)
{
	if (!e->nodes[root].silent && !(e->nodes[root].gone > 0))
		return false;
	for (size_t k = 0; k < e->nr_edges; k++) {
		const struct edge_evidence *x = &e->edges[k];
		if (!x->from_outside && x->client == client && x->server == root &&
		    usual_known(&x->history->calls) && x->history->calls.mean >= .5)
			return true;
	}
	return false;
}

static void list_victims(const struct evidence *e, const bool *upstream, uint32_t root,
			 struct diagnosis *d)
{
	for (uint32_t i = 0; i < e->nr_nodes && d->nr_victims < DIAGNOSIS_VICTIMS_MAX; i++) {
		const struct node_evidence *n = &e->nodes[i];
		if (i == root || !n->history || !upstream[i] ||
		    (!n->alarmed && !(n->anomaly > 0) && !depends_on(e, i, root)))
			continue;
		d->victims[d->nr_victims].service = n->history->id;
		memcpy(d->victims[d->nr_victims++].name, n->history->name, SERVICE_NAME_MAX);
	}
}

static double confidence(const struct node_evidence *n, const struct rank_score *s)
{
	return s->score * (1 - exp(-n->self));
}

static void list_causes(const struct evidence *e, const struct rank_score *scores, size_t nr,
			struct diagnosis *d)
{
	for (size_t i = 0; i < nr && d->nr_causes < DIAGNOSIS_CAUSES_MAX; i++) {
		const struct node_evidence *n = &e->nodes[scores[i].node];
		/* Whose trouble is all accounted for by others is no cause. */
		if (!n->history || !(n->self > .05 * n->anomaly))
			continue;
		struct cause *c = &d->causes[d->nr_causes++];
		c->service = n->history->id;
		memcpy(c->name, n->history->name, sizeof(c->name));
		c->resource = n->resource;
		c->confidence = confidence(n, &scores[i]);
		evidence_reasons(e, scores[i].node, c);
	}
}

static bool mostly_own(const struct node_evidence *n)
{
	return n->self >= OWN_SHARE * n->anomaly;
}

/*
 * Two that are as ill, in the same way and by the same amount, with no call between them: one may well
 * wait for the other over a connection that was not seen. Likewise two that nobody calls any more: the
 * calls to one may only have come after the calls to the other.
 */
static bool look_alike(const struct node_evidence *a, const struct node_evidence *b)
{
	bool time = a->own_s > 0 && b->own_s > 0 &&
		fabs(a->own_s - b->own_s) <= .25 * fmax(a->own_s, b->own_s);
	bool errors = a->own_errors > 0 && b->own_errors > 0 &&
		fabs(a->own_errors - b->own_errors) <= .25 * fmax(a->own_errors, b->own_errors);
	bool gone = a->gone > 0 && b->gone > 0;
	return (gone || (a->own[TROUBLE_TIME] >= a->own[TROUBLE_ERRORS] ? time : errors)) &&
		b->self >= STRONG;
}

/* Are most of those who have work slower by themselves? */
static bool most_are_slow(const struct evidence *e)
{
	size_t busy = 0, slow = 0;

	for (size_t i = 0; i < e->nr_nodes; i++) {
		busy += e->nodes[i].history && e->nodes[i].now.requests > 0;
		slow += e->nodes[i].history && e->nodes[i].own_s > 0;
	}
	return 2 * slow >= busy;
}

/*
 * The load rose, nothing fails or stands still, and time is all that is lacking: nobody's fault,
 * unless one alone is slower by a second: load does not single one out so.
 */
static bool overloaded(const struct evidence *e, const struct node_evidence *top)
{
	return e->load >= SURGE && top->own[TROUBLE_ERRORS] < STRONG && !top->silent &&
		(top->resource == FAULT_CLASS_LATENCY || top->resource == FAULT_CLASS_CPU) &&
		(most_are_slow(e) || top->own_s < 1);
}

/*
 * Everybody's tasks wait for a CPU, and nobody's work has become more: the machine is short of it, and
 * who suffers most is not to blame.
 */
static bool crowded(const struct evidence *e, const struct node_evidence *top)
{
	size_t busy = 0, waiting = 0;

	if (top->silent || top->slow_cpu >= 2 || top->own_s >= 1 ||
	    (top->resource != FAULT_CLASS_LATENCY && top->resource != FAULT_CLASS_CPU))
		return false;
	for (size_t i = 0; i < e->nr_nodes; i++) {
		busy += e->nodes[i].history && e->nodes[i].now.requests > 0;
		waiting += e->nodes[i].history && e->nodes[i].slow_runq >= 4;
	}
	return waiting >= 2 && 2 * waiting >= busy;
}

static void decide(const struct evidence *e, const struct rank_score *scores, size_t nr,
		   struct diagnosis *d)
{
	const struct node_evidence *top = &e->nodes[scores[0].node];
	const struct node_evidence *next = nr > 1 ? &e->nodes[scores[1].node] : NULL;
	const char *name = top->history ? top->history->name : "the outside world";
	bool upstream[EVIDENCE_NODES_MAX];
	char time[24];

	find_upstream(e, scores[0].node, upstream);
	if (!top->history) {
		answer(d, false,
		       "what is waited for lies outside: calls that leave take %s more than usual",
		       evidence_time(top->more_s, time));
		return;
	}
	if (overloaded(e, top)) {
		answer(d, false,
		       "load from outside rose %.1f times, from %.1f to %.1f requests/s: slower under load, nobody is at fault",
		       e->load, e->load_usual, e->load_rate);
		return;
	}
	if (crowded(e, top)) {
		answer(d, false,
		       "the machine is short of CPU: tasks of %.40s and others wait for it %.0f times as long as usual",
		       name, top->slow_runq);
		return;
	}
	if (top->self < STRONG) {
		answer(d, false,
		       "the evidence is thin: most of %.40s's trouble is too small to tell from chance",
		       name);
		return;
	}
	if (top->unsure && top->resource == FAULT_CLASS_ERRORS) {
		answer(d, false,
		       "%.40s fails, and calls that it usually makes are missing: by itself, or because one cannot be reached",
		       name);
		return;
	}
	bool clear = !next || scores[0].score >= MARGIN * scores[1].score ||
		scores[0].self >= 2 * scores[1].self;
	if (next && next->history && look_alike(top, next) && !upstream[scores[1].node]) {
		answer(d, false,
		       "%.40s and %.40s are ill in the same way, and no call between them is seen",
		       name, next->history->name);
		return;
	}
	if (!clear && !(mostly_own(top) && (!next || mostly_own(next)))) {
		answer(d, false, "%.40s and %.40s cannot be told apart (%.2f against %.2f)", name,
		       next->history ? next->history->name : "the outside world", scores[0].score,
		       scores[1].score);
		return;
	}
	list_victims(e, upstream, scores[0].node, d);
	answer(d, true, "%.40s is the cause (%s, confidence %.2f); %zu suffer from it", name,
	       fault_class_name(top->resource), confidence(top, &scores[0]), d->nr_victims);
}

void diagnoser_run(const struct diagnoser *g, struct diagnosis *ret)
{
	struct rank_score scores[EVIDENCE_NODES_MAX];
	struct evidence *e = g->evidence;
	uint64_t onset_ns;
	size_t nr = 0;

	memset(ret, 0, sizeof(*ret));
	ret->at_ns = g->history.at_ns;
	if (!find_onset(g, &onset_ns)) {
		answer(ret, false, "nothing is anomalous");
		return;
	}
	/* The detector gathers errors of a quiet service for ten seconds: look as far where less says nothing. */
	size_t slots = history_since(&g->history, onset_ns, LOOK_BACK_SLOTS);
	for (size_t more = 0; !nr && more <= 10; more += 10) {
		evidence_take(&g->history, g->verdicts, g->nr_verdicts, slots + more, e);
		rank(e, scores, &nr);
	}
	if (!nr) {
		answer(ret, false,
		       "what is anomalous takes no longer and fails no more often than usual");
		return;
	}
	list_causes(e, scores, nr, ret);
	decide(e, scores, nr, ret);
}
