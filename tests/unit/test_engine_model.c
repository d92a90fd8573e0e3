// SPDX-License-Identifier: GPL-2.0-or-later
/* The engine with a model that plans: followed, refused, failing, late. */
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

static void with_model(void)
{
	w.config.llm.format = LLM_GEMINI;
	snprintf(w.config.llm.model, sizeof(w.config.llm.model), "gemini-test");
	snprintf(w.config.llm.key, sizeof(w.config.llm.key), "secret-key");
	w.answer = (struct llm_answer){
		.usable = true, .root = DB, .resource = FAULT_CLASS_LATENCY, .confidence = .9
	};
	snprintf(w.answer.action_id, sizeof(w.answer.action_id), "a2");
	snprintf(w.answer.model, sizeof(w.answer.model), "gemini-test-001");
	snprintf(w.answer.why, sizeof(w.answer.why), "db is stuck");
	world_start(&w);
}

static void test_engine_follows_the_model_within_the_guard(void **state)
{
	(void)state;
	with_model();
	world_slow_db(&w);
	world_tick(&w, 4);
	const struct incident *i = world_incident(&w);
	assert_int_equal(w.asked, 1);
	assert_int_equal(i->plan.by, PLANNER_GEMINI);
	assert_string_equal(i->plan.model, "gemini-test-001");
	assert_int_equal(i->plan.actions[0].kind, ACTION_RESTART);
	/* Its choice is permitted but lacks witnesses: it waits, then the playbook's has its turn. */
	assert_int_equal(w.restarts, 0);
	world_tick(&w, 22);
	assert_int_equal(w.restarts, 0);
	assert_int_equal(w.resets, 1);
	assert_int_equal(w.question.nr_evidence, 4);
	assert_string_equal(w.question.incident, "i-0001");
}

static void test_engine_falls_back_when_the_model_fails(void **state)
{
	(void)state;
	with_model();
	w.answer = (struct llm_answer){ .because = "the model did not answer in time" };
	w.armed = 1;
	world_slow_db(&w);
	world_tick(&w, 4);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->plan.by, PLANNER_PLAYBOOK);
	assert_string_equal(i->plan.fell_back_because, "the model did not answer in time");
	assert_int_equal(w.resets, 1);
	assert_int_equal(engine_stats(w.e)->plans_fell_back, 1);
}

static void test_engine_answer_without_evidence_is_noted(void **state)
{
	(void)state;
	with_model();
	world_slow_db(&w);
	w.diagnosis.nr_causes = 2;
	w.diagnosis.causes[1] = (struct cause){ .service = AUTH, .name = "auth", .confidence = .2 };
	w.answer.root = AUTH;
	snprintf(w.answer.action_id, sizeof(w.answer.action_id),
		 "a3"); /* reset_fault of auth: offered */
	world_tick(&w, 4);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->plan.by, PLANNER_PLAYBOOK);
	assert_non_null(strstr(i->plan.fell_back_because, "auth"));
	assert_int_equal(w.last_target, DB);

	/* With evidence near the first's it is followed. */
	world_release(&w);
	world_init(&w);
	with_model();
	world_slow_db(&w);
	w.diagnosis.nr_causes = 2;
	w.diagnosis.causes[1] = (struct cause){ .service = AUTH, .name = "auth", .confidence = .8 };
	w.answer.root = AUTH;
	snprintf(w.answer.action_id, sizeof(w.answer.action_id), "a3");
	world_tick(&w, 4);
	assert_int_equal(world_incident(&w)->plan.by, PLANNER_GEMINI);
	assert_int_equal(w.last_target, AUTH);
}

static void test_engine_late_answer_to_an_ended_incident_is_dropped(void **state)
{
	(void)state;
	with_model();
	w.hold_jobs = true;
	world_slow_db(&w);
	world_tick(&w, 4);
	world_all_well(&w);
	world_tick(&w, 5);
	const struct incident *i = world_incident(&w);
	assert_int_equal(i->state, INCIDENT_CLOSED);
	w.hold_jobs = false;
	world_jobs(&w);
	assert_int_equal(i->state, INCIDENT_CLOSED);
	assert_false(i->has_plan);
	assert_int_equal(w.resets + w.restarts, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_engine_follows_the_model_within_the_guard),
		T(test_engine_falls_back_when_the_model_fails),
		T(test_engine_answer_without_evidence_is_noted),
		T(test_engine_late_answer_to_an_ended_incident_is_dropped),
	};

	return cmocka_run_group_tests_name("engine_model", tests, NULL, NULL);
}
