// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/util.h"
#include "serve/idempotency.h"

static struct idempotency *table;
static int status;
static char *body;
static size_t len;

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0 ? -1 : idempotency_new(&table);
}

static int teardown(void **state)
{
	(void)state;
	idempotency_free(table);
	return 0;
}

static enum idempotency_verdict begin(const char *scope, const char *key, const char *request,
				      uint64_t now_ns)
{
	free(body);
	body = NULL;
	return idempotency_begin(table, scope, key, request, strlen(request), now_ns, &status,
				 &body, &len);
}

static void test_idempotency_repeats_the_first_answer(void **state)
{
	(void)state;
	assert_int_equal(begin("root", "k", "POST /a {}", 1), IDEMPOTENCY_FIRST);
	assert_int_equal(begin("root", "k", "POST /a {}", 2), IDEMPOTENCY_RUNNING);
	idempotency_end(table, "root", "k", 201, "{\"id\":1}", 8);
	assert_int_equal(begin("root", "k", "POST /a {}", 3), IDEMPOTENCY_REPEATED);
	assert_int_equal(status, 201);
	assert_int_equal(len, 8);
	assert_string_equal(body, "{\"id\":1}");
	assert_int_equal(begin("root", "k", "POST /a {\"x\":1}", 4), IDEMPOTENCY_OTHER);
	assert_int_equal(begin("1000", "k", "POST /a {}", 5), IDEMPOTENCY_FIRST);
}

static void test_idempotency_forgets_what_was_refused(void **state)
{
	(void)state;
	assert_int_equal(begin("r", "refused", "x", 1), IDEMPOTENCY_FIRST);
	idempotency_end(table, "r", "refused", 409, "no", 2);
	assert_int_equal(begin("r", "refused", "x", 2), IDEMPOTENCY_FIRST);
	idempotency_end(table, "r", "refused", 200, "", 0);
	assert_int_equal(begin("r", "refused", "x", 3), IDEMPOTENCY_REPEATED);
	assert_int_equal(begin("r", "refused", "x", 3 + IDEMPOTENCY_NS), IDEMPOTENCY_FIRST);
}

static void test_idempotency_says_when_the_answer_was_too_large(void **state)
{
	char *large = calloc(1, IDEMPOTENCY_ANSWER_MAX + 1);

	(void)state;
	assert_non_null(large);
	assert_int_equal(begin("r", "large", "x", 1), IDEMPOTENCY_FIRST);
	idempotency_end(table, "r", "large", 200, large, IDEMPOTENCY_ANSWER_MAX + 1);
	assert_int_equal(begin("r", "large", "x", 2), IDEMPOTENCY_LOST);
	free(large);
}

static void test_idempotency_is_bounded_and_drops_the_oldest(void **state)
{
	struct idempotency *t;
	char key[16];

	(void)state;
	assert_int_equal(idempotency_new(&t), 0);
	for (int i = 0; i < IDEMPOTENCY_MAX; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(idempotency_begin(t, "r", key, "x", 1, (uint64_t)i + 1, &status,
						   &body, &len),
				 IDEMPOTENCY_FIRST);
	}
	/* All running: nobody may be dropped. */
	assert_int_equal(idempotency_begin(t, "r", "more", "x", 1, 999, &status, &body, &len),
			 IDEMPOTENCY_FULL);
	idempotency_end(t, "r", "k7", 200, "7", 1);
	idempotency_end(t, "r", "k5", 200, "5", 1);
	assert_int_equal(idempotency_begin(t, "r", "more", "x", 1, 999, &status, &body, &len),
			 IDEMPOTENCY_FIRST);
	assert_int_equal(idempotency_begin(t, "r", "k7", "x", 1, 1000, &status, &body, &len),
			 IDEMPOTENCY_REPEATED);
	free(body);
	body = NULL;
	assert_int_equal(idempotency_begin(t, "r", "k5", "x", 1, 1001, &status, &body, &len),
			 IDEMPOTENCY_FIRST);
	idempotency_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idempotency_repeats_the_first_answer),
		cmocka_unit_test(test_idempotency_forgets_what_was_refused),
		cmocka_unit_test(test_idempotency_says_when_the_answer_was_too_large),
		cmocka_unit_test(test_idempotency_is_bounded_and_drops_the_oldest),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
