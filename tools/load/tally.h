/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tally.h - what became of every request of a run, counted once.
 *
 * Every request that ended counts, and its time with it, failed ones too: to
 * leave out what timed out would be to leave out the worst. Two times are kept
 * apart. *Latency* runs from when the request was due: in an open loop (a set
 * rate) that is the schedule's instant, so what waited because the server
 * stalled has its wait in it; no request's time is omitted because an earlier
 * one was slow ("coordinated omission", G. Tene). *Service time* runs from when
 * it was sent. In a closed loop both are the same.
 */
#ifndef ARCHAIC_LOAD_TALLY_H
#define ARCHAIC_LOAD_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/load/conn.h"
#include "tools/load/hist.h"

#define TALLY_STATUS_MAX 600
#define TALLY_CHECKS_MAX 8

struct tally_check {
	const char *name; /* static */
	uint64_t ok, fails;
};

struct tally {
	uint64_t start_ns, end_ns;
	uint64_t requests; /* ended, well or not */
	uint64_t errors;   /* of them; the sum of failures[] */
	uint64_t failures[NR_FAILURES];
	uint64_t status[TALLY_STATUS_MAX];
	uint64_t unsent; /* due, and never sent: not in requests, but in latency, with what they waited till the end */
	uint64_t connects, bytes_in, bytes_out;
	uint64_t iterations, interrupted;
	struct tally_check checks[TALLY_CHECKS_MAX];
	unsigned int nr_checks;
	struct hist latency, service;
	/* Of the second under way. */
	uint64_t second_requests, second_errors;
	struct hist second;
};

/** tally_answer() - an answer of @status came. 400 and over is a failure. True: it is none. */
bool tally_answer(struct tally *t, const struct conn_request *rq, int status, uint64_t now_ns);

/** tally_failure() - no answer came, for @why. */
void tally_failure(struct tally *t, const struct conn_request *rq, enum failure why,
		   uint64_t now_ns);

/** tally_unsent() - @nr requests were due at @first_ns, @first_ns + @step_ns …, and the run is over at @now_ns. */
void tally_unsent(struct tally *t, double first_ns, double step_ns, uint64_t nr, uint64_t now_ns);

/** tally_second() - begin another second. */
void tally_second(struct tally *t);

/** tally_seconds() - how long the run took; never 0. */
double tally_seconds(const struct tally *t);

#endif
