// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is the cause? Faults on the simulated demo, found by the detector, named by the diagnoser.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "../lib/rig.h"
#include "base/util.h"

static struct diagnosis diagnose(enum rig_fault k, uint32_t service)
{
	struct diagnosis d;
	struct rig r;

	rig_init(&r, 7, NULL);
	rig_warm(&r);
	rig_hurt(&r, k, service);
	assert_true(rig_find(&r, 15, &d) > 0);
	rig_release(&r);
	return d;
}

static void assert_says(const struct cause *c, const char *words)
{
	for (size_t i = 0; i < c->nr_reasons; i++)
		if (strstr(c->reasons[i], words))
			return;
	for (size_t i = 0; i < c->nr_reasons; i++)
		print_error("%s\n", c->reasons[i]);
	fail_msg("no reason has \"%s\"", words);
}

static void test_diagnose_classes_and_reasons(void **state)
{
	(void)state;
	static const struct {
		enum rig_fault kind;
		enum fault_class resource;
		const char *words;
	} cases[] = {
		{ RIG_LATENCY, FAULT_CLASS_LATENCY, "of that is its own" },
		{ RIG_ERRORS, FAULT_CLASS_ERRORS, "requests failed" },
		{ RIG_STOPPED, FAULT_CLASS_UNRESPONSIVE, "none finished for" },
		{ RIG_HOGGED, FAULT_CLASS_CPU, "of CPU a request" },
		{ RIG_DEAD, FAULT_CLASS_DOWN, "makes no calls to it any more" },
		{ RIG_NETWORK, FAULT_CLASS_NETWORK, "between its end and the server's" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct diagnosis d = diagnose(cases[i].kind, SYNTH_DB);
		assert_true(d.known);
		assert_string_equal(d.causes[0].name, "db");
		assert_string_equal(fault_class_name(d.causes[0].resource),
				    fault_class_name(cases[i].resource));
		assert_true(d.causes[0].confidence > .5 && d.causes[0].confidence <= 1);
		assert_says(&d.causes[0], cases[i].words);
		assert_non_null(strstr(d.why, "db"));
	}
}

/* Thrice the CPU of next to nothing does not explain two seconds. */
static void test_diagnose_late_is_not_cpu(void **state)
{
	(void)state;
	struct diagnosis d;
	struct rig r;

	rig_init(&r, 7, NULL);
	rig_warm(&r);
	synth_of(&r.synth, SYNTH_DB)->extra_ms = 2000;
	synth_of(&r.synth, SYNTH_DB)->cpu_factor = 3;
	assert_true(rig_find(&r, 15, &d) > 0);
	assert_string_equal(d.causes[0].name, "db");
	assert_string_equal(fault_class_name(d.causes[0].resource), "latency");
	rig_release(&r);
}

/* Six times the load, and everybody slower for it. */
/* Nor do waits for a CPU that are a thousand times as long as usual: 20 ms, twice a request. */
static void test_diagnose_late_on_a_busy_machine_is_not_cpu(void **state)
{
	(void)state;
	struct diagnosis d;
	struct rig r;

	rig_init(&r, 7, NULL);
	rig_warm(&r);
	rig_hurt(&r, RIG_LATENCY, SYNTH_DB);
	r.synth.waits = 1000;
	assert_true(rig_find(&r, 15, &d) > 0);
	for (int i = 0; i < 5; i++) {
		assert_true(d.known);
		assert_string_equal(d.causes[0].name, "db");
		assert_int_equal(d.causes[0].resource, FAULT_CLASS_LATENCY);
		rig_tick(&r);
		diagnoser_run(r.diagnoser, &d);
	}
	rig_release(&r);
}

/* The root is known when its usual is: a lone suspect second in the warm-up must not put that off. */
static void test_diagnose_is_warm_when_usual_is_known(void **state)
{
	(void)state;
	size_t warm = 0;
	struct rig r;

	rig_init(&r, 3, NULL);
	assert_false(diagnoser_warm(r.diagnoser));
	for (size_t i = 1; i <= 600 && !warm; i++) {
		/* A second in which a static limit speaks, once: nobody becomes anomalous. */
		synth_of(&r.synth, SYNTH_DB)->extra_ms = i > 150 && i <= 153 ? 1500 : 0;
		rig_tick(&r);
		assert_false(rig_any_anomalous(&r));
		if (diagnoser_warm(r.diagnoser))
			warm = i;
	}
	assert_true(r.suspects > 0);
	/* 20 slots of nine ticks that are 8 old. */
	assert_true(warm >= 240 && warm < 270);
	rig_release(&r);
}

static void test_diagnose_surge_is_nobodys_fault(void **state)
{
	(void)state;
	size_t seen = 0;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct diagnosis d;
		struct rig r;
		rig_init(&r, seed, NULL);
		rig_warm(&r);
		r.synth.contention = 2;
		r.synth.load = 6;
		if (rig_find(&r, 20, &d)) {
			seen++;
			assert_false(d.known);
			assert_non_null(strstr(d.why, "load from outside rose"));
			for (int i = 0; i < 20; i++) {
				rig_tick(&r);
				diagnoser_run(r.diagnoser, &d);
				assert_false(d.known);
			}
		}
		rig_release(&r);
	}
	assert_true(seen >= 3);
}

/* Somebody else takes the CPUs: all wait, none has more to do. */
static void test_diagnose_crowded_machine_is_nobodys_fault(void **state)
{
	(void)state;
	size_t seen = 0;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct diagnosis d;
		struct rig r;
		rig_init(&r, seed, NULL);
		rig_warm(&r);
		r.synth.crowded = 8;
		for (int i = 0; i < 30; i++) {
			rig_tick(&r);
			if (!rig_any_anomalous(&r))
				continue;
			diagnoser_run(r.diagnoser, &d);
			assert_false(d.known);
			seen += strstr(d.why, "short of CPU") != NULL;
		}
		rig_release(&r);
	}
	assert_true(seen >= 20);
}

/* A surge that nobody feels is no anomaly at all. */
static void test_diagnose_harmless_surge_is_silent(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 5, NULL);
	rig_warm(&r);
	r.synth.load = 4;
	for (int i = 0; i < 60; i++)
		rig_tick(&r);
	assert_int_equal(r.opened, 0);
	rig_release(&r);
}

static void test_diagnose_no_fault_10000_ticks(void **state)
{
	(void)state;
	struct rig r;

	rig_init(&r, 99, NULL);
	rig_warm(&r);
	for (int i = 0; i < 10000; i++)
		rig_tick(&r);
	printf("no fault, %zu ticks, 4 services: %zu suspect ticks, %zu false alarms\n", r.ticks,
	       r.suspects, r.opened);
	assert_true(r.opened <= 1);
	rig_release(&r);
}

/* db is slow and auth fails: both are named, before any of their victims. */
static void test_diagnose_two_faults(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct diagnosis d;
		struct rig r;
		rig_init(&r, seed, NULL);
		rig_warm(&r);
		rig_hurt(&r, RIG_LATENCY, SYNTH_DB);
		rig_hurt(&r, RIG_ERRORS, SYNTH_AUTH);
		assert_true(rig_find(&r, 15, &d) > 0);
		for (int i = 0; i < 5; i++)
			rig_tick(&r);
		diagnoser_run(r.diagnoser, &d);
		assert_true(d.known);
		assert_true(d.nr_causes >= 2);
		uint32_t a = d.causes[0].service, b = d.causes[1].service;
		assert_true((a == SYNTH_DB && b == SYNTH_AUTH) ||
			    (a == SYNTH_AUTH && b == SYNTH_DB));
		assert_true(rig_is_victim(&d, SYNTH_PRODUCT) && rig_is_victim(&d, SYNTH_PAYMENT));
		rig_release(&r);
	}
}

/* product's calls to db are not seen: db, or nobody, but never product with certainty. */
static void test_diagnose_missing_edge(void **state)
{
	(void)state;
	size_t named = 0;

	for (uint64_t seed = 1; seed <= 4; seed++) {
		struct diagnosis d;
		struct rig r;
		rig_init(&r, seed, NULL);
		synth_of(&r.synth, SYNTH_PRODUCT)->calls[1].unseen = true;
		rig_warm(&r);
		rig_hurt(&r, RIG_LATENCY, SYNTH_DB);
		assert_true(rig_find(&r, 15, &d) > 0);
		for (int i = 0; i < 5; i++)
			rig_tick(&r);
		diagnoser_run(r.diagnoser, &d);
		assert_false(d.known && d.causes[0].service != SYNTH_DB);
		named += d.known;
		rig_release(&r);
	}
	printf("one edge missing: db named in %zu of 4, unknown in the others\n", named);
}

/* SIGSTOP for longer than the callers' time-out: what they answer then is not their fault. */
static void test_diagnose_stays_right_when_callers_time_out(void **state)
{
	(void)state;
	struct diagnosis d;
	struct rig r;

	rig_init(&r, 3, NULL);
	rig_warm(&r);
	rig_hurt(&r, RIG_STOPPED, SYNTH_DB);
	assert_true(rig_find(&r, 5, &d) > 0);
	for (int i = 0; i < 40; i++) {
		rig_tick(&r);
		diagnoser_run(r.diagnoser, &d);
		assert_true(d.known);
		assert_int_equal(d.causes[0].service, SYNTH_DB);
		assert_int_equal(d.causes[0].resource, FAULT_CLASS_UNRESPONSIVE);
	}
	assert_true(rig_is_victim(&d, SYNTH_PRODUCT) && rig_is_victim(&d, SYNTH_PAYMENT));
	assert_says(&d.causes[0], "given up unanswered");

	/* Repaired: everybody is well within the window, and nobody is accused any more. */
	synth_continue(&r.synth, SYNTH_DB, true);
	for (int i = 0; i < 40; i++)
		rig_tick(&r);
	assert_false(rig_any_anomalous(&r));
	diagnoser_run(r.diagnoser, &d);
	assert_false(d.known);
	assert_int_equal(d.nr_causes, 0);
	rig_release(&r);
}

/* Whom payment calls outside (id 0) may be slow too: then nobody of ours is named. */
static void outside_call(struct tick *t, uint64_t took_ns)
{
	struct edge_sample *e = &t->edges[t->nr_edges++];
	const struct service_sample *payment = tick_service(t, SYNTH_PAYMENT);

	*e = (struct edge_sample){ .client = SYNTH_PAYMENT, .client_requests = payment->requests };
	e->client_duration_ns = payment->requests * took_ns;
}

static void test_diagnose_slow_outside_world(void **state)
{
	(void)state;
	struct diagnosis d;
	struct rig r;
	bool seen = false;

	rig_init(&r, 8, NULL);
	for (int i = 0; i < 1400 && !seen; i++) {
		bool slow = i >= 1300;
		struct tick t;
		if (i == 1200)
			r.synth.tick_ns = NSEC_PER_SEC;
		synth_of(&r.synth, SYNTH_PAYMENT)->extra_ms = slow ? 1050 : 50;
		synth_tick(&r.synth, &t);
		outside_call(&t, (slow ? 1050 : 50) * NSEC_PER_MSEC);
		assert_int_equal(detector_tick(r.detector, &t, r.verdicts, SERVICE_MAX, &r.nr), 0);
		assert_int_equal(diagnoser_feed(r.diagnoser, &t, r.verdicts, r.nr), 0);
		tick_release(&t);
		if (i < 1303 || !rig_verdict(&r, SYNTH_PAYMENT)->anomalous)
			continue;
		diagnoser_run(r.diagnoser, &d);
		seen = i > 1310;
	}
	assert_true(seen);
	assert_false(d.known);
	assert_non_null(strstr(d.why, "outside"));
	rig_release(&r);
}

static void test_diagnose_bounds_and_errors(void **state)
{
	(void)state;
	CLEANUP(diagnoser_freep) struct diagnoser *g = NULL;
	struct diagnoser_stats stats;
	struct edge_sample *edges = calloc(DIAGNOSE_EDGES_MAX + 5, sizeof(*edges));
	struct service_sample *services = calloc(SERVICE_MAX + 3, sizeof(*services));
	struct tick t = { .at_ns = 5 * NSEC_PER_SEC,
			  .span_ns = NSEC_PER_SEC,
			  .services = services,
			  .nr_services = SERVICE_MAX + 3,
			  .edges = edges,
			  .nr_edges = DIAGNOSE_EDGES_MAX + 5 };
	struct diagnosis d;

	assert_true(edges && services);
	for (uint32_t i = 0; i < t.nr_services; i++) {
		services[i].id = i + 1;
		memset(services[i].name, 'x', SERVICE_NAME_MAX); /* not even terminated */
	}
	for (uint32_t i = 0; i < t.nr_edges; i++)
		edges[i] = (struct edge_sample){ .client = i % 200 + 1,
						 .server = i / 5 + 1,
						 .client_requests = 1 };
	assert_int_equal(diagnoser_new(&g), 0);
	assert_int_equal(diagnoser_feed(g, &t, NULL, 0), 0);
	diagnoser_stats(g, &stats);
	assert_int_equal(stats.nr_services, SERVICE_MAX);
	assert_int_equal(stats.services_refused, 3);
	assert_int_equal(stats.nr_edges, DIAGNOSE_EDGES_MAX);
	assert_int_equal(stats.edges_refused, 5);

	/* An alarm on somebody without evidence: an answer, and no name. */
	struct verdict v = { .service = 7, .anomalous = true, .at_ns = t.at_ns };
	t.at_ns += NSEC_PER_SEC;
	assert_int_equal(diagnoser_feed(g, &t, &v, 1), 0);
	diagnoser_run(g, &d);
	assert_false(d.known);
	assert_true(d.why[0] != '\0');

	t.at_ns -= 3 * NSEC_PER_SEC;
	assert_int_equal(diagnoser_feed(g, &t, NULL, 0), -EINVAL);
	diagnoser_forget(g, 1);
	diagnoser_stats(g, &stats);
	assert_int_equal(stats.nr_services, SERVICE_MAX - 1);
	assert_true(stats.nr_edges < DIAGNOSE_EDGES_MAX);
	free(edges);
	free(services);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diagnose_classes_and_reasons),
		cmocka_unit_test(test_diagnose_late_is_not_cpu),
		cmocka_unit_test(test_diagnose_late_on_a_busy_machine_is_not_cpu),
		cmocka_unit_test(test_diagnose_is_warm_when_usual_is_known),
		cmocka_unit_test(test_diagnose_surge_is_nobodys_fault),
		cmocka_unit_test(test_diagnose_crowded_machine_is_nobodys_fault),
		cmocka_unit_test(test_diagnose_harmless_surge_is_silent),
		cmocka_unit_test(test_diagnose_no_fault_10000_ticks),
		cmocka_unit_test(test_diagnose_two_faults),
		cmocka_unit_test(test_diagnose_missing_edge),
		cmocka_unit_test(test_diagnose_stays_right_when_callers_time_out),
		cmocka_unit_test(test_diagnose_slow_outside_world),
		cmocka_unit_test(test_diagnose_bounds_and_errors),
	};
	return cmocka_run_group_tests_name("diagnose", tests, NULL, NULL);
}
