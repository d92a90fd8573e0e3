// SPDX-License-Identifier: GPL-2.0-or-later
/* The detector on simulated services: its life from cold to warm, what it finds, what it must not learn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "../lib/rig.h"
#include "base/util.h"
#include "detect/baseline.h"
#include "detect/features.h"

static void ticks(struct rig *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rig_tick(r);
}

static void test_detector_config_bounds(void **state)
{
	(void)state;
	struct detector_config c;
	struct detector *d = NULL;

	detector_config_default(&c);
	assert_int_equal(c.shadow_samples, 256);
	assert_int_equal(c.baseline_samples, 1024);
	c.shadow_samples = 99;
	assert_int_equal(detector_new(&c, &d), -EINVAL);
	detector_config_default(&c);
	c.baseline_samples = 2049;
	assert_int_equal(detector_new(&c, &d), -EINVAL);
	c.baseline_samples = c.shadow_samples - 1;
	assert_int_equal(detector_new(&c, &d), -EINVAL);
	detector_config_default(&c);
	c.calm_ticks = 0;
	assert_int_equal(detector_new(&c, &d), -EINVAL);
	assert_null(d);
}

/* Cold: static limits. 256: scores that alarm nobody. 1,024: warm, in under two minutes of 100 ms. */
static void test_detector_learns_in_three_stages(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 1, NULL);
	ticks(&r, 200);
	const struct verdict *v = rig_verdict(&r, SYNTH_PRODUCT);
	assert_true(v->score == 0 && !v->warm && v->baseline_samples > 100 &&
		    v->baseline_samples < 256);
	assert_false(detector_warm(r.detector));
	ticks(&r, 150);
	v = rig_verdict(&r, SYNTH_PRODUCT);
	assert_true(v->score > 0 && v->threshold > 0 && !v->warm);
	while (!detector_warm(r.detector) && r.ticks < 1200)
		rig_tick(&r);
	assert_true(detector_warm(r.detector));
	v = rig_verdict(&r, SYNTH_PRODUCT);
	assert_true(v->warm && v->baseline_samples == 1024);
	assert_true(v->classic_score > 0 && v->classic_score < 1);
	assert_int_equal(r.opened, 0);
	rig_release(&r);
}

static void test_detector_cold_uses_static_limits(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 2, NULL);
	ticks(&r, 50);
	synth_of(&r.synth, SYNTH_DB)->extra_ms = 1500;
	assert_true(rig_wait(&r, SYNTH_DB, 80) > 0);
	const struct verdict *v = rig_verdict(&r, SYNTH_DB);
	assert_int_equal(v->scorer, SCORER_STATIC);
	assert_non_null(strstr(v->why, "static limit"));
	size_t learned = v->baseline_samples;
	ticks(&r, 50);
	assert_int_equal(rig_verdict(&r, SYNTH_DB)->baseline_samples,
			 learned); /* never from an anomaly */

	/* 800 ms is bad too, but nobody could know yet. */
	struct rig s;
	rig_init(&s, 2, NULL);
	ticks(&s, 50);
	synth_of(&s.synth, SYNTH_DB)->extra_ms = 800;
	assert_int_equal(rig_wait(&s, SYNTH_DB, 60), 0);
	rig_release(&r);
	rig_release(&s);
}

struct seen {
	size_t ticks;
	struct verdict v;
};

static struct seen wait_for(struct rig *r, uint32_t service)
{
	struct seen s = { .ticks = rig_wait(r, service, 12) };

	assert_true(s.ticks > 0);
	s.v = *rig_verdict(r, service);
	return s;
}

/* The demo's scene: two seconds on db. By the forest, in 3 to 4 ticks of a second; the callers too. */
static void test_detector_two_seconds_on_db(void **state)
{
	(void)state;
	const uint32_t who[] = { SYNTH_DB, SYNTH_PRODUCT, SYNTH_PAYMENT };
	int exact = 0;

	for (uint64_t seed = 1; seed <= 5; seed++)
		for (size_t i = 0; i < ARRAY_SIZE(who); i++) {
			struct rig r;
			rig_init(&r, seed, NULL);
			rig_warm(&r);
			uint64_t begin = r.synth.now_ns;
			synth_of(&r.synth, SYNTH_DB)->extra_ms = 2000;
			struct seen s = wait_for(&r, who[i]);
			assert_true(s.ticks <= 4);
			assert_int_equal(s.v.scorer, SCORER_FOREST);
			assert_true(s.v.opened && s.v.anomalous && s.v.suspect);
			assert_true(s.v.score > s.v.threshold);
			assert_true(s.v.nr_top >= 1 && s.v.top[0].share > 0 &&
				    fabs(s.v.top[0].z) > 5);
			/* The first tick that can know of it; noise just before it may run into it. */
			exact += s.v.onset_ns == begin + NSEC_PER_SEC;
			assert_true(s.v.onset_ns + NSEC_PER_SEC >= begin &&
				    s.v.onset_ns <= begin + NSEC_PER_SEC);
			assert_true(strlen(s.v.why) > 20);
			assert_false(rig_verdict(&r, SYNTH_AUTH)->anomalous);
			rig_release(&r);
		}
	assert_true(exact >= 13);
}

/* A bad second shortly before is another story; one calm second in the middle of it is not. */
static void test_detector_onset_is_where_it_began(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct rig r;
		rig_init(&r, seed, NULL);
		rig_warm(&r);
		synth_of(&r.synth, SYNTH_DB)->extra_ms = 300;
		rig_tick(&r);
		assert_true(rig_verdict(&r, SYNTH_DB)->suspect);
		synth_of(&r.synth, SYNTH_DB)->extra_ms = 0;
		ticks(&r, 2);
		/* What that second's responses carried over makes the next one suspect too. */
		while (rig_verdict(&r, SYNTH_DB)->suspect)
			rig_tick(&r);
		rig_tick(&r);
		uint64_t begin = r.synth.now_ns;
		synth_of(&r.synth, SYNTH_DB)->extra_ms = 300;
		struct seen s = wait_for(&r, SYNTH_DB);
		assert_int_equal(s.v.onset_ns, begin + NSEC_PER_SEC);
		rig_release(&r);

		rig_init(&r, seed, NULL);
		rig_warm(&r);
		begin = r.synth.now_ns;
		synth_of(&r.synth, SYNTH_DB)->extra_ms = 300;
		ticks(&r, 1);
		synth_of(&r.synth, SYNTH_DB)->extra_ms = 0;
		ticks(&r, 2);
		assert_false(rig_verdict(&r, SYNTH_DB)->suspect);
		assert_false(rig_verdict(&r, SYNTH_DB)->anomalous);
		synth_of(&r.synth, SYNTH_DB)->extra_ms = 300;
		s = wait_for(&r, SYNTH_DB);
		assert_int_equal(s.v.onset_ns, begin + NSEC_PER_SEC);
		rig_release(&r);
	}
}

static void test_detector_stopped_service(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (uint32_t id = SYNTH_AUTH; id <= SYNTH_PAYMENT; id++) {
			struct rig r;
			rig_init(&r, seed, NULL);
			rig_warm(&r);
			synth_of(&r.synth, id)->stopped = true;
			struct seen s = wait_for(&r, id);
			assert_true(s.ticks <= 5);
			assert_true(s.v.scorer == SCORER_FOREST || s.v.scorer == SCORER_TOTAL_LOSS);
			enum scorer first = s.v.scorer;
			ticks(&r, 6);
			assert_int_equal(rig_verdict(&r, id)->scorer,
					 first); /* who fired first stays */
			rig_release(&r);
		}
}

/* Cold, and stopped: three seconds in flight and nothing finished need no baseline. */
static void test_detector_total_loss_when_cold(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 4, NULL);
	ticks(&r, 30);
	synth_of(&r.synth, SYNTH_DB)->stopped = true;
	size_t n = rig_wait(&r, SYNTH_DB, 60);
	assert_true(n >= 28 && n <= 40);
	const struct verdict *v = rig_verdict(&r, SYNTH_DB);
	assert_int_equal(v->scorer, SCORER_TOTAL_LOSS);
	assert_true(v->onset_ns + 4 * NSEC_PER_SEC > v->at_ns &&
		    v->onset_ns + 3 * NSEC_PER_SEC <= v->at_ns);
	assert_non_null(strstr(v->why, "none finished"));
	rig_release(&r);
}

static void test_detector_closes_after_calm(void **state)
{
	(void)state;
	struct detector_config c;
	struct rig r;

	detector_config_default(&c);
	c.calm_ticks = 5;
	rig_init(&r, 8, &c);
	rig_warm(&r);
	synth_of(&r.synth, SYNTH_DB)->extra_ms = 2000;
	wait_for(&r, SYNTH_DB);
	synth_of(&r.synth, SYNTH_DB)->extra_ms = 0;
	size_t closed_after = 0;
	for (size_t i = 1; i <= 20 && !closed_after; i++) {
		rig_tick(&r);
		if (rig_verdict(&r, SYNTH_DB)->closed)
			closed_after = i;
	}
	assert_true(closed_after >= 5 && closed_after <= 10);
	assert_int_equal(rig_verdict(&r, SYNTH_DB)->onset_ns, 0);
	rig_release(&r);
}

/*
 * auth is stopped, and after its restart every user must sign up anew when his turn comes: three hashes in
 * one second among quick validations, every six seconds or so, for minutes. No second of them is a lie,
 * and none would open an anomaly; the one that is open ends all the same.
 */
static void test_detector_closes_although_the_mix_has_changed(void **state)
{
	(void)state;
	size_t suspects = 0, slowest = 0;

	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct detector_config c;
		struct rig r;
		detector_config_default(&c);
		c.baseline_samples = 300;
		rig_init(&r, seed, &c);
		struct synth_service *auth = synth_of(&r.synth, SYNTH_AUTH);
		auth->outside_per_s = .1;
		auth->slow_share = 1;
		rig_warm(&r);
		auth->stopped = true;
		wait_for(&r, SYNTH_AUTH);
		synth_continue(&r.synth, SYNTH_AUTH, true);
		detector_hold(r.detector, SYNTH_AUTH, r.synth.now_ns + 60 * NSEC_PER_SEC);
		size_t after = 0;
		while (rig_verdict(&r, SYNTH_AUTH)->anomalous && after < 120) {
			auth->outside_per_s = after++ % 6 == 3 ? 6 : 0;
			rig_tick(&r);
			suspects += rig_verdict(&r, SYNTH_AUTH)->suspect;
		}
		slowest = MAX(slowest, after);
		assert_true(after < 45);
		rig_release(&r);
	}
	printf("sign-ups after a restart: over after at most %zu s, %zu suspect seconds in 8 runs\n",
	       slowest, suspects);
	assert_true(suspects > 8 * 2);
}

/* Nobody comes any more, or never came: no samples, no alarm, and no obstacle to being warm. */
static void test_detector_silence_is_no_symptom(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 9, NULL);
	synth_of(&r.synth, SYNTH_PAYMENT)->outside_per_s = 0;
	rig_warm(&r);
	assert_int_equal(rig_verdict(&r, SYNTH_PAYMENT)->baseline_samples, 0);
	r.synth.load = 0;
	for (uint32_t id = SYNTH_AUTH; id <= SYNTH_PAYMENT; id++)
		synth_of(&r.synth, id)->outside_per_s = 0;
	ticks(&r, 100);
	assert_int_equal(r.opened, 0);
	assert_false(detector_warm(r.detector)); /* nobody has traffic: nobody is warm */
	rig_release(&r);
}

static size_t samples(const struct rig *r)
{
	struct detector_stats s;

	detector_stats(r->detector, &s);
	return s.samples_learned;
}

static void test_detector_holds(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 10, NULL);
	ticks(&r, 100);
	for (uint32_t id = SYNTH_AUTH; id <= SYNTH_PAYMENT; id++)
		detector_hold(r.detector, id, r.synth.now_ns + 10 * NSEC_PER_SEC);
	detector_hold(r.detector, 999, UINT64_MAX);
	rig_tick(&r);
	size_t before = samples(&r);
	ticks(&r, 90);
	assert_int_equal(samples(&r), before);
	detector_hold(r.detector, SYNTH_DB, r.synth.now_ns + NSEC_PER_SEC);
	ticks(&r, 120);
	assert_true(samples(&r) > before);

	detector_hold(r.detector, SYNTH_DB, UINT64_MAX);
	ticks(&r, 60);
	size_t of_db = rig_verdict(&r, SYNTH_DB)->baseline_samples;
	ticks(&r, 60);
	assert_int_equal(rig_verdict(&r, SYNTH_DB)->baseline_samples, of_db);
	detector_release(r.detector, SYNTH_DB);
	ticks(&r, 90);
	assert_true(rig_verdict(&r, SYNTH_DB)->baseline_samples > of_db);
	rig_release(&r);
}

/* A slower normal: an operator's word makes it one, and so does time. */
static void test_detector_accepts_a_new_level(void **state)
{
	(void)state;
	struct detector_config c;
	struct rig r;

	rig_init(&r, 11, NULL);
	rig_warm(&r);
	synth_of(&r.synth, SYNTH_DB)->extra_ms = 60;
	wait_for(&r, SYNTH_DB);
	ticks(&r, 300);
	assert_true(rig_verdict(&r, SYNTH_DB)->anomalous);
	assert_int_equal(detector_accept(r.detector, SYNTH_DB), 0);
	assert_int_equal(detector_accept(r.detector, 77), -ENOENT);
	ticks(&r, 2);
	assert_false(rig_verdict(&r, SYNTH_DB)->anomalous);
	assert_true(rig_verdict(&r, SYNTH_DB)->score >
		    0); /* the forest was grown from what it did meanwhile */
	rig_release(&r);

	detector_config_default(&c);
	c.accept_ns = 400 * NSEC_PER_SEC;
	rig_init(&r, 12, &c);
	rig_warm(&r);
	synth_of(&r.synth, SYNTH_DB)->extra_ms = 60;
	wait_for(&r, SYNTH_DB);
	ticks(&r, 380);
	assert_true(rig_verdict(&r, SYNTH_DB)->anomalous);
	ticks(&r, 40);
	assert_false(rig_verdict(&r, SYNTH_DB)->anomalous);
	rig_release(&r);
}

static void test_detector_streams_trees(void **state)
{
	(void)state;
	struct detector_stats before, after;
	struct rig r;

	rig_init(&r, 13, NULL);
	rig_warm(&r);
	detector_stats(r.detector, &before);
	ticks(&r, 100);
	detector_stats(r.detector, &after);
	assert_int_equal(after.nr_services, 4);
	assert_int_equal(after.nr_warm, 4);
	/* One tree a service and ten seconds. */
	assert_true(after.trees_replaced - before.trees_replaced >= 36);
	assert_true(after.trees_replaced - before.trees_replaced <= 44);
	assert_int_equal(after.fits, before.fits);
	rig_release(&r);
}

static void test_detector_bounds_and_errors(void **state)
{
	(void)state;
	CLEANUP(detector_freep) struct detector *d = NULL;
	struct service_sample *s = calloc(SERVICE_MAX + 2, sizeof(*s));
	struct verdict *v = calloc(SERVICE_MAX, sizeof(*v));
	struct detector_stats stats;
	size_t nr = 0;

	assert_true(s && v);
	for (uint32_t i = 0; i < SERVICE_MAX + 2; i++) {
		s[i].id = i + 1;
		memset(s[i].name, 'n', SERVICE_NAME_MAX); /* not terminated */
	}
	struct tick t = { .at_ns = 10 * NSEC_PER_SEC,
			  .span_ns = NSEC_PER_SEC,
			  .services = s,
			  .nr_services = SERVICE_MAX + 2 };
	assert_int_equal(detector_new(NULL, &d), 0);
	assert_int_equal(detector_tick(d, &t, v, 10, &nr), 0);
	assert_int_equal(nr, 10);
	assert_int_equal(strlen(v[0].name), SERVICE_NAME_MAX - 1);
	detector_stats(d, &stats);
	assert_int_equal(stats.nr_services, SERVICE_MAX);
	assert_int_equal(stats.services_refused, 2);
	assert_int_equal(stats.verdicts_dropped, SERVICE_MAX - 10);
	assert_int_equal(detector_scores(d, v, SERVICE_MAX), SERVICE_MAX);

	t.at_ns = 9 * NSEC_PER_SEC;
	assert_int_equal(detector_tick(d, &t, v, SERVICE_MAX, &nr), -EINVAL);
	detector_forget(d, 1);
	detector_forget(d, 9999);
	t.at_ns = 11 * NSEC_PER_SEC;
	t.nr_services = 0;
	assert_int_equal(detector_tick(d, &t, v, SERVICE_MAX, &nr), 0);
	assert_int_equal(nr, SERVICE_MAX - 1);
	free(s);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detector_config_bounds),
		cmocka_unit_test(test_detector_learns_in_three_stages),
		cmocka_unit_test(test_detector_cold_uses_static_limits),
		cmocka_unit_test(test_detector_two_seconds_on_db),
		cmocka_unit_test(test_detector_onset_is_where_it_began),
		cmocka_unit_test(test_detector_stopped_service),
		cmocka_unit_test(test_detector_total_loss_when_cold),
		cmocka_unit_test(test_detector_closes_after_calm),
		cmocka_unit_test(test_detector_closes_although_the_mix_has_changed),
		cmocka_unit_test(test_detector_silence_is_no_symptom),
		cmocka_unit_test(test_detector_holds),
		cmocka_unit_test(test_detector_accepts_a_new_level),
		cmocka_unit_test(test_detector_streams_trees),
		cmocka_unit_test(test_detector_bounds_and_errors),
	};
	return cmocka_run_group_tests_name("detector", tests, NULL, NULL);
}
