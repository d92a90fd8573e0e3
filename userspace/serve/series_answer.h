/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * series_answer.h - what /v1/series is asked, as text, and what it answers.
 *
 * Pure. Times are RFC 3339 or unix seconds; the answer is written straight
 * into the reply's buffer: a tree of 40,000 numbers would cost megabytes.
 */
#ifndef ARCHAIC_SERIES_ANSWER_H
#define ARCHAIC_SERIES_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "observe/series.h"

#define SERIES_RANGE_MAX_S (366LL * 86400)
#define SERIES_STEP_MAX_S 86400
#define SERIES_AUTO_POINTS 600 /* a step that nobody chose makes no more */

/** series_parse_time() - "2024-01-15T10:30:00.5Z", with an offset too, or "1705314600.5": unix seconds, rounded down. 0 or -EINVAL. */
int series_parse_time(const char *text, int64_t *ret);

/** series_auto_step() - the smallest of 1, 2, 5, 10, 20, 30 s, 1, 2, 5 … min with at most SERIES_AUTO_POINTS steps in @span_s. */
uint32_t series_auto_step(int64_t span_s);

/* Which lines to draw; bits of 1 << enum series_metric. */
#define SERIES_ALL ((1U << NR_SERIES_METRICS) - 1)

/** series_parse_metrics() - "rate_per_s,p99_ms,heat"; NULL: all but heat. 0, or -EINVAL: unknown or empty. */
int series_parse_metrics(const char *text, unsigned *metrics, bool *heat);

/** series_render() - the answer's JSON. 0 or buf's errors. */
int series_render(const struct series_window *w, const char *service, unsigned metrics, bool heat,
		  struct buf *to);

#endif
