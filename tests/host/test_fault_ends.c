// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fault ends by itself, on time, with nobody ticking: what was answered before
 * its end is hurt, what is asked after it is not, to the nanosecond. And what
 * the daemon forgets to take down, the guardian takes down.
 * Real time: deadlines are what is tested. No bound on the machine's speed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault_rig.h"
#include "guardian.h"
#include "kernel/netfilter.h"
#include "kernel/qdisc.h"
#include "kernel/tc.h"

#define AFTER 20 /* requests after the end */

static const struct kind {
	const char *name, *body;
	const char *avoid; /* back ends not to take */
	int delay_ms;      /* what makes an answer late; 0: lateness is no hurt */
	int patience_ms;   /* as long is an answer waited for while it is armed */
} kinds[] = {
	{ "timeout", "{\"type\":\"timeout\",\"params\":{\"delay_ms\":700},\"duration_s\":4}", "",
	  700, 10000 },
	{ "error", "{\"type\":\"error\",\"duration_s\":2}", "", 0, 10000 },
	{ "error", "{\"type\":\"error\",\"duration_s\":2}", "tcx", 0, 10000 },
	{ "bad_data", "{\"type\":\"bad_data\",\"duration_s\":2}", "", 0, 10000 },
	{ "loss", "{\"type\":\"loss\",\"params\":{\"percent\":100},\"duration_s\":2}", "", 0, 100 },
};

static int setup(void **state)
{
	fault_rig_set_up(state, "test_fault_ends", AF_INET);
	return 0;
}

static void restart_faults(struct fault_rig *r, const char *avoid)
{
	faults_free(r->faults);
	r->faults = NULL;
	r->avoid = avoid;
	fault_rig_faults(r);
}

static bool is_hurt(const struct kind *k, int status, const struct fault_answer *a)
{
	if (k->delay_ms)
		return status == 200 && a->ns >= (uint64_t)k->delay_ms * NSEC_PER_MSEC;
	return status != 200 || strstr(a->body, "null");
}

static void end_on_time(struct fault_rig *r, const struct kind *k)
{
	struct fault_answer a;
	size_t hurt = 0, after = 0;
	int old_fd = fault_rig_connect(r->port, false);

	assert_int_equal(fault_rig_get(old_fd, "/json", 5000, &a), 200);
	restart_faults(r, k->avoid);
	struct fault f = fault_rig_arm(r, k->body);
	while (after < AFTER) {
		uint64_t from = clock_boot_ns();
		int patience = from < f.ends_ns ? k->patience_ms : 10000;
		int status = fault_rig_once(r->port, "/json", patience, &a);
		uint64_t to = clock_boot_ns();

		/* Whoever was under way at the end may be either. */
		if (to < f.ends_ns && !is_hurt(k, status, &a))
			fail_msg("unhurt %.3f ms before the end", (double)(f.ends_ns - to) / 1e6);
		if (from >= f.ends_ns && is_hurt(k, status, &a))
			fail_msg("hurt %.3f ms after the end: %d after %.0f ms",
				 (double)(from - f.ends_ns) / 1e6, status, (double)a.ns / 1e6);
		hurt += to < f.ends_ns;
		after += from >= f.ends_ns;
	}
	assert_true(hurt > 0);
	assert_false(is_hurt(k, fault_rig_get(old_fd, "/json", 10000, &a), &a));
	f = fault_rig_look(r, f.id);
	print_message("%s, by %s: %zu hurt before its end, none of %zu after\n", k->name, f.backend,
		      hurt, after);
	assert_int_equal(f.state, FAULT_EXPIRED);
	assert_true(fault_rig_nothing_left(r));
	close(old_fd);
}

static void test_fault_ends_on_time(void **state)
{
	struct fault_rig *r = fault_rig_need(state);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		end_on_time(r, &kinds[i]);
}

/* Before its end every request kills; after it none does. */
static void test_fault_crash_ends_on_time(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	size_t kills = 0;

	restart_faults(r, "");
	struct fault f =
		fault_rig_arm(r, "{\"type\":\"crash\",\"probability\":0.9999999,\"duration_s\":3}");
	while (clock_boot_ns() < f.ends_ns) {
		fault_rig_once(r->port, "/json", 2000, &a);
		/* Dead within a moment, or it was asked too late. */
		while (clock_boot_ns() < f.ends_ns &&
		       waitpid(r->server, NULL, WNOHANG) != r->server)
			fault_rig_sleep_ms(1);
		kills += kill(r->server, 0) < 0;
		fault_rig_restart(r);
	}
	/* An event of the last moment may still be on its way to the thread that kills, which looks at the end too. */
	pid_t server = r->server;
	for (int i = 0; i < AFTER; i++)
		assert_int_equal(fault_rig_once(r->port, "/json", 10000, &a), 200);
	fault_rig_sleep_ms(200);
	assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
	f = fault_rig_look(r, f.id);
	print_message("crash: %zu kills before its end\n", kills);
	assert_int_equal(f.state, FAULT_EXPIRED);
	assert_true(kills > 0 && f.touched_requests >= kills);
}

/* Anything of ours in the namespace: rules, fq, filters. */
static bool something_stands(void)
{
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);

	for (int i = 0; i < n; i++) {
		struct qdisc_info info;

		if (qdisc_look(dev[i].ifindex, &info) == 0 &&
		    (info.clsact || info.root == QDISC_ROOT_OURS))
			return true;
	}
	return netfilter_count(NULL) > 0;
}

/* A daemon that lives, and beats, and never looks: what it made goes GUARDIAN_GRACE_NS after the end. */
static void test_fault_guardian_undoes_what_the_daemon_forgot(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	static const size_t which[] = { 0, 2 }; /* the time-out's rule or queue; the filter */

	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		const struct kind *k = &kinds[which[i]];
		struct fault_answer a;
		bool stands = true;

		restart_faults(r, k->avoid);
		struct fault f = fault_rig_arm(r, k->body);
		assert_true(something_stands());
		while (stands && clock_boot_ns() < f.ends_ns + 10 * NSEC_PER_SEC) {
			fault_rig_sleep_ms(50);
			stands = something_stands();
		}
		uint64_t gone = clock_boot_ns();
		assert_false(stands);
		print_message("%s, by %s: undone %.1f s after its end\n", k->name, f.backend,
			      ((double)gone - (double)f.ends_ns) / 1e9);
		assert_true(gone > f.ends_ns + GUARDIAN_GRACE_NS);
		assert_int_equal(fault_rig_once(r->port, "/json", 2000, &a), 200);
		f = fault_rig_look(r, f.id);
		assert_int_equal(f.state, FAULT_EXPIRED);
		assert_true(fault_rig_nothing_left(r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_ends_on_time),
		cmocka_unit_test(test_fault_crash_ends_on_time),
		cmocka_unit_test(test_fault_guardian_undoes_what_the_daemon_forgot),
	};

	return cmocka_run_group_tests(tests, setup, fault_rig_tear_down);
}
