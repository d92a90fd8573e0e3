// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Listeners by one netlink dump, their holders by a walk through /proc that is
 * made only when a listener is there that was not there at the scan before, or a
 * holder has died. Between two walks the holders' new children are looked at:
 * a server makes workers while it runs, and they inherit its listener.
 *
 * Not every holder is who serves. A service manager that listens on behalf of
 * others (socket activation) keeps the socket beside the process that it started
 * for it, in another cgroup; and a program that was started with a descriptor too
 * many holds a listener that it knows nothing of, beside one of its own. Both are
 * left out, else their CPU time, their calls and their end would be another's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "discover/registry_internal.h"
#include "kernel/cgroup.h"
#include "kernel/sockets.h"

#define WALK_EVERY 10 /* scans, where somebody may have come without a sign */
#define CHILDREN_TEXT 4096

struct dump {
	struct listener *list;
	size_t nr;
	uint32_t netns_ino; /* that is being listed */
};

static int add_listener(void *ctx, const struct socket_entry *s)
{
	struct dump *d = ctx;

	if (d->nr < LISTENERS_MAX && s->inode)
		d->list[d->nr++] = (struct listener){
			.inode = s->inode,
			.cgroup_id = s->cgroup_id,
			.netns_ino = d->netns_ino,
			.port = s->local_port,
		};
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	uint64_t x = ((const struct listener *)a)->inode, y = ((const struct listener *)b)->inode;

	return x < y ? -1 : x > y;
}

static struct listener *find_inode(struct listener *list, size_t nr, uint64_t inode)
{
	const struct listener key = { .inode = inode };

	return bsearch(&key, list, nr, sizeof(*list), by_inode);
}

const struct listener *registry_listener(const struct registry *r, uint64_t inode)
{
	return find_inode(r->listeners, r->nr_listeners, inode);
}

bool listener_held_by(const struct listener *l, pid_t pid)
{
	for (size_t i = 0; i < l->nr_pids; i++)
		if (l->pids[i] == pid)
			return true;
	return false;
}

static int add_holder(void *ctx, uint64_t inode, pid_t pid)
{
	struct dump *d = ctx;
	struct listener *l = find_inode(d->list, d->nr, inode);

	/* A process may hold it under several descriptors: they come one after the other. */
	if (l && l->nr_pids < SERVICE_PIDS_MAX && (!l->nr_pids || l->pids[l->nr_pids - 1] != pid))
		l->pids[l->nr_pids++] = pid;
	return 0;
}

/* ---- holders that do not serve */

static void take_out(struct listener *l, size_t i)
{
	memmove(&l->pids[i], &l->pids[i + 1], (l->nr_pids - i - 1) * sizeof(l->pids[0]));
	l->nr_pids--;
}

static bool is_manager(const struct proc_stat *st)
{
	static const char *const names[] = { "systemd", "inetd", "xinetd" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(st->comm, names[i]))
			return true;
	return st->pid == 1 && !strcmp(st->comm, "init");
}

static bool descends(pid_t pid, pid_t from)
{
	struct proc_stat st = { .ppid = pid };

	for (int i = 0; i < PARENTS_MAX && st.ppid > 1; i++) {
		if (proc_stat(st.ppid, &st) < 0)
			return false;
		if (st.ppid == from)
			return true;
	}
	return false;
}

/* Does another holder come from @pid and live in another cgroup? Then @pid only listens on its behalf. */
static bool listens_for_another(const struct listener *l, pid_t pid)
{
	char mine[SERVICE_CGROUP_MAX], other[SERVICE_CGROUP_MAX];

	if (cgroup_of_pid(pid, mine) < 0)
		return false;
	for (size_t i = 0; i < l->nr_pids; i++)
		if (l->pids[i] != pid && cgroup_of_pid(l->pids[i], other) == 0 &&
		    strcmp(mine, other) != 0 && descends(l->pids[i], pid))
			return true;
	return false;
}

static void leave_out_managers(struct listener *l)
{
	struct proc_stat st;

	for (size_t i = l->nr_pids; i-- > 0;)
		if ((proc_stat(l->pids[i], &st) == 0 && is_manager(&st)) ||
		    (l->nr_pids > 1 && listens_for_another(l, l->pids[i])))
			take_out(l, i);
}

/* The oldest holder made the listener; the others inherited it. It comes first. */
static void put_maker_first(struct listener *l)
{
	struct proc_stat maker = { 0 }, st;
	size_t at = 0;

	for (size_t i = 0; i < l->nr_pids; i++)
		if (proc_stat(l->pids[i], &st) == 0 &&
		    (!maker.pid || st.start_ticks < maker.start_ticks ||
		     (st.start_ticks == maker.start_ticks && st.pid < maker.pid))) {
			maker = st;
			at = i;
		}
	if (!maker.pid)
		return;
	l->pids[at] = l->pids[0];
	l->pids[0] = maker.pid;
}

static bool has_its_own(const struct dump *d, const struct listener *but, pid_t pid)
{
	for (size_t i = 0; i < d->nr; i++)
		if (d->list[i].port != but->port && d->list[i].nr_pids && d->list[i].pids[0] == pid)
			return true;
	return false;
}

/* A worker with a port of its own, for debugging say, is still a worker: it runs the same program. */
static void leave_out_leaks(const struct dump *d, struct listener *l)
{
	struct proc_stat maker, st;

	if (l->nr_pids < 2 || proc_stat(l->pids[0], &maker) < 0)
		return;
	for (size_t i = l->nr_pids; --i > 0;)
		if (proc_stat(l->pids[i], &st) == 0 && strcmp(st.comm, maker.comm) != 0 &&
		    has_its_own(d, l, st.pid))
			take_out(l, i);
}

/* ---- from scan to scan */

static int add_if_held(void *ctx, uint64_t inode, pid_t pid)
{
	struct listener *l = ctx;

	if (inode != l->inode)
		return 0;
	if (l->nr_pids < SERVICE_PIDS_MAX)
		l->pids[l->nr_pids++] = pid;
	return 1;
}

/* False: the kernel does not tell children (CONFIG_PROC_CHILDREN). */
static bool add_children(struct listener *l, pid_t parent)
{
	char path[64], text[CHILDREN_TEXT], *rest = text, *word;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	if (!f)
		return false;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	while ((word = strsep(&rest, " "))) {
		uint64_t pid;
		if (text_to_u64(word, 1, INT32_MAX, &pid) == 0 && !listener_held_by(l, (pid_t)pid))
			proc_each_socket((pid_t)pid, add_if_held, l);
	}
	return true;
}

/* Holders known from the scan before, all of them still alive, and their new children. False: look again. */
static bool carry_over(struct registry *r, struct listener *l)
{
	const struct listener *old = registry_listener(r, l->inode);
	struct proc_stat st;
	bool told = true;

	if (!old)
		return false;
	for (size_t i = 0; i < old->nr_pids; i++)
		if (proc_stat(old->pids[i], &st) < 0 || st.state == 'Z')
			return false;
	memcpy(l->pids, old->pids, sizeof(l->pids));
	l->nr_pids = old->nr_pids;
	for (size_t i = 0; i < old->nr_pids; i++)
		told &= add_children(l, old->pids[i]);
	l->changed = l->nr_pids != old->nr_pids;
	/* The kernel's own sockets, and those that only a manager holds, would cost a walk each time. */
	if (told && l->nr_pids)
		return true;
	l->unheld_scans = old->unheld_scans + 1;
	return l->unheld_scans < WALK_EVERY;
}

static void leave_out(struct dump *d)
{
	for (size_t i = 0; i < d->nr; i++)
		if (d->list[i].changed) {
			leave_out_managers(&d->list[i]);
			put_maker_first(&d->list[i]);
		}
	for (size_t i = 0; i < d->nr; i++)
		if (d->list[i].changed)
			leave_out_leaks(d, &d->list[i]);
}

static int walk(struct dump *d)
{
	for (size_t i = 0; i < d->nr; i++) {
		d->list[i].nr_pids = d->list[i].unheld_scans = 0;
		d->list[i].changed = true;
	}
	return proc_each_socket(0, add_holder, d);
}

int registry_dump(struct registry *r)
{
	CLEANUP(freep) struct listener *list = calloc(LISTENERS_MAX, sizeof(*list));
	struct dump d = { .list = list, .netns_ino = r->netns_ino };
	bool look = false;

	if (!list)
		return -ENOMEM;
	int err = sockets_each(true, add_listener, &d);
	if (err)
		return err;
	registry_namespaces(r);
	for (size_t i = 0; i < r->nr_namespaces; i++) {
		d.netns_ino = r->namespaces[i].ino;
		/* Gone since: the next scan knows. */
		sockets_listeners_of(r->namespaces[i].pid, add_listener, &d);
	}
	qsort(d.list, d.nr, sizeof(*d.list), by_inode);
	for (size_t i = 0; i < d.nr; i++)
		if (!carry_over(r, &d.list[i]))
			look = true;
	err = look ? walk(&d) : 0;
	if (err)
		return err;
	leave_out(&d);
	free(r->listeners);
	r->listeners = TAKE_PTR(list);
	r->nr_listeners = d.nr;
	return 0;
}
