/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recent.h - the last seconds of ticks, added up for people, and counts since the start.
 *
 * Detection reads single ticks; a person who asks for a rate wants one that
 * does not jump. Ticks older than the window are dropped; at most
 * RECENT_TICKS_MAX are kept (shorter ticks then make a shorter window). Totals
 * are kept for SERVICE_MAX services at a time. Pure; not thread-safe.
 */
#ifndef ARCHAIC_RECENT_H
#define ARCHAIC_RECENT_H

#include <stddef.h>
#include <stdint.h>

#include "observe/sample.h"

#define RECENT_TICKS_MAX 64

struct recent;

/* What one service or edge did within the window. */
struct recent_service {
	double span_s;             /* 0: nothing known yet */
	struct service_sample sum; /* gauges are those of the newest tick */
	uint64_t callee_ns;        /* client-side durations of its outgoing calls */
};

/** recent_new() - 0 or -ENOMEM. @window_ns: how far back sums go. */
int recent_new(uint64_t window_ns, struct recent **ret);
void recent_free(struct recent *r);

/** recent_push() - take over @t: it is released by this module, also on failure. */
void recent_push(struct recent *r, struct tick *t);

/** recent_newest() - borrowed until the next push; NULL before the first. */
const struct tick *recent_newest(const struct recent *r);

/** recent_service() - sums of one service over the window; all zero where it is not known. */
void recent_service(const struct recent *r, uint32_t id, struct recent_service *ret);

/**
 * recent_edges() - every edge of the window, added up.
 * @ret: @max entries. Gauges are those of the newest tick. @span_s: the window's length.
 * Returns how many; edges over @max are left out.
 */
size_t recent_edges(const struct recent *r, struct edge_sample *ret, size_t max, double *span_s);

/** recent_total() - requests that a service has finished since it was first seen. */
uint64_t recent_total(const struct recent *r, uint32_t id);

/** recent_forget() - drop a service's total. */
void recent_forget(struct recent *r, uint32_t id);

#endif
