// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The observer against a client that knows what it got, over real sockets: the
 * counts of both ends equal the client's to the request. Connections older than
 * the observer, IPv4, IPv6 and mapped, pipelining, the request on the
 * handshake's ACK, every framing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "observe_scene.h"

static void print_run_times(struct scene *t, const char *what)
{
	struct observer_self self;

	assert_int_equal(observer_self(t->observer, &self), 0);
	for (size_t i = 0; i < self.nr_programs; i++)
		if (self.programs[i].runs)
			printf("  %s: %s ran %llu times, %.0f ns each\n", what,
			       self.programs[i].name, (unsigned long long)self.programs[i].runs,
			       (double)self.programs[i].run_ns / (double)self.programs[i].runs);
}

static void test_observe_counts_100000_requests(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 32, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	assert_int_equal(load_connect(&t.client, 32, false), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(load_run(&t.client, SCENE_MIX, 1, 25600), 0);
		scene_look(&t);
	}
	assert_int_equal(t.client.count->requests, 102400);
	scene_assert_exact(&t);
	print_run_times(&t, "one request a packet");
	scene_stop(&t);
}

static void test_observe_counts_pipelined(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 32, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	assert_int_equal(load_connect(&t.client, 32, false), 0);
	assert_int_equal(load_run(&t.client, SCENE_MIX, 8, 64 * 8 * 64), 0);
	scene_look(&t);
	scene_assert_exact(&t);
	print_run_times(&t, "eight requests a packet");
	scene_stop(&t);
}

/* Moves both ends from CPU to CPU: segments that were sent from two of them overtake each other. */
struct mover {
	pthread_t thread;
	pid_t pids[2];
	atomic_bool stop;
};

static void *move(void *arg)
{
	struct mover *m = arg;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (unsigned int i = 0; !atomic_load(&m->stop); i++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(i / 2 % (unsigned int)cpus, &set);
		sched_setaffinity(m->pids[i % 2], sizeof(set), &set);
	}
	return NULL;
}

static void test_observe_counts_while_tasks_migrate(void **state)
{
	(void)state;
	struct observer_self self;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 32, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);

	struct mover m = { .pids = { t.server.pid, t.client.pid } };

	assert_int_equal(load_connect(&t.client, 32, false), 0);
	assert_int_equal(pthread_create(&m.thread, NULL, move, &m), 0);
	int ret = load_run(&t.client, SCENE_MIX, 8, 64 * 8 * 64);
	atomic_store(&m.stop, true);
	pthread_join(m.thread, NULL);
	assert_int_equal(ret, 0);
	scene_look(&t);
	assert_int_equal(observer_self(t.observer, &self), 0);
	printf("  %llu segments overtook another\n", (unsigned long long)self.stats.overtaken);
	scene_assert_exact(&t);
	scene_stop(&t);
}

static void test_observe_request_on_the_handshakes_ack(void **state)
{
	(void)state;
	struct observer_self self;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, true);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(load_connect(&t.client, 12, true), 0);
		assert_int_equal(load_run(&t.client, SCENE_MIX, i % 2 ? 1 : 4, SCENE_NR_MIX * 12),
				 0);
		assert_int_equal(load_hang_up(&t.client), 0);
	}
	scene_look(&t);
	scene_assert_exact(&t);
	assert_int_equal(observer_self(t.observer, &self), 0);
	assert_true(self.stats.listener_parked > 0);
	assert_int_equal(self.stats.listener_parked, self.stats.listener_adopted);
	scene_stop(&t);
}

static void test_observe_services_attached_late(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	/* The observer sees these connections as nobody's first. */
	scene_start(&t, 12, false);
	assert_int_equal(load_run(&t.client, SCENE_MIX, 1, SCENE_NR_MIX * 12), 0);
	memset(t.client.count, 0, sizeof(*t.client.count));
	scene_attach_server(&t);
	scene_scan(&t);
	assert_int_equal(load_run(&t.client, SCENE_MIX, 1, 12), 0);
	scene_look(&t);
	assert_int_equal(t.served.requests, 12);
	assert_int_equal(t.edge.client_requests, 0);

	scene_attach_client(&t);
	scene_scan(&t);
	memset(t.client.count, 0, sizeof(*t.client.count));
	memset(&t.edge, 0, sizeof(t.edge));
	assert_int_equal(load_run(&t.client, SCENE_MIX, 1, SCENE_NR_MIX * 12), 0);
	scene_look(&t);
	assert_int_equal(t.edge.client_requests, SCENE_NR_MIX * 12);
	assert_int_equal(t.edge.server_requests, SCENE_NR_MIX * 12);

	/* Detached: counts no more. */
	assert_int_equal(registry_detach(t.registry, "server", NULL, NULL), 0);
	scene_changes(&t);
	uint64_t before = observer_served(t.observer, t.server_id);
	assert_int_equal(load_run(&t.client, SCENE_MIX, 1, 12), 0);
	scene_look(&t);
	assert_int_equal(observer_served(t.observer, t.server_id), before);
	scene_stop(&t);
}

static void test_observe_every_framing(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"GET /200/3000000/file", "GET /200/500000/chunked",
		"GET /200/60/split",     "POST /200/9/continue",
		"HEAD /200/700/chunked", "GET /200/1000/file",
		"GET /200/900000",       NULL,
	};
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 1, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	/* One connection: the server's blocking writes and the client's reads take turns. */
	assert_int_equal(load_run(&t.client, lines, 1, 7 * 6), 0);
	scene_look(&t);
	scene_assert_exact(&t);
	scene_stop(&t);
}

static void test_observe_reattach_counts_once(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 8, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(load_run(&t.client, SCENE_MIX, 2, SCENE_NR_MIX * 8), 0);
		assert_int_equal(observer_reattach(t.observer), 0);
	}
	scene_look(&t);
	scene_assert_exact(&t);
	scene_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_counts_100000_requests),
		cmocka_unit_test(test_observe_counts_pipelined),
		cmocka_unit_test(test_observe_counts_while_tasks_migrate),
		cmocka_unit_test(test_observe_request_on_the_handshakes_ack),
		cmocka_unit_test(test_observe_services_attached_late),
		cmocka_unit_test(test_observe_every_framing),
		cmocka_unit_test(test_observe_reattach_counts_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
