// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "base/util.h"

static void test_text_utf8(void **state)
{
	static const struct {
		const char *s;
		size_t len;
		bool good;
	} cases[] = {
		{ "", 0, true },
		{ "plain", 5, true },
		{ "a\0b", 3, true },
		{ "\xc3\xa9", 2, true },
		{ "\xe2\x82\xac", 3, true },
		{ "\xf0\x9f\x98\x80", 4, true },
		{ "\xf4\x8f\xbf\xbf", 4, true },
		{ "\xef\xbf\xbd", 3, true },
		{ "\x80", 1, false },     /* continuation alone */
		{ "\xc0\xaf", 2, false }, /* overlong / */
		{ "\xc1\xbf", 2, false },
		{ "\xe0\x80\xaf", 3, false }, /* overlong, three bytes */
		{ "\xf0\x80\x80\xaf", 4, false },
		{ "\xed\xa0\x80", 3, false },     /* surrogate */
		{ "\xf4\x90\x80\x80", 4, false }, /* over U+10FFFF */
		{ "\xf5\x80\x80\x80", 4, false },
		{ "\xff", 1, false },
		{ "\xe2\x82", 2, false }, /* cut */
		{ "\xe2\x82\xac", 2, false },
		{ "a\xc3", 2, false },
		{ "\xc3(", 2, false },
		{ "\xf0\x9f\x98(", 4, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (text_is_utf8(cases[i].s, cases[i].len) != cases[i].good)
			fail_msg("case %zu", i);
}

static void check_json(const char *in, const char *want)
{
	struct buf b;

	buf_init(&b, 1024);
	assert_int_equal(text_json(&b, in), 0);
	assert_string_equal(buf_str(&b), want);
	buf_release(&b);
}

static void test_text_json_quotes_everything(void **state)
{
	(void)state;
	check_json("", "\"\"");
	check_json("a\"b\\c", "\"a\\\"b\\\\c\"");
	check_json("line\nbreak\r\t\x01\x7f", "\"line\\nbreak\\u000d\\u0009\\u0001\\u007f\"");
	check_json("caf\xc3\xa9", "\"caf\xc3\xa9\"");
	check_json("x\xff\xc3y", "\"x\xef\xbf\xbd\xef\xbf\xbdy\"");
}

static void test_text_json_reports_a_full_buffer(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(text_json(&b, "much too long"), -EMSGSIZE);
	buf_release(&b);
}

static void test_text_u64(void **state)
{
	uint64_t v = 77;

	(void)state;
	assert_int_equal(text_to_u64("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(text_to_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);

	v = 77;
	static const char *const bad[] = { "",     " 1",  "1 ",  "+1",  "-1",
					   "0x10", "1.0", "1e3", "one", "1\n" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_to_u64(bad[i], 0, 100, &v), -EINVAL);
	assert_int_equal(text_to_u64("101", 0, 100, &v), -ERANGE);
	assert_int_equal(text_to_u64("4", 5, 100, &v), -ERANGE);
	assert_int_equal(text_to_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(v, 77);
}

static void test_text_double(void **state)
{
	double v = 77;

	(void)state;
	assert_int_equal(text_to_double("0.3", 0, 1, &v), 0);
	assert_true(v == 0.3);
	assert_int_equal(text_to_double("1e-3", 0, 1, &v), 0);
	assert_true(v == 1e-3);

	v = 77;
	static const char *const bad[] = { "",   "nan", "inf",   "-inf", "0x1p3", "1,5",
					   " 1", "1 ",  "1.2.3", "e",    "--1" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_to_double(bad[i], -1e9, 1e9, &v), -EINVAL);
	assert_int_equal(text_to_double("2", 0, 1, &v), -ERANGE);
	assert_int_equal(text_to_double("-0.1", 0, 1, &v), -ERANGE);
	assert_int_equal(text_to_double("1e999", 0, 1e308, &v), -ERANGE);
	assert_true(v == 77);
}

static void test_text_duration(void **state)
{
	static const struct {
		const char *s;
		uint64_t ns;
	} good[] = {
		{ "10", 10 * NSEC_PER_SEC },
		{ "10s", 10 * NSEC_PER_SEC },
		{ "250ms", 250 * NSEC_PER_MSEC },
		{ "5m", 300 * NSEC_PER_SEC },
		{ "1h", 3600 * NSEC_PER_SEC },
		{ "1.5s", 1500 * NSEC_PER_MSEC },
		{ "0", 0 },
	};
	static const char *const bad[] = { "",      "s",    "10 s", "-1s",   "10d",
					   "10sec", "1e3s", "ms",   "1.2.3s" };
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(text_to_duration_ns(good[i].s, &v), 0);
		assert_true(v == good[i].ns);
	}
	v = 77;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_to_duration_ns(bad[i], &v), -EINVAL);
	assert_int_equal(text_to_duration_ns("9000h", &v), -ERANGE);
	assert_true(v == 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_utf8),
		cmocka_unit_test(test_text_json_quotes_everything),
		cmocka_unit_test(test_text_json_reports_a_full_buffer),
		cmocka_unit_test(test_text_u64),
		cmocka_unit_test(test_text_double),
		cmocka_unit_test(test_text_duration),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
