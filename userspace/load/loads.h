/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loads.h - load tests: a shape in, a running child and its live numbers out.
 *
 * Each test is one child, archaic-load, that says a line of JSON a second and a
 * last one with its verdict. One at a time. A thread of its own forks it (so
 * that PR_SET_PDEATHSIG ties it to the daemon), reads its lines, and reaps it;
 * nobody waits for it but loads_free().
 *
 * The child is untrusted input all the same: a line over LOADS_LINE_MAX is
 * dropped and counted, numbers out of range are dropped, and a child that goes
 * on for LOADS_OVERTIME_S after its time is killed. Nothing from outside is in
 * its arguments but the shape, which is one of ours. Its environment is PATH,
 * and the services' addresses. The last LOADS_KEPT_MAX tests are kept.
 *
 * Thread-safe.
 */
#ifndef ARCHAIC_LOADS_H
#define ARCHAIC_LOADS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problem.h"

#define LOADS_KEPT_MAX 20
#define LOADS_LINE_MAX 16384
#define LOADS_OVERTIME_S 60
#define LOADS_GRACE_S 5 /* from SIGTERM to SIGKILL */

/* A table of four: the last has no name. */
struct load_shape {
	const char *name;
	unsigned vus_max, duration_s;
	const char *says;
};

const struct load_shape *load_shapes(void);

struct loads;

struct loads_config {
	const char *
		program; /* copied; NULL: archaic-load beside our own executable, in ../libexec/archaic-ebpf, else in PATH */
	/* Told of each change, with the load as the interface has it; from the load's thread, with no lock held. */
	void (*changed)(void *ctx, const char *json);
	void *ctx;
};

/** loads_new() - 0 or -ENOMEM. */
int loads_new(const struct loads_config *c, struct loads **ret);

/** loads_free() - stop what runs, and wait for it (at most LOADS_GRACE_S). NULL is allowed. */
void loads_free(struct loads *l);

/** loads_shapes() - {"items":[…], "available", "why"}. 0 or -ENOMEM. */
int loads_shapes(struct loads *l, cJSON **ret);

/**
 * loads_start() - start a test; answers it.
 * @shape: one of load_shapes().
 * 0, -EEXIST (409: one is running), -ENOTSUP (503: no generator), -EAGAIN, -ENOMEM; @p filled.
 */
int loads_start(struct loads *l, const char *shape, bool with_failures, cJSON **ret,
		struct problem *p);

/** loads_stop() - ask it to end, and wait until it has (at most LOADS_GRACE_S); answers it. 0, -ENOENT (404), -EEXIST (409: it has ended). */
int loads_stop(struct loads *l, const char *id, cJSON **ret, struct problem *p);

/** loads_get() - one test. 0, -ENOENT (404) or -ENOMEM. */
int loads_get(struct loads *l, const char *id, cJSON **ret, struct problem *p);

/** loads_list() - {"items":[…]}, newest first. 0 or -ENOMEM. */
int loads_list(struct loads *l, cJSON **ret);

static inline void loads_freep(struct loads **l)
{
	loads_free(*l);
}

#endif
