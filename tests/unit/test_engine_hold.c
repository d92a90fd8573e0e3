// SPDX-License-Identifier: GPL-2.0-or-later
/* Of whom the detector must not learn while an incident lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "tests/lib/remediate_world.h"

#define S NSEC_PER_SEC

static struct world w;

static int setup(void **state)
{
	world_init(&w);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_release(&w);
	return 0;
}

/*
 * A person has it: whoever of its members is still anomalous is no longer held, so that a level that lasts
 * can become the new normal and end it; nothing is learned of the others.
 */
static void test_engine_escalated_leaves_the_anomalous_to_the_detector(void **state)
{
	(void)state;
	w.config.mode = GUARD_AUTO_SAFE;
	world_start(&w);
	world_slow_db(&w);
	world_sick(&w, PRODUCT, SCORER_FOREST);
	world_tick(&w, 1);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_OPEN);
	assert_int_equal(w.held_until[DB], w.now_ns + 5 * S);
	assert_int_equal(w.held_until[PRODUCT], w.now_ns + 5 * S);
	for (int k = 0; k < 60 && i->state != INCIDENT_ESCALATED; k++)
		world_tick(&w, 1);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	world_well(&w, PRODUCT);
	world_tick(&w, 1);
	uint64_t db = w.held_until[DB];
	world_tick(&w, 90);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_int_equal(w.held_until[DB], db);
	assert_true(db < w.now_ns);
	assert_int_equal(w.held_until[PRODUCT], w.now_ns + 5 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_engine_escalated_leaves_the_anomalous_to_the_detector),
	};

	return cmocka_run_group_tests_name("engine_hold", tests, NULL, NULL);
}
