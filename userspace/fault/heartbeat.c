// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault/heartbeat.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault/fault.h"

struct heartbeat {
	pthread_t thread;
	pthread_mutex_t lock; /* all below; nobody but this process's own threads waits for it */
	pthread_cond_t wake;
	bool stop;
	struct guardian_page *page;
	uint64_t lost_total;
	struct {
		__u64 *lease; /* NULL: free */
		bool lost;
	} slots[FAULT_ARMED_MAX];
};

bool heartbeat_renew(__u64 *lease, uint64_t new_end, uint64_t (*now)(void))
{
	if (now() >= __atomic_load_n(lease, __ATOMIC_RELAXED))
		return false;
	__atomic_store_n(lease, new_end, __ATOMIC_RELAXED);
	return true;
}

static void beat(struct heartbeat *h)
{
	uint64_t new_end = clock_boot_ns() + FAULT_LEASE_NS;

	/* The guardian's own: it has acted by then if it was late, and the faults' leases below tell. */
	atomic_store(&h->page->lease_end_ns, new_end);
	for (size_t i = 0; i < ARRAY_SIZE(h->slots); i++) {
		if (!h->slots[i].lease || h->slots[i].lost)
			continue;
		if (!heartbeat_renew(h->slots[i].lease, new_end, clock_boot_ns)) {
			h->slots[i].lost = true;
			h->lost_total++;
		}
	}
}

static void *run(void *arg)
{
	struct heartbeat *h = arg;

	prctl(PR_SET_NAME, "heartbeat");
	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct timespec until;

		beat(h);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += (long)FAULT_RENEW_NS;
		if (until.tv_nsec >= (long)NSEC_PER_SEC) {
			until.tv_nsec -= (long)NSEC_PER_SEC;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&h->wake, &h->lock, &until);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int heartbeat_start(struct guardian_page *page, struct heartbeat **ret)
{
	struct heartbeat *h = calloc(1, sizeof(*h));
	pthread_condattr_t attr;

	if (!h)
		return -ENOMEM;
	h->page = page;
	atomic_store(&page->lease_end_ns, clock_boot_ns() + FAULT_LEASE_NS);
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &attr);
	pthread_condattr_destroy(&attr);
	int err = pthread_create(&h->thread, NULL, run, h);
	if (err) {
		free(h);
		return -err;
	}
	*ret = h;
	return 0;
}

void heartbeat_stop(struct heartbeat *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int heartbeat_add(struct heartbeat *h, __u64 *lease)
{
	int slot = -ENOSPC;

	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < ARRAY_SIZE(h->slots) && slot < 0; i++)
		if (!h->slots[i].lease) {
			h->slots[i].lease = lease;
			h->slots[i].lost = false;
			slot = (int)i;
		}
	pthread_mutex_unlock(&h->lock);
	return slot;
}

void heartbeat_remove(struct heartbeat *h, int slot)
{
	if (slot < 0)
		return;
	pthread_mutex_lock(&h->lock);
	h->slots[slot].lease = NULL;
	pthread_mutex_unlock(&h->lock);
}

bool heartbeat_lost(struct heartbeat *h, int slot)
{
	if (slot < 0)
		return false;
	pthread_mutex_lock(&h->lock);
	bool lost = h->slots[slot].lost;
	pthread_mutex_unlock(&h->lock);
	return lost;
}

uint64_t heartbeat_lost_total(struct heartbeat *h)
{
	pthread_mutex_lock(&h->lock);
	uint64_t n = h->lost_total;
	pthread_mutex_unlock(&h->lock);
	return n;
}
