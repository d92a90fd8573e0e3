/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registry_internal.h - the table itself; for registry*.c alone.
 */
#ifndef ARCHAIC_REGISTRY_INTERNAL_H
#define ARCHAIC_REGISTRY_INTERNAL_H

#include "discover/registry.h"
#include "discover/workload.h"
#include "kernel/procs.h"

#define LISTENERS_MAX 4096
#define IGNORED_MAX 256
#define SKIP_PORTS_MAX 16
#define PARENTS_MAX 8 /* how far up a process's parents are asked */
#define PROCS_MAX 32768
#define NAMESPACES_MAX 256
#define PENDING_MAX 64 /* containers that wait for their description */

/* A listening socket and the processes that serve it: the holders less those that only keep it, see registry_holders.c. */
struct listener {
	uint64_t inode, cgroup_id;
	uint32_t netns_ino;
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
	char by_cgroup[SERVICE_CGROUP_MAX]; /* of a target: its present instance's, "": none yet */
	enum target_kind target;            /* 0: not a container, pod or unit */
	struct target_selector selector; /* of an attached one; its kind is 0 where it was found */
	char key[TARGET_KEY_MAX];        /* see target_key(); "unit/NAME" */
	uint64_t instance_cgroup;        /* id of the newest instance's cgroup */
	bool said_supervised;            /* by the attach */
	bool dirty;                      /* changed since registry_changes() */
	uint64_t absent_since_ns;        /* no listener since; 0: it has one */
};

/* A process and where it lives, as far as that matters here. */
struct seen_proc {
	pid_t pid;
	uint32_t netns_ino; /* 0: ours, or without a container in it, or no neighbour of ours */
	uint8_t again; /* scans to look at it again: its network may still be under construction */
};

struct namespace
{
	uint32_t ino;
	pid_t pid; /* one that lives there */
};

struct pending_container {
	char id[SERVICE_CONTAINER_MAX];
	uint64_t since_ns;
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
	struct seen_proc *procs; /* of the last scan, by pid, PROCS_MAX of room */
	size_t nr_procs;
	struct namespace namespaces[NAMESPACES_MAX]; /* others than ours, to be asked for listeners */
	size_t nr_namespaces;
	unsigned scans_to_forget; /* then every process is looked at again */
	struct workload own;      /* where we live ourselves */
	char below[SERVICE_CGROUP_MAX];
	struct pending_container pending[PENDING_MAX];
	size_t nr_pending;
	struct registry_stats stats;
};

/** service_listens() - does @s listen on @port in @netns_ino? */
bool service_listens(const struct service *s, uint32_t netns_ino, uint16_t port);

/** registry_at_port() - the service on @port of a network namespace; NULL: none. */
const struct service *registry_at_port(const struct registry *r, uint32_t netns_ino, uint16_t port);

/* registry_netns.c */

/** registry_namespaces() - see which other network namespaces are to be asked: those with containers in them, and those of what is attached. */
void registry_namespaces(struct registry *r);

/** registry_is_below() - is cgroup @path one of those whose containers may be found? */
bool registry_is_below(const struct registry *r, const char *path);

/* registry_target.c */

/** registry_resolve() - find the instance that an attached target means now. 0, -ENOENT, -EEXIST (several pods match), and the problem. */
int registry_resolve(struct registry *r, struct entry *e, struct problem *p);

/** registry_select_target() - @s from the present instance of @e; takes the next one where that is gone. */
void registry_select_target(struct registry *r, struct entry *e, struct service *s);

/** registry_find_target() - take in the container or unit that @l belongs to. False: it is in none, or in that of our own. */
bool registry_find_target(struct registry *r, const struct listener *l, uint64_t now_ns);

/** registry_name_target() - a name for a target that was attached without one. */
void registry_name_target(struct registry *r, const struct entry *e,
			  char name[static SERVICE_NAME_MAX]);

/* registry_scan.c, for the above */
void service_add_pid(struct registry *r, struct service *s, pid_t pid);
void service_choose_main(struct service *s);
void registry_add_ports(struct registry *r, const struct entry *e, struct service *s);
void listener_name(const struct listener *l, char name[static SERVICE_NAME_MAX]);

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
