/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verify.h - did it help? Ticks in, one of four answers out.
 *
 * After the settle time, a tick is good when requests were answered, none
 * waits longer than late_ns, and no member of the incident is suspect; bad when
 * one is suspect or requests wait longer; silent when nobody called. Silent
 * ticks say nothing: they neither help nor harm. Back in the baseline is
 * `need` good ticks among the last `of` that spoke. At the window's end:
 * failed where a bad tick was seen, else unverified: a quiet service is not a
 * repaired one.
 *
 * When it recovered is another question, and the settle time's ticks help to answer
 * it: with the oldest good tick of the proof, or the first of the good ones that
 * led up to that one without a bad one between. Pure.
 */
#ifndef ARCHAIC_VERIFY_H
#define ARCHAIC_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#define VERIFY_OF_MAX 32

struct verify_limits {
	uint64_t settle_ns; /* 5 s: the window still holds samples from before the action */
	uint64_t window_ns; /* 120 s */
	uint64_t late_ns;   /* 1 s */
	unsigned need, of;  /* 6 of 8; of <= VERIFY_OF_MAX */
};

void verify_limits_default(struct verify_limits *l);

enum verify_result { VERIFY_PENDING, VERIFY_VERIFIED, VERIFY_FAILED, VERIFY_UNVERIFIED };

/** verify_result_name() - "pending", "verified", "failed", "unverified". */
const char *verify_result_name(enum verify_result r);

/* One tick of everything that belongs to the incident. */
struct verify_tick {
	uint64_t at_ns;
	bool suspect;       /* the root's or a victim's verdict */
	uint64_t answered;  /* by the root */
	uint64_t oldest_ns; /* in flight at the root */
};

struct verify {
	uint64_t started_ns;
	uint32_t good;       /* bit i: the i-th last tick that spoke */
	unsigned spoke, bad; /* ticks, since the settle time */
	uint64_t run_ns; /* first of the good ticks without a bad one since; 0: the last was bad */
	uint64_t began_ns
		[VERIFY_OF_MAX]; /* ring, by spoke: run_ns of the good ticks that count, 0 of bad ones */
	uint64_t first_good_ns; /* once verified: when it recovered */
};

/** verify_start() - the action ended at @now_ns. */
void verify_start(struct verify *v, uint64_t now_ns);

/** verify_step() - one tick more. */
enum verify_result verify_step(struct verify *v, const struct verify_limits *l,
			       const struct verify_tick *t);

#endif
