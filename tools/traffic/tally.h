/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tally.h - what the users measured, as lines of JSON on a file.
 *
 * {"kind":"second", wall_ms, requests, errors, slow, in_flight, p50_ms, p99_ms, lines_dropped} every second, and
 * {"kind":"slow"|"failed", wall_ms, started_wall_ms, took_ms, service, method, path, status, trace_id, why}
 * for each such request, at most TALLY_LINES_PER_S of them a second: the rest is counted. Thread-safe.
 */
#ifndef ARCHAIC_TRAFFIC_TALLY_H
#define ARCHAIC_TRAFFIC_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TALLY_SAMPLES_MAX 8192 /* durations kept of one second; quantiles are of these */
#define TALLY_LINES_PER_S 100
#define TALLY_TRACE_SIZE 37

struct tally_request {
	const char *service, *method, *path; /* borrowed */
	int status;                          /* 0: none came */
	bool failed;
	uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC */
	char trace_id[TALLY_TRACE_SIZE];
	const char *why; /* where none came: what happened; else "" */
};

/** tally_init() - lines go to @to, borrowed. @slow_ns: from here on a request is slow. Once. */
void tally_init(FILE *to, uint64_t slow_ns);

void tally_begin(void);
void tally_end(const struct tally_request *r);

/** tally_second() - write the second's line and begin another. */
void tally_second(void);

/** tally_totals() - of the whole run. */
void tally_totals(uint64_t *requests, uint64_t *errors);

#endif
