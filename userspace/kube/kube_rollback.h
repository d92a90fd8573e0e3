/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_rollback.h - a Deployment's templates of before, which its ReplicaSets keep. For kube_change.c.
 */
#ifndef ARCHAIC_KUBE_ROLLBACK_H
#define ARCHAIC_KUBE_ROLLBACK_H

#include "kube/kube_change.h"

/**
 * kube_rollback_find() - the present revision's ReplicaSet into @c->from, and into @c->to the last one before
 * it whose template differs by more than what every rollout changes (the hash, the time of a restart).
 * 0; 1 with @says: there is none, or the present one is too old; else an error.
 */
int kube_rollback_find(struct kube *k, struct kube_change *c, int64_t wall_ms, char *says,
		       size_t size);

/** kube_rollback_to() - give @w the template of ReplicaSet @name, which must be its own. 1 with kube_why()-like @says where it is not. */
int kube_rollback_to(struct kube *k, const struct kube_workload *w, const char *name, char *says,
		     size_t size);

/** kube_rollback_is() - is the template of ReplicaSet @name the present one of @w (by revision)? */
int kube_rollback_is(struct kube *k, const struct kube_workload *w, const char *name, bool *ret);

#endif
