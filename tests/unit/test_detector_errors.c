// SPDX-License-Identifier: GPL-2.0-or-later
/* The detector and failing requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../lib/rig.h"
#include "base/util.h"

static void test_detector_errors_name_the_feature(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 6, NULL);
	rig_warm(&r);
	synth_of(&r.synth, SYNTH_DB)->error_share = .2;
	assert_true(rig_wait(&r, SYNTH_DB, 12) > 0);
	const struct verdict *v = rig_verdict(&r, SYNTH_DB);
	assert_int_equal(v->scorer, SCORER_FOREST);
	assert_int_equal(v->top[0].feature, FEATURE_ERRORS);
	assert_true(v->top[0].value > .05 && v->top[0].value < .5);
	assert_true(v->top[0].normal < .01);
	assert_true(v->top[0].share > .8);
	/* One feature out of nine: the classic score does not see it. */
	assert_true(v->classic_score < v->threshold);
	rig_release(&r);
}

/*
 * A baseline of half a minute, which one bad second can spoil: it is the forest all the same that
 * finds half of all requests failing, and not a fixed limit.
 */
static void test_detector_finds_failures_on_a_thin_baseline(void **state)
{
	(void)state;
	static const double shares[] = { .5, .9 };
	struct detector_config c;
	struct rig r;

	detector_config_default(&c);
	c.shadow_samples = 200;
	c.baseline_samples = 300;
	for (unsigned k = 0; k < 32; k++) {
		uint32_t id = 1 + k / 2 % 4;
		rig_init(&r, 1 + k / 8, &c);
		for (size_t i = 0; i < 3000 && !detector_warm(r.detector); i++) {
			/* Every four seconds half a one in which everybody else wants the CPUs. */
			r.synth.crowded = i % 40 < 5 && k / 8 % 2 ? 200 : 1;
			rig_tick(&r);
		}
		assert_true(detector_warm(r.detector));
		r.synth.crowded = 1;
		r.synth.tick_ns = NSEC_PER_SEC;
		for (int i = 0; i < 20; i++)
			rig_tick(&r);
		synth_of(&r.synth, id)->error_share = shares[k % 2];
		assert_true(rig_wait(&r, id, 15) > 0);
		const struct verdict *v = rig_verdict(&r, id);
		if (v->scorer != SCORER_FOREST)
			fail_msg("seed %u, service %u: %s: %s", 1 + k / 8, id,
				 scorer_name(v->scorer), v->why);
		assert_true(v->score > v->threshold);
		rig_release(&r);
	}
}

/* Half of all requests failing opens with the first tick that has twenty of them. */
static void test_detector_half_failing_opens_at_once(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 7, NULL);
	rig_warm(&r);
	synth_of(&r.synth, SYNTH_PRODUCT)->error_share = .9;
	assert_true(rig_wait(&r, SYNTH_PRODUCT, 5) <= 2);
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detector_errors_name_the_feature),
		cmocka_unit_test(test_detector_finds_failures_on_a_thin_baseline),
		cmocka_unit_test(test_detector_half_failing_opens_at_once),
	};
	return cmocka_run_group_tests_name("detector_errors", tests, NULL, NULL);
}
