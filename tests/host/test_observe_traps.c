// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What other agents got wrong, over real sockets: descriptors and sockets that
 * change hands, bodies that no write() sends, and what is no HTTP at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "kernel/cgroup.h"
#include "observe_scene.h"

/* Idle time is what must not be counted; it cannot be injected. */
static void pause_ms(long ms)
{
	struct timespec left = { .tv_nsec = ms * 1000000 };

	while (nanosleep(&left, &left) < 0)
		;
}

/* ---- what changes hands */

static void test_observe_descriptor_used_again(void **state)
{
	(void)state;
	uint64_t asked_ns = 0;
	int first = -1;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	for (int i = 0; i < 20; i++) {
		uint16_t from = 0;
		int fd = scene_call(t.server.port, &from);

		first = first < 0 ? fd : first;
		assert_int_equal(fd, first);
		/* Twice, with a rest between: keep-alive is no request either. */
		for (int k = 0; k < 2; k++) {
			pause_ms(15);
			uint64_t began = clock_mono_ns();
			scene_ask(fd, "GET /200/5");
			scene_hear(fd, 5);
			asked_ns += clock_mono_ns() - began;
		}
		close(fd);
	}
	scene_look(&t);
	assert_int_equal(t.served.requests, 40);
	assert_true(t.served.duration_ns > 0);
	if (t.served.duration_ns > asked_ns)
		fail_msg("%.1f ms are counted, %.1f ms passed", (double)t.served.duration_ns / 1e6,
			 (double)asked_ns / 1e6);
	scene_stop(&t);
}

/* Answers one request on each of its connections, each by a process of its own. */
static void serve_by_children(int listener, const char *procs)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		char in[4096];
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && !fork()) {
			int move = open(procs, O_WRONLY | O_CLOEXEC);
			if (move < 0 || write(move, "0", 1) != 1 ||
			    recv(fd, in, sizeof(in), 0) <= 0)
				_exit(1);
			_exit(send(fd, ok, sizeof(ok) - 1, MSG_NOSIGNAL) < 0);
		}
		close(fd);
	}
}

static pid_t start_inetd(uint16_t *port, const char *procs)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	pid_t parent = getpid();
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		serve_by_children(fd, procs);
	}
	return pid;
}

/* A listener's children serve in another cgroup, which is another service's own: the port decides. */
static void test_observe_socket_served_by_a_child_elsewhere(void **state)
{
	(void)state;
	char root[PATH_MAX], name[64], dir[PATH_MAX], procs[PATH_MAX + 16];
	struct service parent, other;
	uint16_t port, from;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	assert_int_equal(cgroup_root(root), 0);
	snprintf(name, sizeof(name), "/archaic-test-traps-%d", getpid());
	snprintf(dir, sizeof(dir), "%.1000s%s", root, name);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	scene_start(&t, 0, false);
	pid_t pid = start_inetd(&port, procs);
	assert_int_equal(
		registry_attach(t.registry,
				&(struct registry_attach){ .name = "parent", .port = port }, t.now,
				&parent, NULL),
		0);
	assert_int_equal(
		registry_attach(t.registry,
				&(struct registry_attach){ .name = "other", .cgroup = name }, t.now,
				&other, NULL),
		0);
	scene_scan(&t);
	for (int i = 0; i < 10; i++) {
		from = 0;
		int fd = scene_call(port, &from);
		scene_ask(fd, "GET /200/2");
		scene_hear(fd, 2);
		close(fd);
		scene_scan(&t);
	}
	t.server_id = parent.id;
	scene_look(&t);
	assert_int_equal(t.served.requests, 10);
	assert_int_equal(t.served.unparsed, 0);
	assert_int_equal(tick_service(&t.last, other.id)->requests, 0);
	for (size_t i = 0; i < t.last.nr_edges; i++) {
		assert_int_equal(t.last.edges[i].server, parent.id);
		assert_int_equal(t.last.edges[i].client, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	scene_stop(&t);
	while (rmdir(dir) < 0 && errno == EBUSY)
		sched_yield();
	assert_int_equal(access(dir, F_OK), -1);
}

/* A connection belongs to whoever made it, also when a child asks on it. */
static void test_observe_connection_inherited_by_a_child(void **state)
{
	(void)state;
	uint16_t from = 0;
	struct service us;
	struct scene t;
	int status;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	assert_int_equal(registry_attach(t.registry,
					 &(struct registry_attach){ .name = "us", .pid = getpid() },
					 t.now, &us, NULL),
			 0);
	t.client_id = us.id;
	scene_scan(&t);
	int fd = scene_call(t.server.port, &from);
	pid_t pid = fork();
	if (!pid) {
		scene_ask(fd, "GET /200/5");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	scene_hear(fd, 5);
	scene_look(&t);
	assert_int_equal(t.served.requests, 1);
	assert_int_equal(t.edge.server_requests, 1);
	assert_int_equal(t.edge.client_requests, 1);
	close(fd);
	scene_stop(&t);
}

static void test_observe_connect_alone_is_no_failure(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(load_connect(&t.client, 20, i % 2), 0);
		assert_int_equal(load_hang_up(&t.client), 0);
	}
	scene_look(&t);
	assert_int_equal(t.served.requests + t.served.aborted + t.served.unparsed, 0);
	assert_int_equal(t.edge.client_aborted + t.edge.client_failed + t.edge.server_failed, 0);
	scene_stop(&t);
}

/* ---- bodies that no write() sends */

static void test_observe_spliced_body_takes_its_time(void **state)
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
	scene_ask(fd, "GET /200/16777216/splice");
	/* splice() fills the buffers, and waits for us. */
	pause_ms(100);
	scene_hear(fd, body);
	uint64_t took = clock_mono_ns() - began;
	scene_look(&t);
	assert_int_equal(t.served.requests, 1);
	assert_true(t.served.tx_bytes > body);
	assert_true(t.served.duration_ns >= 95 * NSEC_PER_MSEC);
	assert_true(t.served.duration_ns <= took);
	close(fd);
	scene_stop(&t);
}

/* ---- what is no HTTP */

/* Each is said on a connection of its own, and counted: no request, one stream that was not understood. */
static void test_observe_what_is_not_understood_is_counted(void **state)
{
	(void)state;
	static const char *const said[] = {
		"\x16\x03\x01\x02\x01\x01\x02\xfc\x03\x03 a TLS client's hello",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"*1\r\n$4\r\nPING\r\n",
		"hello there\r\n\r\n",
		"get / HTTP/1.1\r\n\r\n",
	};
	struct observer_self self;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		uint16_t from = 0;
		char in[64];
		int fd = scene_call(t.server.port, &from);
		size_t len = strlen(said[i]);
		assert_int_equal(send(fd, said[i], len, MSG_NOSIGNAL), len);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		while (recv(fd, in, sizeof(in), 0) > 0)
			;
		close(fd);
	}
	/* And then somebody who speaks it. */
	uint16_t from = 0;
	int fd = scene_call(t.server.port, &from);
	scene_ask(fd, "GET /200/5");
	scene_hear(fd, 5);
	close(fd);
	scene_look(&t);
	assert_int_equal(observer_self(t.observer, &self), 0);
	assert_int_equal(t.served.requests, 1);
	assert_int_equal(t.served.status_class[2], 1);
	assert_int_equal(t.served.unparsed, ARRAY_SIZE(said));
	assert_int_equal(self.stats.streams_opaque, ARRAY_SIZE(said));
	assert_int_equal(t.served.aborted, 0);
	scene_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_descriptor_used_again),
		cmocka_unit_test(test_observe_socket_served_by_a_child_elsewhere),
		cmocka_unit_test(test_observe_connection_inherited_by_a_child),
		cmocka_unit_test(test_observe_connect_alone_is_no_failure),
		cmocka_unit_test(test_observe_spliced_body_takes_its_time),
		cmocka_unit_test(test_observe_what_is_not_understood_is_counted),
	};

	return cmocka_run_group_tests_name("observe_traps", tests, NULL, NULL);
}
