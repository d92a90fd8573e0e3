// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sodium.h>
#include <cmocka.h>

#include "base/util.h"
#include "services/common/signature.h"
#include "services/common/trace.h"

#define NOW 1700000000
static const char secret[] = "whsec_test";
static const char body[] = "{\"type\":\"x\"}";

static int check(const char *header, int64_t now_s)
{
	const char *why = NULL;
	int err = signature_check(secret, header, body, strlen(body), now_s, &why);

	assert_true(!err == !why);
	return err;
}

static const char *header_of(int64_t t_s, const char *before, const char *after)
{
	static char header[512];
	char hex[SIGNATURE_HEX_SIZE];

	signature_hex(secret, t_s, body, strlen(body), hex);
	snprintf(header, sizeof(header), "t=%lld,%sv1=%s%s", (long long)t_s, before, hex, after);
	return header;
}

/* Computed with: printf '%s' '1700000000.{"type":"x"}' | openssl dgst -sha256 -hmac whsec_test */
static void test_signature_known_answer(void **state)
{
	(void)state;
	char hex[SIGNATURE_HEX_SIZE];

	signature_hex(secret, NOW, body, strlen(body), hex);
	assert_string_equal(hex,
			    "29cc951fc439d64c216bbea1a7361669bacc196ec2ea452cfa008c48a61829ad");
}

static void test_signature_accepts(void **state)
{
	(void)state;
	assert_int_equal(check(header_of(NOW, "", ""), NOW), 0);
	assert_int_equal(check(header_of(NOW, "v1=00,", ",v0=11"), NOW),
			 0); /* a secret that is being rolled */
	assert_int_equal(check(header_of(NOW - 300, "", ""), NOW), 0);
	assert_int_equal(check(header_of(NOW + 300, "", ""), NOW), 0);
}

static void test_signature_refuses_stale(void **state)
{
	(void)state;
	assert_int_equal(check(header_of(NOW - 301, "", ""), NOW), -ESTALE);
	assert_int_equal(check(header_of(NOW + 301, "", ""), NOW), -ESTALE);
}

static void test_signature_refuses_forged(void **state)
{
	(void)state;
	char header[512], hex[SIGNATURE_HEX_SIZE];
	const char *why = NULL;

	/* Right for another time, body, secret or scheme. */
	snprintf(header, sizeof(header), "%s", header_of(NOW, "", ""));
	header[2 + 9] = '1';
	assert_int_equal(check(header, NOW), -EACCES);
	assert_int_equal(signature_check(secret, header_of(NOW, "", ""), "{}", 2, NOW, &why),
			 -EACCES);
	assert_int_equal(signature_check("whsec_other", header_of(NOW, "", ""), body, strlen(body),
					 NOW, &why),
			 -EACCES);
	signature_hex(secret, NOW, body, strlen(body), hex);
	snprintf(header, sizeof(header), "t=%d,v0=%s", NOW, hex);
	assert_int_equal(check(header, NOW), -EACCES);
	hex[63] = '\0';
	snprintf(header, sizeof(header), "t=%d,v1=%s", NOW, hex);
	assert_int_equal(check(header, NOW), -EACCES);
}

static void test_signature_refuses_malformed(void **state)
{
	(void)state;
	char header[2048];

	assert_int_equal(check(NULL, NOW), -EINVAL);
	assert_int_equal(check("", NOW), -EINVAL);
	assert_int_equal(check("v1=00", NOW), -EINVAL);
	assert_int_equal(check("t=,v1=00", NOW), -EINVAL);
	assert_int_equal(check("t=-5,v1=00", NOW), -EINVAL);
	assert_int_equal(check("t=99999999999999999999,v1=00", NOW), -EINVAL);
	memset(header, ',', sizeof(header) - 1);
	header[sizeof(header) - 1] = '\0';
	assert_int_equal(check(header, NOW), -EINVAL);
}

static void test_trace_ids(void **state)
{
	(void)state;
	char made[TRACE_ID_SIZE], again[TRACE_ID_SIZE];
	static const char *const bad[] = { "",
					   "550e8400e29b41d4a716446655440000",
					   "550e8400-e29b-41d4-a716-44665544000",
					   "550e8400-e29b-41d4-a716-4466554400000",
					   "550e8400-e29b-41d4-a716-44665544000g",
					   "00000000-0000-0000-0000-000000000000",
					   "550e8400-e29b-41d4-a716-44665544000\n" };

	trace_id_make(made);
	trace_id_make(again);
	assert_true(trace_id_valid(made));
	assert_int_equal(made[14], '4');
	assert_string_not_equal(made, again);
	assert_true(trace_id_valid("550E8400-e29b-41d4-a716-446655440000"));
	assert_false(trace_id_valid(NULL));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(trace_id_valid(bad[i]));
}

static void test_traceparents(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"
	};

	assert_true(traceparent_valid("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(traceparent_valid(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signature_known_answer),
		cmocka_unit_test(test_signature_accepts),
		cmocka_unit_test(test_signature_refuses_stale),
		cmocka_unit_test(test_signature_refuses_forged),
		cmocka_unit_test(test_signature_refuses_malformed),
		cmocka_unit_test(test_trace_ids),
		cmocka_unit_test(test_traceparents),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("service_signature", tests, NULL, NULL);
}
