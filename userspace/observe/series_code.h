/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * series_code.h - one point of history in 40 bytes. For series*.c and its test.
 *
 * Numbers: 0 is zero (and all below SERIES_CODE_LEAST), 0xffff is "not known",
 * else code c stands for LEAST * 2^((c - 1) / 1400), so neighbours differ by
 * 0.05 %: 1 to 65534 reach over 46 octaves, 1e-6 to 1.2e8.
 * Counts: 0 is zero, else c stands for 2^((c - 1) / 8) rounded.
 * Pure.
 */
#ifndef ARCHAIC_SERIES_CODE_H
#define ARCHAIC_SERIES_CODE_H

#include <stdint.h>

#include "observe/series.h"

#define SERIES_CODE_UNKNOWN 0xffff
#define SERIES_CODE_LEAST 1e-6

struct series_point {
	uint16_t value[NR_SERIES_METRICS];
	uint8_t heat[SERIES_HEAT_BUCKETS];
};
_Static_assert(sizeof(struct series_point) == 40, "the header's figures");

/* What is added up until a point is made of it. */
struct series_sum {
	int64_t slot; /* which point: unix time / step; INT64_MIN: none yet */
	double span_s;
	uint64_t requests, aborted; /* finished, and not */
	uint64_t failed;            /* 5xx and aborted */
	struct hist duration, runq;
	uint64_t duration_ns, callee_ns, cpu_ns;
	double score, threshold; /* NAN: not known */
	uint32_t in_flight;
	bool knows_tasks, knows_in_flight;
};

/** series_encode() - @value as a code; NAN and negative numbers are "not known". */
uint16_t series_encode(double value);
float series_decode(uint16_t code);

uint8_t series_encode_count(uint64_t n);
uint32_t series_decode_count(uint8_t code);

/** series_sum_point() - the point that a sum stands for. */
void series_sum_point(const struct series_sum *sum, struct series_point *ret);

/** series_point_unknown() - a gap. */
void series_point_unknown(struct series_point *ret);

/** series_point_known() - was there a tick for it? */
bool series_point_known(const struct series_point *p);

/** series_heat_bucket() - the heat bucket that the kernel's duration bucket @i belongs to. */
size_t series_heat_bucket(size_t i);

#endif
