// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "serve/slowdown.h"

static struct slowdown table;

static int setup(void **state)
{
	(void)state;
	table = (struct slowdown){ 0 };
	return 0;
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static const struct sockaddr *from(const char *text)
{
	static union address a;

	a = (union address){ .v4.sin_family = AF_INET };
	if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
		return &a.any;
	a = (union address){ .v6.sin6_family = AF_INET6 };
	assert_int_equal(inet_pton(AF_INET6, text, &a.v6.sin6_addr), 1);
	return &a.any;
}

static uint64_t wrong(const char *text, uint64_t now_ns)
{
	return slowdown_wrong(&table, from(text), now_ns);
}

static void test_slowdown_doubles_and_ends(void **state)
{
	uint64_t now = NSEC_PER_SEC, wait = SLOWDOWN_FIRST_NS;

	(void)state;
	for (int i = 0; i < 5; i++, wait *= 2)
		assert_int_equal(wrong("192.0.2.1", now), wait);
	for (int i = 0; i < 100; i++)
		assert_int_equal(wrong("192.0.2.1", now), SLOWDOWN_WAIT_MAX_NS);
	assert_int_equal(table.wrong, 105);
	/* Quiet for long enough: forgiven. */
	assert_int_equal(slowdown_addresses(&table, now), 1);
	assert_int_equal(slowdown_addresses(&table, now + SLOWDOWN_FORGET_NS), 0);
	assert_int_equal(wrong("192.0.2.1", now + SLOWDOWN_FORGET_NS), SLOWDOWN_FIRST_NS);
}

static void test_slowdown_is_each_address_s_own(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		wrong("192.0.2.1", 1);
	assert_int_equal(wrong("192.0.2.2", 1), SLOWDOWN_FIRST_NS);
	/* The same address in another form, and the neighbours in one /64. */
	assert_int_equal(wrong("::ffff:192.0.2.1", 1), SLOWDOWN_WAIT_MAX_NS);
	assert_int_equal(wrong("2001:db8::1", 1), SLOWDOWN_FIRST_NS);
	assert_int_equal(wrong("2001:db8::2", 1), 2 * SLOWDOWN_FIRST_NS);
	assert_int_equal(wrong("2001:db8:0:1::2", 1), SLOWDOWN_FIRST_NS);
	slowdown_right(&table, from("192.0.2.1"));
	assert_int_equal(wrong("192.0.2.1", 1), SLOWDOWN_FIRST_NS);
	slowdown_right(&table, from("203.0.113.9")); /* never heard of */
}

static void test_slowdown_is_bounded(void **state)
{
	char text[32];

	(void)state;
	for (unsigned i = 0; i < SLOWDOWN_ADDRESSES; i++) {
		snprintf(text, sizeof(text), "10.0.%u.%u", i / 256, i % 256);
		wrong(text, 10 + i);
	}
	assert_int_equal(table.evicted, 0);
	wrong("10.9.9.9", 5000);
	assert_int_equal(table.evicted, 1);
	/* The one that was quiet for longest went, the next is still there. */
	assert_int_equal(wrong("10.0.0.1", 5001), 2 * SLOWDOWN_FIRST_NS);
	assert_int_equal(wrong("10.0.0.0", 5002), SLOWDOWN_FIRST_NS);
	assert_int_equal(slowdown_addresses(&table, 6000), SLOWDOWN_ADDRESSES);
}

#define CASE(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_slowdown_doubles_and_ends),
		CASE(test_slowdown_is_each_address_s_own),
		CASE(test_slowdown_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
