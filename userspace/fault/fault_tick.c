// SPDX-License-Identifier: GPL-2.0-or-later
/* Once a tick: is what is armed still good, is its time over, does the guardian live? */
#include "base/clock.h"
#include "fault/fault.h"
#include "fault/fault_internal.h"

void faults_observed(struct faults *f, uint32_t service_id, uint64_t requests)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++) {
		struct armed *a = &f->armed[i];

		if (!a->used || a->f.service_id != service_id)
			continue;
		if (!a->has_observed)
			a->observed_first = requests;
		a->has_observed = true;
		a->observed = requests;
	}
}

/*
 * The rule stands and the queue sees nothing of what the programs see: somebody removed it. Unless the
 * holder had no turn since then: on a busy machine it may wait for half a second.
 */
static bool queue_is_blind(struct armed *a, uint64_t now_boot_ns)
{
	if (!a->queue.page || a->f.touched_requests < FAULT_CANARY_REQUESTS ||
	    atomic_load(&a->queue.page->seen)) {
		a->unseen_ns = 0;
		return false;
	}
	if (!a->unseen_ns)
		a->unseen_ns = now_boot_ns;
	return atomic_load(&a->queue.page->alive_ns) >= a->unseen_ns + 2 * NFQUEUE_TURN_NS;
}

/* Why this fault is no good any more; NULL: it is. */
static const char *broken(struct faults *f, struct armed *a, uint64_t now_boot_ns)
{
	if (heartbeat_lost(f->heart, a->beat))
		return "its lease was lost: the daemon did not run for more than 2 s";
	if (a->queue.page && !nfqueue_alive(&a->queue, now_boot_ns))
		return "the process that held the packets is gone";
	if (queue_is_blind(a, now_boot_ns))
		return "its netfilter rule catches nothing: somebody removed it";
	if (a->f.req.type != FAULT_CPU && a->has_observed && !a->f.seen_packets &&
	    a->observed - a->observed_first >= FAULT_CANARY_REQUESTS)
		return "packets of the service passed and the program saw none: it bites nothing";
	return NULL;
}

static void look_after_guardian(struct faults *f)
{
	if (guardian_alive(&f->guardian))
		return;
	f->stats.guardian_restarts_total++;
	if (guardian_start(f->page, f->journal, &f->guardian) == 0) {
		faults_publish(f);
		return;
	}
	/* Without it, what outlives us would outlive us. */
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (f->armed[i].used && f->armed[i].nr_made)
			fault_end(f, &f->armed[i], FAULT_FAILED,
				  "the guardian process could not be started again");
}

void faults_tick(struct faults *f, uint64_t now_boot_ns,
		 void (*ended)(const struct fault *fault, void *ctx), void *ctx)
{
	size_t before = f->nr_ended;

	look_after_guardian(f);
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++) {
		struct armed *a = &f->armed[i];

		if (!a->used)
			continue;
		backend_counters(a);
		const char *why = a->f.waiting ? NULL : broken(f, a, now_boot_ns);
		if (why)
			fault_end(f, a, FAULT_FAILED, why);
		else if (now_boot_ns >= a->f.ends_ns)
			fault_end(f, a, FAULT_EXPIRED, NULL);
		else if (a->f.req.type == FAULT_CPU && !a->f.waiting)
			backend_follow(a, &a->service);
	}
	for (size_t i = before; ended && i < f->nr_ended; i++)
		ended(&f->ended[i % FAULT_ENDED_MAX], ctx);
}
