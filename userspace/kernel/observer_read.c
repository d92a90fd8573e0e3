// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counters only grow, in the kernel and per CPU; a tick is the difference of
 * their sums to the read before. 32-bit counts wrap: differences are taken
 * modulo 2^32, which is exact for a tick of less than 4 billion requests.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "kernel/observer_internal.h"
#include "skel/observe_request.skel.h"

#define FLIGHTS_MAX 65536
#define EDGES_MAX 2048

int observer_map_each(int fd, void *key, void *next, size_t key_size, void *values,
		      bool (*cb)(void *ctx, const void *key, const void *values), void *ctx)
{
	int err = bpf_map_get_next_key(fd, NULL, next);

	while (!err) {
		memcpy(key, next, key_size);
		/* The next key first: deleting one would start the walk anew. */
		err = bpf_map_get_next_key(fd, key, next);
		if (bpf_map_lookup_elem(fd, key, values) == 0 && cb(ctx, key, values))
			bpf_map_delete_elem(fd, key);
	}
	return err == -ENOENT ? 0 : err;
}

/* ---- series */

static void sum_cpus(const struct abi_series *cpus, int nr, struct abi_series *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (int c = 0; c < nr; c++) {
		const struct abi_series *v = &cpus[c];

		sum->requests += v->requests;
		sum->untimed += v->untimed;
		sum->duration_ns += v->duration_ns;
		sum->ttfb_ns += v->ttfb_ns;
		sum->rx_bytes += v->rx_bytes;
		sum->tx_bytes += v->tx_bytes;
		sum->aborted += v->aborted;
		sum->unparsed += v->unparsed;
		for (int i = 0; i < ABI_HIST_BUCKETS; i++) {
			sum->duration[i] += v->duration[i];
			sum->ttfb[i] += v->ttfb[i];
		}
	}
}

static void advance(struct series_node *n, const struct abi_series *now)
{
	struct abi_series *d = &n->delta;
	struct observer_series *t = &n->total;

	/* Deltas add up until a tick has taken them: a read that fails half-way loses nothing. */
#define ADVANCE(field, total)                                              \
	do {                                                               \
		__typeof__(d->field) more_ = now->field - n->before.field; \
		d->field += more_;                                         \
		t->total += more_;                                         \
	} while (0)
	ADVANCE(requests, requests);
	ADVANCE(untimed, untimed);
	ADVANCE(duration_ns, duration_ns);
	ADVANCE(ttfb_ns, ttfb_ns);
	ADVANCE(rx_bytes, rx_bytes);
	ADVANCE(tx_bytes, tx_bytes);
	ADVANCE(aborted, aborted);
	ADVANCE(unparsed, unparsed);
	for (int i = 0; i < ABI_HIST_BUCKETS; i++) {
		ADVANCE(duration[i], duration.n[i]);
		ADVANCE(ttfb[i], ttfb.n[i]);
	}
#undef ADVANCE
	n->before = *now;
}

static bool is_known(const struct observer *o, uint32_t id)
{
	const struct watched *w;

	if (id == ABI_SERIES_OTHER)
		return true;
	HASH_FIND(hh, o->services, &id, sizeof(id), w);
	return w;
}

static bool on_series(void *ctx, const void *key, const void *values)
{
	struct observer *o = ctx;
	const struct abi_series_key *k = key;
	struct abi_series now;
	struct series_node *n;

	HASH_FIND(hh, o->series, k, sizeof(*k), n);
	/* Services that were dropped, at both ends: their numbers are nobody's any more. */
	if (!is_known(o, k->server) && !is_known(o, k->client)) {
		if (n)
			HASH_DEL(o->series, n);
		free(n);
		return true;
	}
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return false;
		n->key = n->total.key = *k;
		HASH_ADD(hh, o->series, key, sizeof(n->key), n);
	}
	sum_cpus(values, o->nr_cpus, &now);
	advance(n, &now);
	return false;
}

static int read_series(struct observer *o)
{
	struct abi_series_key key, next;

	return observer_map_each(bpf_map__fd(o->request->maps.series), &key, &next, sizeof(key),
				 o->values, on_series, o);
}

/* ---- requests in flight */

static int add_flights(struct observer *o, const struct abi_flight *f, size_t nr)
{
	if (o->nr_flights + nr > o->cap_flights) {
		size_t cap = MIN(MAX((o->nr_flights + nr) * 2, (size_t)256), (size_t)FLIGHTS_MAX);
		struct abi_flight *more = realloc(o->flights, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		o->flights = more;
		o->cap_flights = cap;
	}
	nr = MIN(nr, o->cap_flights - o->nr_flights);
	memcpy(o->flights + o->nr_flights, f, nr * sizeof(*f));
	o->nr_flights += nr;
	return 0;
}

static int read_flights(struct observer *o)
{
	struct abi_flight part[256];

	o->nr_flights = 0;
	if (!o->flight)
		return 0;
	CLEANUP(closep) int fd = bpf_iter_create(bpf_link__fd(o->flight));
	if (fd < 0)
		return -errno;
	for (;;) {
		/* Records are written whole: a read ends between two. */
		ssize_t len = read(fd, part, sizeof(part));
		if (len < 0 && errno == EAGAIN)
			continue;
		if (len <= 0)
			return len < 0 ? -errno : 0;
		int err = add_flights(o, part, (size_t)len / sizeof(*part));
		if (err)
			return err;
	}
}

/* ---- the tick */

static struct service_sample *find_sample(struct tick *t, uint32_t id)
{
	for (size_t i = 0; i < t->nr_services; i++)
		if (t->services[i].id == id)
			return &t->services[i];
	return NULL;
}

/* NULL: more edges than a tick may have, or no memory. */
static struct edge_sample *find_edge(struct tick *t, uint32_t client, uint32_t server)
{
	for (size_t i = 0; i < t->nr_edges; i++)
		if (t->edges[i].client == client && t->edges[i].server == server)
			return &t->edges[i];
	if (t->nr_edges == EDGES_MAX)
		return NULL;
	if (!(t->nr_edges & (t->nr_edges - 1))) {
		size_t cap = t->nr_edges ? t->nr_edges * 2 : 1;
		struct edge_sample *more = realloc(t->edges, cap * sizeof(*more));
		if (!more)
			return NULL;
		t->edges = more;
	}
	t->edges[t->nr_edges] = (struct edge_sample){ .client = client, .server = server };
	return &t->edges[t->nr_edges++];
}

static void add_hist(struct hist *to, const __u32 *from)
{
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		to->n[i] += from[i];
}

static void add_server(struct observer *o, struct tick *t, const struct series_node *n)
{
	const struct abi_series *d = &n->delta;
	struct service_sample *s = find_sample(t, n->key.server);
	struct edge_sample *e = find_edge(t, n->key.client, n->key.server);
	struct watched *w;
	uint32_t id = n->key.server;
	size_t class = n->key.status / 100;

	HASH_FIND(hh, o->services, &id, sizeof(id), w);
	if (w)
		w->served += d->requests;
	if (s) {
		s->requests += d->requests;
		s->status_class[class <= 5 ? class : 0] += d->requests;
		add_hist(&s->duration, d->duration);
		add_hist(&s->ttfb, d->ttfb);
		s->duration_ns += d->duration_ns;
		s->ttfb_ns += d->ttfb_ns;
		s->rx_bytes += d->rx_bytes;
		s->tx_bytes += d->tx_bytes;
		s->aborted += d->aborted;
		s->unparsed += d->unparsed;
	}
	if (e) {
		e->server_requests += d->requests;
		e->server_failed += class == 5 ? d->requests : 0;
		add_hist(&e->server_duration, d->duration);
		e->server_duration_ns += d->duration_ns;
	}
}

static void add_client(struct tick *t, const struct series_node *n)
{
	const struct abi_series *d = &n->delta;
	struct edge_sample *e = find_edge(t, n->key.client, n->key.server);

	if (!e)
		return;
	e->client_requests += d->requests;
	e->client_failed += n->key.status / 100 == 5 ? d->requests : 0;
	add_hist(&e->client_duration, d->duration);
	e->client_duration_ns += d->duration_ns;
	e->client_aborted += d->aborted;
}

/* The overflow series is nobody's: it is in the totals and no edge. */
static void add_series(struct observer *o, struct tick *t, struct series_node *n)
{
	struct abi_series *d = &n->delta;

	if (!d->requests && !d->aborted && !d->unparsed)
		return;
	o->finished += d->requests;
	if (n->key.server != ABI_SERIES_OTHER) {
		if (n->key.side == ABI_SIDE_SERVER)
			add_server(o, t, n);
		else
			add_client(t, n);
	}
	memset(d, 0, sizeof(*d));
}

static void add_flight(struct tick *t, const struct abi_flight *f)
{
	uint64_t age = f->oldest_ns && t->at_ns > f->oldest_ns ? t->at_ns - f->oldest_ns : 0;

	if (f->side == ABI_SIDE_SERVER) {
		struct service_sample *s = find_sample(t, f->server);
		if (!s)
			return;
		s->in_flight += f->requests;
		s->oldest_ns = MAX(s->oldest_ns, age);
	} else {
		struct edge_sample *e = find_edge(t, f->client, f->server);
		if (!e)
			return;
		e->client_in_flight += f->requests;
		e->client_oldest_ns = MAX(e->client_oldest_ns, age);
	}
}

/*
 * A status counts as the client got it: what was changed on the way is known at
 * the client's end only. The two ends of a request may fall into two ticks.
 */
static void count_changed(struct tick *t)
{
	static const uint8_t taken_from[] = { 2, 4, 3, 1, 0 };

	for (size_t i = 0; i < t->nr_edges; i++) {
		const struct edge_sample *e = &t->edges[i];
		struct service_sample *s = find_sample(t, e->server);

		if (!s || e->client_failed <= e->server_failed)
			continue;
		uint64_t left = e->client_failed - e->server_failed;
		for (size_t k = 0; k < ARRAY_SIZE(taken_from); k++) {
			uint64_t *from = &s->status_class[taken_from[k]];
			uint64_t n = MIN(left, *from);

			*from -= n;
			left -= n;
			s->status_class[5] += n;
		}
	}
}

static int list_services(struct observer *o, const struct registry *services, struct tick *t)
{
	size_t nr = registry_count(services);

	t->services = calloc(nr ?: 1, sizeof(*t->services));
	if (!t->services)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		const struct service *s = registry_at(services, i);
		struct service_sample *to = &t->services[t->nr_services++];
		const struct tasks_node *n = observer_tasks_find(o, s->id);

		to->id = s->id;
		memcpy(to->name, s->name, sizeof(to->name));
		if (!n)
			continue;
		to->cpu_ns = n->cpu_ns_delta;
		to->runq_ns = n->runq_ns_delta;
		add_hist(&to->runq, n->runq_delta);
	}
	return 0;
}

/* A parked request whose socket showed up needs no more looking for: bare ACKs are cheap again. */
static void clear_hint(struct observer *o)
{
	uint64_t parked = o->request->bss->stats.listener_parked;

	if (parked == o->parked_before)
		__atomic_store_n(&o->request->bss->parked_hint, 0, __ATOMIC_RELAXED);
	o->parked_before = parked;
}

int observer_read(struct observer *o, uint64_t now_ns, const struct registry *services,
		  struct tick *ret)
{
	CLEANUP(tick_release) struct tick t = { .at_ns = now_ns };
	int err = read_series(o);

	err = err ?: observer_tasks_read(o);
	err = err ?: read_flights(o);
	err = err ?: list_services(o, services, &t);
	if (err)
		return err;

	for (struct series_node *n = o->series; n; n = n->hh.next)
		add_series(o, &t, n);
	count_changed(&t);
	observer_tasks_taken(o);
	for (size_t i = 0; i < o->nr_flights; i++)
		add_flight(&t, &o->flights[i]);
	clear_hint(o);
	t.span_ns = o->last_read_ns ? now_ns - o->last_read_ns : 0;
	o->last_read_ns = now_ns;
	*ret = t;
	t = (struct tick){ 0 };
	return 0;
}

void observer_series(const struct observer *o,
		     void (*cb)(void *ctx, const struct observer_series *s), void *ctx)
{
	for (const struct series_node *n = o->series; n; n = n->hh.next)
		cb(ctx, &n->total);
}
