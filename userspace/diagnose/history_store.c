// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is usual, kept between two lives of the process, by the services' names (base/blob.h):
 *
 *	u64 magic, u32 version, u32 nr_nodes, u32 nr_edges, u32 0
 *	{ char name[64], u32 outside, u32 0, usual[5] } ...
 *	{ char client[64], char server[64], usual[5] } ...		client "": the outside world
 *
 * A usual is { double mean, double deviation, u32 n, u32 0 }.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/util.h"
#include "diagnose/history.h"

#define BLOB_MAGIC 0x32736c6175737561ULL /* "ausuals2" */
#define BLOB_VERSION 1
#define USUALS 5

struct usual_record {
	double mean, deviation;
	uint32_t n, spare;
};

struct blob_header {
	uint64_t magic;
	uint32_t version, nr_nodes, nr_edges, spare;
};

struct node_record {
	char name[SERVICE_NAME_MAX];
	uint32_t outside, spare;
	struct usual_record usual[USUALS];
};

struct edge_record {
	char client[SERVICE_NAME_MAX], server[SERVICE_NAME_MAX];
	struct usual_record usual[USUALS];
};

_Static_assert(sizeof(struct usual_record) == 24, "no padding");
_Static_assert(sizeof(struct blob_header) == 24, "no padding");
_Static_assert(sizeof(struct node_record) == 72 + USUALS * 24, "no padding");
_Static_assert(sizeof(struct edge_record) == 128 + USUALS * 24, "no padding");
_Static_assert(sizeof(struct blob_header) + SERVICE_MAX * sizeof(struct node_record) +
			       DIAGNOSE_EDGES_MAX * sizeof(struct edge_record) + 8 <=
		       DIAGNOSER_BLOB_MAX,
	       "all fits");

/* ---- which figures, in which order */

static void usuals_of_node(struct node_history *n, struct usual *ret[USUALS])
{
	ret[0] = &n->time_s;
	ret[1] = &n->errors;
	ret[2] = &n->cpu_s;
	ret[3] = &n->runq_s;
	ret[4] = &n->outside_rate;
}

static void usuals_of_edge(struct edge_history *e, struct usual *ret[USUALS])
{
	ret[0] = &e->time_s;
	ret[1] = &e->wait_s;
	ret[2] = &e->calls;
	ret[3] = &e->failed;
	ret[4] = &e->network_s;
}

static const char *name_of(const struct history *h, uint32_t id)
{
	const struct node_history *n = id ? history_find(h, id) : NULL;

	return n ? n->name : "";
}

/* ---- saving */

static void pack(const struct usual *from, struct usual_record *to)
{
	*to = (struct usual_record){ from->mean, from->deviation, from->n, 0 };
}

static int save_node(struct buf *b, const char *name, bool outside, const struct usual *u)
{
	struct node_record r = { .outside = outside };

	memcpy(r.name, name, strnlen(name, sizeof(r.name) - 1));
	for (size_t k = 0; k < USUALS; k++)
		pack(&u[k], &r.usual[k]);
	return buf_add(b, &r, sizeof(r));
}

static int save_edge(struct buf *b, const char *client, const char *server, const struct usual *u)
{
	struct edge_record r = { 0 };

	memcpy(r.client, client, strnlen(client, sizeof(r.client) - 1));
	memcpy(r.server, server, strnlen(server, sizeof(r.server) - 1));
	for (size_t k = 0; k < USUALS; k++)
		pack(&u[k], &r.usual[k]);
	return buf_add(b, &r, sizeof(r));
}

static int save_nodes(const struct history *h, struct buf *b, uint32_t *nr)
{
	int err = 0;

	for (size_t i = 0; i < h->nr_nodes && !err; i++, ++*nr) {
		struct usual *from[USUALS], u[USUALS];
		usuals_of_node(h->nodes[i], from);
		for (size_t k = 0; k < USUALS; k++)
			u[k] = *from[k];
		err = save_node(b, h->nodes[i]->name, h->nodes[i]->outside, u);
	}
	/* Who was not seen this time may come back the next. */
	for (size_t i = 0; i < h->saved.nr_nodes && *nr < SERVICE_MAX && !err; i++) {
		const struct saved_node *s = &h->saved.nodes[i];
		if (!*s->name)
			continue;
		err = save_node(b, s->name, s->outside, s->usual);
		++*nr;
	}
	return err;
}

static int save_edges(const struct history *h, struct buf *b, uint32_t *nr)
{
	int err = 0;

	for (size_t i = 0; i < h->nr_edges && !err; i++) {
		const struct edge_history *e = h->edges[i];
		const char *client = name_of(h, e->client), *server = name_of(h, e->server);
		struct usual *from[USUALS], u[USUALS];
		if (!*server || (e->client && !*client))
			continue;
		usuals_of_edge(h->edges[i], from);
		for (size_t k = 0; k < USUALS; k++)
			u[k] = *from[k];
		err = save_edge(b, client, server, u);
		++*nr;
	}
	for (size_t i = 0; i < h->saved.nr_edges && *nr < DIAGNOSE_EDGES_MAX && !err; i++) {
		const struct saved_edge *s = &h->saved.edges[i];
		if (!*s->server)
			continue;
		err = save_edge(b, s->client, s->server, s->usual);
		++*nr;
	}
	return err;
}

int history_save(const struct history *h, struct buf *b)
{
	size_t begin = b->len;
	struct blob_header head = { .magic = BLOB_MAGIC, .version = BLOB_VERSION };
	int err = buf_add(b, &head, sizeof(head));

	err = err ?: save_nodes(h, b, &head.nr_nodes);
	err = err ?: save_edges(h, b, &head.nr_edges);
	if (err)
		return err;
	memcpy(b->data + begin, &head, sizeof(head));
	return blob_seal(b, begin);
}

/* ---- loading; the bytes are untrusted */

static bool name_valid(const char name[SERVICE_NAME_MAX])
{
	return memchr(name, 0, SERVICE_NAME_MAX) && service_name_valid(name);
}

/* Seconds, ratios and rates: nothing honest is beyond a day or a thousand million a second. */
static bool unpack(const struct usual_record *from, struct usual *to)
{
	bool good = isfinite(from->mean) && fabs(from->mean) <= 1e9 && from->deviation >= 0 &&
		from->deviation <= 1e9 && from->n <= FORGETS_AFTER;

	*to = (struct usual){ from->mean, from->deviation, from->n };
	return good;
}

static bool read_node(struct blob_reader *r, struct saved_node *ret)
{
	struct node_record rec;

	if (!blob_take(r, &rec, sizeof(rec)) || !name_valid(rec.name))
		return false;
	memcpy(ret->name, rec.name, sizeof(ret->name));
	ret->outside = rec.outside;
	for (size_t k = 0; k < USUALS; k++)
		if (!unpack(&rec.usual[k], &ret->usual[k]))
			return false;
	return true;
}

static bool read_edge(struct blob_reader *r, struct saved_edge *ret)
{
	struct edge_record rec;

	if (!blob_take(r, &rec, sizeof(rec)) || !name_valid(rec.server) ||
	    (rec.client[0] && !name_valid(rec.client)))
		return false;
	memcpy(ret->client, rec.client, sizeof(ret->client));
	memcpy(ret->server, rec.server, sizeof(ret->server));
	for (size_t k = 0; k < USUALS; k++)
		if (!unpack(&rec.usual[k], &ret->usual[k]))
			return false;
	return true;
}

static void saved_release(struct history_saved *s)
{
	history_saved_release(s);
}

int history_load(struct history *h, const void *data, size_t len)
{
	CLEANUP(saved_release) struct history_saved s = { 0 };
	struct blob_reader r;
	struct blob_header head;

	if (blob_open(data, len, &r) || !blob_take(&r, &head, sizeof(head)) ||
	    head.magic != BLOB_MAGIC)
		return -EINVAL;
	if (head.version != BLOB_VERSION)
		return -ESTALE;
	if (head.nr_nodes > SERVICE_MAX || head.nr_edges > DIAGNOSE_EDGES_MAX)
		return -EINVAL;
	s.nodes = calloc(head.nr_nodes + 1, sizeof(*s.nodes));
	s.edges = calloc(head.nr_edges + 1, sizeof(*s.edges));
	if (!s.nodes || !s.edges)
		return -ENOMEM;
	while (s.nr_nodes < head.nr_nodes)
		if (!read_node(&r, &s.nodes[s.nr_nodes++]))
			return -EINVAL;
	while (s.nr_edges < head.nr_edges)
		if (!read_edge(&r, &s.edges[s.nr_edges++]))
			return -EINVAL;
	if (r.left)
		return -EINVAL;
	history_saved_release(&h->saved);
	h->saved = s;
	s = (struct history_saved){ 0 };
	return 0;
}

void history_saved_release(struct history_saved *s)
{
	free(s->nodes);
	free(s->edges);
	*s = (struct history_saved){ 0 };
}

void history_restore_node(struct history *h, struct node_history *n)
{
	struct usual *to[USUALS];

	usuals_of_node(n, to);
	for (size_t i = 0; i < h->saved.nr_nodes; i++) {
		struct saved_node *s = &h->saved.nodes[i];
		if (!*s->name || strcmp(s->name, n->name) != 0)
			continue;
		n->outside = s->outside;
		for (size_t k = 0; k < USUALS; k++)
			*to[k] = s->usual[k];
		s->name[0] = '\0';
		return;
	}
}

void history_restore_edge(struct history *h, struct edge_history *e)
{
	const char *client = name_of(h, e->client), *server = name_of(h, e->server);
	struct usual *to[USUALS];

	if (!*server || (e->client && !*client))
		return;
	usuals_of_edge(e, to);
	for (size_t i = 0; i < h->saved.nr_edges; i++) {
		struct saved_edge *s = &h->saved.edges[i];
		if (!*s->server || strcmp(s->client, client) != 0 || strcmp(s->server, server) != 0)
			continue;
		for (size_t k = 0; k < USUALS; k++)
			*to[k] = s->usual[k];
		s->server[0] = '\0';
		return;
	}
}

/* ---- shelving: one that may come back under its name */

/* Room for one more of @size bytes, a taken one's place first; NULL: @max are kept, or no memory. @name is at its beginning. */
static void *room_for(void **list, size_t *nr, size_t max, size_t size, size_t name)
{
	for (size_t i = 0; i < *nr; i++)
		if (!*((char *)*list + i * size + name))
			return (char *)*list + i * size;
	if (*nr == max)
		return NULL;
	void *more = realloc(*list, (*nr + 2) * size);
	if (!more)
		return NULL;
	*list = more;
	return (char *)more + (*nr)++ * size;
}

static void shelve_node(struct history *h, struct node_history *n)
{
	struct usual *from[USUALS];
	void *list = h->saved.nodes;
	struct saved_node *s = room_for(&list, &h->saved.nr_nodes, SERVICE_MAX, sizeof(*s),
					offsetof(struct saved_node, name));

	h->saved.nodes = list;
	if (!s)
		return;
	*s = (struct saved_node){ .outside = n->outside };
	memcpy(s->name, n->name, sizeof(s->name));
	usuals_of_node(n, from);
	for (size_t k = 0; k < USUALS; k++)
		s->usual[k] = *from[k];
}

static void shelve_edge(struct history *h, struct edge_history *e)
{
	const char *client = name_of(h, e->client), *server = name_of(h, e->server);
	struct usual *from[USUALS];
	void *list = h->saved.edges;

	/* An end that has no name any more: nobody would find it. */
	if (!*server || (e->client && !*client))
		return;
	struct saved_edge *s = room_for(&list, &h->saved.nr_edges, DIAGNOSE_EDGES_MAX, sizeof(*s),
					offsetof(struct saved_edge, server));
	h->saved.edges = list;
	if (!s)
		return;
	*s = (struct saved_edge){ 0 };
	memcpy(s->client, client, strnlen(client, sizeof(s->client) - 1));
	memcpy(s->server, server, strnlen(server, sizeof(s->server) - 1));
	usuals_of_edge(e, from);
	for (size_t k = 0; k < USUALS; k++)
		s->usual[k] = *from[k];
}

void history_shelve(struct history *h, uint32_t service)
{
	struct node_history *n = history_find(h, service);

	for (size_t i = 0; i < h->nr_edges; i++)
		if (h->edges[i]->client == service || h->edges[i]->server == service)
			shelve_edge(h, h->edges[i]);
	if (n)
		shelve_node(h, n);
	history_forget(h, service);
}
