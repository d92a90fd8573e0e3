// SPDX-License-Identifier: GPL-2.0-or-later
/* Restart with real processes: a listener and a small supervisor that starts it again. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "remediate/restart.h"

#define READ_BOUND_MS 10000

/* A supervisor that starts a listener up to `lives` times and writes each one's pid into a pipe. */
struct rig {
	pid_t supervisor;
	int pids;
	uint16_t port;
};

static int listen_on(uint16_t port, uint16_t *ret)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 8) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return -1;
	*ret = ntohs(a.sin_port);
	return fd;
}

static void serve(uint16_t port, int out)
{
	struct {
		pid_t pid;
		uint16_t port;
	} said = { getpid(), 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (listen_on(port, &said.port) < 0 || write(out, &said, sizeof(said)) != sizeof(said))
		_exit(1);
	for (;;)
		pause();
}

static pid_t next_pid(struct rig *r)
{
	struct {
		pid_t pid;
		uint16_t port;
	} said;
	struct pollfd p = { .fd = r->pids, .events = POLLIN };

	assert_int_equal(poll(&p, 1, READ_BOUND_MS), 1);
	assert_int_equal(read(r->pids, &said, sizeof(said)), sizeof(said));
	r->port = said.port;
	return said.pid;
}

static void rig_start(struct rig *r, int lives)
{
	int out[2];

	assert_int_equal(pipe(out), 0);
	r->supervisor = fork();
	assert_true(r->supervisor >= 0);
	if (r->supervisor == 0) {
		uint16_t port = 0;
		int fd = listen_on(
			0, &port); /* a port that is free; given back before the first life */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fd);
		while (lives-- > 0) {
			pid_t child = fork();
			if (child == 0)
				serve(port, out[1]);
			waitpid(child, NULL, 0);
		}
		for (;;)
			pause();
	}
	close(out[1]);
	r->pids = out[0];
}

static void rig_stop(struct rig *r)
{
	kill(r->supervisor, SIGKILL);
	waitpid(r->supervisor, NULL, 0);
	close(r->pids);
}

static uint64_t start_ticks(pid_t pid)
{
	char path[64], text[1024];
	unsigned long long ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	CLEANUP(fclosep) FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	char *p = strrchr(text, ')');
	assert_int_equal(
		sscanf(p + 1,
		       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		       &ticks),
		1);
	return ticks;
}

static struct service_facts facts(pid_t pid, uint16_t port)
{
	return (struct service_facts){ .service = 2,
				       .name = "db",
				       .supervised = true,
				       .replicas = 1,
				       .nr_pids = 1,
				       .main_pid = pid,
				       .main_start_ticks = start_ticks(pid),
				       .nr_ports = 1,
				       .ports = { port } };
}

static void test_restart_kills_a_stopped_process_and_waits(void **state)
{
	struct rig r;
	char says[240];

	(void)state;
	rig_start(&r, 2);
	pid_t first = next_pid(&r);
	assert_int_equal(kill(first, SIGSTOP), 0);
	struct service_facts f = facts(first, r.port);
	uint64_t begin = clock_mono_ns();
	assert_int_equal(restart_process(&f, RESTART_WAIT_NS, NULL, says, sizeof(says)), 0);
	assert_true(clock_mono_ns() - begin < 10 * NSEC_PER_SEC);
	assert_non_null(strstr(says, "a new one listens on port"));
	pid_t second = next_pid(&r);
	assert_int_not_equal(first, second);
	assert_int_equal(facts_process_state(first, f.main_start_ticks), 0);
	assert_int_not_equal(facts_process_state(second, 0), 0);
	rig_stop(&r);
}

static void test_restart_says_when_nobody_comes_back(void **state)
{
	struct rig r;
	char says[240];

	(void)state;
	rig_start(&r, 1);
	struct service_facts f = facts(next_pid(&r), 0);
	f.ports[0] = r.port;
	uint64_t begin = clock_mono_ns();
	assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)), -ETIMEDOUT);
	assert_true(clock_mono_ns() - begin >= NSEC_PER_SEC);
	assert_true(clock_mono_ns() - begin < 5 * NSEC_PER_SEC);
	assert_non_null(strstr(says, "nobody listens on port"));
	rig_stop(&r);
}

static void test_restart_never_hits_another_process(void **state)
{
	struct rig r;
	char says[240];

	(void)state;
	rig_start(&r, 1);
	pid_t pid = next_pid(&r);
	struct service_facts f = facts(pid, r.port);
	f.main_start_ticks++; /* the number was used anew */
	assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)), -ESRCH);
	assert_non_null(strstr(says, "not db's any more"));
	assert_int_not_equal(facts_process_state(pid, 0), 0);
	rig_stop(&r);

	pid_t gone = fork();
	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	f.main_pid = gone;
	assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)), -ESRCH);
}

static void test_restart_refuses_what_is_no_target(void **state)
{
	char says[240] = "";
	struct service_facts f = {
		.name = "db", .nr_ports = 1, .ports = { 8002 }, .main_start_ticks = 1
	};

	(void)state;
	static const pid_t never[] = { 0, 1, -1 };
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		f.main_pid = never[i];
		assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)),
				 -EINVAL);
	}
	f.main_pid = getpid();
	assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)), -EINVAL);
	f.main_pid = getppid();
	f.main_start_ticks = 0; /* cannot tell whose number it is */
	assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)), -EINVAL);
	f.main_start_ticks = 1;
	f.nr_ports = 0;
	assert_int_equal(restart_process(&f, NSEC_PER_SEC, NULL, says, sizeof(says)), -EINVAL);
	assert_true(says[0]);
}

static void test_restart_can_be_cancelled(void **state)
{
	struct rig r;
	char says[240];
	atomic_bool cancel = true;

	(void)state;
	rig_start(&r, 1);
	struct service_facts f = facts(next_pid(&r), 0);
	f.ports[0] = r.port;
	uint64_t begin = clock_mono_ns();
	assert_int_equal(restart_process(&f, RESTART_WAIT_NS, &cancel, says, sizeof(says)),
			 -ECANCELED);
	assert_true(clock_mono_ns() - begin < 5 * NSEC_PER_SEC);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restart_kills_a_stopped_process_and_waits),
		cmocka_unit_test(test_restart_says_when_nobody_comes_back),
		cmocka_unit_test(test_restart_never_hits_another_process),
		cmocka_unit_test(test_restart_refuses_what_is_no_target),
		cmocka_unit_test(test_restart_can_be_cancelled),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
