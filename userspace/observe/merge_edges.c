// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Edges of many nodes into one graph.
 *
 * First those whose ends are both known by name: calls within a node, and the client's
 * end of calls across. Then the server's end of calls across, which knows the client's
 * node only: it is shared out over that node's services that call this server.
 */
#include <errno.h>
#include <string.h>

#include "observe/merge_internal.h"

/* An end of an edge: a service's id, 0 for nobody we know; or somebody on a node. */
struct end {
	uint32_t id;
	const char *node; /* NULL: id counts */
};

static struct end resolve(struct merge *m, const struct wire_sample *s, uint32_t id)
{
	const struct service_sample *local = id < WIRE_PEER ? tick_service(&s->tick, id) : NULL;
	const struct known_service *k = local ? merge_find(m, s->node, local->name) : NULL;

	for (size_t i = 0; id >= WIRE_PEER && i < s->nr_peers; i++) {
		const struct wire_peer *p = &s->peers[i];
		if (p->id != id)
			continue;
		if (!*p->service)
			return (struct end){ .node = p->node };
		k = merge_find(m, p->node, p->service);
	}
	return (struct end){ .id = k ? k->s.id : 0 };
}

static struct edge_sample *edge_of(struct merge *m, struct tick *t, uint32_t client,
				   uint32_t server)
{
	for (size_t i = 0; i < t->nr_edges; i++)
		if (t->edges[i].client == client && t->edges[i].server == server)
			return &t->edges[i];
	if (t->nr_edges == MERGE_EDGES_MAX) {
		m->stats.edges_lost++;
		return NULL;
	}
	t->edges[t->nr_edges] = (struct edge_sample){ .client = client, .server = server };
	return &t->edges[t->nr_edges++];
}

static void add_client_end(struct edge_sample *to, const struct edge_sample *from)
{
	to->client_requests += from->client_requests;
	to->client_failed += from->client_failed;
	hist_add(&to->client_duration, &from->client_duration);
	to->client_duration_ns += from->client_duration_ns;
	to->client_aborted += from->client_aborted;
	to->client_in_flight = from->client_in_flight;
	to->client_oldest_ns = from->client_oldest_ns;
}

static void add_server_end(struct edge_sample *to, const struct edge_sample *from)
{
	to->server_requests += from->server_requests;
	to->server_failed += from->server_failed;
	hist_add(&to->server_duration, &from->server_duration);
	to->server_duration_ns += from->server_duration_ns;
}

static bool has_client_end(const struct edge_sample *e)
{
	return e->client_requests || e->client_aborted || e->client_in_flight ||
		e->client_oldest_ns;
}

static void take_known(struct merge *m, const struct wire_sample *s, struct tick *t)
{
	for (size_t i = 0; i < s->tick.nr_edges; i++) {
		const struct edge_sample *from = &s->tick.edges[i];
		struct end client = resolve(m, s, from->client),
			   server = resolve(m, s, from->server);
		struct edge_sample *to;

		/* Somebody on a node as a server is nobody we know. */
		if (client.node || (!client.id && !server.id))
			continue;
		to = edge_of(m, t, client.id, server.node ? 0 : server.id);
		if (!to)
			continue;
		if (has_client_end(from))
			add_client_end(to, from);
		add_server_end(to, from);
	}
}

/* ---- shares */

static struct edge_share *share_of(struct merge *m, uint32_t client, uint32_t server)
{
	struct edge_share *oldest = &m->shares[0];

	for (size_t i = 0; i < m->nr_shares; i++) {
		struct edge_share *x = &m->shares[i];
		if (x->client == client && x->server == server)
			return x;
		if (x->at_ns < oldest->at_ns)
			oldest = x;
	}
	if (m->nr_shares < MERGE_SHARES_MAX)
		oldest = &m->shares[m->nr_shares++];
	*oldest = (struct edge_share){ .client = client, .server = server };
	return oldest;
}

static void remember(struct merge *m, const struct tick *t)
{
	for (size_t i = 0; i < t->nr_edges; i++) {
		const struct edge_sample *e = &t->edges[i];
		uint64_t calls = e->client_requests + e->client_aborted + e->client_in_flight;

		if (e->client && e->server && calls) {
			struct edge_share *x = share_of(m, e->client, e->server);
			x->calls = calls;
			x->at_ns = t->at_ns;
		}
	}
}

/* Who of @node called @server, and how often: by the newest of its ticks that told of any. */
static size_t callers(const struct merge *m, const char *node, uint32_t server,
		      struct edge_share *ret)
{
	uint64_t newest_ns = 0;
	size_t nr = 0;

	for (size_t i = 0; i < m->nr_shares; i++) {
		const struct edge_share *x = &m->shares[i];
		const struct merge_service *c = merge_service(m, x->client);
		if (x->server != server || !c || strcmp(c->node, node) != 0 || x->at_ns < newest_ns)
			continue;
		if (x->at_ns > newest_ns)
			nr = 0;
		newest_ns = x->at_ns;
		ret[nr++] = *x;
	}
	return nr;
}

/* @part of @whole, rounded down; no product overflows. */
static uint64_t portion(uint64_t n, uint64_t part, uint64_t whole)
{
	return (uint64_t)((unsigned __int128)n * part / whole);
}

/* Takes @part of @whole of what is left in @from. The last one, part == whole, gets all of it. */
static void cut(struct edge_sample *from, uint64_t part, uint64_t whole, struct edge_sample *ret)
{
	*ret = (struct edge_sample){
		.server_requests = portion(from->server_requests, part, whole),
		.server_failed = portion(from->server_failed, part, whole),
		.server_duration_ns = portion(from->server_duration_ns, part, whole),
	};
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++) {
		ret->server_duration.n[i] = portion(from->server_duration.n[i], part, whole);
		from->server_duration.n[i] -= ret->server_duration.n[i];
	}
	from->server_requests -= ret->server_requests;
	from->server_failed -= ret->server_failed;
	from->server_duration_ns -= ret->server_duration_ns;
}

static void share_out(struct merge *m, const struct edge_sample *e, const char *node,
		      uint32_t server, struct tick *t)
{
	struct edge_share list[MERGE_SHARES_MAX];
	struct edge_sample left = *e, mine, *to;
	size_t nr = callers(m, node, server, list);
	uint64_t whole = 0;

	for (size_t i = 0; i < nr; i++)
		whole += list[i].calls;
	for (size_t i = 0; i < nr; i++) {
		cut(&left, list[i].calls, whole, &mine);
		whole -= list[i].calls;
		to = edge_of(m, t, list[i].client, server);
		if (to)
			add_server_end(to, &mine);
	}
	if (nr)
		return;
	to = edge_of(m, t, 0, server);
	if (to)
		add_server_end(to, &left);
}

static void take_by_node(struct merge *m, const struct wire_sample *s, struct tick *t)
{
	for (size_t i = 0; i < s->tick.nr_edges; i++) {
		const struct edge_sample *e = &s->tick.edges[i];
		struct end client = resolve(m, s, e->client), server = resolve(m, s, e->server);

		if (client.node && server.id)
			share_out(m, e, client.node, server.id, t);
	}
}

int merge_edges(struct merge *m, const struct wire_sample *const *samples, size_t nr,
		struct tick *t)
{
	size_t most = 0;

	/* An edge is shared out over as many as call; there are no more of those than edges. */
	for (size_t i = 0; i < nr; i++)
		most += samples[i]->tick.nr_edges;
	t->edges = calloc(most ? MERGE_EDGES_MAX : 1, sizeof(*t->edges));
	if (!t->edges)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		take_known(m, samples[i], t);
	remember(m, t);
	for (size_t i = 0; i < nr; i++)
		take_by_node(m, samples[i], t);
	return 0;
}

/* ---- who is where */

/* An address that two nodes claim (each has a docker0) tells them not apart. */
static bool is_unique(const struct merge *m, const char *address)
{
	size_t claims = 0;

	for (size_t i = 0; i < MERGE_NODES_MAX; i++)
		for (size_t k = 0; m->nodes[i].used && k < m->nodes[i].nr_addresses; k++)
			claims += !strcmp(m->nodes[i].addresses[k], address);
	for (size_t i = 0; i < SERVICE_MAX; i++)
		claims += m->services[i].used && !strcmp(m->services[i].s.what.address, address);
	return claims == 1;
}

static void add_endpoint(struct merge *m, struct wire_answer *a, const char *node,
			 const char *service, const char *address, uint16_t port)
{
	if (a->nr_endpoints == WIRE_ENDPOINTS_MAX) {
		m->stats.endpoints_lost++;
		return;
	}
	struct wire_endpoint *e = &a->endpoints[a->nr_endpoints++];
	*e = (struct wire_endpoint){ .port = port };
	snprintf(e->node, sizeof(e->node), "%s", node);
	snprintf(e->service, sizeof(e->service), "%s", service);
	snprintf(e->address, sizeof(e->address), "%s", address);
}

static void add_service(struct merge *m, struct wire_answer *a, const struct merge_service *s,
			const char *address, bool own)
{
	for (size_t i = 0; i < s->what.nr_ports; i++)
		add_endpoint(m, a, s->node, s->local, address, s->what.ports[i]);
	if (own)
		add_endpoint(m, a, s->node, s->local, address, 0);
}

static void add_node(struct merge *m, struct wire_answer *a, const struct node *n, bool self)
{
	for (size_t k = 0; k < SERVICE_MAX; k++) {
		const struct merge_service *s = &m->services[k].s;
		if (m->services[k].used && *s->what.address && !strcmp(s->node, n->name) &&
		    is_unique(m, s->what.address))
			add_service(m, a, s, s->what.address, true);
	}
	/* A node knows its own. */
	for (size_t i = 0; i < n->nr_addresses && !self; i++) {
		if (!is_unique(m, n->addresses[i]))
			continue;
		add_endpoint(m, a, n->name, "", n->addresses[i], 0);
		for (size_t k = 0; k < SERVICE_MAX; k++) {
			const struct merge_service *s = &m->services[k].s;
			if (m->services[k].used && !*s->what.address && !strcmp(s->node, n->name))
				add_service(m, a, s, n->addresses[i], false);
		}
	}
}

int merge_answer(struct merge *m, const char *node, uint64_t known, struct wire_answer *ret)
{
	struct wire_answer a = { .version = m->version, .has_list = known != m->version };

	a.endpoints = a.has_list ? calloc(WIRE_ENDPOINTS_MAX, sizeof(*a.endpoints)) : NULL;
	if (a.has_list && !a.endpoints)
		return -ENOMEM;
	for (size_t i = 0; a.has_list && i < MERGE_NODES_MAX; i++)
		if (m->nodes[i].used)
			add_node(m, &a, &m->nodes[i], !strcmp(m->nodes[i].name, node));
	*ret = a;
	return 0;
}
