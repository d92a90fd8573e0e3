// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Containers, pods and units as services: which cgroup is the present instance, and
 * who takes the place of one that is gone.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "discover/registry_internal.h"
#include "kernel/cgroup.h"

#define MATCHES_MAX 32 /* containers of one pod, or of several where that is to be told */
#define ORDINAL_MAX 1000

static const char *const kinds[] = { "", "container", "pod", "unit" };

/* ---- the instance of an attached one */

static void take_instance(struct entry *e, const struct target *t, const char *cgroup)
{
	snprintf(e->by_cgroup, sizeof(e->by_cgroup), "%s", cgroup);
	snprintf(e->s.namespace, sizeof(e->s.namespace), "%s", t->namespace);
	snprintf(e->s.pod, sizeof(e->s.pod), "%s", t->pod);
	snprintf(e->s.container_id, sizeof(e->s.container_id), "%s",
		 e->target == TARGET_CONTAINER ? t->id : "");
	target_key(t, e->key);
}

static int resolve_unit(struct entry *e, struct problem *p)
{
	char path[SERVICE_CGROUP_MAX];

	if (cgroup_find(e->selector.name, path) < 0)
		return problem_set(p, 404, "unit is %s; no cgroup has that name: no such unit runs",
				   e->selector.name);
	memcpy(e->by_cgroup, path, sizeof(e->by_cgroup));
	snprintf(e->s.unit, sizeof(e->s.unit), "%s", e->selector.name);
	snprintf(e->key, sizeof(e->key), "unit/%s", e->selector.name);
	return 0;
}

/* All of one pod are one match. */
static int resolve_pod(struct entry *e, const struct target *t, size_t nr, struct problem *p)
{
	struct workload w, first = { 0 };

	for (size_t i = 0; i < nr; i++) {
		workload_of_cgroup(t[i].cgroup, &w);
		if (!*w.pod_cgroup)
			continue;
		if (*first.pod_cgroup && strcmp(first.pod_cgroup, w.pod_cgroup) != 0)
			return problem_set(
				p, 409,
				"pod is %s/%s; several pods on this node are meant (%s and others): name one",
				e->selector.namespace, e->selector.name, e->s.pod);
		if (!*first.pod_cgroup)
			take_instance(e, &t[i], w.pod_cgroup);
		first = w;
	}
	if (!*first.pod_cgroup)
		return problem_set(p, 404, "pod is %s/%s; its cgroup is not known",
				   e->selector.namespace, e->selector.name);
	/* A pod's key has no container in it. */
	*strrchr(e->key, '/') = '\0';
	return 0;
}

int registry_resolve(struct registry *r, struct entry *e, struct problem *p)
{
	const struct registry_targets *known = &r->options.targets;
	CLEANUP(freep) struct target *t = NULL;
	size_t nr = 0;

	if (e->target == TARGET_UNIT)
		return resolve_unit(e, p);
	t = calloc(MATCHES_MAX, sizeof(*t));
	if (!t)
		return -ENOMEM;
	if (known->find)
		nr = known->find(known->ctx, &e->selector, t, MATCHES_MAX);
	if (!nr)
		return problem_set(
			p, 404,
			"%s is %s%s%s; neither Docker nor the bundles of containerd and CRI-O on this machine "
			"name such a one that runs",
			kinds[e->target], e->selector.namespace, *e->selector.namespace ? "/" : "",
			e->selector.name);
	if (e->target == TARGET_POD)
		return resolve_pod(e, t, MIN(nr, (size_t)MATCHES_MAX), p);
	take_instance(e, &t[0], t[0].cgroup);
	return 0;
}

/* ---- the present instance */

/* The processes of @e's cgroup into @s. False: there are none: it is gone. */
static bool look_into(struct registry *r, const struct entry *e, struct service *s)
{
	pid_t pids[SERVICE_PIDS_MAX];

	s->nr_pids = 0;
	s->cgroup_id = 0;
	if (!e->by_cgroup[0] || !e->by_cgroup[1] || cgroup_path_id(e->by_cgroup, &s->cgroup_id) < 0)
		return false;
	ssize_t nr = cgroup_procs_below(e->by_cgroup, pids, SERVICE_PIDS_MAX);
	if (nr > SERVICE_PIDS_MAX)
		r->stats.pids_overflow++;
	for (ssize_t i = 0; i < nr && i < SERVICE_PIDS_MAX; i++)
		service_add_pid(r, s, pids[i]);
	if (!s->nr_pids)
		s->cgroup_id = 0;
	return s->nr_pids > 0;
}

void registry_select_target(struct registry *r, struct entry *e, struct service *s)
{
	struct problem ignored;
	bool there = look_into(r, e, s);

	/* A unit comes back where it was; walking all cgroups each second for one that is not there is too dear. */
	if (!there && e->selector.kind && (e->target != TARGET_UNIT || !*e->by_cgroup) &&
	    registry_resolve(r, e, &ignored) == 0)
		there = look_into(r, e, s);

	memcpy(s->namespace, e->s.namespace, sizeof(s->namespace));
	memcpy(s->pod, e->s.pod, sizeof(s->pod));
	memcpy(s->unit, e->s.unit, sizeof(s->unit));
	memcpy(s->container_id, e->s.container_id, sizeof(s->container_id));
	memcpy(s->cgroup, e->by_cgroup, sizeof(s->cgroup));
	s->instance = e->s.instance;
	if (!there) {
		s->netns_ino = 0;
		return;
	}
	if (s->cgroup_id != e->instance_cgroup) {
		s->instance++;
		r->stats.replaced_seen += e->instance_cgroup != 0;
		e->instance_cgroup = s->cgroup_id;
	}
	s->own_cgroup = true;
	service_choose_main(s);
	proc_netns(s->pids[0], &s->netns_ino);
	registry_add_ports(r, e, s);
}

/* ---- names */

static bool is_free(const struct registry *r, const struct entry *but, const char *name)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->entries[i] != but && !strcmp(r->entries[i]->s.name, name))
			return false;
	return true;
}

static void choose_name(const struct registry *r, const struct entry *e, size_t nr,
			char names[static TARGET_NAMES_MAX][SERVICE_NAME_MAX],
			char ret[static SERVICE_NAME_MAX])
{
	for (size_t i = 0; i < nr; i++)
		if (is_free(r, e, names[i])) {
			memcpy(ret, names[i], SERVICE_NAME_MAX);
			return;
		}
	/* One of several replicas. */
	for (unsigned i = 2; i < ORDINAL_MAX; i++) {
		snprintf(ret, SERVICE_NAME_MAX, "%.56s-%u", names[0], i);
		if (is_free(r, e, ret))
			return;
	}
}

static void unit_name(const char *unit, char ret[static SERVICE_NAME_MAX])
{
	char text[SERVICE_WORKLOAD_MAX];
	size_t len = strlen(unit), suffix = strlen(".service");

	snprintf(text, sizeof(text), "%s", unit);
	if (len > suffix && !strcmp(text + len - suffix, ".service"))
		text[len - suffix] = '\0';
	target_name_clean(text, SERVICE_NAME_MAX - 8, ret);
	if (!*ret)
		snprintf(ret, SERVICE_NAME_MAX, "unit");
}

void registry_name_target(struct registry *r, const struct entry *e,
			  char name[static SERVICE_NAME_MAX])
{
	char names[TARGET_NAMES_MAX][SERVICE_NAME_MAX];
	const struct registry_targets *known = &r->options.targets;
	struct target t;
	size_t nr = 0;

	if (e->target == TARGET_UNIT) {
		unit_name(e->selector.name, names[0]);
		nr = 1;
	} else if (known->find && known->find(known->ctx, &e->selector, &t, 1)) {
		nr = target_names(&t, names);
	}
	if (!nr) {
		target_name_clean(e->selector.name, SERVICE_NAME_MAX - 8, names[0]);
		nr = 1;
	}
	choose_name(r, e, nr, names, name);
}

/* ---- found */

static bool is_gone(const struct entry *e)
{
	uint64_t id;
	pid_t pid;

	return !*e->by_cgroup || cgroup_path_id(e->by_cgroup, &id) < 0 ||
		cgroup_procs_below(e->by_cgroup, &pid, 1) <= 0;
}

/* Whose place may one with this key take? Those that were there before have their names. */
static struct entry *predecessor(struct registry *r, const char *key)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->entries[i]->target && !strcmp(r->entries[i]->key, key) &&
		    is_gone(r->entries[i]))
			return r->entries[i];
	return NULL;
}

static struct entry *add_found(struct registry *r, enum target_kind kind, const char *name)
{
	struct entry *e =
		registry_add(r, name, kind == TARGET_UNIT ? SERVICE_BY_UNIT : SERVICE_BY_CONTAINER);

	if (e) {
		e->s.found = true;
		e->target = kind;
	}
	return e;
}

/* Has it been waited for long enough? A full table waits no more. */
static bool waited(struct registry *r, const char *id, uint64_t now_ns)
{
	for (size_t i = 0; i < r->nr_pending; i++)
		if (!strcmp(r->pending[i].id, id)) {
			if (now_ns - r->pending[i].since_ns < REGISTRY_WAIT_NS)
				return false;
			r->pending[i] = r->pending[--r->nr_pending];
			return true;
		}
	if (r->nr_pending == PENDING_MAX)
		return true;
	struct pending_container *p = &r->pending[r->nr_pending++];
	snprintf(p->id, sizeof(p->id), "%s", id);
	p->since_ns = now_ns;
	return false;
}

static void no_more_pending(struct registry *r, const char *id)
{
	for (size_t i = 0; i < r->nr_pending; i++)
		if (!strcmp(r->pending[i].id, id))
			r->pending[i--] = r->pending[--r->nr_pending];
}

static void find_container(struct registry *r, const struct listener *l, const struct workload *w,
			   uint64_t now_ns)
{
	char names[TARGET_NAMES_MAX][SERVICE_NAME_MAX], key[TARGET_KEY_MAX], name[SERVICE_NAME_MAX];
	const struct registry_targets *known = &r->options.targets;
	struct target t = { 0 };

	if (registry_by_container(r, w->container_id))
		return;
	if (!known->describe || known->describe(known->ctx, w->container_id, &t) < 0) {
		if (known->describe && !waited(r, w->container_id, now_ns))
			return;
		t = (struct target){ 0 };
		memcpy(t.id, w->container_id, sizeof(t.id));
	}
	no_more_pending(r, w->container_id);
	target_key(&t, key);
	struct entry *e = predecessor(r, key);
	if (!e) {
		size_t nr = target_names(&t, names);
		if (!nr) {
			listener_name(l, names[0]);
			nr = 1;
		}
		choose_name(r, NULL, nr, names, name);
		e = add_found(r, TARGET_CONTAINER, name);
	}
	/* One that was attached as a pod finds its successor by itself. */
	if (!e || e->target != TARGET_CONTAINER)
		return;
	take_instance(e, &t, w->container_cgroup);
	registry_refresh(r, e);
}

static void find_unit(struct registry *r, const struct workload *w, const char *path)
{
	char names[TARGET_NAMES_MAX][SERVICE_NAME_MAX], key[TARGET_KEY_MAX], name[SERVICE_NAME_MAX];

	snprintf(key, sizeof(key), "unit/%s", w->systemd_unit);
	for (size_t i = 0; i < r->nr; i++)
		if (!strcmp(r->entries[i]->key, key))
			return;
	unit_name(w->systemd_unit, names[0]);
	choose_name(r, NULL, 1, names, name);
	struct entry *e = add_found(r, TARGET_UNIT, name);
	if (!e)
		return;
	snprintf(e->by_cgroup, sizeof(e->by_cgroup), "%s", path);
	snprintf(e->s.unit, sizeof(e->s.unit), "%.*s", SERVICE_WORKLOAD_MAX - 1, w->systemd_unit);
	memcpy(e->key, key, sizeof(key));
	registry_refresh(r, e);
}

/* It listens for a container, which is a service itself. */
static bool is_proxy(pid_t pid)
{
	struct proc_stat st;

	return proc_stat(pid, &st) == 0 && !strcmp(st.comm, "docker-proxy");
}

bool registry_find_target(struct registry *r, const struct listener *l, uint64_t now_ns)
{
	char path[SERVICE_CGROUP_MAX];
	struct workload w;

	if (cgroup_of_pid(l->pids[0], path) < 0)
		return false;
	workload_of_cgroup(path, &w);
	if (*w.container_id) {
		if (!strcmp(w.container_id, r->own.container_id) || !registry_is_below(r, path))
			return false;
		find_container(r, l, &w, now_ns);
		return true;
	}
	if (!w.is_unit || !strcmp(w.systemd_unit, r->own.systemd_unit) || is_proxy(l->pids[0]))
		return false;
	find_unit(r, &w, path);
	return true;
}
