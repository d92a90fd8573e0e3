// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Restarting a unit against a real systemd: a user manager of the test's own, in a mount namespace
 * where /run says that the machine was booted with one, spoken to over its private socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "partner.h"
#include "remediate/unit.h"

#define START_NS (20 * NSEC_PER_SEC)

static char folder[] = "/tmp/archaic-unit-XXXXXX", bus[96];
static struct child manager;
static const char *lack;

static void put(const char *name, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/systemd/user/%s", folder, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void make(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void wanted(const char *unit)
{
	char from[160], to[160];

	snprintf(from, sizeof(from), "../%s", unit);
	snprintf(to, sizeof(to), "%s/systemd/user/default.target.wants/%s", folder, unit);
	assert_int_equal(symlink(from, to), 0);
}

/* Until systemd has started @unit, or has tried. */
static int wait_for(const char *unit, const char *active)
{
	const struct timespec step = { .tv_nsec = 50000000 };
	uint64_t until = clock_mono_ns() + START_NS;
	struct unit_state u;
	char says[240] = "";

	for (;;) {
		int err = unit_prepare(bus, unit, &u, says, sizeof(says));
		if (!err && !strcmp(u.active, active))
			return 0;
		if (clock_mono_ns() > until) {
			print_message("%s: %d %s\n", unit, err, says);
			return -1;
		}
		nanosleep(&step, NULL);
	}
}

static int group_setup(void **state)
{
	static const char script[] =
		"mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && "
		"XDG_RUNTIME_DIR=$1/run XDG_CONFIG_HOME=$1 HOME=$1 exec systemd --user 2>/dev/null";
	const char *const argv[] = { "unshare", "--net", "--mount", "--propagation",
				     "private", "sh",    "-c",      script,
				     "sh",      folder,  NULL };

	(void)state;
	if (getuid() || access("/usr/bin/systemd", X_OK)) {
		lack = "a systemd of one's own needs root and Debian's package systemd";
		return 0;
	}
	assert_non_null(mkdtemp(folder));
	snprintf(bus, sizeof(bus), "unix:path=%s/run/systemd/private", folder);
	make("run");
	make("systemd");
	make("systemd/user");
	make("systemd/user/default.target.wants");
	put("toy.service", "[Service]\nExecStart=/bin/sleep 1000\n");
	put("idle.service", "[Service]\nExecStart=/bin/sleep 1000\n");
	put("bad.service", "[Service]\nExecStart=/bin/false\n");
	put("refuse.service",
	    "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=/bin/sleep 1000\n");
	wanted("toy.service");
	wanted("bad.service");
	wanted("refuse.service");
	child_start(&manager, argv, false);
	if (wait_for("toy.service", "active")) {
		kill(manager.pid, SIGKILL);
		child_end(&manager);
		manager.pid = 0;
		lack = "a user manager of systemd does not start here";
	}
	return 0;
}

static int group_teardown(void **state)
{
	const char *const argv[] = { "rm", "-rf", folder, NULL };
	struct child c;

	(void)state;
	if (manager.pid) {
		kill(manager.pid, SIGTERM);
		child_end(&manager);
	}
	if (strchr(folder, 'X'))
		return 0;
	child_start(&c, argv, false);
	return child_end(&c);
}

static void need(void)
{
	if (!lack)
		return;
	print_message("SKIP test_change_unit: %s\n", lack);
	skip();
}

/* A stopped process is what a restart is for: SIGTERM alone would wait for ever. */
static void test_unit_restart(void **state)
{
	struct unit_state u, now;
	char says[240];

	(void)state;
	need();
	assert_int_equal(unit_prepare(bus, "toy.service", &u, says, sizeof(says)), 0);
	assert_string_equal(u.active, "active");
	assert_true(u.main_pid > 1);
	assert_int_equal(kill((pid_t)u.main_pid, SIGSTOP), 0);
	assert_int_equal(unit_restart(bus, &u, UNIT_WAIT_NS, NULL, says, sizeof(says)), 0);
	print_message("%s\n", says);
	assert_int_equal(unit_prepare(bus, "toy.service", &now, says, sizeof(says)), 0);
	assert_true(now.main_pid > 1);
	assert_int_not_equal(now.main_pid, u.main_pid);
	assert_int_equal(kill((pid_t)u.main_pid, 0), -1);
	assert_int_equal(kill((pid_t)now.main_pid, 0), 0);
	/* What was found is no more: another run is not ours to end. */
	assert_int_equal(unit_restart(bus, &u, UNIT_WAIT_NS, NULL, says, sizeof(says)), -EBUSY);
	assert_int_equal(kill((pid_t)now.main_pid, 0), 0);
}

static void test_unit_refused(void **state)
{
	static const struct {
		const char *name, *why;
	} cases[] = {
		{ "idle.service", "somebody has stopped it" },
		{ "nowhere.service", "not-found" },
		{ "refuse.service", "refuses to be stopped" },
	};
	struct unit_state u;
	char says[240];

	(void)state;
	need();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(unit_prepare(bus, cases[i].name, &u, says, sizeof(says)), 1);
		if (!strstr(says, cases[i].why))
			fail_msg("%s: %s", cases[i].name, says);
	}
}

/* It ends again at once: asked for, and not through. */
static void test_unit_does_not_come_up(void **state)
{
	struct unit_state u;
	char says[240];

	(void)state;
	need();
	assert_int_equal(wait_for("bad.service", "failed"), 0);
	assert_int_equal(unit_prepare(bus, "bad.service", &u, says, sizeof(says)), 0);
	assert_int_equal(unit_restart(bus, &u, NSEC_PER_SEC, NULL, says, sizeof(says)), -ETIMEDOUT);
	assert_non_null(strstr(says, "it is failed"));
}

static void test_unit_cancelled(void **state)
{
	const atomic_bool cancel = true;
	struct unit_state u;
	char says[240];

	(void)state;
	need();
	assert_int_equal(unit_prepare(bus, "toy.service", &u, says, sizeof(says)), 0);
	assert_int_equal(unit_restart(bus, &u, UNIT_WAIT_NS, &cancel, says, sizeof(says)),
			 -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unit_restart),
		cmocka_unit_test(test_unit_refused),
		cmocka_unit_test(test_unit_does_not_come_up),
		cmocka_unit_test(test_unit_cancelled),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
