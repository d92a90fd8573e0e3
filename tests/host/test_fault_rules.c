// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the injector refuses, replaces, plans and notices; IPv6.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "fault_rig.h"
#include "kernel/netfilter.h"

static int setup(void **state)
{
	struct fault_rig *r = fault_rig_set_up(state, "test_fault_rules", AF_INET6);

	if (r)
		fault_rig_faults(r);
	return 0;
}

static int try(struct fault_rig *r, const char *body, bool dry_run, struct fault *f,
	       struct problem *p)
{
	struct fault_request req;
	const char *why;
	CLEANUP(json_freep) cJSON *j = NULL;

	*p = (struct problem){ .status = 0 };
	assert_int_equal(json_parse(body, strlen(body), &j, &why), 0);
	assert_int_equal(fault_request_parse(j, &req, p), 0);
	return faults_arm(r->faults, &req, &r->service, dry_run, f, p);
}

static void test_fault_slots_replace_and_types_conflict(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault f;
	struct problem p;

	struct fault first = fault_rig_arm(
		r, "{\"type\":\"error\",\"slot\":\"inject-failure\",\"duration_s\":60}");
	fault_rig_arm(r, "{\"type\":\"loss\",\"params\":{\"percent\":1},\"duration_s\":60}");
	assert_true(try(r, "{\"type\":\"error\",\"duration_s\":60}", false, &f, &p) < 0);
	assert_int_equal(p.status, 409);
	assert_non_null(strstr(p.detail, first.id));

	/* A refused request changes nothing. */
	assert_true(try(r, "{\"type\":\"error\",\"slot\":\"inject-failure\",\"duration_s\":7200}",
			false, &f, &p) < 0);
	assert_int_equal(p.status, 422);
	assert_non_null(strstr(p.allowed, "max_duration"));
	assert_int_equal(fault_rig_look(r, first.id).state, FAULT_ARMED);

	struct fault second = fault_rig_arm(
		r, "{\"type\":\"timeout\",\"slot\":\"inject-failure\",\"duration_s\":60}");
	assert_string_equal(second.log, "Injected VICTIM timeout — sleeping 2s");
	f = fault_rig_look(r, first.id);
	assert_int_equal(f.state, FAULT_RESET);
	assert_non_null(strstr(f.says, "replaced"));
	assert_int_equal(faults_disarm_service(r->faults, r->service.id), 2);
	assert_int_equal(faults_disarm(r->faults, "f-none", NULL, &p), -ENOENT);
	assert_int_equal(p.status, 404);
	assert_int_equal(faults_disarm(r->faults, second.id, &f, &p), 0);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_limits_are_named(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault f;
	struct problem p;
	static const struct {
		const char *body, *limit;
	} bad[] = {
		{ "{\"type\":\"timeout\",\"params\":{\"intensity\":31}}", "max_delay" },
		{ "{\"type\":\"timeout\",\"params\":{\"delay_ms\":60001}}", "max_delay" },
		{ "{\"type\":\"cpu\",\"duration_s\":3601}", "max_duration" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(try(r, bad[i].body, false, &f, &p), -EPERM);
		assert_int_equal(p.status, 422);
		assert_non_null(strstr(p.allowed, bad[i].limit));
		assert_true(p.parameter[0] && p.value[0]);
	}
}

static void test_fault_dry_run_arms_nothing(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault f;
	struct problem p;
	struct fault_answer a;

	for (int t = 0; t < NR_FAULT_TYPES; t++) {
		char body[128];

		snprintf(body, sizeof(body), "{\"type\":\"%s\"%s}", fault_types()[t].name,
			 t == FAULT_LOSS ? ",\"params\":{\"percent\":10}" : "");
		assert_int_equal(try(r, body, true, &f, &p), 0);
		print_message("%s\n", f.says);
		assert_non_null(strstr(f.says, "Would "));
		assert_string_equal(f.id, "");
		assert_true(f.backend[0]);
	}
	assert_int_equal(waitpid(r->server, NULL, WNOHANG), 0);
	assert_int_equal(fault_rig_once(r->port, "/json", 2000, &a), 200);
	assert_true(a.ns < NSEC_PER_SEC);
	assert_true(fault_rig_nothing_left(r));
}

/* Attached to a cgroup that the service's sockets are not in: the canary says so. */
static void test_fault_that_bites_nothing_is_failed(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	char dir[300];
	struct service truth = r->service;

	snprintf(dir, sizeof(dir), "%s-empty", r->cgroup_dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	snprintf(r->service.cgroup, sizeof(r->service.cgroup), "%.200s-empty", truth.cgroup);

	struct fault f = fault_rig_arm(r, "{\"type\":\"error\",\"duration_s\":60}");
	faults_observed(r->faults, 1, 1000);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_ARMED);
	assert_non_null(strstr(f.says, "no traffic yet"));
	for (int i = 0; i < FAULT_CANARY_REQUESTS; i++)
		assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
	faults_observed(r->faults, 1, 1000 + FAULT_CANARY_REQUESTS);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_FAILED);
	assert_non_null(strstr(f.says, "saw none"));

	/* And one that follows the service to where it really is bites. */
	f = fault_rig_arm(r, "{\"type\":\"error\",\"duration_s\":60}");
	assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
	r->service = truth;
	faults_service(r->faults, &truth);
	assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 500);
	faults_disarm_all(r->faults);
	assert_int_equal(rmdir(dir), 0);
}

static void test_fault_rule_that_somebody_removed_is_noticed(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	struct fault f = fault_rig_arm(
		r, "{\"type\":\"timeout\",\"params\":{\"delay_ms\":20},\"duration_s\":60}");

	if (strcmp(f.backend, "nfqueue") != 0) {
		print_message("SKIP test_fault_rules: the back end here is %s\n", f.backend);
		faults_disarm_all(r->faults);
		skip();
	}
	assert_true(netfilter_remove(f.id) > 0);
	for (int i = 0; i < FAULT_CANARY_REQUESTS; i++)
		assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
	/* Its holder gets a turn or two to see them, and then it is told. */
	uint64_t until = clock_mono_ns() + 2 * NSEC_PER_SEC;
	do {
		usleep(20000);
		f = fault_rig_look(r, f.id);
	} while (f.state == FAULT_ARMED && clock_mono_ns() < until);
	assert_int_equal(f.state, FAULT_FAILED);
	assert_non_null(strstr(f.says, "rule"));
	assert_true(fault_rig_nothing_left(r));
}

/* A server on :: serves 127.0.0.1 by mapped sockets, and ::1. */
static void test_fault_hurts_ipv6_and_mapped_alike(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;

	for (int v6 = 0; v6 < 2; v6++) {
		fault_rig_arm(r, "{\"type\":\"error\",\"duration_s\":60}");
		fault_rig_arm(
			r, "{\"type\":\"timeout\",\"params\":{\"delay_ms\":60},\"duration_s\":60}");
		int fd = fault_rig_connect(r->port, v6);
		assert_true(fd >= 0);
		assert_int_equal(fault_rig_get(fd, "/", 3000, &a), 500);
		assert_true(a.ns >= 60 * NSEC_PER_MSEC);
		close(fd);
		assert_int_equal(faults_disarm_all(r->faults), 2);
	}
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_health_is_hurt_only_when_asked(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	struct fault f = fault_rig_arm(
		r, "{\"type\":\"error\",\"duration_s\":60,\"match\":{\"health\":true}}");

	assert_non_null(strstr(f.says, "liveness"));
	assert_int_equal(fault_rig_once(r->port, "/healthz", 2000, &a), 500);
	assert_int_equal(fault_rig_once(r->port, "/reset?x=1", 2000, &a), 200);
	faults_disarm_all(r->faults);
	fault_rig_arm(r, "{\"type\":\"error\",\"duration_s\":60}");
	static const char *const probes[] = { "/health", "/healthz", "/livez", "/readyz",
					      "/health?deep=1" };
	for (size_t i = 0; i < ARRAY_SIZE(probes); i++)
		assert_int_equal(fault_rig_once(r->port, probes[i], 2000, &a), 200);
	faults_disarm_all(r->faults);
}

static void test_fault_types_tell_back_ends(void **state)
{
	fault_rig_need(state);
	CLEANUP(json_freep) cJSON *j = faults_types_json(NULL);
	cJSON *items = cJSON_GetObjectItem(j, "items"), *t;

	assert_int_equal(cJSON_GetArraySize(items), NR_FAULT_TYPES);
	cJSON_ArrayForEach(t, items) {
		cJSON *b;

		assert_non_null(json_str(t, "says"));
		cJSON_ArrayForEach(b, cJSON_GetObjectItem(t, "backends")) {
			bool available = cJSON_IsTrue(cJSON_GetObjectItem(b, "available"));

			print_message("%-9s %-10s %s\n", json_str(t, "type"), json_str(b, "name"),
				      available ? "works" : json_str(b, "why"));
			assert_int_equal(available, json_str(b, "why")[0] == '\0');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_slots_replace_and_types_conflict),
		cmocka_unit_test(test_fault_limits_are_named),
		cmocka_unit_test(test_fault_dry_run_arms_nothing),
		cmocka_unit_test(test_fault_that_bites_nothing_is_failed),
		cmocka_unit_test(test_fault_rule_that_somebody_removed_is_noticed),
		cmocka_unit_test(test_fault_hurts_ipv6_and_mapped_alike),
		cmocka_unit_test(test_fault_health_is_hurt_only_when_asked),
		cmocka_unit_test(test_fault_types_tell_back_ends),
	};

	return cmocka_run_group_tests(tests, setup, fault_rig_tear_down);
}
