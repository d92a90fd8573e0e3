/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forest.h - isolation forest with the classic and the boxed score.
 *
 * Classic: F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation Forest", ICDM 2008: a
 * tree splits a sample at random until each point is alone; what is alone early
 * is unlike the rest. score = 2^(-E[path] / c(sample)).
 *
 * It is nearly blind to a fault in ONE of d features: a random tree looks at that
 * feature once in d levels, and a value outside all that was seen takes the same
 * path as the largest that was seen. So every inner node also keeps the bounding
 * box of its training points (the idea of robust random cut forests, S. Guha et
 * al., ICML 2016). At a node with box ranges r_f and distances e_f of x outside
 * the box, x would have been cut off here with probability p = e / (e + r),
 * e = sum e_f, r = sum r_f. The expected depth is gathered on the way down:
 *
 *	w = 1 at the root
 *	inner node at depth k:  E += w p (k + 1);  credit_f += w p (e_f / e) / (k + 1);  w *= 1 - p
 *	leaf of n points:       E += w (k + c(n))
 *
 * Example: one feature, the training points 0, 1, 2, 3 and a root split at 1.5,
 * then 0.5 and 2.5. Classic: x = 9 goes right, right: path 2, just as x = 3 does.
 * Boxed: root e = 6, r = 3, p = 2/3: E = 2/3 * 1, w = 1/3; node [2,3]: e = 6,
 * r = 1, p = 6/7: E += 1/3 * 6/7 * 2, w = 1/21; leaf: E += 1/21 * 2, E = 1.333.
 *
 * Distances of different features are added: rows must be standardised by the
 * caller, and finite; a value missing is the caller's to make neutral.
 *
 * Memory: at most 2 * sample - 1 nodes of 16 bytes a tree, and for each inner node
 * 8 * (features rounded up to 4) bytes: 3.1 MiB at the very most, 0.9 MiB as seen, for
 * 100 trees of 256 samples of 9 features; allocated a tree at a time.
 * Deterministic for a seed. Not thread-safe; scoring is const.
 */
#ifndef ARCHAIC_FOREST_H
#define ARCHAIC_FOREST_H

#include <stddef.h>
#include <stdint.h>

#define FOREST_FEATURES_MAX 64
#define FOREST_SAMPLE_MAX 4096
#define FOREST_TREES_MAX 1000

struct forest;

/**
 * forest_new() - an empty forest.
 * @nr_features: 1 .. FOREST_FEATURES_MAX. @nr_trees: 1 .. FOREST_TREES_MAX, usually 100.
 * @sample: points a tree, 2 .. FOREST_SAMPLE_MAX, usually 256; fewer are used where there are fewer rows.
 * 0, -EINVAL, -ENOMEM.
 */
int forest_new(size_t nr_features, size_t nr_trees, size_t sample, uint64_t seed,
	       struct forest **ret);
void forest_free(struct forest *f);

static inline void forest_freep(struct forest **f)
{
	forest_free(*f);
}

/**
 * forest_fit() - grow all trees anew, each from a draw without replacement.
 * @rows: @nr_rows >= 2 rows of nr_features finite floats, @stride floats apart; borrowed.
 * 0, -EINVAL, -ENOMEM (trees already grown stay; the forest is usable if it was).
 */
int forest_fit(struct forest *f, const float *rows, size_t nr_rows, size_t stride);

/** forest_replace_oldest_tree() - the same for one tree: streaming from a reservoir. -ENOENT before the first fit. */
int forest_replace_oldest_tree(struct forest *f, const float *rows, size_t nr_rows, size_t stride);

/** forest_fitted() - the number of trees that can be scored: 0 or nr_trees. */
size_t forest_fitted(const struct forest *f);

/** forest_score_classic() - 0..1, higher is stranger; 0 before the first fit. @x: nr_features finite floats. */
double forest_score_classic(const struct forest *f, const float *x);

/**
 * forest_score_boxed() - the same with boxes.
 * @credit: nr_features doubles set to each feature's share of the evidence (sum 1, or all 0
 *          where x lies inside all boxes); NULL where it is not wanted.
 */
double forest_score_boxed(const struct forest *f, const float *x, double *credit);

/** forest_c() - average path length of an unsuccessful search among @n points; c(2) = 1, c(0) = c(1) = 0. */
double forest_c(size_t n);

/** forest_bytes() - memory held. */
size_t forest_bytes(const struct forest *f);

#endif
