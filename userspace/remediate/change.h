/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * change.h - the actions that somebody else carries out for us: a Kubernetes API, a Docker Engine, systemd.
 *
 * Turns an action of a service that is a pod, a container or a unit into a struct change: what was
 * found there, what shall be, and so how it is taken back. change_prepare() reads and decides, and
 * changes nothing; the change goes to disk as the undo record; change_do() then does exactly that, and
 * refuses where another thing stands there by now. Blocks for up to CHANGE_WAIT_NS: worker thread only.
 */
#ifndef ARCHAIC_CHANGE_H
#define ARCHAIC_CHANGE_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docker/docker.h"
#include "kube/kube_change.h"
#include "remediate/action.h"
#include "remediate/unit.h"

#define CHANGE_WAIT_NS KUBE_CHANGE_WAIT_NS

struct change {
	enum action_kind kind;
	struct kube_change kube;       /* of the kinds of pods */
	char container[DOCKER_ID_MAX]; /* of restart_container */
	char container_name[DOCKER_NAME_MAX];
	char started_at[40];    /* the run that is to be ended */
	struct unit_state unit; /* of restart_unit */
};

/* Where those are. Texts are copied; "" or NULL: there is none, and nothing of its kind is offered. */
struct changer_config {
	bool kubernetes;
	const char *kubeconfig; /* NULL, "": the service account */
	const char *docker;     /* socket */
	const char *bus;        /* address of the bus that systemd is on; "system": the system's */
	const atomic_bool *cancel;
};

struct changer;

/** changer_new() - connects to nothing. 0 or -ENOMEM. */
int changer_new(const struct changer_config *c, struct changer **ret);
void changer_free(struct changer *c);

/** change_handles() - is it one of ours? */
bool change_handles(enum action_kind kind);

/**
 * change_prepare() - does the precondition of @kind hold for @target?
 * @wall_ms: now. @ret: filled where the answer is yes. @says: one sentence in every case.
 * 0: yes. 1: no, and nothing was done. Else -errno: nobody could tell.
 */
int change_prepare(struct changer *c, enum action_kind kind, const struct service_facts *target,
		   int64_t wall_ms, struct change *ret, char *says, size_t size);

/** change_do() - do it, and wait until it is through. 0; -ETIMEDOUT: done, not through in time; else -errno: not done. */
int change_do(struct changer *c, const struct change *ch, int64_t wall_ms, char *says, size_t size);

/** change_undoes() - can it be taken back? */
bool change_undoes(enum action_kind kind);

/** change_undo() - take it back. 0; 1: another has changed it since, it is left alone; else -errno. */
int change_undo(struct changer *c, const struct change *ch, char *says, size_t size);

/** change_json() - the undo record: what was there, what shall be. Owned by the caller; NULL: no memory. */
cJSON *change_json(const struct change *ch);

static inline void changer_freep(struct changer **c)
{
	changer_free(*c);
}

#endif
