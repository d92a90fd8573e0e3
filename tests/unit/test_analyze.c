// SPDX-License-Identifier: GPL-2.0-or-later
/* What others send to /analyze: our own detector's form, and Alertmanager's webhook. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/remediate_world.h"
#include "base/json.h"
#include "base/text.h"
#include "base/util.h"

static struct world w;

static int setup(void **state)
{
	world_init(&w);
	world_start(&w);
	world_tick(&w, 1);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_release(&w);
	return 0;
}

static int analyze(const char *body, const struct incident **ret, struct problem *p)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why;

	assert_int_equal(json_parse(body, strlen(body), &j, &why), 0);
	*p = (struct problem){ 0 };
	return engine_analyze(w.e, w.now_ns, j, ret, p);
}

#define ALERT(status, labels, fp)                                                                         \
	"{\"status\":\"" status "\",\"labels\":{" labels                                                  \
	"},\"annotations\":{\"summary\":\"p99 is high\"},"                                                \
	"\"startsAt\":\"2024-01-15T10:00:00Z\",\"endsAt\":\"0001-01-01T00:00:00Z\",\"fingerprint\":\"" fp \
	"\"}"
#define WEBHOOK(alerts) \
	"{\"version\":\"4\",\"status\":\"firing\",\"receiver\":\"x\",\"alerts\":[" alerts "]}"

static void test_analyze_detector_opens_and_joins(void **state)
{
	const struct incident *i = NULL, *again = NULL;
	struct problem p;

	(void)state;
	assert_int_equal(
		analyze("{\"service\":\"db\",\"score\":0.8,\"threshold\":0.6,\"scorer\":\"forest\",\"why\":\"slow\\u001b\",\"x\":1}",
			&i, &p),
		0);
	assert_string_equal(i->id, "i-0001");
	assert_string_equal(incident_root(i)->name, "db");
	assert_true(incident_root(i)->confidence < .5);
	assert_int_equal(i->evidence[0].scorer, SCORER_FOREST);
	assert_string_equal(i->evidence[0].text, "slow");
	assert_int_equal(analyze("{\"service\":\"db\"}", &again, &p), 0);
	assert_ptr_equal(again, i);
	assert_int_equal(i->nr_external, 1);
	/* Its own eyes see nothing: harmless things are tried, a restart lacks its witnesses, people are called. */
	world_tick(&w, 30);
	assert_int_equal(w.resets, 1);
	assert_int_equal(w.restarts, 0);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_int_equal(analyze("{\"service\":\"db\",\"status\":\"resolved\"}", &again, &p), 0);
	assert_ptr_equal(again, i);
	assert_false(i->live);
	assert_int_equal(i->result, INCIDENT_RESULT_HEALED);
}

static void test_analyze_own_diagnosis_takes_over(void **state)
{
	const struct incident *i = NULL;
	struct problem p;

	(void)state;
	assert_int_equal(analyze("{\"service\":\"product\"}", &i, &p), 0);
	assert_string_equal(incident_root(i)->name, "product");
	w.armed = 1;
	world_sick(&w, DB, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, PRODUCT);
	world_tick(&w, 4);
	assert_int_equal(engine_stats(w.e)->opened, 1);
	assert_string_equal(incident_root(i)->name, "db");
	assert_int_equal(w.last_target, DB);
}

static void test_analyze_alertmanager_labels(void **state)
{
	static const struct {
		const char *body;
		const char *service;
	} t[] = {
		{ WEBHOOK(ALERT("firing", "\"alertname\":\"Slow\",\"service\":\"db\"", "f1")),
		  "db" },
		{ WEBHOOK(ALERT("firing", "\"service_name\":\"auth-service\"", "f2")), "auth" },
		{ WEBHOOK(ALERT("firing", "\"job\":\"node\",\"instance\":\"10.0.0.3:8003\"", "f3")),
		  "product" },
		{ WEBHOOK(ALERT("firing", "\"job\":\"product\"", "f4")), "product" },
	};
	struct problem p;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(t); k++) {
		const struct incident *i = NULL;
		assert_int_equal(analyze(t[k].body, &i, &p), 0);
		assert_string_equal(incident_root(i)->name, t[k].service);
	}
	assert_int_equal(engine_stats(w.e)->opened, 3);
	assert_true(world_find(engine_find(w.e, "i-0001"), "anomaly", "Slow: p99 is high") > 0);
}

static void test_analyze_strangers_share_one_escalated_incident(void **state)
{
	const struct incident *i = NULL, *other = NULL;
	struct problem p;

	(void)state;
	assert_int_equal(
		analyze(WEBHOOK(ALERT("firing", "\"service\":\"mainframe\"", "f1")), &i, &p), 0);
	assert_int_equal(i->state, INCIDENT_ESCALATED);
	assert_null(incident_root(i));
	for (int k = 0; k < 30; k++) {
		char body[512];
		snprintf(body, sizeof(body), WEBHOOK(ALERT("firing", "\"service\":\"m%d\"", "g%d")),
			 k, k);
		assert_int_equal(analyze(body, &other, &p), 0);
		assert_ptr_equal(other, i);
	}
	assert_int_equal(i->nr_external, INCIDENT_EXTERNAL_MAX);
	assert_true(i->dropped > 0);
	world_tick(&w, 30);
	assert_true(i->live);
	assert_int_equal(w.resets + w.restarts, 0);
	assert_int_equal(engine_stats(w.e)->opened, 1);
}

static void test_analyze_resolved_closes(void **state)
{
	const struct incident *i = NULL, *r = NULL;
	struct problem p;

	(void)state;
	assert_int_equal(analyze(WEBHOOK(ALERT("resolved", "\"service\":\"db\"", "f9")), &r, &p),
			 0);
	assert_null(r); /* concerns nobody */
	assert_int_equal(
		analyze(WEBHOOK(ALERT("firing", "\"service\":\"mainframe\"",
				      "f1") "," ALERT("firing", "\"service\":\"x\"", "f2")),
			&i, &p),
		0);
	assert_int_equal(
		analyze(WEBHOOK(ALERT("resolved", "\"service\":\"mainframe\"", "f1")), &r, &p), 0);
	assert_ptr_equal(r, i);
	assert_true(i->live);
	assert_int_equal(analyze(WEBHOOK(ALERT("resolved", "\"service\":\"x\"", "f2")), &r, &p), 0);
	assert_false(i->live);
	assert_int_equal(i->state, INCIDENT_CLOSED);
}

static void test_analyze_forgotten_alert_expires(void **state)
{
	const struct incident *i = NULL;
	struct problem p;

	(void)state;
	assert_int_equal(
		analyze(WEBHOOK(ALERT("firing", "\"service\":\"mainframe\"", "f1")), &i, &p), 0);
	w.tick_ns = 600 * NSEC_PER_SEC;
	world_tick(&w, 5);
	assert_true(i->live);
	world_tick(&w, 3);
	assert_false(i->live);
	assert_true(world_find(i, "note", "neither repeated nor resolved") > 0);
}

static void test_analyze_does_not_close_what_our_eyes_see(void **state)
{
	const struct incident *i = NULL, *r = NULL;
	struct problem p;

	(void)state;
	engine_set_mode(w.e, GUARD_SUGGEST, "test", w.now_ns);
	world_sick(&w, DB, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, 0);
	world_tick(&w, 5);
	assert_int_equal(analyze("{\"service\":\"db\"}", &i, &p), 0);
	assert_int_equal(i->state, INCIDENT_AWAITING_APPROVAL);
	assert_int_equal(analyze("{\"service\":\"db\",\"anomalous\":false}", &r, &p), 0);
	assert_ptr_equal(r, i);
	assert_true(i->live);
}

static void test_analyze_bad_bodies(void **state)
{
	static const struct {
		const char *body, *says;
	} t[] = {
		{ "{}", "neither an anomaly" },
		{ "[]", "neither an anomaly" },
		{ "1", "neither an anomaly" },
		{ "{\"service\":7}", "neither an anomaly" },
		{ "{\"service\":\"\"}", "neither an anomaly" },
		{ "{\"service\":\"db\",\"status\":\"maybe\"}", "status" },
		{ "{\"service\":\"db\",\"status\":3}", "status" },
		{ "{\"alerts\":[]}", "version" },
		{ "{\"version\":\"3\",\"alerts\":[{}]}", "version" },
		{ "{\"version\":\"4\",\"alerts\":[]}", "one or more" },
		{ "{\"version\":\"4\",\"alerts\":{\"a\":1}}", "one or more" },
		{ "{\"version\":\"4\",\"alerts\":[1]}", "labels" },
		{ "{\"version\":\"4\",\"alerts\":[{\"labels\":3}]}", "labels" },
		{ "{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\",\"labels\":{\"service\":\"db\"}},{}]}",
		  "labels" },
	};
	const struct incident *i = NULL;
	struct problem p;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(t); k++) {
		assert_int_equal(analyze(t[k].body, &i, &p), -EINVAL);
		assert_int_equal(p.status, 400);
		assert_non_null(strstr(p.detail, t[k].says));
		assert_null(i);
	}
	assert_int_equal(engine_stats(w.e)->opened,
			 0); /* nor was the good half of a bad one taken */
}

static void test_analyze_long_names_stay_whole_text(void **state)
{
	const struct incident *i = NULL;
	struct problem p;
	char body[2048], name[601] = "";

	(void)state;
	for (int k = 0; k < 200; k++)
		memcpy(name + 3 * k, "\xe2\x82\xac", 3);
	snprintf(body, sizeof(body), "{\"service\":\"%s\",\"why\":\"%s\"}", name, name);
	assert_int_equal(analyze(body, &i, &p), 0);
	CLEANUP(json_freep) cJSON *j = incident_to_json(i);
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(j);
	assert_true(text_is_utf8(text, strlen(text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_analyze_detector_opens_and_joins),
		T(test_analyze_own_diagnosis_takes_over),
		T(test_analyze_alertmanager_labels),
		T(test_analyze_strangers_share_one_escalated_incident),
		T(test_analyze_resolved_closes),
		T(test_analyze_forgotten_alert_expires),
		T(test_analyze_does_not_close_what_our_eyes_see),
		T(test_analyze_bad_bodies),
		T(test_analyze_long_names_stay_whole_text),
	};

	return cmocka_run_group_tests_name("analyze", tests, NULL, NULL);
}
