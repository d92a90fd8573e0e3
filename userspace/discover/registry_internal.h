/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry_internal.h - the table itself; for registry*.c alone.
 */
#ifndef ARCHAIC_REGISTRY_INTERNAL_H
#define ARCHAIC_REGISTRY_INTERNAL_H

#include "discover/registry.h"
#include "kernel/procs.h"

#define LISTENERS_MAX 4096
#define IGNORED_MAX 256
#define SKIP_PORTS_MAX 16
#define PARENTS_MAX 8 /* how far up a process's parents are asked */

/* A listening socket and the processes that serve it: the holders less those that only keep it, see registry_holders.c. */
struct listener {
	uint64_t inode, cgroup_id;
	uint16_t port;
	uint16_t nr_pids;
	uint16_t unheld_scans;        /* since a walk last found nobody who holds it */
	bool changed;                 /* holders were added in this scan */
	pid_t pids[SERVICE_PIDS_MAX]; /* the one who made it first */
};

struct entry {
	struct service s;
	uint16_t by_port; /* the selector; which one counts says s.source */
	pid_t by_pid;
	char by_cgroup[SERVICE_CGROUP_MAX];
	bool said_supervised;     /* by the attach */
	bool dirty;               /* changed since registry_changes() */
	uint64_t absent_since_ns; /* no listener since; 0: it has one */
};

struct registry {
	struct registry_options options;
	uint16_t skip_ports[SKIP_PORTS_MAX];
	uint32_t netns_ino;
	uint32_t next_id;
	struct entry *entries[SERVICE_MAX]; /* in order of id */
	size_t nr;
	struct service gone[SERVICE_MAX]; /* dropped, not yet told */
	size_t nr_gone;
	uint64_t ignored[IGNORED_MAX]; /* sockets of found services that were detached */
	size_t nr_ignored;
	struct listener *listeners; /* of the last scan, LISTENERS_MAX of room */
	size_t nr_listeners;
	struct registry_stats stats;
};

/** registry_add() - a new entry with a fresh id; NULL: the table is full or no memory (counted). */
struct entry *registry_add(struct registry *r, const char *name, enum service_source source);

/** registry_drop() - take @e out and remember it as gone. */
void registry_drop(struct registry *r, struct entry *e);

/** registry_refresh() - fill in what the last dump and /proc say of @e. True: something changed. */
bool registry_refresh(struct registry *r, struct entry *e);

/** registry_descends() - is @pid one of @s's processes, or the child of one (PARENTS_MAX deep)? */
bool registry_descends(const struct service *s, pid_t pid);

/** listener_held_by() - is @pid among those who serve it? */
bool listener_held_by(const struct listener *l, pid_t pid);

/** registry_listener() - of the last dump, by its socket's inode; NULL: none. Borrowed. */
const struct listener *registry_listener(const struct registry *r, uint64_t inode);

/** registry_dump() - read the listeners and who holds them. 0 or -errno; r->listeners is as it was on failure. */
int registry_dump(struct registry *r);

#endif
