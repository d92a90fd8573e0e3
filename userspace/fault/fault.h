/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault.h - a request to hurt a service into an armed fault, and its whole life.
 *
 * validate -> limits -> journal what outlives us -> arm (a BPF object of the
 * fault's own, attached to the service's cgroup) -> deadline, disarm, or a lost
 * lease. Nothing is attached while nothing is armed.
 *
 * Invariants:
 * - A fault ends by itself: its deadline (CLOCK_BOOTTIME) and a heartbeat lease
 *   of FAULT_LEASE_NS stand in its own memory in the kernel, and the program
 *   refuses to act past either. A lease that was lost never revives: the fault
 *   goes to "failed" and is taken down.
 * - What the kernel does not let go of by itself (netfilter rule, qdisc, clsact
 *   filter, burner process) is journaled before it is made, and the guardian
 *   (see guardian.h) undoes it if we cannot.
 * - At most config.max_armed faults are armed; ended ones are kept for looking
 *   up, FAULT_ENDED_MAX of them, the oldest forgotten first.
 *
 * Threading: one struct faults belongs to whoever holds the daemon's mutex; no
 * function here may run twice at once. Its own threads (heartbeat, NFQUEUE
 * verdicts, crash) share only atomics with it.
 * Errors: 0 or -errno, with a struct problem for the caller's answer.
 */
#ifndef ARCHAIC_FAULT_H
#define ARCHAIC_FAULT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problem.h"
#include "discover/service.h"

#define FAULT_ID_MAX 16 /* "f-" and base 32, with the NUL */
#define FAULT_SLOT_MAX 32
#define FAULT_KEYS_MAX 8 /* keys that bad_data spoils */
#define FAULT_KEY_MAX 24 /* bytes of one, with the NUL; [A-Za-z0-9_-] */
#define FAULT_SAYS_MAX 320
#define FAULT_ARMED_MAX 64
#define FAULT_ENDED_MAX 256
#define FAULT_LEASE_NS (2ULL * 1000000000ULL)
#define FAULT_RENEW_NS (250ULL * 1000000ULL)

enum fault_type {
	FAULT_TIMEOUT,  /* the response leaves late */
	FAULT_ERROR,    /* the client gets another status */
	FAULT_BAD_DATA, /* JSON that parses, with wrong values */
	FAULT_CPU,      /* the service's threads lose part of their CPU */
	FAULT_CRASH,    /* SIGKILL */
	FAULT_LOSS,     /* packets of responses are dropped */
	NR_FAULT_TYPES,
};

enum fault_state { FAULT_ARMED, FAULT_EXPIRED, FAULT_RESET, FAULT_SPENT, FAULT_FAILED };

/* ---- the table that drives validation, /v1/faults/types, doctor and help */

enum fault_param {
	FAULT_P_INTENSITY,
	FAULT_P_DELAY_MS,
	FAULT_P_STATUS,
	FAULT_P_PERCENT,
	FAULT_P_KEYS,
	FAULT_P_SEED,
	NR_FAULT_PARAMS,
};

struct fault_param_desc {
	enum fault_param param;
	const char *name;
	const char *unit;    /* "" where it has none */
	double min, max;     /* of the type itself; the daemon's limits may be tighter */
	bool whole;          /* whole numbers only */
	bool text;           /* a list of names, not a number: min and max count them */
	const char *allowed; /* the same in words, for a problem */
	const char *says;    /* what it does */
};

#define FAULT_BACKENDS_MAX 3

struct fault_backend_desc {
	const char *name;      /* "nfqueue" */
	const char *mechanism; /* one sentence */
};

struct fault_type_desc {
	enum fault_type type;
	const char *name; /* "timeout" */
	const char *says; /* one sentence: what the client or service will feel */
	const struct fault_param_desc *params;
	size_t nr_params;
	struct fault_backend_desc
		backends[FAULT_BACKENDS_MAX]; /* in the order of preference; name NULL: no more */
};

/** fault_types() - the table, NR_FAULT_TYPES long, indexed by enum fault_type. Static. */
const struct fault_type_desc *fault_types(void);

/** fault_type_find() - by name; NULL where there is none. */
const struct fault_type_desc *fault_type_find(const char *name);

/** fault_state_name() - "armed", "expired", "reset", "spent" or "failed". */
const char *fault_state_name(enum fault_state s);

/* ---- what is asked for */

struct fault_request {
	enum fault_type type;
	char service[SERVICE_NAME_MAX]; /* as it was asked for; "self" is the caller's business */
	char slot[FAULT_SLOT_MAX];      /* "": none */
	uint32_t given;                 /* bit per enum fault_param */
	uint32_t intensity;
	double delay_ms, percent;
	uint32_t status;
	char keys[FAULT_KEYS_MAX][FAULT_KEY_MAX];
	size_t nr_keys;
	uint64_t seed;        /* the same seed draws the same requests again */
	double probability;   /* 0..1, per request; 1 unless given */
	uint64_t duration_ns; /* 0: as long as the daemon allows */
	bool match_health;    /* hurt liveness probes too */
	bool follow; /* a replaced container, pod or unit: hurt the successor for the rest of the time; else it ends */
};

/**
 * fault_request_parse() - a POST /v1/faults body.
 * @body: borrowed; members service, type, params, probability, duration_s, match, slot.
 * Params may also stand at the top level with "intensity" and "duration", as /inject-failure takes them.
 * Text numbers ("0.3") are taken too, so a forwarder may pass query parameters on as they came.
 * 0 and @ret; else the problem's errno (400: unknown member or parameter, not a number, out of the type's range).
 */
int fault_request_parse(const cJSON *body, struct fault_request *ret, struct problem *p);

/* ---- an armed (or ended) fault, by value */

struct fault {
	char id[FAULT_ID_MAX];
	enum fault_state state;
	struct fault_request req; /* as armed: duration and seed filled in */
	uint32_t service_id;
	uint64_t armed_ns, ends_ns; /* CLOCK_BOOTTIME */
	int64_t armed_wall_ms;
	uint64_t delay_ns; /* the figures that intensity stood for */
	uint32_t status;
	double percent;
	uint64_t touched_requests, touched_packets, spared_requests;
	uint64_t seen_packets; /* of the service, by this fault's own programs */
	uint64_t out_of_reach; /* drawn, but the bytes to change were not within reach */
	bool waiting; /* its container, pod or unit is gone: nothing is attached until the next one is there */
	const char *backend; /* static name; "" while none */
	char says[FAULT_SAYS_MAX];
	char log[128]; /* the seed's log line, to be logged under the service's name */
};

/** fault_json() - @f as API.md has it; remaining_s from @now_boot_ns. NULL for out of memory. */
cJSON *fault_json(const struct fault *f, uint64_t now_boot_ns);

/* ---- the module */

struct faults_config {
	char run_dir[256];        /* holds the journal */
	uint64_t max_duration_ns; /* also what "no duration" means */
	uint32_t max_intensity;
	uint64_t max_delay_ns;  /* fq's horizon follows it */
	uint32_t allowed_types; /* bit per enum fault_type */
	uint32_t max_armed;     /* <= FAULT_ARMED_MAX */
	char avoid[64];         /* back ends not to take, commas between; "" by default */
};

/** faults_config_default() - 1 h, intensity 100, 60 s of delay, all types, 64 armed, /run/archaic-ebpf. */
void faults_config_default(struct faults_config *ret);

struct faults;

/**
 * faults_new() - start the heartbeat thread and the guardian; arms nothing.
 * @cfg: copied. Undoes what an earlier daemon left (see faults_recover()).
 * Call it before other threads start: the guardian is forked here.
 */
int faults_new(const struct faults_config *cfg, struct faults **ret);

/**
 * faults_set_limits() - other limits for what is armed from here on: durations, intensity, delay, allowed types.
 * The run dir and the rest stay. An armed fault whose type is not allowed any more ends ("reset"); the others
 * go on to the end they were given. Returns how many ended.
 */
size_t faults_set_limits(struct faults *f, const struct faults_config *cfg);

/** faults_free() - disarm all, stop the threads and the guardian. NULL is allowed. */
void faults_free(struct faults *f);

static inline void faults_freep(struct faults **f)
{
	faults_free(*f);
}

/**
 * faults_recovered() - the sentence about what faults_new() found of a dead daemon; "" for nothing. Borrowed.
 */
const char *faults_recovered(const struct faults *f);

/**
 * faults_arm() - arm @req on @s, or say what would be done.
 * @s: borrowed; its ports, cgroup, netns and pids choose what is hurt. What is made in a network namespace that is not
 * ours is made and unmade there, in a thread that enters it (CAP_SYS_ADMIN; without it 503).
 * @dry_run: nothing is made; @ret says what would be attached where, with which back end; its id is "".
 * @ret: the fault as armed. ret->log is not logged here: the caller does, under ret->req.service.
 * A fault of the same (service, slot) is replaced; the same type on the same service otherwise is a 409.
 * 422: over a limit (names it). 503: this kernel cannot (says what it lacks).
 */
int faults_arm(struct faults *f, const struct fault_request *req, const struct service *s,
	       bool dry_run, struct fault *ret, struct problem *p);

/** faults_disarm() - end one by id; @ret (may be NULL) as it ended. 404 where there is none; an ended one is a success. */
int faults_disarm(struct faults *f, const char *id, struct fault *ret, struct problem *p);

/** faults_disarm_service() - end all of a service; returns how many were armed. */
size_t faults_disarm_service(struct faults *f, uint32_t service_id);

size_t faults_disarm_all(struct faults *f);

/** faults_find() - 0 and a copy, or -ENOENT. */
int faults_find(struct faults *f, const char *id, struct fault *ret);

/** faults_each() - armed first, then ended, newest first. @cb returning non-zero stops and is returned. */
int faults_each(struct faults *f, int (*cb)(const struct fault *fault, void *ctx), void *ctx);

/** faults_rewrite() - is a fault armed that changes answers after cgroup hooks (at tc)? */
bool faults_rewrite(const struct faults *f);

/**
 * faults_service() - the service's shape changed (restarted process, other cgroup): armed faults follow it.
 * A new cgroup or port is attached to; a cpu fault finds the new threads. Of one that is replaced (s->instance)
 * faults end ("reset"), but for those with req.follow: they wait for the successor and go on there until their end.
 */
void faults_service(struct faults *f, const struct service *s);

/** faults_drop_service() - the service was detached: its faults end ("reset"). */
void faults_drop_service(struct faults *f, uint32_t service_id);

/**
 * faults_observed() - the observer's count of finished requests of a service, cumulative, for the canary.
 * A fault whose programs saw no packet while this grew by FAULT_CANARY_REQUESTS is failed by the next tick.
 */
#define FAULT_CANARY_REQUESTS 5
void faults_observed(struct faults *f, uint32_t service_id, uint64_t requests);

/**
 * faults_tick() - read the counters, end what is over, judge the canary, look after threads and guardian.
 * @now_boot_ns: CLOCK_BOOTTIME.
 * @ended: called for each fault that ended in this tick, by itself (may be NULL).
 */
void faults_tick(struct faults *f, uint64_t now_boot_ns,
		 void (*ended)(const struct fault *fault, void *ctx), void *ctx);

struct faults_stats {
	uint32_t armed;
	uint64_t armed_total, refused_total, failed_total;
	uint64_t lease_lost_total;
	uint64_t nfqueue_full_total; /* packets passed undelayed because the heap was full */
	uint64_t guardian_restarts_total;
};
void faults_stats(const struct faults *f, struct faults_stats *ret);

/**
 * faults_types_json() - {"items":[{type, says, params[], backends[{name, available, why}], backend | null}]}.
 * @cfg: for the limits; NULL for the defaults. Probes this kernel (cached).
 */
cJSON *faults_types_json(const struct faults_config *cfg);

/**
 * faults_recover() - undo what a dead daemon left, with no daemon and no configuration.
 * By the journal in @run_dir, and by our own handles and comments where the journal is torn or gone.
 * Takes no lock. Must not be called while a daemon of this run dir lives and has faults armed, but for
 * `reset --all`, where that is the wish: the daemon notices and reports its faults failed.
 * @says: sentences, one a line, what was found and undone; "" for nothing. @len bytes.
 * Returns the number of things undone, or -errno of the first that could not be.
 */
int faults_recover(const char *run_dir, char *says, size_t len);

#endif
