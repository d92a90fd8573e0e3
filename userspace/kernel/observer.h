/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * observer.h - the observing BPF programs: services in, counters and requests out.
 *
 * cgroup_skb ingress and egress at the root of the cgroup v2 hierarchy,
 * cgroup/connect4|6 (they only look, and always allow), the scheduler's
 * tracepoints, an iterator over the connections' storage. Links and maps are
 * held by file descriptors, never pinned: when the process dies, the kernel
 * lets go. The programs change no packet and drop none.
 *
 * Sockets are looked at in whatever network namespace: a service is known by that and its
 * port. What cannot be attached disables what needs it
 * (struct observer_can), not the rest; without the two packet programs there is
 * no observer.
 *
 * Not thread-safe: one thread at a time.
 */
#ifndef ARCHAIC_OBSERVER_H
#define ARCHAIC_OBSERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/abi.h"
#include "base/problem.h"
#include "discover/registry.h"
#include "discover/service.h"
#include "observe/sample.h"

struct observer;

struct observer_options {
	uint64_t slow_ns;      /* requests from this duration on go to the ring; 0: 500 ms */
	uint32_t sample_every; /* one request in so many goes to the ring; 0: none */
	bool run_stats; /* let the kernel time our programs (kernel.bpf_stats, about 20 ns a run) */
};

/* What this kernel lets us have. Sentences are static; NULL where it works. */
struct observer_can {
	const char *requests; /* cgroup_skb: always works, or observer_open() failed */
	const char *clients; /* cgroup/connect: clients of a shared cgroup known from connect() on */
	const char *in_flight; /* the storage iterator */
	const char *aborted;   /* inet_sock_set_state: connections that vanish without a packet */
	const char *tasks;     /* scheduler */
	const char *tasks_by;  /* "tp_btf" or "raw_tp": which back end; NULL where tasks is set */
};

/**
 * observer_open() - load and attach.
 * @p: set on failure: what this kernel or these rights lack, in a sentence. May be NULL.
 * *ret is freed with observer_close(). 0 or -errno.
 */
int observer_open(const struct observer_options *options, struct observer **ret, struct problem *p);

/** observer_close() - detach and free. NULL is allowed. */
void observer_close(struct observer *o);
void observer_closep(struct observer **o);

const struct observer_can *observer_can(const struct observer *o);

/**
 * observer_set_service() - watch @s, or take over what changed of it (ports, pids, cgroup).
 * Idempotent and cheap where nothing changed. Sockets that are open already are
 * found and count from now on.
 * 0, -E2BIG (a table is full: what fitted is watched), or -errno.
 */
int observer_set_service(struct observer *o, const struct service *s);

/* Somebody on another host, and the id under which edges name it: above all that services have. */
struct observer_remote {
	struct abi_remote_key key;
	uint32_t id;
};

/**
 * observer_set_remotes() - who is where on other hosts, instead of what was said before.
 * A client's end then knows the server by its address and port, a server's end the client
 * by its address (port 0); whoever is not listed is 0. Open connections follow.
 * 0, -E2BIG (more than ABI_REMOTES_MAX: those before are set), or -errno.
 */
int observer_set_remotes(struct observer *o, const struct observer_remote *list, size_t nr);

/** observer_drop_service() - stop watching; its counters stay until it is forgotten by all edges. Unknown ids are ignored. */
void observer_drop_service(struct observer *o, uint32_t id);

/**
 * observer_read() - one tick: everything since the call before.
 * @now_ns: CLOCK_MONOTONIC, now.
 * @services: named and listed in the tick; services without traffic are in it too.
 * *ret: released by the caller, tick_release(). The first call gives what was
 * counted since observer_open(). 0 or -errno (the next call then covers both spans).
 */
int observer_read(struct observer *o, uint64_t now_ns, const struct registry *services,
		  struct tick *ret);

/**
 * observer_requests() - hand over the request events gathered since the last call.
 * @cb: the event is borrowed and untrusted: path and trace are raw bytes.
 * Returns their number. Call it at least once a tick: the ring holds about 1,000.
 */
int observer_requests(struct observer *o, void (*cb)(void *ctx, const struct abi_request *r),
		      void *ctx);

/* Cumulative counters of one series since the daemon started, summed over CPUs. */
struct observer_series {
	struct abi_series_key key;
	uint64_t requests, untimed, duration_ns, ttfb_ns, rx_bytes, tx_bytes, aborted, unparsed;
	struct hist duration, ttfb;
};

/** observer_series() - every series as of the last observer_read(). Borrowed during @cb. */
void observer_series(const struct observer *o,
		     void (*cb)(void *ctx, const struct observer_series *s), void *ctx);

/** observer_served() - finished requests of @service as a server, cumulative, as of the last observer_read(); for the faults' canary. */
uint64_t observer_served(const struct observer *o, uint32_t service);

/* Cumulative scheduler counters of one service. */
struct observer_tasks {
	uint32_t service;
	uint64_t cpu_ns, runq_ns;
	struct hist runq;
};

void observer_tasks(const struct observer *o, void (*cb)(void *ctx, const struct observer_tasks *t),
		    void *ctx);

#define OBSERVER_PROGRAMS_MAX 32
#define OBSERVER_MAPS_MAX 24

/* Ourselves. Names are static. */
struct observer_self {
	struct abi_stats stats;
	struct {
		const char *name;
		uint64_t runs, run_ns; /* 0 unless run_stats (or kernel.bpf_stats_enabled) */
	} programs[OBSERVER_PROGRAMS_MAX];
	size_t nr_programs;
	struct {
		const char *name;
		uint64_t entries, max_entries;
	} maps[OBSERVER_MAPS_MAX]; /* those whose entries we can count without a walk */
	size_t nr_maps;
};

int observer_self(struct observer *o, struct observer_self *ret);

/**
 * observer_both_ends() - look at the client's end of every connection to a service on this host.
 *
 * For as long as something changes answers behind our egress hook (tc): the
 * server's end then sees what was sent and not what arrives. Clients that are no
 * service count as client 0. Costs the packets of those clients about as much as
 * a service's; off at the start. Open connections follow with their next packet.
 */
void observer_both_ends(struct observer *o, bool on);

/**
 * observer_reattach() - become the last egress program of the root cgroup again.
 *
 * Programs of one cgroup run in the order of their attachment; those of a child
 * run before its parents'. A fault that was attached to the root cgroup after
 * us stamps its delay on the packet when we have looked already: call this after
 * arming there, so that the delay is seen. The new link is made before the old
 * one goes; a packet that both see counts once (a known sequence number).
 */
int observer_reattach(struct observer *o);

#endif
