// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/util.h"
#include "serve/gate.h"

static void test_gate_host_takes_loopback_and_named(void **state)
{
	static const char *const names[] = { "box.lan", NULL };
	static const struct {
		const char *host;
		bool ok;
	} cases[] = {
		{ "localhost", true },
		{ "localhost:8005", true },
		{ "LocalHost:1", true },
		{ "127.0.0.1", true },
		{ "127.8.9.1:80", true },
		{ "[::1]", true },
		{ "[::1]:8006", true },
		{ "box.lan:8005", true },
		{ "BOX.lan", true },
		{ NULL, false },
		{ "", false },
		{ "evil.example", false },
		{ "localhost.evil.example", false },
		{ "127.0.0.1.evil.example:8005", false },
		{ "evil.example:127", false },
		{ "10.0.0.1", false },
		{ "0.0.0.0", false },
		{ "[::1", false },
		{ "::1", false },
		{ "[::2]:80", false },
		{ "localhost:", false },
		{ "localhost:80x", false },
		{ "localhost:80:80", false },
		{ "[::1]evil", false },
		{ "user@localhost", false },
		{ "box.lan.evil", false },
		{ ":8005", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (gate_host_ok(cases[i].host, names) != cases[i].ok)
			fail_msg("host %s", cases[i].host ?: "(none)");
	assert_false(gate_host_ok("box.lan", NULL));
}

static void test_gate_origin_must_be_ours(void **state)
{
	static const struct {
		const char *origin, *host;
		bool ok;
	} cases[] = {
		{ NULL, "localhost:8005", true },
		{ "http://localhost:8005", "localhost:8005", true },
		{ "https://LOCALHOST:8005", "localhost:8005", true },
		{ "http://localhost:8006", "localhost:8005", false },
		{ "http://localhost", "localhost:8005", false },
		{ "http://evil.example", "localhost:8005", false },
		{ "http://localhost:8005.evil.example", "localhost:8005", false },
		{ "null", "localhost:8005", false },
		{ "", "localhost:8005", false },
		{ "file://", "localhost:8005", false },
		{ "http://localhost:8005", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (gate_origin_ok(cases[i].origin, cases[i].host) != cases[i].ok)
			fail_msg("origin %s", cases[i].origin ?: "(none)");
}

static void test_gate_token_is_compared_whole(void **state)
{
	static const char token[] = "0123456789abcdef";

	(void)state;
	assert_true(sodium_init() >= 0);
	assert_true(gate_token_ok("Bearer 0123456789abcdef", token));
	assert_true(gate_token_ok("bearer 0123456789abcdef", token));
	assert_false(gate_token_ok("Bearer 0123456789abcde", token));
	assert_false(gate_token_ok("Bearer 0123456789abcdef0", token));
	assert_false(gate_token_ok("Bearer  0123456789abcdef", token));
	assert_false(gate_token_ok("Basic 0123456789abcdef", token));
	assert_false(gate_token_ok("0123456789abcdef", token));
	assert_false(gate_token_ok("Bearer ", token));
	assert_false(gate_token_ok("", token));
	assert_false(gate_token_ok(NULL, token));
}

static void test_gate_brake_slows_guesses_of_all_connections(void **state)
{
	struct gate_brake b = { 0 };
	uint64_t now = 100 * NSEC_PER_SEC, wait = 0;
	int allowed = 0;

	(void)state;
	assert_int_equal(gate_brake_ns(&b, now), GATE_STEP_NS);
	assert_int_equal(gate_brake_ns(&b, now), 2 * GATE_STEP_NS);
	while ((wait = gate_brake_ns(&b, now)) != UINT64_MAX)
		allowed++;
	assert_int_equal(allowed, GATE_WAIT_MAX_NS / GATE_STEP_NS - 2);
	/* Four a second, for ever. */
	assert_int_equal(gate_brake_ns(&b, now + GATE_STEP_NS), GATE_WAIT_MAX_NS);
	/* Quiet for a while: as at first. */
	assert_int_equal(gate_brake_ns(&b, now + 60 * NSEC_PER_SEC), GATE_STEP_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate_host_takes_loopback_and_named),
		cmocka_unit_test(test_gate_origin_must_be_ours),
		cmocka_unit_test(test_gate_token_is_compared_whole),
		cmocka_unit_test(test_gate_brake_slows_guesses_of_all_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
