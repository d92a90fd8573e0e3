// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The thread that kills when a request has drawn `crash`, and the kill itself.
 * The ring buffer wakes it at once; it checks lease and deadline again, since
 * an event may have waited while the whole daemon was stopped.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "fault/fault_internal.h"
#include "fault/undo.h"

#define WAIT_MS 100

int crash_now(pid_t pid, unsigned long long start_ticks)
{
	CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return -errno;
	/* After the open: what the descriptor names cannot change any more. */
	if (start_ticks && undo_start_ticks(pid) != start_ticks)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

static bool is_armed(const struct fault_ctl *c)
{
	uint64_t now = clock_boot_ns();

	return now < __atomic_load_n(&c->lease_end_ns, __ATOMIC_RELAXED) &&
		now < __atomic_load_n(&c->deadline_ns, __ATOMIC_RELAXED);
}

static void *run(void *arg)
{
	struct crasher *c = arg;

	prctl(PR_SET_NAME, "crasher");
	while (!atomic_load(&c->stop)) {
		if (fault_bpf_events(c->bpf, WAIT_MS) <= 0 || !is_armed(fault_bpf_ctl(c->bpf)))
			continue;
		pthread_mutex_lock(&c->lock);
		if (c->pid > 0 && crash_now(c->pid, c->start_ticks) == 0)
			atomic_fetch_add(&c->kills, 1);
		pthread_mutex_unlock(&c->lock);
	}
	return NULL;
}

int crasher_start(struct crasher *c, struct fault_bpf *bpf, const struct service *s)
{
	c->bpf = bpf;
	c->pid = s->pids[0];
	c->start_ticks = s->main_start_ticks;
	atomic_store(&c->stop, false);
	pthread_mutex_init(&c->lock, NULL);
	int err = pthread_create(&c->thread, NULL, run, c);
	c->running = !err;
	return -err;
}

void crasher_stop(struct crasher *c)
{
	if (!c->running)
		return;
	atomic_store(&c->stop, true);
	pthread_join(c->thread, NULL);
	pthread_mutex_destroy(&c->lock);
	c->running = false;
}

void crasher_follow(struct crasher *c, const struct service *s)
{
	if (!c->running)
		return;
	pthread_mutex_lock(&c->lock);
	c->pid = s->nr_pids ? s->pids[0] : 0;
	c->start_ticks = s->main_start_ticks;
	pthread_mutex_unlock(&c->lock);
}
