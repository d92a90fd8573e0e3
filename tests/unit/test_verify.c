// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "remediate/verify.h"

#define S NSEC_PER_SEC

enum kind { GOOD, BAD, LATE, SILENT, WAITING };

static enum verify_result step(struct verify *v, unsigned at_s, enum kind k)
{
	struct verify_limits l;
	struct verify_tick t = { .at_ns = at_s * S };

	verify_limits_default(&l);
	t.suspect = k == BAD;
	t.answered = k == GOOD || k == BAD || k == LATE ? 10 : 0;
	t.oldest_ns = k == LATE ? 2 * S : k == WAITING ? S / 2 : 0;
	return verify_step(v, &l, &t);
}

static void test_verify_six_good_of_eight(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 100 * S);
	for (unsigned i = 1; i < 5; i++) /* settling: good and bad count for nothing */
		assert_int_equal(step(&v, 100 + i, i % 2 ? GOOD : BAD), VERIFY_PENDING);
	assert_int_equal(v.spoke, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(step(&v, 105 + i, GOOD), VERIFY_PENDING);
	assert_int_equal(step(&v, 110, BAD), VERIFY_PENDING);
	assert_int_equal(step(&v, 111, LATE), VERIFY_PENDING);
	assert_int_equal(step(&v, 112, GOOD), VERIFY_VERIFIED);
	assert_true(v.first_good_ns == 105 * S);
}

/* It recovers when it does, not when the settle time ends, nor when the proof is complete. */
static void test_verify_recovered_when_it_was_calm_first(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 100 * S);
	assert_int_equal(step(&v, 101, SILENT), VERIFY_PENDING);
	assert_int_equal(step(&v, 102, BAD), VERIFY_PENDING);
	for (unsigned i = 103; i < 110; i++)
		assert_int_equal(step(&v, i, i == 104 ? SILENT : GOOD), VERIFY_PENDING);
	assert_int_equal(step(&v, 110, GOOD), VERIFY_VERIFIED);
	assert_true(v.first_good_ns == 103 * S);

	/* A bad tick that the proof forgives, at its very end. */
	verify_start(&v, 100 * S);
	for (unsigned i = 103; i < 110; i++)
		assert_int_equal(step(&v, i, GOOD), VERIFY_PENDING);
	assert_int_equal(step(&v, 110, BAD), VERIFY_PENDING);
	assert_int_equal(step(&v, 111, GOOD), VERIFY_VERIFIED);
	assert_true(v.first_good_ns == 103 * S);

	/* Good at first, then bad for long: that first time was no recovery. */
	verify_start(&v, 100 * S);
	for (unsigned i = 101; i < 107; i++)
		assert_int_equal(step(&v, i, GOOD), VERIFY_PENDING);
	for (unsigned i = 107; i < 120; i++)
		assert_int_equal(step(&v, i, BAD), VERIFY_PENDING);
	for (unsigned i = 120; i < 125; i++)
		assert_int_equal(step(&v, i, GOOD), VERIFY_PENDING);
	assert_int_equal(step(&v, 125, GOOD), VERIFY_VERIFIED);
	assert_true(v.first_good_ns == 120 * S);
}

static void test_verify_old_good_ticks_slide_out(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 0);
	for (unsigned i = 0; i < 60; i++) /* four of eight, for ever */
		assert_int_equal(step(&v, 5 + i, i % 2 ? GOOD : BAD), VERIFY_PENDING);
}

static void test_verify_fails_at_the_end_of_the_window(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 0);
	for (unsigned i = 5; i < 125; i++)
		assert_int_equal(step(&v, i, BAD), VERIFY_PENDING);
	assert_int_equal(step(&v, 125, BAD), VERIFY_FAILED);
}

static void test_verify_silence_proves_nothing(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 0);
	for (unsigned i = 5; i < 125; i++)
		assert_int_equal(step(&v, i, SILENT), VERIFY_PENDING);
	assert_int_equal(step(&v, 125, SILENT), VERIFY_UNVERIFIED);
}

static void test_verify_too_few_good_ticks_are_unverified(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 0);
	for (unsigned i = 5; i < 10; i++)
		assert_int_equal(step(&v, i, GOOD), VERIFY_PENDING);
	assert_int_equal(step(&v, 125, SILENT), VERIFY_UNVERIFIED);
}

static void test_verify_silent_ticks_between_do_not_harm(void **state)
{
	struct verify v;

	(void)state;
	verify_start(&v, 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(step(&v, 10 + 10 * i, GOOD), VERIFY_PENDING);
		assert_int_equal(step(&v, 15 + 10 * i, i % 2 ? SILENT : WAITING), VERIFY_PENDING);
	}
	assert_int_equal(step(&v, 70, GOOD), VERIFY_VERIFIED);
	assert_true(v.first_good_ns == 10 * S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verify_six_good_of_eight),
		cmocka_unit_test(test_verify_recovered_when_it_was_calm_first),
		cmocka_unit_test(test_verify_old_good_ticks_slide_out),
		cmocka_unit_test(test_verify_fails_at_the_end_of_the_window),
		cmocka_unit_test(test_verify_silence_proves_nothing),
		cmocka_unit_test(test_verify_too_few_good_ticks_are_unverified),
		cmocka_unit_test(test_verify_silent_ticks_between_do_not_harm),
	};

	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
