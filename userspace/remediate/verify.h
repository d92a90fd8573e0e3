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
 * repaired one. Pure.
 */
#ifndef ARCHAIC_VERIFY_H
#define ARCHAIC_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

struct verify_limits {
	uint64_t settle_ns; /* 5 s: the window still holds samples from before the action */
	uint64_t window_ns; /* 120 s */
	uint64_t late_ns;   /* 1 s */
	unsigned need, of;  /* 6 of 8; of <= 32 */
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
	uint32_t good;          /* bit i: the i-th last tick that spoke */
	unsigned spoke, bad;    /* ticks, since the settle time */
	uint64_t first_good_ns; /* of the run that verified it: when it recovered */
};

/** verify_start() - the action ended at @now_ns. */
void verify_start(struct verify *v, uint64_t now_ns);

/** verify_step() - one tick more. */
enum verify_result verify_step(struct verify *v, const struct verify_limits *l,
			       const struct verify_tick *t);

#endif
