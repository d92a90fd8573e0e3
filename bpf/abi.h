/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi.h - every type that crosses the kernel border. Written once, included by
 * both sides: fixed widths, explicit padding, byte order in the name, a static
 * assert on every size. No bool, no enum, no long in a struct.
 */
#ifndef ARCHAIC_ABI_H
#define ARCHAIC_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/*
 * The one bucket scheme: upper bounds (inclusive) of 1, 1.25, 1.5, 2, 2.5, 3,
 * 4, 5, 6, 7.5 times 10^k, from 1 us to 75 s, then one open bucket. It holds
 * every bound of the Prometheus buckets (.0005 ... 10 s), so folding is exact.
 */
#define ABI_HIST_PER_DECADE 10
#define ABI_HIST_DECADES 8
#define ABI_HIST_BUCKETS (ABI_HIST_PER_DECADE * ABI_HIST_DECADES + 1)

/* In hundredths of the decade's base. */
#define ABI_HIST_STEPS { 100, 125, 150, 200, 250, 300, 400, 500, 600, 750 }
#define ABI_HIST_FIRST_NS 1000ULL

#endif
