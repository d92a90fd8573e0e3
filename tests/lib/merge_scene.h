/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * merge_scene.h - nodes that push samples into a merger, a second at a time, by clocks of the test's own.
 * For tests/unit/test_merge*.c; asserts (cmocka), which has to be included before.
 */
#ifndef ARCHAIC_TEST_MERGE_SCENE_H
#define ARCHAIC_TEST_MERGE_SCENE_H

#include <string.h>

#include "base/util.h"
#include "observe/merge.h"

#define S NSEC_PER_SEC
#define WALL0 1700000000000

/* A node's own clocks stand wherever they will. */
struct agent {
	const char *node, *address;
	uint64_t boot, seq, mono_ns;
	int64_t wall_ms;
};

struct scene {
	struct merge *m;
	uint64_t now_ns;
	struct tick t;
	struct problem p;
};

static inline int setup(void **state)
{
	struct scene *x = calloc(1, sizeof(*x));

	x->now_ns = 5000 * S;
	*state = x;
	return merge_new(100, &x->m);
}

static inline int teardown(void **state)
{
	struct scene *x = *state;

	tick_release(&x->t);
	merge_free(x->m);
	free(x);
	return 0;
}

static inline int64_t wall_of(const struct scene *x)
{
	return WALL0 + (int64_t)(x->now_ns / NSEC_PER_MSEC);
}

/* @names: one letter a service; each served 10 requests. */
static inline struct wire_sample sample(struct agent *a, const char *names)
{
	struct wire_sample s = { .boot = a->boot, .seq = ++a->seq, .wall_ms = a->wall_ms };
	size_t nr = strlen(names);

	snprintf(s.node, sizeof(s.node), "%s", a->node);
	s.nr_addresses = a->address ? 1 : 0;
	snprintf(s.addresses[0], sizeof(s.addresses[0]), "%s", a->address ?: "");
	s.tick = (struct tick){ .at_ns = a->mono_ns, .span_ns = S, .nr_services = nr };
	s.tick.services = calloc(nr + 1, sizeof(*s.tick.services));
	s.services = calloc(nr + 1, sizeof(*s.services));
	s.tick.edges = calloc(8, sizeof(*s.tick.edges));
	s.peers = calloc(8, sizeof(*s.peers));
	for (size_t i = 0; i < nr; i++) {
		struct service_sample *to = &s.tick.services[i];
		to->id = (uint32_t)i + 1;
		snprintf(to->name, sizeof(to->name), "%c", names[i]);
		to->requests = to->status_class[2] = 10;
		to->in_flight = 3;
		s.services[i].ports[0] = (uint16_t)(8000 + i);
		s.services[i].nr_ports = 1;
	}
	return s;
}

static inline void peer(struct wire_sample *s, const char *node, const char *service)
{
	struct wire_peer *p = &s->peers[s->nr_peers];

	p->id = WIRE_PEER + (uint32_t)s->nr_peers++;
	snprintf(p->node, sizeof(p->node), "%s", node);
	snprintf(p->service, sizeof(p->service), "%s", service);
}

static inline struct edge_sample *edge(struct wire_sample *s, uint32_t client, uint32_t server)
{
	struct edge_sample *e = &s->tick.edges[s->tick.nr_edges++];

	*e = (struct edge_sample){ .client = client, .server = server };
	return e;
}

static inline int push_this(struct scene *x, struct wire_sample *s)
{
	x->p = (struct problem){ 0 };
	int err = merge_push(x->m, s, "192.0.2.1", x->now_ns, wall_of(x), &x->p);
	wire_release(s);
	return err;
}

static inline int push(struct scene *x, struct agent *a, const char *names)
{
	struct wire_sample s = sample(a, names);

	return push_this(x, &s);
}

/* One second passes for us and for the nodes, each by its own clock. */
static inline void second(struct scene *x, struct agent *a, struct agent *b)
{
	x->now_ns += S;
	for (struct agent **k = (struct agent *[]){ a, b, NULL }; *k; k++) {
		(*k)->mono_ns += S;
		(*k)->wall_ms += 1000;
	}
}

static inline void tick(struct scene *x)
{
	tick_release(&x->t);
	assert_int_equal(merge_tick(x->m, x->now_ns, &x->t), 0);
}

struct found {
	const char *node;
	struct merge_node n;
};

static inline void on_node(void *ctx, const struct merge_node *n)
{
	struct found *f = ctx;

	if (!strcmp(n->node, f->node))
		f->n = *n;
}

static inline struct merge_node node(const struct scene *x, const char *name)
{
	struct found f = { .node = name };

	merge_each_node(x->m, x->now_ns, on_node, &f);
	assert_string_equal(f.n.node, name);
	return f.n;
}

static inline struct agent agent(const struct scene *x, const char *name, const char *address)
{
	return (struct agent){ .node = name,
			       .address = address,
			       .boot = 50,
			       .mono_ns = (uint64_t)name[0] * 1000 * S,
			       .wall_ms = wall_of(x) };
}

static inline uint32_t id_of(const struct scene *x, const char *name)
{
	for (size_t i = 0; i < x->t.nr_services; i++)
		if (!strcmp(x->t.services[i].name, name))
			return x->t.services[i].id;
	return 0;
}

static inline const struct edge_sample *edge_of(const struct scene *x, uint32_t client,
						uint32_t server)
{
	for (size_t i = 0; i < x->t.nr_edges; i++)
		if (x->t.edges[i].client == client && x->t.edges[i].server == server)
			return &x->t.edges[i];
	return NULL;
}

static inline uint64_t requests(const struct scene *x, const char *name)
{
	const struct service_sample *s = tick_service(&x->t, id_of(x, name));

	return s ? s->requests : 0;
}

#endif
