// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The detector is blind to the injector. This program is linked from whole
 * archives of observe/, detect/, diagnose/ and what lies below them, without
 * fault/ and without the kernel half of faults: one call from there into the
 * injector, and it does not link. Here it is shown to be whole all the same: a
 * service that stops answering is found and blamed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "detect/detector.h"
#include "diagnose/diagnose.h"

/* Null unless somebody links them in. */
__attribute__((weak)) int faults_new(void);
__attribute__((weak)) int faults_arm(void);
__attribute__((weak)) int faults_each(void);

static void test_blind_has_no_injector(void **state)
{
	(void)state;
	assert_true(faults_new == NULL);
	assert_true(faults_arm == NULL);
	assert_true(faults_each == NULL);
}

/* Second @i of a service that answers 100 requests a second, or holds 4 and answers none. */
static void fill(struct service_sample *s, bool stuck, unsigned seconds_stuck)
{
	*s = (struct service_sample){ .id = 1, .name = "db" };
	if (stuck) {
		s->in_flight = 4;
		s->oldest_ns = seconds_stuck * NSEC_PER_SEC;
		return;
	}
	s->requests = 100;
	s->status_class[2] = 100;
	s->duration.n[30] = s->ttfb.n[30] = 100; /* 1 ms */
	s->duration_ns = s->ttfb_ns = 100 * NSEC_PER_MSEC;
}

static void test_blind_finds_a_service_that_stops(void **state)
{
	CLEANUP(detector_freep) struct detector *d = NULL;
	CLEANUP(diagnoser_freep) struct diagnoser *g = NULL;
	struct service_sample sample;
	struct tick tick = { .span_ns = NSEC_PER_SEC, .services = &sample, .nr_services = 1 };
	struct verdict verdict = { 0 };
	size_t nr = 0;

	(void)state;
	assert_int_equal(detector_new(NULL, &d), 0);
	assert_int_equal(diagnoser_new(&g), 0);
	for (unsigned i = 1; i <= 30; i++) {
		fill(&sample, i > 20, i - 20);
		tick.at_ns = i * NSEC_PER_SEC;
		assert_int_equal(detector_tick(d, &tick, &verdict, 1, &nr), 0);
		assert_int_equal(nr, 1);
		assert_int_equal(diagnoser_feed(g, &tick, &verdict, nr), 0);
		if (i <= 20)
			assert_false(verdict.anomalous);
	}
	assert_true(verdict.anomalous);
	assert_int_equal(verdict.scorer, SCORER_TOTAL_LOSS);

	struct diagnosis who;
	diagnoser_run(g, &who);
	assert_true(who.nr_causes >= 1);
	assert_string_equal(who.causes[0].name, "db");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blind_has_no_injector),
		cmocka_unit_test(test_blind_finds_a_service_that_stops),
	};

	return cmocka_run_group_tests_name("blind", tests, NULL, NULL);
}
