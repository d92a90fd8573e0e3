// SPDX-License-Identifier: GPL-2.0-or-later
/* What is usual, on disk: the root is known at once after a restart, and nothing in a blob is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/rig.h"
#include "base/blob.h"
#include "base/util.h"

static void save(const struct rig *r, struct buf *b)
{
	buf_init(b, DIAGNOSER_BLOB_MAX);
	assert_int_equal(diagnoser_save(r->diagnoser, b), 0);
	assert_true(b->len > 500);
}

/* Both halves are kept: a fault ten seconds after the start is found, and blamed on db, by the old measure. */
static void test_diagnose_knows_the_root_after_a_restart(void **state)
{
	(void)state;
	CLEANUP(buf_release) struct buf usual, baselines, again;
	struct diagnosis d = { 0 };
	struct rig r, next;

	rig_init(&r, 21, NULL);
	rig_warm(&r);
	save(&r, &usual);
	buf_init(&baselines, DETECTOR_BLOB_MAX);
	assert_int_equal(detector_save(r.detector, &baselines), 0);

	rig_init(&next, 22, NULL);
	assert_int_equal(diagnoser_load(next.diagnoser, usual.data, usual.len), 0);
	assert_int_equal(detector_load(next.detector, baselines.data, baselines.len), 0);
	save(&next, &again); /* what was not seen yet is not lost either */
	assert_int_equal(again.len, usual.len);
	for (int i = 0; i < 100; i++)
		rig_tick(&next);
	assert_true(detector_warm(next.detector));
	assert_true(diagnoser_warm(next.diagnoser));
	buf_release(&again);
	save(&next, &again);
	assert_int_equal(again.len, usual.len); /* taken over, and not kept twice */

	next.synth.tick_ns = NSEC_PER_SEC;
	rig_hurt(&next, RIG_LATENCY, SYNTH_DB);
	assert_true(rig_find(&next, 10, &d) > 0);
	assert_true(d.known);
	assert_string_equal(d.causes[0].name, "db");
	assert_true(rig_is_victim(&d, SYNTH_PRODUCT));
	rig_release(&r);
	rig_release(&next);
}

/* One that may come back under its name: what was usual of it and of its edges waits. */
static void test_diagnose_shelved_is_known_again(void **state)
{
	(void)state;
	CLEANUP(buf_release) struct buf usual, shelved, again;
	struct rig r;

	rig_init(&r, 24, NULL);
	rig_warm(&r);
	save(&r, &usual);
	uint32_t id = rig_verdict(&r, SYNTH_DB)->service;
	diagnoser_shelve(r.diagnoser, id);
	diagnoser_shelve(r.diagnoser, 999999);
	save(&r, &shelved);
	assert_int_equal(shelved.len, usual.len);
	rig_tick(&r);
	rig_tick(&r);
	save(&r, &again);
	assert_int_equal(again.len, usual.len);
	assert_true(diagnoser_warm(r.diagnoser));
	rig_release(&r);
}

static void test_diagnose_store_refuses(void **state)
{
	(void)state;
	CLEANUP(buf_release) struct buf b;
	struct random random;
	struct rig r;

	rig_init(&r, 23, NULL);
	for (int i = 0; i < 400; i++)
		rig_tick(&r);
	save(&r, &b);
	unsigned char *bytes = (unsigned char *)b.data;
	assert_int_equal(diagnoser_load(r.diagnoser, bytes, 0), -EINVAL);
	assert_int_equal(diagnoser_load(r.diagnoser, bytes, 7), -EINVAL);
	assert_int_equal(diagnoser_load(r.diagnoser, bytes, b.len - 1), -EINVAL);
	random_seed(&random, 1);
	for (int i = 0; i < 300; i++) {
		size_t at = random_below(&random, (uint32_t)b.len);
		bytes[at] ^= (unsigned char)(1U << (i % 8));
		assert_int_equal(diagnoser_load(r.diagnoser, bytes, b.len), -EINVAL);
		bytes[at] ^= (unsigned char)(1U << (i % 8));
	}

	/* Forged, with a right checksum. */
	size_t taken = 0, refused = 0;
	for (int i = 0; i < 1000; i++) {
		CLEANUP(buf_release) struct buf forged;
		size_t len = i % 5 ? b.len - 8 : random_below(&random, (uint32_t)b.len - 8) + 1;
		buf_init(&forged, DIAGNOSER_BLOB_MAX);
		assert_int_equal(buf_add(&forged, bytes, len), 0);
		for (int k = 0; k < 3; k++)
			forged.data[i % 2 ? random_below(&random, (uint32_t)MIN(len, (size_t)100)) :
					    random_below(&random, (uint32_t)len)] =
				(char)random_u64(&random);
		assert_int_equal(blob_seal(&forged, 0), 0);
		int err = diagnoser_load(r.diagnoser, forged.data, forged.len);
		assert_true(err == 0 || err == -EINVAL || err == -ESTALE);
		taken += !err;
		refused += err != 0;
	}
	assert_true(taken > 0 && refused > 100);

	/* Another version: learned anew. */
	CLEANUP(buf_release) struct buf other;
	buf_init(&other, DIAGNOSER_BLOB_MAX);
	assert_int_equal(buf_add(&other, bytes, b.len - 8), 0);
	other.data[8]++;
	assert_int_equal(blob_seal(&other, 0), 0);
	assert_int_equal(diagnoser_load(r.diagnoser, other.data, other.len), -ESTALE);
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diagnose_knows_the_root_after_a_restart),
		cmocka_unit_test(test_diagnose_shelved_is_known_again),
		cmocka_unit_test(test_diagnose_store_refuses),
	};
	return cmocka_run_group_tests_name("diagnose_store", tests, NULL, NULL);
}
