// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Evidence in sentences, with figures and units. What is not evidence is not said.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "diagnose/evidence.h"

const char *evidence_time(double s, char text[static 24])
{
	if (isnan(s))
		snprintf(text, 24, "nothing");
	else if (s >= 1)
		snprintf(text, 24, "%.2f s", s);
	else
		snprintf(text, 24, s >= .01 ? "%.0f ms" : "%.1f ms", s * 1e3);
	return text;
}

static void say(struct cause *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(struct cause *c, const char *fmt, ...)
{
	va_list ap;

	if (c->nr_reasons == DIAGNOSIS_REASONS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(c->reasons[c->nr_reasons++], sizeof(c->reasons[0]), fmt, ap);
	va_end(ap);
}

/* Names may be 63 bytes long: two of them and figures fit into a reason. */
#define NAME "%.40s"

static const char *name_of(const struct evidence *e, uint32_t i)
{
	return e->nodes[i].history ? e->nodes[i].history->name : "the outside world";
}

static void say_time(const struct node_evidence *n, const char *name, struct cause *c)
{
	char now[24], usual[24], own[24];
	const struct usual *u = &n->history->time_s;

	if (!(n->own[TROUBLE_TIME] > 0))
		return;
	evidence_time(n->now.time_s, now);
	if (n->silent)
		say(c, NAME ": %.0f in flight, the oldest for %s, none finished for %.0f s", name,
		    n->now.in_flight, evidence_time(n->now.oldest_s, own), n->now.quiet_s);
	else if (usual_known(u))
		say(c, NAME ": a request takes %s, normally %s; %s of that is its own", name, now,
		    evidence_time(u->mean, usual), evidence_time(n->own_s, own));
	else
		say(c, NAME ": a request takes %s; %s of that is its own", name, now,
		    evidence_time(n->own_s, own));
	if (n->slow_cpu >= 2)
		say(c, NAME ": %s of CPU a request, normally %s", name,
		    evidence_time(n->now.cpu_s, now), evidence_time(n->history->cpu_s.mean, usual));
	if (n->slow_runq >= 4)
		say(c, NAME ": its tasks wait %s for a CPU, normally %s", name,
		    evidence_time(n->now.runq_s, now),
		    evidence_time(n->history->runq_s.mean, usual));
}

static void say_errors(const struct node_evidence *n, const char *name, struct cause *c)
{
	if (n->own[TROUBLE_ERRORS] > 0)
		say(c,
		    NAME
		    ": %.0f of %.0f requests failed (normally %.2g %%), %.0f %% of them by itself",
		    name, n->now.errors * n->now.finished, n->now.finished,
		    n->history->errors.mean * 100, 100 * n->own_errors / n->more_errors);
}

static bool slower(const struct edge_evidence *x)
{
	double usual = x->history->time_s.mean;

	return x->now.time_s >= 1.3 * usual && x->now.time_s >= usual + .005;
}

static void say_callers(const struct evidence *e, size_t i, struct cause *c)
{
	const struct node_evidence *n = &e->nodes[i];
	char now[24], usual[24];

	for (size_t k = 0; k < e->nr_edges; k++) {
		const struct edge_evidence *x = &e->edges[k];
		if (x->from_outside || x->server != i)
			continue;
		const char *client = name_of(e, x->client);
		evidence_time(x->now.time_s, now);
		evidence_time(x->history->time_s.mean, usual);
		if (x->vanished && n->gone > 0)
			say(c,
			    NAME
			    " makes no calls to it any more (normally %.1f a request) and %.0f %% of its requests fail",
			    client, x->history->calls.mean, 100 * e->nodes[x->client].now.errors);
		else if (x->now.aborted > 0)
			say(c, "%.0f of %.0f calls from " NAME " were given up unanswered",
			    x->now.aborted, x->now.calls, client);
		else if (x->network_s > 0 && n->network_s > 0)
			say(c, NAME " sees %s between its end and the server's, normally %s",
			    client, evidence_time(x->now.network_s, now),
			    evidence_time(fmax(x->history->network_s.mean, 0), usual));
		else if (x->now.in_flight > 0 && x->now.oldest_s >= 1)
			say(c, "%.0f of %.0f calls from " NAME " wait for it, the oldest for %s",
			    x->now.in_flight, x->now.calls, client,
			    evidence_time(x->now.oldest_s, now));
		else if (x->now.slow > 0 && slower(x))
			say(c, "%.0f of %.0f calls from " NAME " waited for it: %s, normally %s",
			    x->now.slow, x->now.calls, client, now, usual);
		else if (x->more_errors > 0)
			say(c, "%.0f of %.0f calls from " NAME " failed", x->now.failed,
			    x->now.calls, client);
	}
}

static void say_onset(const struct node_evidence *n, const char *name, struct cause *c)
{
	if (!isnan(n->onset_s))
		say(c, NAME ": unlike itself for %.1f s", name, -n->onset_s);
}

void evidence_reasons(const struct evidence *e, size_t i, struct cause *c)
{
	const struct node_evidence *n = &e->nodes[i];
	const char *name = name_of(e, (uint32_t)i);

	c->nr_reasons = 0;
	if (n->history) {
		say_time(n, name, c);
		say_errors(n, name, c);
	}
	say_callers(e, i, c);
	say_onset(n, name, c);
}
