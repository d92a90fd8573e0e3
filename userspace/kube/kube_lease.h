/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_lease.h - one leader among several, by a Lease (coordination.k8s.io/v1).
 *
 * The algorithm of client-go's leader election. The times in the Lease are others' clocks and are
 * never compared with ours: a Lease has expired when we ourselves have seen it unchanged for its
 * duration, on our own monotonic clock. The holder counts from before it sent the last renewal that
 * succeeded, and takes itself for the leader for two thirds of the duration only: so it has stopped
 * before anybody else may begin, however the clocks are set (they must only run equally fast). Every
 * write carries the resourceVersion that was read: of two that try at once, one gets -EBUSY.
 *
 * The caller calls kube_lease_step() every KUBE_LEASE_RETRY_NS, from one thread, and asks
 * kube_lease_held() before each thing that only the leader may do, from any thread.
 */
#ifndef ARCHAIC_KUBE_LEASE_H
#define ARCHAIC_KUBE_LEASE_H

#include <stdatomic.h>

#include "kube/kube.h"

#define KUBE_LEASE_DURATION_S 15
#define KUBE_LEASE_RETRY_NS (2ULL * 1000000000ULL)

struct kube_lease {
	char namespace_[KUBE_NAMESPACE_MAX];
	char name[KUBE_NAME_MAX];
	char identity[KUBE_NAME_MAX]; /* ours: differs from every other candidate's */
	unsigned duration_s;

	/* What was seen last, and since when (CLOCK_MONOTONIC). */
	char version[KUBE_VERSION_MAX];
	char holder[KUBE_NAME_MAX]; /* "" : nobody */
	unsigned seen_duration_s;
	unsigned transitions;
	uint64_t seen_ns;

	_Atomic uint64_t until_ns; /* we lead before this; 0: we do not */
};

/**
 * kube_lease_init() - @identity: a pod's name and something random, say. @duration_s: 0 takes KUBE_LEASE_DURATION_S.
 * 0 or -EINVAL (a name that Kubernetes would not take).
 */
int kube_lease_init(struct kube_lease *l, const char *namespace_, const char *name,
		    const char *identity, unsigned duration_s);

/**
 * kube_lease_step() - read it, and acquire or renew it where that is right.
 * @now_ns: CLOCK_MONOTONIC, read before the call. @wall_ms: for the times that people see in the Lease.
 * 0: done, ask kube_lease_held(). Else kube_get()'s errors (kube_why()): it is held for as long as it
 * was, and not longer. -EBUSY: somebody else was quicker.
 */
int kube_lease_step(struct kube *k, struct kube_lease *l, uint64_t now_ns, int64_t wall_ms);

/** kube_lease_held() - do we lead at @now_ns? Any thread. */
bool kube_lease_held(const struct kube_lease *l, uint64_t now_ns);

/** kube_lease_release() - give it back at once, so that another need not wait. Not held afterwards, whatever comes back. */
int kube_lease_release(struct kube *k, struct kube_lease *l, uint64_t now_ns, int64_t wall_ms);

#endif
