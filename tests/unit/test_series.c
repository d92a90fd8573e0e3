// SPDX-License-Identifier: GPL-2.0-or-later
/* The history: what is known stays, what is not known is a gap, and neither takes more room than it may. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "observe/series.h"
#include "observe/series_code.h"

#define T0 1700000000LL /* unix seconds; a multiple of ten */
#define MS_BUCKET 31    /* of the kernel's scheme: 1 ms to 1.25 ms */

static struct series *series;

static int setup(void **state)
{
	(void)state;
	return series_new(&series);
}

static int teardown(void **state)
{
	(void)state;
	series_free(series);
	series = NULL;
	return 0;
}

/* One tick of @span_s that ends at @end_ms, of one service. */
static void push(const char *name, int64_t end_ms, double span_s, uint64_t requests,
		 uint64_t failed)
{
	struct service_sample s = { .id = 7, .requests = requests, .cpu_ns = 500000000 };
	struct edge_sample edge = { .client = 7,
				    .server = 8,
				    .client_duration_ns = requests * 250000 };
	struct tick t = { .span_ns = (uint64_t)(span_s * 1e9),
			  .services = &s,
			  .nr_services = 1,
			  .edges = &edge,
			  .nr_edges = 1 };
	const struct series_score score = { 7, .5, .625 };
	struct series_input in = { .end_ms = end_ms,
				   .tick = &t,
				   .knows_tasks = true,
				   .knows_in_flight = true,
				   .scores = &score,
				   .nr_scores = 1 };

	snprintf(s.name, sizeof(s.name), "%s", name);
	s.status_class[2] = requests - failed;
	s.status_class[5] = failed;
	s.duration.n[MS_BUCKET] = requests;
	s.duration_ns = requests * 1000000;
	s.in_flight = 3;
	series_push(series, &in);
}

static void read_into(struct series_window *w, int64_t from, int64_t to, uint32_t step, int64_t now)
{
	assert_int_equal(series_window(from, to, step, now, w), 0);
	assert_int_equal(series_read(series, "db", now, w), 0);
}

static void assert_near(double value, double wanted)
{
	if (!(fabs(value - wanted) <= fabs(wanted) * 1e-3))
		fail_msg("%g instead of %g", value, wanted);
}

static void test_series_codes_keep_numbers(void **state)
{
	(void)state;
	for (double v = 2e-6; v < 1e8; v *= 1.37)
		if (fabs(series_decode(series_encode(v)) - v) > v * 3e-4)
			fail_msg("%g became %g", v, (double)series_decode(series_encode(v)));
	assert_int_equal(series_encode(0), 0);
	assert_true(series_decode(0) == 0);
	assert_int_equal(series_encode(NAN), SERIES_CODE_UNKNOWN);
	assert_int_equal(series_encode(-1), SERIES_CODE_UNKNOWN);
	assert_true(isnan(series_decode(SERIES_CODE_UNKNOWN)));
	/* What is over the scale is its end, not a gap. */
	assert_int_equal(series_encode(1e300), SERIES_CODE_UNKNOWN - 1);
	assert_int_equal(series_encode(INFINITY), SERIES_CODE_UNKNOWN - 1);
	for (uint64_t n = 0; n <= 3; n++)
		assert_int_equal(series_decode_count(series_encode_count(n)), n);
	for (uint64_t n = 4; n < 1000000000; n += n / 3)
		if (fabs((double)series_decode_count(series_encode_count(n)) - (double)n) >
		    (double)n * .05 + .5)
			fail_msg("%lu became %u", n, series_decode_count(series_encode_count(n)));
	assert_true(series_decode_count(series_encode_count(UINT64_MAX)) > 3000000000U);
}

/* Every bucket of the kernel's lies in one of the map's, and in order. */
static void test_series_heat_splits_no_bucket(void **state)
{
	size_t last = 0;

	(void)state;
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++) {
		size_t k = series_heat_bucket(i);
		assert_true(k == last || k == last + 1);
		if (i && k == last + 1)
			assert_near((double)hist_upper_ns(i - 1) / 1e6, series_heat_bound_ms(last));
		last = k;
	}
	assert_int_equal(last, SERIES_HEAT_BUCKETS - 1);
	assert_true(isinf(series_heat_bound_ms(last)));
}

static void test_series_gives_back_each_second(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	for (int i = 0; i < 20; i++)
		push("db", (T0 + i) * 1000 + 500, 1, 100 + (uint64_t)i, 10);
	read_into(&w, T0, T0 + 20, 1, T0 + 20);
	assert_int_equal(w.nr, 20);
	for (size_t i = 0; i < 19; i++) {
		assert_near(w.values[SERIES_RATE][i], 100 + (double)i);
		assert_near(w.values[SERIES_ERRORS][i], 10.0 / (100 + (double)i));
		assert_near(w.values[SERIES_SELF][i], .75);
		assert_near(w.values[SERIES_CPU][i], .5);
		assert_near(w.values[SERIES_SCORE][i], .5);
		assert_near(w.values[SERIES_THRESHOLD][i], .625);
		assert_true(w.values[SERIES_IN_FLIGHT][i] == 3);
		assert_true(w.values[SERIES_P50][i] > 1 && w.values[SERIES_P99][i] < 1.25);
		assert_true(w.heat_known[i]);
		assert_true(fabs(w.heat[i][4] - (100 + (double)i)) < 6);
		assert_int_equal(w.heat[i][3], 0);
	}
	/* Nothing woke: no run-queue time is known. */
	assert_true(isnan(w.values[SERIES_RUNQUEUE][3]));
	/* The newest second may still grow. */
	assert_true(isnan(w.values[SERIES_RATE][19]));
	assert_int_equal(w.known_s, T0);
}

static void test_series_adds_up_short_ticks(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	for (int i = 1; i <= 25; i++)
		push("db", T0 * 1000 + i * 100 - 50, .1, i <= 10 ? 5 : 7, 0);
	read_into(&w, T0, T0 + 2, 1, T0 + 3);
	assert_near(w.values[SERIES_RATE][0], 50);
	assert_near(w.values[SERIES_RATE][1], 70);
}

static void test_series_shows_gaps_as_gaps(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	push("db", T0 * 1000 + 500, 1, 5, 0);
	push("db", T0 * 1000 + 1500, 1, 0, 0);
	push("db", T0 * 1000 + 6500, 1, 5, 0); /* its span covers one second, five were not seen */
	push("db", T0 * 1000 + 7500, 1, 5, 0);
	read_into(&w, T0 - 2, T0 + 8, 1, T0 + 8);
	assert_true(isnan(w.values[SERIES_RATE][0]));
	assert_near(w.values[SERIES_RATE][2], 5);
	/* Known, and idle: a rate of zero, and nothing that could have been measured. */
	assert_true(w.values[SERIES_RATE][3] == 0);
	assert_true(isnan(w.values[SERIES_ERRORS][3]));
	assert_true(isnan(w.values[SERIES_P99][3]));
	assert_true(isnan(w.values[SERIES_SELF][3]));
	for (size_t i = 4; i < 7; i++) {
		assert_true(isnan(w.values[SERIES_RATE][i]));
		assert_false(w.heat_known[i]);
	}
	assert_near(w.values[SERIES_RATE][8], 5);
}

/* A tick that came late, or just after the second's turn, leaves no hole. */
static void test_series_bridges_what_a_tick_covers(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	push("db", T0 * 1000 + 999, 1, 10, 0);
	push("db", T0 * 1000 + 2001, 1.002, 10, 0);
	push("db", T0 * 1000 + 2999, .998, 10, 0);
	push("db", T0 * 1000 + 6999, 4, 40, 0);
	push("db", T0 * 1000 + 7999, 1, 10, 0);
	read_into(&w, T0, T0 + 7, 1, T0 + 8);
	for (size_t i = 0; i < 7; i++)
		if (!(fabsf(w.values[SERIES_RATE][i] - 10) < .2))
			fail_msg("second %zu: %g", i, (double)w.values[SERIES_RATE][i]);
}

static void test_series_unknown_abilities_are_gaps(void **state)
{
	struct service_sample s = { .id = 1, .name = "db", .cpu_ns = 1000 };
	struct tick t = { .span_ns = NSEC_PER_SEC, .services = &s, .nr_services = 1 };
	struct series_input in = { .end_ms = T0 * 1000 + 1, .tick = &t };
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	series_push(series, &in);
	in.end_ms += 1000;
	series_push(series, &in);
	read_into(&w, T0, T0 + 1, 1, T0 + 2);
	assert_true(w.values[SERIES_RATE][0] == 0);
	assert_true(isnan(w.values[SERIES_CPU][0]));
	assert_true(isnan(w.values[SERIES_IN_FLIGHT][0]));
	assert_true(isnan(w.values[SERIES_SCORE][0]));
}

static void test_series_steps_weigh_and_peak(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	for (int i = 0; i < 11; i++)
		push("db", (T0 + i) * 1000 + 500, 1, i < 5 ? 300 : 100, i < 5 ? 0 : 100);
	read_into(&w, T0, T0 + 10, 10, T0 + 11);
	assert_int_equal(w.nr, 1);
	assert_near(w.values[SERIES_RATE][0], 200);
	/* By requests, not by seconds: 500 of 2000. */
	assert_near(w.values[SERIES_ERRORS][0], .25);
	assert_true(w.heat[0][4] > 1900 && w.heat[0][4] < 2100);
}

/* An hour of seconds, then tens of seconds for a day, then nothing; and no more memory than was said. */
static void test_series_keeps_an_hour_and_a_day(void **state)
{
	CLEANUP(series_window_release) struct series_window fine, coarse, old;
	struct series_stats stats;
	int64_t end = T0 + 100000;

	(void)state;
	for (int64_t s = T0; s < end; s++)
		push("db", s * 1000 + 500, 1, (uint64_t)(s - T0) / 10 % 50 + 1, 0);
	series_stats(series, &stats);
	assert_true(stats.bytes < sizeof(void *) * SERIES_SERVICES_MAX + 4096 + SERIES_BYTES_MAX);
	assert_int_equal(stats.services, 1);

	read_into(&fine, end - 3600, end, 1, end);
	assert_int_equal(fine.nr, 3600);
	for (size_t i = 0; i < 3599; i++)
		assert_near(fine.values[SERIES_RATE][i],
			    (double)((end - 3600 + (int64_t)i - T0) / 10 % 50 + 1));
	/* A step of 7 s is made 10 where seconds are no longer kept; 8640 points are too many for one answer. */
	read_into(&coarse, end - 40000, end - 4000, 7, end);
	assert_int_equal(coarse.step_s, 10);
	assert_int_equal(coarse.nr, 3600);
	for (size_t i = 0; i < 3600; i++)
		assert_near(coarse.values[SERIES_RATE][i],
			    (double)((coarse.from_s + (int64_t)i * 10 - T0) / 10 % 50 + 1));
	read_into(&old, T0, T0 + 10000, 10, end);
	for (size_t i = 0; i < old.nr; i++)
		assert_true(isnan(old.values[SERIES_RATE][i]));
	assert_int_equal(series_window(end - 86400, end, 10, end, &old), -E2BIG);
}

static void test_series_window_refuses_nonsense(void **state)
{
	struct series_window w;

	(void)state;
	assert_int_equal(series_window(10, 10, 1, 10, &w), -EINVAL);
	assert_int_equal(series_window(10, 5, 1, 10, &w), -EINVAL);
	assert_int_equal(series_window(-5, 5, 1, 10, &w), -EINVAL);
	assert_int_equal(series_window(0, 5, 0, 10, &w), -EINVAL);
	assert_int_equal(series_window(T0, T0 + 3601, 1, T0, &w), -E2BIG);
	assert_int_equal(series_window(0, INT64_MAX, 1, T0, &w), -E2BIG);
	assert_int_equal(series_read(series, "nobody", T0, &w), -ENOENT);
}

/* A restarted service has another id and the same name. A full table takes the one that is long unseen. */
static void test_series_bounds_its_services(void **state)
{
	CLEANUP(series_window_release) struct series_window w;
	struct series_stats stats;
	char name[16];

	(void)state;
	for (int i = 0; i < SERIES_SERVICES_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		push(name, T0 * 1000 + 500, 1, 1, 0);
		push(name, T0 * 1000 + 1500, 1, 1, 0);
	}
	push("db", T0 * 1000 + 1500, 1, 1, 0);
	series_stats(series, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.services, SERIES_SERVICES_MAX);
	/* All but s3 go on. */
	for (int i = 0; i < SERIES_SERVICES_MAX; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		if (i != 3)
			push(name, (T0 + 70) * 1000, 1, 1, 0);
	}
	push("db", (T0 + 70) * 1000, 1, 1, 0);
	push("db", (T0 + 71) * 1000, 1, 1, 0);
	read_into(&w, T0 + 70, T0 + 72, 1, T0 + 72);
	assert_near(w.values[SERIES_RATE][0], 1);
	series_stats(series, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(series_read(series, "s3", T0 + 72, &w), -ENOENT);
	assert_int_equal(series_read(series, "s4", T0 + 72, &w), 0);
}

/* The wall clock was set back: what is written then is what is shown for then. */
static void test_series_follows_a_clock_that_jumps(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	push("db", (T0 + 5000) * 1000, 1, 9, 0);
	push("db", (T0 + 5001) * 1000, 1, 9, 0);
	push("db", T0 * 1000, 1, 4, 0);
	push("db", (T0 + 1) * 1000, 1, 4, 0);
	push("db", (T0 + 2) * 1000, 1, 4, 0);
	read_into(&w, T0, T0 + 2, 1, T0 + 2);
	assert_near(w.values[SERIES_RATE][0], 4);
	assert_near(w.values[SERIES_RATE][1], 4);
	push("db", 0, 1, 4, 0);
	push("db", -5, 1, 4, 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_series_codes_keep_numbers),
		CASE(test_series_heat_splits_no_bucket),
		CASE(test_series_gives_back_each_second),
		CASE(test_series_adds_up_short_ticks),
		CASE(test_series_shows_gaps_as_gaps),
		CASE(test_series_bridges_what_a_tick_covers),
		CASE(test_series_unknown_abilities_are_gaps),
		CASE(test_series_steps_weigh_and_peak),
		CASE(test_series_keeps_an_hour_and_a_day),
		CASE(test_series_window_refuses_nonsense),
		CASE(test_series_bounds_its_services),
		CASE(test_series_follows_a_clock_that_jumps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
