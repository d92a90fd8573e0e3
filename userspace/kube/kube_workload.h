/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_workload.h - a pod, and what keeps it running: as the API says it now.
 *
 * Turns a pod's name into its controller (a ReplicaSet's Deployment, a StatefulSet, a DaemonSet)
 * and the figures that a repair must look at before it touches anything. Reads only. Answers are
 * untrusted: what has not the expected form counts as missing.
 */
#ifndef ARCHAIC_KUBE_WORKLOAD_H
#define ARCHAIC_KUBE_WORKLOAD_H

#include "kube/kube.h"

#define KUBE_UID_MAX 64
#define KUBE_API_APPS "/apis/apps/v1"
#define KUBE_REPLICAS_MAX 10000

struct kube_pod {
	char namespace_[KUBE_NAMESPACE_MAX];
	char name[KUBE_NAME_MAX];
	char uid[KUBE_UID_MAX], version[KUBE_VERSION_MAX];
	bool ready, ending;
	/* Its controller; "" without. */
	char owner_kind[32], owner_name[KUBE_NAME_MAX], owner_uid[KUBE_UID_MAX];
};

struct kube_workload {
	char namespace_[KUBE_NAMESPACE_MAX];
	char kind[32];      /* "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet" */
	const char *plural; /* static: "deployments" … */
	char name[KUBE_NAME_MAX];
	char uid[KUBE_UID_MAX], version[KUBE_VERSION_MAX];
	char selector[KUBE_SELECTOR_MAX]; /* its matchLabels; "" where it has others, or too many */
	unsigned replicas;                /* wanted */
	unsigned ready;
	unsigned unavailable_max; /* that a rollout may take away at once */
	bool rolling;             /* a change of its template replaces pods one after the other */
	bool paused;
	bool settled;      /* everything runs the present template, and is available */
	unsigned revision; /* a Deployment's; 0: none */
	double generation; /* counts what was changed of its spec; its status changes the version alone */
};

/** kube_pod_read() - one pod. kube_get()'s errors, or -EPROTO. */
int kube_pod_read(struct kube *k, const char *namespace_, const char *name, struct kube_pod *ret);

/**
 * kube_workload_of() - what keeps @pod running; a ReplicaSet's Deployment where it has one.
 * -ENOENT also where it has no controller, or one of a kind that is not ours.
 */
int kube_workload_of(struct kube *k, const struct kube_pod *pod, struct kube_workload *ret);

/** kube_workload_read() - one again, by its kind and name. */
int kube_workload_read(struct kube *k, const char *namespace_, const char *kind, const char *name,
		       struct kube_workload *ret);

/** kube_pods_ready() - how many of @owner_uid's pods are ready and not ending, @but_uid not counted. */
int kube_pods_ready(struct kube *k, const char *namespace_, const char *selector,
		    const char *owner_uid, const char *but_uid, unsigned *ret);

/** kube_autoscaled() - does a HorizontalPodAutoscaler own its number of replicas? */
int kube_autoscaled(struct kube *k, const struct kube_workload *w, bool *ret);

#endif
