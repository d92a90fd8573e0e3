// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who serves a listener that several processes hold: workers made later, a parent
 * that only listens for a child in another cgroup, a child that was started with a
 * descriptor too many, and what nobody but a service manager holds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/util.h"
#include "discover/registry.h"
#include "kernel/cgroup.h"
#include "tests/lib/netns.h"

#define PORT 9420

/* A process that does as it is told, and its child, over a socket each. */
struct order {
	char op; /* 'l'isten on port, 'n'ame, 'f'ork, 'e'nd */
	uint16_t port;
	char name[16];
};

struct family {
	pid_t parent, child; /* child: 0 until it is made */
	int to_parent, to_child;
};

static pid_t obey(int from, int child_from);

static int listen_on(uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int on = 1, fd = socket(AF_INET6, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8) ? -1 : 0;
}

static pid_t make_child(int child_from)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	_exit(obey(child_from, -1));
}

static pid_t obey(int from, int child_from)
{
	struct order o;

	signal(SIGCHLD, SIG_IGN);
	while (read(from, &o, sizeof(o)) == sizeof(o)) {
		pid_t answer = 0;

		if (o.op == 'l')
			answer = listen_on(o.port);
		else if (o.op == 'n')
			answer = prctl(PR_SET_NAME, o.name);
		else if (o.op == 'f')
			answer = make_child(child_from);
		else
			return 0;
		if (write(from, &answer, sizeof(answer)) != sizeof(answer))
			return 1;
	}
	return 0;
}

static pid_t tell(int to, struct order o)
{
	pid_t answer = -1;

	assert_int_equal(write(to, &o, sizeof(o)), sizeof(o));
	assert_int_equal(read(to, &answer, sizeof(answer)), sizeof(answer));
	assert_true(answer >= 0);
	return answer;
}

static void start(struct family *f, const char *name, uint16_t port)
{
	int parent[2], child[2];
	struct order called = { .op = 'n' };

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, parent), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, child), 0);
	*f = (struct family){ .to_parent = parent[0], .to_child = child[0] };
	f->parent = fork();
	assert_true(f->parent >= 0);
	if (!f->parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL))
			_exit(1);
		close(parent[0]);
		close(child[0]);
		_exit(obey(parent[1], child[1]));
	}
	close(parent[1]);
	close(child[1]);
	snprintf(called.name, sizeof(called.name), "%s", name);
	tell(f->to_parent, called);
	tell(f->to_parent, (struct order){ .op = 'l', .port = port });
}

static void have_child(struct family *f, const char *name)
{
	struct order called = { .op = 'n' };

	f->child = tell(f->to_parent, (struct order){ .op = 'f' });
	snprintf(called.name, sizeof(called.name), "%s", name);
	tell(f->to_child, called);
}

static void stop(struct family *f)
{
	kill(f->parent, SIGKILL);
	waitpid(f->parent, NULL, 0);
	close(f->to_parent);
	/* The child dies with its parent; its end of the socket closes then. */
	char c;
	assert_true(read(f->to_child, &c, 1) <= 0);
	close(f->to_child);
}

static struct registry *fresh(void)
{
	const struct registry_options o = { .discover = true };
	struct registry *r = NULL;

	assert_int_equal(registry_new(&o, &r), 0);
	return r;
}

static bool has_pid(const struct service *s, pid_t pid)
{
	for (size_t i = 0; i < s->nr_pids; i++)
		if (s->pids[i] == pid)
			return true;
	return false;
}

static void test_registry_sees_workers_made_later(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	struct family f;

	start(&f, "prefork", PORT);
	assert_int_equal(registry_scan(r, 1), 0);
	assert_int_equal(registry_by_port(r, PORT)->nr_pids, 1);
	have_child(&f, "prefork");
	assert_int_equal(registry_scan(r, 2), 0);
	const struct service *s = registry_by_port(r, PORT);
	assert_int_equal(s->nr_pids, 2);
	assert_int_equal(s->pids[0], f.parent);
	assert_true(has_pid(s, f.child));
	assert_ptr_equal(registry_by_pid(r, f.child), s);

	struct order end = { .op = 'e' };
	assert_int_equal(write(f.to_child, &end, sizeof(end)), sizeof(end));
	while (kill(f.child, 0) == 0)
		sched_yield();
	assert_int_equal(registry_scan(r, 3), 0);
	assert_int_equal(registry_by_port(r, PORT)->nr_pids, 1);
	stop(&f);
}

static void make_cgroup(char path[static PATH_MAX], char name[static SERVICE_CGROUP_MAX])
{
	char root[PATH_MAX];

	assert_int_equal(cgroup_root(root), 0);
	snprintf(name, SERVICE_CGROUP_MAX, "/archaic-test-holders-%d", getpid());
	snprintf(path, PATH_MAX, "%.1000s%.1000s", root, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void move_into(const char *cgroup_dir, pid_t pid)
{
	char path[PATH_MAX + 16], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup_dir);
	int fd = open(path, O_WRONLY | O_CLOEXEC), len = snprintf(text, sizeof(text), "%d", pid);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)len), len);
	close(fd);
}

static void test_registry_names_the_child_that_serves(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	char dir[PATH_MAX], name[SERVICE_CGROUP_MAX];
	struct family f;

	make_cgroup(dir, name);
	start(&f, "activator", PORT);
	have_child(&f, "worker");
	move_into(dir, f.child);
	assert_int_equal(registry_scan(r, 1), 0);
	const struct service *s = registry_by_port(r, PORT);
	assert_non_null(s);
	assert_string_equal(s->name, "worker-9420");
	assert_int_equal(s->nr_pids, 1);
	assert_int_equal(s->pids[0], f.child);
	assert_string_equal(s->cgroup, name);
	assert_true(s->own_cgroup);
	assert_null(registry_by_pid(r, f.parent));
	stop(&f);
	while (rmdir(dir) < 0 && errno == EBUSY)
		sched_yield();
	assert_int_equal(access(dir, F_OK), -1);
}

static void test_registry_knows_a_leaked_descriptor(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	struct family f;

	start(&f, "front", PORT);
	have_child(&f, "back");
	tell(f.to_child, (struct order){ .op = 'l', .port = PORT + 1 });
	assert_int_equal(registry_scan(r, 1), 0);
	const struct service *front = registry_by_port(r, PORT);
	const struct service *back = registry_by_port(r, PORT + 1);
	assert_string_equal(front->name, "front-9420");
	assert_string_equal(back->name, "back-9421");
	assert_int_equal(front->nr_pids, 1);
	assert_int_equal(front->pids[0], f.parent);
	assert_int_equal(back->nr_pids, 1);
	assert_int_equal(back->pids[0], f.child);
	assert_ptr_equal(registry_by_pid(r, f.child), back);
	/* And so it stays. */
	assert_int_equal(registry_scan(r, 2), 0);
	assert_int_equal(registry_by_port(r, PORT)->nr_pids, 1);
	stop(&f);
}

static void test_registry_keeps_a_worker_with_its_own_port(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	struct family f;

	start(&f, "node", PORT);
	have_child(&f, "node");
	tell(f.to_child, (struct order){ .op = 'l', .port = PORT + 1 });
	assert_int_equal(registry_scan(r, 1), 0);
	const struct service *s = registry_by_port(r, PORT);
	assert_int_equal(s->nr_pids, 2);
	assert_true(has_pid(s, f.child));
	stop(&f);
}

static void test_registry_takes_no_manager_for_a_service(void **state)
{
	(void)state;
	CLEANUP(registry_freep) struct registry *r = fresh();
	const struct registry_attach a = { .name = "activated", .port = PORT };
	struct service s;
	struct problem p;
	struct family f;

	start(&f, "systemd", PORT);
	assert_int_equal(registry_scan(r, 1), 0);
	assert_int_equal(registry_count(r), 0);
	/* Attached all the same: its requests count, and there is nobody to hurt or to kill. */
	assert_int_equal(registry_attach(r, &a, 2, &s, &p), 0);
	assert_int_equal(s.nr_ports, 1);
	assert_int_equal(s.nr_pids, 0);

	/* The one that it starts is found, with no other sign than that it is there. */
	have_child(&f, "shop");
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(registry_scan(r, 3 + i), 0);
	const struct service *now = registry_by_name(r, "activated");
	assert_int_equal(now->nr_pids, 1);
	assert_int_equal(now->pids[0], f.child);
	stop(&f);
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
		cmocka_unit_test(test_registry_sees_workers_made_later),
		cmocka_unit_test(test_registry_names_the_child_that_serves),
		cmocka_unit_test(test_registry_knows_a_leaked_descriptor),
		cmocka_unit_test(test_registry_keeps_a_worker_with_its_own_port),
		cmocka_unit_test(test_registry_takes_no_manager_for_a_service),
	};

	return cmocka_run_group_tests_name("registry_holders", tests, enter, NULL);
}
