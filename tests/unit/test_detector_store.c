// SPDX-License-Identifier: GPL-2.0-or-later
/* Baselines on disk: warm after a restart, and nothing in a blob is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "../lib/rig.h"
#include "base/buf.h"
#include "base/util.h"

static void ticks(struct rig *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rig_tick(r);
}

static void saved(struct rig *r, struct buf *b)
{
	buf_init(b, DETECTOR_BLOB_MAX);
	assert_int_equal(detector_save(r->detector, b), 0);
	assert_true(b->len > 1000);
}

static void test_detector_is_warm_after_a_restart(void **state)
{
	(void)state;
	struct rig r, next;
	struct buf b, again;

	rig_init(&r, 14, NULL);
	rig_warm(&r);
	saved(&r, &b);

	/* Ids may differ: the name is what counts. */
	rig_init(&next, 15, NULL);
	assert_int_equal(detector_load(next.detector, b.data, b.len), 0);
	saved(&next, &again); /* what was not seen yet is not lost either */
	assert_int_equal(again.len, b.len);
	ticks(&next, 45);
	assert_true(detector_warm(next.detector));
	next.synth.tick_ns = NSEC_PER_SEC;
	ticks(&next, 30);
	assert_int_equal(next.opened, 0);
	synth_of(&next.synth, SYNTH_DB)->extra_ms = 2000;
	assert_true(rig_wait(&next, SYNTH_DB, 5) > 0);
	assert_int_equal(rig_verdict(&next, SYNTH_DB)->scorer, SCORER_FOREST);
	buf_release(&b);
	buf_release(&again);
	rig_release(&r);
	rig_release(&next);
}

/* A container that was away for longer than the grace: its successor has another id and the same name. */
static void test_detector_shelved_is_known_again(void **state)
{
	(void)state;
	struct rig r;
	struct buf b, shelved;
	struct detector_stats stats;

	rig_init(&r, 17, NULL);
	rig_warm(&r);
	saved(&r, &b);
	uint32_t id = rig_verdict(&r, SYNTH_DB)->service;
	assert_int_equal(detector_shelve(r.detector, id), 0);
	assert_int_equal(detector_shelve(r.detector, 999999), 0);
	detector_stats(r.detector, &stats);
	size_t before = stats.nr_warm;
	saved(&r, &shelved);
	assert_int_equal(shelved.len, b.len);
	r.synth.tick_ns = NSEC_PER_SEC;
	ticks(&r, 30);
	detector_stats(r.detector, &stats);
	assert_int_equal(stats.nr_warm, before + 1);
	assert_int_equal(r.opened, 0);
	/* Taken over, and not kept twice: of four baselines one more would be a quarter. */
	buf_release(&shelved);
	saved(&r, &shelved);
	assert_true(shelved.len < b.len + b.len / 5);

	/* One that is forgotten is not. */
	detector_forget(r.detector, rig_verdict(&r, SYNTH_DB)->service);
	ticks(&r, 5);
	detector_stats(r.detector, &stats);
	assert_int_equal(stats.nr_warm, before);
	buf_release(&b);
	buf_release(&shelved);
	rig_release(&r);
}

static void test_detector_refuses_bad_blobs(void **state)
{
	(void)state;
	struct random random;
	struct rig r;
	struct buf b;

	rig_init(&r, 16, NULL);
	ticks(&r, 100);
	saved(&r, &b);
	unsigned char *bytes = (unsigned char *)b.data;
	assert_int_equal(detector_load(r.detector, bytes, 0), -EINVAL);
	assert_int_equal(detector_load(r.detector, bytes, 20), -EINVAL);
	assert_int_equal(detector_load(r.detector, bytes, b.len - 1), -EINVAL);
	assert_int_equal(detector_load(r.detector, bytes, b.len), 0);

	/* Any single bit: the checksum. */
	random_seed(&random, 1);
	for (int i = 0; i < 300; i++) {
		size_t at = random_below(&random, (uint32_t)b.len);
		bytes[at] ^= (unsigned char)(1U << (i % 8));
		assert_int_equal(detector_load(r.detector, bytes, b.len), -EINVAL);
		bytes[at] ^= (unsigned char)(1U << (i % 8));
	}
	buf_release(&b);
	rig_release(&r);
}

static uint64_t fnv(const unsigned char *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

/* A forged blob with a right checksum: nothing in it may be believed. */
static void test_detector_survives_forged_blobs(void **state)
{
	(void)state;
	struct random random;
	struct rig r;
	struct buf b;

	rig_init(&r, 17, NULL);
	ticks(&r, 100);
	saved(&r, &b);
	unsigned char *copy = malloc(b.len);
	assert_non_null(copy);
	random_seed(&random, 2);
	for (int i = 0; i < 500; i++) {
		memcpy(copy, b.data, b.len);
		/* The header, the records' heads and their numbers, and lengths cut short. */
		size_t len = i % 5 ? b.len : 40 + random_below(&random, (uint32_t)b.len - 40);
		for (int k = 0; k < 3; k++)
			copy[i % 2 ? random_below(&random, 140) :
				     random_below(&random, (uint32_t)len - 8)] =
				(unsigned char)random_u64(&random);
		uint64_t sum = fnv(copy, len - 8);
		memcpy(copy + len - 8, &sum, sizeof(sum));
		int err = detector_load(r.detector, copy, len);
		assert_true(err == 0 || err == -EINVAL || err == -ESTALE);
	}
	/* Another feature list: learn anew. */
	memcpy(copy, b.data, b.len);
	copy[16] ^= 1;
	uint64_t sum = fnv(copy, b.len - 8);
	memcpy(copy + b.len - 8, &sum, sizeof(sum));
	assert_int_equal(detector_load(r.detector, copy, b.len), -ESTALE);
	free(copy);
	buf_release(&b);
	rig_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detector_is_warm_after_a_restart),
		cmocka_unit_test(test_detector_shelved_is_known_again),
		cmocka_unit_test(test_detector_refuses_bad_blobs),
		cmocka_unit_test(test_detector_survives_forged_blobs),
	};
	return cmocka_run_group_tests_name("detector_store", tests, NULL, NULL);
}
