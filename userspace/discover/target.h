/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target.h - what is known of a container, and what follows: its service's name, and who takes its place.
 *
 * Names, in this order: label app.kubernetes.io/name, label app, the compose service,
 * the pod's workload (its Deployment, DaemonSet or StatefulSet), the container's name. Who has
 * none of them is named by unit, or command and port, like any listener.
 *
 * A key is what survives a replacement: a container's name, or a pod's namespace, workload and
 * container name; never an id. The API server gives pods of a Deployment the name
 * WORKLOAD-HASH-SUFFIX and those of a DaemonSet or Job WORKLOAD-SUFFIX, hash and suffix of an
 * alphabet without vowels (apimachinery's util/rand): by that the workload is told. A
 * StatefulSet's pods keep their names.
 *
 * All text here is a stranger's: bounded, and made a service's name by replacing what that may
 * not hold. Pure; any thread.
 */
#ifndef ARCHAIC_TARGET_H
#define ARCHAIC_TARGET_H

#include "base/problem.h"
#include "discover/service.h"

#define TARGET_NAME_MAX 128
#define TARGET_LABEL_MAX 64
#define TARGET_KEY_MAX 512
#define TARGET_NAMES_MAX 4

struct target {
	char id[SERVICE_CONTAINER_MAX];
	char container[TARGET_NAME_MAX];       /* its name; "": not known */
	char pod[SERVICE_WORKLOAD_MAX];        /* "": in none */
	char namespace[SERVICE_NAMESPACE_MAX]; /* of the pod */
	char app[TARGET_LABEL_MAX];            /* of the two labels, in their order; "": none */
	char compose[TARGET_LABEL_MAX];        /* docker compose's service; "": none */
	pid_t pid;                       /* its first process; 0: not known, or it does not run */
	char cgroup[SERVICE_CGROUP_MAX]; /* where that lives, down to the container; "": not known */
};

enum target_kind { TARGET_CONTAINER = 1, TARGET_POD, TARGET_UNIT };

struct target_selector {
	enum target_kind kind;
	char name[SERVICE_WORKLOAD_MAX];
	char namespace[SERVICE_NAMESPACE_MAX]; /* pods */
	bool label; /* pods: name is the value of the label app (either of the two) */
};

/**
 * target_selector_parse() - what a person gave.
 * container: a name, an id or at least 12 of its digits; pod: "NAMESPACE/NAME", the pod's name or its workload's, or
 * "NAMESPACE/app=VALUE"; unit: "NAME.service", or NAME.
 * 0, or the problem's errno (400).
 */
int target_selector_parse(enum target_kind kind, const char *text, struct target_selector *ret,
			  struct problem *p);

/** target_matches() - is @t what @s asks for? Units: never; they are found by their cgroup. */
bool target_matches(const struct target_selector *s, const struct target *t);

/** target_workload() - the workload that made pod @pod; the pod's own name where it tells of none. */
void target_workload(const char *pod, char ret[static SERVICE_WORKLOAD_MAX]);

/** target_key() - what is the same for whoever takes its place. */
void target_key(const struct target *t, char ret[static TARGET_KEY_MAX]);

/** target_names() - names for its service, the best first, each valid. Returns how many; 0: nothing is known that makes one. */
size_t target_names(const struct target *t, char ret[static TARGET_NAMES_MAX][SERVICE_NAME_MAX]);

/** target_name_clean() - @text as part of a service's name, at most @max bytes of it: other characters become '_'. "" when nothing is left. */
void target_name_clean(const char *text, size_t max, char ret[static SERVICE_NAME_MAX]);

#endif
