// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

#define STEP_NS (50 * NSEC_PER_MSEC)
#define TCP_LISTEN 0x0a
#define LISTENERS_MAX 64 /* old sockets remembered; a service has a handful */

/* /proc/PID/net/tcp{,6}, opened before the kill: they stay bound to the process' network namespace. */
struct tables {
	FILE *file[2];
};

static void tables_close(struct tables *t)
{
	for (int i = 0; i < 2; i++)
		if (t->file[i])
			fclose(t->file[i]);
}

static void tables_open(struct tables *t, pid_t pid)
{
	static const char *const names[2] = { "tcp", "tcp6" };
	char path[64];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, names[i]);
		t->file[i] = fopen(path, "re");
	}
}

struct listeners {
	unsigned long inode[LISTENERS_MAX];
	size_t nr;
};

static bool listeners_have(const struct listeners *l, unsigned long inode)
{
	for (size_t i = 0; i < l->nr; i++)
		if (l->inode[i] == inode)
			return true;
	return false;
}

/* Sockets that listen on @port now. */
static void find_listeners(struct tables *t, uint16_t port, struct listeners *ret)
{
	char line[512];

	ret->nr = 0;
	for (int i = 0; i < 2; i++) {
		if (!t->file[i])
			continue;
		rewind(t->file[i]);
		while (fgets(line, sizeof(line), t->file[i])) {
			unsigned local, state;
			unsigned long inode;
			if (sscanf(line,
				   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
				   &local, &state, &inode) != 3)
				continue;
			if (state == TCP_LISTEN && local == port && ret->nr < LISTENERS_MAX)
				ret->inode[ret->nr++] = inode;
		}
	}
}

static int say(char *says, size_t size, int err, const char *fmt, ...) PRINTF_LIKE(4, 5);
static int say(char *says, size_t size, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(says, size, fmt, ap);
	va_end(ap);
	return err;
}

static bool cancelled(const atomic_bool *cancel)
{
	return cancel && atomic_load(cancel);
}

/* 0, -ETIMEDOUT or -ECANCELED. */
static int wait_exit(int pidfd, uint64_t deadline_ns, const atomic_bool *cancel)
{
	while (clock_mono_ns() < deadline_ns) {
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		if (poll(&p, 1, (int)(STEP_NS / NSEC_PER_MSEC)) == 1)
			return 0;
		if (cancelled(cancel))
			return -ECANCELED;
	}
	return -ETIMEDOUT;
}

static bool listens_anew(struct tables *t, uint16_t port, const struct listeners *old)
{
	struct listeners now;

	find_listeners(t, port, &now);
	for (size_t i = 0; i < now.nr; i++)
		if (!listeners_have(old, now.inode[i]))
			return true;
	return false;
}

static int wait_listeners(struct tables *t, const struct service_facts *f,
			  const struct listeners old[], uint64_t deadline_ns,
			  const atomic_bool *cancel, uint16_t *missing)
{
	const struct timespec step = { .tv_nsec = (long)STEP_NS };
	size_t done = 0;

	while (done < f->nr_ports) {
		*missing = f->ports[done];
		if (listens_anew(t, f->ports[done], &old[done])) {
			done++;
			continue;
		}
		if (cancelled(cancel))
			return -ECANCELED;
		if (clock_mono_ns() >= deadline_ns)
			return -ETIMEDOUT;
		nanosleep(&step, NULL);
	}
	return 0;
}

int restart_process(const struct service_facts *f, uint64_t wait_ns, const atomic_bool *cancel,
		    char *says, size_t size)
{
	CLEANUP(tables_close) struct tables t = { 0 };
	struct listeners old[SERVICE_PORTS_MAX];
	uint64_t start = clock_mono_ns();
	int pid = (int)f->main_pid;

	if (pid <= 1 || pid == getpid() || !f->nr_ports || f->nr_ports > SERVICE_PORTS_MAX ||
	    !f->main_start_ticks)
		return say(says, size, -EINVAL,
			   "%s has no process and port that could be restarted", f->name);
	CLEANUP(closep) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return say(says, size, -errno, "process %d of %s cannot be held: %s", pid, f->name,
			   strerror(errno));
	/* Held first, compared afterwards: from here on the number cannot become somebody else's. */
	if (!facts_process_state(pid, f->main_start_ticks))
		return say(says, size, -ESRCH, "process %d is not %s's any more", pid, f->name);
	tables_open(&t, pid);
	for (size_t i = 0; i < f->nr_ports; i++)
		find_listeners(&t, f->ports[i], &old[i]);

	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0))
		return say(says, size, -errno, "process %d of %s cannot be killed: %s", pid,
			   f->name, strerror(errno));
	int err = wait_exit(pidfd, start + wait_ns, cancel);
	if (err)
		return say(says, size, err, "process %d of %s was killed, but has not ended", pid,
			   f->name);
	double gone = (double)(clock_mono_ns() - start) / 1e9;
	uint16_t missing = 0;
	err = wait_listeners(&t, f, old, start + wait_ns, cancel, &missing);
	if (err)
		return say(
			says, size, err,
			"process %d of %s was killed, but nobody listens on port %u again (%.1f s)",
			pid, f->name, missing, (double)(clock_mono_ns() - start) / 1e9);
	return say(
		says, size, 0,
		"process %d killed, gone after %.2f s; a new one listens on port %u after %.2f s",
		pid, gone, f->ports[0], (double)(clock_mono_ns() - start) / 1e9);
}
