// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/recent.h"

#include <errno.h>

#include "base/util.h"

struct total {
	uint32_t id;
	uint64_t requests;
};

struct recent {
	uint64_t window_ns;
	struct tick ticks[RECENT_TICKS_MAX]; /* a ring: oldest at first */
	size_t first, nr;
	struct total totals[SERVICE_MAX];
	size_t nr_totals;
};

int recent_new(uint64_t window_ns, struct recent **ret)
{
	struct recent *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->window_ns = window_ns;
	*ret = r;
	return 0;
}

static void drop_oldest(struct recent *r)
{
	tick_release(&r->ticks[r->first]);
	r->first = (r->first + 1) % RECENT_TICKS_MAX;
	r->nr--;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	while (r->nr)
		drop_oldest(r);
	free(r);
}

static const struct tick *tick_at(const struct recent *r, size_t i)
{
	return &r->ticks[(r->first + i) % RECENT_TICKS_MAX];
}

static struct total *find_total(struct recent *r, uint32_t id)
{
	for (size_t i = 0; i < r->nr_totals; i++)
		if (r->totals[i].id == id)
			return &r->totals[i];
	return NULL;
}

static void count(struct recent *r, const struct service_sample *s)
{
	struct total *t = find_total(r, s->id);

	if (!t && r->nr_totals < SERVICE_MAX) {
		t = &r->totals[r->nr_totals++];
		*t = (struct total){ .id = s->id };
	}
	if (t)
		t->requests += s->requests;
}

void recent_push(struct recent *r, struct tick *t)
{
	while (r->nr &&
	       (r->nr == RECENT_TICKS_MAX || t->at_ns - tick_at(r, 0)->at_ns >= r->window_ns))
		drop_oldest(r);
	for (size_t i = 0; i < t->nr_services; i++)
		count(r, &t->services[i]);
	r->ticks[(r->first + r->nr++) % RECENT_TICKS_MAX] = *t;
	*t = (struct tick){ 0 };
}

const struct tick *recent_newest(const struct recent *r)
{
	return r->nr ? tick_at(r, r->nr - 1) : NULL;
}

static void add_service(struct service_sample *to, const struct service_sample *s)
{
	to->requests += s->requests;
	for (size_t i = 0; i < ARRAY_SIZE(to->status_class); i++)
		to->status_class[i] += s->status_class[i];
	hist_add(&to->ttfb, &s->ttfb);
	hist_add(&to->duration, &s->duration);
	hist_add(&to->runq, &s->runq);
	to->ttfb_ns += s->ttfb_ns;
	to->duration_ns += s->duration_ns;
	to->rx_bytes += s->rx_bytes;
	to->tx_bytes += s->tx_bytes;
	to->aborted += s->aborted;
	to->unparsed += s->unparsed;
	to->cpu_ns += s->cpu_ns;
	to->runq_ns += s->runq_ns;
	to->in_flight = s->in_flight;
	to->oldest_ns = s->oldest_ns;
}

void recent_service(const struct recent *r, uint32_t id, struct recent_service *ret)
{
	*ret = (struct recent_service){ .sum.id = id };
	for (size_t i = 0; i < r->nr; i++) {
		const struct tick *t = tick_at(r, i);
		const struct service_sample *s = tick_service(t, id);

		if (!s)
			continue;
		ret->span_s += (double)t->span_ns / 1e9;
		add_service(&ret->sum, s);
		for (size_t k = 0; k < t->nr_edges; k++)
			if (t->edges[k].client == id)
				ret->callee_ns += t->edges[k].client_duration_ns;
	}
}

static void add_edge(struct edge_sample *to, const struct edge_sample *e)
{
	to->server_requests += e->server_requests;
	to->server_failed += e->server_failed;
	hist_add(&to->server_duration, &e->server_duration);
	to->server_duration_ns += e->server_duration_ns;
	to->client_requests += e->client_requests;
	to->client_failed += e->client_failed;
	hist_add(&to->client_duration, &e->client_duration);
	to->client_duration_ns += e->client_duration_ns;
	to->client_aborted += e->client_aborted;
	to->client_in_flight = e->client_in_flight;
	to->client_oldest_ns = e->client_oldest_ns;
}

size_t recent_edges(const struct recent *r, struct edge_sample *ret, size_t max, double *span_s)
{
	size_t nr = 0;

	*span_s = 0;
	for (size_t i = 0; i < r->nr; i++) {
		const struct tick *t = tick_at(r, i);

		*span_s += (double)t->span_ns / 1e9;
		for (size_t k = 0; k < t->nr_edges; k++) {
			const struct edge_sample *e = &t->edges[k];
			size_t at = 0;

			while (at < nr &&
			       (ret[at].client != e->client || ret[at].server != e->server))
				at++;
			if (at == nr && nr == max)
				continue;
			if (at == nr)
				ret[nr++] = (struct edge_sample){ .client = e->client,
								  .server = e->server };
			add_edge(&ret[at], e);
		}
	}
	return nr;
}

uint64_t recent_total(const struct recent *r, uint32_t id)
{
	for (size_t i = 0; i < r->nr_totals; i++)
		if (r->totals[i].id == id)
			return r->totals[i].requests;
	return 0;
}

void recent_forget(struct recent *r, uint32_t id)
{
	struct total *t = find_total(r, id);

	if (t)
		*t = r->totals[--r->nr_totals];
}
