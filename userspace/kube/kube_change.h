/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_change.h - four things that may be done to what runs a pod, each with what must hold before it
 * and how it is taken back.
 *
 * restart_pod: delete exactly this pod (uid and resourceVersion); its controller makes another. Needs a
 *   controller, and that two others stay ready, or that it is not ready itself, or is the only one.
 * rollout_restart: the template's restartedAt, as `kubectl rollout restart` does. Needs a rolling strategy
 *   that takes away a quarter at most, no rollout under way, and that it is not paused.
 * scale: half as many again (1 to 2, 2 to 3, 4 to 6), at most KUBE_SCALE_MAX. Needs that no autoscaler
 *   owns the number; where that cannot be seen, it is not done. Undone: the former number, where ours stands.
 * rollback: a Deployment's template of the revision before that differs from the present one. Needs that
 *   the present one is young (KUBE_ROLLBACK_WITHIN_S): what ran well for longer is not the cause. Undone:
 *   the template that was there.
 *
 * prepare() reads and decides, and changes nothing; what it found goes into the undo record before do()
 * is called. do() sends a dry run first, and refuses (-EBUSY) where anything that somebody decides was
 * changed since prepare(); a status that its controller wrote meanwhile is read again, a few times.
 * Rights that it needs: get, list, delete on pods; get, list on replicasets; get, patch on deployments,
 * statefulsets, daemonsets; get, patch on deployments/scale, statefulsets/scale; list on
 * horizontalpodautoscalers. Blocks: a worker's thread.
 */
#ifndef ARCHAIC_KUBE_CHANGE_H
#define ARCHAIC_KUBE_CHANGE_H

#include "kube/kube_workload.h"

#define KUBE_SCALE_MAX 20
#define KUBE_ROLLBACK_WITHIN_S (6 * 3600)
#define KUBE_POD_GRACE_S 5
#define KUBE_CHANGE_WAIT_NS (90ULL * 1000000000ULL)

enum kube_change_kind { KUBE_RESTART_POD, KUBE_ROLLOUT_RESTART, KUBE_SCALE, KUBE_ROLLBACK };

struct kube_change {
	enum kube_change_kind kind;
	struct kube_pod pod;
	struct kube_workload workload;
	unsigned before, after; /* scale: replicas. restart_pod: ready ones, before */
	char from[KUBE_NAME_MAX],
		to[KUBE_NAME_MAX]; /* rollback: the ReplicaSets that hold the templates */
};

/**
 * kube_change_prepare() - does what it needs hold for @pod of @namespace_?
 * @wall_ms: now. @ret: filled where the answer is yes. @says: one sentence in every case.
 * 0: yes. 1: no, @says why. Else kube_get()'s errors.
 */
int kube_change_prepare(struct kube *k, enum kube_change_kind kind, const char *namespace_,
			const char *pod, int64_t wall_ms, struct kube_change *ret, char *says,
			size_t size);

/** kube_change_do() - do it, and wait until it is through, for @wait_ns at most. -ETIMEDOUT: done, but not through. */
int kube_change_do(struct kube *k, const struct kube_change *c, int64_t wall_ms, uint64_t wait_ns,
		   char *says, size_t size);

/** kube_change_undoes() - is there anything to take back? */
bool kube_change_undoes(enum kube_change_kind kind);

/** kube_change_undo() - take it back. 0; 1: somebody else has changed it since, it is left alone; else as do(). */
int kube_change_undo(struct kube *k, const struct kube_change *c, char *says, size_t size);

#endif
