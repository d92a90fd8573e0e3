// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What others carry out for us, in the engine: a precondition that does not hold costs nothing, and
 * what did not help is taken back before the next candidate has its turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "remediate_world.h"

static struct world w;

/* db is a pod, slow, and scaled by itself: the witnesses are not what is tested here. */
static int setup(void **state)
{
	(void)state;
	world_init(&w);
	w.config.guard.witnesses = 0;
	w.config.guard.cooldown_ns = 0;
	w.config.verify.window_ns = 20 * NSEC_PER_SEC;
	facts_workload(&w.facts[DB - 1], FACTS_REACH_KUBE, "archaics", "db-1", "", "");
	world_start(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_release(&w);
	return 0;
}

/* Until scale has been carried out. */
static const struct incident *until_scaled(void)
{
	world_slow_db(&w);
	for (int i = 0; i < 60 && !w.changed; i++)
		world_tick(&w, 1);
	assert_int_equal(w.changed, 1);
	assert_int_equal(w.last_kind, ACTION_SCALE);
	assert_int_equal(w.last_target, DB);
	return world_incident(&w);
}

static void test_undo_after_no_help(void **state)
{
	const struct incident *i = until_scaled();

	(void)state;
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	assert_int_equal(w.undos, 0);
	for (int n = 0; n < 40 && !w.undos; n++)
		world_tick(&w, 1);
	assert_int_equal(w.undos, 1);
	int failed = world_find(i, "failed", "it is taken back");
	int undone = world_find(i, "undone", "scale: it is as it was");
	assert_true(failed >= 0 && undone > failed);
	assert_int_equal(engine_stats(w.e)->undone, 1);
	/* Once, and the next candidate comes after it. */
	world_tick(&w, 3);
	assert_int_equal(w.undos, 1);
	assert_int_not_equal(i->plan.actions[i->plan.next].kind, ACTION_SCALE);
}

static void test_undo_not_after_help(void **state)
{
	const struct incident *i = until_scaled();

	(void)state;
	world_all_well(&w);
	world_tick(&w, 30);
	assert_int_equal(w.undos, 0);
	assert_int_equal(i->result, INCIDENT_RESULT_VERIFIED);
}

static void test_undo_after_a_late_change(void **state)
{
	(void)state;
	w.change_err = -ETIMEDOUT;
	const struct incident *i = until_scaled();
	world_tick(&w, 3);
	assert_int_equal(w.undos, 1);
	assert_true(world_find(i, "action_done", "it is not ready") >= 0);
}

static void test_undo_not_of_what_was_refused(void **state)
{
	(void)state;
	w.change_err = -EBUSY;
	until_scaled();
	world_tick(&w, 3);
	assert_int_equal(w.undos, 0);
	assert_int_equal(engine_stats(w.e)->actions_failed, 1);
}

/* Somebody else has changed it: it is left alone, and we go on. */
static void test_undo_left_alone(void **state)
{
	(void)state;
	w.undo_ret = 1;
	const struct incident *i = until_scaled();
	for (int n = 0; n < 40 && !w.undos; n++)
		world_tick(&w, 1);
	assert_true(world_find(i, "undone", "somebody has changed it") >= 0);
	assert_int_equal(world_find(i, "escalated", "could not be taken back"), -1);
	assert_int_equal(engine_stats(w.e)->undone, 0);
}

static void test_undo_failed_is_for_a_person(void **state)
{
	(void)state;
	w.undo_ret = -EACCES;
	const struct incident *i = until_scaled();
	for (int n = 0; n < 40 && !w.undos; n++)
		world_tick(&w, 1);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_true(world_find(i, "escalated", "could not be taken back") >= 0);
	assert_int_equal(engine_stats(w.e)->undo_failed, 1);
}

/* The worker's queue is full: it is tried again, and nothing else is done before. */
static void test_undo_waits_for_room(void **state)
{
	const struct incident *i = until_scaled();

	(void)state;
	w.full = true;
	world_tick(&w, 40);
	assert_int_equal(w.undos, 0);
	assert_int_equal(w.prepares, 1);
	assert_true(world_find(i, "failed", NULL) >= 0);
	/* Calm by now, and yet it does not stay. */
	world_all_well(&w);
	world_tick(&w, 10);
	assert_true(i->live);
	w.full = false;
	world_tick(&w, 1);
	assert_int_equal(w.undos, 1);
}

static void test_precondition_costs_nothing(void **state)
{
	(void)state;
	w.prepare_ret = 1;
	world_slow_db(&w);
	w.facts[DB - 1].silent_ns = 9 * NSEC_PER_SEC; /* the only one, and it is not serving */
	world_tick(&w, 30);
	const struct incident *i = world_incident(&w);
	/* scale, then restart_pod; what is of risk 2 waits for a person. */
	assert_int_equal(w.prepares, 2);
	assert_int_equal(w.changed, 0);
	assert_true(world_find(i, "action_done", "scale of db: an autoscaler owns it") >= 0);
	assert_int_equal(engine_stats(w.e)->actions_nothing, 3); /* with reset_fault */
	assert_int_equal(engine_stats(w.e)->actions_failed, 0);
	assert_false(guard_breaker_open(engine_guard(w.e), w.now_ns, NULL));
	assert_int_equal(i->state, INCIDENT_AWAITING_APPROVAL);
}

static void test_restart_is_not_undone(void **state)
{
	(void)state;
	world_release(&w);
	facts_workload(&w.facts[DB - 1], FACTS_REACH_SYSTEMD, "", "", "", "db.service");
	world_start(&w);
	world_slow_db(&w);
	w.facts[DB - 1].silent_ns = 9 * NSEC_PER_SEC; /* the only one, and it is not serving */
	for (int n = 0; n < 60 && !w.changed; n++)
		world_tick(&w, 1);
	assert_int_equal(w.changed, 1);
	assert_int_equal(w.last_kind, ACTION_RESTART_UNIT);
	world_tick(&w, 40);
	assert_int_equal(w.undos, 0);
	assert_true(world_find(world_incident(&w), "failed", "nothing to undo") >= 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_undo_after_no_help),       TEST(test_undo_not_after_help),
		TEST(test_undo_after_a_late_change), TEST(test_undo_not_of_what_was_refused),
		TEST(test_undo_left_alone),          TEST(test_undo_failed_is_for_a_person),
		TEST(test_undo_waits_for_room),      TEST(test_precondition_costs_nothing),
		TEST(test_restart_is_not_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
