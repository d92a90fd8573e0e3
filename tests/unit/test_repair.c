// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "base/util.h"
#include "serve/repair.h"

static void test_repair_keeps_what_is_utf8(void **state)
{
	static const struct {
		const char *given, *wanted;
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\x89",
		  "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\x89" },
		{ "\xff\xfe", "??" },
		{ "a\xc3", "a?" },
		{ "\xc3(", "?(" },
		{ "\xe2\x82", "??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xc0\xaf", "??" },
		{ "\xf0\x9f\x8e", "???" },
		{ "\x80\xc3\xa9", "?\xc3\xa9" },
		{ "tab\tand\x1b", "tab\tand\x1b" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", cases[i].given);
		text_repair(text);
		assert_string_equal(text, cases[i].wanted);
	}
}

static void test_repair_takes_a_terminals_commands_away(void **state)
{
	static const struct {
		const char *given, *wanted;
	} cases[] = {
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\x1b[2J\r\n\t\x7f", "?[2J????" },
		{ "\xc2\x9b"
		  "31m",
		  "?31m" }, /* CSI as one C1 character */
		{ "a\xe2\x80\xae"
		  "b",
		  "a?b" }, /* right-to-left override */
		{ "a\xe2\x81\xa6"
		  "b",
		  "a?b" }, /* isolate */
		{ "a\xe2\x80\x8b"
		  "b",
		  "a?b" }, /* zero width space */
		{ "a\xef\xbb\xbf"
		  "b",
		  "a?b" }, /* byte order mark */
		{ "a\xe2\x80\xa8"
		  "b",
		  "a?b" }, /* line separator */
		{ "\xff\x1b\xff", "???" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", cases[i].given);
		text_repair_terminal(text);
		assert_string_equal(text, cases[i].wanted);
	}
}

static void test_repair_makes_any_bytes_utf8(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[17], *p = text;
		for (; p < text + 16; p++)
			*p = (char)((seed = seed * 1103515245 + 12345) >> 16 | 1);
		*p = '\0';
		text_repair(text);
		assert_int_equal(strlen(text), 16);
		assert_true(text_is_utf8(text, 16));
		text_repair_terminal(text);
		assert_true(text_is_utf8(text, strlen(text)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repair_keeps_what_is_utf8),
		cmocka_unit_test(test_repair_takes_a_terminals_commands_away),
		cmocka_unit_test(test_repair_makes_any_bytes_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
