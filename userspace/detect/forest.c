// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Growing the trees; their layout is in forest_tree.h.
 */
#include "detect/forest.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"
#include "detect/forest_tree.h"

double forest_c(size_t n)
{
	static const double euler = 0.57721566490153286;

	if (n < 2)
		return 0;
	if (n == 2)
		return 1;
	double h = log((double)n - 1) + euler;
	if (n <= 32) {
		h = 0;
		for (size_t i = 1; i < n; i++)
			h += 1. / (double)i;
	}
	return 2 * h - 2 * ((double)n - 1) / (double)n;
}

static void tree_release(struct tree *t)
{
	free(t->nodes);
	free(t->boxes);
	*t = (struct tree){ 0 };
}

static int tree_alloc(struct tree *t, size_t nr_nodes, size_t nr_boxes, size_t lanes)
{
	*t = (struct tree){ .nr_nodes = nr_nodes, .nr_boxes = nr_boxes };
	t->nodes = calloc(nr_nodes, sizeof(*t->nodes));
	t->boxes = aligned_alloc(sizeof(vec), nr_boxes * 2 * lanes * sizeof(*t->boxes));
	if (t->nodes && t->boxes)
		return 0;
	tree_release(t);
	return -ENOMEM;
}

int forest_new(size_t nr_features, size_t nr_trees, size_t sample, uint64_t seed,
	       struct forest **ret)
{
	if (nr_features < 1 || nr_features > FOREST_FEATURES_MAX || nr_trees < 1 ||
	    nr_trees > FOREST_TREES_MAX || sample < 2 || sample > FOREST_SAMPLE_MAX)
		return -EINVAL;

	CLEANUP(forest_freep) struct forest *f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;

	f->nr_features = nr_features;
	f->lanes = (nr_features + VEC - 1) / VEC;
	f->nr_trees = nr_trees;
	f->sample = sample;
	random_seed(&f->random, seed);
	f->trees = calloc(nr_trees, sizeof(*f->trees));
	f->order = calloc(sample, sizeof(*f->order));
	f->draw = calloc(sample, sizeof(*f->draw));
	f->points = calloc(sample * f->lanes, sizeof(*f->points));
	if (!f->trees || !f->order || !f->draw || !f->points)
		return -ENOMEM;
	int err = tree_alloc(&f->scratch, 2 * sample - 1, sample, f->lanes);
	if (err)
		return err;
	*ret = TAKE_PTR(f);
	return 0;
}

void forest_free(struct forest *f)
{
	if (!f)
		return;
	for (size_t i = 0; f->trees && i < f->nr_trees; i++)
		tree_release(&f->trees[i]);
	tree_release(&f->scratch);
	free(f->trees);
	free(f->order);
	free(f->draw);
	free(f->points);
	free(f);
}

size_t forest_fitted(const struct forest *f)
{
	return f->fitted;
}

size_t forest_bytes(const struct forest *f)
{
	size_t bytes = sizeof(*f) + f->nr_trees * sizeof(*f->trees);

	for (size_t i = 0; i <= f->nr_trees; i++) {
		const struct tree *t = i < f->nr_trees ? &f->trees[i] : &f->scratch;
		bytes += t->nr_nodes * sizeof(*t->nodes) + t->nr_boxes * 2 * f->lanes * sizeof(vec);
	}
	return bytes + f->sample * (sizeof(*f->order) + sizeof(*f->draw) + f->lanes * sizeof(vec));
}

/* ---- growing */

/* @n rows without replacement into f->points. */
static void draw_rows(struct forest *f, const float *rows, size_t nr_rows, size_t stride, size_t n)
{
	/* Vitter's algorithm S: one pass, each row taken with probability (wanted left) / (rows left). */
	size_t wanted = n, k = 0;

	if (nr_rows <= 65536) {
		for (size_t i = 0; i < nr_rows && wanted; i++)
			if (random_below(&f->random, (uint32_t)(nr_rows - i)) < wanted) {
				f->draw[k++] = (uint32_t)i;
				wanted--;
			}
	} else {
		/* One row from each of n equal parts: as good as random, and independent of nr_rows. */
		for (; k < n; k++) {
			uint64_t lo = (uint64_t)nr_rows * k / n,
				 hi = (uint64_t)nr_rows * (k + 1) / n;
			f->draw[k] = (uint32_t)(lo + random_below(&f->random, (uint32_t)(hi - lo)));
		}
	}

	memset(f->points, 0, n * f->lanes * sizeof(*f->points));
	for (size_t i = 0; i < n; i++) {
		memcpy(&f->points[i * f->lanes], rows + f->draw[i] * stride,
		       f->nr_features * sizeof(float));
		f->order[i] = (uint16_t)i;
	}
}

struct span {
	uint16_t node, begin, end, depth;
};

/* One pass over the points; @lanes is a constant after inlining, where it is the usual one. */
static inline __attribute__((always_inline)) void bound_lanes(const struct forest *f, struct span s,
							      size_t lanes, vec *box)
{
	vec lo[LANES_MAX], hi[LANES_MAX];

	for (size_t l = 0; l < lanes; l++)
		lo[l] = hi[l] = f->points[f->order[s.begin] * lanes + l];
	for (size_t i = s.begin + 1U; i < s.end; i++) {
		const vec *p = &f->points[f->order[i] * lanes];
#pragma GCC unroll 3
		for (size_t l = 0; l < lanes; l++) {
			lo[l] = lower(lo[l], p[l]);
			hi[l] = higher(hi[l], p[l]);
		}
	}
	for (size_t l = 0; l < lanes; l++) {
		box[l] = lo[l];
		box[lanes + l] = hi[l];
	}
}

/* The box of points order[begin, end) into @box (lanes of lo, then of hi). */
static void bound(const struct forest *f, struct span s, vec *box)
{
	if (f->lanes == 3)
		bound_lanes(f, s, 3, box);
	else
		bound_lanes(f, s, f->lanes, box);
}

/* A feature that varies inside the box, at random; -1 where all points are the same. */
static int pick_feature(struct forest *f, const vec *box)
{
	const float *lo = (const float *)box, *hi = (const float *)(box + f->lanes);
	uint16_t varying[FOREST_FEATURES_MAX];
	uint32_t n = 0;

	for (size_t i = 0; i < f->nr_features; i++)
		if (hi[i] > lo[i])
			varying[n++] = (uint16_t)i;
	return n ? varying[random_below(&f->random, n)] : -1;
}

/* Points with x <= cut to the front; returns where the others begin. */
static uint16_t partition(struct forest *f, struct span s, size_t feature, float cut)
{
	const float *x = (const float *)f->points + feature;
	size_t stride = f->lanes * VEC, i = s.begin, j = s.end;

	while (i < j) {
		uint16_t p = f->order[i];
		if (x[p * stride] <= cut) {
			i++;
		} else {
			f->order[i] = f->order[--j];
			f->order[j] = p;
		}
	}
	return (uint16_t)i;
}

static void make_leaf(struct tree *t, struct span s)
{
	t->nodes[s.node] = (struct node){ .cut = INFINITY,
					  .weight = (float)(s.depth + forest_c(s.end - s.begin)),
					  .left = s.node };
}

/* Uniform in [lo, hi): never hi itself, so that both sides get a point. */
static float pick_cut(struct random *r, float lo, float hi)
{
	float cut = lo + (float)random_unit(r) * (hi - lo);
	return cut < hi ? cut : lo;
}

/* Append a box; returns the sum of its ranges. */
static float store_box(const struct forest *f, struct tree *t, const vec *box)
{
	vec *to = &t->boxes[t->nr_boxes * 2 * f->lanes];
	float range = 0;

	for (size_t l = 0; l < f->lanes; l++) {
		vec lo = box[l], hi = box[f->lanes + l];
		to[l] = (lo + hi) * .5f;
		to[f->lanes + l] = (hi - lo) * .5f;
		range += total(hi - lo);
	}
	t->nr_boxes++;
	return range;
}

/* Grow f->scratch from the n drawn points. */
static void grow(struct forest *f, size_t n)
{
	struct tree *t = &f->scratch;
	struct span stack[64];
	size_t depth_max = (size_t)ceil(log2((double)n)), top = 0;

	t->nr_nodes = 1;
	t->nr_boxes = 1;
	for (size_t l = 0; l < f->lanes; l++) {
		t->boxes[l] = (vec){ 0 };
		t->boxes[f->lanes + l] = (vec){ 0 } + FLT_MAX;
	}
	stack[top++] = (struct span){ .end = (uint16_t)n };
	while (top) {
		struct span s = stack[--top];
		vec box[2 * LANES_MAX];
		int feature = -1;

		f->levels = MAX(f->levels, (unsigned)s.depth);
		if (s.end - s.begin > 1 && s.depth < depth_max) {
			bound(f, s, box);
			feature = pick_feature(f, box);
		}
		if (feature < 0) {
			make_leaf(t, s);
			continue;
		}

		const float *lo = (const float *)box, *hi = (const float *)(box + f->lanes);
		float cut = pick_cut(&f->random, lo[feature], hi[feature]);
		float range = store_box(f, t, box);
		uint16_t mid = partition(f, s, (size_t)feature, cut), left = (uint16_t)t->nr_nodes;
		t->nodes[s.node] = (struct node){ .cut = cut,
						  .weight = range,
						  .feature = (uint16_t)feature,
						  .left = left,
						  .box = (uint16_t)(t->nr_boxes - 1) };
		t->nr_nodes += 2;
		/* Depth-first: the stack holds at most one sibling a level. */
		stack[top++] =
			(struct span){ (uint16_t)(left + 1), mid, s.end, (uint16_t)(s.depth + 1) };
		stack[top++] = (struct span){ left, s.begin, mid, (uint16_t)(s.depth + 1) };
	}
}

/* Replace *t by an exact copy of the scratch tree; *t is untouched on failure. */
static int keep(struct forest *f, struct tree *t)
{
	const struct tree *s = &f->scratch;
	struct tree copy;
	int err = tree_alloc(&copy, s->nr_nodes, s->nr_boxes, f->lanes);

	if (err)
		return err;
	memcpy(copy.nodes, s->nodes, s->nr_nodes * sizeof(*s->nodes));
	memcpy(copy.boxes, s->boxes, s->nr_boxes * 2 * f->lanes * sizeof(*s->boxes));
	tree_release(t);
	*t = copy;
	return 0;
}

static int grow_tree(struct forest *f, struct tree *t, const float *rows, size_t nr_rows,
		     size_t stride)
{
	size_t n = MIN(f->sample, nr_rows);

	draw_rows(f, rows, nr_rows, stride, n);
	grow(f, n);
	return keep(f, t);
}

static bool rows_valid(const struct forest *f, const float *rows, size_t nr_rows, size_t stride)
{
	return rows && nr_rows >= 2 && nr_rows <= UINT32_MAX && stride >= f->nr_features;
}

int forest_fit(struct forest *f, const float *rows, size_t nr_rows, size_t stride)
{
	if (!rows_valid(f, rows, nr_rows, stride))
		return -EINVAL;

	for (size_t i = 0; i < f->nr_trees; i++) {
		int err = grow_tree(f, &f->trees[i], rows, nr_rows, stride);
		if (err)
			return err;
	}
	f->fitted = f->nr_trees;
	f->oldest = 0;
	f->c = forest_c(MIN(f->sample, nr_rows));
	return 0;
}

int forest_replace_oldest_tree(struct forest *f, const float *rows, size_t nr_rows, size_t stride)
{
	if (!f->fitted)
		return -ENOENT;
	if (!rows_valid(f, rows, nr_rows, stride))
		return -EINVAL;

	int err = grow_tree(f, &f->trees[f->oldest], rows, nr_rows, stride);
	if (err)
		return err;
	f->oldest = (f->oldest + 1) % f->nr_trees;
	return 0;
}
