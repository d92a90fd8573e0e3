/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * random.h - the seeded draws of detection: xoshiro256** (D. Blackman, S. Vigna,
 * "Scrambled linear pseudorandom number generators", 2018), seeded by splitmix64.
 * For sampling only, never for secrets. The caller holds the state.
 */
#ifndef ARCHAIC_RANDOM_H
#define ARCHAIC_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t s[4];
};

static inline void random_seed(struct random *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15ULL);
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		r->s[i] = z ^ (z >> 31);
	}
}

static inline uint64_t random_u64(struct random *r)
{
	uint64_t *s = r->s, x = s[1] * 5, t = s[1] << 17;
	uint64_t ret = ((x << 7) | (x >> 57)) * 9;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = (s[3] << 45) | (s[3] >> 19);
	return ret;
}

/* Whole, in [0, n), n >= 1. Lemire's multiplication; the bias is below n / 2^32. */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)(((random_u64(r) >> 32) * n) >> 32);
}

/* In [0, 1). */
static inline double random_unit(struct random *r)
{
	return (double)(random_u64(r) >> 11) * 0x1p-53;
}

#endif
