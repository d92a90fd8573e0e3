// SPDX-License-Identifier: GPL-2.0-or-later
/* The model's own text against what was offered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "base/util.h"
#include "remediate/llm.h"
#include "tests/lib/llm_questions.h"

#define GOOD                                                                                                             \
	"{\"incident_id\":\"i-0004\",\"root_cause_service\":\"svc_1\",\"fault_class\":\"latency\",\"action_id\":\"a1\"," \
	"\"confidence\":0.9,\"evidence_ids\":[\"e1\"],\"why\":\"svc_1 is slow, svc_3 waits; svc_12 is none\"}"

static bool validate(const char *text, struct llm_answer *a)
{
	struct llm_question q = llm_question_secret();

	*a = (struct llm_answer){ 0 };
	return llm_validate(&q, text, strlen(text), a);
}

static void test_llm_validate_takes_a_good_answer(void **state)
{
	struct llm_answer a;

	(void)state;
	assert_true(validate(GOOD, &a));
	assert_true(a.usable);
	assert_string_equal(a.action_id, "a1");
	assert_int_equal(a.root, 12);
	assert_int_equal(a.resource, FAULT_CLASS_LATENCY);
	assert_string_equal(a.why, "db-secret is slow, product-secret waits; svc_12 is none");
	assert_true(validate("```json\n" GOOD "\n```\n", &a));
	assert_true(validate("  ```\n" GOOD "```", &a));
	assert_false(validate("Sure! Here it is: " GOOD, &a));
	assert_false(validate(GOOD " and restart everything", &a));
	assert_false(validate("```json\n" GOOD, &a));
	assert_false(validate("``````", &a));
}

static void test_llm_validate_refuses(void **state)
{
	/* Each differs from GOOD in one place. */
	static const struct {
		const char *from, *to, *because;
	} t[] = {
		{ "\"a1\"", "\"a9\"", "not offered" },
		{ "\"a1\"", "\"rm -rf /\"", "not offered" },
		{ "\"a1\"", "[\"a1\"]", "not offered" },
		{ "i-0004", "i-0005", "another incident" },
		{ "\"svc_1\",", "\"svc_9\",", "root cause" },
		{ "\"svc_1\",", "\"db-secret\",", "root cause" },
		{ "\"svc_1\",", "\"svc_1 x\",", "root cause" },
		{ "latency", "evil", "fault class" },
		{ "0.9", "5.0", "confidence" },
		{ "0.9", "-0.1", "confidence" },
		{ "0.9", "\"0.9\"", "confidence" },
		{ "0.9", "1e999", "not one JSON object" },
		{ "[\"e1\"]", "[\"e7\"]", "evidence" },
		{ "[\"e1\"]", "\"e1\"", "evidence" },
		{ "[\"e1\"]", "[1]", "evidence" },
		{ "\"why\"", "\"because\"", "no reason" },
		{ "\"confidence\"", "\"confidence\":0.5,\"confidence\"", "not one JSON object" },
		{ "slow", "\xc3\x28", "not one JSON object" },
		{ "}", "", "not one JSON object" },
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		const char *at_from = strstr(GOOD, t[i].from);
		assert_non_null(at_from);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at_from - GOOD), GOOD, t[i].to,
			 at_from + strlen(t[i].from));
		struct llm_answer a;
		if (validate(text, &a) || !strstr(a.because, t[i].because))
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, a.because, t[i].because);
		assert_false(a.usable);
	}
}

static void test_llm_why_is_cleaned_and_cut(void **state)
{
	char in[2048], out[PLAN_WHY_MAX];

	(void)state;
	llm_clean_why("a\x1b[31mred\x7f\n\tb\xe2\x80\xae"
		      "cba\xc2\x85z",
		      out);
	assert_string_equal(out, "a[31mred  bcbaz");
	memset(in, 'x', sizeof(in) - 1);
	in[sizeof(in) - 1] = '\0';
	llm_clean_why(in, out);
	assert_int_equal(strlen(out), LLM_WHY_CHARS);
	for (size_t i = 0; i + 3 < sizeof(in); i += 3)
		memcpy(in + i, "\xe2\x82\xac", 3);
	in[sizeof(in) - 2] = '\0';
	llm_clean_why(in, out);
	assert_true(text_is_utf8(out, strlen(out)));
	assert_true(strlen(out) > 290);
}

static void test_llm_validate_survives_long_reasons(void **state)
{
	char text[8192], why[4096] = "";
	struct llm_answer a;

	(void)state;
	for (size_t i = 0, at = 0; i < 400; i++)
		at += (size_t)snprintf(why + at, sizeof(why) - at, "%s",
				       i % 2 ? "svc_1 " : "\xe2\x82\xac");
	snprintf(
		text, sizeof(text),
		"{\"incident_id\":\"i-0004\",\"root_cause_service\":\"svc_2\",\"fault_class\":\"cpu\",\"action_id\":\"a3\","
		"\"confidence\":1,\"evidence_ids\":[],\"why\":\"%s\"}",
		why);
	assert_true(validate(text, &a));
	assert_true(text_is_utf8(a.why, strlen(a.why)));
	assert_int_equal(strlen(a.why) <= 303, 1);
	assert_int_equal(a.root, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_llm_validate_takes_a_good_answer),
		cmocka_unit_test(test_llm_validate_refuses),
		cmocka_unit_test(test_llm_why_is_cleaned_and_cut),
		cmocka_unit_test(test_llm_validate_survives_long_reasons),
	};

	return cmocka_run_group_tests_name("llm_answer", tests, NULL, NULL);
}
