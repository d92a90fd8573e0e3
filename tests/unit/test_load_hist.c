// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/util.h"
#include "tools/load/hist.h"
#include "tools/load/tally.h"

#define NR 50000

static struct hist h, other;
static struct tally tally;
static uint64_t values[NR];
static uint64_t seed = 42;

/* xorshift64* (S. Vigna, 2016), in [0, 1). */
static double draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (double)((seed * 0x2545f4914f6cdd1dULL) >> 11) / 9007199254740992.0;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Nearest rank, of the sorted values. */
static uint64_t exact(double q)
{
	double rank = ceil(q * NR - 1e-9);

	return values[rank < 1 ? 0 : (size_t)rank - 1];
}

static void check_quantiles(const char *what)
{
	static const double qs[] = { 0, .001, .01, .25, .5, .75, .9, .95, .99, .999, .9999, 1 };

	qsort(values, NR, sizeof(values[0]), by_size);
	for (size_t i = 0; i < ARRAY_SIZE(qs); i++) {
		double want = (double)exact(qs[i]), got = (double)hist_quantile(&h, qs[i]);

		if (fabs(got - want) > want / 512 + .5)
			fail_msg("%s: quantile %g is %.0f, exactly %.0f", what, qs[i], got, want);
	}
	assert_int_equal(hist_quantile(&h, 1), values[NR - 1]);
	assert_int_equal(h.min_ns, values[0]);
}

static void test_hist_slots_are_gapless_and_narrow(void **state)
{
	uint64_t width, next = 0;

	(void)state;
	for (size_t i = 0; i < HIST_SLOTS; i++) {
		uint64_t low = hist_slot_ns(i, &width);

		assert_int_equal(low, next);
		assert_int_equal(hist_slot(low), i);
		assert_int_equal(hist_slot(low + width - 1), i);
		assert_true(width == 1 || width * 256 <= low);
		next = low + width;
	}
	assert_int_equal(next, HIST_MAX_NS);
}

static void test_hist_quantiles_of_many_kinds(void **state)
{
	double sum;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		static const char *const names[] = { "uniform", "exponential", "two peaks",
						     "equal" };

		hist_reset(&h);
		sum = 0;
		for (size_t i = 0; i < NR; i++) {
			double u = draw();

			values[i] = kind == 0 ? (uint64_t)(u * 1e6) :
				kind == 1     ? (uint64_t)(-log(1 - u) * 5e6) :
				kind == 2     ? (uint64_t)(u < .9 ? 2e6 + u * 1e5 : 2e9 + u * 1e8) :
						20000000;
			sum += (double)values[i];
			hist_record(&h, values[i], 1);
		}
		check_quantiles(names[kind]);
		assert_true(fabs(hist_mean(&h) - sum / NR) < 1);
	}
}

static void test_hist_of_nothing(void **state)
{
	(void)state;
	hist_reset(&h);
	hist_record(&h, 5, 0);
	assert_int_equal(h.total, 0);
	assert_int_equal(hist_quantile(&h, .5), 0);
	assert_true(hist_mean(&h) == 0);
}

static void test_hist_counts_what_is_too_long(void **state)
{
	(void)state;
	hist_reset(&h);
	hist_record(&h, 1000, 99);
	hist_record(&h, HIST_MAX_NS + 12345, 1);
	assert_int_equal(h.clamped, 1);
	assert_int_equal(hist_quantile(&h, .99), 1001);
	assert_int_equal(hist_quantile(&h, 1), HIST_MAX_NS + 12345);
}

static void test_hist_merges_as_if_added(void **state)
{
	(void)state;
	hist_reset(&h);
	hist_reset(&other);
	for (size_t i = 0; i < NR; i++) {
		values[i] = (uint64_t)(draw() * 1e8);
		hist_record(i % 3 ? &h : &other, values[i], 1);
	}
	hist_merge(&h, &other);
	assert_int_equal(h.total, NR);
	check_quantiles("merged");
	hist_reset(&other);
	hist_merge(&h, &other);
	assert_int_equal(h.total, NR);
}

static void test_tally_counts_failures_with_their_time(void **state)
{
	const struct conn_request rq = { .due_ns = 1000000, .sent_ns = 3000000 };

	(void)state;
	memset(&tally, 0, sizeof(tally));
	assert_true(tally_answer(&tally, &rq, 200, 5000000));
	assert_true(tally_answer(&tally, &rq, 302, 5000000));
	assert_false(tally_answer(&tally, &rq, 503, 5000000));
	tally_failure(&tally, &rq, FAIL_TIMEOUT, 9000000);
	assert_int_equal(tally.requests, 4);
	assert_int_equal(tally.errors, 2);
	assert_int_equal(tally.failures[FAIL_STATUS], 1);
	assert_int_equal(tally.failures[FAIL_TIMEOUT], 1);
	assert_int_equal(tally.status[503], 1);
	/* From when it was due, and from when it was sent. */
	assert_int_equal(tally.latency.max_ns, 8000000);
	assert_int_equal(tally.latency.min_ns, 4000000);
	assert_int_equal(tally.service.max_ns, 6000000);
	assert_int_equal(tally.service.min_ns, 2000000);
	assert_int_equal(tally.second_requests, 4);
	tally_second(&tally);
	assert_int_equal(tally.second_requests + tally.second.total, 0);
	assert_int_equal(tally.requests, 4);
}

static void test_tally_unsent_is_in_latency_alone(void **state)
{
	(void)state;
	/* Due every millisecond from 0, and the end is at 1 s: waits of 1000, 999 … 1 ms. */
	memset(&tally, 0, sizeof(tally));
	tally_unsent(&tally, 0, 1e6, 1000, 1000000000);
	assert_int_equal(tally.unsent, 1000);
	assert_int_equal(tally.requests, 0);
	assert_int_equal(tally.latency.total, 1000);
	assert_int_equal(tally.service.total, 0);
	assert_int_equal(tally.latency.min_ns, 1000000);
	assert_int_equal(tally.latency.max_ns, 1000000000);
	assert_true(fabs((double)hist_quantile(&tally.latency, .5) - 5e8) < 2e6);

	/* A day's backlog takes no day: groups, with the same picture. */
	memset(&tally, 0, sizeof(tally));
	tally_unsent(&tally, 0, 1000, 86400000000ULL, 86400000000000ULL);
	assert_int_equal(tally.latency.total, 86400000000ULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hist_slots_are_gapless_and_narrow),
		cmocka_unit_test(test_hist_quantiles_of_many_kinds),
		cmocka_unit_test(test_hist_of_nothing),
		cmocka_unit_test(test_hist_counts_what_is_too_long),
		cmocka_unit_test(test_hist_merges_as_if_added),
		cmocka_unit_test(test_tally_counts_failures_with_their_time),
		cmocka_unit_test(test_tally_unsent_is_in_latency_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
