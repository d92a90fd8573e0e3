// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/change.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

#define STEP_NS (200 * NSEC_PER_MSEC)
#define CONTAINER_WAIT_NS (30 * NSEC_PER_SEC)

struct changer {
	bool kubernetes;
	char kubeconfig[KUBE_PATH_MAX];
	char bus[256];
	const atomic_bool *cancel;
	struct kube *kube;     /* made when it is first needed */
	struct docker *docker; /* NULL: none */
};

static int say(char *says, size_t size, int ret, const char *fmt, ...) PRINTF_LIKE(4, 5);
static int say(char *says, size_t size, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(says, size, fmt, ap);
	va_end(ap);
	return ret;
}

int changer_new(const struct changer_config *config, struct changer **ret)
{
	CLEANUP(changer_freep) struct changer *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->kubernetes = config->kubernetes;
	c->cancel = config->cancel;
	snprintf(c->kubeconfig, sizeof(c->kubeconfig), "%s", config->kubeconfig ?: "");
	snprintf(c->bus, sizeof(c->bus), "%s", config->bus ?: "");
	int err = config->docker && *config->docker ?
		docker_new(config->docker, config->cancel, &c->docker) :
		0;
	if (err)
		return err;
	*ret = TAKE_PTR(c);
	return 0;
}

void changer_free(struct changer *c)
{
	if (!c)
		return;
	kube_free(c->kube);
	docker_free(c->docker);
	free(c);
}

/* ---- which is whose */

static bool kube_kind(enum action_kind kind, enum kube_change_kind *ret)
{
	switch (kind) {
	case ACTION_RESTART_POD:
		*ret = KUBE_RESTART_POD;
		return true;
	case ACTION_ROLLOUT_RESTART:
		*ret = KUBE_ROLLOUT_RESTART;
		return true;
	case ACTION_SCALE:
		*ret = KUBE_SCALE;
		return true;
	case ACTION_ROLLBACK:
		*ret = KUBE_ROLLBACK;
		return true;
	default:
		return false;
	}
}

bool change_handles(enum action_kind kind)
{
	enum kube_change_kind k;

	return kube_kind(kind, &k) || kind == ACTION_RESTART_CONTAINER ||
		kind == ACTION_RESTART_UNIT;
}

bool change_undoes(enum action_kind kind)
{
	enum kube_change_kind k;

	return kube_kind(kind, &k) && kube_change_undoes(k);
}

/* The client, made anew where it could not be made before: a service account may come later. */
static int open_kube(struct changer *c, char *says, size_t size)
{
	CLEANUP(kube_config_release) struct kube_config config = { 0 };

	if (!c->kubernetes)
		return say(says, size, -ENOTSUP, "no Kubernetes is configured");
	if (c->kube)
		return 0;
	int err = kube_config_load(c->kubeconfig, &config, says, size);
	return err ? err : kube_new(&config, c->cancel, &c->kube);
}

/* ---- containers */

static int prepare_container(struct changer *c, const struct service_facts *f, struct change *ret,
			     char *says, size_t size)
{
	struct docker_container *box = NULL;
	CLEANUP(freep) void *owned = box = calloc(1, sizeof(*box));

	if (!c->docker)
		return say(says, size, -ENOTSUP, "no Docker Engine is configured");
	if (!owned)
		return say(says, size, -ENOMEM, "out of memory");
	int err = docker_inspect(c->docker, f->container_id, box);
	if (err == -ENOENT)
		return say(says, size, 1, "that container is not there any more");
	if (err)
		return say(says, size, err, "%s", docker_why(c->docker));
	if (strcmp(box->id, f->container_id) != 0)
		return say(says, size, 1, "the Engine knows another container by that id");
	if (box->state != DOCKER_RUNNING && box->state != DOCKER_PAUSED)
		return say(says, size, 1, "the container %s is %s", box->name,
			   docker_state_name(box->state));
	snprintf(ret->container, sizeof(ret->container), "%s", box->id);
	snprintf(ret->container_name, sizeof(ret->container_name), "%s", box->name);
	snprintf(ret->started_at, sizeof(ret->started_at), "%s", box->started_at);
	return say(says, size, 0, "the container %s is %s since %s", box->name,
		   docker_state_name(box->state), box->started_at);
}

/* Runs anew, and where it has a health check, is healthy. 0, -ETIMEDOUT, -ECANCELED. */
static int wait_container(struct changer *c, const struct change *ch, struct docker_container *box,
			  uint64_t until_ns)
{
	const struct timespec step = { .tv_nsec = (long)STEP_NS };

	for (;;) {
		if (c->cancel && atomic_load(c->cancel))
			return -ECANCELED;
		int err = docker_inspect(c->docker, ch->container, box);
		if (!err && box->state == DOCKER_RUNNING &&
		    strcmp(box->started_at, ch->started_at) != 0 &&
		    (box->health == DOCKER_NO_HEALTH || box->health == DOCKER_HEALTHY))
			return 0;
		if (clock_mono_ns() >= until_ns)
			return -ETIMEDOUT;
		nanosleep(&step, NULL);
	}
}

static int do_container(struct changer *c, const struct change *ch, char *says, size_t size)
{
	struct docker_container *box = NULL;
	CLEANUP(freep) void *owned = box = calloc(1, sizeof(*box));
	uint64_t start = clock_mono_ns();

	if (!owned)
		return say(says, size, -ENOMEM, "out of memory");
	int err = docker_inspect(c->docker, ch->container, box);
	if (!err && strcmp(box->started_at, ch->started_at) != 0)
		return say(says, size, -EBUSY, "another run of %s has begun since",
			   ch->container_name);
	if (!err)
		err = docker_restart(c->docker, ch->container);
	if (err)
		return say(says, size, err, "%s", docker_why(c->docker));
	err = wait_container(c, ch, box, start + CONTAINER_WAIT_NS);
	double took = (double)(clock_mono_ns() - start) / 1e9;
	if (err)
		return say(says, size, err,
			   "the container %s was restarted, but it is not well after %.1f s",
			   ch->container_name, took);
	return say(says, size, 0, "the container %s was restarted: process %d, after %.1f s",
		   ch->container_name, (int)box->pid, took);
}

/* ---- all of them */

int change_prepare(struct changer *c, enum action_kind kind, const struct service_facts *target,
		   int64_t wall_ms, struct change *ret, char *says, size_t size)
{
	enum kube_change_kind k;

	*ret = (struct change){ .kind = kind };
	if (kube_kind(kind, &k)) {
		int err = open_kube(c, says, size);
		return err ? err :
			     kube_change_prepare(c->kube, k, target->pod_namespace, target->pod,
						 wall_ms, &ret->kube, says, size);
	}
	if (kind == ACTION_RESTART_CONTAINER)
		return prepare_container(c, target, ret, says, size);
	if (kind == ACTION_RESTART_UNIT && c->bus[0])
		return unit_prepare(c->bus, target->unit, &ret->unit, says, size);
	return say(says, size, -ENOTSUP, "nobody here can do that");
}

int change_do(struct changer *c, const struct change *ch, int64_t wall_ms, char *says, size_t size)
{
	enum kube_change_kind k;

	if (kube_kind(ch->kind, &k))
		return kube_change_do(c->kube, &ch->kube, wall_ms, CHANGE_WAIT_NS, says, size);
	if (ch->kind == ACTION_RESTART_CONTAINER)
		return do_container(c, ch, says, size);
	return unit_restart(c->bus, &ch->unit, UNIT_WAIT_NS, c->cancel, says, size);
}

int change_undo(struct changer *c, const struct change *ch, char *says, size_t size)
{
	if (!change_undoes(ch->kind))
		return say(says, size, 1, "there is nothing to undo");
	int err = open_kube(c, says, size);
	return err ? err : kube_change_undo(c->kube, &ch->kube, says, size);
}

static void add_kube(cJSON *j, const struct kube_change *k)
{
	cJSON_AddStringToObject(j, "namespace", k->workload.namespace_);
	cJSON_AddStringToObject(j, "pod", k->pod.name);
	cJSON_AddStringToObject(j, "workload_kind", k->workload.kind);
	cJSON_AddStringToObject(j, "workload", k->workload.name);
	cJSON_AddStringToObject(j, "resource_version", k->workload.version);
	if (k->kind == KUBE_SCALE) {
		cJSON_AddNumberToObject(j, "replicas_before", k->before);
		cJSON_AddNumberToObject(j, "replicas_after", k->after);
	}
	if (k->kind == KUBE_ROLLBACK) {
		cJSON_AddStringToObject(j, "template_before", k->from);
		cJSON_AddStringToObject(j, "template_after", k->to);
	}
}

cJSON *change_json(const struct change *ch)
{
	enum kube_change_kind k;
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "kind", action_kind_name(ch->kind));
	if (kube_kind(ch->kind, &k)) {
		add_kube(j, &ch->kube);
	} else if (ch->kind == ACTION_RESTART_CONTAINER) {
		cJSON_AddStringToObject(j, "container", ch->container);
		cJSON_AddStringToObject(j, "name", ch->container_name);
		cJSON_AddStringToObject(j, "started_at", ch->started_at);
	} else {
		cJSON_AddStringToObject(j, "unit", ch->unit.name);
		cJSON_AddNumberToObject(j, "pid", ch->unit.main_pid);
	}
	return j;
}
