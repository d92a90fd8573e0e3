// SPDX-License-Identifier: GPL-2.0-or-later
/* What a daemon has learned goes into the store, and a later one takes it from there, or says why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "../lib/rig.h"
#include "run_daemon.h"

static struct store *store;
static struct daemon *d; /* of which only these members are used: lock, store, detector, diagnoser */
static char log_path[64];

/* A daemon with what the rig has learned. */
static void begin(struct rig *r, uint64_t seed)
{
	rig_init(r, seed, NULL);
	d->store = store;
	d->detector = r->detector;
	d->diagnoser = r->diagnoser;
	d->saved_samples = 0;
}

static int set_up(void **state)
{
	(void)state;
	struct problem p = { 0 };
	d = calloc(1, sizeof(*d));
	if (!d || store_open(":memory:", &store, &p))
		return -1;
	pthread_mutex_init(&d->lock, NULL);
	snprintf(log_path, sizeof(log_path), "/tmp/test_run_models.XXXXXX");
	int fd = mkstemp(log_path);
	log_init("test", fd, LOG_LEVEL_INFO);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_init("test", STDERR_FILENO, LOG_LEVEL_INFO);
	unlink(log_path);
	store_close(store);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return 0;
}

static bool logged(const char *words)
{
	static char text[65536];
	CLEANUP(fclosep) FILE *f = fopen(log_path, "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = '\0';
	return strstr(text, words) != NULL;
}

static void ticks(struct rig *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rig_tick(r);
}

static int take_int(const struct store_row *row, void *ctx)
{
	*(int64_t *)ctx = store_int(row, 0);
	return 0;
}

static int64_t ask(const char *sql)
{
	int64_t v = -1;

	assert_int_equal(store_query(store, sql, take_int, &v, ""), 0);
	return v;
}

static void test_models_outlive_the_daemon(void **state)
{
	(void)state;
	struct rig r, next;

	begin(&r, 31);
	models_load(d); /* nothing is there, and nothing is said */
	assert_false(logged("baselines"));
	models_save(d); /* nothing was learned: nothing is written */
	assert_int_equal(ask("SELECT count(*) FROM models"), 0);
	rig_warm(&r);
	models_save(d);
	assert_int_equal(ask("SELECT count(*) FROM models"), 2);
	rig_release(&r);

	begin(&next, 32);
	models_load(d);
	assert_true(logged("the baselines were saved 0.0 hours ago and are used again"));
	assert_true(logged(
		"the diagnosis's usual figures were saved 0.0 hours ago and are used again"));
	ticks(&next, 45);
	assert_true(detector_warm(next.detector));
	assert_true(diagnoser_warm(next.diagnoser));
	assert_int_equal(next.opened, 0);
	rig_release(&next);
}

/* A daemon that stops before it has learned anything leaves on disk what is better. */
static void test_models_are_not_overwritten_by_nothing(void **state)
{
	(void)state;
	struct rig r, next;

	begin(&r, 33);
	rig_warm(&r);
	models_save(d);
	int64_t size = ask("SELECT length(data) FROM models WHERE name = 'baselines'");
	assert_int_equal(store_run(store, "UPDATE models SET at = 5", ""), 0);
	rig_release(&r);

	begin(&next, 34);
	models_load(d);
	ticks(&next, 3);
	models_save(d);
	assert_int_equal(ask("SELECT count(*) FROM models WHERE at = 5"), 2);
	/* Later it is written again, and again only when there is more. */
	ticks(&next, 100);
	models_save(d);
	assert_int_equal(ask("SELECT count(*) FROM models WHERE at > 5"), 2);
	assert_true(ask("SELECT length(data) FROM models WHERE name = 'baselines'") >= size);
	assert_int_equal(store_run(store, "UPDATE models SET at = 6", ""), 0);
	models_save(d);
	assert_int_equal(ask("SELECT count(*) FROM models WHERE at = 6"), 2);
	rig_release(&next);
}

static void test_models_refused_are_told(void **state)
{
	(void)state;
	struct rig r, next;

	begin(&r, 35);
	ticks(&r, 200);
	models_save(d);
	rig_release(&r);
	assert_int_equal(
		store_run(store, "UPDATE models SET data = x'00' WHERE name = 'baselines'", ""), 0);
	begin(&next, 36);
	models_load(d);
	assert_true(logged(
		"the baselines on disk are damaged: kept as baselines.refused, and learned anew"));
	assert_int_equal(ask("SELECT data = x'00' FROM models WHERE name = 'baselines.refused'"),
			 1);
	ticks(&next, 50);
	assert_int_equal(rig_verdict(&next, SYNTH_DB)->baseline_samples > 0, 0);
	rig_release(&next);
}

/*
 * A newer version's models meet this program, which learns and saves its own, and are there again
 * for the newer one: played with the versions' places changed, since there is only one here.
 */
static void test_models_of_another_version_are_kept(void **state)
{
	(void)state;
	struct rig r, other, again;

	begin(&r, 41);
	rig_warm(&r);
	models_save(d);
	rig_release(&r);
	int64_t size = ask("SELECT length(data) FROM models WHERE name = 'baselines'");
	/* As if this were the other's: what it refuses is set aside, and it saves its own. */
	assert_int_equal(
		store_run(
			store,
			"INSERT INTO models SELECT 'true', at, data FROM models WHERE name = 'baselines'",
			""),
		0);
	assert_int_equal(store_run(store,
				   "UPDATE models SET data = x'0102' WHERE name = 'baselines'", ""),
			 0);
	begin(&other, 42);
	models_load(d);
	ticks(&other, 300);
	models_save(d);
	rig_release(&other);
	assert_int_equal(ask("SELECT data = x'0102' FROM models WHERE name = 'baselines.refused'"),
			 1);
	assert_true(ask("SELECT length(data) FROM models WHERE name = 'baselines'") > 2);

	/* Back again: what stands in the place is not ours, what was set aside is. */
	assert_int_equal(
		store_run(store,
			  "UPDATE models SET data = (SELECT data FROM models WHERE name = 'true') "
			  "WHERE name = 'baselines.refused'",
			  ""),
		0);
	assert_int_equal(store_run(store,
				   "UPDATE models SET data = x'0102' WHERE name = 'baselines'", ""),
			 0);
	begin(&again, 43);
	models_load(d);
	assert_true(logged("and are used again"));
	assert_int_equal(ask("SELECT length(data) FROM models WHERE name = 'baselines.refused'"),
			 size);
	ticks(&again, 45);
	assert_true(detector_warm(again.detector));
	rig_release(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_models_outlive_the_daemon, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_models_are_not_overwritten_by_nothing, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_models_refused_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_models_of_another_version_are_kept, set_up,
						tear_down),
	};
	return cmocka_run_group_tests_name("run_models", tests, NULL, NULL);
}
