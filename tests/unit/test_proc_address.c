// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "kernel/proc_address.h"

#define LOOPBACK                       \
	"     +-- 127.0.0.0/8 2 0 2\n" \
	"        |-- 127.0.0.0\n"      \
	"           /8 host LOCAL\n"   \
	"        |-- 127.0.0.1\n"      \
	"           /32 host LOCAL\n"
#define BROADCAST                    \
	"        |-- 10.244.1.255\n" \
	"           /32 link BROADCAST\n"

static int address_in(const char *text, char ret[static INET_ADDRSTRLEN])
{
	CLEANUP(fclosep) FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(f);
	return fib_trie_address(f, ret);
}

static void test_proc_address_is_the_first_that_is_not_loopback(void **state)
{
	char got[INET_ADDRSTRLEN];

	(void)state;
	assert_int_equal(address_in("Main:\n  +-- 0.0.0.0/0 3 0 5\n" LOOPBACK BROADCAST
				    "        |-- 10.244.1.7\n           /32 host LOCAL\n"
				    "        |-- 10.9.9.9\n           /32 host LOCAL\n",
				    got),
			 0);
	assert_string_equal(got, "10.244.1.7");
}

static void test_proc_address_of_a_namespace_without_one(void **state)
{
	char got[INET_ADDRSTRLEN] = "untouched";

	(void)state;
	assert_int_equal(address_in("Main:\n" LOOPBACK BROADCAST, got), -ENOENT);
	assert_int_equal(address_in("|-- not.an.address\n /32 host LOCAL\n/32 host LOCAL\n", got),
			 -ENOENT);
	assert_string_equal(got, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proc_address_is_the_first_that_is_not_loopback),
		cmocka_unit_test(test_proc_address_of_a_namespace_without_one),
	};

	return cmocka_run_group_tests_name("proc_address", tests, NULL, NULL);
}
