// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault/burner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault/undo.h"
#include "kernel/cgroup.h"

static bool is_armed(const struct fault_ctl *c)
{
	uint64_t now = clock_boot_ns();

	return now < __atomic_load_n(&c->lease_end_ns, __ATOMIC_RELAXED) &&
		now < __atomic_load_n(&c->deadline_ns, __ATOMIC_RELAXED);
}

static bool pipe_broken(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static _Noreturn void burn(int pipe_fd, const struct fault_ctl *ctl, uint64_t work_ns)
{
	while (is_armed(ctl) && !pipe_broken(pipe_fd)) {
		uint64_t until = clock_mono_ns() + work_ns;

		while (clock_mono_ns() < until)
			;
		struct timespec rest = { .tv_nsec = (long)(BURNER_PERIOD_NS - work_ns) };
		nanosleep(&rest, NULL);
	}
	_exit(0);
}

static _Noreturn void child(int pipe_fd, int procs_fd, const struct fault_ctl *ctl, double percent)
{
	struct sched_param idle = { .sched_priority = 0 };
	sigset_t all;
	char go;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, UNDO_BURNER_NAME);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);

	/* Keep the two: close below, between and above them. */
	unsigned int low = (unsigned int)MIN(pipe_fd, procs_fd),
		     high = (unsigned int)MAX(pipe_fd, procs_fd);
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);

	if (read(pipe_fd, &go, 1) != 1)
		_exit(0);
	if (write(procs_fd, "0", 1) != 1 || sched_setscheduler(0, SCHED_IDLE, &idle) < 0)
		_exit(1);
	close(procs_fd);
	burn(pipe_fd, ctl, (uint64_t)(percent / 100 * BURNER_PERIOD_NS));
}

int burner_prepare(const char *cgroup, const struct fault_ctl *ctl, double percent,
		   struct burner *ret)
{
	int p[2];

	CLEANUP(closep) int dir = cgroup_open_path(cgroup);
	if (dir < 0)
		return dir;
	CLEANUP(closep) int procs = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (procs < 0)
		return -errno;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;

	pid_t pid = fork();
	if (pid == 0)
		child(p[0], procs, ctl, percent);
	int err = pid < 0 ? -errno : 0;
	close(p[0]);
	if (err) {
		close(p[1]);
		return err;
	}
	*ret = (struct burner){ .pid = pid, .pipe_fd = p[1], .start_ticks = undo_start_ticks(pid) };
	return 0;
}

int burner_go(struct burner *b)
{
	return write(b->pipe_fd, "g", 1) == 1 ? 0 : -EPIPE;
}

void burner_stop(struct burner *b)
{
	if (b->pid <= 0)
		return;
	close(b->pipe_fd);
	/* Our own child and not reaped: the pid cannot be anybody else's. */
	kill(b->pid, SIGKILL);
	while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*b = (struct burner){ .pid = 0, .pipe_fd = -1 };
}
