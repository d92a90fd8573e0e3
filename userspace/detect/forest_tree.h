/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * forest_tree.h - the inside of a forest, for forest.c (grows it) and forest_score.c only.
 *
 * Layout. A tree is two flat arrays. Nodes are numbered so that siblings are
 * neighbours (right = left + 1): descending is `i = left + (x[f] > cut)`, with no
 * branch to mispredict. Inner nodes come with a box, found through box[]; leaves
 * share an endless one and point at themselves with a cut of +inf.
 *
 * Rows and boxes are padded to VEC floats with zeros, which add no distance. Four
 * features are handled at a time with the compilers' vector extension: on x86-64
 * and arm64 that is one register.
 */
#ifndef ARCHAIC_FOREST_TREE_H
#define ARCHAIC_FOREST_TREE_H

#include "detect/forest.h"
#include "detect/random.h"

#define VEC 4
#define LANES_MAX (FOREST_FEATURES_MAX / VEC)

typedef float vec __attribute__((vector_size(VEC * sizeof(float))));
typedef int32_t mask __attribute__((vector_size(VEC * sizeof(int32_t))));

struct node {
	float cut;    /* +inf in a leaf */
	float weight; /* inner: sum of the box's ranges; leaf: depth + c(points). Never 0 */
	uint16_t feature;
	uint16_t left;  /* itself in a leaf */
	uint16_t box;   /* 0, the endless one, in a leaf */
	uint16_t spare; /* 16 bytes: an index is a shift */
};

struct tree {
	struct node *nodes;
	vec *boxes; /* [0] endless, then one per inner node: lanes of middle, lanes of half width */
	size_t nr_nodes, nr_boxes;
};

struct forest {
	size_t nr_features, lanes; /* lanes = vectors a row */
	size_t nr_trees, sample;
	size_t fitted;
	size_t oldest;   /* the tree to replace next */
	unsigned levels; /* longest path in any tree */
	double c;        /* of the sample the trees were grown from */
	struct random random;
	struct tree *trees;
	struct tree scratch; /* sized for the largest tree; grown trees are copied out of it */
	uint16_t *order;     /* permutation of the drawn points */
	uint32_t *draw;      /* drawn rows */
	vec *points;         /* drawn rows, copied: sample * lanes */
};

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

#endif
