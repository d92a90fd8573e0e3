// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who decides: mode suggest waits for a person (approve, reject, by the command
 * line), mode observe plans and does nothing, a model's choice is taken where it was
 * offered, and the playbook plans where it was not. With the real daemon, real
 * trouble (a time-out armed on db under traffic) and a model endpoint of the test's own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

/* Half a minute of warm-up: with less the diagnosis does not yet know what is usual. */
#define CONF                                                            \
	"[observe]\ndiscover = no\nwarmup_tick = 100ms\ntick = 500ms\n" \
	"[detect]\nbaseline = 300\nshadow = 200\n"                      \
	"[remediate]\ncooldown = 1s\nmax_actions_per_hour = 100\n"

static struct scene scene;
static char model_log[96];
static pid_t model;

static bool model_port(void *port)
{
	CLEANUP(fclosep) FILE *f = fopen(model_log, "re");

	return f && fscanf(f, "PORT %u", (unsigned *)port) == 1;
}

static unsigned start_model(void)
{
	const char *argv[] = { "/usr/bin/python3", "tests/llm/server.py", "--die-with-parent",
			       NULL };
	static unsigned port;

	if (model)
		return port;
	snprintf(model_log, sizeof(model_log), "%s/model.log", scene.dir);
	model = proc_start(model_log, argv, NULL);
	if (!wait_true(model_port, &port, 10000)) {
		file_show(model_log);
		fail_msg("the model's endpoint does not start");
	}
	return port;
}

/* A daemon, or another one, that asks the endpoint in @manner. */
static void start_with_model(const char *manner)
{
	char conf[512];

	snprintf(
		conf, sizeof(conf),
		"%s[llm]\nprovider = openai\nmodel = test-model\nbase_url = http://127.0.0.1:%u/%s\n",
		CONF, start_model(), manner);
	scene_daemon_end(&scene, SIGTERM);
	scene_daemon(&scene, "suggest", conf);
}

static int set_up(void **state)
{
	(void)state;
	if (!scene_open(&scene, "test_daemon_remedy"))
		return 0;
	scene.traffic = scene_traffic(&scene, "16", "80");
	usleep(2000000); /* the first log-ins, each a hash */
	start_with_model("good");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (model > 0)
		proc_end(model, SIGTERM, 3000);
	scene_close(&scene);
	return 0;
}

static void need_calm(void)
{
	CLEANUP(json_freep) cJSON *j = NULL;

	if (!*scene.dir)
		skip();
	scene_api(&scene, "DELETE", "/v1/faults", NULL, &j);
	if (!wait_true(scene_learned, &scene, 60000) || !wait_true(scene_calm, &scene, 60000)) {
		scene_show_log(&scene);
		fail_msg("the shop does not become calm");
	}
}

static bool is_armed(void)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *f;
	bool armed = false;

	assert_int_equal(scene_api(&scene, "GET", "/v1/faults", NULL, &j), 200);
	cJSON_ArrayForEach(f, cJSON_GetObjectItem(j, "items"))
		armed = armed || !strcmp(json_str(f, "state") ?: "", "armed");
	return armed;
}

/* ---- the incident about db that is newer than `after` */

struct story {
	unsigned after;
	const char *state; /* that is waited for; NULL: any with a plan */
	cJSON *incident;   /* owned */
};

static bool is_so_far(void *ctx)
{
	struct story *s = ctx;
	CLEANUP(json_freep) cJSON *all = scene_incidents(&scene, s->after);

	for (int k = 0; k < cJSON_GetArraySize(all); k++) {
		cJSON *i = cJSON_GetArrayItem(all, k);
		bool there = s->state ? !strcmp(json_str(i, "state") ?: "", s->state) :
					cJSON_IsObject(cJSON_GetObjectItem(i, "plan"));
		if (!there || strcmp(scene_root(i) ?: "", "db") != 0)
			continue;
		cJSON_Delete(s->incident);
		s->incident = cJSON_DetachItemFromArray(all, k);
		return true;
	}
	usleep(100000);
	return false;
}

static void wait_story(struct story *s, const char *state, unsigned ms)
{
	s->state = state;
	if (wait_true(is_so_far, s, ms))
		return;
	CLEANUP(json_freep) cJSON *all = scene_incidents(&scene, s->after);
	const cJSON *i;
	cJSON_ArrayForEach(i, all)
		scene_show(i, scene_now_ms());
	scene_show_log(&scene);
	fail_msg("no incident about db is %s after %u ms", state ?: "planned", ms);
}

static void refresh(struct story *s)
{
	char target[64];

	snprintf(target, sizeof(target), "/v1/incidents/%s", json_str(s->incident, "id"));
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &s->incident), 200);
}

static void release_story(struct story *s)
{
	scene_show(s->incident, scene_ms(json_str(s->incident, "opened_at")));
	cJSON_Delete(s->incident);
}

static size_t nr_actions(const struct story *s)
{
	return (size_t)cJSON_GetArraySize(cJSON_GetObjectItem(s->incident, "actions"));
}

static const char *plan_of(const struct story *s, const char *member)
{
	return json_str(cJSON_GetObjectItem(s->incident, "plan"), member);
}

static void hurt_db(struct story *s)
{
	*s = (struct story){ .after = scene_last_incident(&scene) };
	scene_fault("db", "type=timeout&intensity=1");
}

static void decide(const struct story *s, const char *verb, const char *word, int status)
{
	const char *args[] = { "incidents", verb, json_str(s->incident, "id"), word, NULL }, *says;

	assert_int_equal(scene_cli(&scene, args, &says), status);
	print_message("incidents %s: %.120s…\n", verb, says);
}

static void check_repaired(struct story *s)
{
	wait_story(s, "repaired", 30000);
	assert_string_equal(json_str(cJSON_GetObjectItem(s->incident, "verification"), "result"),
			    "verified");
	assert_true(nr_actions(s) == 1);
	assert_false(is_armed());
}

/* ---- a person */

static void test_daemon_suggest_reject_escalates(void **state)
{
	(void)state;
	struct story s;
	need_calm();

	hurt_db(&s);
	wait_story(&s, "awaiting_approval", 30000);
	decide(&s, "reject", "--why=I look at it myself", 0);
	refresh(&s);
	assert_string_equal(json_str(s.incident, "state"), "escalated");
	assert_true(scene_event_ms(s.incident, "rejected", true) > 0);
	usleep(3000000);
	refresh(&s);
	assert_string_equal(json_str(s.incident, "state"), "escalated");
	assert_true(nr_actions(&s) == 0);
	assert_true(is_armed());
	release_story(&s);
}

static void test_daemon_observe_plans_and_does_nothing(void **state)
{
	(void)state;
	const char *observe[] = { "mode", "observe", NULL },
		   *suggest[] = { "mode", "suggest", NULL },
		   *accept[] = { "services", "db", "accept", NULL }, *says;
	struct story s;
	need_calm();

	assert_int_equal(scene_cli(&scene, accept, &says), 1);
	assert_non_null(strstr(says, "db is not anomalous"));
	assert_int_equal(scene_cli(&scene, observe, &says), 0);
	hurt_db(&s);
	wait_story(&s, NULL, 30000);
	usleep(4000000);
	refresh(&s);
	assert_string_equal(plan_of(&s, "by"), "playbook");
	assert_true(cJSON_IsFalse(
		cJSON_GetObjectItem(cJSON_GetObjectItem(s.incident, "guard"), "allowed")));
	assert_non_null(
		strstr(json_str(cJSON_GetObjectItem(s.incident, "guard"), "why"), "mode observe"));
	assert_true(nr_actions(&s) == 0);
	assert_true(is_armed());
	release_story(&s);

	/* An operator's word takes it for normal, whatever we think of it. */
	assert_int_equal(scene_cli(&scene, accept, &says), 0);
	assert_non_null(strstr(says, "is its normal from here on"));
	assert_int_equal(scene_cli(&scene, suggest, &says), 0);
}

/* ---- a model */

/* What was sent holds no name, path or address of the shop's. */
static void check_what_was_sent(size_t at_least)
{
	static const char *const secrets[] = { "product", "payment", "8002", "/cart", "eve@" };
	char url[64];
	struct http_answer a;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/log", start_model());
	http("GET", url, NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	const cJSON *requests = cJSON_GetObjectItem(a.json, "requests"), *r;
	assert_true((size_t)cJSON_GetArraySize(requests) >= at_least);
	cJSON_ArrayForEach(r, requests) {
		CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(r);
		for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
			if (strstr(text, secrets[i]))
				fail_msg("%s was sent to the model: %.2000s", secrets[i], text);
	}
	http_release(&a);
}

static void test_daemon_model_plans_and_approve_repairs(void **state)
{
	(void)state;
	struct story s;
	need_calm();

	hurt_db(&s);
	wait_story(&s, "awaiting_approval", 30000);
	assert_string_equal(plan_of(&s, "by"), "openai");
	assert_string_equal(plan_of(&s, "model"), "test-model-001");
	assert_null(plan_of(&s, "fell_back_because"));
	usleep(3000000);
	refresh(&s);
	assert_string_equal(json_str(s.incident, "state"), "awaiting_approval");
	assert_true(nr_actions(&s) == 0);
	assert_true(is_armed());

	decide(&s, "approve", NULL, 0);
	check_repaired(&s);
	check_what_was_sent(1);
	assert_true(scene_event_ms(s.incident, "approved", true) > 0);
	decide(&s, "approve", NULL, 1); /* there is nothing to approve any more */
	release_story(&s);
}

/* The rest is with another daemon, whose model names an action that nobody offered. */
static void test_daemon_model_chooses_what_was_not_offered(void **state)
{
	(void)state;
	struct story s;

	if (!*scene.dir)
		skip();
	start_with_model("unknown_action");
	/* It knows what the one before it has learned, which takes half a minute from nothing. */
	if (!wait_true(scene_learned, &scene, 20000)) {
		scene_show_log(&scene);
		fail_msg("the second daemon is not warm after 20 s");
	}
	need_calm();
	hurt_db(&s);
	wait_story(&s, "awaiting_approval", 30000);
	assert_string_equal(plan_of(&s, "by"), "playbook");
	assert_null(plan_of(&s, "model"));
	print_message("fell back because %s\n", plan_of(&s, "fell_back_because") ?: "of nothing");
	assert_non_null(
		strstr(plan_of(&s, "fell_back_because") ?: "", "an action that was not offered"));
	decide(&s, "approve", NULL, 0);
	check_repaired(&s);
	release_story(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_model_plans_and_approve_repairs),
		cmocka_unit_test(test_daemon_model_chooses_what_was_not_offered),
		cmocka_unit_test(test_daemon_suggest_reject_escalates),
		cmocka_unit_test(test_daemon_observe_plans_and_does_nothing),
	};

	return cmocka_run_group_tests_name("daemon_remedy", tests, set_up, tear_down);
}
