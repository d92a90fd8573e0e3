// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "remediate/facts.h"

#define S NSEC_PER_SEC

static unsigned looks;

static char stopped(pid_t pid, uint64_t start_ticks)
{
	looks++;
	return pid == 77 && start_ticks == 5 ? 'T' : 0;
}

static const struct service db = { .id = 2,
				   .name = "db",
				   .ports = { 8002 },
				   .nr_ports = 1,
				   .pids = { 77, 78 },
				   .nr_pids = 2,
				   .supervised = true,
				   .main_start_ticks = 5 };

static const struct service_facts *tick(struct facts *f, unsigned at_s,
					struct service_sample sample, struct edge_sample *edge)
{
	struct tick t = { .at_ns = at_s * S,
			  .span_ns = S,
			  .services = &sample,
			  .nr_services = 1,
			  .edges = edge,
			  .nr_edges = edge ? 1 : 0 };
	size_t nr;

	sample.id = 2;
	facts_begin(f, &t);
	assert_int_equal(facts_add(f, &t, &db), 0);
	const struct service_facts *list = facts_list(f, &nr);
	assert_int_equal(nr, 1);
	return list;
}

static void test_facts_silence_grows_until_an_answer(void **state)
{
	CLEANUP(facts_freep) struct facts *f = NULL;
	const struct service_facts *r;

	(void)state;
	assert_int_equal(facts_new(stopped, &f), 0);
	looks = 0;
	r = tick(f, 100,
		 (struct service_sample){ .requests = 10, .status_class = { 0, 0, 8, 0, 0, 2 } },
		 NULL);
	assert_int_equal(r->silent_ns, 0);
	assert_int_equal(r->window_failed, 2);
	assert_int_equal(r->ports[0], 8002);
	unsigned before = looks;
	r = tick(f, 101, (struct service_sample){ .in_flight = 3, .oldest_ns = S / 10 }, NULL);
	assert_true(r->silent_ns == S / 10);
	r = tick(f, 104, (struct service_sample){ .in_flight = 3, .oldest_ns = 3 * S + S / 10 },
		 NULL);
	assert_true(r->silent_ns == 3 * S + S / 10);
	assert_int_equal(r->process_state, 'T');
	assert_true(looks > before);
	r = tick(f, 105,
		 (struct service_sample){ .requests = 1, .in_flight = 2, .oldest_ns = 4 * S },
		 NULL);
	assert_int_equal(r->silent_ns, 0);
	/* A request that was here before the last answer: silence counts from that answer. */
	r = tick(f, 107, (struct service_sample){ .in_flight = 2, .oldest_ns = 6 * S }, NULL);
	assert_true(r->silent_ns == 2 * S);
}

static void test_facts_window_forgets(void **state)
{
	CLEANUP(facts_freep) struct facts *f = NULL;
	struct edge_sample e = { .client = 3, .server = 2, .client_aborted = 4 };

	(void)state;
	assert_int_equal(facts_new(stopped, &f), 0);
	const struct service_facts *r = tick(f, 100, (struct service_sample){ .requests = 5 }, &e);
	assert_int_equal(r->window_caller_timeouts, 4);
	r = tick(f, 109, (struct service_sample){ .requests = 7 }, NULL);
	assert_int_equal(r->window_caller_timeouts, 4);
	assert_int_equal(r->window_answered, 12);
	r = tick(f, 110, (struct service_sample){ .requests = 1 }, NULL);
	assert_int_equal(r->window_caller_timeouts, 0);
	assert_int_equal(r->window_answered, 8);
}

static void test_facts_bounds(void **state)
{
	CLEANUP(facts_freep) struct facts *f = NULL;
	struct tick t = { .at_ns = S, .span_ns = S };
	struct service s = db;
	size_t nr;

	(void)state;
	assert_int_equal(facts_new(stopped, &f), 0);
	facts_begin(f, &t);
	for (s.id = 1; s.id <= SERVICE_MAX; s.id++)
		assert_int_equal(facts_add(f, &t, &s), 0);
	assert_int_equal(facts_add(f, &t, &s), -ENOSPC);
	assert_int_equal(facts_dropped(f), 1);
	facts_list(f, &nr);
	assert_int_equal(nr, SERVICE_MAX);
}

/* What it runs as is told where this daemon can ask for it, and where that is this service alone. */
static void test_facts_workload(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	CLEANUP(facts_freep) struct facts *f = NULL;
	struct service s = { .id = 1, .namespace = "archaics", .pod = "db-1" };
	struct tick t = { .at_ns = S };
	const struct service_facts *r;
	size_t nr;

	(void)state;
	assert_int_equal(facts_new(stopped, &f), 0);
	for (int i = 0; i < 2; i++) {
		facts_begin(f, &t);
		assert_int_equal(facts_add(f, &t, &s), 0);
		r = facts_list(f, &nr);
		assert_string_equal(r->pod, i ? "db-1" : "");
		assert_string_equal(r->pod_namespace, i ? "archaics" : "");
		facts_reach(f, FACTS_REACH_KUBE | FACTS_REACH_DOCKER | FACTS_REACH_SYSTEMD);
	}
	/* By its cgroup, where nothing else says it. */
	s.pod[0] = s.namespace[0] = '\0';
	for (int own = 0; own < 2; own++) {
		s.own_cgroup = own;
		snprintf(s.cgroup, sizeof(s.cgroup), "/system.slice/nginx.service");
		facts_begin(f, &t);
		assert_int_equal(facts_add(f, &t, &s), 0);
		assert_string_equal(facts_list(f, &nr)->unit, own ? "nginx.service" : "");
		snprintf(s.cgroup, sizeof(s.cgroup), "/docker/%s", id);
		facts_begin(f, &t);
		assert_int_equal(facts_add(f, &t, &s), 0);
		assert_string_equal(facts_list(f, &nr)->container_id, own ? id : "");
		/* A kubelet's, whose pod is not known: nobody's business. */
		snprintf(s.cgroup, sizeof(s.cgroup),
			 "/kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef/%s", id);
		facts_begin(f, &t);
		assert_int_equal(facts_add(f, &t, &s), 0);
		assert_string_equal(facts_list(f, &nr)->container_id, "");
	}
}

static void test_facts_real_process_state(void **state)
{
	(void)state;
	assert_int_equal(facts_process_state(getpid(), 0), 'R');
	assert_int_equal(facts_process_state(getpid(), 1),
			 0); /* another process under that number */
	assert_int_equal(facts_process_state(0x7ffffff0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts_silence_grows_until_an_answer),
		cmocka_unit_test(test_facts_window_forgets),
		cmocka_unit_test(test_facts_bounds),
		cmocka_unit_test(test_facts_workload),
		cmocka_unit_test(test_facts_real_process_state),
	};

	return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
