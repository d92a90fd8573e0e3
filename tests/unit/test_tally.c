// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "remediate/tally.h"

static struct tally tally;

static int clear(void **state)
{
	(void)state;
	memset(&tally, 0, sizeof(tally));
	return 0;
}

static uint64_t count(const char *service, const char *action, const char *result)
{
	uint64_t n = 0;

	for (size_t i = 0; i < tally.nr; i++)
		if (!strcmp(tally.counts[i].service, service) &&
		    !strcmp(tally.counts[i].action, action) &&
		    !strcmp(tally.counts[i].result, result))
			n += tally.counts[i].n;
	return n;
}

static void test_tally_tells_ends_apart(void **state)
{
	(void)state;
	tally_add(&tally, "db", "restart", "done");
	tally_add(&tally, "db", "restart", "done");
	tally_add(&tally, "db", "restart", "failed");
	tally_add(&tally, "db", "reset_fault", "nothing");
	tally_add(&tally, "auth", "restart", "done");
	tally_add(&tally, "db", "", "repaired");
	tally_add(&tally, NULL, "", "escalated");
	assert_int_equal(tally.nr, 6);
	assert_int_equal(count("db", "restart", "done"), 2);
	assert_int_equal(count("db", "restart", "failed"), 1);
	assert_int_equal(count("db", "", "repaired"), 1);
	assert_int_equal(count("auth", "restart", "done"), 1);
	assert_int_equal(count("", "", "escalated"), 1);
}

static void test_tally_full_loses_names_not_counts(void **state)
{
	static char results[TALLY_UNNAMED_MAX + 1][8];
	uint64_t all = 0;
	char name[SERVICE_NAME_MAX];

	(void)state;
	for (int i = 0; i < TALLY_MAX + 500; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		tally_add(&tally, name, "restart", "done");
	}
	assert_int_equal(tally.nr, TALLY_MAX + 1);
	assert_int_equal(tally.unnamed, 500);
	assert_int_equal(count("", "restart", "done"), 500);
	/* Who has a name keeps it. */
	tally_add(&tally, "s0", "restart", "done");
	assert_int_equal(count("s0", "restart", "done"), 2);
	for (size_t i = 0; i < tally.nr; i++)
		all += tally.counts[i].n;
	assert_int_equal(all, TALLY_MAX + 501);

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		snprintf(results[i], sizeof(results[i]), "r%zu", i);
		tally_add(&tally, "", "restart", results[i]);
	}
	assert_int_equal(tally.nr, TALLY_MAX + TALLY_UNNAMED_MAX);
	assert_int_equal(tally.dropped, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_tally_tells_ends_apart, clear),
		cmocka_unit_test_setup(test_tally_full_loses_names_not_counts, clear),
	};

	return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
