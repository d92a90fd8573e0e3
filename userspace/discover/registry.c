// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "discover/registry_internal.h"
#include "kernel/cgroup.h"

#define GRACE_NS (30ULL * 1000000000ULL)

bool service_name_valid(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len = strlen(name);

	return len && len < SERVICE_NAME_MAX && strspn(name, allowed) == len && name[0] != '.' &&
		name[0] != '-';
}

int registry_new(const struct registry_options *options, struct registry **ret)
{
	CLEANUP(registry_freep) struct registry *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->listeners = calloc(LISTENERS_MAX, sizeof(*r->listeners));
	if (!r->listeners)
		return -ENOMEM;
	r->options = *options;
	if (!r->options.grace_ns)
		r->options.grace_ns = GRACE_NS;
	r->options.nr_skip_ports = MIN(options->nr_skip_ports, (size_t)SKIP_PORTS_MAX);
	if (r->options.nr_skip_ports)
		memcpy(r->skip_ports, options->skip_ports,
		       r->options.nr_skip_ports * sizeof(*r->skip_ports));
	r->options.skip_ports = r->skip_ports;
	r->next_id = 1;
	r->procs = calloc(PROCS_MAX, sizeof(*r->procs));
	if (!r->procs)
		return -ENOMEM;
	snprintf(r->below, sizeof(r->below), "%s", options->below ?: "");
	r->options.below = r->below;
	char cgroup[SERVICE_CGROUP_MAX];
	if (cgroup_of_pid(getpid(), cgroup) == 0)
		workload_of_cgroup(cgroup, &r->own);
	int err = proc_netns(getpid(), &r->netns_ino);
	if (err)
		return err;
	*ret = TAKE_PTR(r);
	return 0;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nr; i++)
		free(r->entries[i]);
	free(r->procs);
	free(r->listeners);
	free(r);
}

void registry_freep(struct registry **r)
{
	registry_free(*r);
}

struct entry *registry_add(struct registry *r, const char *name, enum service_source source)
{
	struct entry *e = r->nr < SERVICE_MAX ? calloc(1, sizeof(*e)) : NULL;

	if (!e) {
		r->stats.refused_full++;
		return NULL;
	}
	e->s.id = r->next_id++;
	e->s.source = source;
	e->s.netns_ino = r->netns_ino;
	snprintf(e->s.name, sizeof(e->s.name), "%s", name);
	e->dirty = true;
	r->entries[r->nr++] = e;
	return e;
}

void registry_drop(struct registry *r, struct entry *e)
{
	size_t i = 0;

	while (r->entries[i] != e)
		i++;
	memmove(&r->entries[i], &r->entries[i + 1], (r->nr - i - 1) * sizeof(*r->entries));
	r->nr--;
	/* Full only when nobody asks for changes: the newest are what matters then. */
	if (r->nr_gone == SERVICE_MAX)
		memmove(r->gone, r->gone + 1, --r->nr_gone * sizeof(*r->gone));
	r->gone[r->nr_gone++] = e->s;
	free(e);
}

static struct entry *find_name(const struct registry *r, const char *name)
{
	for (size_t i = 0; i < r->nr; i++)
		if (!strcmp(r->entries[i]->s.name, name))
			return r->entries[i];
	return NULL;
}

bool service_listens(const struct service *s, uint32_t netns_ino, uint16_t port)
{
	if (s->netns_ino != netns_ino)
		return false;
	for (size_t i = 0; i < s->nr_ports; i++)
		if (s->ports[i] == port)
			return true;
	return false;
}

static bool has_pid(const struct service *s, pid_t pid)
{
	for (size_t i = 0; i < s->nr_pids; i++)
		if (s->pids[i] == pid)
			return true;
	return false;
}

bool registry_descends(const struct service *s, pid_t pid)
{
	for (int i = 0; i < PARENTS_MAX && pid > 1; i++) {
		struct proc_stat st;

		if (has_pid(s, pid))
			return true;
		if (proc_stat(pid, &st) < 0)
			return false;
		pid = st.ppid;
	}
	return false;
}

/* ---- attaching */

static int check_selector(const struct registry_attach *a, struct problem *p)
{
	char number[32];
	struct proc_stat st;
	uint64_t id;

	if (a->name ? !service_name_valid(a->name) : !a->target)
		return problem_parameter(p, 400, "name", a->name ?: "missing",
					 "1 to 63 of A-Z a-z 0-9 . _ -, and not begin with . or -");
	if (a->name && (!strcmp(a->name, "self") || !strcmp(a->name, "outside")))
		return problem_parameter(p, 400, "name", a->name,
					 "another name: this one has a meaning of its own");
	if (!!a->port + !!a->pid + !!a->cgroup + !!a->target != 1)
		return problem_set(
			p, 400, "give exactly one of port, pid, cgroup, container, pod and unit");
	if (a->port > 65535) {
		snprintf(number, sizeof(number), "%u", a->port);
		return problem_parameter(p, 400, "port", number, "a number from 1 to 65535");
	}
	if (a->pid < 0 || a->pid > INT32_MAX || (a->pid && proc_stat((pid_t)a->pid, &st) < 0))
		return problem_set(p, 404, "pid is %lld; there is no such process",
				   (long long)a->pid);
	if (a->cgroup && !cgroup_path_valid(a->cgroup))
		return problem_parameter(
			p, 400, "cgroup", a->cgroup,
			"a path below the cgroup v2 mount that begins with / and has no .. in it");
	if (a->cgroup && cgroup_path_id(a->cgroup, &id) < 0)
		return problem_set(p, 404,
				   "cgroup is %s; there is no such cgroup below the v2 mount",
				   a->cgroup);
	return 0;
}

static bool same_selector(const struct entry *e, const struct registry_attach *a)
{
	if (a->port)
		return e->s.source == SERVICE_BY_PORT && e->by_port == a->port;
	if (a->pid)
		return e->s.source == SERVICE_BY_PID && e->by_pid == a->pid;
	if (a->target)
		return !memcmp(&e->selector, a->target, sizeof(e->selector));
	return e->s.source == SERVICE_BY_CGROUP && !strcmp(e->by_cgroup, a->cgroup);
}

/* Somebody else's claim to what is asked for. */
static int check_taken(const struct registry *r, const struct registry_attach *a, struct problem *p)
{
	for (size_t i = 0; i < r->nr; i++) {
		const struct entry *e = r->entries[i];

		if (e->s.found)
			continue;
		if (same_selector(e, a) ||
		    (a->port && service_listens(&e->s, r->netns_ino, (uint16_t)a->port)))
			return problem_set(p, 409, "this is service %s already; detach it first",
					   e->s.name);
		if (a->name && !strcmp(e->s.name, a->name))
			return problem_set(p, 409, "the name %s is taken by another service",
					   a->name);
	}
	return 0;
}

static void select_by(struct entry *e, const struct registry_attach *a)
{
	e->by_port = (uint16_t)a->port;
	e->by_pid = (pid_t)a->pid;
	snprintf(e->by_cgroup, sizeof(e->by_cgroup), "%s", a->cgroup ? a->cgroup : "");
	e->s.source = a->port ? SERVICE_BY_PORT : a->pid ? SERVICE_BY_PID : SERVICE_BY_CGROUP;
	if (a->target) {
		static const enum service_source sources[] = {
			[TARGET_CONTAINER] = SERVICE_BY_CONTAINER,
			[TARGET_POD] = SERVICE_BY_POD,
			[TARGET_UNIT] = SERVICE_BY_UNIT,
		};

		e->selector = *a->target;
		e->target = a->target->kind;
		e->s.source = sources[e->target];
	}
	e->said_supervised = a->supervised;
	e->dirty = true;
}

/* A found service that the new one turns out to be: one that shares a port with it, or the same container or unit. */
static struct entry *found_twin(const struct registry *r, const struct entry *e)
{
	for (size_t i = 0; i < r->nr; i++) {
		struct entry *f = r->entries[i];

		if (!f->s.found || f == e)
			continue;
		if (e->target && f->target == e->target && *e->key && !strcmp(e->key, f->key) &&
		    !strcmp(e->by_cgroup, f->by_cgroup))
			return f;
		for (size_t k = 0; k < e->s.nr_ports; k++)
			if (service_listens(&f->s, e->s.netns_ino, e->s.ports[k]))
				return f;
	}
	return NULL;
}

/* What was found of it before keeps its id and its baseline; a second and third port of it go. */
static struct entry *absorb(struct registry *r, struct entry *e, bool keep_name)
{
	struct entry *twin = found_twin(r, e);
	struct entry *keep = e;

	if (twin) {
		uint32_t id = twin->s.id;
		uint32_t instance = twin->target ? twin->s.instance : e->s.instance;
		char name[SERVICE_NAME_MAX];

		memcpy(name, keep_name ? twin->s.name : e->s.name, sizeof(name));
		*twin = *e;
		twin->s.id = id;
		twin->s.instance = instance;
		memcpy(twin->s.name, name, sizeof(name));
		twin->dirty = true;
		/* The new entry was nobody's yet: it leaves without a word. */
		r->entries[--r->nr] = NULL;
		free(e);
		keep = twin;
	}
	while ((twin = found_twin(r, keep)))
		registry_drop(r, twin);
	return keep;
}

/* What somebody asks for goes before what was only found: the newest such has the least to lose. */
static void make_room(struct registry *r, const struct registry_attach *a)
{
	for (size_t i = r->nr; r->nr == SERVICE_MAX && i-- > 0;) {
		struct entry *e = r->entries[i];
		bool meant = a->port && service_listens(&e->s, r->netns_ino, (uint16_t)a->port);

		if (e->s.found && !meant)
			registry_drop(r, e);
	}
}

/* A new entry, the last of the table; nobody has been told of it yet. */
static int add_attached(struct registry *r, const struct registry_attach *a, struct entry **ret,
			struct problem *p)
{
	char name[SERVICE_NAME_MAX];

	make_room(r, a);
	struct entry *e = registry_add(r, a->name ?: "", SERVICE_BY_PORT);
	if (!e)
		return problem_set(p, 422, "the table of services is full (%d); detach one first",
				   SERVICE_MAX);
	select_by(e, a);
	int err = e->target ? registry_resolve(r, e, p) : 0;
	if (err && !(err == -ENOENT && a->later)) {
		r->entries[--r->nr] = NULL;
		free(e);
		return err;
	}
	if (!a->name) {
		registry_name_target(r, e, name);
		memcpy(e->s.name, name, sizeof(name));
	}
	*ret = e;
	return 0;
}

/* Is its name that of a found service which it is not? */
static int check_found_name(const struct registry *r, const struct entry *e, struct problem *p)
{
	for (size_t i = 0; i < r->nr; i++) {
		const struct entry *f = r->entries[i];

		if (f == e || strcmp(f->s.name, e->s.name) != 0 || found_twin(r, e) == f)
			continue;
		return problem_set(p, 409,
				   "the name %s is taken by a service that was found on port %u",
				   e->s.name, f->s.nr_ports ? f->s.ports[0] : 0);
	}
	return 0;
}

int registry_attach(struct registry *r, const struct registry_attach *a, uint64_t now_ns,
		    struct service *ret, struct problem *p)
{
	(void)now_ns;
	int err = check_selector(a, p);
	if (err)
		return err;

	struct entry *e = a->name ? find_name(r, a->name) : NULL;
	if (e && same_selector(e, a)) {
		e->said_supervised |= a->supervised;
	} else {
		err = check_taken(r, a, p);
		if (err)
			return err;
		err = add_attached(r, a, &e, p);
		if (err)
			return err;
	}
	/* Its namespace is known after the first look. An old picture of the listeners is better than none. */
	registry_refresh(r, e);
	registry_dump(r);
	registry_refresh(r, e);
	err = a->name ? check_found_name(r, e, p) : 0;
	if (err) {
		r->entries[--r->nr] = NULL;
		free(e);
		return err;
	}
	e = absorb(r, e, !a->name);
	if (ret)
		*ret = e->s;
	return 0;
}

int registry_detach(struct registry *r, const char *name, struct service *ret, struct problem *p)
{
	struct entry *e = find_name(r, name);

	if (!e)
		return problem_set(p, 404, "there is no service %s", name);
	for (size_t i = 0; i < r->nr_listeners && r->nr_ignored < IGNORED_MAX; i++)
		if (service_listens(&e->s, r->listeners[i].netns_ino, r->listeners[i].port))
			r->ignored[r->nr_ignored++] = r->listeners[i].inode;
	if (ret)
		*ret = e->s;
	registry_drop(r, e);
	return 0;
}

/* ---- looking up */

void registry_changes(struct registry *r, void (*cb)(void *ctx, const struct service *s, bool gone),
		      void *ctx)
{
	for (size_t i = 0; i < r->nr_gone; i++)
		cb(ctx, &r->gone[i], true);
	r->nr_gone = 0;
	for (size_t i = 0; i < r->nr; i++) {
		if (!r->entries[i]->dirty)
			continue;
		r->entries[i]->dirty = false;
		cb(ctx, &r->entries[i]->s, false);
	}
}

const struct service *registry_by_name(const struct registry *r, const char *name)
{
	const struct entry *e = find_name(r, name);

	return e ? &e->s : NULL;
}

const struct service *registry_by_id(const struct registry *r, uint32_t id)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->entries[i]->s.id == id)
			return &r->entries[i]->s;
	return NULL;
}

const struct service *registry_at_port(const struct registry *r, uint32_t netns_ino, uint16_t port)
{
	for (size_t i = 0; i < r->nr; i++)
		if (service_listens(&r->entries[i]->s, netns_ino, port))
			return &r->entries[i]->s;
	return NULL;
}

const struct service *registry_by_port(const struct registry *r, uint16_t port)
{
	return registry_at_port(r, r->netns_ino, port);
}

const struct service *registry_by_container(const struct registry *r, const char *id)
{
	for (size_t i = 0; i < r->nr; i++)
		if (*id && !strcmp(r->entries[i]->s.container_id, id))
			return &r->entries[i]->s;
	return NULL;
}

/* A container's or pod's is its own with all below it. */
static bool lives_in(const struct service *s, const char *cgroup)
{
	size_t len = strlen(s->cgroup);

	return s->own_cgroup && !strncmp(s->cgroup, cgroup, len) &&
		(!cgroup[len] || (s->instance && cgroup[len] == '/'));
}

const struct service *registry_by_pid(const struct registry *r, pid_t pid)
{
	char cgroup[SERVICE_CGROUP_MAX] = "";

	cgroup_of_pid(pid, cgroup);
	for (size_t i = 0; i < r->nr; i++) {
		const struct service *s = &r->entries[i]->s;
		if (has_pid(s, pid) || lives_in(s, cgroup))
			return s;
	}
	for (size_t i = 0; i < r->nr; i++)
		if (registry_descends(&r->entries[i]->s, pid))
			return &r->entries[i]->s;
	return NULL;
}

size_t registry_count(const struct registry *r)
{
	return r->nr;
}

const struct service *registry_at(const struct registry *r, size_t i)
{
	return i < r->nr ? &r->entries[i]->s : NULL;
}

struct registry_stats registry_stats(const struct registry *r)
{
	return r->stats;
}
