// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"

static void test_buf_grows_up_to_its_cap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_addstr(&b, "12345"), 0);
	assert_int_equal(buf_add(&b, "6789x", 4), 0);
	assert_int_equal(b.len, 9);
	assert_int_equal(buf_addf(&b, "%d", 0), 0);
	assert_string_equal(buf_str(&b), "1234567890");

	/* Full: refused whole, nothing changed. */
	assert_int_equal(buf_addstr(&b, "x"), -EMSGSIZE);
	assert_int_equal(buf_addf(&b, "%s", "yz"), -EMSGSIZE);
	assert_int_equal(buf_addstr(&b, ""), 0);
	assert_string_equal(buf_str(&b), "1234567890");
	assert_int_equal(b.len, 10);
	buf_release(&b);
	buf_release(&b);
}

static void test_buf_refuses_whole_not_in_part(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(buf_addstr(&b, "abc"), 0);
	assert_int_equal(buf_addstr(&b, "de"), -EMSGSIZE);
	assert_string_equal(buf_str(&b), "abc");
	assert_int_equal(buf_addstr(&b, "d"), 0);
	assert_string_equal(buf_str(&b), "abcd");
	buf_release(&b);
}

static void test_buf_holds_nul_bytes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "a\0b", 4);
	buf_release(&b);
}

static void test_buf_reset_and_take(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_addstr(&b, "old"), 0);
	buf_reset(&b);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_addstr(&b, "new"), 0);
	char *s = buf_take(&b);
	assert_string_equal(s, "new");
	free(s);
	assert_string_equal(buf_str(&b), "");

	/* Also of an empty buffer, and it can be filled again. */
	s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
	assert_int_equal(buf_addstr(&b, "again"), 0);
	assert_string_equal(buf_str(&b), "again");
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_grows_up_to_its_cap),
		cmocka_unit_test(test_buf_refuses_whole_not_in_part),
		cmocka_unit_test(test_buf_holds_nul_bytes),
		cmocka_unit_test(test_buf_reset_and_take),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
