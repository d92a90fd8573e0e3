/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guardian.h - the child that undoes what outlives the daemon.
 *
 * A process of its own with an empty loop. It holds one pipe to the daemon and
 * a page of shared memory, and nothing else: no sockets, no maps, no locks, a
 * session of its own, all signals blocked. It acts on the journal
 *   - when the pipe breaks (the daemon died): undo all, sweep, exit;
 *   - when the heartbeat is one lease old (the daemon is stopped): undo all, stay;
 *   - when a deadline is more than GUARDIAN_GRACE_NS past (the daemon forgot).
 * With nothing outstanding it sleeps until the pipe says something.
 *
 * It cannot revive anything: the daemon sees the lost lease when it wakes and
 * takes its own side down.
 */
#ifndef ARCHAIC_GUARDIAN_H
#define ARCHAIC_GUARDIAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARDIAN_GRACE_NS 2000000000ULL
#define GUARDIAN_NAME "archaic-guard"

/* Mapped shared before the fork. The daemon writes, the guardian reads; "acted" the other way. */
struct guardian_page {
	_Atomic uint64_t lease_end_ns;      /* CLOCK_BOOTTIME; the heartbeat thread's */
	_Atomic uint32_t outstanding;       /* journal entries not undone */
	_Atomic uint64_t first_deadline_ns; /* the soonest of theirs; UINT64_MAX: none */
	_Atomic uint32_t acted;             /* how often the guardian undid something by itself */
};

struct guardian_view {
	bool pipe_broken;
	uint64_t now_ns, lease_end_ns, first_deadline_ns;
	uint32_t outstanding;
};

enum guardian_act {
	GUARDIAN_WAIT,
	GUARDIAN_UNDO_DUE,
	GUARDIAN_UNDO_ALL,
	GUARDIAN_UNDO_ALL_AND_EXIT,
	GUARDIAN_EXIT
};

/** guardian_decide() - what now? Pure. */
enum guardian_act guardian_decide(const struct guardian_view *v);

struct guardian {
	pid_t pid;                  /* 0: none */
	int pipe_fd;                /* write end, ours */
	struct guardian_page *page; /* borrowed */
};

/** guardian_page_new() - a shared page, or NULL. guardian_page_free() unmaps it. */
struct guardian_page *guardian_page_new(void);
void guardian_page_free(struct guardian_page *page);

/**
 * guardian_start() - fork it. @page: borrowed, must outlive it. @journal: path, copied.
 * The caller should have few threads; the child allocates and spawns, and relies on glibc's fork handlers.
 * 0 or -errno.
 */
int guardian_start(struct guardian_page *page, const char *journal, struct guardian *ret);

/** guardian_poke() - outstanding or first_deadline_ns changed: look again. */
void guardian_poke(const struct guardian *g);

/** guardian_alive() - is it still there? Reaps it when it is not. */
bool guardian_alive(struct guardian *g);

/** guardian_stop() - close the pipe and wait for it: it undoes what is outstanding first. Killed after 15 s. */
void guardian_stop(struct guardian *g);

#endif
