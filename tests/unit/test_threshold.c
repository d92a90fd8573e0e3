// SPDX-License-Identifier: GPL-2.0-or-later
/* How strange, how big, how long: the tail, the effect sizes, the debounce. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/util.h"
#include "detect/random.h"
#include "detect/threshold.h"

#define N 1024

/* Exponential values: exceeded with probability q at -ln q, shape 0. Averaged over draws. */
static void test_tail_of_the_exponential(void **state)
{
	(void)state;
	static double v[N];
	struct random r;
	double limit = 0, level = 0, shape = 0;

	random_seed(&r, 1);
	for (int k = 0; k < 200; k++) {
		struct tail t;
		for (size_t i = 0; i < N; i++)
			v[i] = -log(1 - random_unit(&r));
		assert_int_equal(tail_fit(v, N, -.5, .5, &t), 0);
		assert_int_equal(t.nr_peaks, 20);
		assert_true(t.limit > t.unlike && t.unlike > t.level);
		limit += t.limit / 200;
		level += t.level / 200;
		shape += t.shape / 200;
	}
	assert_float_equal(level, -log(.02), .05);
	assert_float_equal(shape, 0, .1);
	assert_true(limit > 8 && limit < 11.5); /* -ln 1e-4 = 9.2; twenty peaks scatter upwards */
}

/* How often is the limit really exceeded, by values from the same source? */
static void test_tail_keeps_its_promise(void **state)
{
	(void)state;
	static double v[N];
	struct random r;
	size_t over = 0, all = 0;

	random_seed(&r, 2);
	for (int k = 0; k < 300; k++) {
		struct tail t;
		for (size_t i = 0; i < N; i++)
			v[i] = -log(1 - random_unit(&r));
		assert_int_equal(tail_fit(v, N, -.2, 0, &t), 0);
		for (size_t i = 0; i < 5000; i++, all++)
			over += -log(1 - random_unit(&r)) > t.limit;
	}
	printf("tail: limit for 1e-4 exceeded by %.1e of %zu fresh values\n",
	       (double)over / (double)all, all);
	assert_true((double)over / (double)all < 6e-4);
}

static void test_tail_edge_cases(void **state)
{
	(void)state;
	static double v[N];
	struct tail t = { .limit = 7 };

	assert_int_equal(tail_fit(v, TAIL_SAMPLES_MIN - 1, -.2, 0, &t), -EINVAL);
	assert_int_equal(tail_fit(v, N, .2, .1, &t), -EINVAL);
	assert_true(t.limit == 7);
	/* All the same: the limit is that value, and the same value again is not over it. */
	for (size_t i = 0; i < N; i++)
		v[i] = .5;
	assert_int_equal(tail_fit(v, N, -.2, 0, &t), 0);
	assert_true(t.limit >= .5 && isfinite(t.limit));
	/* A clamped shape: the score's limit stays near what was seen, however wild the last peak. */
	for (size_t i = 0; i < N; i++)
		v[i] = .4 + .1 * (double)i / N;
	v[N - 1] = .9;
	assert_int_equal(tail_fit(v, N, -.2, 0, &t), 0);
	assert_true(t.shape <= 0 && t.limit < 1);
}

static struct features second(void)
{
	struct features f = { .traffic = true, .requests = 30 };

	for (size_t i = 0; i < NR_FEATURES; i++)
		f.v[i] = NAN;
	return f;
}

static double log_ms(double ms)
{
	return log(ms / 1000 + 5e-4);
}

static void test_effects_need_size(void **state)
{
	(void)state;
	const double normal[NR_FEATURES] = { [FEATURE_P50] = 2,
					     [FEATURE_P99] = 10,
					     [FEATURE_SELF] = 1,
					     [FEATURE_CPU] = .1,
					     [FEATURE_RUNQUEUE] = .05 };
	struct features f = second();

	assert_int_equal(effects(&f, normal), 0);
	f.duration.n[45] = 2;            /* 25 to 30 ms */
	f.v[FEATURE_P99] = log_ms(14.9); /* 1.49 times, but 4.9 ms */
	assert_int_equal(effects(&f, normal), 0);
	f.v[FEATURE_P99] = log_ms(15.1);
	assert_int_equal(effects(&f, normal), 1U << FEATURE_P99);
	f.duration.n[45] = 1; /* one request is no p99 */
	assert_int_equal(effects(&f, normal), 0);
	f.requests = 3; /* but one of three is a third */
	assert_int_equal(effects(&f, normal), 1U << FEATURE_P99);
	const double slow[NR_FEATURES] = { [FEATURE_P99] = 1000 };
	f.v[FEATURE_P99] = log_ms(1200); /* 200 ms, but 1.2 times */
	assert_int_equal(effects(&f, slow), 0);

	f = second();
	f.errors_n = 100;
	f.errors_failed = 2;
	f.errors_ratio = .02;
	assert_int_equal(effects(&f, normal), 0); /* two failures are not three */
	f.errors_failed = 3;
	f.errors_ratio = .03;
	assert_int_equal(effects(&f, normal), 1U << FEATURE_ERRORS);
	f.errors_n = 19;
	assert_int_equal(effects(&f, normal), 0);

	f = second();
	f.oldest_ms = 499;
	assert_int_equal(effects(&f, normal), 0);
	f.oldest_ms = 501;
	assert_int_equal(effects(&f, normal), 1U << FEATURE_OLDEST);
	const double patient[NR_FEATURES] = { [FEATURE_P99] = 900 };
	assert_int_equal(effects(&f, patient), 0);

	f = second();
	f.v[FEATURE_CPU] = log(.26 + .005);
	f.v[FEATURE_RUNQUEUE] = log(.0056 + 5e-5);
	assert_int_equal(effects(&f, normal), 1U << FEATURE_CPU | 1U << FEATURE_RUNQUEUE);
}

static void test_static_limits(void **state)
{
	(void)state;
	const struct static_limits limits = { .p99_ms = 1000, .errors_ratio = .1 };
	struct features f = second();

	f.p99_ms = 1000;
	assert_int_equal(static_effects(&f, &limits), 0);
	f.p99_ms = 1001;
	f.errors_ratio = .11;
	assert_int_equal(static_effects(&f, &limits), 1U << FEATURE_P99 | 1U << FEATURE_ERRORS);

	/* They are the user's to set. */
	const struct static_limits wide = { .p99_ms = 5000, .errors_ratio = .5 };
	assert_int_equal(static_effects(&f, &wide), 0);
}

struct votes {
	struct debounce d;
	uint64_t now_ns, tick_ns;
};

static enum debounce_change vote(struct votes *v, enum debounce_vote what, bool at_once)
{
	v->now_ns += v->tick_ns;
	return debounce_vote(&v->d, what, at_once, v->now_ns, 12);
}

static void test_debounce_three_of_five(void **state)
{
	(void)state;
	struct votes v = { .tick_ns = NSEC_PER_SEC };
	const enum debounce_vote scattered[] = { VOTE_SUSPECT, VOTE_CALM, VOTE_CALM,
						 VOTE_SUSPECT, VOTE_CALM, VOTE_CALM };

	for (int k = 0; k < 5; k++)
		for (size_t i = 0; i < ARRAY_SIZE(scattered); i++)
			assert_int_equal(vote(&v, scattered[i], false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_SUSPECT, false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_CALM, false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_SUSPECT, false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_SUSPECT, false), DEBOUNCE_OPENED);
	assert_int_equal(vote(&v, VOTE_SUSPECT, false), DEBOUNCE_SAME);

	/* Twelve calm ones in a row close. */
	for (int i = 0; i < 11; i++)
		assert_int_equal(vote(&v, VOTE_CALM, false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_CALM, false), DEBOUNCE_CLOSED);
	assert_false(v.d.open);
}

static void open_now(struct votes *v)
{
	*v = (struct votes){ .tick_ns = NSEC_PER_SEC };
	assert_int_equal(vote(v, VOTE_SUSPECT, true), DEBOUNCE_OPENED);
	for (int i = 0; i < VOTES_WINDOW; i++)
		assert_int_equal(vote(v, VOTE_CALM, false), DEBOUNCE_SAME);
}

/* What opens keeps open: three of five begin the count anew, one alone takes two calm ones back. */
static void test_debounce_closes_by_the_measure_that_opens(void **state)
{
	(void)state;
	struct votes v;

	open_now(&v);
	assert_int_equal(vote(&v, VOTE_SUSPECT, false), DEBOUNCE_SAME);
	assert_int_equal(v.d.calm, VOTES_WINDOW - 2);
	for (int i = VOTES_WINDOW - 2; i < 11; i++)
		assert_int_equal(vote(&v, VOTE_CALM, false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_CALM, false), DEBOUNCE_CLOSED);

	open_now(&v);
	for (int i = 0; i < 6; i++)
		assert_int_equal(vote(&v, VOTE_CALM, false), DEBOUNCE_SAME);
	vote(&v, VOTE_SUSPECT, false);
	vote(&v, VOTE_CALM, false);
	vote(&v, VOTE_SUSPECT, false);
	assert_true(v.d.calm > 0);
	vote(&v, VOTE_SUSPECT, false);
	assert_int_equal(v.d.calm, 0);

	/* One suspect second in ten is over within half a minute; one in three stays. */
	int closed = 0;
	open_now(&v);
	for (int i = 1; i <= 300 && !closed; i++)
		if (vote(&v, i % 10 ? VOTE_CALM : VOTE_SUSPECT, false) == DEBOUNCE_CLOSED)
			closed = i;
	assert_true(closed > 0 && closed <= 30);
	open_now(&v);
	for (int i = 1; i <= 300; i++)
		assert_int_equal(vote(&v, i % 3 ? VOTE_CALM : VOTE_SUSPECT, false), DEBOUNCE_SAME);
}

static void test_debounce_at_once_and_idle(void **state)
{
	(void)state;
	struct votes v = { .tick_ns = NSEC_PER_SEC };

	assert_int_equal(vote(&v, VOTE_SUSPECT, true), DEBOUNCE_OPENED);
	/* Silence is no proof of health: it closes only after a minute. */
	for (int i = 1; i < VOTES_IDLE; i++)
		assert_int_equal(vote(&v, VOTE_IDLE, false), DEBOUNCE_SAME);
	assert_int_equal(vote(&v, VOTE_IDLE, false), DEBOUNCE_CLOSED);
}

/* Ten ticks of 100 ms see one slow request ten times: that is one vote. */
static void test_debounce_short_ticks_vote_once_a_second(void **state)
{
	(void)state;
	struct votes v = { .tick_ns = 100 * NSEC_PER_MSEC };
	int opened_after = 0;

	for (int i = 1; i <= 10; i++)
		assert_int_equal(vote(&v, VOTE_SUSPECT, false), DEBOUNCE_SAME);
	for (int i = 11; i <= 40 && !opened_after; i++)
		if (vote(&v, VOTE_SUSPECT, false) == DEBOUNCE_OPENED)
			opened_after = i;
	assert_true(opened_after >= 18 && opened_after <= 30);
	/* But what opens at once waits for no vote. */
	struct votes w = { .tick_ns = 100 * NSEC_PER_MSEC };
	vote(&w, VOTE_CALM, false);
	assert_int_equal(vote(&w, VOTE_SUSPECT, true), DEBOUNCE_OPENED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tail_of_the_exponential),
		cmocka_unit_test(test_tail_keeps_its_promise),
		cmocka_unit_test(test_tail_edge_cases),
		cmocka_unit_test(test_effects_need_size),
		cmocka_unit_test(test_static_limits),
		cmocka_unit_test(test_debounce_three_of_five),
		cmocka_unit_test(test_debounce_closes_by_the_measure_that_opens),
		cmocka_unit_test(test_debounce_at_once_and_idle),
		cmocka_unit_test(test_debounce_short_ticks_vote_once_a_second),
	};
	return cmocka_run_group_tests_name("threshold", tests, NULL, NULL);
}
