// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPU pressure: what it takes of the service, that it takes nothing of a
 * neighbour in the same cgroup, in which share of the time, and that it ends.
 *
 * Work is counted per second of a process's own CPU time, and the service's is
 * held against the neighbour's in the same moments: a busy or emulated machine
 * slows both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault/undo.h"
#include "fault_rig.h"
#include "kernel/cgroup.h"

#define TICKS 2000 /* a share is judged over as many */

struct worker {
	pid_t pid;
	volatile uint64_t *work;
};

static struct fault_rig rig;
static struct worker victim, neighbour;
static bool available;

static struct worker start_worker(void)
{
	char path[300];
	struct worker w = { .work = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0) };

	assert_ptr_not_equal(w.work, MAP_FAILED);
	w.pid = fork();
	assert_true(w.pid >= 0);
	if (w.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(path, sizeof(path), "%s/cgroup.procs", rig.cgroup_dir);
		FILE *f = fopen(path, "we");
		if (!f || fputs("0", f) < 0 || fclose(f))
			_exit(1);
		for (;;)
			++*w.work;
	}
	return w;
}

static void stop_worker(struct worker *w)
{
	assert_int_equal(waitpid(w->pid, NULL, WNOHANG), 0);
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	munmap((void *)w->work, 4096);
}

static int setup(void **state)
{
	(void)state;
	available = fault_rig_available("test_fault_cpu");
	if (!available)
		return 0;
	fault_rig_start(&rig, AF_INET);
	fault_rig_faults(&rig);
	victim = start_worker();
	neighbour = start_worker();
	rig.service.pids[0] = victim.pid;
	rig.service.main_start_ticks = undo_start_ticks(victim.pid);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!available)
		return 0;
	stop_worker(&victim);
	stop_worker(&neighbour);
	fault_rig_stop(&rig);
	return 0;
}

static void need_rig(void)
{
	if (!available)
		skip();
}

static double cpu_s(pid_t pid)
{
	clockid_t clock;
	struct timespec t;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct mark {
	double cpu[2];
	uint64_t work[2];
};

static struct mark mark(void)
{
	return (struct mark){ .cpu = { cpu_s(victim.pid), cpu_s(neighbour.pid) },
			      .work = { *victim.work, *neighbour.work } };
}

/* Until both have used @s of CPU, however long that takes: the victim's work a second, as a share of the neighbour's. */
static double victims_share(double s)
{
	struct mark from = mark(), to;

	do {
		fault_rig_sleep_ms(20);
		to = mark();
	} while (to.cpu[0] - from.cpu[0] < s || to.cpu[1] - from.cpu[1] < s);
	double rate[2];
	for (int i = 0; i < 2; i++)
		rate[i] = (double)(to.work[i] - from.work[i]) / (to.cpu[i] - from.cpu[i]);
	return rate[0] / rate[1];
}

static bool burner_in(const char *cgroup)
{
	pid_t pids[64];
	ssize_t n = cgroup_procs(cgroup, pids, ARRAY_SIZE(pids));

	for (ssize_t i = 0; i < MIN(n, (ssize_t)ARRAY_SIZE(pids)); i++) {
		char path[64], comm[32] = "";

		snprintf(path, sizeof(path), "/proc/%d/comm", pids[i]);
		CLEANUP(fclosep) FILE *f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f) && !strncmp(comm, UNDO_BURNER_NAME, 14))
			return true;
	}
	return false;
}

static void test_fault_cpu_takes_its_share_and_no_neighbours(void **state)
{
	(void)state;
	need_rig();
	double whole = victims_share(.3);

	struct fault f = fault_rig_arm(
		&rig, "{\"type\":\"cpu\",\"params\":{\"percent\":80},\"duration_s\":600}");
	fault_rig_sleep_ms(50);
	double left = victims_share(.5) / whole;
	assert_true(burner_in(rig.service.cgroup));
	print_message("cpu 80 %%: %.0f %% of the neighbour's work is left\n", left * 100);
	/* No lower bound: under software emulation a tick costs more than it takes. */
	assert_true(left < .4);
	faults_disarm(rig.faults, f.id, &f, NULL);
	/* Each tick, however few of them a busy machine has left. */
	assert_true(f.touched_packets > 0);
	assert_int_equal(f.touched_packets, f.seen_packets);
	assert_false(burner_in(rig.service.cgroup));
	double after = victims_share(.3) / whole;
	print_message("and after: %.0f %%\n", after * 100);
	assert_true(after > .7);
	assert_true(fault_rig_nothing_left(&rig));
}

/* Probability is the share of the time, drawn a tick. */
static void test_fault_cpu_draws_the_share(void **state)
{
	(void)state;
	need_rig();
	struct fault f = fault_rig_arm(
		&rig,
		"{\"type\":\"cpu\",\"probability\":0.3,\"params\":{\"percent\":20},\"duration_s\":600}");

	for (int i = 0; f.seen_packets < TICKS && i < 6000; i++) {
		fault_rig_sleep_ms(20);
		f = fault_rig_look(&rig, f.id);
	}
	assert_true(f.seen_packets >= TICKS);
	fault_rig_assert_share("cpu", f.touched_packets, f.seen_packets, .3);
	faults_disarm(rig.faults, f.id, NULL, NULL);
	assert_true(fault_rig_nothing_left(&rig));
}

/* With nobody ticking: it takes until its end, and nothing after; the burner goes by itself. */
static void test_fault_cpu_ends_on_time(void **state)
{
	(void)state;
	need_rig();
	uint64_t seen = 0;
	struct fault f = fault_rig_arm(
		&rig, "{\"type\":\"cpu\",\"params\":{\"percent\":50},\"duration_s\":2}");

	while (clock_boot_ns() < f.ends_ns) {
		struct fault now;

		fault_rig_sleep_ms(20);
		assert_int_equal(faults_find(rig.faults, f.id, &now), 0);
		seen = now.seen_packets;
	}
	assert_true(seen > 0);
	struct fault before, after;
	assert_int_equal(faults_find(rig.faults, f.id, &before), 0);
	victims_share(.2);
	assert_int_equal(faults_find(rig.faults, f.id, &after), 0);
	assert_int_equal(after.seen_packets, before.seen_packets);
	assert_int_equal(after.state, FAULT_ARMED); /* nobody has looked */
	f = fault_rig_look(&rig, f.id);
	assert_int_equal(f.state, FAULT_EXPIRED);
	assert_false(burner_in(rig.service.cgroup));
	assert_true(fault_rig_nothing_left(&rig));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_cpu_takes_its_share_and_no_neighbours),
		cmocka_unit_test(test_fault_cpu_draws_the_share),
		cmocka_unit_test(test_fault_cpu_ends_on_time),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
