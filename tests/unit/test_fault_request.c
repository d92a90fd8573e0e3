// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "fault/fault.h"
#include "fault/fault_internal.h"

static int parse(const char *text, struct fault_request *r, struct problem *p)
{
	CLEANUP(json_freep) cJSON *j = cJSON_Parse(text);

	*p = (struct problem){ .status = 0 };
	assert_non_null(j);
	return fault_request_parse(j, r, p);
}

static void test_fault_request_refuses_and_names(void **state)
{
	static const struct {
		const char *body, *parameter, *value, *allowed;
	} bad[] = {
		{ "{}", "type", "missing", "timeout, error" },
		{ "{\"type\":\"slow\"}", "type", "slow", "timeout, error" },
		{ "{\"type\":7}", "type", "7", "timeout" },
		{ "{\"type\":\"error\",\"probability\":2}", "probability", "2", "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":-0.1}", "probability", "-0.1", "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":\"nan\"}", "probability", "nan", "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":\"inf\"}", "probability", "inf", "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":\"0.3x\"}", "probability", "0.3x",
		  "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":null}", "probability", "null", "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":[1]}", "probability", "[1]", "0 to 1" },
		{ "{\"type\":\"error\",\"probability\":1e999}", "probability", "null", "0 to 1" },
		{ "{\"type\":\"timeout\",\"intensity\":0}", "intensity", "0", "1 to 100" },
		{ "{\"type\":\"timeout\",\"intensity\":101}", "intensity", "101", "1 to 100" },
		{ "{\"type\":\"timeout\",\"intensity\":1.5}", "intensity", "1.5", "whole" },
		{ "{\"type\":\"timeout\",\"intensity\":\"five\"}", "intensity", "five", "whole" },
		{ "{\"type\":\"timeout\",\"params\":{\"delay_ms\":0}}", "delay_ms", "0",
		  "1 to 600000" },
		{ "{\"type\":\"timeout\",\"params\":{\"status\":500}}", "status", "500",
		  "delay_ms" },
		{ "{\"type\":\"timeout\",\"params\":{\"delay_ms\":5,\"intensity\":1}}", "intensity",
		  "1", "left out" },
		{ "{\"type\":\"timeout\",\"params\":7}", "params", "7", "object" },
		{ "{\"type\":\"error\",\"params\":{\"status\":200}}", "status", "200",
		  "400 to 599" },
		{ "{\"type\":\"error\",\"params\":{\"status\":404.5}}", "status", "404.5",
		  "whole" },
		{ "{\"type\":\"cpu\",\"params\":{\"percent\":96}}", "percent", "96", "1 to 95" },
		{ "{\"type\":\"loss\"}", "percent", "missing", "0.1 to 100" },
		{ "{\"type\":\"loss\",\"intensity\":3}", "intensity", "3", "percent" },
		{ "{\"type\":\"bad_data\",\"params\":{\"keys\":[]}}", "keys", "[]", "names" },
		{ "{\"type\":\"bad_data\",\"params\":{\"keys\":[\"a b\"]}}", "keys", "[\"a b\"]",
		  "names" },
		{ "{\"type\":\"bad_data\",\"params\":{\"keys\":\"a,,b\"}}", "keys", "a,,b",
		  "names" },
		{ "{\"type\":\"bad_data\",\"params\":{\"keys\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}}",
		  "keys", NULL, "1 to 8" },
		{ "{\"type\":\"bad_data\",\"params\":{\"keys\":\"abcdefghijklmnopqrstuvwx\"}}",
		  "keys", NULL, "23" },
		{ "{\"type\":\"error\",\"duration_s\":0}", "duration_s", "0", "over 0" },
		{ "{\"type\":\"error\",\"duration\":-3}", "duration", "-3", "over 0" },
		{ "{\"type\":\"error\",\"duration_s\":\"1h\"}", "duration_s", "1h", "seconds" },
		{ "{\"type\":\"error\",\"wat\":1}", "wat", "1", "status" },
		{ "{\"type\":\"error\",\"match\":{\"path\":\"/\"}}", "path", "/", "health" },
		{ "{\"type\":\"error\",\"match\":{\"health\":1}}", "match.health", "1", "true" },
		{ "{\"type\":\"error\",\"match\":[]}", "match", "[]", "object" },
		{ "{\"type\":\"error\",\"slot\":\"\"}", "slot", "", "name" },
		{ "{\"type\":\"error\",\"slot\":\"a/b\"}", "slot", "a/b", "name" },
		{ "{\"type\":\"error\",\"service\":5}", "service", "5", "name" },
		{ "{\"type\":\"error\",\"seed\":-1}", "seed", "-1", "whole" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fault_request r = { .intensity = 77 };
		struct problem p;

		if (parse(bad[i].body, &r, &p) >= 0 || p.status != 400 ||
		    strcmp(p.parameter, bad[i].parameter) ||
		    (bad[i].value && strcmp(p.value, bad[i].value)) ||
		    !strstr(p.allowed, bad[i].allowed))
			fail_msg("%s: %d parameter '%s' value '%s' allowed '%s'", bad[i].body,
				 p.status, p.parameter, p.value, p.allowed);
		assert_int_equal(r.intensity, 77); /* untouched */
	}
}

static void test_fault_request_takes_both_forms(void **state)
{
	struct fault_request r;
	struct problem p;

	(void)state;
	assert_int_equal(
		parse("{\"service\":\"self\",\"slot\":\"inject-failure\",\"type\":\"timeout\",\"intensity\":\"5\","
		      "\"probability\":\"0.4\",\"duration\":\"60\"}",
		      &r, &p),
		0);
	assert_int_equal(r.type, FAULT_TIMEOUT);
	assert_int_equal(r.intensity, 5);
	assert_true(r.probability == 0.4);
	assert_int_equal(r.duration_ns, 60 * NSEC_PER_SEC);
	assert_string_equal(r.service, "self");
	assert_string_equal(r.slot, "inject-failure");

	assert_int_equal(
		parse("{\"service\":\"db\",\"type\":\"bad_data\",\"params\":{\"keys\":[\"name\",\"x-y\"],\"seed\":9},"
		      "\"match\":{\"health\":true}}",
		      &r, &p),
		0);
	assert_int_equal(r.nr_keys, 2);
	assert_string_equal(r.keys[1], "x-y");
	assert_int_equal(r.seed, 9);
	assert_true(r.match_health);
	assert_true(r.probability == 1);
	assert_int_equal(r.duration_ns, 0);

	/* The most that every type takes. */
	assert_int_equal(parse("{\"type\":\"loss\",\"params\":{\"percent\":100}}", &r, &p), 0);
	assert_int_equal(parse("{\"type\":\"error\",\"params\":{\"status\":599},\"probability\":0}",
			       &r, &p),
			 0);
	assert_int_equal(parse("{\"type\":\"timeout\",\"params\":{\"delay_ms\":600000}}", &r, &p),
			 0);
}

static void test_fault_table_is_whole(void **state)
{
	(void)state;
	for (int i = 0; i < NR_FAULT_TYPES; i++) {
		const struct fault_type_desc *t = &fault_types()[i];

		assert_int_equal(t->type, i);
		assert_ptr_equal(fault_type_find(t->name), t);
		assert_non_null(t->backends[0].name);
		for (size_t k = 0; k < t->nr_params; k++)
			assert_true(t->params[k].min < t->params[k].max && t->params[k].says &&
				    t->params[k].allowed);
	}
	assert_null(fault_type_find("nothing"));
}

static void test_fault_says_the_real_figure(void **state)
{
	struct fault f = { .req = { .type = FAULT_TIMEOUT,
				    .service = "db-service",
				    .probability = 0.4,
				    .duration_ns = 60 * NSEC_PER_SEC },
			   .delay_ns = 10 * NSEC_PER_SEC };

	(void)state;
	says_log(&f, 1);
	assert_string_equal(f.log, "Injected DB timeout — sleeping 10s");
	says_traffic(&f);
	assert_string_equal(
		f.says,
		"Responses of db-service to 40 % of the requests leave 10 s late, for 60 s; no traffic yet");
	f.seen_packets = 9;
	f.touched_requests = 3;
	f.spared_requests = 4;
	says_traffic(&f);
	assert_non_null(strstr(f.says, "3 requests hit, 4 spared"));
	f.req.match_health = true;
	says_armed(&f);
	assert_non_null(strstr(f.says, "liveness"));
}

static void test_fault_json_is_as_the_interface_has_it(void **state)
{
	struct fault f = { .id = "f-7k2m",
			   .state = FAULT_ARMED,
			   .armed_ns = 5 * NSEC_PER_SEC,
			   .ends_ns = 65 * NSEC_PER_SEC,
			   .req = { .type = FAULT_ERROR, .service = "db", .probability = 0.5 },
			   .status = 503,
			   .touched_requests = 2,
			   .spared_requests = 3,
			   .out_of_reach = 1,
			   .backend = "tcx",
			   .says = "x" };

	(void)state;
	CLEANUP(json_freep) cJSON *j = fault_json(&f, 25 * NSEC_PER_SEC);
	assert_true(json_num(j, "remaining_s", -1) == 40);
	assert_string_equal(json_str(j, "state"), "armed");
	assert_string_equal(json_str(j, "armed_at"), "1970-01-01T00:00:00.000Z");
	assert_string_equal(json_str(j, "ends_at"), "1970-01-01T00:01:00.000Z");
	assert_true(json_num(cJSON_GetObjectItem(j, "touched"), "requests", -1) == 2);
	assert_true(json_num(cJSON_GetObjectItem(j, "spared"), "requests", -1) == 4);
	assert_true(json_num(cJSON_GetObjectItem(j, "params"), "status", -1) == 503);
	CLEANUP(json_freep) cJSON *late = fault_json(&f, 70 * NSEC_PER_SEC);
	assert_true(json_num(late, "remaining_s", -1) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_request_refuses_and_names),
		cmocka_unit_test(test_fault_request_takes_both_forms),
		cmocka_unit_test(test_fault_table_is_whole),
		cmocka_unit_test(test_fault_says_the_real_figure),
		cmocka_unit_test(test_fault_json_is_as_the_interface_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
