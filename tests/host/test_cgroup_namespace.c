// SPDX-License-Identifier: GPL-2.0-or-later
/* A process in a cgroup and a cgroup namespace of its own, as a container is on cgroup v2. */
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/util.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_namespace.h"

enum { SEEN, NO_NAMESPACE, NOT_HIDDEN, NOT_JOINED, NOT_AS_BEFORE, NOT_AGAIN };

static char folder[PATH_MAX + 64], before[SERVICE_CGROUP_MAX];

static bool join(const char *path)
{
	char name[sizeof(folder) + 16];

	snprintf(name, sizeof(name), "%s/cgroup.procs", path);
	CLEANUP(fclosep) FILE *f = fopen(name, "we");
	return f && fprintf(f, "%d\n", getpid()) > 0 && fflush(f) == 0;
}

/* The parent's path before, inside and after; a mount of the machine's root alike. */
static int inside(pid_t parent)
{
	char seen[SERVICE_CGROUP_MAX], root[PATH_MAX];

	if (!join(folder) || unshare(CLONE_NEWCGROUP) < 0)
		return NO_NAMESPACE;
	if (cgroup_of_pid(parent, seen) < 0 || strncmp(seen, "/..", 3) != 0 || !cgroup_root(root))
		return NOT_HIDDEN;
	if (cgroup_namespace_join(parent) < 0)
		return NOT_JOINED;
	if (cgroup_of_pid(parent, seen) < 0 || strcmp(seen, before) != 0 || cgroup_root(root) < 0)
		return NOT_AS_BEFORE;
	return cgroup_namespace_join(parent) ? NOT_AGAIN : SEEN;
}

static void test_paths_are_the_machines_again(void **state)
{
	char root[PATH_MAX];

	(void)state;
	if (geteuid() != 0 || cgroup_root(root) < 0 || access("/proc/self/ns/cgroup", F_OK) != 0) {
		printf("SKIP test_paths_are_the_machines_again: root and cgroup v2 are needed\n");
		skip();
	}
	snprintf(folder, sizeof(folder), "%s/archaic-namespace-%d", root, getpid());
	assert_int_equal(cgroup_of_pid(getpid(), before), 0);
	assert_int_equal(mkdir(folder, 0755), 0);

	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(inside(getppid()));
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(rmdir(folder), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SEEN);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_are_the_machines_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
