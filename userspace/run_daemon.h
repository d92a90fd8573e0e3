/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_daemon.h - the daemon's whole state; for run*.c alone.
 *
 * Threads: the main thread runs the event loop (ticks, signals, the registry's
 * scan); libmicrohttpd's threads run control_ops; one worker runs jobs. All of
 * them take `lock` to touch a module and let go before they wait for anything.
 * The fault module's own threads never take it.
 */
#ifndef ARCHAIC_RUN_DAEMON_H
#define ARCHAIC_RUN_DAEMON_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/config.h"
#include "base/store.h"
#include "detect/detector.h"
#include "diagnose/diagnose.h"
#include "discover/registry.h"
#include "discover/targets.h"
#include "fault/fault.h"
#include "kernel/observer.h"
#include "observe/recent.h"
#include "observe/requests.h"
#include "observe/sample.h"
#include "remediate/engine.h"
#include "remediate/facts.h"
#include "remediate/job.h"
#include "serve/control.h"
#include "serve/metrics.h"
#include "run.h"
#include "run.h"
#include "serve/server.h"

#define WORKER_QUEUE_MAX 64
#define RATE_WINDOW_NS (5ULL * 1000000000ULL)

struct daemon;
struct live;
struct traces;
struct push;
struct merge;
struct follow;
struct review;

#define NODES_MAX 64 /* MERGE_NODES_MAX */

/* How a node was told of in the log last. */
struct node_told {
	char node[SERVICE_NAME_MAX];
	int state; /* enum node_state */
	bool lies;
};

/* One thread that does what is slow, in the order given. */
struct worker {
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *queue[WORKER_QUEUE_MAX];
	size_t head, nr;
	bool stop;
	atomic_bool cancel; /* tells a job at hand to end early */
};

/* SIGHUP: one thread at a time reads the configuration again. Guarded by the daemon's lock. */
struct reload {
	struct config
		*config; /* what struct daemon.config points to: changed in place, under the lock */
	const struct run_words
		*words; /* what the process was started with; NULL: cannot be read again */
	pthread_t thread;
	bool started; /* to be joined */
	bool busy, again;
	bool had_terminal;
	uint64_t done, refused;
};

struct daemon {
	const struct config *config; /* its live options change under the lock: read them under it */
	pthread_mutex_t lock;
	struct reload reload;
	uint64_t started_ns;
	int kernel_lock; /* one daemon for each network namespace */

	struct store *store; /* NULL: no disk; incidents are kept in memory alone */
	struct registry *registry;
	struct targets *targets;   /* who the containers are */
	struct observer *observer; /* NULL: this kernel cannot; observer_lack says why */
	char observer_lack[320];
	struct requests *requests;
	struct detector *detector;
	struct diagnoser *diagnoser;
	struct faults *faults;
	struct facts *facts;
	struct engine *engine;
	struct llm *llm;
	struct server *server;
	struct traces *traces; /* NULL: no receiver is configured; see run_export.h */
	struct worker worker;
	struct executor executor;
	struct changer *changer; /* see run_change.c; the worker's */

	enum role role;
	struct control_ops ops; /* of this role */
	uint64_t started_wall_ms;
	struct push *push;     /* agent; see run_roles.h */
	struct merge *merge;   /* detector */
	struct review *review; /* detector: NULL where no service account is taken */
	struct follow *follow; /* operator */
	struct node_told nodes_told[NODES_MAX];
	/* What came of the newest tick. */
	struct {
		uint64_t tick, at_ns;
		bool has_diagnosis;
		struct diagnosis diagnosis;
	} judged;

	sd_event *event;
	sd_event_source *timer;
	uint64_t tick_ns; /* the period now */
	uint64_t next_scan_ns;
	bool warm; /* the baselines were full once, and the diagnosis knew what is usual */
	uint64_t late_ticks; /* came more than a period late */
	uint64_t failed_reads;
	uint64_t saved_samples; /* learned when the models were saved last; the worker's, then the main thread's */

	struct live *live;     /* what the pages follow, see run_live.h */
	struct recent *recent; /* the last RATE_WINDOW_NS, for people */
	struct verdict verdicts[SERVICE_MAX];
	size_t nr_verdicts;
};

/* run_tick.c */

/** daemon_tick() - one turn of the whole line, packet counters to actions. Main thread. */
void daemon_tick(struct daemon *d, uint64_t now_ns);

/** daemon_scan() - look for services that came, changed or went, and tell every stage. Under the lock. */
void daemon_scan(struct daemon *d, uint64_t now_ns);

/** daemon_sync_service() - tell kernel and faults what @s looks like now. Under the lock. */
void daemon_sync_service(struct daemon *d, const struct service *s);

/**
 * daemon_drop_service() - forget it everywhere. @may_return: what was learned of it waits for a service of its name:
 * a found container or unit that was away for longer than the grace. Under the lock.
 */
void daemon_drop_service(struct daemon *d, uint32_t id, bool may_return);

/* run_change.c */

/** run_change_open() - repairs by others' hands, as the options allow them: into the executor and the facts. 0 or -errno. */
int run_change_open(struct daemon *d);

/* run_config.c */

/** run_engine_config() - the options as remediation wants them. 0 or -errno; what is wrong was logged. */
int run_engine_config(const struct config *c, struct engine_config *ret);

/** run_model_says() - what is sent to which model, one sentence for people. */
void run_model_says(const struct config *c, char *says, size_t size);

/** run_faults_config() - the options as the injector wants them. */
void run_faults_config(const struct config *c, struct faults_config *ret);

/** run_limits_config() - those of the guard and of verification; the rest of both stays as it is. */
void run_limits_config(const struct config *c, struct guard_limits *guard,
		       struct verify_limits *verify);

/** run_mode() - [daemon] mode as the guard calls it. */
enum guard_mode run_mode(const struct config *c);

/* run_reload.c: SIGHUP. The file is read beside the sampler, and taken over under the lock. */

/** reload_start() - take SIGHUP from the event loop; without words to load again from (struct run_words) it is ignored. 0 or -errno. */
int reload_start(struct daemon *d);

/** reload_stop() - wait for a reload under way. Without the lock. */
void reload_stop(struct daemon *d);

/** run_limits_now() - run_faults_config() of what is in force; takes the lock. */
void run_limits_now(struct daemon *d, struct faults_config *ret);

/** daemon_attach_configured() - a [service] section into the registry; what is wrong is logged. Under the lock, once there are threads. */
void daemon_attach_configured(struct daemon *d, const struct config_service *c, uint64_t now_ns);

/* run_targets.c */

/** run_targets_open() - who knows containers, as the options say. 0 or -errno. */
int run_targets_open(struct daemon *d);

/** run_targets_ops() - the same, for the registry. */
struct registry_targets run_targets_ops(struct daemon *d);

/**
 * run_target_asked() - the selector that was given, if any.
 * @texts: by enum target_kind, "" for what was not given. 1 and @ret; 0: none; or the problem's errno.
 */
int run_target_asked(const char *const texts[static TARGET_UNIT + 1], struct target_selector *ret,
		     struct problem *p);

/* run_models.c */

/** models_load() - take what an earlier life has learned from the store, and say so. Before the first tick; without a store nothing happens. */
void models_load(struct daemon *d);
/** models_save() - write what was learned since the last time, if anything; failures are logged. Waits for the disk; takes the lock for a moment. */
void models_save(struct daemon *d);

/* run_worker.c */

/** worker_start() - 0 or -errno. */
int worker_start(struct daemon *d);
/** worker_stop() - finish the job at hand, drop the rest, join, and save what was learned. Without the lock. */
void worker_stop(struct daemon *d);
/** worker_submit() - engine_ops.submit: takes ownership on 0; -ENOSPC when the queue is full. */
int worker_submit(void *ctx, struct job *j);

/* run_ops.c */

extern const struct control_ops daemon_ops;

/* run_view.c: the daemon's state as the interface's objects. All under the lock. */

cJSON *view_health(struct daemon *d);
cJSON *view_service(struct daemon *d, const struct service *s);
cJSON *view_graph(struct daemon *d);
cJSON *view_edges(const struct daemon *d);
cJSON *view_scores(struct daemon *d);

/** view_degradation() - 0: all works; 1: some detail is missing; 2: tasks or requests in flight are; 3: nothing is observed. */
int view_degradation(const struct daemon *d);

/** view_metrics() - add every series. 0 or -ENOMEM. (run_metrics.c) */
int view_metrics(struct daemon *d, struct metrics *m);

/** view_verdict() - the newest verdict on a service; NULL where there is none. */
const struct verdict *view_verdict(const struct daemon *d, uint32_t service);

#endif
