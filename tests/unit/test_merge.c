// SPDX-License-Identifier: GPL-2.0-or-later
/* Many nodes into one tick: who is late, gone, repeated, or wrong about the time. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "detect/random.h"
#include "observe/merge.h"
#include "tests/lib/merge_scene.h"

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
		TEST(test_merge_is_bounded),
		TEST(test_merge_counts_every_request_once),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
