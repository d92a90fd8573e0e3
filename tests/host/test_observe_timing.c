// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The observer's times and names, over real sockets and real tasks: a server
 * that stands still, a body that a slow client holds up, CPU time against the
 * kernel's own, who waited for a CPU, and ports that are used again by others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "observe_scene.h"

/* Kernel time cannot be injected: these pauses are what is measured. */
static void pause_ms(long ms)
{
	struct timespec left = { .tv_nsec = ms * 1000000 };

	while (nanosleep(&left, &left) < 0)
		;
}

/* Reset it: the port is free at once. */
static void drop(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(fd);
}

static void test_observe_server_stands_still(void **state)
{
	(void)state;
	uint16_t from = 0;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	int fd = scene_call(t.server.port, &from);
	assert_int_equal(kill(t.server.pid, SIGSTOP), 0);
	uint64_t began = clock_mono_ns();
	scene_ask(fd, "GET /200/5");
	pause_ms(50);
	scene_look(&t);
	assert_int_equal(t.served.in_flight, 1);
	assert_true(t.served.oldest_ns >= 45 * NSEC_PER_MSEC);
	assert_int_equal(kill(t.server.pid, SIGCONT), 0);
	scene_hear(fd, 5);
	uint64_t took = clock_mono_ns() - began;
	scene_look(&t);
	assert_int_equal(t.served.requests, 1);
	assert_int_equal(t.served.in_flight, 0);
	assert_true(t.served.duration_ns >= 45 * NSEC_PER_MSEC);
	assert_true(t.served.duration_ns <= took);
	close(fd);
	scene_stop(&t);
}

static void test_observe_duration_ends_with_the_last_byte(void **state)
{
	(void)state;
	const size_t body = 16 << 20;
	uint16_t from = 0;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	int fd = scene_call(t.server.port, &from);
	uint64_t began = clock_mono_ns();
	for (int i = 0; i < 4; i++) {
		/* sendfile() fills the buffers, and waits for us. */
		scene_ask(fd, "GET /200/16777216/file");
		pause_ms(100);
		scene_hear(fd, body);
	}
	uint64_t took = clock_mono_ns() - began;
	scene_look(&t);
	assert_int_equal(t.served.requests, 4);
	assert_true(t.served.tx_bytes > 4 * body);
	assert_true(t.served.duration_ns >= 4 * 95 * NSEC_PER_MSEC);
	assert_true(t.served.duration_ns <= took);
	assert_true(t.served.ttfb_ns < t.served.duration_ns);
	close(fd);
	scene_stop(&t);
}

static pid_t start_spinning(void)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		for (;;)
			asm volatile("");
	}
	return pid;
}

static uint64_t cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &ts), 0);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static uint64_t tick_cpu(struct scene *t, uint32_t id)
{
	scene_look(t);
	const struct service_sample *s = tick_service(&t->last, id);
	assert_non_null(s);
	return s->cpu_ns;
}

static void test_observe_cpu_time_is_the_kernels(void **state)
{
	(void)state;
	struct service s;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	if (observer_can(t.observer)->tasks) {
		printf("SKIP %s: %s\n", __func__, observer_can(t.observer)->tasks);
		scene_stop(&t);
		skip();
	}
	pid_t pid = start_spinning();
	assert_int_equal(registry_attach(t.registry,
					 &(struct registry_attach){ .name = "spinner", .pid = pid },
					 t.now, &s, NULL),
			 0);
	scene_scan(&t);
	/* A slice that began before we knew whose it is counts from its end on: make it end. */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	assert_int_equal(kill(pid, SIGCONT), 0);
	tick_cpu(&t, s.id);
	uint64_t before = cpu_time(pid), seen = 0;
	for (int i = 0; i < 5; i++) {
		pause_ms(100);
		seen += tick_cpu(&t, s.id);
	}
	uint64_t used = cpu_time(pid) - before;
	assert_true(used > 20 * NSEC_PER_MSEC);
	/* The two ends of the span are not read at one moment: some more than a tenth of it is allowed. */
	uint64_t off = seen > used ? seen - used : used - seen;
	if (off > used / 10 + 5 * NSEC_PER_MSEC)
		fail_msg("%llu ns seen, %llu ns used", (unsigned long long)seen,
			 (unsigned long long)used);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	scene_stop(&t);
}

static void test_observe_waiting_is_the_wokens(void **state)
{
	(void)state;
	static const char *const line[] = { "GET /200/5", NULL };
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 1, false);
	if (observer_can(t.observer)->tasks) {
		printf("SKIP %s: %s\n", __func__, observer_can(t.observer)->tasks);
		scene_stop(&t);
		skip();
	}
	/* Only the server is watched; the client wakes it each time, and is nobody. */
	scene_attach_server(&t);
	scene_scan(&t);
	scene_look(&t);
	assert_int_equal(load_run(&t.client, line, 1, 500), 0);
	scene_look(&t);
	const struct service_sample *s = tick_service(&t.last, t.server_id);
	assert_non_null(s);
	/* It may find more than one request when it runs, but not all of them. */
	assert_true(hist_count(&s->runq) > 50);
	assert_true(s->runq_ns > 0 && s->cpu_ns > 0);
	for (size_t i = 0; i < t.last.nr_services; i++)
		if (t.last.services[i].id != t.server_id)
			assert_int_equal(hist_count(&t.last.services[i].runq), 0);
	scene_stop(&t);
}

static uint64_t tick_edge(struct scene *t, uint32_t client)
{
	uint64_t n = 0;

	scene_look(t);
	for (size_t i = 0; i < t->last.nr_edges; i++)
		if (t->last.edges[i].client == client && t->last.edges[i].server == t->server_id)
			n += t->last.edges[i].server_requests;
	return n;
}

static void test_observe_port_used_again_by_a_stranger(void **state)
{
	(void)state;
	uint16_t from = 0;
	struct service us;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	assert_int_equal(registry_attach(t.registry,
					 &(struct registry_attach){ .name = "us", .pid = getpid() },
					 t.now, &us, NULL),
			 0);
	scene_scan(&t);
	int fd = scene_call(t.server.port, &from);
	scene_ask(fd, "GET /200/5");
	scene_hear(fd, 5);
	assert_int_equal(tick_edge(&t, us.id), 1);
	drop(fd);

	/* From now on we are nobody, and call from the same port. */
	assert_int_equal(registry_detach(t.registry, "us", NULL, NULL), 0);
	scene_changes(&t);
	fd = scene_call(t.server.port, &from);
	scene_ask(fd, "GET /200/5");
	scene_hear(fd, 5);
	assert_int_equal(tick_edge(&t, 0), 1);
	assert_int_equal(tick_edge(&t, us.id), 0);
	close(fd);
	scene_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_server_stands_still),
		cmocka_unit_test(test_observe_duration_ends_with_the_last_byte),
		cmocka_unit_test(test_observe_cpu_time_is_the_kernels),
		cmocka_unit_test(test_observe_waiting_is_the_wokens),
		cmocka_unit_test(test_observe_port_used_again_by_a_stranger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
