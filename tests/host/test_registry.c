// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/util.h"
#include "discover/registry.h"
#include "kernel/procs.h"
#include "tests/lib/netns.h"

#define PORT 9400

/* A process named @name that listens on @nr ports from @port on until it is killed. */
static pid_t listen_many(const char *name, uint16_t port, int nr)
{
	int ready[2];

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		for (int i = 0; i < nr; i++) {
			struct sockaddr_in6 a = { .sin6_family = AF_INET6,
						  .sin6_port = htons((uint16_t)(port + i)) };
			int on = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
			if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
				_exit(1);
		}
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	char c;
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static pid_t listen_as(const char *name, uint16_t port, bool two)
{
	return listen_many(name, port, 1 + two);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct registry *fresh(void)
{
	const struct registry_options o = { .discover = true, .grace_ns = 5 * NSEC_PER_SEC };
	struct registry *r = NULL;

	assert_int_equal(registry_new(&o, &r), 0);
	return r;
}

static void test_registry_finds_listeners_by_itself(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	pid_t pid = listen_as("evil (x) name", PORT, false);

	assert_int_equal(registry_scan(r, 1), 0);
	const struct service *s = registry_by_port(r, PORT);
	assert_non_null(s);
	assert_string_equal(s->name, "evil__x__name-9400");
	assert_int_equal(s->source, SERVICE_FOUND);
	assert_int_equal(s->pids[0], pid);
	assert_ptr_equal(registry_by_pid(r, pid), s);
	assert_int_equal(registry_count(r), 1);
	stop(pid);

	/* It stays for the grace, then goes. */
	assert_int_equal(registry_scan(r, 1 * NSEC_PER_SEC), 0);
	assert_int_equal(registry_count(r), 1);
	assert_int_equal(registry_scan(r, 7 * NSEC_PER_SEC), 0);
	assert_int_equal(registry_count(r), 0);
}

static void test_registry_attach_takes_over_what_was_found(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	pid_t pid = listen_as("shop", PORT, true);
	const struct registry_attach a = { .name = "store", .pid = pid };
	struct service s;
	struct problem p;

	assert_int_equal(registry_scan(r, 1), 0);
	assert_int_equal(registry_count(r), 2);
	uint32_t id = registry_by_port(r, PORT)->id;
	assert_int_equal(registry_attach(r, &a, 2, &s, &p), 0);
	assert_int_equal(s.nr_ports, 2);
	assert_true(s.id == id || s.id == id + 1);
	assert_int_equal(registry_count(r), 1);
	/* The same again changes nothing; another name for it is refused. */
	assert_int_equal(registry_attach(r, &a, 2, NULL, &p), 0);
	const struct registry_attach again = { .name = "other", .port = PORT };
	assert_int_equal(registry_attach(r, &again, 2, NULL, &p), -EEXIST);
	assert_int_equal(p.status, 409);
	stop(pid);
}

static void test_registry_keeps_the_id_over_a_restart(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	pid_t pid = listen_as("shop", PORT, false);
	const struct registry_attach a = { .name = "shop", .port = PORT };
	struct service s;
	struct problem p;

	assert_int_equal(registry_attach(r, &a, 1, &s, &p), 0);
	stop(pid);
	assert_int_equal(registry_scan(r, 2), 0);
	assert_int_equal(registry_by_name(r, "shop")->nr_pids, 0);
	pid_t next = listen_as("shop", PORT, false);
	assert_int_equal(registry_scan(r, 3), 0);
	const struct service *now = registry_by_name(r, "shop");
	assert_int_equal(now->id, s.id);
	assert_int_equal(now->pids[0], next);
	assert_int_equal(registry_count(r), 1);
	stop(next);
}

static void test_registry_detached_is_not_found_again(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	pid_t pid = listen_as("shop", PORT, false);
	struct problem p;

	assert_int_equal(registry_scan(r, 1), 0);
	assert_int_equal(registry_detach(r, "shop-9400", NULL, &p), 0);
	assert_int_equal(registry_scan(r, 2), 0);
	assert_int_equal(registry_count(r), 0);
	assert_int_equal(registry_detach(r, "shop-9400", NULL, &p), -ENOENT);
	stop(pid);

	/* A new process on the port is another matter. */
	pid = listen_as("shop", PORT, false);
	assert_int_equal(registry_scan(r, 3), 0);
	assert_int_equal(registry_count(r), 1);
	stop(pid);
}

static void test_registry_refuses_bad_input(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	static const struct {
		struct registry_attach a;
		int status;
	} bad[] = {
		{ { .name = "", .port = 80 }, 400 },
		{ { .name = "-x", .port = 80 }, 400 },
		{ { .name = "a b", .port = 80 }, 400 },
		{ { .name = "self", .port = 80 }, 400 },
		{ { .name = "x" }, 400 },
		{ { .name = "x", .port = 80, .pid = 1 }, 400 },
		{ { .name = "x", .port = 65536 }, 400 },
		{ { .name = "x", .pid = -1 }, 404 },
		{ { .name = "x", .pid = INT32_MAX }, 404 },
		{ { .name = "x", .cgroup = "relative" }, 400 },
		{ { .name = "x", .cgroup = "/a/../b" }, 400 },
		{ { .name = "x", .cgroup = "/a//b" }, 400 },
		{ { .name = "x", .cgroup = "/no/such/cgroup" }, 404 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct problem p = { 0 };
		assert_true(registry_attach(r, &bad[i].a, 1, NULL, &p) < 0);
		assert_int_equal(p.status, bad[i].status);
		assert_true(*p.detail);
	}
	assert_int_equal(registry_count(r), 0);
}

static void note_change(void *ctx, const struct service *s, bool gone)
{
	int *seen = ctx;

	(void)s;
	seen[gone]++;
}

static void test_registry_tells_changes_once(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	pid_t pid = listen_as("shop", PORT, false);
	int seen[2] = { 0 };
	struct problem p;

	registry_scan(r, 1);
	registry_changes(r, note_change, seen);
	registry_scan(r, 2);
	registry_changes(r, note_change, seen);
	assert_int_equal(seen[0], 1);
	registry_detach(r, "shop-9400", NULL, &p);
	registry_changes(r, note_change, seen);
	registry_changes(r, note_change, seen);
	assert_int_equal(seen[1], 1);
	stop(pid);
}

static void test_registry_full_makes_room_for_what_is_asked_for(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	pid_t pid = listen_many("many", PORT, SERVICE_MAX + 20);
	const struct registry_attach a = { .name = "asked", .port = 80 };
	const struct registry_attach b = { .name = "known", .port = PORT };
	struct service s;
	struct problem p;

	assert_int_equal(registry_scan(r, 1), 0);
	assert_int_equal(registry_count(r), SERVICE_MAX);
	assert_true(registry_stats(r).refused_full > 0);
	uint32_t id = registry_by_port(r, PORT)->id;
	assert_int_equal(registry_attach(r, &a, 2, NULL, &p), 0);
	assert_int_equal(registry_attach(r, &b, 2, &s, &p), 0);
	assert_int_equal(s.id, id);
	assert_true(registry_count(r) <= SERVICE_MAX);
	assert_non_null(registry_by_name(r, "asked"));
	assert_int_equal(registry_scan(r, 3), 0);
	assert_non_null(registry_by_name(r, "asked"));
	assert_string_equal(registry_by_port(r, PORT)->name, "known");
	stop(pid);

	/* All attached: nobody is pushed out. */
	for (unsigned port = 1000; registry_count(r) < SERVICE_MAX || port < 1000 + SERVICE_MAX;
	     port++) {
		char name[32];
		snprintf(name, sizeof(name), "s%u", port);
		const struct registry_attach more = { .name = name, .port = port };
		int err = registry_attach(r, &more, 4, NULL, &p);
		if (!err)
			continue;
		assert_int_equal(err, -EPERM);
		assert_int_equal(p.status, 422);
	}
	const struct registry_attach last = { .name = "last", .port = 90 };
	assert_int_equal(registry_attach(r, &last, 4, NULL, &p), -EPERM);
	assert_non_null(registry_by_name(r, "asked"));
}

/* Listeners of short-lived containers come and go for months. */
static void test_registry_ids_do_not_run_out(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	const struct registry_attach a = { .name = "brief", .port = PORT };
	struct service s = { 0 };
	struct problem p;
	uint32_t before = 0;

	for (int i = 0; i < 5000; i++) {
		assert_int_equal(registry_attach(r, &a, 1, &s, &p), 0);
		assert_true(s.id > before);
		before = s.id;
		assert_int_equal(registry_detach(r, "brief", NULL, &p), 0);
	}
}

static void test_proc_stat_survives_hostile_names(void **state)
{
	(void)state;
	struct proc_stat st;

	assert_int_equal(
		proc_stat_parse(
			"7 (a) b) (c) S 3 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 4242 1 1", &st),
		0);
	assert_int_equal(st.pid, 7);
	assert_int_equal(st.ppid, 3);
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.start_ticks, 4242);
	assert_string_equal(st.comm, "a) b) (c");
	assert_int_equal(proc_stat_parse("7 (a S 3", &st), -EINVAL);
	assert_int_equal(proc_stat_parse("", &st), -EINVAL);
	assert_int_equal(proc_stat_parse("7 (a) S", &st), -EINVAL);
}

static int enter(void **state)
{
	(void)state;
	int err = netns_enter();
	if (err)
		print_error("no network namespace of our own (%s): run this as root\n",
			    strerror(-err));
	return err;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registry_finds_listeners_by_itself),
		cmocka_unit_test(test_registry_attach_takes_over_what_was_found),
		cmocka_unit_test(test_registry_keeps_the_id_over_a_restart),
		cmocka_unit_test(test_registry_detached_is_not_found_again),
		cmocka_unit_test(test_registry_refuses_bad_input),
		cmocka_unit_test(test_registry_tells_changes_once),
		cmocka_unit_test(test_registry_full_makes_room_for_what_is_asked_for),
		cmocka_unit_test(test_registry_ids_do_not_run_out),
		cmocka_unit_test(test_proc_stat_survives_hostile_names),
	};

	return cmocka_run_group_tests_name("registry", tests, enter, NULL);
}
