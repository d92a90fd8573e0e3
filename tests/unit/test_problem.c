// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/problem.h"

static void test_problem_errno_follows_the_status(void **state)
{
	static const struct {
		int status, err;
	} kinds[] = {
		{ 400, -EINVAL }, { 401, -EACCES },  { 403, -EACCES },   { 404, -ENOENT },
		{ 405, -EINVAL }, { 409, -EEXIST },  { 413, -EMSGSIZE }, { 422, -EPERM },
		{ 429, -EBUSY },  { 503, -ENOTSUP }, { 500, -EIO },      { 418, -EIO },
	};
	struct problem p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(problem_set(&p, kinds[i].status, "no %d", 7), kinds[i].err);
		assert_int_equal(p.status, kinds[i].status);
		assert_string_equal(p.detail, "no 7");
		assert_true(p.title[0] != '\0');
		assert_string_equal(p.parameter, "");
	}
	assert_int_equal(problem_set(NULL, 404, "nobody listens"), -ENOENT);
}

static void test_problem_parameter_says_what_and_what_is_allowed(void **state)
{
	struct problem p;

	(void)state;
	assert_int_equal(problem_parameter(&p, 400, "probability", "2", "a number from 0 to 1"),
			 -EINVAL);
	assert_string_equal(p.parameter, "probability");
	assert_string_equal(p.value, "2");
	assert_string_equal(p.allowed, "a number from 0 to 1");
	assert_string_equal(p.detail, "probability is 2; it must be a number from 0 to 1");
	assert_int_equal(problem_parameter(&p, 422, "duration", "9h", "at most 1h"), -EPERM);
	assert_int_equal(p.status, 422);
}

static void test_problem_cuts_what_is_too_long(void **state)
{
	struct problem p;
	char value[4096];

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(problem_parameter(&p, 400, "name", value, "short"), -EINVAL);
	assert_int_equal(strlen(p.value), sizeof(p.value) - 1);
	assert_non_null(strstr(p.detail, "it must be short"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_problem_errno_follows_the_status),
		cmocka_unit_test(test_problem_parameter_says_what_and_what_is_allowed),
		cmocka_unit_test(test_problem_cuts_what_is_too_long),
	};

	return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
