// SPDX-License-Identifier: GPL-2.0-or-later
/* Load with failures, errors until the operator has them, the chaos control for a phone: with the real daemon. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

#define SCRIPT_MS 180000

static struct scene scene;
static bool up;
static const char *out;
static const char *const script_env[] = { "LOAD_WITH=archaic-load", NULL };

static int set_up(void **state)
{
	(void)state;
	curl_global_init(CURL_GLOBAL_ALL);
	up = scene_open(&scene, "test_load_failures");
	if (up)
		scene_daemon(&scene, "suggest",
			     "[observe]\ndiscover = no\ntick = 200ms\nwarmup_tick = 200ms\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (up)
		scene_close(&scene);
	return 0;
}

/* The type of the fault that a service tells of in its /health; "": none. */
static const char *fault_on(const char *service)
{
	static char type[32];
	struct http_answer a;

	http("GET", scene_url(service, "/health"), NULL, NULL, &a);
	const char *t =
		json_str(cJSON_GetArrayItem(cJSON_GetObjectItem(a.json, "faults"), 0), "type");
	snprintf(type, sizeof(type), "%s", t ?: "");
	http_release(&a);
	return type;
}

static bool both_armed(void *unused)
{
	(void)unused;
	return !strcmp(fault_on("db"), "timeout") && !strcmp(fault_on("auth"), "error");
}

static void none_armed(void)
{
	assert_string_equal(fault_on("db"), "");
	assert_string_equal(fault_on("auth"), "");
}

static cJSON *summary(const char *text)
{
	const char *at = strstr(text, "{\"type\":\"summary\""), *why = "";
	cJSON *j = NULL;

	if (!at || json_parse(at, strcspn(at, "\n"), &j, &why))
		fail_msg("%s: %s", why, text);
	return j;
}

static void test_failures_hurt_the_run_and_are_reset(void **state)
{
	const char *argv[] = { "tools/load/run-test.sh",
			       "normal",
			       "--with-failures",
			       "--squeeze",
			       "8",
			       "--json",
			       NULL };

	(void)state;
	if (!up)
		skip();
	int status = proc_run(argv, script_env, SCRIPT_MS, &out);
	if (status != 0 && status != 99)
		fail_msg("status %d: %s", status, out);
	none_armed();
	CLEANUP(json_freep) cJSON *j = summary(out);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(j, "with_failures")));
	/* One answer of auth in ten is an error, and one of db in five is 2 s late. */
	assert_true(json_num(j, "errors", 0) > 0);
	assert_true(json_num(cJSON_GetObjectItem(j, "latency_ms"), "max", 0) >= 2000);
	assert_true(json_num(j, "iterations", 0) > 0);
}

static void test_failures_are_reset_on_ctrl_c(void **state)
{
	const char *argv[] = { "tools/load/run-test.sh", "endurance", "--with-failures", NULL };
	char log[96];

	(void)state;
	if (!up)
		skip();
	snprintf(log, sizeof(log), "%s/load.log", scene.dir);
	/* run-test.sh becomes archaic-load: the signal is the terminal's. */
	pid_t pid = proc_start(log, argv, script_env);
	if (!wait_true(both_armed, NULL, 20000))
		file_show(log);
	assert_true(both_armed(NULL));
	int status = proc_end(pid, SIGINT, 20000);
	assert_true(status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 130);
	none_armed();
	unlink(log);
}

static void test_failures_until_the_operator_has_them(void **state)
{
	const char *argv[] = { "tools/generate_errors.sh", "--timeout", "120", NULL };

	(void)state;
	if (!up)
		skip();
	int status = proc_run(argv, NULL, SCRIPT_MS, &out);
	if (status) {
		scene_show_log(&scene);
		fail_msg("status %d: %s", status, out);
	}
	assert_non_null(strstr(out, "armed:    "));
	assert_non_null(strstr(out, "is anomalous: score "));
	assert_non_null(strstr(out, "operator: i-"));
	none_armed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failures_hurt_the_run_and_are_reset),
		cmocka_unit_test(test_failures_are_reset_on_ctrl_c),
		cmocka_unit_test(test_failures_until_the_operator_has_them),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
