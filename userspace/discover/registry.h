/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry.h - the table of services: who is who, kept current.
 *
 * Services come by attaching (port, pid, cgroup, container, pod, unit) or are found by
 * themselves: as new listening TCP sockets of containers whose network namespace is ours or
 * hangs on ours (netns_is_neighbour()), of systemd's units, and of all else in our own (named COMMAND-PORT). A
 * service keeps its id when its process is started again on the same port, in
 * the same cgroup or by the same supervisor, and when a container, pod or unit is
 * replaced by one of the same key (target.h); an id is never used twice. A found
 * service whose listener, container or unit is gone is dropped after a grace; an
 * attached one stays until it is detached. The container or unit that we
 * live in ourselves is not taken for one service: what listens in it is told apart by port.
 *
 * Everything read from /proc and the kernel's tables is untrusted: names may
 * hold anything, processes vanish between two reads. The table is bounded by
 * SERVICE_MAX: one that is attached takes the place of the newest found one;
 * what does not fit is refused (attach) or counted (found).
 *
 * Not thread-safe: one thread at a time.
 */
#ifndef ARCHAIC_REGISTRY_H
#define ARCHAIC_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problem.h"
#include "discover/service.h"
#include "discover/target.h"

struct registry;

/* Who knows containers, see targets.h. Neither call waits. */
struct registry_targets {
	void *ctx;
	/* 0, or -EAGAIN: not known, or not yet. */
	int (*describe)(void *ctx, const char *container_id, struct target *ret);
	/* Running ones that match, up to @max; how many there are. */
	size_t (*find)(void *ctx, const struct target_selector *s, struct target *ret, size_t max);
};

#define REGISTRY_WAIT_NS \
	2000000000ULL /* a found container is named without description after this */

struct registry_options {
	bool discover;     /* take in listeners that nobody attached */
	uint64_t grace_ns; /* a found service without listener stays this long; 0: 30 s */
	const uint16_t
		*skip_ports; /* our own; copied. Sockets of our own process are always skipped */
	size_t nr_skip_ports;
	struct registry_targets targets; /* functions NULL: nobody knows containers */
	const char *below; /* only containers below this cgroup path are found; copied; NULL: all */
};

/** registry_new() - an empty table. *ret is freed with registry_free(). 0 or -errno. */
int registry_new(const struct registry_options *options, struct registry **ret);
void registry_free(struct registry *r);
void registry_freep(struct registry **r);

/* Exactly one of port, pid, cgroup, target is given. */
struct registry_attach {
	const char *name;   /* required; NULL with target: named as one that was found */
	uint32_t port;      /* 0: not given */
	int64_t pid;        /* 0: not given */
	const char *cgroup; /* path below the v2 mount, "/..."; NULL: not given */
	const struct target_selector *target; /* NULL: not given */
	bool later;      /* a target that is not there (yet) is waited for, not refused */
	bool supervised; /* somebody starts it again */
};

/**
 * registry_attach() - take in a service.
 * @ret: a copy of what is known now; may be NULL. A port may have no listener yet.
 * A found service that the selector matches is renamed and keeps its id.
 * 0; -EINVAL (@p: 400: name, number, path), -ENOENT (404: no such process, cgroup or
 * target), -EEXIST (409: name, port, cgroup or target taken, several pods match), -EPERM (422: table full).
 */
int registry_attach(struct registry *r, const struct registry_attach *a, uint64_t now_ns,
		    struct service *ret, struct problem *p);

/** registry_detach() - forget a service by name. @ret: its last state; may be NULL. A found one is not found again while its socket lives. 0 or -ENOENT (404). */
int registry_detach(struct registry *r, const char *name, struct service *ret, struct problem *p);

/**
 * registry_scan() - look at listeners and processes again: about once a second.
 * Costs one socket dump, a list of listeners for each other namespace with containers in it, and /proc only for
 * sockets and processes that are new.
 * 0 or -errno (the table is as it was).
 */
int registry_scan(struct registry *r, uint64_t now_ns);

/** registry_changes() - every service that changed or went since the last call, once. @gone: it was dropped or detached; @s is its last state. Borrowed. */
void registry_changes(struct registry *r, void (*cb)(void *ctx, const struct service *s, bool gone),
		      void *ctx);

/** registry_by_container() - the service that a container is the present instance of; NULL: none. Borrowed as below. */
const struct service *registry_by_container(const struct registry *r, const char *id);

/** Look-ups: borrowed until the next call that changes the table; NULL: none. */
const struct service *registry_by_name(const struct registry *r, const char *name);
const struct service *registry_by_id(const struct registry *r, uint32_t id);
const struct service *registry_by_port(const struct registry *r,
				       uint16_t port); /* of our own network namespace */

/** registry_by_pid() - the service that a process belongs to: one of its pids, or a process in its own cgroup. */
const struct service *registry_by_pid(const struct registry *r, pid_t pid);

size_t registry_count(const struct registry *r);

/** registry_at() - the @i-th service, in order of id; NULL from registry_count() on. Borrowed. */
const struct service *registry_at(const struct registry *r, size_t i);

/**
 * registry_put() - a service of another machine, under an id of the caller's own (rising), or what changed of it.
 * Not for a table that is scanned. 0, -ENOSPC (full) or -EINVAL (an id that was used).
 */
int registry_put(struct registry *r, const struct service *s);

/** registry_take_out() - forget it; the caller knows. */
void registry_take_out(struct registry *r, uint32_t id);

struct registry_stats {
	uint64_t scans, failed_scans;
	uint64_t refused_full;        /* found or attached, and the table was full */
	uint64_t restarts_seen;       /* same service, new main process */
	uint64_t replaced_seen;       /* same service, new container, pod or unit */
	uint64_t namespaces_overflow; /* network namespaces with containers beyond NAMESPACES_MAX */
	uint64_t procs_overflow; /* processes beyond PROCS_MAX, whose namespaces are not looked at */
	uint64_t pids_overflow;  /* processes beyond SERVICE_PIDS_MAX */
	uint64_t ports_overflow; /* listeners beyond SERVICE_PORTS_MAX */
};

struct registry_stats registry_stats(const struct registry *r);

#endif
