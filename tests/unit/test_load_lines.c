// SPDX-License-Identifier: GPL-2.0-or-later
/* The generator's lines, from a generator that may say anything. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "load/load_internal.h"

static struct load load;

static int setup(void **state)
{
	(void)state;
	load = (struct load){ .nr = 1,
			      .id = "l-0001",
			      .shape = load_shapes(),
			      .started_ms = 1700000000000,
			      .remaining_s = 30,
			      .p50_ms = NAN,
			      .p90_ms = NAN,
			      .p99_ms = NAN };
	return 0;
}

static bool say(const char *line)
{
	return load_line(&load, line, strlen(line));
}

static const char progress[] =
	"{\"type\":\"progress\",\"elapsed_s\":1,\"remaining_s\":29,\"vus\":10,\"rate_per_s\":41.5,"
	"\"requests\":42,\"errors\":2,\"latency_ms\":{\"p50\":1.5,\"p90\":3,\"p99\":9}}";
static const char summary[] =
	"{\"type\":\"summary\",\"elapsed_s\":30,\"remaining_s\":0,\"vus\":10,\"rate_per_s\":40,"
	"\"requests\":1200,\"errors\":3,\"latency_ms\":{\"p50\":1,\"p90\":2,\"p99\":3},"
	"\"checks\":[{\"name\":\"sign up\",\"ok\":99,\"fails\":1}],"
	"\"thresholds\":[{\"expr\":\"errors < 1 %\",\"ok\":true},{\"expr\":\"p95 < 500 ms\",\"ok\":false}],"
	"\"passed\":false}";

static double num(const cJSON *o, const char *name)
{
	return json_num(o, name, NAN);
}

static void test_load_lines_become_numbers(void **state)
{
	CLEANUP(json_freep) cJSON *before = load_json(&load, 1700000000000);

	(void)state;
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(before, "vus")));
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(before, "rate_per_s")));
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(before, "error_ratio")));
	assert_string_equal(json_str(before, "state"), "running");
	assert_true(say(progress));
	CLEANUP(json_freep) cJSON *o = load_json(&load, 1700000001000);
	assert_true(num(o, "vus") == 10);
	assert_true(num(o, "rate_per_s") == 41.5);
	assert_true(num(o, "requests") == 42);
	assert_true(num(o, "remaining_s") == 29);
	assert_string_equal(json_str(o, "ends_at"), "2023-11-14T22:13:50.000Z");
	assert_true(num(cJSON_GetObjectItem(o, "latency_ms"), "p99") == 9);
	assert_true(fabs(num(o, "error_ratio") - 2.0 / 42) < 1e-3);
}

static void test_load_lines_end_with_a_verdict(void **state)
{
	(void)state;
	assert_true(say(summary));
	load_ended(&load, CLD_EXITED, 99, false, false, 1700000030000);
	CLEANUP(json_freep) cJSON *o = load_json(&load, 1700000040000);
	assert_string_equal(json_str(o, "state"), "failed");
	assert_string_equal(json_str(o, "says"), "failed: 1 of 2 thresholds do not hold");
	assert_string_equal(json_str(o, "ends_at"), "2023-11-14T22:13:50.000Z");
	assert_true(num(o, "remaining_s") == 0);
	cJSON *check = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "checks"), 0);
	assert_string_equal(json_str(check, "name"), "sign up");
	assert_true(num(check, "fails") == 1);
	cJSON *t = cJSON_GetArrayItem(cJSON_GetObjectItem(o, "thresholds"), 1);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(t, "ok")));

	load_ended(&load, CLD_EXITED, 0, false, false, 1700000030000);
	assert_int_equal(load.state, LOAD_PASSED);
}

static void ended(int code, int status, bool stopped, bool late, enum load_state wanted,
		  const char *says)
{
	load_ended(&load, code, status, stopped, late, 1700000005000);
	if (load.state != wanted || !strstr(load.says, says))
		fail_msg("%d %d: state %d, %s", code, status, load.state, load.says);
}

static void test_load_lines_tell_ends_apart(void **state)
{
	(void)state;
	ended(CLD_EXITED, 0, false, false, LOAD_ERROR, "without a summary");
	ended(CLD_KILLED, SIGTERM, true, false, LOAD_STOPPED, "stopped after 5 s");
	ended(CLD_EXITED, 0, true, false, LOAD_STOPPED, "stopped");
	ended(CLD_KILLED, SIGSEGV, false, false, LOAD_ERROR, "signal 11");
	ended(CLD_KILLED, SIGKILL, false, true, LOAD_ERROR, "did not end in its time");
	say("cannot reach http://127.0.0.1:8001");
	ended(CLD_EXITED, 1, false, false, LOAD_ERROR,
	      "(exit status 1): cannot reach http://127.0.0.1:8001");
}

static void test_load_lines_may_be_anything(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"type\":7}",
		"{\"type\":\"other\"}",
		"\x1b[31mred\xff",
		"{\"type\":\"progress\"}{\"type\":\"progress\"}",
	};
	static const char *const odd[] = {
		"{\"type\":\"progress\",\"requests\":-1,\"vus\":1e300,\"rate_per_s\":\"x\",\"latency_ms\":[]}",
		"{\"type\":\"summary\",\"checks\":{\"a\":1},\"thresholds\":[1,null,{}]}",
	};

	(void)state;
	assert_true(say(progress));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (say(bad[i]))
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(load.bad_lines, ARRAY_SIZE(bad));
	for (const char *c = load.words; *c; c++)
		assert_in_range(*c, ' ', '~');
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_true(say(odd[i]));
	assert_int_equal(load.requests, 42);
	assert_int_equal(load.vus, 10);
	assert_true(load.rate_per_s == 41.5);
	assert_int_equal(load.nr_thresholds, 3);
	CLEANUP(json_freep) cJSON *o = load_json(&load, 0);
	assert_non_null(o);
}

static void test_load_lines_are_bounded(void **state)
{
	static char line[LOADS_LINE_MAX];
	size_t len = (size_t)snprintf(line, sizeof(line), "{\"type\":\"summary\",\"checks\":[");

	(void)state;
	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len,
					"%s{\"name\":\"%0120d\",\"ok\":1,\"fails\":0}",
					i ? "," : "", i);
	snprintf(line + len, sizeof(line) - len, "]}");
	assert_true(say(line));
	assert_int_equal(load.nr_checks, LOAD_CHECKS_MAX);
	assert_int_equal(strlen(load.checks[0].name), LOAD_NAME_MAX - 1);
}

#define CASE(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_load_lines_become_numbers),  CASE(test_load_lines_end_with_a_verdict),
		CASE(test_load_lines_tell_ends_apart), CASE(test_load_lines_may_be_anything),
		CASE(test_load_lines_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
