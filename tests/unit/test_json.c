// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/util.h"

static void test_json_takes_every_kind_of_value(void **state)
{
	static const char *const good[] = {
		"{}",
		"[]",
		" 1 ",
		"\"x\"",
		"null",
		"true\n",
		"[1,2.5,-3e2]",
		"{\"a\":{\"b\":[null,false]}}",
		"\"caf\xc3\xa9 \\u00e9 \\ud83d\\ude00\"",
		"{\"a\":1,\"b\":{\"a\":2}}",
		"[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", /* 16 levels */
		"\"[[[[[[[[[[[[[[[[[[[[\"",          /* brackets in text are no levels */
		"\"\\\"[[[[[[[[[[[[[[[[[[[[\"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CLEANUP(json_freep) cJSON *j = NULL;
		const char *why = NULL;
		if (json_parse(good[i], strlen(good[i]), &j, &why))
			fail_msg("%s: %s", good[i], why);
		assert_non_null(j);
	}
}

static void test_json_refuses_what_is_not_quite_json(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"[1",
		"{\"a\"}",
		"{\"a\":}",
		"nul",
		"1 2",
		"{} x",
		"{}{}",
		"[1]]",
		"\"unterminated",
		"{\"a\":1,\"a\":2}",
		"[{\"x\":1,\"y\":2,\"x\":3}]",
		"1e999",
		"[-1e999]",
		"\"\xff\"",
		"\"\xc0\xaf\"",
		"{\"\xed\xa0\x80\":1}",
		"\"a\\u0000b\"",
		"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", /* 17 levels */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cJSON *j = NULL;
		const char *why = NULL;
		if (json_parse(bad[i], strlen(bad[i]), &j, &why) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_null(j);
		assert_non_null(why);
	}
}

static void test_json_refuses_a_nul_byte(void **state)
{
	cJSON *j = NULL;
	const char *why = NULL;

	(void)state;
	assert_int_equal(json_parse("{}\0{}", 5, &j, &why), -EINVAL);
	assert_null(j);
}

static void test_json_reads_only_its_length(void **state)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why = NULL;

	(void)state;
	/* Not terminated where it ends: what follows must not be read. */
	assert_int_equal(json_parse("{\"a\":12}34", 8, &j, &why), 0);
	assert_true(json_num(j, "a", 0) == 12);
}

static void test_json_stands_deep_nesting(void **state)
{
	CLEANUP(buf_release) struct buf b;
	cJSON *j = NULL;
	const char *why = NULL;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 500000; i++)
		assert_int_equal(buf_addstr(&b, "["), 0);
	assert_int_equal(json_parse(b.data, b.len, &j, &why), -EINVAL);
	assert_null(j);
}

static void test_json_members_by_type(void **state)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why = NULL;
	static const char text[] = "{\"name\":\"db\",\"n\":3,\"flag\":true,\"nothing\":null}";
	static const char *const all[] = { "name", "n", "flag", "nothing", NULL };
	static const char *const some[] = { "name", "flag", NULL };

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &j, &why), 0);
	assert_string_equal(json_str(j, "name"), "db");
	assert_null(json_str(j, "n"));
	assert_null(json_str(j, "missing"));
	assert_null(json_str(j, "NAME"));
	assert_true(json_num(j, "n", -1) == 3);
	assert_true(json_num(j, "name", -1) == -1);
	assert_true(json_num(j, "flag", -1) == -1);
	assert_null(json_unknown(j, all));
	assert_string_equal(json_unknown(j, some), "n");
}

static void test_json_refuses_an_object_of_very_many_keys(void **state)
{
	struct buf b;
	const char *why = NULL;
	cJSON *j = NULL;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i <= JSON_KEYS_MAX; i++)
		assert_int_equal(buf_addf(&b, "%s\"k%d\":1", i ? "," : "{", i), 0);
	assert_int_equal(buf_addstr(&b, "}"), 0);
	assert_int_equal(json_parse(b.data, b.len, &j, &why), -EINVAL);
	assert_non_null(strstr(why, "256 keys"));
	/* One fewer is taken. */
	char *last = strrchr(b.data, ',');
	last[0] = '}';
	assert_int_equal(json_parse(b.data, (size_t)(last - b.data) + 1, &j, &why), 0);
	cJSON_Delete(j);
	buf_release(&b);
}

static void test_json_takes_an_escaped_backslash_before_u0000(void **state)
{
	static const char text[] = "{\"a\":\"\\\\u0000\"}";
	const char *why = NULL;
	CLEANUP(json_freep) cJSON *j = NULL;

	(void)state;
	assert_int_equal(json_parse(text, strlen(text), &j, &why), 0);
	assert_string_equal(json_str(j, "a"), "\\u0000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_refuses_an_object_of_very_many_keys),
		cmocka_unit_test(test_json_takes_an_escaped_backslash_before_u0000),
		cmocka_unit_test(test_json_takes_every_kind_of_value),
		cmocka_unit_test(test_json_refuses_what_is_not_quite_json),
		cmocka_unit_test(test_json_refuses_a_nul_byte),
		cmocka_unit_test(test_json_reads_only_its_length),
		cmocka_unit_test(test_json_stands_deep_nesting),
		cmocka_unit_test(test_json_members_by_type),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
