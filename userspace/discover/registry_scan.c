// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the machine says, put to services. Who holds which listener is found out
 * in registry_holders.c.
 */
#include <errno.h>
#include <string.h>

#include "discover/registry_internal.h"
#include "kernel/cgroup.h"

/* ---- one service */

void service_add_pid(struct registry *r, struct service *s, pid_t pid)
{
	for (size_t i = 0; i < s->nr_pids; i++)
		if (s->pids[i] == pid)
			return;
	if (s->nr_pids < SERVICE_PIDS_MAX)
		s->pids[s->nr_pids++] = pid;
	else
		r->stats.pids_overflow++;
}

static void add_port(struct registry *r, struct service *s, uint16_t port)
{
	for (size_t i = 0; i < s->nr_ports; i++)
		if (s->ports[i] == port)
			return;
	if (s->nr_ports < SERVICE_PORTS_MAX)
		s->ports[s->nr_ports++] = port;
	else
		r->stats.ports_overflow++;
}

/* A process that only inherited a listener does not make the port its service's. */
static bool is_made_by(const struct listener *l, const struct service *s)
{
	for (size_t i = 0; i < s->nr_pids; i++)
		if (l->nr_pids && l->pids[0] == s->pids[i])
			return true;
	return false;
}

/* Did somebody attach this port under another name? */
static bool is_anothers(const struct registry *r, const struct entry *e, const struct listener *l)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->entries[i] != e && r->entries[i]->s.source == SERVICE_BY_PORT &&
		    r->entries[i]->by_port == l->port && l->netns_ino == r->netns_ino)
			return true;
	return false;
}

static void add_holders(struct registry *r, struct service *s, uint16_t port)
{
	for (size_t i = 0; i < r->nr_listeners; i++) {
		const struct listener *l = &r->listeners[i];
		for (size_t k = 0;
		     l->port == port && l->netns_ino == s->netns_ino && k < l->nr_pids; k++)
			service_add_pid(r, s, l->pids[k]);
	}
}

/* By port: whoever holds a listener on it. */
static void select_port(struct registry *r, const struct entry *e, struct service *s)
{
	uint16_t port = s->source == SERVICE_FOUND ? e->s.ports[0] : e->by_port;

	add_port(r, s, port);
	add_holders(r, s, port);
}

static void see_namespace(struct service *s)
{
	if (s->nr_pids)
		proc_netns(s->pids[0], &s->netns_ino);
}

void registry_add_ports(struct registry *r, const struct entry *e, struct service *s)
{
	for (size_t i = 0; i < r->nr_listeners; i++) {
		const struct listener *l = &r->listeners[i];
		if (l->netns_ino == s->netns_ino && !is_anothers(r, e, l) &&
		    (is_made_by(l, s) || (s->cgroup_id && l->cgroup_id == s->cgroup_id)))
			add_port(r, s, l->port);
	}
}

/* By cgroup: its processes, and the listeners that they made or that were made in it. */
static void select_cgroup(struct registry *r, const struct entry *e, struct service *s)
{
	pid_t pids[SERVICE_PIDS_MAX];
	ssize_t nr = cgroup_procs(e->by_cgroup, pids, SERVICE_PIDS_MAX);

	cgroup_path_id(e->by_cgroup, &s->cgroup_id);
	if (nr > SERVICE_PIDS_MAX)
		r->stats.pids_overflow++;
	for (ssize_t i = 0; i < nr && i < SERVICE_PIDS_MAX; i++)
		service_add_pid(r, s, pids[i]);
	service_choose_main(s);
	see_namespace(s);
	registry_add_ports(r, e, s);
}

/*
 * By pid: the process, and its children that hold a listener with it. Once it
 * has died, whoever listens on its port took its place.
 */
static void select_pid(struct registry *r, const struct entry *e, struct service *s)
{
	struct proc_stat st;
	bool alive = proc_stat(e->by_pid, &st) == 0 &&
		(!e->s.main_start_ticks || e->s.pids[0] != e->by_pid ||
		 st.start_ticks == e->s.main_start_ticks);

	if (alive) {
		service_add_pid(r, s, e->by_pid);
		see_namespace(s);
		for (size_t i = 0; i < r->nr_listeners; i++) {
			const struct listener *l = &r->listeners[i];
			if (l->netns_ino != s->netns_ino || !listener_held_by(l, e->by_pid) ||
			    is_anothers(r, e, l))
				continue;
			add_port(r, s, l->port);
			for (size_t k = 0; k < l->nr_pids; k++)
				service_add_pid(r, s, l->pids[k]);
		}
		return;
	}
	s->netns_ino = e->s.netns_ino;
	for (size_t p = 0; p < e->s.nr_ports; p++) {
		add_port(r, s, e->s.ports[p]);
		add_holders(r, s, e->s.ports[p]);
	}
}

/* The oldest process comes first: a parent is older than the workers that it made. */
void service_choose_main(struct service *s)
{
	struct proc_stat best = { 0 }, st;
	size_t at = 0;

	for (size_t i = 0; i < s->nr_pids; i++) {
		if (proc_stat(s->pids[i], &st) < 0)
			continue;
		if (!best.pid || st.start_ticks < best.start_ticks ||
		    (st.start_ticks == best.start_ticks && st.pid < best.pid)) {
			best = st;
			at = i;
		}
	}
	if (!best.pid)
		return;
	s->pids[at] = s->pids[0];
	s->pids[0] = best.pid;
	s->main_start_ticks = best.start_ticks;
}

/* Nobody lives in the cgroup but the service and its children. The root belongs to all. */
static bool owns_cgroup(const struct service *s)
{
	pid_t pids[SERVICE_PIDS_MAX];

	if (!s->cgroup[0] || !s->cgroup[1])
		return false;
	ssize_t nr = cgroup_procs(s->cgroup, pids, SERVICE_PIDS_MAX);
	if (nr <= 0 || nr > SERVICE_PIDS_MAX)
		return false;
	for (ssize_t i = 0; i < nr; i++)
		if (!registry_descends(s, pids[i]))
			return false;
	return true;
}

static bool has_supervisor(const struct service *s)
{
	struct proc_stat st, parent;

	/* The kernel keeps 15 bytes of a command's name. */
	return s->nr_pids && proc_stat(s->pids[0], &st) == 0 && proc_stat(st.ppid, &parent) == 0 &&
		!strcmp(parent.comm, "archaic-supervi");
}

/* Where it lives, and whether alone there. */
static void see_cgroup(struct entry *e, struct service *s)
{
	if (s->source == SERVICE_BY_CGROUP)
		memcpy(s->cgroup, e->by_cgroup, sizeof(s->cgroup));
	else if (!s->nr_pids || cgroup_of_pid(s->pids[0], s->cgroup) < 0)
		/* Between two lives: what attaches to the cgroup stays where it is. */
		memcpy(s->cgroup, e->s.cgroup, sizeof(s->cgroup));
	if (*s->cgroup)
		cgroup_path_id(s->cgroup, &s->cgroup_id);
	s->own_cgroup = owns_cgroup(s) || (!s->nr_pids && e->s.own_cgroup);
}

bool registry_refresh(struct registry *r, struct entry *e)
{
	struct service s = { 0 };

	s.id = e->s.id;
	s.source = e->s.source;
	s.found = e->s.found;
	s.netns_ino = r->netns_ino;
	memcpy(s.name, e->s.name, sizeof(s.name));
	if (e->target) {
		registry_select_target(r, e, &s);
	} else {
		if (s.source == SERVICE_BY_CGROUP)
			select_cgroup(r, e, &s);
		else if (s.source == SERVICE_BY_PID)
			select_pid(r, e, &s);
		else
			select_port(r, e, &s);
		service_choose_main(&s);
		see_cgroup(e, &s);
	}
	s.supervised = e->said_supervised || has_supervisor(&s) || (!s.nr_pids && e->s.supervised);

	if (!memcmp(&s, &e->s, sizeof(s)))
		return false;
	if (s.nr_pids && e->s.nr_pids && s.main_start_ticks != e->s.main_start_ticks)
		r->stats.restarts_seen++;
	e->s = s;
	e->dirty = true;
	return true;
}

/* ---- listeners that nobody attached */

static bool is_skipped(const struct registry *r, const struct listener *l)
{
	for (size_t i = 0; i < r->options.nr_skip_ports; i++)
		if (r->skip_ports[i] == l->port && l->netns_ino == r->netns_ino)
			return true;
	for (size_t i = 0; i < r->nr_ignored; i++)
		if (r->ignored[i] == l->inode)
			return true;
	return !l->nr_pids || listener_held_by(l, getpid());
}

/* COMMAND-PORT, with what a name may not hold replaced; the port makes it unique. */
void listener_name(const struct listener *l, char name[static SERVICE_NAME_MAX])
{
	struct proc_stat st = { .comm = "" };
	size_t len = 0;

	proc_stat(l->pids[0], &st);
	for (const char *c = st.comm; *c && len < 32; c++) {
		bool word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			(*c >= '0' && *c <= '9') || *c == '_';
		if (word || (len && (*c == '-' || *c == '.')))
			name[len++] = *c;
		else if (len)
			name[len++] = '_';
	}
	snprintf(name + len, SERVICE_NAME_MAX - len, "%s%u", len ? "-" : "port-", l->port);
}

static void find_new(struct registry *r, uint64_t now_ns)
{
	for (size_t i = 0; i < r->nr_listeners; i++) {
		const struct listener *l = &r->listeners[i];
		char name[SERVICE_NAME_MAX];

		if (is_skipped(r, l) || registry_at_port(r, l->netns_ino, l->port) ||
		    registry_find_target(r, l, now_ns) || l->netns_ino != r->netns_ino)
			continue;
		listener_name(l, name);
		if (registry_by_name(r, name))
			continue;
		struct entry *e = registry_add(r, name, SERVICE_FOUND);
		if (!e)
			return;
		e->s.found = true;
		e->s.ports[0] = l->port;
		e->s.nr_ports = 1;
		registry_refresh(r, e);
	}
}

/* An attached service took a port of it since. */
static bool is_claimed(const struct registry *r, const struct service *s)
{
	for (size_t i = 0; i < r->nr; i++)
		for (size_t k = 0; k < s->nr_ports; k++)
			if (!r->entries[i]->s.found &&
			    service_listens(&r->entries[i]->s, s->netns_ino, s->ports[k]))
				return true;
	return false;
}

/* A container or unit is there as long as it has processes, whether they listen now or not. */
static bool is_present(const struct registry *r, const struct entry *e)
{
	if (e->target)
		return e->s.nr_pids > 0;
	for (size_t i = 0; i < r->nr_listeners; i++) {
		const struct listener *l = &r->listeners[i];

		if (service_listens(&e->s, l->netns_ino, l->port) && !is_skipped(r, l))
			return true;
	}
	return false;
}

static void drop_absent(struct registry *r, uint64_t now_ns)
{
	for (size_t i = r->nr; i-- > 0;) {
		struct entry *e = r->entries[i];

		if (!e->s.found)
			continue;
		if (is_claimed(r, &e->s))
			registry_drop(r, e);
		else if (is_present(r, e))
			e->absent_since_ns = 0;
		else if (!e->absent_since_ns)
			e->absent_since_ns = now_ns;
		else if (now_ns - e->absent_since_ns >= r->options.grace_ns)
			registry_drop(r, e);
	}
}

/* A socket that is gone need not be ignored any more: its inode may be used again. */
static void forget_ignored(struct registry *r)
{
	for (size_t i = r->nr_ignored; i-- > 0;)
		if (!registry_listener(r, r->ignored[i]))
			r->ignored[i] = r->ignored[--r->nr_ignored];
}

int registry_scan(struct registry *r, uint64_t now_ns)
{
	int err = registry_dump(r);

	r->stats.scans++;
	if (err) {
		r->stats.failed_scans++;
		return err;
	}
	forget_ignored(r);
	for (size_t i = 0; i < r->nr; i++)
		registry_refresh(r, r->entries[i]);
	if (r->options.discover)
		find_new(r, now_ns);
	drop_absent(r, now_ns);
	return 0;
}
