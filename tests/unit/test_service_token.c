// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <jwt.h>
#include <sodium.h>
#include <cmocka.h>

#include "base/util.h"
#include "services/common/token.h"

static const char secret[] = "a secret of more than thirty-two bytes";
static const struct token_claims ada = { .user_id = "u-1", .email = "ada@example.com" };
#define NOW 1700000000

static char *make(void)
{
	char *token = NULL;

	assert_int_equal(token_make(secret, sizeof(secret) - 1, &ada, NOW, 60, &token), 0);
	return token;
}

static int check(const char *token, int64_t now_s)
{
	struct token_claims c;

	return token_check(secret, sizeof(secret) - 1, token, now_s, &c);
}

static void test_token_round_trips(void **state)
{
	(void)state;
	CLEANUP(freep) char *token = make();
	struct token_claims c = { 0 };

	assert_int_equal(token_check(secret, sizeof(secret) - 1, token, NOW, &c), 0);
	assert_string_equal(c.user_id, ada.user_id);
	assert_string_equal(c.email, ada.email);
}

static void test_token_expires(void **state)
{
	(void)state;
	CLEANUP(freep) char *token = make();

	assert_int_equal(check(token, NOW + 59), 0);
	assert_int_equal(check(token, NOW + 60), -EACCES);
}

static void test_token_altered_anywhere_is_refused(void **state)
{
	(void)state;
	CLEANUP(freep) char *token = make();
	size_t len = strlen(token);

	for (size_t i = 0; i + 1 < len; i++) { /* the last character has bits that base64 ignores */
		char kept = token[i];
		token[i] = kept == 'A' ? 'B' : 'A';
		if (check(token, NOW) != -EACCES)
			fail_msg("byte %zu altered, and accepted", i);
		token[i] = kept;
	}
	assert_int_equal(check(token, NOW), 0);
}

static void test_token_of_another_secret_is_refused(void **state)
{
	(void)state;
	CLEANUP(freep) char *token = make();
	struct token_claims c;

	assert_int_equal(token_check("another secret of more than 32 bytes", 36, token, NOW, &c),
			 -EACCES);
}

static void refuse_algorithm(jwt_alg_t alg, const char *key, size_t len)
{
	jwt_t *j = NULL;

	assert_int_equal(jwt_new(&j), 0);
	assert_int_equal(jwt_add_grant(j, "sub", "u-1"), 0);
	assert_int_equal(jwt_add_grant(j, "email", "ada@example.com"), 0);
	assert_int_equal(jwt_add_grant_int(j, "exp", NOW + 60), 0);
	assert_int_equal(jwt_set_alg(j, alg, (const unsigned char *)key, (int)len), 0);
	CLEANUP(freep) char *token = jwt_encode_str(j);
	assert_non_null(token);
	assert_int_equal(check(token, NOW), -EACCES);
	jwt_free(j);
}

static void test_token_of_another_algorithm_is_refused(void **state)
{
	(void)state;
	refuse_algorithm(JWT_ALG_NONE, NULL, 0);
	refuse_algorithm(JWT_ALG_HS384, secret, sizeof(secret) - 1);
	refuse_algorithm(JWT_ALG_HS512, secret, sizeof(secret) - 1);
}

static void test_token_rubbish_is_refused(void **state)
{
	(void)state;
	static const char *const rubbish[] = { "",
					       ".",
					       "..",
					       "...",
					       "a.b",
					       "a.b.c",
					       "e30.e30.",
					       "\xff.\xff.\xff",
					       "eyJhbGciOiJIUzI1NiJ9.bm90IGpzb24.AAAA" };
	char *long_one = malloc(TOKEN_MAX + 2);

	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++)
		assert_int_equal(check(rubbish[i], NOW), -EACCES);
	memset(long_one, 'a', TOKEN_MAX + 1);
	long_one[TOKEN_MAX + 1] = '\0';
	assert_int_equal(check(long_one, NOW), -EACCES);
	free(long_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token_round_trips),
		cmocka_unit_test(test_token_expires),
		cmocka_unit_test(test_token_altered_anywhere_is_refused),
		cmocka_unit_test(test_token_of_another_secret_is_refused),
		cmocka_unit_test(test_token_of_another_algorithm_is_refused),
		cmocka_unit_test(test_token_rubbish_is_refused),
	};

	return cmocka_run_group_tests_name("service_token", tests, NULL, NULL);
}
