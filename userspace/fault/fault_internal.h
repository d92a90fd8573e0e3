/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_internal.h - shared by the .c files of fault/, nobody else's business.
 */
#ifndef ARCHAIC_FAULT_INTERNAL_H
#define ARCHAIC_FAULT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fault/burner.h"
#include "fault/fault.h"
#include "fault/heartbeat.h"
#include "fault/journal.h"
#include "guardian.h"
#include "kernel/fault_bpf.h"
#include "kernel/nfqueue.h"
#include "kernel/probe.h"
#include "kernel/tc.h"

/* A device holds a filter or a qdisc; a rule or a burner are one entry each. */
#define MADE_MAX (TC_DEVICES_MAX + 2)

/* Shared with the thread that kills. */
struct crasher {
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic uint64_t kills;
	pthread_mutex_t lock; /* pid and ticks, which a restart changes */
	pid_t pid;
	unsigned long long start_ticks;
	struct fault_bpf *bpf;
};

/* One armed fault and all that it holds. */
struct armed {
	struct fault f;
	bool used;
	struct service service; /* as last seen */
	struct fault_bpf *bpf;
	struct nfqueue queue;
	struct burner burner;
	struct crasher crash;
	int beat;            /* heartbeat slot, -1: none */
	uint32_t number;     /* names its filters */
	int netns_fd;        /* where its things stand; -1: in our own network namespace */
	bool again;          /* made on a successor: begin and end stay */
	struct fault before; /* what its programs had counted on the ones before */
	struct journal_entry made[MADE_MAX];
	size_t nr_made;
	uint64_t observed_first, observed; /* requests, as the observer counts them */
	bool has_observed;
	uint64_t unseen_ns; /* since when its queue has seen nothing of what its programs saw; 0: not so */
};

struct faults {
	struct faults_config cfg;
	char journal[300];
	struct armed armed[FAULT_ARMED_MAX];
	struct fault ended[FAULT_ENDED_MAX]; /* a ring */
	size_t nr_ended;                     /* ever */
	uint32_t numbers;
	struct guardian_page *page;
	struct guardian guardian;
	struct heartbeat *heart;
	struct faults_stats stats;
	char recovered[1024];
};

/* ---- fault_check.c; pure but for the seed, which is drawn */

/** fault_check_limits() - the daemon's own limits: what is understood, and not allowed here. 0, or the 422's errno. */
int fault_check_limits(const struct faults_config *c, const struct fault *a, struct problem *p);

/** fault_resolve() - fill in the figures that the parameters stand for. */
void fault_resolve(const struct faults_config *c, struct fault *a);

/** fault_check_service() - does @s have what the type needs? 0, or the problem's errno. */
int fault_check_service(const struct fault *a, const struct service *s, struct problem *p);

/* ---- fault_choose.c */

/**
 * backend_lack() - why back end @name cannot be used here and now, for any service; NULL: it can.
 * @delay_ns: the delay asked for; 0: any. The sentence is static or the thread's own until the next call.
 */
const char *backend_lack(const char *name, uint64_t delay_ns, const struct faults_config *cfg);

/**
 * backend_choose() - the first back end of the type that works here and for @s; NULL and the problem where none does.
 */
const char *backend_choose(const struct fault_request *r, const struct service *s,
			   const struct faults_config *cfg, struct problem *p);

/* ---- fault_target.c */

/** fault_is_elsewhere() - does this fault make things in a network namespace that is not ours? */
bool fault_is_elsewhere(const struct fault_request *r, const struct service *s);

/** fault_find_place() - open the service's namespace into a->netns_fd where it is another. 0, or the problem's errno (503). */
int fault_find_place(struct armed *a, struct problem *p);

/** fault_there() - call @fn where the things of @a stand, and wait. @fn's value, or netns_run()'s errors. */
int fault_there(const struct armed *a, int (*fn)(void *ctx), void *ctx);

enum fault_turn {
	FAULT_TURN_FOLLOW, /* the same one, in whatever shape */
	FAULT_TURN_END,    /* it is gone or replaced, and the fault was not to follow */
	FAULT_TURN_WAIT,   /* it is gone, or its successor does not listen yet */
	FAULT_TURN_AGAIN,  /* hurt the successor */
};

/** fault_turn() - what the new shape @s of its service means for @a. Pure. */
enum fault_turn fault_turn(const struct armed *a, const struct service *s);

/** fault_suspend() - unmake everything of @a, which stays armed and waits. */
void fault_suspend(struct faults *f, struct armed *a);

/** fault_again() - make @a on @s, for what is left of its time. On failure nothing is made. 0, or the problem's errno. */
int fault_again(struct faults *f, struct armed *a, const struct service *s, struct problem *p);

/* ---- fault.c */

/** fault_end() - unmake @a, give its place free and keep what became of it. @why: added to its sentence; may be NULL. */
void fault_end(struct faults *f, struct armed *a, enum fault_state state, const char *why);

/* ---- fault_backend.c */

/** backend_arm() - make everything of @a; on failure all of it is unmade. */
int backend_arm(struct faults *f, struct armed *a, struct problem *p);

/** backend_disarm() - unmake; says nothing. May be called on what is half made. */
void backend_disarm(struct faults *f, struct armed *a);

/** backend_follow() - the service changed shape. 0 or -errno. */
int backend_follow(struct armed *a, const struct service *s);

/** backend_counters() - copy what the programs counted to a->f. */
void backend_counters(struct armed *a);

/** backend_plan() - what would be attached where, for a dry run. */
void backend_plan(const struct armed *a, char *says, size_t len);

/** faults_publish() - tell the guardian what is outstanding and when the first is due. */
void faults_publish(struct faults *f);

/* ---- crash.c */
int crasher_start(struct crasher *c, struct fault_bpf *bpf, const struct service *s);
void crasher_stop(struct crasher *c);
void crasher_follow(struct crasher *c, const struct service *s);

/** crash_now() - SIGKILL to the service's main process. 0, -ESRCH (it is another one by now) or -errno. */
int crash_now(pid_t pid, unsigned long long start_ticks);

/* ---- fault_says.c; pure */

/** says_armed() - what it does, one sentence. */
void says_armed(struct fault *f);

/** says_traffic() - the same with what has happened so far. */
void says_traffic(struct fault *f);

/** says_log() - the seed's log line. */
void says_log(struct fault *f, pid_t pid);

#endif
