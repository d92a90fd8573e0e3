// SPDX-License-Identifier: GPL-2.0-or-later
/* Many nodes into one tick: who is late, gone, repeated, or wrong about the time; and who called whom. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "detect/random.h"
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

static int setup(void **state)
{
	struct scene *x = calloc(1, sizeof(*x));

	x->now_ns = 5000 * S;
	*state = x;
	return merge_new(100, &x->m);
}

static int teardown(void **state)
{
	struct scene *x = *state;

	tick_release(&x->t);
	merge_free(x->m);
	free(x);
	return 0;
}

static int64_t wall_of(const struct scene *x)
{
	return WALL0 + (int64_t)(x->now_ns / NSEC_PER_MSEC);
}

/* @names: one letter a service; each served 10 requests. */
static struct wire_sample sample(struct agent *a, const char *names)
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

static void peer(struct wire_sample *s, const char *node, const char *service)
{
	struct wire_peer *p = &s->peers[s->nr_peers];

	p->id = WIRE_PEER + (uint32_t)s->nr_peers++;
	snprintf(p->node, sizeof(p->node), "%s", node);
	snprintf(p->service, sizeof(p->service), "%s", service);
}

static struct edge_sample *edge(struct wire_sample *s, uint32_t client, uint32_t server)
{
	struct edge_sample *e = &s->tick.edges[s->tick.nr_edges++];

	*e = (struct edge_sample){ .client = client, .server = server };
	return e;
}

static int push_this(struct scene *x, struct wire_sample *s)
{
	x->p = (struct problem){ 0 };
	int err = merge_push(x->m, s, "192.0.2.1", x->now_ns, wall_of(x), &x->p);
	wire_release(s);
	return err;
}

static int push(struct scene *x, struct agent *a, const char *names)
{
	struct wire_sample s = sample(a, names);

	return push_this(x, &s);
}

/* One second passes for us and for the nodes, each by its own clock. */
static void second(struct scene *x, struct agent *a, struct agent *b)
{
	x->now_ns += S;
	for (struct agent **k = (struct agent *[]){ a, b, NULL }; *k; k++) {
		(*k)->mono_ns += S;
		(*k)->wall_ms += 1000;
	}
}

static void tick(struct scene *x)
{
	tick_release(&x->t);
	assert_int_equal(merge_tick(x->m, x->now_ns, &x->t), 0);
}

struct found {
	const char *node;
	struct merge_node n;
};

static void on_node(void *ctx, const struct merge_node *n)
{
	struct found *f = ctx;

	if (!strcmp(n->node, f->node))
		f->n = *n;
}

static struct merge_node node(const struct scene *x, const char *name)
{
	struct found f = { .node = name };

	merge_each_node(x->m, x->now_ns, on_node, &f);
	assert_string_equal(f.n.node, name);
	return f.n;
}

static struct agent agent(const struct scene *x, const char *name, const char *address)
{
	return (struct agent){ .node = name,
			       .address = address,
			       .boot = 50,
			       .mono_ns = (uint64_t)name[0] * 1000 * S,
			       .wall_ms = wall_of(x) };
}

static uint32_t id_of(const struct scene *x, const char *name)
{
	for (size_t i = 0; i < x->t.nr_services; i++)
		if (!strcmp(x->t.services[i].name, name))
			return x->t.services[i].id;
	return 0;
}

static const struct edge_sample *edge_of(const struct scene *x, uint32_t client, uint32_t server)
{
	for (size_t i = 0; i < x->t.nr_edges; i++)
		if (x->t.edges[i].client == client && x->t.edges[i].server == server)
			return &x->t.edges[i];
	return NULL;
}

static uint64_t requests(const struct scene *x, const char *name)
{
	const struct service_sample *s = tick_service(&x->t, id_of(x, name));

	return s ? s->requests : 0;
}

static void test_merge_makes_one_tick_of_two_nodes(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);
	struct merge_stats st;

	assert_int_equal(push(x, &a, "xy"), 0);
	assert_int_equal(push(x, &b, "yz"), 0);
	tick(x);
	assert_int_equal(x->t.nr_services, 4);
	assert_true(id_of(x, "x") && id_of(x, "y") && id_of(x, "z"));
	/* Both have a y: the second is told apart by its node. */
	assert_true(id_of(x, "y.b") && id_of(x, "y.b") != id_of(x, "y"));
	assert_string_equal(merge_service(x->m, id_of(x, "y.b"))->local, "y");
	assert_true(x->t.at_ns == x->now_ns);

	uint32_t before = id_of(x, "z");
	second(x, &a, &b);
	push(x, &b, "zy");
	tick(x);
	assert_int_equal(id_of(x, "z"), before);
	assert_true(x->t.span_ns == S);
	merge_stats(x->m, &st);
	assert_true(st.samples == 3 && st.nr_nodes == 2 && st.nr_services == 4);
}

static void test_merge_takes_two_ticks_that_came_between(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);

	/* The first tick of ours finds none, the next one two: one is taken, one waits, and from then on there is always one. */
	for (int i = 0; i < 3; i++) {
		push(x, &a, "x");
		if (i == 1)
			push(x, (second(x, &a, &b), &a), "x");
		tick(x);
		assert_int_equal(requests(x, "x"), 10);
		second(x, &a, &b);
	}
	tick(x);
	assert_int_equal(requests(x, "x"), 10);
	tick(x);
	assert_int_equal(x->t.nr_services, 0);
}

static void test_merge_late_and_gone_nodes_are_known_and_silent(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);

	push(x, &a, "x");
	push(x, &b, "z");
	tick(x);
	uint32_t z = id_of(x, "z");
	for (int i = 0; i < 30; i++) {
		second(x, &a, &b);
		push(x, &a, "x");
		tick(x);
		assert_int_equal(requests(x, "x"), 10);
		assert_null(tick_service(&x->t, z));
		enum node_state want = i + 1 < 3 ? NODE_LIVE : i + 1 < 10 ? NODE_LATE : NODE_GONE;
		assert_int_equal(node(x, "b").state, want);
		assert_int_equal(merge_service(x->m, z)->state, want);
		assert_int_equal(merge_service(x->m, id_of(x, "x"))->state, NODE_LIVE);
	}
	/* Back: the same id. */
	second(x, &a, &b);
	assert_int_equal(push(x, &b, "z"), 0);
	tick(x);
	assert_int_equal(id_of(x, "z"), z);
	assert_int_equal(merge_service(x->m, z)->state, NODE_LIVE);

	/* Ten minutes of silence: forgotten, and told. */
	x->now_ns += MERGE_FORGET_NS;
	push(x, &a, "x");
	tick(x);
	assert_null(merge_service(x->m, z));
}

static void count_change(void *ctx, const struct merge_service *s, bool gone)
{
	int *n = ctx;

	n[gone]++;
	n[2] = s->state;
}

static void test_merge_tells_changes_once(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);
	int n[3] = { 0 };

	push(x, &a, "xy");
	tick(x);
	merge_changes(x->m, count_change, n);
	assert_true(n[0] == 2 && n[1] == 0);
	merge_changes(x->m, count_change, n);
	assert_int_equal(n[0], 2);
	/* Late is a change, once; then a service that its live node tells no more of goes. */
	x->now_ns += 4 * S;
	tick(x);
	merge_changes(x->m, count_change, n);
	assert_true(n[0] == 4 && n[2] == NODE_LATE);
	for (int i = 0; i < 40; i++) {
		second(x, &a, &b);
		push(x, &a, "x");
		tick(x);
	}
	merge_changes(x->m, count_change, n);
	assert_int_equal(n[1], 1);
}

static void test_merge_refuses_repeats_and_the_past(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL), old;
	struct merge_stats st;

	push(x, &a, "x");
	second(x, &a, &b);
	old = a;
	push(x, &a, "x");
	a.seq--;
	assert_int_equal(push(x, &a, "x"), -EEXIST);
	assert_int_equal(x->p.status, 409);
	old.seq -= 1;
	assert_int_equal(push(x, &old, "x"), -EEXIST);

	/* An agent that was started earlier, while this one is at work: a copy of old packets, or a second agent. */
	old = (struct agent){ .node = "a", .boot = 49, .seq = 900, .wall_ms = a.wall_ms };
	assert_int_equal(push(x, &old, "x"), -EEXIST);
	assert_non_null(strstr(x->p.detail, "started later"));
	/* One that was started later takes over. */
	b = (struct agent){ .node = "a", .boot = 51, .mono_ns = 7 * S, .wall_ms = a.wall_ms };
	assert_int_equal(push(x, &b, "x"), 0);
	assert_int_equal(push(x, &a, "x"), -EEXIST);

	/* Its clock was set back, and it was started again: taken once the newer one is gone. */
	x->now_ns += MERGE_GONE_NS;
	tick(x);
	old.wall_ms = wall_of(x);
	assert_int_equal(push(x, &old, "x"), 0);
	merge_stats(x->m, &st);
	assert_true(st.repeated == 1 && st.old == 3);
}

static void test_merge_names_clocks_that_are_wrong(void **state)
{
	static const struct {
		int64_t wall_ms, mono_ns;
		bool lies;
	} cases[] = {
		{ 0, 0, false },
		{ 400, 0, false },
		{ 3600 * 1000, 0, true },  /* wall clock forwards */
		{ -3600 * 1000, 0, true }, /* and back */
		{ 0, 3600 * (int64_t)S, true },
		{ 0, -3600 * (int64_t)S, true },
		{ 700, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene *x = *state;
		char name[8];
		snprintf(name, sizeof(name), "n%zu", i);
		struct agent a = agent(x, name, NULL), b = agent(x, "b", NULL);

		push(x, &a, "x");
		tick(x);
		second(x, &a, &b);
		a.wall_ms += cases[i].wall_ms;
		a.mono_ns += (uint64_t)cases[i].mono_ns;
		assert_int_equal(push(x, &a, "x"), 0);
		tick(x);
		struct merge_node n = node(x, name);
		assert_int_equal(n.clock_lies, cases[i].lies);
		assert_int_equal(!*n.clock_says, !cases[i].lies);
		/* Whatever it says the time is, what it saw is in our tick. */
		assert_true(x->t.nr_services >= 1 && x->t.at_ns == x->now_ns &&
			    n.state == NODE_LIVE);

		/* It is not held against it for ever, but for a wall clock that stays wrong. */
		for (int k = 0; k < 70; k++) {
			second(x, &a, &b);
			push(x, &a, "x");
			tick(x);
		}
		bool off = llabs(cases[i].wall_ms) > MERGE_CLOCK_OFF_MS;
		assert_int_equal(node(x, name).clock_lies, off);
		x->now_ns += MERGE_FORGET_NS;
		tick(x);
	}
}

static void test_merge_does_not_mix_the_past_into_now(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);
	struct merge_stats st;

	for (int i = 0; i < 5; i++) {
		push(x, &a, "x");
		tick(x);
		second(x, &a, &b);
	}
	/* The way was blocked for 20 s; then all comes at once. */
	struct agent held = a;
	x->now_ns += 20 * S;
	tick(x);
	assert_int_equal(node(x, "a").state, NODE_GONE);
	for (int i = 0; i < 20; i++, held.mono_ns += S, held.wall_ms += 1000)
		assert_int_equal(push(x, &held, "x"), 0);
	assert_int_equal(node(x, "a").state, NODE_LIVE);
	merge_stats(x->m, &st);
	assert_int_equal(st.stale, 15);
	assert_int_equal(st.overrun, 2);
	tick(x);
	assert_int_equal(requests(x, "x"), 20);
	tick(x);
	assert_int_equal(requests(x, "x"), 10);
}

/* x on node a calls z on node b: each end counts for itself, in one edge. */
static void test_merge_joins_an_edge_from_both_ends(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);
	struct wire_sample s = sample(&a, "x"), r = sample(&b, "z");

	peer(&s, "b", "z");
	edge(&s, 0, 1)->server_requests = 10;
	struct edge_sample *e = edge(&s, 1, WIRE_PEER);
	e->client_requests = 9;
	e->client_failed = 1;
	e->client_oldest_ns = 7;
	peer(&r, "a", "");
	e = edge(&r, WIRE_PEER, 1);
	e->server_requests = 8;
	e->server_duration.n[3] = 8;
	e->server_duration_ns = 801;
	push_this(x, &s);
	push_this(x, &r);
	tick(x);
	assert_int_equal(x->t.nr_edges, 2);
	const struct edge_sample *got = edge_of(x, id_of(x, "x"), id_of(x, "z"));
	assert_non_null(got);
	assert_true(got->client_requests == 9 && got->client_failed == 1 &&
		    got->client_oldest_ns == 7);
	assert_true(got->server_requests == 8 && got->server_duration.n[3] == 8);
	assert_true(got->server_duration_ns == 801);
	assert_non_null(edge_of(x, 0, id_of(x, "x")));
}

static void server_end(struct scene *x, struct agent *b, uint64_t n)
{
	struct wire_sample r = sample(b, "z");

	peer(&r, "a", "");
	struct edge_sample *e = edge(&r, WIRE_PEER, 1);
	e->server_requests = n;
	e->server_duration.n[9] = n;
	push_this(x, &r);
}

static void test_merge_shares_the_servers_end_as_the_callers_count(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", NULL), b = agent(x, "b", NULL);
	struct wire_sample s = sample(&a, "xy");

	peer(&s, "b", "z");
	edge(&s, 1, WIRE_PEER)->client_requests = 30;
	edge(&s, 2, WIRE_PEER)->client_requests = 10;
	push_this(x, &s);
	server_end(x, &b, 41);
	tick(x);
	uint32_t ix = id_of(x, "x"), iy = id_of(x, "y"), iz = id_of(x, "z");
	assert_int_equal(edge_of(x, ix, iz)->server_requests, 30);
	assert_int_equal(edge_of(x, iy, iz)->server_requests, 11);
	assert_int_equal(edge_of(x, ix, iz)->server_duration.n[9] +
				 edge_of(x, iy, iz)->server_duration.n[9],
			 41);

	/* Node a falls silent: who called is still known, and nobody from outside comes into it. */
	second(x, &a, &b);
	server_end(x, &b, 4);
	tick(x);
	assert_int_equal(edge_of(x, ix, iz)->server_requests, 3);
	assert_int_equal(edge_of(x, iy, iz)->server_requests, 1);
	assert_null(edge_of(x, 0, iz));
}

static void test_merge_calls_of_nobody_we_know_come_from_outside(void **state)
{
	struct scene *x = *state;
	struct agent b = agent(x, "b", NULL);

	server_end(x, &b, 5);
	tick(x);
	assert_int_equal(edge_of(x, 0, id_of(x, "z"))->server_requests, 5);
	/* And a callee of a node that was never heard of is the outside. */
	struct wire_sample s = sample(&b, "z");
	peer(&s, "c", "q");
	edge(&s, 1, WIRE_PEER)->client_requests = 2;
	push_this(x, &s);
	tick(x);
	assert_int_equal(edge_of(x, id_of(x, "z"), 0)->client_requests, 2);
}

static void test_merge_tells_each_node_where_the_others_are(void **state)
{
	struct scene *x = *state;
	struct agent a = agent(x, "a", "10.0.0.1"), b = agent(x, "b", "10.0.0.2");
	struct wire_answer w = { 0 };

	push(x, &a, "x");
	push(x, &b, "yz");
	assert_int_equal(merge_answer(x->m, "a", 0, &w), 0);
	assert_true(w.has_list && w.version > 100);
	assert_int_equal(w.nr_endpoints, 3);
	assert_string_equal(w.endpoints[0].node, "b");
	assert_string_equal(w.endpoints[0].service, "");
	assert_string_equal(w.endpoints[2].service, "z");
	assert_int_equal(w.endpoints[2].port, 8001);
	uint64_t version = w.version;
	wire_answer_release(&w);

	/* What it knows is not told again; an address that two claim is nobody's. */
	assert_int_equal(merge_answer(x->m, "a", version, &w), 0);
	assert_false(w.has_list);
	wire_answer_release(&w);
	struct agent c = agent(x, "c", "10.0.0.2");
	push(x, &c, "z");
	assert_int_equal(merge_answer(x->m, "a", version, &w), 0);
	assert_true(w.has_list && w.version > version);
	assert_int_equal(w.nr_endpoints, 0);
	wire_answer_release(&w);
}

static void test_merge_is_bounded(void **state)
{
	struct scene *x = *state;
	struct merge_stats st;
	char name[16];

	for (int i = 0; i <= MERGE_NODES_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		struct agent a = agent(x, name, NULL);
		assert_int_equal(push(x, &a, "abcde"), i < MERGE_NODES_MAX ? 0 : -ENOSPC);
	}
	assert_int_equal(x->p.status, 422);
	tick(x);
	assert_int_equal(x->t.nr_services, SERVICE_MAX);
	merge_stats(x->m, &st);
	assert_int_equal(st.nodes_refused, 1);
	assert_int_equal(st.services_refused, 5 * MERGE_NODES_MAX - SERVICE_MAX);
}

/* Whatever comes in whatever order: no request is counted twice, none is lost that was not counted as such. */
static void test_merge_counts_every_request_once(void **state)
{
	struct scene *x = *state;
	struct random r;
	struct agent agents[3];
	uint64_t in = 0, out = 0;
	struct merge_stats st;

	random_seed(&r, 5);
	for (size_t i = 0; i < 3; i++)
		agents[i] = agent(x, (const char *[]){ "a", "b", "c" }[i], NULL);
	for (int n = 0; n < 3000; n++) {
		struct agent *a = &agents[random_below(&r, 3)];
		struct agent as_it_was = *a;

		x->now_ns += random_below(&r, 2) * S / 2;
		a->mono_ns += S;
		a->wall_ms += 1000;
		if (!random_below(&r, 9))
			a->boot++, a->seq = 0;
		in += push(x, a, "xy") ? 0 : 1;
		if (!random_below(&r, 4))
			assert_int_not_equal(push(x, &as_it_was, "xy"), 0);
		if (random_below(&r, 2)) {
			tick(x);
			for (size_t i = 0; i < x->t.nr_services; i++)
				out += x->t.services[i].requests;
		}
	}
	for (int i = 0; i < 4; i++) {
		tick(x);
		for (size_t k = 0; k < x->t.nr_services; k++)
			out += x->t.services[k].requests;
	}
	merge_stats(x->m, &st);
	assert_int_equal(st.samples, in);
	assert_true(in > 2000);
	assert_int_equal(out, 20 * (in - st.overrun - st.stale));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_merge_makes_one_tick_of_two_nodes),
		TEST(test_merge_takes_two_ticks_that_came_between),
		TEST(test_merge_late_and_gone_nodes_are_known_and_silent),
		TEST(test_merge_tells_changes_once),
		TEST(test_merge_refuses_repeats_and_the_past),
		TEST(test_merge_names_clocks_that_are_wrong),
		TEST(test_merge_does_not_mix_the_past_into_now),
		TEST(test_merge_joins_an_edge_from_both_ends),
		TEST(test_merge_shares_the_servers_end_as_the_callers_count),
		TEST(test_merge_calls_of_nobody_we_know_come_from_outside),
		TEST(test_merge_tells_each_node_where_the_others_are),
		TEST(test_merge_is_bounded),
		TEST(test_merge_counts_every_request_once),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
