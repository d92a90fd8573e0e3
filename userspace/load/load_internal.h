/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load_internal.h - one load test's record, for load/ and its test alone.
 */
#ifndef ARCHAIC_LOAD_INTERNAL_H
#define ARCHAIC_LOAD_INTERNAL_H

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "load/loads.h"

#define LOAD_CHECKS_MAX 32
#define LOAD_THRESHOLDS_MAX 32
#define LOAD_NAME_MAX 96

enum load_state { LOAD_RUNNING, LOAD_PASSED, LOAD_FAILED, LOAD_STOPPED, LOAD_ERROR };

struct load_check {
	char name[LOAD_NAME_MAX];
	uint64_t ok, fails;
};

struct load_threshold {
	char expr[LOAD_NAME_MAX];
	bool ok;
};

struct load {
	uint32_t nr; /* 0: an empty slot */
	char id[16]; /* "l-0001" */
	const struct load_shape *shape;
	bool with_failures;
	enum load_state state;
	int64_t started_ms, ended_ms; /* wall */
	uint64_t deadline_ns;         /* monotonic: killed then */
	bool heard;                   /* a line has come */
	bool summed_up;               /* the last one */
	double remaining_s, rate_per_s;
	double p50_ms, p90_ms, p99_ms; /* NAN: not known */
	uint64_t vus, requests, errors;
	struct load_check checks[LOAD_CHECKS_MAX];
	size_t nr_checks;
	struct load_threshold thresholds[LOAD_THRESHOLDS_MAX];
	size_t nr_thresholds;
	uint64_t bad_lines; /* not JSON, too long, or not ours */
	char words[200];    /* the last line that was not JSON: why it failed, perhaps */
	char says[240];
};

/** load_line() - take in one line of the generator's. False: it was none of ours, and is in @l's words. */
bool load_line(struct load *l, const char *line, size_t len);

/** load_ended() - the child's end, as waitid() told it: settles state and says. @stopped: we asked it to. @late: it was killed for overtime. */
void load_ended(struct load *l, int code, int status, bool stopped, bool late, int64_t now_ms);

/** load_json() - the load as the interface has it; NULL: no memory. */
cJSON *load_json(const struct load *l, int64_t now_ms);

/* ---- load_program.c */

#define LOAD_PROGRAM "archaic-load"

/** load_program() - the generator's path: @given, else beside this program, else in PATH. False: it cannot be run. */
bool load_program(const char *given, char path[static PATH_MAX]);

#endif
