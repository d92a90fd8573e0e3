// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "observe/recent.h"
#include "observe/sample.h"

static void test_hist_bounds_hold_every_prometheus_bucket(void **state)
{
	static const double buckets[] = { .0005, .001, .0025, .005, .01, .025, .05, .075, .1,
					  .25,   .5,   .75,   1,    2.5, 5,    7.5, 10 };

	(void)state;
	assert_int_equal(hist_upper_ns(0), 1000);
	assert_int_equal(hist_upper_ns(1), 1250);
	assert_int_equal(hist_upper_ns(10), 10000);
	assert_int_equal(hist_upper_ns(ABI_HIST_BUCKETS - 2), 75 * NSEC_PER_SEC);
	assert_true(hist_upper_ns(ABI_HIST_BUCKETS - 1) == UINT64_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(buckets); i++) {
		bool there = false;
		for (size_t k = 0; k < ABI_HIST_BUCKETS; k++)
			there |= hist_upper_ns(k) == (uint64_t)llround(buckets[i] * 1e9);
		assert_true(there);
	}
}

static void test_hist_quantile_is_linear_within_a_bucket(void **state)
{
	struct hist h = { 0 };

	(void)state;
	assert_true(hist_quantile_ns(&h, .5) == 0);
	h.n[10] = 4; /* 7.5 to 10 us */
	assert_true(fabs(hist_quantile_ns(&h, .5) - 8750) < 1e-6);
	assert_true(fabs(hist_quantile_ns(&h, 1) - 10000) < 1e-6);
	assert_true(hist_quantile_ns(&h, 0) >= 7500);
	h.n[ABI_HIST_BUCKETS - 1] = 4;
	assert_true(hist_quantile_ns(&h, .99) == 75e9);
}

static struct tick make_tick(uint64_t at_s, uint64_t requests)
{
	struct tick t = { .at_ns = at_s * NSEC_PER_SEC,
			  .span_ns = NSEC_PER_SEC,
			  .nr_services = 1,
			  .nr_edges = 1 };

	t.services = calloc(1, sizeof(*t.services));
	t.edges = calloc(1, sizeof(*t.edges));
	assert_non_null(t.services);
	assert_non_null(t.edges);
	t.services[0].id = 7;
	t.services[0].requests = requests;
	t.services[0].in_flight = (uint32_t)requests;
	t.edges[0] = (struct edge_sample){
		.client = 7, .server = 8, .client_requests = requests, .client_duration_ns = 5
	};
	return t;
}

static void test_recent_adds_up_the_window_and_forgets_the_rest(void **state)
{
	struct recent *r;
	struct recent_service s;
	struct edge_sample e[4];
	double span;

	(void)state;
	assert_int_equal(recent_new(3 * NSEC_PER_SEC, &r), 0);
	assert_null(recent_newest(r));
	for (uint64_t i = 1; i <= 5; i++) {
		struct tick t = make_tick(i, i);
		recent_push(r, &t);
		assert_null(t.services);
	}
	recent_service(r, 7, &s);
	assert_true(fabs(s.span_s - 3) < 1e-9);
	assert_int_equal(s.sum.requests, 3 + 4 + 5);
	assert_int_equal(s.sum.in_flight, 5);
	assert_int_equal(s.callee_ns, 15);
	assert_int_equal(recent_total(r, 7), 15);
	assert_int_equal(recent_edges(r, e, ARRAY_SIZE(e), &span), 1);
	assert_int_equal(e[0].client_requests, 12);
	recent_service(r, 9, &s);
	assert_int_equal(s.sum.requests, 0);
	assert_true(s.span_s == 0);
	recent_forget(r, 7);
	assert_int_equal(recent_total(r, 7), 0);
	recent_free(r);
}

static void test_recent_is_bounded(void **state)
{
	struct recent *r;
	struct recent_service s;

	(void)state;
	assert_int_equal(recent_new(1000 * NSEC_PER_SEC, &r), 0);
	for (uint64_t i = 1; i <= 2 * RECENT_TICKS_MAX; i++) {
		struct tick t = make_tick(i, 1);
		recent_push(r, &t);
	}
	recent_service(r, 7, &s);
	assert_int_equal(s.sum.requests, RECENT_TICKS_MAX);
	recent_free(r);
}

static void test_tick_copy_is_deep(void **state)
{
	struct tick t = make_tick(1, 3), c;

	(void)state;
	assert_int_equal(tick_copy(&t, &c), 0);
	t.services[0].requests = 9;
	assert_int_equal(tick_service(&c, 7)->requests, 3);
	assert_null(tick_service(&c, 6));
	tick_release(&t);
	tick_release(&c);
	assert_int_equal(c.nr_services, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hist_bounds_hold_every_prometheus_bucket),
		cmocka_unit_test(test_hist_quantile_is_linear_within_a_bucket),
		cmocka_unit_test(test_recent_adds_up_the_window_and_forgets_the_rest),
		cmocka_unit_test(test_recent_is_bounded),
		cmocka_unit_test(test_tick_copy_is_deep),
	};

	return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
