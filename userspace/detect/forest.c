// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Layout. A tree is two flat arrays. Nodes are numbered so that siblings are
 * neighbours (right = left + 1): descending is `i = left + (x[f] > cut)`, with no
 * branch to mispredict. Inner nodes come with a box, found through box[]; leaves
 * share an endless one and point at themselves with a cut of +inf.
 *
 * Rows and boxes are padded to VEC floats with zeros, which add no distance. Four
 * features are handled at a time with the compilers' vector extension: on x86-64
 * and arm64 that is one register.
 */
#include "detect/forest.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"
#include "detect/random.h"

#define VEC 4
#define LANES_MAX (FOREST_FEATURES_MAX / VEC)
#define SIDE_BY_SIDE 4 /* trees walked at once */

typedef float vec __attribute__((vector_size(VEC * sizeof(float))));
typedef int32_t mask __attribute__((vector_size(VEC * sizeof(int32_t))));

struct node {
	float cut;      /* +inf in a leaf */
	float weight;   /* inner: sum of the box's ranges; leaf: depth + c(points). Never 0 */
	uint16_t feature;
	uint16_t left;  /* itself in a leaf */
	uint16_t box;   /* 0, the endless one, in a leaf */
	uint16_t spare; /* 16 bytes: an index is a shift */
};

struct tree {
	struct node *nodes;
	vec *boxes;     /* [0] endless, then one per inner node: lanes of middle, lanes of half width */
	size_t nr_nodes, nr_boxes;
};

struct forest {
	size_t nr_features, lanes; /* lanes = vectors a row */
	size_t nr_trees, sample;
	size_t fitted;
	size_t oldest;             /* the tree to replace next */
	unsigned levels;           /* longest path in any tree */
	double c;                  /* of the sample the trees were grown from */
	struct random random;
	struct tree *trees;
	struct tree scratch;       /* sized for the largest tree; grown trees are copied out of it */
	uint16_t *order;           /* permutation of the drawn points */
	uint32_t *draw;            /* drawn rows */
	vec *points;               /* drawn rows, copied: sample * lanes */
};

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

int forest_new(size_t nr_features, size_t nr_trees, size_t sample, uint64_t seed, struct forest **ret)
{
	if (nr_features < 1 || nr_features > FOREST_FEATURES_MAX || nr_trees < 1 || nr_trees > FOREST_TREES_MAX ||
	    sample < 2 || sample > FOREST_SAMPLE_MAX)
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

/* max(v, 0) and the rest of the small vocabulary; a comparison gives all ones or zeros per lane. */
static inline vec positive(vec v)
{
	return (vec)((mask)v & (mask)(v > 0));
}

static inline vec lower(vec a, vec b)
{
	mask m = a < b;
	return (vec)(((mask)a & m) | ((mask)b & ~m));
}

static inline vec higher(vec a, vec b)
{
	mask m = a > b;
	return (vec)(((mask)a & m) | ((mask)b & ~m));
}

static inline float total(vec v)
{
	v += __builtin_shufflevector(v, v, 2, 3, 0, 1);
	return v[0] + v[1];
}

static inline vec magnitude(vec v)
{
	return (vec)((mask)v & INT32_MAX);
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
			uint64_t lo = (uint64_t)nr_rows * k / n, hi = (uint64_t)nr_rows * (k + 1) / n;
			f->draw[k] = (uint32_t)(lo + random_below(&f->random, (uint32_t)(hi - lo)));
		}
	}

	memset(f->points, 0, n * f->lanes * sizeof(*f->points));
	for (size_t i = 0; i < n; i++) {
		memcpy(&f->points[i * f->lanes], rows + f->draw[i] * stride, f->nr_features * sizeof(float));
		f->order[i] = (uint16_t)i;
	}
}

struct span {
	uint16_t node, begin, end, depth;
};

/* The box of points order[begin, end) into @box (lanes of lo, then of hi). */
static void bound(const struct forest *f, struct span s, vec *box)
{
	vec *lo = box, *hi = box + f->lanes;

	for (size_t l = 0; l < f->lanes; l++) {
		vec a = f->points[f->order[s.begin] * f->lanes + l], b = a;
		for (size_t i = s.begin + 1U; i < s.end; i++) {
			vec p = f->points[f->order[i] * f->lanes + l];
			a = lower(a, p);
			b = higher(b, p);
		}
		lo[l] = a;
		hi[l] = b;
	}
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
	t->nodes[s.node] = (struct node){ .cut = INFINITY, .weight = (float)(s.depth + forest_c(s.end - s.begin)),
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
		t->nodes[s.node] = (struct node){ .cut = cut, .weight = range, .feature = (uint16_t)feature,
						  .left = left, .box = (uint16_t)(t->nr_boxes - 1) };
		t->nr_nodes += 2;
		/* Depth-first: the stack holds at most one sibling a level. */
		stack[top++] = (struct span){ (uint16_t)(left + 1), mid, s.end, (uint16_t)(s.depth + 1) };
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

static int grow_tree(struct forest *f, struct tree *t, const float *rows, size_t nr_rows, size_t stride)
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

/*
 * ---- scoring
 *
 * No branches: a leaf has the endless box (no distance, so nothing changes) and leads to
 * itself, and every tree is walked f->levels deep. Several trees are walked side by side:
 * each step waits for memory, and the steps of different trees do not wait for each other.
 */

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

/*
 * Sum of the expected depths of @x in @k trees; where @credit is not NULL, credit is added.
 * The credit w p e_f / e / (k + 1) is w e_f / (e + r) / (k + 1).
 * @k and @lanes are constants after inlining, where they are the usual ones.
 */
INLINE double depths_boxed(const struct tree *t, size_t k, unsigned levels, const vec *x, size_t lanes, vec *credit)
{
	float w[SIDE_BY_SIDE] = { 1, 1, 1, 1 }, expected[SIDE_BY_SIDE] = { 0 }, depth = 1;
	unsigned at[SIDE_BY_SIDE] = { 0 };
	double sum = 0;

	for (unsigned level = 0; level < levels; level++, depth++) {
#pragma GCC unroll 4
		for (size_t i = 0; i < k; i++) {
			const struct node *n = &t[i].nodes[at[i]];
			const vec *middle = &t[i].boxes[n->box * 2 * lanes], *half = middle + lanes;
			vec outside[LANES_MAX], all = { 0 };

			at[i] = step(n, (const float *)x);
#pragma GCC unroll 3
			for (size_t l = 0; l < lanes; l++) {
				outside[l] = positive(magnitude(x[l] - middle[l]) - half[l]);
				all += outside[l];
			}
			float e = total(all), inverse = 1 / (e + n->weight), p = e * inverse;
			if (credit) {
				vec share = (vec){ 0 } + w[i] * inverse / depth;
#pragma GCC unroll 3
				for (size_t l = 0; l < lanes; l++)
					credit[l] += outside[l] * share;
			}
			expected[i] += w[i] * p * depth;
			w[i] *= 1 - p;
		}
	}
	for (size_t i = 0; i < k; i++)
		sum += expected[i] + w[i] * t[i].nodes[at[i]].weight;
	return sum;
}

INLINE double forest_depths_boxed(const struct forest *f, const vec *row, size_t lanes, vec *credit)
{
	double sum = 0;
	size_t i = 0;

	for (; i + SIDE_BY_SIDE <= f->nr_trees; i += SIDE_BY_SIDE)
		sum += depths_boxed(&f->trees[i], SIDE_BY_SIDE, f->levels, row, lanes, credit);
	for (; i < f->nr_trees; i++)
		sum += depths_boxed(&f->trees[i], 1, f->levels, row, lanes, credit);
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
