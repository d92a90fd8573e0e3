/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * show.h - what a run prints: JSON lines on stdout, a live line on a terminal, the summary.
 *
 * The live line is written over itself on stderr, and only where that is a
 * terminal (not TERM=dumb); NO_COLOR leaves out the colours. With --json the
 * summary is one JSON object on stdout, else text.
 */
#ifndef ARCHAIC_LOAD_SHOW_H
#define ARCHAIC_LOAD_SHOW_H

#include <stdbool.h>

#include "tools/load/crowd.h"
#include "tools/load/report.h"

#define SHOW_REQUESTS_PER_S 100 /* lines of slow and failed requests; the rest is counted */

struct show {
	bool json, json_lines, live, colour_out, colour_err;
	unsigned int lines, dropped; /* of this second */
};

/** show_init() - looks at the terminals and the environment. */
void show_init(struct show *s, bool json, bool json_lines);

/** show_second() - once a second. 0, or -EPIPE: nobody reads any more. */
int show_second(struct show *s, const struct report *r, uint64_t now_ns);

/** show_request() - one slow or failed request, as a JSON line. */
void show_request(struct show *s, const struct crowd_request *rq);

/** show_summary() - 0 or -EPIPE. */
int show_summary(struct show *s, const struct report *r);

#endif
