// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Features of one second: the same from 100 ms ticks and from 1 s ticks, honest about what is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/util.h"
#include "detect/features.h"

#define ID 3

struct feed {
	struct window window;
	uint64_t now_ns, tick_ns;
};

static void count(struct hist *h, uint64_t ns, uint64_t n)
{
	size_t i = 0;

	while (i < ABI_HIST_BUCKETS - 1 && hist_upper_ns(i) < ns)
		i++;
	h->n[i] += n;
}

/* @n requests of @ms each, and what else is set in @s; @calls go to the window's edges. */
static void push(struct feed *f, struct service_sample s, uint64_t n, double ms,
		 struct edge_sample *calls, size_t nr_calls)
{
	f->now_ns += f->tick_ns;
	s.id = ID;
	s.requests = n;
	s.duration_ns = (uint64_t)((double)n * ms * 1e6);
	if (n)
		count(&s.duration, (uint64_t)(ms * 1e6), n);
	struct tick t = { .at_ns = f->now_ns,
			  .span_ns = f->tick_ns,
			  .services = &s,
			  .nr_services = 1,
			  .edges = calls,
			  .nr_edges = nr_calls };
	window_push(&f->window, ID, &s, &t);
}

static struct features take(const struct feed *f)
{
	struct features ret;

	features_take(&f->window, 3 * NSEC_PER_SEC, &ret);
	return ret;
}

static double human(const struct features *f, enum feature which)
{
	return feature_human(which, f->v[which]);
}

static void test_features_names_and_scales(void **state)
{
	(void)state;
	for (enum feature f = 0; f < NR_FEATURES; f++) {
		assert_true(strlen(feature_name(f)) > 0);
		for (enum feature g = 0; g < f; g++)
			assert_string_not_equal(feature_name(f), feature_name(g));
		assert_true(feature_resolution(f) > 0);
	}
	assert_string_equal(feature_name(FEATURE_OLDEST), "oldest_in_flight");
	assert_string_equal(feature_name(NR_FEATURES), "unknown");
	assert_string_equal(scorer_name(SCORER_TOTAL_LOSS), "total_loss");
	assert_true(isnan(feature_human(FEATURE_P99, NAN)));
	assert_false(feature_harmful(FEATURE_RATE));
	assert_true(features_hash() != 0);
	/* One histogram bucket is no anomaly: under two spreads at the least. */
	assert_true(log(1.25) / feature_resolution(FEATURE_P50) < 2);
}

static void test_features_do_not_depend_on_the_tick(void **state)
{
	(void)state;
	struct feed fast = { .tick_ns = 100 * NSEC_PER_MSEC }, slow = { .tick_ns = NSEC_PER_SEC };

	for (int second = 0; second < 5; second++) {
		double ms = second == 4 ? 20 : 2;
		for (int i = 0; i < 10; i++)
			push(&fast,
			     (struct service_sample){ .cpu_ns = NSEC_PER_MSEC, .in_flight = 2 }, 3,
			     ms, NULL, 0);
		push(&slow, (struct service_sample){ .cpu_ns = 10 * NSEC_PER_MSEC, .in_flight = 2 },
		     30, ms, NULL, 0);
	}
	struct features a = take(&fast), b = take(&slow);
	assert_int_equal(a.requests, 30);
	assert_int_equal(b.requests, 30);
	for (enum feature f = 0; f < NR_FEATURES; f++)
		assert_true((isnan(a.v[f]) && isnan(b.v[f])) || fabs(a.v[f] - b.v[f]) < 1e-9);
	/* Only the last second counts: 20 ms, not a mixture. */
	assert_true(human(&a, FEATURE_P50) > 15);
	assert_float_equal(human(&a, FEATURE_RATE), 30, 1e-6);
	assert_float_equal(human(&a, FEATURE_CPU), .01, 1e-6);
}

static void test_features_very_short_ticks_still_make_a_second(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = 10 * NSEC_PER_MSEC };

	for (int i = 0; i < 500; i++)
		push(&f, (struct service_sample){ 0 }, 1, 2, NULL, 0);
	assert_float_equal(
		human(&(struct features){ .v = { [FEATURE_RATE] = take(&f).v[FEATURE_RATE] } },
		      FEATURE_RATE),
		100, 1);
	assert_true(take(&f).requests >= 85 && take(&f).requests <= 115);
}

static void test_features_missing_is_not_zero(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };

	push(&f, (struct service_sample){ 0 }, 0, 0, NULL, 0);
	struct features x = take(&f);
	assert_false(x.traffic);
	assert_true(isnan(x.v[FEATURE_P50]) && isnan(x.v[FEATURE_P99]) &&
		    isnan(x.v[FEATURE_SELF]) && isnan(x.v[FEATURE_ERRORS]) &&
		    isnan(x.v[FEATURE_RUNQUEUE]));

	/* Silence with something in flight is traffic, and its age shows. */
	push(&f, (struct service_sample){ .in_flight = 4, .oldest_ns = 2 * NSEC_PER_SEC }, 0, 0,
	     NULL, 0);
	x = take(&f);
	assert_true(x.traffic);
	assert_false(x.total_loss);
	assert_float_equal(human(&x, FEATURE_OLDEST), 2000, 1e-6);
	assert_float_equal(human(&x, FEATURE_IN_FLIGHT), 4, 1e-6);
}

static void test_features_total_loss(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };
	struct service_sample hung = { .in_flight = 4 };

	push(&f, (struct service_sample){ 0 }, 10, 2, NULL, 0);
	for (int i = 1; i <= 4; i++) {
		hung.oldest_ns = (uint64_t)i * NSEC_PER_SEC;
		push(&f, hung, 0, 0, NULL, 0);
		assert_int_equal(take(&f).total_loss, i >= 3);
	}
	/* A body that is still being sent is no silence. */
	hung.tx_bytes = 1000;
	push(&f, hung, 0, 0, NULL, 0);
	assert_false(take(&f).total_loss);
	/* One answer ends it. */
	hung.tx_bytes = 0;
	push(&f, hung, 1, 5000, NULL, 0);
	assert_false(take(&f).total_loss);
}

static void test_features_errors_need_twenty_requests(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };

	/* Three a second: evidence from the seventh second on, over more than one second. */
	for (int i = 1; i <= 8; i++) {
		push(&f, (struct service_sample){ .status_class = { [5] = 1 } }, 3, 2, NULL, 0);
		struct features x = take(&f);
		assert_int_equal(isnan(x.v[FEATURE_ERRORS]), i < 7);
		if (i >= 7)
			assert_float_equal(x.errors_ratio, 1. / 3, .01);
	}
	/* Enough in one second: nothing older counts. Who hung up before the answer has failed too. */
	push(&f, (struct service_sample){ .aborted = 5 }, 45, 2, NULL, 0);
	assert_float_equal(take(&f).errors_ratio, .1, 1e-9);
	assert_int_equal(take(&f).errors_n, 50);
	assert_float_equal(human(&(struct features){ .v = { [FEATURE_ERRORS] = log(.005 / .995) } },
				 FEATURE_ERRORS),
			   0, 0);
}

static struct edge_sample call(uint64_t n, double ms)
{
	return (struct edge_sample){ .client = ID,
				     .server = 9,
				     .client_requests = n,
				     .client_duration_ns = (uint64_t)((double)n * ms * 1e6) };
}

static void test_features_self_time_is_without_calls(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };
	struct edge_sample e[2] = { call(10, 6), call(10, 2) };

	push(&f, (struct service_sample){ 0 }, 10, 10, e, 2);
	assert_float_equal(
		human(&(struct features){ .v = { [FEATURE_SELF] = take(&f).v[FEATURE_SELF] } },
		      FEATURE_SELF),
		2, 1e-6);
	/* Somebody else's calls are not ours. */
	e[0].client = 4;
	e[1].client = 0;
	push(&f, (struct service_sample){ 0 }, 10, 10, e, 2);
	struct features x = take(&f);
	assert_float_equal(human(&x, FEATURE_SELF), 10, 1e-6);
	/* Only the server's end of the call was seen. */
	e[0] = (struct edge_sample){
		.client = ID, .server = 9, .server_requests = 10, .server_duration_ns = 70000000
	};
	push(&f, (struct service_sample){ 0 }, 10, 10, e, 1);
	x = take(&f);
	assert_float_equal(human(&x, FEATURE_SELF), 3, 1e-6);
}

/* The call ends in one tick, the request it was for in the next. */
static void test_features_self_time_over_the_tick_border(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };
	struct edge_sample e = call(1, 1990);

	push(&f, (struct service_sample){ .in_flight = 1, .oldest_ns = 1995 * NSEC_PER_MSEC }, 0, 0,
	     &e, 1);
	push(&f, (struct service_sample){ 0 }, 1, 2000, NULL, 0);
	struct features x = take(&f);
	assert_float_equal(human(&x, FEATURE_SELF), 10, 1e-6);

	/* With nobody in flight there is nobody to carry it for. */
	push(&f, (struct service_sample){ 0 }, 0, 0, &e, 1);
	push(&f, (struct service_sample){ 0 }, 1, 2000, NULL, 0);
	x = take(&f);
	assert_float_equal(human(&x, FEATURE_SELF), 2000, 1e-3);
}

/* Eight seconds waited for a callee that never answered are not the caller's own. */
static void test_features_given_up_calls_are_waiting(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };

	for (int i = 1; i <= 7; i++) {
		struct edge_sample e = { .client = ID,
					 .server = 9,
					 .client_in_flight = 1,
					 .client_oldest_ns = (uint64_t)i * NSEC_PER_SEC };
		push(&f,
		     (struct service_sample){ .in_flight = 1,
					      .oldest_ns = (uint64_t)i * NSEC_PER_SEC },
		     0, 0, &e, 1);
	}
	struct edge_sample gone = { .client = ID, .server = 9, .client_aborted = 1 };
	push(&f, (struct service_sample){ 0 }, 1, 8000, &gone, 1);
	struct features x = take(&f);
	/* The age is known to a tick. */
	assert_true(human(&x, FEATURE_SELF) <= 1000);
}

static void test_features_missing_sample_is_silence(void **state)
{
	(void)state;
	struct feed f = { .tick_ns = NSEC_PER_SEC };
	struct tick empty = { .at_ns = 2 * NSEC_PER_SEC, .span_ns = NSEC_PER_SEC };

	push(&f, (struct service_sample){ .in_flight = 3 }, 10, 2, NULL, 0);
	window_push(&f.window, ID, NULL, &empty);
	struct features x = take(&f);
	assert_int_equal(x.in_flight, 0);
	assert_false(x.traffic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features_names_and_scales),
		cmocka_unit_test(test_features_do_not_depend_on_the_tick),
		cmocka_unit_test(test_features_very_short_ticks_still_make_a_second),
		cmocka_unit_test(test_features_missing_is_not_zero),
		cmocka_unit_test(test_features_total_loss),
		cmocka_unit_test(test_features_errors_need_twenty_requests),
		cmocka_unit_test(test_features_self_time_is_without_calls),
		cmocka_unit_test(test_features_self_time_over_the_tick_border),
		cmocka_unit_test(test_features_given_up_calls_are_waiting),
		cmocka_unit_test(test_features_missing_sample_is_silence),
	};
	return cmocka_run_group_tests_name("features", tests, NULL, NULL);
}
