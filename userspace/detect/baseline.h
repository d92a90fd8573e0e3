/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline.h - what is normal for one service: clean vectors, and all that follows from them.
 *
 * A reservoir of BASELINE_MAX feature vectors. While it fills, every clean vector is kept; after
 * that every fourth replaces one at random, so the mean age is over two hours at 1 s a tick and
 * old habits fade slowly. From it follow, at each baseline_fit():
 *  - per feature: the slope on log rate (least squares, ridged), the median of what remains, and a
 *    spread: the largest of 1.4826 MAD, IQR / 1.349 and the instrument's resolution (which
 *    on a logarithmic scale is also the usual "few per cent of the median"). z = (value - slope * load - median) / spread, clipped at +-30; missing: 0;
 *  - a forest of 100 x 256 on the z values;
 *  - the tails (threshold.h) of every harmful z, and of the boxed score from scores of
 *    samples by forests that were not grown from them: four forests, each from three quarters of
 *    the time, score the fourth. Quarters are blocks of time, since neighbours overlap.
 *
 * Memory: 74 KiB for the vectors and about 0.9 MiB for the forest. Not thread-safe.
 */
#ifndef ARCHAIC_BASELINE_H
#define ARCHAIC_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/features.h"
#include "detect/forest.h"
#include "detect/random.h"
#include "detect/threshold.h"

#define BASELINE_MAX 2048
#define BASELINE_TREES 100
#define BASELINE_SAMPLE 256
#define Z_MAX 30

struct baseline {
	float (*rows)[NR_FEATURES]; /* owned; model scale, NaN: missing */
	uint32_t *order;            /* owned; when a row came, for blocks of time */
	size_t nr;
	uint32_t seen;    /* clean vectors ever offered */
	size_t fitted_nr; /* rows at the last fit; 0: none yet */
	uint32_t fitted_seen;
	double median[NR_FEATURES], spread[NR_FEATURES], slope[NR_FEATURES];
	double rate_middle, rate_lo, rate_hi; /* model scale */
	struct forest *forest;                /* owned */
	struct tail score_tail, z_tail[NR_FEATURES];
	struct random random;
};

struct baseline_judgement {
	float z[NR_FEATURES];
	double score, classic;
	double credit[NR_FEATURES]; /* shares of the boxed score */
	double threshold; /* of the score, for this vector: lower where one z alone is beyond its limit */
	bool over;        /* score > threshold */
	bool unlike; /* p < 1e-2 by score or z */
};

/** baseline_init() - 0, -ENOMEM. */
int baseline_init(struct baseline *b, uint64_t seed);
void baseline_release(struct baseline *b);

/** baseline_reset() - forget all samples and the fit. */
void baseline_reset(struct baseline *b);

/** baseline_learn() - offer one clean vector (model scale). */
void baseline_learn(struct baseline *b, const double v[NR_FEATURES]);

/**
 * baseline_fit() - grow everything anew; about 15 ms for 1,024 rows.
 * 0, -EAGAIN (under TAIL_SAMPLES_MIN rows), -ENOMEM (limits stay as they were; some trees may be new).
 */
int baseline_fit(struct baseline *b);

/** baseline_refresh_tree() - replace the oldest tree from the rows as they are now. 0, -ENOENT, -ENOMEM. */
int baseline_refresh_tree(struct baseline *b);

/** baseline_judge() - score one vector; only where fitted_nr > 0. */
void baseline_judge(const struct baseline *b, const double v[NR_FEATURES],
		    struct baseline_judgement *ret);

/** baseline_normal() - what each feature would be now, human units, at the load of @v. */
void baseline_normal(const struct baseline *b, const double v[NR_FEATURES],
		     double normal[NR_FEATURES]);

#endif
