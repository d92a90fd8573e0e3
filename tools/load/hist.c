// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/hist.h"

#include <math.h>
#include <string.h>

#include "base/util.h"

#define LINEAR (1ULL << HIST_BITS)
#define HALF (1U << (HIST_BITS - 1))

size_t hist_slot(uint64_t ns)
{
	if (ns < LINEAR)
		return (size_t)ns;
	if (ns >= HIST_MAX_NS)
		return HIST_SLOTS - 1;
	/* The value's highest HIST_BITS bits: the first of them is always 1. */
	unsigned int octave = 63 - (unsigned int)__builtin_clzll(ns) - HIST_BITS;

	return LINEAR + octave * HALF + (size_t)(ns >> (octave + 1)) - HALF;
}

uint64_t hist_slot_ns(size_t slot, uint64_t *width)
{
	*width = 1;
	if (slot < LINEAR)
		return slot;
	size_t octave = (slot - LINEAR) / HALF, in = (slot - LINEAR) % HALF;

	*width = 2ULL << octave;
	return (HALF + in) << (octave + 1);
}

void hist_reset(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void hist_record(struct hist *h, uint64_t ns, uint64_t nr)
{
	if (!nr)
		return;
	if (!h->total || ns < h->min_ns)
		h->min_ns = ns;
	if (!h->total || ns > h->max_ns)
		h->max_ns = ns;
	if (ns >= HIST_MAX_NS)
		h->clamped += nr;
	h->total += nr;
	h->sum_ns += (double)ns * (double)nr;
	h->slots[hist_slot(ns)] += nr;
}

void hist_merge(struct hist *h, const struct hist *from)
{
	if (!from->total)
		return;
	h->min_ns = h->total ? MIN(h->min_ns, from->min_ns) : from->min_ns;
	h->max_ns = h->total ? MAX(h->max_ns, from->max_ns) : from->max_ns;
	h->total += from->total;
	h->clamped += from->clamped;
	h->sum_ns += from->sum_ns;
	for (size_t i = 0; i < HIST_SLOTS; i++)
		h->slots[i] += from->slots[i];
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	/* A product like .99 * 100 may come out a hair above the whole number that it is. */
	double want = ceil(q * (double)h->total - 1e-9);
	uint64_t rank = want < 1 ? 1 : MIN((uint64_t)want, h->total), seen = 0, width;

	if (!h->total)
		return 0;
	if (rank == h->total)
		return h->max_ns;
	for (size_t i = 0; i < HIST_SLOTS; i++) {
		seen += h->slots[i];
		if (seen < rank)
			continue;
		uint64_t ns = hist_slot_ns(i, &width);

		/* The last slot has no upper end of its own: what lies in it is told by the maximum. */
		if (i == HIST_SLOTS - 1 && h->clamped)
			return h->max_ns;
		return MIN(MAX(ns + width / 2, h->min_ns), h->max_ns);
	}
	return h->max_ns; /* not reached: the slots add up to total */
}

double hist_mean(const struct hist *h)
{
	return h->total ? h->sum_ns / (double)h->total : 0;
}
