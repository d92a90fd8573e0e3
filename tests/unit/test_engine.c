// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

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

/* db stands still: two witnesses. */
static void stopped_db(void)
{
	struct service_facts *f = &w.facts[DB - 1];

	world_sick(&w, DB, SCORER_TOTAL_LOSS);
	world_diagnose(&w, DB, FAULT_CLASS_UNRESPONSIVE, PRODUCT);
	f->answered = 0;
	f->in_flight = 5;
	f->oldest_ns = f->silent_ns = 4 * S;
	f->process_state = 'T';
}

static void test_engine_resets_a_fault_and_verifies(void **state)
{
	(void)state;
	world_start(&w);
	w.armed = 1;
	world_slow_db(&w);
	world_tick(&w, 1);
	const struct incident *i = world_incident(&w);
	assert_string_equal(i->id, "i-0001");
	assert_int_equal(i->state, INCIDENT_OPEN);
	assert_true(i->onset_ns == WORLD_START_NS - 2 * S);
	world_tick(&w, 2);
	assert_int_equal(w.resets, 1);
	assert_int_equal(w.last_target, DB);
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	assert_int_equal(i->result, INCIDENT_RESULT_PENDING);
	assert_true(w.held_until[DB] >= w.now_ns + 60 * S);
	world_all_well(&w);
	world_tick(&w, 9); /* 5 s settle, then six good ticks: the 5th to the 10th */
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	world_tick(&w, 1);
	assert_int_equal(i->state, INCIDENT_REPAIRED);
	assert_int_equal(i->result, INCIDENT_RESULT_VERIFIED);
	assert_true(i->closed_ns == w.now_ns);
	assert_int_equal(engine_stats(w.e)->repaired, 1);
	assert_int_equal(engine_stats(w.e)->healed, 0);

	static const char *const order[] = { "onset",       "anomaly",   "diagnosis",
					     "plan",        "guard",     "action_started",
					     "action_done", "recovered", "verified" };
	for (size_t k = 1; k < ARRAY_SIZE(order); k++)
		assert_true(world_find(i, order[k - 1], NULL) < world_find(i, order[k], NULL));
	assert_true(
		world_find(i, "anomaly",
			   "db: scorer forest, score 0.710, threshold 0.620, top feature p99 2011") >
		0);
	assert_true(world_find(i, "anomaly", "product") > 0);
	assert_true(world_find(i, "diagnosis", "db is the root cause (latency, confidence 0.82)") >
		    0);
	assert_true(world_find(i, "action_done", "1 fault disarmed") > 0);
	assert_int_equal(i->nr_evidence, 4);
	assert_string_equal(i->diagnosis.victims[0].name, "product");
	assert_false(i->live && world_find(i, "escalated", NULL) >= 0);
}

static void test_engine_nothing_armed_goes_on_to_restart(void **state)
{
	(void)state;
	world_start(&w);
	stopped_db();
	w.diagnosis.causes[0].resource = FAULT_CLASS_LATENCY;
	w.facts[DB - 1].process_state = 'S'; /* so the reset goes first */
	w.facts[DB - 1].window_caller_timeouts = 3;
	world_tick(&w, 4);
	const struct incident *i = world_incident(&w);
	assert_int_equal(w.resets, 1);
	assert_int_equal(w.restarts, 1);
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	assert_true(world_find(i, "action_done", "nothing was armed") > 0);
	assert_int_equal(i->nr_actions, 2);
	assert_false(i->actions[0].acted);
	assert_true(i->actions[1].acted);
	assert_int_equal(engine_stats(w.e)->actions_nothing, 1);
}

static void test_engine_restarts_what_stands_still_first(void **state)
{
	(void)state;
	world_start(&w);
	stopped_db();
	world_tick(&w, 3);
	const struct incident *i = world_incident(&w);
	assert_int_equal(w.restarts, 1);
	assert_int_equal(w.resets, 0);
	assert_true(world_find(i, "guard",
			       "witnesses: its requests go unanswered, its process is stopped") >
		    0);
	world_all_well(&w);
	world_tick(&w, 10);
	assert_int_equal(i->state, INCIDENT_REPAIRED);
	assert_true(world_find(i, "verified", "repaired by restart of db") > 0);
}

static void test_engine_failed_verification_takes_the_next(void **state)
{
	(void)state;
	w.config.guard.cooldown_ns = 5 * S;
	world_start(&w);
	w.armed = 1;
	world_slow_db(&w);
	world_tick(&w, 3);
	assert_int_equal(w.resets, 1);
	const struct incident *i = world_incident(&w);
	world_tick(&w, 125); /* still suspect at the end of the window */
	assert_true(world_find(i, "failed", "not back in the baseline") > 0);
	assert_int_equal(i->state, INCIDENT_PLANNED);
	/* Slow, but serving: no witnesses for a restart, so after its patience people are called. */
	world_tick(&w, 25);
	assert_int_equal(w.restarts, 0);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_true(i->live);
	assert_true(world_find(i, "guard", "too few independent witnesses") > 0);
	assert_true(world_find(i, "escalated", "did not help") > 0);
	/* Escalated stays the home of its members' anomalies. */
	w.verdicts[PRODUCT - 1].opened = true;
	world_tick(&w, 5);
	assert_int_equal(engine_stats(w.e)->opened, 1);
	world_all_well(&w);
	world_tick(&w, 4);
	assert_false(i->live);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_true(i->closed_ns > 0);
	assert_int_equal(engine_stats(w.e)->healed, 0); /* we had acted: not "by itself" */
}

static void test_engine_two_failures_open_the_breaker(void **state)
{
	(void)state;
	w.config.guard.cooldown_ns = 0;
	world_start(&w);
	w.restart_err = -ETIMEDOUT;
	stopped_db();
	world_tick(&w, 3);
	assert_int_equal(w.restarts, 1);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->result, INCIDENT_RESULT_FAILED);
	assert_true(world_find(i, "action_done", "it did not come back") > 0);
	w.armed = 1; /* the next candidate does something, and that does not help either */
	world_tick(&w, 130);
	assert_true(guard_breaker_open(engine_guard(w.e), w.now_ns, NULL));
	assert_int_equal(i->state, INCIDENT_ESCALATED);
}

static void test_engine_cooldown_is_explained(void **state)
{
	(void)state;
	w.config.guard.cooldown_ns = 40 * S;
	world_start(&w);
	stopped_db();
	world_tick(&w, 3);
	world_all_well(&w);
	world_tick(&w, 12);
	assert_int_equal(world_incident(&w)->state, INCIDENT_REPAIRED);
	stopped_db();
	world_tick(&w, 3);
	const struct incident *i = world_incident(&w);
	assert_string_equal(i->id, "i-0002");
	assert_int_equal(i->state, INCIDENT_PLANNED);
	assert_true(
		world_find(
			i, "guard",
			"restart db: waits: the service cools down after the last action (25 s more)") >
		0);
	assert_int_equal(w.restarts, 1);
	world_tick(&w, 24);
	assert_int_equal(w.restarts, 1);
	world_tick(&w, 2);
	assert_int_equal(w.restarts, 2);
}

static void test_engine_suggest_asks_and_a_person_decides(void **state)
{
	struct problem p = { 0 };

	(void)state;
	w.config.mode = GUARD_SUGGEST;
	world_start(&w);
	w.armed = 1;
	world_slow_db(&w);
	assert_int_equal(engine_approve(w.e, w.now_ns, "i-0001", NULL, "anna", &p), -ENOENT);
	assert_int_equal(p.status, 404);
	world_tick(&w, 1);
	assert_int_equal(engine_approve(w.e, w.now_ns, "i-0001", NULL, "anna", &p), -EEXIST);
	assert_int_equal(p.status, 409);
	world_tick(&w, 10);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_AWAITING_APPROVAL);
	assert_int_equal(w.resets, 0);
	assert_int_equal(engine_approve(w.e, w.now_ns, "i-0001", "a9", "anna", &p), -EEXIST);
	assert_int_equal(engine_approve(w.e, w.now_ns, "i-0001", "a1", "anna", &p), 0);
	assert_int_equal(i->state, INCIDENT_ACTING);
	world_jobs(&w);
	assert_int_equal(w.resets, 1);
	assert_true(world_find(i, "approved", "by anna") > 0);
	world_all_well(&w);
	world_tick(&w, 11);
	assert_int_equal(i->state, INCIDENT_REPAIRED);
}

static void test_engine_approval_lifts_no_limit(void **state)
{
	struct problem p = { 0 };

	(void)state;
	w.config.mode = GUARD_SUGGEST;
	world_start(&w);
	world_slow_db(&w);
	world_tick(&w, 5);
	w.kill_switch = true;
	world_tick(&w, 1);
	assert_int_equal(world_incident(&w)->state, INCIDENT_PLANNED);
	w.kill_switch = false;
	world_tick(&w, 1);
	assert_int_equal(world_incident(&w)->state, INCIDENT_AWAITING_APPROVAL);
	/* Approved while it is detached: the limits are asked again at that moment. */
	w.hold_jobs = true;
	w.facts[DB - 1].service = 99;
	struct engine_input in = { .now_ns = w.now_ns,
				   .facts = w.facts,
				   .nr_facts = WORLD_SERVICES };
	snprintf(w.facts[DB - 1].name, SERVICE_NAME_MAX, "other");
	assert_int_equal(world_incident(&w)->plan.next, 0);
	engine_tick(w.e, &in);
	assert_int_equal(engine_approve(w.e, w.now_ns, "i-0001", NULL, "anna", &p), -EEXIST);
	assert_int_equal(p.status, 409);
	assert_int_equal(w.resets + w.restarts, 0);
	assert_true(world_find(world_incident(&w), "guard", "not attached any more") > 0);
}

static void test_engine_reject_escalates(void **state)
{
	struct problem p = { 0 };

	(void)state;
	w.config.mode = GUARD_SUGGEST;
	world_start(&w);
	world_slow_db(&w);
	world_tick(&w, 5);
	assert_int_equal(engine_reject(w.e, w.now_ns, "i-0001", "anna", "we are\ndeploying", &p),
			 0);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_true(world_find(i, "rejected", "rejected by anna: we are deploying") > 0);
	assert_int_equal(engine_stats(w.e)->rejected, 1);
	assert_int_equal(w.resets, 0);
	assert_int_equal(engine_reject(w.e, w.now_ns, "i-0001", "anna", NULL, &p), -EEXIST);
}

static void test_engine_observe_does_nothing_until_the_mode_changes(void **state)
{
	(void)state;
	w.config.mode = GUARD_OBSERVE;
	world_start(&w);
	w.armed = 1;
	world_slow_db(&w);
	world_tick(&w, 60);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_PLANNED);
	assert_int_equal(w.resets, 0);
	assert_true(world_find(i, "guard", "mode observe") > 0);
	engine_set_mode(w.e, GUARD_AUTO_SAFE, "anna", w.now_ns);
	world_tick(&w, 1);
	assert_int_equal(w.resets, 1);
}

static void test_engine_silence_is_unverified_not_repaired(void **state)
{
	(void)state;
	world_start(&w);
	stopped_db();
	world_tick(&w, 3);
	world_all_well(&w);
	w.facts[DB - 1].answered = 0; /* up again, but nobody calls */
	world_tick(&w, 124);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	world_tick(&w, 2);
	assert_int_equal(i->state, INCIDENT_CLOSED);
	assert_int_equal(i->result, INCIDENT_RESULT_UNVERIFIED);
	assert_int_equal(engine_stats(w.e)->repaired, 0);
	assert_int_equal(engine_stats(w.e)->unverified, 1);
}

static void test_engine_counts_what_heals_by_itself_apart(void **state)
{
	(void)state;
	w.config.mode = GUARD_SUGGEST;
	world_start(&w);
	world_slow_db(&w);
	world_tick(&w, 5);
	world_all_well(&w);
	world_tick(&w, 5);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_CLOSED);
	assert_int_equal(i->result, INCIDENT_RESULT_HEALED);
	assert_int_equal(engine_stats(w.e)->healed, 1);
	assert_int_equal(engine_stats(w.e)->repaired, 0);
}

static void test_engine_unknown_root_escalates_then_learns(void **state)
{
	(void)state;
	world_start(&w);
	world_sick(&w, PRODUCT, SCORER_FOREST);
	world_diagnose(&w, 0, FAULT_CLASS_UNKNOWN, 0);
	world_tick(&w, 29);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_OPEN);
	assert_null(incident_root(i));
	world_tick(&w, 3);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	w.armed = 1;
	world_sick(&w, DB, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, PRODUCT);
	world_tick(&w, 4);
	assert_int_equal(engine_stats(w.e)->opened, 1);
	assert_string_equal(incident_root(i)->name, "db");
	assert_int_equal(w.resets, 1);
}

static void test_engine_root_may_change_before_the_plan(void **state)
{
	(void)state;
	world_start(&w);
	world_sick(&w, PRODUCT, SCORER_FOREST);
	world_diagnose(&w, PRODUCT, FAULT_CLASS_LATENCY, 0);
	world_tick(&w, 2);
	world_slow_db(&w);
	w.armed = 1;
	world_tick(&w, 3);
	const struct incident *i = world_incident(&w);
	assert_string_equal(i->id, "i-0001");
	assert_true(world_find(i, "diagnosis", "on second thoughts, db") > 0);
	assert_int_equal(w.last_target, DB);
	assert_int_equal(w.resets, 1);
	/* Under way: another opinion is noted once and changes nothing. */
	world_diagnose(&w, AUTH, FAULT_CLASS_ERRORS, PRODUCT);
	world_tick(&w, 8);
	assert_int_equal(w.resets, 1);
	assert_string_equal(incident_root(i)->name, "db");
	assert_true(world_find(i, "note", "a later diagnosis names auth") > 0);
}

static void test_engine_two_incidents_of_one_cause_become_one(void **state)
{
	(void)state;
	world_start(&w);
	world_sick(&w, PRODUCT, SCORER_FOREST);
	world_sick(&w, AUTH, SCORER_FOREST);
	world_tick(&w, 1);
	assert_int_equal(engine_stats(w.e)->opened, 2);
	world_diagnose(&w, AUTH, FAULT_CLASS_LATENCY, PRODUCT);
	world_tick(&w, 3);
	assert_int_equal(engine_stats(w.e)->merged, 1);
	const struct incident *one = engine_find(w.e, "i-0001"), *two = engine_find(w.e, "i-0002");
	assert_false(one->live && two->live);
	const struct incident *into = one->live ? one : two, *from = one->live ? two : one;
	assert_int_equal(from->state, INCIDENT_CLOSED);
	assert_true(world_find(from, "closed", into->id) > 0);
	assert_true(incident_has_member(into, AUTH) && incident_has_member(into, PRODUCT));
	assert_int_equal(engine_stats(w.e)->healed, 0);
}

static void test_engine_relapse_is_a_new_incident(void **state)
{
	(void)state;
	w.config.guard.cooldown_ns = 0;
	world_start(&w);
	w.armed = 1;
	world_slow_db(&w);
	world_tick(&w, 3);
	/* Back in the baseline, but the detector's anomaly closes only after 12 calm ticks. */
	w.verdicts[DB - 1].suspect = w.verdicts[PRODUCT - 1].suspect = false;
	w.diagnosed = false;
	world_tick(&w, 11);
	assert_int_equal(world_incident(&w)->state, INCIDENT_REPAIRED);
	world_tick(&w, 3);
	assert_int_equal(engine_stats(w.e)->opened, 1);
	world_all_well(&w);
	world_tick(&w, 1);
	assert_false(world_incident(&w)->live);
	world_slow_db(&w);
	world_tick(&w, 1);
	assert_int_equal(engine_stats(w.e)->opened, 2);
	assert_string_equal(world_incident(&w)->id, "i-0002");
}

static void test_engine_full_worker_is_tried_again(void **state)
{
	(void)state;
	world_start(&w);
	w.full = true;
	w.armed = 1;
	world_slow_db(&w);
	world_tick(&w, 6);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_PLANNED);
	assert_int_equal(i->nr_actions, 0);
	assert_true(engine_stats(w.e)->submit_full > 0);
	w.full = false;
	world_tick(&w, 1);
	assert_int_equal(w.resets, 1);
}

static void test_engine_down_waits_for_the_supervisor(void **state)
{
	(void)state;
	world_start(&w);
	world_sick(&w, DB, SCORER_TOTAL_LOSS);
	world_diagnose(&w, DB, FAULT_CLASS_DOWN, 0);
	w.facts[DB - 1].nr_pids = 0;
	w.facts[DB - 1].answered = 0;
	world_tick(&w, 3);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_VERIFYING);
	assert_string_equal(i->actions[0].result, "nothing was done; watching");
	w.facts[DB - 1].nr_pids = 1;
	world_all_well(&w);
	world_tick(&w, 12);
	assert_int_equal(i->state, INCIDENT_CLOSED);
	assert_int_equal(i->result, INCIDENT_RESULT_HEALED);
	assert_int_equal(engine_stats(w.e)->repaired, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_engine_resets_a_fault_and_verifies),
		T(test_engine_nothing_armed_goes_on_to_restart),
		T(test_engine_restarts_what_stands_still_first),
		T(test_engine_failed_verification_takes_the_next),
		T(test_engine_two_failures_open_the_breaker),
		T(test_engine_cooldown_is_explained),
		T(test_engine_suggest_asks_and_a_person_decides),
		T(test_engine_approval_lifts_no_limit),
		T(test_engine_reject_escalates),
		T(test_engine_observe_does_nothing_until_the_mode_changes),
		T(test_engine_silence_is_unverified_not_repaired),
		T(test_engine_counts_what_heals_by_itself_apart),
		T(test_engine_unknown_root_escalates_then_learns),
		T(test_engine_root_may_change_before_the_plan),
		T(test_engine_two_incidents_of_one_cause_become_one),
		T(test_engine_relapse_is_a_new_incident),
		T(test_engine_full_worker_is_tried_again),
		T(test_engine_down_waits_for_the_supervisor),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
