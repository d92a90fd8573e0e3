/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hist.h - durations into a log-linear histogram, as HdrHistogram lays it out (G. Tene).
 *
 * Below 2^HIST_BITS ns every nanosecond has a slot of its own; above, each
 * octave has 2^(HIST_BITS - 1) slots of equal width. With 9 bits:
 *
 *	  511 ns   slot 511          width 1
 *	  512 ns   slot 512          width 2       256 slots up to 1023 ns
 *	 1024 ns   slot 768          width 4       256 slots up to 2047 ns ...
 *
 * A slot is at most 1/256 of its lowest value wide, and a quantile is told as
 * the slot's middle: off by at most 1/512 (0.2 %) of the true value, and never
 * outside the exact minimum and maximum. HIST_MAX_NS (73 minutes) and above
 * share the last slot, and are counted in @clamped. Fixed size, 72 kB, no
 * allocation. Not thread-safe.
 */
#ifndef ARCHAIC_LOAD_HIST_H
#define ARCHAIC_LOAD_HIST_H

#include <stddef.h>
#include <stdint.h>

#define HIST_BITS 9
#define HIST_OCTAVES 33
#define HIST_SLOTS ((1U << HIST_BITS) + (HIST_OCTAVES << (HIST_BITS - 1)))
#define HIST_MAX_NS (1ULL << (HIST_BITS + HIST_OCTAVES))

struct hist {
	uint64_t total; /* values added */
	uint64_t clamped;
	uint64_t min_ns, max_ns; /* exact; of no meaning while total is 0 */
	double sum_ns;
	uint64_t slots[HIST_SLOTS];
};

/** hist_slot() - the slot that @ns falls into, below HIST_SLOTS. */
size_t hist_slot(uint64_t ns);

/** hist_slot_ns() - the lowest value of @slot; @width: how many nanoseconds share it. */
uint64_t hist_slot_ns(size_t slot, uint64_t *width);

void hist_reset(struct hist *h);

/** hist_record() - count @ns @nr times. */
void hist_record(struct hist *h, uint64_t ns, uint64_t nr);

/** hist_merge() - add all of @from to @h. */
void hist_merge(struct hist *h, const struct hist *from);

/** hist_quantile() - the nearest-rank quantile @q (0 to 1), ns; 0 while nothing was added. */
uint64_t hist_quantile(const struct hist *h, double q);

/** hist_mean() - exact, ns; 0 while nothing was added. */
double hist_mean(const struct hist *h);

#endif
