// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Scoring.
 *
 * No branches: a leaf has the endless box (no distance, so nothing changes) and leads to
 * itself, and every tree is walked f->levels deep. Several trees are walked side by side:
 * each step waits for memory, and the steps of different trees do not wait for each other.
 */

#include <math.h>
#include <string.h>

#include "base/util.h"
#include "detect/forest_tree.h"

#define SIDE_BY_SIDE 4 /* trees walked at once */
#define INLINE static inline __attribute__((always_inline))

INLINE unsigned step(const struct node *n, const float *x)
{
	return n->left + (unsigned)(x[n->feature] > n->cut);
}

/* Sum of the path lengths in @k trees (a constant). */
INLINE double paths(const struct tree *t, size_t k, unsigned levels, const float *x)
{
	unsigned at[SIDE_BY_SIDE] = { 0 };
	double sum = 0;

	for (unsigned level = 0; level < levels; level++)
#pragma GCC unroll 4
		for (size_t i = 0; i < k; i++)
			at[i] = step(&t[i].nodes[at[i]], x);
	for (size_t i = 0; i < k; i++)
		sum += t[i].nodes[at[i]].weight;
	return sum;
}

double forest_score_classic(const struct forest *f, const float *x)
{
	double sum = 0;
	size_t i = 0;

	if (!f->fitted)
		return 0;
	for (; i + SIDE_BY_SIDE <= f->nr_trees; i += SIDE_BY_SIDE)
		sum += paths(&f->trees[i], SIDE_BY_SIDE, f->levels, x);
	for (; i < f->nr_trees; i++)
		sum += paths(&f->trees[i], 1, f->levels, x);
	return exp2(-sum / (double)f->nr_trees / f->c);
}

/* Sums of the four floats of each of four vectors, by transposing while adding. */
INLINE vec totals(const vec v[VEC])
{
	vec ab = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5) +
		__builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
	vec cd = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5) +
		__builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);

	return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
		__builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/*
 * Sum of the expected depths of @x in VEC trees of @forest, beginning with @first; where @credit
 * is not NULL, credit is added: w p e_f / e / (k + 1), which is w e_f / (e + r) / (k + 1).
 * Boxes are VEC features at a time, all else is VEC trees at a time. Past the last tree the
 * first is walked again with nothing at stake (w = 0).
 * @lanes is a constant after inlining, where it is the usual one.
 */
INLINE double depths_boxed(const struct forest *forest, size_t first, const vec *x, size_t lanes,
			   vec *credit)
{
	const struct tree *t[VEC];
	vec w = { 0 }, expected = { 0 }, depth = { 1, 1, 1, 1 };
	unsigned at[VEC] = { 0 };
	double sum = 0;

	for (size_t i = 0; i < VEC; i++) {
		w[i] = first + i < forest->nr_trees;
		t[i] = &forest->trees[first + (first + i < forest->nr_trees ? i : 0)];
	}
	for (unsigned level = 0; level < forest->levels; level++, depth += 1) {
		vec outside[VEC][LANES_MAX], all[VEC] = { 0 }, weight = { 0 };
#pragma GCC unroll 4
		for (size_t i = 0; i < VEC; i++) {
			const struct node *n = &t[i]->nodes[at[i]];
			const vec *middle = &t[i]->boxes[n->box * 2 * lanes],
				  *half = middle + lanes;

			weight[i] = n->weight;
			at[i] = step(n, (const float *)x);
#pragma GCC unroll 3
			for (size_t l = 0; l < lanes; l++) {
				outside[i][l] = positive(magnitude(x[l] - middle[l]) - half[l]);
				all[i] += outside[i][l];
			}
		}
		vec e = totals(all), inverse = 1 / (e + weight), p = e * inverse;
		if (credit) {
			vec share = w * inverse / depth;
#pragma GCC unroll 4
			for (size_t i = 0; i < VEC; i++)
#pragma GCC unroll 3
				for (size_t l = 0; l < lanes; l++)
					credit[l] += outside[i][l] * share[i];
		}
		expected += w * p * depth;
		w *= 1 - p;
	}
	for (size_t i = 0; i < VEC; i++)
		sum += expected[i] + w[i] * t[i]->nodes[at[i]].weight;
	return sum;
}

INLINE double forest_depths_boxed(const struct forest *f, const vec *row, size_t lanes, vec *credit)
{
	double sum = 0;

	for (size_t i = 0; i < f->nr_trees; i += VEC)
		sum += depths_boxed(f, i, row, lanes, credit);
	return sum;
}

/* 9 to 12 features, 3 lanes, are what the detector has: that case is compiled apart. */
static double sum_boxed(const struct forest *f, const vec *row, vec *credit)
{
	if (f->lanes != 3)
		return forest_depths_boxed(f, row, f->lanes, credit);
	if (!credit)
		return forest_depths_boxed(f, row, 3, NULL);
	return forest_depths_boxed(f, row, 3, credit);
}

double forest_score_boxed(const struct forest *f, const float *x, double *credit)
{
	vec row[LANES_MAX] = { 0 }, credits[LANES_MAX] = { 0 };
	const float *c = (const float *)credits;
	double all = 0;

	if (credit)
		memset(credit, 0, f->nr_features * sizeof(*credit));
	if (!f->fitted)
		return 0;

	memcpy(row, x, f->nr_features * sizeof(float));
	double sum = sum_boxed(f, row, credit ? credits : NULL);
	for (size_t i = 0; i < f->nr_features; i++)
		all += c[i];
	for (size_t i = 0; credit && all > 0 && i < f->nr_features; i++)
		credit[i] = c[i] / all;
	return exp2(-sum / (double)f->nr_trees / f->c);
}
