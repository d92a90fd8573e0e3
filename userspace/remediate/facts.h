/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * facts.h - what is so about a service now: the ground that actions and the guard stand on.
 *
 * Turns services and ticks into one struct service_facts each, with sums over
 * the last FACTS_WINDOW_NS, so that a decision does not hang on one tick. Knows
 * nothing of faults that may be armed. Not thread-safe.
 */
#ifndef ARCHAIC_FACTS_H
#define ARCHAIC_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "discover/service.h"
#include "observe/sample.h"

#define FACTS_WINDOW_NS (10ULL * 1000000000ULL)
#define FACTS_WINDOW_SLOTS 10

#define FACTS_CONTAINER_MAX 65 /* 64 hex digits and the NUL */
#define FACTS_NAMESPACE_MAX 64
#define FACTS_WORKLOAD_MAX 254 /* a pod's or unit's name */

/* Whom this daemon can ask: what is out of its reach is not told of a service. Bits. */
enum facts_reach { FACTS_REACH_KUBE = 1, FACTS_REACH_DOCKER = 2, FACTS_REACH_SYSTEMD = 4 };

struct service_facts {
	uint32_t service;
	char name[SERVICE_NAME_MAX];
	bool supervised;
	unsigned replicas; /* processes that serve it; at least 1 */
	size_t nr_pids;    /* 0: its process is gone */
	pid_t main_pid;
	uint64_t main_start_ticks;
	uint16_t ports[SERVICE_PORTS_MAX];
	size_t nr_ports;
	uint32_t netns_ino;

	/* What it runs as, where this daemon can have it restarted there; at most one of the three. */
	char pod_namespace[FACTS_NAMESPACE_MAX], pod[FACTS_WORKLOAD_MAX];
	char container_id[FACTS_CONTAINER_MAX];
	char unit[FACTS_WORKLOAD_MAX];

	/* Of the last tick. */
	uint64_t at_ns;
	uint64_t answered; /* requests finished */
	uint64_t failed;   /* of them 5xx */
	uint32_t in_flight;
	uint64_t oldest_ns; /* age of the oldest request in flight */
	char process_state; /* 'R' 'S' 'D' 'T' 't' 'Z' …, of /proc/PID/stat; 0: not known */
	double cpu_cores;

	/* Sums over the window. */
	uint64_t window_answered, window_failed;
	uint64_t window_caller_timeouts; /* calls whose client went away before the answer */
	uint64_t silent_ns; /* since when requests are in flight and none was finished; 0: not so */
};

/**
 * facts_process_state_fn - the state letter of process @pid, 0 where it is gone or
 * is another one (its start ticks differ). Injected so that tests need no process.
 */
typedef char facts_process_state_fn(pid_t pid, uint64_t start_ticks);

/** facts_process_state() - the real one: reads /proc/PID/stat. */
char facts_process_state(pid_t pid, uint64_t start_ticks);

struct facts;

/** facts_new() - 0 or -ENOMEM. @state: NULL takes facts_process_state(). */
int facts_new(facts_process_state_fn *state, struct facts **ret);
void facts_free(struct facts *f);

/** facts_reach() - bits of enum facts_reach; none at first. */
void facts_reach(struct facts *f, unsigned reach);

/** facts_workload() - the part of a service's facts that says what it runs as; texts copied where they are within reach and whole. "" or NULL: none. */
void facts_workload(struct service_facts *f, unsigned reach, const char *pod_namespace,
		    const char *pod, const char *container_id, const char *unit);

/** facts_begin() - a new tick: the list is emptied, the windows are kept. */
void facts_begin(struct facts *f, const struct tick *t);

/**
 * facts_add() - put @s on the list with what @t says of it.
 * The process state is read only where requests are waiting or something failed:
 * reading /proc for every service on every tick costs more than it tells.
 * 0, or -ENOSPC over SERVICE_MAX (counted by facts_dropped()).
 */
int facts_add(struct facts *f, const struct tick *t, const struct service *s);

/** facts_list() - this tick's list, borrowed until the next facts_begin(). */
const struct service_facts *facts_list(const struct facts *f, size_t *nr);

uint64_t facts_dropped(const struct facts *f);

/** facts_find() - in an array; NULL where missing. */
const struct service_facts *facts_find(const struct service_facts *list, size_t nr,
				       uint32_t service);

static inline void facts_freep(struct facts **f)
{
	facts_free(*f);
}

#endif
