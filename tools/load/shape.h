/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shape.h - how many users there are at what time, and what must hold at the end.
 *
 * The four shapes are tools/load/shapes.json, which the k6 scripts read too and
 * which is embedded here: one text, two readers. Between two stages' targets
 * the number of users goes in a straight line, as with k6's ramping-vus.
 */
#ifndef ARCHAIC_LOAD_SHAPE_H
#define ARCHAIC_LOAD_SHAPE_H

#include <stdint.h>

#include "base/buf.h"
#include "tools/load/threshold.h"

#define SHAPE_STAGES_MAX 8
#define SHAPE_USERS_MAX 1000

struct shape_stage {
	uint64_t duration_ns;
	unsigned int target; /* users at its end */
};

struct shape {
	char name[32], says[128];
	unsigned int start_users, nr_stages;
	struct shape_stage stages[SHAPE_STAGES_MAX];
	/* A user waits about so long after each step, and after each journey; grace is what journeys get to end. */
	uint64_t step_pause_ns, pause_ns, grace_ns;
	struct threshold thresholds[THRESHOLDS_MAX];
	unsigned int nr_thresholds;
};

/** shape_find() - @name's shape with the thresholds that hold with, or without, failures. 0 or -ENOENT. */
int shape_find(const char *name, bool with_failures, struct shape *ret);

/** shape_parse() - the same from @json, @len bytes. 0, -ENOENT (no such shape) or -EINVAL with @why. */
int shape_parse(const char *json, size_t len, const char *name, bool with_failures,
		struct shape *ret, const char **why);

/** shape_list() - all of them as JSON, {"items":[{"name","says","duration_s","vus_max","stages":[…],"thresholds":[…]}]}. 0 or buf's error. */
int shape_list(struct buf *b);

/** shape_squeeze() - the same stages within @total_ns, for a quick look. */
void shape_squeeze(struct shape *s, uint64_t total_ns);

uint64_t shape_duration_ns(const struct shape *s);
unsigned int shape_users_max(const struct shape *s);

/** shape_users() - the users that there should be @elapsed_ns after the start; 0 at the end and after. */
unsigned int shape_users(const struct shape *s, uint64_t elapsed_ns);

#endif
