// SPDX-License-Identifier: GPL-2.0-or-later
#include "synth.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define START_NS (1000 * NSEC_PER_SEC)

void synth_demo(struct synth *s, uint64_t seed)
{
	*s = (struct synth){
		.services = {
			{ .name = "auth", .own_ms = 1.2, .cpu_ms = .4, .outside_per_s = 2, .slow_share = .7, .slow_ms = 60 },
			{ .name = "db", .own_ms = .4, .cpu_ms = .2 },
			{ .name = "product", .own_ms = .9, .cpu_ms = .4, .outside_per_s = 20,
			  .calls = { { 0, 1, false }, { 1, 1, false } }, .nr_calls = 2 },
			{ .name = "payment", .own_ms = 1.1, .cpu_ms = .5, .outside_per_s = 6,
			  .calls = { { 0, 1, false }, { 1, 1, false }, { 1, .5, false } }, .nr_calls = 3 },
		},
		.nr_services = 4,
		.now_ns = START_NS,
		.tick_ns = 100 * NSEC_PER_MSEC,
		.timeout_ns = 8 * NSEC_PER_SEC,
		.load = 1,
		.swing = .2,
	};
	random_seed(&s->random, seed);
}

void synth_release(struct synth *s)
{
	free(s->spans);
	*s = (struct synth){ 0 };
}

static double gauss(struct random *r)
{
	double u = 1 - random_unit(r), v = random_unit(r);
	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static uint64_t ms(double v)
{
	return (uint64_t)(v * 1e6);
}

static struct synth_span *new_span(struct synth *s)
{
	if (s->nr_spans == s->cap_spans) {
		s->cap_spans = s->cap_spans ? s->cap_spans * 2 : 1024;
		s->spans = realloc(s->spans, s->cap_spans * sizeof(*s->spans));
		assert(s->spans);
	}
	return &s->spans[s->nr_spans++];
}

struct answer {
	uint64_t at_ns;
	bool failed;
};

static struct answer request(struct synth *s, uint32_t client, uint32_t server, uint64_t at,
			     bool slow, bool unseen);

/* The calls of one request, one after the other; returns when the last answer is in. */
static struct answer call_others(struct synth *s, uint32_t id, uint64_t at)
{
	const struct synth_service *v = synth_of(s, id);
	struct answer a = { at, false };

	for (size_t i = 0; i < v->nr_calls && !a.failed; i++) {
		struct synth_call c = v->calls[i];
		if (random_unit(&s->random) < c.probability)
			a = request(s, id, (uint32_t)c.to + 1, a.at_ns, false, c.unseen);
	}
	return a;
}

/* The worker that is free first; NULL where there are as many as it takes. */
static uint64_t *pick_worker(struct synth_service *v)
{
	uint64_t *ret = NULL;

	for (size_t i = 0; i < v->workers; i++)
		if (!ret || v->free_ns[i] < *ret)
			ret = &v->free_ns[i];
	return ret;
}

static struct answer request(struct synth *s, uint32_t client, uint32_t server, uint64_t at,
			     bool slow, bool unseen)
{
	const struct synth_service *v = synth_of(s, server);
	double own = (slow ? v->slow_ms : v->own_ms) * exp(.25 * gauss(&s->random)) *
		(v->cpu_factor ?: 1);
	bool error = random_unit(&s->random) < v->error_share;

	own *= (1 + s->contention * fmax(s->load - 1, 0)) * (s->crowded ?: 1);
	if (v->dead)
		return (struct answer){ at + ms(.2), true };
	if (random_unit(&s->random) < .002)
		own += 8; /* a pause */

	uint64_t *worker = pick_worker(synth_of(s, server)), begin = worker ? MAX(at, *worker) : at;
	bool stuck = v->stopped || begin == SYNTH_FOREVER;
	struct answer inner = stuck ? (struct answer){ SYNTH_FOREVER, false } :
				      call_others(s, server, begin + ms(own / 2));
	uint64_t end = SYNTH_FOREVER;
	if (inner.at_ns != SYNTH_FOREVER) {
		bool hit = !v->extra_share || random_unit(&s->random) < v->extra_share;
		end = inner.at_ns + ms(own / 2 + (hit ? v->extra_ms : 0));
	}
	uint64_t client_end = end == SYNTH_FOREVER ?
		end :
		end + ms(.05 + v->network_ms * exp(.2 * gauss(&s->random)));
	if (worker)
		*worker = end;
	bool given_up = client_end > at + s->timeout_ns;
	if (given_up)
		client_end = at + s->timeout_ns;

	bool failed = error || inner.failed;
	*new_span(s) = (struct synth_span){
		.client = client,
		.server = server,
		.start_ns = at,
		.end_ns = end,
		.client_end_ns = client_end,
		.failed = failed,
		.given_up = given_up,
		.unseen = unseen,
	};
	return (struct answer){ client_end, failed || given_up };
}

static void ask(struct synth *s, uint32_t id, uint64_t at, struct answer *ret)
{
	*ret = request(s, 0, id, at, random_unit(&s->random) < synth_of(s, id)->slow_share, false);
}

/* Users in a loop: each asks a service chosen by its rate, waits for the answer, and thinks. */
static void users(struct synth *s)
{
	double all = 0;

	for (uint32_t id = 1; id <= s->nr_services; id++)
		all += synth_of(s, id)->outside_per_s * s->load;
	for (size_t i = 0; i < s->users; i++) {
		uint64_t *next = &s->user_next_ns[i];
		*next = MAX(*next, s->now_ns);
		while (*next < s->now_ns + s->tick_ns) {
			double pick = random_unit(&s->random) * all / s->load;
			struct answer a = { 0 };
			uint32_t id = 1;
			while (id < s->nr_services && (pick -= synth_of(s, id)->outside_per_s) >= 0)
				id++;
			ask(s, id, *next, &a);
			*next = a.at_ns -
				(uint64_t)(log(1 - random_unit(&s->random)) * 1e9 *
					   (double)s->users / all);
		}
	}
}

/* Requests that come from outside in (@from, @from + @span), at random. */
static void strangers(struct synth *s, uint64_t from, uint64_t span)
{
	double span_s = (double)span / 1e9;
	double swing = 1 + s->swing * sin((double)from / 1e9 * 2 * M_PI / 300);

	for (uint32_t id = 1; id <= s->nr_services; id++) {
		double rate = synth_of(s, id)->outside_per_s * s->load * swing, at = 0;
		if (!(rate > 0))
			continue;
		while ((at -= log(1 - random_unit(&s->random)) / rate) < span_s)
			ask(s, id, from + (uint64_t)(at * 1e9), &(struct answer){ 0 });
	}
}

/* In small steps, so that all services' requests come nearly in the order of time. */
static void arrivals(struct synth *s)
{
	const uint64_t step = 10 * NSEC_PER_MSEC;

	if (s->users) {
		users(s);
		return;
	}
	for (uint64_t done = 0; done < s->tick_ns; done += step)
		strangers(s, s->now_ns + done, MIN(step, s->tick_ns - done));
}

/* ---- counting */

static void count(struct hist *h, uint64_t ns)
{
	size_t i = 0;

	while (i < ABI_HIST_BUCKETS - 1 && hist_upper_ns(i) < ns)
		i++;
	h->n[i]++;
}

static struct edge_sample *edge_for(struct tick *t, const struct synth_span *p)
{
	uint32_t client = p->unseen ? 0 : p->client;

	for (size_t i = 0; i < t->nr_edges; i++)
		if (t->edges[i].client == client && t->edges[i].server == p->server)
			return &t->edges[i];
	t->edges[t->nr_edges] = (struct edge_sample){ .client = client, .server = p->server };
	return &t->edges[t->nr_edges++];
}

static void count_server(struct synth *s, struct tick *t, struct synth_span *p)
{
	struct service_sample *v = &t->services[p->server - 1];
	struct edge_sample *e = edge_for(t, p);
	const struct synth_service *of = synth_of(s, p->server);
	uint64_t took = p->end_ns - p->start_ns;
	bool slow = of->slow_ms > 0 && took > ms(of->slow_ms / 2) && !p->client;

	p->server_done = true;
	v->cpu_ns += ms((slow ? of->slow_ms * .9 : of->cpu_ms * exp(.1 * gauss(&s->random))) *
			(of->cpu_factor ?: 1));
	for (int i = 0; i < 2; i++) {
		uint64_t wait =
			ms(.02 * exp(.5 * gauss(&s->random)) * (of->cpu_factor > 1 ? 50 : 1) *
			   (s->crowded > 1 ? 50 : 1) * (s->waits ?: 1));
		count(&v->runq, wait);
		v->runq_ns += wait;
	}
	if (p->given_up) {
		v->aborted++;
		return;
	}
	v->requests++;
	v->status_class[p->failed ? 5 : 2]++;
	count(&v->duration, took);
	count(&v->ttfb, took);
	v->duration_ns += took;
	v->ttfb_ns += took;
	v->rx_bytes += 200;
	v->tx_bytes += 400;
	e->server_requests++;
	e->server_failed += p->failed;
	e->server_duration_ns += took;
	count(&e->server_duration, took);
}

/* The client's end is seen where the client is one of ours. */
static void count_client(struct tick *t, struct synth_span *p)
{
	struct edge_sample *e = edge_for(t, p);
	uint64_t took = p->client_end_ns - p->start_ns;

	p->client_done = true;
	if (!p->client || p->unseen)
		return;
	if (p->given_up) {
		e->client_aborted++;
		return;
	}
	e->client_requests++;
	e->client_failed += p->failed;
	e->client_duration_ns += took;
	count(&e->client_duration, took);
}

static void gauge(struct tick *t, const struct synth_span *p)
{
	struct service_sample *v = &t->services[p->server - 1];
	uint64_t age = t->at_ns - p->start_ns;

	if (!p->server_done) {
		v->in_flight++;
		v->oldest_ns = MAX(v->oldest_ns, age);
	}
	if (!p->client_done && p->client && !p->unseen) {
		struct edge_sample *e = edge_for(t, p);
		e->client_in_flight++;
		e->client_oldest_ns = MAX(e->client_oldest_ns, age);
	}
}

void synth_tick(struct synth *s, struct tick *ret)
{
	arrivals(s);
	s->now_ns += s->tick_ns;
	*ret = (struct tick){ .at_ns = s->now_ns,
			      .span_ns = s->tick_ns,
			      .nr_services = s->nr_services };
	ret->services = calloc(s->nr_services, sizeof(*ret->services));
	ret->edges = calloc((SYNTH_SERVICES + 1) * SYNTH_SERVICES, sizeof(*ret->edges));
	assert(ret->services && ret->edges);
	for (size_t i = 0; i < s->nr_services; i++) {
		ret->services[i].id = (uint32_t)i + 1;
		snprintf(ret->services[i].name, sizeof(ret->services[i].name), "%s",
			 s->services[i].name);
	}

	size_t kept = 0;
	for (size_t i = 0; i < s->nr_spans; i++) {
		struct synth_span *p = &s->spans[i];
		if (!p->server_done && p->end_ns <= s->now_ns)
			count_server(s, ret, p);
		if (!p->client_done && p->client_end_ns <= s->now_ns)
			count_client(ret, p);
		if (p->start_ns <= s->now_ns)
			gauge(ret, p);
		if (!p->server_done || !p->client_done)
			s->spans[kept++] = *p;
	}
	s->nr_spans = kept;
}

void synth_continue(struct synth *s, uint32_t id, bool lost)
{
	struct synth_service *v = synth_of(s, id);

	v->stopped = false;
	for (size_t i = 0; i < v->workers; i++)
		v->free_ns[i] = s->now_ns;
	for (size_t i = 0; i < s->nr_spans; i++) {
		struct synth_span *p = &s->spans[i];
		if (p->server != id || p->end_ns != SYNTH_FOREVER)
			continue;
		p->end_ns = s->now_ns + 1;
		p->given_up |= lost;
		if (!p->client_done)
			p->client_end_ns = MIN(p->client_end_ns, p->end_ns);
	}
}
