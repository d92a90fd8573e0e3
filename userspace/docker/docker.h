/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * docker.h - what we ask a Docker Engine for, over its unix socket: list, inspect, restart.
 *
 * Turns the Engine's answers into plain bounded structs. The answers are untrusted
 * (names and labels are anybody's text): an entry without a proper id is left out and
 * counted, a label that is too long, unprintable or one too many is left out and counted,
 * an answer over its cap or that is not JSON is an error. Paths carry no API version, so
 * the Engine takes its own. Podman's socket understands the same calls.
 *
 * Blocks for up to the time-out of each call: never on the sampler's thread. One thread
 * at a time per struct docker; make one per thread. Nothing here starts a connection
 * before the first call, and a socket that is not there is -EHOSTUNREACH each time.
 */
#ifndef ARCHAIC_DOCKER_H
#define ARCHAIC_DOCKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

#define DOCKER_SOCKET "/var/run/docker.sock"
#define DOCKER_ID_MAX 65 /* 64 hex digits and the NUL */
#define DOCKER_NAME_MAX 128
#define DOCKER_IMAGE_MAX 192
#define DOCKER_LABELS_MAX 48
#define DOCKER_LABEL_KEY_MAX 96
#define DOCKER_LABEL_VALUE_MAX 160
#define DOCKER_CONTAINERS_MAX 256
#define DOCKER_BODY_MAX (4u << 20) /* bytes of an answer */
#define DOCKER_TIMEOUT_MS 5000     /* list, inspect */
#define DOCKER_STOP_S 5            /* restart: SIGTERM, and SIGKILL so much later */
#define DOCKER_RESTART_TIMEOUT_MS ((DOCKER_STOP_S + 25) * 1000)

enum docker_state {
	DOCKER_UNKNOWN,
	DOCKER_CREATED,
	DOCKER_RUNNING,
	DOCKER_PAUSED,
	DOCKER_RESTARTING,
	DOCKER_REMOVING,
	DOCKER_EXITED,
	DOCKER_DEAD,
};

enum docker_health { DOCKER_NO_HEALTH, DOCKER_STARTING, DOCKER_HEALTHY, DOCKER_UNHEALTHY };

struct docker_label {
	char key[DOCKER_LABEL_KEY_MAX];
	char value[DOCKER_LABEL_VALUE_MAX];
};

struct docker_container {
	char id[DOCKER_ID_MAX];     /* always 64 lower-case hex digits */
	char name[DOCKER_NAME_MAX]; /* [A-Za-z0-9][A-Za-z0-9_.-]*, "" where it has none such */
	char image[DOCKER_IMAGE_MAX];
	enum docker_state state;
	struct docker_label labels[DOCKER_LABELS_MAX]; /* printable UTF-8 */
	size_t nr_labels;
	unsigned labels_dropped;

	/* From docker_inspect() alone: the Engine's list does not tell them. */
	pid_t pid;           /* of its first process, on the Engine's host; 0: does not run */
	char started_at[40]; /* as the Engine writes it; another one is another run */
	enum docker_health health;
	bool restarts; /* its restart policy is always, unless-stopped or on-failure */
};

struct docker_list {
	struct docker_container *items; /* owned */
	size_t nr;
	size_t dropped; /* over DOCKER_CONTAINERS_MAX, or without a proper id */
};

struct docker;

/** docker_new() - @socket: path, copied; NULL takes DOCKER_SOCKET. @cancel: true ends a call soon; may be NULL. 0, -EINVAL (too long) or -ENOMEM. */
int docker_new(const char *socket, const atomic_bool *cancel, struct docker **ret);
void docker_free(struct docker *d);

/** docker_timeout() - bound list and inspect by @ms instead of DOCKER_TIMEOUT_MS. */
void docker_timeout(struct docker *d, uint32_t ms);

/**
 * docker_list() - the running (also paused) containers, with labels and without pids.
 * @ret: written on success only; docker_list_release() it.
 * 0, or an error as below:
 * -EHOSTUNREACH (no Engine there, or we may not), -ETIMEDOUT, -ECANCELED, -EMSGSIZE (too large),
 * -EPROTO (not what an Engine says), -EACCES (401, 403), -ENOENT (404), -EBUSY (409), -EIO (other
 * statuses), -ENOMEM. docker_why() has the sentence.
 */
int docker_list(struct docker *d, struct docker_list *ret);
void docker_list_release(struct docker_list *l);

/**
 * docker_inspect() - one container, everything filled.
 * @id: an id, its unambiguous beginning, or a name; [A-Za-z0-9_.-] only, else -EINVAL.
 */
int docker_inspect(struct docker *d, const char *id, struct docker_container *ret);

/**
 * docker_restart() - stop it (SIGTERM, SIGKILL after DOCKER_STOP_S) and start it again, and wait for that.
 * @id: the full 64 digits: nothing that could mean another container. 0 when the Engine says so.
 */
int docker_restart(struct docker *d, const char *id);

/** docker_label() - a label's value; NULL where there is none. */
const char *docker_label(const struct docker_container *c, const char *key);

/** docker_why() - the last failure in one sentence, with what the Engine said where it said something. */
const char *docker_why(const struct docker *d);

/** docker_state_name() - the Engine's own word. */
const char *docker_state_name(enum docker_state s);

static inline void docker_freep(struct docker **d)
{
	docker_free(*d);
}

#endif
