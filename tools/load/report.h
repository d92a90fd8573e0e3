/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report.h - a tally as a line of JSON, as a line for a terminal, as a page for a person.
 *
 * Numbers have their units in the name (JSON) or beside them (text).
 */
#ifndef ARCHAIC_LOAD_REPORT_H
#define ARCHAIC_LOAD_REPORT_H

#include <stdio.h>

#include "base/buf.h"
#include "tools/load/threshold.h"

struct report {
	const struct tally *t; /* borrowed, as all here */
	const char *url;       /* of `http`; NULL with a shape */
	const char *shape;     /* of `run`; NULL with an address */
	unsigned int connections, depth;
	double rate_per_s;   /* asked for; 0: closed loop */
	uint64_t planned_ns; /* 0: until so many requests */
	unsigned int users, users_max;
	uint64_t second_slow; /* requests of this second that took as long as the user calls slow */
	bool with_failures, stopped;
	const struct threshold *thresholds;
	unsigned int nr_thresholds;
};

/** report_progress() - {"type":"progress",…}: the second that ends at @now_ns, and the totals. */
void report_progress(struct buf *b, const struct report *r, uint64_t now_ns);

/** report_summary() - {"type":"summary",…,"passed":…}. */
void report_summary(struct buf *b, const struct report *r);

/** report_line() - the same second in some 80 columns, without a line's end. @colour: escape sequences may be used. */
void report_line(struct buf *b, const struct report *r, uint64_t now_ns, bool colour);

/** report_text() - the summary for a person. */
void report_text(struct buf *b, const struct report *r, bool colour);

/** report_passed() - do all thresholds hold, and was anything measured at all? */
bool report_passed(const struct report *r);

#endif
