// SPDX-License-Identifier: GPL-2.0-or-later
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault/journal.h"
#include "fault/undo.h"

#define LOOK_EVERY_NS (250 * NSEC_PER_MSEC)
#define STOP_TIMEOUT_NS (15 * NSEC_PER_SEC)

enum guardian_act guardian_decide(const struct guardian_view *v)
{
	if (v->pipe_broken)
		return v->outstanding ? GUARDIAN_UNDO_ALL_AND_EXIT : GUARDIAN_EXIT;
	if (!v->outstanding)
		return GUARDIAN_WAIT;
	if (v->now_ns > v->lease_end_ns)
		return GUARDIAN_UNDO_ALL;
	if (v->first_deadline_ns != UINT64_MAX &&
	    v->now_ns > v->first_deadline_ns + GUARDIAN_GRACE_NS)
		return GUARDIAN_UNDO_DUE;
	return GUARDIAN_WAIT;
}

struct guardian_page *guardian_page_new(void)
{
	void *p = mmap(NULL, sizeof(struct guardian_page), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	struct guardian_page *page = p;
	atomic_store(&page->first_deadline_ns, UINT64_MAX);
	return page;
}

void guardian_page_free(struct guardian_page *page)
{
	if (page)
		munmap(page, sizeof(*page));
}

/* ---- the child */

/* Undo what the journal has outstanding; only what is due by @due_ns. */
static int undo_journal(const char *path, uint64_t due_ns)
{
	struct journal j;
	int nr = 0;

	if (journal_load(path, &j) < 0)
		return -EIO;
	for (size_t i = 0; i < j.nr; i++) {
		struct journal_entry *e = &j.entries[i];

		if (e->deadline_ns > due_ns)
			continue;
		int ret = undo_entry(e, NULL, 0);
		if (ret >= 0)
			journal_append(path, '-', e);
		nr += ret > 0;
	}
	journal_release(&j);
	return nr;
}

static void act(enum guardian_act what, const char *journal, struct guardian_page *page,
		uint64_t now_ns)
{
	int nr = undo_journal(journal, what == GUARDIAN_UNDO_DUE ? now_ns : UINT64_MAX);

	/* Twice is cheap here and sure: a torn journal must not leave a rule behind. */
	if (what == GUARDIAN_UNDO_ALL_AND_EXIT || nr < 0)
		undo_sweep(NULL, 0);
	atomic_fetch_add(&page->acted, 1);
}

static void close_all_but(int keep)
{
	int null = open("/dev/null", O_RDWR);

	/* A reader of the daemon's output must not wait for us to end too. */
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (keep > 3)
		close_range(3, (unsigned int)keep - 1, 0);
	close_range((unsigned int)keep + 1, ~0U, 0);
}

/* True when the writing end is gone; pokes are read and forgotten. */
static bool pipe_wait(int fd, int64_t timeout_ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec t = { .tv_sec = timeout_ns / (int64_t)NSEC_PER_SEC,
			      .tv_nsec = timeout_ns % (int64_t)NSEC_PER_SEC };
	char pokes[64];

	if (ppoll(&p, 1, timeout_ns < 0 ? NULL : &t, NULL) <= 0)
		return false;
	return read(fd, pokes, sizeof(pokes)) == 0;
}

static _Noreturn void guardian_main(int fd, const char *journal, struct guardian_page *page)
{
	bool done_for_lease = false;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, GUARDIAN_NAME);
	close_all_but(fd);
	if (chdir("/") < 0)
		_exit(1);

	for (;;) {
		bool idle = atomic_load(&page->outstanding) == 0;
		struct guardian_view v = { .pipe_broken = pipe_wait(
						   fd, idle ? -1 : (int64_t)LOOK_EVERY_NS) };

		v.lease_end_ns = atomic_load(&page->lease_end_ns);
		v.first_deadline_ns = atomic_load(&page->first_deadline_ns);
		v.outstanding = atomic_load(&page->outstanding);
		v.now_ns = clock_boot_ns();

		enum guardian_act what = guardian_decide(&v);
		if (what == GUARDIAN_EXIT)
			_exit(0);
		if (what == GUARDIAN_WAIT) {
			done_for_lease = false;
			continue;
		}
		/* A stopped daemon does not lower "outstanding": once is enough until it is back. */
		if (what == GUARDIAN_UNDO_ALL && done_for_lease)
			continue;
		act(what, journal, page, v.now_ns);
		if (what == GUARDIAN_UNDO_ALL_AND_EXIT)
			_exit(0);
		done_for_lease = what == GUARDIAN_UNDO_ALL;
	}
}

/* ---- the daemon's side */

int guardian_start(struct guardian_page *page, const char *journal, struct guardian *ret)
{
	int p[2];
	char path[4096];

	snprintf(path, sizeof(path), "%s", journal);
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	fcntl(p[1], F_SETFL, O_NONBLOCK);

	pid_t pid = fork();
	if (pid < 0) {
		int err = -errno;

		close(p[0]);
		close(p[1]);
		return err;
	}
	if (pid == 0)
		guardian_main(p[0], path, page);
	close(p[0]);
	*ret = (struct guardian){ .pid = pid, .pipe_fd = p[1], .page = page };
	return 0;
}

void guardian_poke(const struct guardian *g)
{
	/* A full pipe holds pokes enough. */
	if (g->pid > 0 && write(g->pipe_fd, "", 1) < 0)
		return;
}

bool guardian_alive(struct guardian *g)
{
	int status;

	if (g->pid <= 0)
		return false;
	if (waitpid(g->pid, &status, WNOHANG) == 0)
		return true;
	close(g->pipe_fd);
	*g = (struct guardian){ .pid = 0, .pipe_fd = -1, .page = g->page };
	return false;
}

void guardian_stop(struct guardian *g)
{
	if (g->pid <= 0)
		return;
	close(g->pipe_fd);

	uint64_t until = clock_mono_ns() + STOP_TIMEOUT_NS;
	int status;
	pid_t got;
	while ((got = waitpid(g->pid, &status, WNOHANG)) == 0 && clock_mono_ns() < until)
		poll(NULL, 0, 2);
	if (got == 0) {
		kill(g->pid, SIGKILL);
		waitpid(g->pid, &status, 0);
	}
	*g = (struct guardian){ .pid = 0, .pipe_fd = -1, .page = g->page };
}
