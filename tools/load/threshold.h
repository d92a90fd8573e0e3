/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threshold.h - "http_req_duration:p(99)<500" into a verdict over a tally.
 *
 * The language is k6's, so that one text serves both:
 *	http_req_duration  avg min med max p(0..100), in ms, of latency
 *	http_req_failed    rate, 0 to 1
 *	http_reqs          count, rate a second
 *	checks             rate of those that held, 0 to 1
 *	iterations         count, rate a second
 * with < <= > >= == != and a number. What was never measured meets nothing.
 */
#ifndef ARCHAIC_LOAD_THRESHOLD_H
#define ARCHAIC_LOAD_THRESHOLD_H

#include <stdbool.h>

#include "tools/load/tally.h"

#define THRESHOLD_TEXT_MAX 96 /* with the NUL */
#define THRESHOLDS_MAX 16

struct threshold {
	char text[THRESHOLD_TEXT_MAX]; /* as it was given */
	int metric, stat, op;          /* threshold.c's own */
	double percentile, value;
};

/** threshold_parse() - 0, or -EINVAL with @why set to a static sentence that says what is allowed. */
int threshold_parse(const char *text, struct threshold *ret, const char **why);

/** threshold_met() - does it hold for @t? @measured: set to the figure; left alone where there is none. */
bool threshold_met(const struct threshold *th, const struct tally *t, double *measured);

#endif
