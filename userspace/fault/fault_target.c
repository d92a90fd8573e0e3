// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults on what is replaced and lives elsewhere: entering a service's network
 * namespace, and what becomes of a fault whose container, pod or unit is gone.
 *
 * Rules, filters and queues belong to a network namespace: those of a container are
 * made in its own, by a thread that has entered it, and unmade there by the descriptor
 * that is held as long as something stands in it.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fault/fault_internal.h"
#include "kernel/netns.h"

bool fault_is_elsewhere(const struct fault_request *r, const struct service *s)
{
	uint64_t here = journal_netns();
	bool makes = r->type == FAULT_TIMEOUT || r->type == FAULT_ERROR ||
		r->type == FAULT_BAD_DATA;

	return makes && s->netns_ino && here && s->netns_ino != here;
}

int fault_find_place(struct armed *a, struct problem *p)
{
	const struct service *s = &a->service;

	if (!fault_is_elsewhere(&a->f.req, s))
		return 0;
	if (!netns_can_enter())
		return problem_set(
			p, 503,
			"%s lives in another network namespace, and entering one takes CAP_SYS_ADMIN, "
			"which this daemon does not have",
			s->name);
	int fd = netns_open(s->netns_ino, s->nr_pids ? s->pids[0] : 0);
	if (fd < 0)
		return problem_set(p, 503, "the network namespace of %s cannot be opened (%s)",
				   s->name, strerror(-fd));
	a->netns_fd = fd;
	return 0;
}

int fault_there(const struct armed *a, int (*fn)(void *ctx), void *ctx)
{
	return a->netns_fd < 0 ? fn(ctx) : netns_run(a->netns_fd, fn, ctx);
}

/* ---- successors */

enum fault_turn fault_turn(const struct armed *a, const struct service *s)
{
	bool gone = !s->cgroup_id && !s->nr_pids;
	bool another = s->instance != a->service.instance;

	if (!s->instance || !a->service.instance)
		return FAULT_TURN_FOLLOW;
	if (!gone && !another && !a->f.waiting)
		return FAULT_TURN_FOLLOW;
	if (!a->f.req.follow)
		return FAULT_TURN_END;
	/* One that does not listen yet is hurt when it does. */
	struct problem p;
	if (gone || fault_check_service(&a->f, s, &p) < 0)
		return FAULT_TURN_WAIT;
	return FAULT_TURN_AGAIN;
}

static int choose_and_make(void *ctx)
{
	struct again {
		struct faults *f;
		struct armed *a;
		struct problem *p;
	} *x = ctx;
	const char *backend = backend_choose(&x->a->f.req, &x->a->service, &x->f->cfg, x->p);

	if (!backend)
		return -ENOTSUP;
	x->a->f.backend = backend;
	return backend_arm(x->f, x->a, x->p);
}

void fault_suspend(struct faults *f, struct armed *a)
{
	backend_counters(a);
	backend_disarm(f, a);
	a->before = a->f;
	a->f.waiting = true;
}

int fault_again(struct faults *f, struct armed *a, const struct service *s, struct problem *p)
{
	struct {
		struct faults *f;
		struct armed *a;
		struct problem *p;
	} x = { f, a, p };

	if (!a->f.waiting)
		fault_suspend(f, a);
	a->service = *s;
	a->again = true;
	a->has_observed = false;
	a->unseen_ns = 0;
	int err = fault_find_place(a, p);
	err = err ?: fault_there(a, choose_and_make, &x);
	if (err)
		backend_disarm(f, a);
	else
		a->f.waiting = false;
	return err;
}
