// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "kernel/netns.h"
#include "kernel/observer_internal.h"
#include "kernel/procs.h"
#include "kernel/sockets.h"
#include "skel/observe_request.skel.h"

#define OWN_SOCKETS_MAX 8192

/* ---- connections that a service's processes opened before they were watched */

struct own_sockets {
	uint64_t *inodes;
	size_t nr;
	int cookies_fd;
	uint32_t id;
	uint64_t listens[65536 /
			 64]; /* ports; a connection on one of them was accepted, whoever holds it */
};

static int add_listener(void *ctx, const struct socket_entry *s)
{
	struct own_sockets *own = ctx;

	own->listens[s->local_port / 64] |= 1ULL << s->local_port % 64;
	return 0;
}

static int add_inode(void *ctx, uint64_t inode, pid_t pid)
{
	struct own_sockets *own = ctx;

	(void)pid;
	if (own->nr < OWN_SOCKETS_MAX)
		own->inodes[own->nr++] = inode;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int add_cookie(void *ctx, const struct socket_entry *s)
{
	const struct own_sockets *own = ctx;
	bool accepted = own->listens[s->local_port / 64] >> s->local_port % 64 & 1;

	if (s->inode && !accepted &&
	    bsearch(&s->inode, own->inodes, own->nr, sizeof(*own->inodes), by_value))
		bpf_map_update_elem(own->cookies_fd, &s->cookie, &own->id, BPF_ANY);
	return 0;
}

static int find_cookies(void *ctx)
{
	return sockets_each(true, add_listener, ctx) ?: sockets_each(false, add_cookie, ctx);
}

/* Its address may be another's by tomorrow. */
static void leave_homes(struct observer *o, uint32_t id)
{
	int fd = bpf_map__fd(o->request->maps.homes);
	struct {
		uint32_t addr[4];
		uint16_t port, pad;
	} key, next;
	bool more = bpf_map_get_next_key(fd, NULL, &next) == 0;

	for (uint32_t i = 0; more && i < bpf_map__max_entries(o->request->maps.homes); i++) {
		uint32_t owner;

		key = next;
		more = bpf_map_get_next_key(fd, &key, &next) == 0;
		if (bpf_map_lookup_elem(fd, &key, &owner) == 0 && owner == id)
			bpf_map_delete_elem(fd, &key);
	}
}

static void adopt_sockets(struct observer *o, const struct service *s)
{
	struct own_sockets own = { .id = s->id,
				   .cookies_fd = bpf_map__fd(o->request->maps.cookies) };
	CLEANUP(freep) uint64_t *inodes = calloc(OWN_SOCKETS_MAX, sizeof(*inodes));

	if (!inodes)
		return;
	own.inodes = inodes;
	for (size_t i = 0; i < s->nr_pids; i++)
		proc_each_socket(s->pids[i], add_inode, &own);
	qsort(inodes, own.nr, sizeof(*inodes), by_value);
	/* Without the right to enter: those that connected before us are known from their next connection on. */
	CLEANUP(closep) int fd = s->netns_ino && s->netns_ino != netns_here() ?
		netns_open(s->netns_ino, s->nr_pids ? s->pids[0] : 0) :
		-1;
	if (fd >= 0)
		netns_run(fd, find_cookies, &own);
	else
		find_cookies(&own);
}

/* ---- identity maps: what was there goes, what is there now comes */

static bool has_port(const struct service *s, uint16_t port)
{
	for (size_t i = 0; s && i < s->nr_ports; i++)
		if (s->ports[i] == port)
			return true;
	return false;
}

static bool has_pid(const struct service *s, pid_t pid)
{
	for (size_t i = 0; s && i < s->nr_pids; i++)
		if (s->pids[i] == pid)
			return true;
	return false;
}

/* A key that has another owner by now is not ours to delete. */
static void forget_key(int fd, const void *key, uint32_t id)
{
	uint32_t owner;

	if (bpf_map_lookup_elem(fd, key, &owner) == 0 && owner == id)
		bpf_map_delete_elem(fd, key);
}

static int watch_ports(struct observer *o, const struct service *before, const struct service *now)
{
	int fd = bpf_map__fd(o->request->maps.ports), err = 0;

	for (size_t i = 0; before && i < before->nr_ports; i++) {
		struct abi_port_key key = { .netns_ino = before->netns_ino,
					    .port = before->ports[i] };
		if (!has_port(now, before->ports[i]))
			forget_key(fd, &key, before->id);
	}
	for (size_t i = 0; now && i < now->nr_ports; i++) {
		struct abi_port_key key = { .netns_ino = now->netns_ino, .port = now->ports[i] };
		if (bpf_map_update_elem(fd, &key, &now->id, BPF_ANY) < 0)
			err = -errno;
	}
	return err;
}

int observer_watch_tasks(int tgids, int cgroups, const struct service *before,
			 const struct service *now)
{
	int err = 0;

	for (size_t i = 0; before && i < before->nr_pids; i++) {
		uint32_t pid = (uint32_t)before->pids[i];
		if (!has_pid(now, before->pids[i]))
			forget_key(tgids, &pid, before->id);
	}
	for (size_t i = 0; now && i < now->nr_pids; i++) {
		uint32_t pid = (uint32_t)now->pids[i];
		if (bpf_map_update_elem(tgids, &pid, &now->id, BPF_ANY) < 0)
			err = -errno;
	}
	if (before && before->own_cgroup &&
	    (!now || !now->own_cgroup || now->cgroup_id != before->cgroup_id))
		forget_key(cgroups, &before->cgroup_id, before->id);
	if (now && now->own_cgroup &&
	    bpf_map_update_elem(cgroups, &now->cgroup_id, &now->id, BPF_ANY) < 0)
		err = -errno;
	return err;
}

static int watch_tasks(struct observer *o, const struct service *before, const struct service *now)
{
	return observer_watch_tasks(bpf_map__fd(o->request->maps.tgids),
				    bpf_map__fd(o->request->maps.cgroups), before, now);
}

/* Every socket decides its role again with its next packet. */
void observer_raise_epoch(struct observer *o)
{
	__atomic_store_n(&o->request->bss->config.epoch, ++o->epoch, __ATOMIC_RELEASE);
}

static bool same_identity(const struct service *a, const struct service *b)
{
	return a->netns_ino == b->netns_ino && a->own_cgroup == b->own_cgroup &&
		a->cgroup_id == b->cgroup_id && a->nr_ports == b->nr_ports &&
		a->nr_pids == b->nr_pids &&
		!memcmp(a->ports, b->ports, a->nr_ports * sizeof(*a->ports)) &&
		!memcmp(a->pids, b->pids, a->nr_pids * sizeof(*a->pids));
}

int observer_set_service(struct observer *o, const struct service *s)
{
	struct watched *w;
	uint32_t id = s->id;

	HASH_FIND(hh, o->services, &id, sizeof(id), w);
	if (w && same_identity(&w->s, s))
		return 0;

	const struct service *before = w ? &w->s : NULL;
	int err = watch_ports(o, before, s);
	int task_err = watch_tasks(o, before, s);

	observer_tasks_watch(o, before, s);
	adopt_sockets(o, s);
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->id = id;
		HASH_ADD(hh, o->services, id, sizeof(w->id), w);
	}
	w->s = *s;
	observer_raise_epoch(o);
	return err ?: task_err;
}

void observer_drop_service(struct observer *o, uint32_t id)
{
	struct watched *w;

	HASH_FIND(hh, o->services, &id, sizeof(id), w);
	if (!w)
		return;
	watch_ports(o, &w->s, NULL);
	watch_tasks(o, &w->s, NULL);
	observer_tasks_watch(o, &w->s, NULL);
	leave_homes(o, id);
	HASH_DEL(o->services, w);
	free(w);
	observer_raise_epoch(o);
}

void observer_both_ends(struct observer *o, bool on)
{
	if (o->both_ends == on)
		return;
	o->both_ends = on;
	__atomic_store_n(&o->request->bss->config.both_ends, on, __ATOMIC_RELAXED);
	observer_raise_epoch(o);
}

uint64_t observer_served(const struct observer *o, uint32_t service)
{
	const struct watched *w;

	HASH_FIND(hh, o->services, &service, sizeof(service), w);
	return w ? w->served : 0;
}
