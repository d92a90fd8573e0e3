// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/supervise/child.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/util.h"
#include "tools/supervise/cgroup.h"
#include "tools/supervise/logfile.h"

#define SUPERVISE_PATH (PATH_MAX + CHILD_NAME_MAX + 16)

bool child_name_valid(const char *name)
{
	if (!isalnum((unsigned char)*name) || strlen(name) >= CHILD_NAME_MAX)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("._-", *name))
			return false;
	return true;
}

uint64_t child_backoff_ns(uint64_t last_ns, uint64_t up_ns)
{
	if (!last_ns || up_ns >= BACKOFF_RESET_NS)
		return BACKOFF_MIN_NS;
	return MIN(last_ns * 2, BACKOFF_MAX_NS);
}

static void path_of(const struct child *c, const char *suffix, char ret[static SUPERVISE_PATH])
{
	snprintf(ret, SUPERVISE_PATH, "%.4000s/%s%s", c->run_dir, c->name, suffix);
}

int child_prepare(const struct child *c)
{
	return *c->cgroup ? cgroup_make(c->cgroup) : 0;
}

/* Readers see the old file or the new one, never half of one. */
static int write_pid(const struct child *c)
{
	char path[SUPERVISE_PATH], fresh[SUPERVISE_PATH];

	path_of(c, ".pid", path);
	path_of(c, ".pid.new", fresh);
	FILE *f = fopen(fresh, "we");
	if (!f)
		return -errno;
	int n = fprintf(f, "%d\n", c->pid);
	if (fclose(f) || n < 0 || rename(fresh, path))
		return -errno;
	return 0;
}

static void say_and_leave(const char *what, const char *which)
{
	dprintf(STDERR_FILENO, "archaic-supervise: %s %s: %s\n", what, which, strerror(errno));
	_exit(127);
}

/* In the child; async-signal-safe is not needed, since the supervisor has one thread. */
static void become(const struct child *c, pid_t supervisor, int log_fd, int procs_fd)
{
	sigset_t none;

	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	/* Its own group: Ctrl-C reaches the supervisor alone, which then stops everybody in order. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(127);
	/* Before the first socket: a socket keeps the cgroup that it was made in. */
	if (procs_fd >= 0 && write(procs_fd, "0", 1) != 1)
		say_and_leave("cannot enter the cgroup", c->cgroup);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(c->argv[0], c->argv);
	say_and_leave("cannot start", c->argv[0]);
}

int child_start(struct child *c, uint64_t now_ns)
{
	char path[SUPERVISE_PATH];
	pid_t supervisor = getpid();

	path_of(c, ".log", path);
	CLEANUP(closep) int log_fd =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log_fd < 0)
		return -errno;
	CLEANUP(closep) int procs_fd = *c->cgroup ? cgroup_open_procs(c->cgroup) : -1;
	if (*c->cgroup && procs_fd < 0)
		return procs_fd;

	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		become(c, supervisor, log_fd, procs_fd);
	c->pid = pid;
	c->started_ns = now_ns;
	c->restart_at_ns = 0;
	return write_pid(c);
}

void child_died(struct child *c, uint64_t now_ns)
{
	char path[SUPERVISE_PATH];

	path_of(c, ".pid", path);
	unlink(path);
	c->pid = 0;
	c->backoff_ns = child_backoff_ns(c->backoff_ns, now_ns - c->started_ns);
	c->restart_at_ns = now_ns + c->backoff_ns;
	c->restarts++;
	/* A child of its own could still hold the port. */
	if (*c->cgroup)
		cgroup_kill(c->cgroup);
}

int child_remove(const struct child *c)
{
	char path[SUPERVISE_PATH];

	path_of(c, ".pid", path);
	unlink(path);
	return *c->cgroup ? cgroup_remove(c->cgroup) : 0;
}

void child_cut_log(const struct child *c)
{
	char path[SUPERVISE_PATH];

	path_of(c, ".log", path);
	logfile_cut(path);
}
