// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The three dead man's switches: a daemon that is killed, and one that is
 * stopped and goes on, with each kind of fault armed; and what the next start
 * says. The daemon is a process of the test's own with the real module in it.
 * Real time: leases are what is tested.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault/journal.h"
#include "fault/undo.h"
#include "fault_rig.h"
#include "guardian.h"
#include "kernel/netfilter.h"
#include "kernel/probe.h"

#define LEASE_MS 2000
#define SLACK_MS 700

#define TIMEOUT "{\"type\":\"timeout\",\"params\":{\"delay_ms\":400},\"duration_s\":60}"
#define LONG_TIMEOUT "{\"type\":\"timeout\",\"params\":{\"delay_ms\":30000},\"duration_s\":60}"

static const struct kind {
	const char *name, *body;
	bool hurts;        /* a request shows it */
	const char *avoid; /* back ends not to take */
} kinds[] = {
	{ "timeout", TIMEOUT, true, "fq" },
	{ "timeout", TIMEOUT, true, "nfqueue" },
	{ "error", "{\"type\":\"error\",\"duration_s\":60}", true, "" },
	{ "error", "{\"type\":\"error\",\"duration_s\":60}", true, "tcx" },
	{ "bad_data", "{\"type\":\"bad_data\",\"duration_s\":60}", true, "" },
	{ "loss", "{\"type\":\"loss\",\"params\":{\"percent\":100},\"duration_s\":60}", true, "" },
	{ "cpu", "{\"type\":\"cpu\",\"params\":{\"percent\":50},\"duration_s\":60}", false, "" },
	{ "crash", "{\"type\":\"crash\",\"probability\":0.9999,\"duration_s\":60}", false, "" },
};

static int setup(void **state)
{
	fault_rig_set_up(state, "test_fault_deadman", AF_INET6);
	return 0;
}

/* Some tests are about the netfilter rule. */
static bool have_nfqueue(void)
{
	return !probe_why(probe_cached(), "nfqueue");
}

/* A time-out is tried by each back end that this kernel has; one of the two it must have. */
static bool is_here(const struct kind *k)
{
	const char *needs = !strcmp(k->avoid, "fq") ? "nfqueue" :
		!strcmp(k->avoid, "nfqueue")        ? "fq" :
						      NULL;
	const char *why = needs ? probe_why(probe_cached(), needs) : NULL;

	if (!why)
		return true;
	assert_null(probe_why(probe_cached(), k->avoid));
	print_message("not by %s: %s\n", needs, why);
	return false;
}

static struct fault_rig *need_nfqueue(void **state)
{
	struct fault_rig *r = fault_rig_need(state);

	if (!have_nfqueue()) {
		print_message("SKIP test_fault_deadman: %s\n",
			      probe_why(probe_cached(), "nfqueue"));
		skip();
	}
	return r;
}

struct daemon {
	pid_t pid;
	int say_fd; /* its words: "armed", then how the fault ended */
	pid_t guardian;
};

static _Noreturn void daemon_main(struct fault_rig *r, const char *body, int say_fd)
{
	struct fault f;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fault_rig_faults(r);
	/* No assertion here: it would jump into the parent's tests. */
	if (fault_rig_try(r, body, &f) < 0)
		_exit(1);
	dprintf(say_fd, "armed %s\n", f.id);
	while (f.state == FAULT_ARMED) {
		fault_rig_sleep_ms(50);
		f = fault_rig_look(r, f.id);
	}
	dprintf(say_fd, "%s %s\n", fault_state_name(f.state), f.says);
	for (;;)
		pause();
}

static void hear(struct daemon *d, char *line, size_t len)
{
	ssize_t n = read(d->say_fd, line, len - 1);

	assert_true(n > 0);
	line[n] = '\0';
}

/* The child of @parent that has this name; 0: none. */
static pid_t find_child(pid_t parent, const char *name)
{
	pid_t found = 0;
	DIR *proc = opendir("/proc");

	for (struct dirent *d; proc && (d = readdir(proc));) {
		char path[300], text[512] = "", comm[32] = "";
		int pid, ppid;

		snprintf(path, sizeof(path), "/proc/%.200s/stat", d->d_name);
		CLEANUP(fclosep) FILE *f = fopen(path, "re");
		if (f && fgets(text, sizeof(text), f) &&
		    sscanf(text, "%d (%31[^)]) %*c %d", &pid, comm, &ppid) == 3 && ppid == parent &&
		    !strcmp(comm, name))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

static struct daemon start_daemon(struct fault_rig *r, const char *body, const char *avoid)
{
	struct daemon d;
	char line[512];
	int p[2];

	r->avoid = avoid;
	assert_int_equal(pipe(p), 0);
	d.pid = fork();
	assert_true(d.pid >= 0);
	if (d.pid == 0) {
		close(p[0]);
		daemon_main(r, body, p[1]);
	}
	close(p[1]);
	d.say_fd = p[0];
	hear(&d, line, sizeof(line));
	assert_memory_equal(line, "armed ", 6);
	d.guardian = find_child(d.pid, GUARDIAN_NAME);
	assert_true(d.guardian > 0);
	return d;
}

static void end_daemon(struct daemon *d, int sig)
{
	kill(d->pid, sig);
	waitpid(d->pid, NULL, 0);
	close(d->say_fd);
}

static bool is_hurt(const struct kind *k, int status, const struct fault_answer *a)
{
	if (!strcmp(k->name, "timeout"))
		return a->ns >= 400 * NSEC_PER_MSEC;
	if (!strcmp(k->name, "bad_data"))
		return status != 200 || strstr(a->body, "null");
	return status != 200;
}

static bool is_gone(pid_t pid)
{
	for (int i = 0; i < 100; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d", pid);
		if (access(path, F_OK) < 0)
			return true;
		fault_rig_sleep_ms(50);
	}
	return false;
}

/* The guardian looks four times a second, and needs a moment for the tools that it calls. */
static bool is_undone(void)
{
	for (int i = 0; i < 50; i++) {
		if (netfilter_count(NULL) == 0 && !fault_rig_fq_of_ours())
			return true;
		fault_rig_sleep_ms(100);
	}
	return false;
}

/* On a fresh connection and, where there is one, on a connection that is older than all of it. */
static void assert_unhurt(struct fault_rig *r, const struct kind *k, int old_fd)
{
	struct fault_answer a;
	int status = fault_rig_once(r->port, "/json", 3000, &a);

	assert_int_equal(status, 200);
	assert_false(is_hurt(k, status, &a));
	if (old_fd >= 0) {
		status = fault_rig_get(old_fd, "/json", 3000, &a);
		assert_int_equal(status, 200);
		assert_false(is_hurt(k, status, &a));
	}
	assert_int_equal(waitpid(r->server, NULL, WNOHANG), 0);
}

static void test_fault_ends_with_a_killed_daemon(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (!is_here(k))
			continue;
		int old_fd = fault_rig_connect(r->port, false);
		print_message("kill -9 with %s armed%s%s\n", k->name,
			      k->avoid[0] ? ", not by " : "", k->avoid);
		assert_int_equal(fault_rig_get(old_fd, "/json", 2000, &a), 200);
		struct daemon d = start_daemon(r, k->body, k->avoid);
		if (k->hurts) {
			int status = fault_rig_once(r->port, "/json", 600, &a);
			assert_true(is_hurt(k, status, &a));
		}
		end_daemon(&d, SIGKILL);
		fault_rig_sleep_ms(LEASE_MS);
		assert_unhurt(r, k, old_fd);
		assert_true(is_gone(d.guardian));
		assert_true(fault_rig_nothing_left(r));
		close(old_fd);
	}
}

static void test_fault_ends_with_a_stopped_daemon_and_never_revives(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	char line[512];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		if (!is_here(k))
			continue;
		int old_fd = fault_rig_connect(r->port, false);
		print_message("SIGSTOP with %s armed%s%s\n", k->name,
			      k->avoid[0] ? ", not by " : "", k->avoid);
		assert_int_equal(fault_rig_get(old_fd, "/json", 2000, &a), 200);
		struct daemon d = start_daemon(r, k->body, k->avoid);
		kill(d.pid, SIGSTOP);
		fault_rig_sleep_ms(LEASE_MS);
		assert_unhurt(r, k, old_fd);
		assert_true(is_undone());

		kill(d.pid, SIGCONT);
		hear(&d, line, sizeof(line));
		assert_memory_equal(line, "failed ", 7);
		assert_non_null(strstr(line, "lease was lost"));
		assert_unhurt(r, k, old_fd);
		assert_true(fault_rig_nothing_left(r));
		end_daemon(&d, SIGKILL);
		assert_true(is_gone(d.guardian));
		assert_true(fault_rig_nothing_left(r));
		close(old_fd);
	}
}

/* How long the answer took that was held when the daemon got @sig. */
static uint64_t held_when(struct fault_rig *r, const char *avoid, int sig)
{
	struct fault_answer a;
	struct daemon d = start_daemon(r, LONG_TIMEOUT, avoid);
	int fd = fault_rig_connect(r->port, false);
	char left[65536];
	size_t nr_left = 0;

	assert_true(write(fd, "GET / HTTP/1.1\r\n\r\n", 18) == 18);
	fault_rig_sleep_ms(100);
	uint64_t start = clock_mono_ns();
	kill(d.pid, sig);
	assert_int_equal(fault_rig_hear(fd, 15000, left, &nr_left, &a), 200);
	uint64_t took = clock_mono_ns() - start;
	print_message("held by %s, daemon %s: left after %.0f ms\n",
		      !strcmp(avoid, "fq") ? "nfqueue" : "fq",
		      sig == SIGKILL ? "killed" : "stopped", (double)took / 1e6);
	close(fd);
	end_daemon(&d, SIGKILL);
	assert_true(is_gone(d.guardian));
	assert_true(fault_rig_nothing_left(r));
	return took;
}

/* What is held when the daemon stops must not wait for it: the holder is a process of its own. */
static void test_fault_held_packets_leave_when_the_daemon_stops(void **state)
{
	struct fault_rig *r = need_nfqueue(state);

	assert_true(held_when(r, "fq", SIGSTOP) < (LEASE_MS + SLACK_MS) * NSEC_PER_MSEC);
	assert_true(held_when(r, "fq", SIGKILL) < SLACK_MS * NSEC_PER_MSEC);
	/* With our fq go the packets in it: TCP sends them again, in its own time. */
	if (is_here(&kinds[1])) {
		assert_true(held_when(r, "nfqueue", SIGSTOP) < (LEASE_MS + 4000) * NSEC_PER_MSEC);
		assert_true(held_when(r, "nfqueue", SIGKILL) < 4000 * NSEC_PER_MSEC);
	}
}

static void spoil_journal(const struct fault_rig *r, int how)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/" JOURNAL_FILE, r->run_dir);
	if (how == 1)
		assert_int_equal(truncate(path, 40), 0);
	if (how == 2)
		assert_int_equal(unlink(path), 0);
}

/* Daemon and guardian killed together: the next start finds what is left, and says so. */
static void test_fault_next_start_undoes_and_says_what_it_found(void **state)
{
	struct fault_rig *r = need_nfqueue(state);

	for (int how = 0; how < 3; how++) {
		struct daemon d = start_daemon(r, kinds[0].body, "fq");
		char says[1024];

		kill(d.guardian, SIGKILL);
		end_daemon(&d, SIGKILL);
		assert_true(netfilter_count(NULL) > 0);
		spoil_journal(r, how);
		assert_true(faults_recover(r->run_dir, says, sizeof(says)) > 0);
		print_message("%s\n", says);
		assert_non_null(strstr(says, "netfilter rules"));
		assert_unhurt(r, &kinds[0], -1);
		assert_true(fault_rig_nothing_left(r));
		assert_int_equal(faults_recover(r->run_dir, says, sizeof(says)), 0);
		assert_string_equal(says, "");
	}
}

static void test_fault_guardian_is_started_again(void **state)
{
	struct fault_rig *r = need_nfqueue(state);
	struct faults_stats stats;

	r->avoid = "fq";
	fault_rig_faults(r);
	struct fault f = fault_rig_arm(r, kinds[0].body);
	pid_t guardian = find_child(getpid(), GUARDIAN_NAME);
	assert_true(guardian > 0);
	kill(guardian, SIGKILL);
	fault_rig_sleep_ms(100);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_ARMED);
	faults_stats(r->faults, &stats);
	assert_int_equal(stats.guardian_restarts_total, 1);

	/* And a holder that dies fails its fault, with nothing left. */
	pid_t holder = find_child(getpid(), UNDO_VERDICT_NAME);
	assert_true(holder > 0);
	kill(holder, SIGKILL);
	fault_rig_sleep_ms(100);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_FAILED);
	assert_non_null(strstr(f.says, "held the packets"));
	assert_unhurt(r, &kinds[0], -1);
	assert_true(fault_rig_nothing_left(r));

	/* So does one that somebody stopped. */
	f = fault_rig_arm(r, kinds[0].body);
	holder = find_child(getpid(), UNDO_VERDICT_NAME);
	kill(holder, SIGSTOP);
	fault_rig_sleep_ms(LEASE_MS + SLACK_MS);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_FAILED);
	assert_unhurt(r, &kinds[0], -1);
	faults_free(r->faults);
	r->faults = NULL;
	assert_true(fault_rig_nothing_left(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_ends_with_a_killed_daemon),
		cmocka_unit_test(test_fault_ends_with_a_stopped_daemon_and_never_revives),
		cmocka_unit_test(test_fault_held_packets_leave_when_the_daemon_stops),
		cmocka_unit_test(test_fault_next_start_undoes_and_says_what_it_found),
		cmocka_unit_test(test_fault_guardian_is_started_again),
	};

	return cmocka_run_group_tests(tests, setup, fault_rig_tear_down);
}
