// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "remediate/guard.h"

#define S NSEC_PER_SEC
#define DB 2

struct world {
	struct guard *g;
	struct guard_limits limits;
	struct diagnosis d;
	struct service_facts db;
	struct action action;
	struct guard_question q;
};

static void world_limits(struct world *w)
{
	guard_free(w->g);
	assert_int_equal(guard_new(&w->limits, &w->g), 0);
}

static int setup(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	guard_limits_default(&w.limits);
	world_limits(&w);
	w.d.known = true;
	w.d.nr_causes = 1;
	w.d.causes[0].service = DB;
	snprintf(w.d.causes[0].name, sizeof(w.d.causes[0].name), "db");
	/* Stopped, with requests waiting: two witnesses. */
	w.db = (struct service_facts){ .service = DB,
				       .name = "db",
				       .supervised = true,
				       .replicas = 1,
				       .nr_pids = 1,
				       .in_flight = 4,
				       .oldest_ns = 4 * S,
				       .silent_ns = 4 * S,
				       .process_state = 'T' };
	w.action = (struct action){ .id = "a2",
				    .kind = ACTION_RESTART,
				    .target = DB,
				    .target_name = "db",
				    .risk = 1,
				    .reversible = true,
				    .blast_ratio = 1 };
	w.q = (struct guard_question){ .incident = 7,
				       .mode = GUARD_AUTO_SAFE,
				       .action = &w.action,
				       .diagnosis = &w.d,
				       .target = &w.db };
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	guard_free(((struct world *)*state)->g);
	return 0;
}

#define expect(w, now, wanted, words)                                          \
	do {                                                                   \
		struct guard_verdict _v = guard_check((w)->g, &(w)->q, (now)); \
		assert_int_equal(_v.answer, wanted);                           \
		assert_non_null(strstr(_v.why, words));                        \
	} while (0)

static void test_guard_allows_a_stopped_single_replica(void **state)
{
	struct world *w = *state;
	struct guard_verdict v = guard_check(w->g, &w->q, 100 * S);

	assert_int_equal(v.answer, GUARD_ALLOW);
	assert_int_equal(v.nr_witnesses, 2);
	assert_string_equal(v.witnesses[0], "its requests go unanswered");
	assert_string_equal(v.witnesses[1], "its process is stopped");
}

static void test_guard_modes(void **state)
{
	struct world *w = *state;

	w->q.mode = GUARD_OBSERVE;
	expect(w, 100 * S, GUARD_WAIT, "observe");
	w->q.mode = GUARD_SUGGEST;
	expect(w, 100 * S, GUARD_ASK, "approve");
	w->q.mode = GUARD_AUTO;
	expect(w, 100 * S, GUARD_ALLOW, "within every limit");
	w->q.mode = GUARD_AUTO_SAFE;
	w->action.risk = 2;
	expect(w, 100 * S, GUARD_ASK, "auto-safe");
	w->action.risk = 1;
	w->action.reversible = false;
	expect(w, 100 * S, GUARD_ASK, "auto-safe");
	w->q.approved = true;
	expect(w, 100 * S, GUARD_ALLOW, "a person approved");
}

static void test_guard_approval_lifts_no_limit(void **state)
{
	struct world *w = *state;

	w->q.mode = GUARD_SUGGEST;
	w->q.approved = true;
	snprintf(w->limits.protected_[0], sizeof(w->limits.protected_[0]), "db");
	w->limits.nr_protected = 1;
	world_limits(w);
	expect(w, 100 * S, GUARD_DENY, "protected");
}

static void test_guard_target_lists(void **state)
{
	struct world *w = *state;

	snprintf(w->limits.allowed[0], sizeof(w->limits.allowed[0]), "auth");
	w->limits.nr_allowed = 1;
	world_limits(w);
	expect(w, 100 * S, GUARD_DENY, "allow-list");
	snprintf(w->limits.allowed[1], sizeof(w->limits.allowed[1]), "db");
	w->limits.nr_allowed = 2;
	world_limits(w);
	expect(w, 100 * S, GUARD_ALLOW, "within");

	w->action.target = 9;
	expect(w, 100 * S, GUARD_DENY, "ranked causes");
	w->action.target = DB;
	w->q.target = NULL;
	expect(w, 100 * S, GUARD_DENY, "not attached");
}

static void test_guard_kill_switch_stops_all_but_harmless_kinds(void **state)
{
	struct world *w = *state;

	w->q.kill_switch = true;
	w->q.mode = GUARD_AUTO;
	expect(w, 100 * S, GUARD_WAIT, "kill-switch");
	w->action.kind = ACTION_RESET_FAULT;
	expect(w, 100 * S, GUARD_WAIT, "kill-switch");
	w->action.kind = ACTION_ESCALATE;
	expect(w, 100 * S, GUARD_ALLOW, "touches nothing");
}

static void test_guard_wants_two_witnesses_before_risk(void **state)
{
	struct world *w = *state;

	w->db.process_state = 'S';
	expect(w, 100 * S, GUARD_WAIT, "witnesses");
	w->db.window_caller_timeouts = 1;
	expect(w, 100 * S, GUARD_ALLOW, "within");
	w->db.window_caller_timeouts = 0;
	w->db.process_state = 'R';
	expect(w, 100 * S, GUARD_WAIT, "witnesses");
	w->db.cpu_cores = .99; /* spins */
	expect(w, 100 * S, GUARD_ALLOW, "within");
	w->db.process_state = 'S';
	w->action.kind = ACTION_RESET_FAULT;
	w->action.risk = 0;
	w->action.blast_ratio = 0;
	expect(w, 100 * S, GUARD_ALLOW, "within");
}

static void test_guard_blast_radius(void **state)
{
	struct world *w = *state;

	/* Stopped and timed out on, but it is one of two: the exception is for a single replica only. */
	w->db.replicas = 2;
	w->action.blast_ratio = .5;
	expect(w, 100 * S, GUARD_DENY, "replicas");
	w->db.replicas = 8;
	w->action.blast_ratio = .125;
	expect(w, 100 * S, GUARD_ALLOW, "within");
	/* A single one that serves: two witnesses, neither of which says that it does not. */
	w->db = (struct service_facts){ .service = DB,
					.name = "db",
					.replicas = 1,
					.nr_pids = 1,
					.process_state = 'D',
					.window_answered = 50,
					.window_caller_timeouts = 2 };
	w->action.blast_ratio = 1;
	expect(w, 100 * S, GUARD_DENY, "they are serving");
	w->db.window_failed = 25; /* half of them errors */
	expect(w, 100 * S, GUARD_ALLOW, "within");
	w->db.window_failed = 0;
	w->db.oldest_ns = 9 * S; /* late beyond its callers' time-outs */
	expect(w, 100 * S, GUARD_ALLOW, "within");
}

static void test_guard_one_in_flight_then_cooldown(void **state)
{
	struct world *w = *state;

	assert_int_equal(guard_record(w->g, 7, DB, GUARD_STARTED, 100 * S), 0);
	expect(w, 101 * S, GUARD_WAIT, "in flight");
	guard_record(w->g, 7, DB, GUARD_DONE, 110 * S);
	struct guard_verdict v = guard_check(w->g, &w->q, 120 * S);
	assert_int_equal(v.answer, GUARD_WAIT);
	assert_non_null(strstr(v.why, "cools down"));
	assert_true(v.until_ns == 410 * S);
	expect(w, 409 * S, GUARD_WAIT, "cools down");
	expect(w, 410 * S, GUARD_ALLOW, "within");
}

static void test_guard_nothing_done_costs_no_cooldown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(guard_record(w->g, 7, DB, GUARD_STARTED, 100 * S), 0);
		guard_record(w->g, 7, DB, GUARD_NOTHING, 100 * S);
	}
	expect(w, 100 * S, GUARD_ALLOW, "within");
}

static void test_guard_three_an_incident(void **state)
{
	struct world *w = *state;

	w->limits.cooldown_ns = 0;
	world_limits(w);
	for (int i = 0; i < 3; i++) {
		expect(w, (100 + i) * S, GUARD_ALLOW, "within");
		guard_record(w->g, 7, DB, GUARD_STARTED, (100 + i) * S);
		guard_record(w->g, 7, DB, GUARD_DONE, (100 + i) * S);
	}
	expect(w, 200 * S, GUARD_DENY, "one incident");
	w->q.incident = 8;
	expect(w, 200 * S, GUARD_ALLOW, "within");
}

static void test_guard_six_an_hour(void **state)
{
	struct world *w = *state;

	w->limits.cooldown_ns = 0;
	world_limits(w);
	for (uint32_t i = 0; i < 6; i++) {
		guard_record(w->g, 20 + i, 30 + i, GUARD_STARTED, (100 + i) * S);
		guard_record(w->g, 20 + i, 30 + i, GUARD_DONE, (100 + i) * S);
	}
	expect(w, 3000 * S, GUARD_WAIT, "one hour");
	expect(w, 3700 * S, GUARD_ALLOW, "within"); /* the first one has left the hour */
}

static void test_guard_breaker(void **state)
{
	struct world *w = *state;

	w->limits.cooldown_ns = 0;
	world_limits(w);
	guard_record(w->g, 1, 5, GUARD_FAILED, 100 * S);
	expect(w, 101 * S, GUARD_ALLOW, "within");
	guard_record(w->g, 1, 5, GUARD_HELPED, 102 * S);
	guard_record(w->g, 2, 5, GUARD_FAILED, 103 * S);
	expect(w, 104 * S, GUARD_ALLOW, "within");
	guard_record(w->g, 3, 6, GUARD_FAILED, 105 * S);
	expect(w, 106 * S, GUARD_DENY, "suspended");
	expect(w, 3704 * S, GUARD_DENY, "suspended");
	expect(w, 3705 * S, GUARD_ALLOW, "within");
	guard_record(w->g, 4, 6, GUARD_FAILED, 3800 * S); /* counts anew */
	expect(w, 3801 * S, GUARD_ALLOW, "within");
}

static void test_guard_full_memory_refuses(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < GUARD_HISTORY_MAX; i++)
		assert_int_equal(guard_record(w->g, i, 100 + i, GUARD_STARTED, 100 * S), 0);
	assert_int_equal(guard_record(w->g, 1, 9, GUARD_STARTED, 101 * S), -ENOSPC);
	for (uint32_t i = 0; i < GUARD_HISTORY_MAX; i++)
		guard_record(w->g, i, 100 + i, GUARD_DONE, 102 * S);
	assert_int_equal(guard_record(w->g, 1, 9, GUARD_STARTED, 103 * S), -ENOSPC);
	assert_int_equal(guard_record(w->g, 1, 9, GUARD_STARTED, 102 * S + 3600 * S), 0);
}

static void test_guard_mode_names(void **state)
{
	(void)state;
	for (enum guard_mode m = 0; m < NR_GUARD_MODES; m++) {
		enum guard_mode back = NR_GUARD_MODES;
		assert_int_equal(guard_mode_parse(guard_mode_name(m), &back), 0);
		assert_int_equal(back, m);
	}
	enum guard_mode untouched = GUARD_AUTO;
	assert_int_equal(guard_mode_parse("autosafe", &untouched), -EINVAL);
	assert_int_equal(untouched, GUARD_AUTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_guard_allows_a_stopped_single_replica),
		T(test_guard_modes),
		T(test_guard_approval_lifts_no_limit),
		T(test_guard_target_lists),
		T(test_guard_kill_switch_stops_all_but_harmless_kinds),
		T(test_guard_wants_two_witnesses_before_risk),
		T(test_guard_blast_radius),
		T(test_guard_one_in_flight_then_cooldown),
		T(test_guard_nothing_done_costs_no_cooldown),
		T(test_guard_three_an_incident),
		T(test_guard_six_an_hour),
		T(test_guard_breaker),
		T(test_guard_full_memory_refuses),
		T(test_guard_mode_names),
	};

	return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
