/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hist.bpf.h - a time into a bucket of the one scheme in abi.h.
 */
#ifndef ARCHAIC_HIST_BPF_H
#define ARCHAIC_HIST_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "abi.h"

#define BOUNDS(k)                                                                           \
	100ULL * (k), 125ULL * (k), 150ULL * (k), 200ULL * (k), 250ULL * (k), 300ULL * (k), \
		400ULL * (k), 500ULL * (k), 600ULL * (k), 750ULL * (k)
#define BOUND_LAST 0x7fffffffffffffffULL
#define BOUND_LAST_8                                                                        \
	BOUND_LAST, BOUND_LAST, BOUND_LAST, BOUND_LAST, BOUND_LAST, BOUND_LAST, BOUND_LAST, \
		BOUND_LAST
static const volatile __u64 bucket_bounds[128] = {
	BOUNDS(10),      BOUNDS(100),      BOUNDS(1000),      BOUNDS(10000), BOUNDS(100000),
	BOUNDS(1000000), BOUNDS(10000000), BOUNDS(100000000), BOUND_LAST_8,  BOUND_LAST_8,
	BOUND_LAST_8,    BOUND_LAST_8,     BOUND_LAST_8,      BOUND_LAST_8,
};

/**
 * bucket_of() - binary search without a branch: 128 paths less for the verifier.
 * The masks change nothing; Linux 5.10 loses the bounds of a sum without them.
 */
static __always_inline __u32 bucket_of(__u64 ns)
{
	__u64 i = 0;

#define BUCKET_STEP(n)                                        \
	i += ((bucket_bounds[i + (n) - 1] - ns) >> 63) * (n); \
	asm volatile("%0 &= 127" : "+r"(i))
	BUCKET_STEP(64);
	BUCKET_STEP(32);
	BUCKET_STEP(16);
	BUCKET_STEP(8);
	BUCKET_STEP(4);
	BUCKET_STEP(2);
	BUCKET_STEP(1);
#undef BUCKET_STEP
	/* Keeps clang from folding the range that the verifier has to see checked. */
	asm volatile("" : "+r"(i));
	return i < ABI_HIST_BUCKETS ? i : ABI_HIST_BUCKETS - 1;
}

#endif
