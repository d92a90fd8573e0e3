/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * observer_internal.h - the observer's own state; for observer*.c alone.
 */
#ifndef ARCHAIC_OBSERVER_INTERNAL_H
#define ARCHAIC_OBSERVER_INTERNAL_H

#include <bpf/libbpf.h>
#include <uthash.h>

#include "kernel/observer.h"

struct observe_request_bpf;
struct observe_sched_bpf;

struct series_node {
	struct abi_series_key key;
	struct abi_series before; /* sums over CPUs as of the last read; 32-bit counts wrap */
	struct abi_series delta;  /* not yet in a tick; buckets are 32 bits wide and exact */
	struct observer_series total;
	UT_hash_handle hh;
};

struct tasks_node {
	uint32_t service;
	uint64_t cpu_ns_before; /* with the slices that were running then */
	uint64_t cpu_ns_delta, runq_ns_delta;
	uint32_t runq_delta[ABI_HIST_BUCKETS];
	uint32_t runq_before[ABI_HIST_BUCKETS];
	uint64_t runq_ns_before;
	struct observer_tasks total;
	UT_hash_handle hh;
};

struct watched {
	uint32_t id;
	struct service s; /* as the kernel's maps have it */
	uint64_t served;  /* finished requests as a server */
	UT_hash_handle hh;
};

struct observer {
	struct observer_options options;
	struct observer_can can;
	struct observe_request_bpf *request;
	struct observe_sched_bpf *sched; /* NULL: tasks are not observed */
	struct bpf_link *ingress, *egress, *connect4, *connect6, *state, *flight, *tasks[3];
	struct ring_buffer *ring;
	void (*on_request)(void *ctx, const struct abi_request *r); /* during observer_requests() */
	void *on_request_ctx;
	int cgroup_fd, stats_fd;
	int nr_cpus;
	void *values; /* room for one map value of every CPU */
	uint32_t epoch;
	bool both_ends; /* see observer_both_ends() */
	uint64_t parked_before;
	uint64_t finished; /* requests, in all series, ever */
	uint64_t last_read_ns;
	struct watched *services;
	struct series_node *series;
	struct tasks_node *tasks_seen;
	struct abi_flight *flights; /* of the last read */
	size_t nr_flights, cap_flights;
};

/**
 * observer_watch_tasks() - change what two maps, process -> service and cgroup -> service, know of a service.
 * @before: what they were told; NULL: nothing. @now: NULL: forget it. What stays is never missing in between,
 * and a key that has another owner by now is left alone. 0 or -errno (a table is full: what fitted is there).
 */
int observer_watch_tasks(int tgids, int cgroups, const struct service *before,
			 const struct service *now);

/** observer_raise_epoch() - every socket decides its role again with its next packet. */
void observer_raise_epoch(struct observer *o);

/** observer_tasks_open() - load and attach the scheduler's programs; sets can.tasks where that fails. */
void observer_tasks_open(struct observer *o);
void observer_tasks_close(struct observer *o);

/** observer_tasks_watch() - tell the scheduler's programs who @now is; @before: what they were told (NULL: nothing), @now NULL: forget it. */
void observer_tasks_watch(struct observer *o, const struct service *before,
			  const struct service *now);

/** observer_tasks_read() - refresh tasks_seen. 0 or -errno. */
int observer_tasks_read(struct observer *o);

/** observer_tasks_taken() - a tick holds what was new: begin anew. */
void observer_tasks_taken(struct observer *o);

/** observer_tasks_self() - add the scheduler's programs and maps. */
void observer_tasks_self(const struct observer *o, struct observer_self *self);

/** observer_tasks_find() - NULL: nothing seen of @service. */
const struct tasks_node *observer_tasks_find(const struct observer *o, uint32_t service);

/** observer_add_program(), observer_add_map() - to what observer_self() tells. @entries: UINT64_MAX counts them. */
void observer_add_program(struct observer_self *self, const struct bpf_program *p);
void observer_add_map(struct observer_self *self, const struct bpf_map *m, uint64_t entries);

/** map_each() - every key of a map, its per-CPU values (or its one value) in @values. @cb non-zero deletes the key. 0 or -errno. */
int observer_map_each(int fd, void *key, void *next, size_t key_size, void *values,
		      bool (*cb)(void *ctx, const void *key, const void *values), void *ctx);

#endif
