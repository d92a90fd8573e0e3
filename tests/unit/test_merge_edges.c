// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls across nodes: one edge from both ends, and who is where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "observe/merge.h"
#include "tests/lib/merge_scene.h"

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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_merge_joins_an_edge_from_both_ends),
		TEST(test_merge_shares_the_servers_end_as_the_callers_count),
		TEST(test_merge_calls_of_nobody_we_know_come_from_outside),
		TEST(test_merge_tells_each_node_where_the_others_are),
	};

	return cmocka_run_group_tests_name("merge_edges", tests, NULL, NULL);
}
