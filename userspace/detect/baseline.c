// SPDX-License-Identifier: GPL-2.0-or-later
#include "detect/baseline.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/util.h"

#define ROW 12        /* NR_FEATURES rounded up to whole vectors: the stride of z rows */
#define KEEP_ONE_IN 4 /* of the clean vectors, once the reservoir is full */
#define BLOCKS 4      /* of time, for scores out of the sample */

_Static_assert(NR_FEATURES <= ROW, "a z row holds all features");

int baseline_init(struct baseline *b, uint64_t seed)
{
	struct baseline new = { 0 };

	random_seed(&new.random, seed);
	new.rows = calloc(BASELINE_MAX, sizeof(*new.rows));
	new.order = calloc(BASELINE_MAX, sizeof(*new.order));
	if (!new.rows || !new.order ||
	    forest_new(NR_FEATURES, BASELINE_TREES, BASELINE_SAMPLE, random_u64(&new.random),
		       &new.forest)) {
		baseline_release(&new);
		return -ENOMEM;
	}
	*b = new;
	return 0;
}

void baseline_release(struct baseline *b)
{
	free(b->rows);
	free(b->order);
	forest_free(b->forest);
	*b = (struct baseline){ 0 };
}

void baseline_reset(struct baseline *b)
{
	b->nr = b->fitted_nr = 0;
	b->seen = b->fitted_seen = 0;
}

void baseline_learn(struct baseline *b, const double v[NR_FEATURES])
{
	size_t at = b->nr;

	b->seen++;
	if (b->nr < BASELINE_MAX)
		b->nr++;
	else if (random_below(&b->random, KEEP_ONE_IN))
		return;
	else
		at = random_below(&b->random, BASELINE_MAX);
	for (size_t f = 0; f < NR_FEATURES; f++)
		b->rows[at][f] = (float)v[f];
	b->order[at] = b->seen;
}

/* ---- robust scale */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Quantile of ascending values. */
static double quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

/* How far the load is from the middle, not further than a baseline can speak for. */
static double load(const struct baseline *b, double log_rate)
{
	if (isnan(log_rate))
		return 0;
	return fmin(fmax(log_rate, b->rate_lo - .5), b->rate_hi + 3) - b->rate_middle;
}

static double without_load(const struct baseline *b, size_t f, double value, double log_rate)
{
	return value - b->slope[f] * load(b, log_rate);
}

/* Median and spread of @n values; sorts them, and overwrites them. */
static void locate(double *v, size_t n, double resolution, double *median, double *spread)
{
	qsort(v, n, sizeof(*v), by_value);
	*median = quantile(v, n, .5);
	double iqr = quantile(v, n, .75) - quantile(v, n, .25);
	for (size_t i = 0; i < n; i++)
		v[i] = fabs(v[i] - *median);
	qsort(v, n, sizeof(*v), by_value);
	*spread = fmax(fmax(1.4826 * quantile(v, n, .5), iqr / 1.349), resolution);
}

/*
 * Least squares of feature f on log rate, outliers pulled in to four spreads. The ridge is the
 * variance of a load that hardly varies: what such a load says of a surge is noise.
 */
static double fit_slope(const struct baseline *b, size_t f, double median, double spread)
{
	const double ridge = .01;
	double sx = 0, sy = 0, sxx = 0, sxy = 0, n = 0;

	for (size_t i = 0; i < b->nr; i++) {
		double x = b->rows[i][FEATURE_RATE] - b->rate_middle, y = b->rows[i][f] - median;
		if (isnan(y) || isnan(x))
			continue;
		y = fmin(fmax(y, -4 * spread), 4 * spread);
		sx += x;
		sy += y;
		sxx += x * x;
		sxy += x * y;
		n++;
	}
	if (n < TAIL_SAMPLES_MIN)
		return 0;
	double slope = (sxy - sx * sy / n) / (sxx - sx * sx / n + ridge * n);
	return fmin(fmax(slope, -1.5), 1.5);
}

/* Values of feature @f, load taken out; returns how many are not missing. */
static size_t gather(const struct baseline *b, size_t f, double *v)
{
	size_t n = 0;

	for (size_t i = 0; i < b->nr; i++)
		if (!isnan(b->rows[i][f]))
			v[n++] = without_load(b, f, b->rows[i][f], b->rows[i][FEATURE_RATE]);
	return n;
}

static void fit_scale(struct baseline *b, double *scratch)
{
	memset(b->slope, 0, sizeof(b->slope));
	for (size_t f = 0; f < NR_FEATURES; f++) {
		b->median[f] = 0;
		b->spread[f] = feature_resolution(f);
	}

	size_t n = gather(b, FEATURE_RATE, scratch);
	if (n) {
		locate(scratch, n, feature_resolution(FEATURE_RATE), &b->rate_middle,
		       &b->spread[FEATURE_RATE]);
		/* locate() left distances; the ends come from the rows. */
		n = gather(b, FEATURE_RATE, scratch);
		qsort(scratch, n, sizeof(*scratch), by_value);
		b->rate_lo = quantile(scratch, n, .02);
		b->rate_hi = quantile(scratch, n, .98);
	}
	for (size_t f = 0; f < NR_FEATURES; f++) {
		n = gather(b, f, scratch);
		if (!n) {
			/* Never seen (too few requests for an error ratio): what a healthy one has. */
			b->median[f] = f == FEATURE_ERRORS ? log(.005 / .995) : 0;
			continue;
		}
		locate(scratch, n, feature_resolution(f), &b->median[f], &b->spread[f]);
		if (!feature_follows_load(f))
			continue;
		b->slope[f] = fit_slope(b, f, b->median[f], b->spread[f]);
		n = gather(b, f, scratch);
		locate(scratch, n, feature_resolution(f), &b->median[f], &b->spread[f]);
	}
}

static void z_row(const struct baseline *b, const double v[NR_FEATURES], float z[NR_FEATURES])
{
	for (size_t f = 0; f < NR_FEATURES; f++) {
		double d =
			(without_load(b, f, v[f], v[FEATURE_RATE]) - b->median[f]) / b->spread[f];
		z[f] = isnan(d) ? 0 : (float)fmin(fmax(d, -Z_MAX), Z_MAX);
	}
}

/* ---- forest and tails */

struct stamp {
	uint32_t order, row;
};

static int by_order(const void *a, const void *b)
{
	const struct stamp *x = a, *y = b;
	return (x->order > y->order) - (x->order < y->order);
}

/* All rows as z, in the order of time, ROW floats each; NULL without memory. Owned by the caller. */
static float *z_rows(const struct baseline *b)
{
	float *z = calloc(b->nr, ROW * sizeof(*z));
	CLEANUP(freep) struct stamp *stamps = calloc(b->nr, sizeof(*stamps));

	if (!z || !stamps) {
		free(z);
		return NULL;
	}
	for (size_t i = 0; i < b->nr; i++)
		stamps[i] = (struct stamp){ b->order[i], (uint32_t)i };
	qsort(stamps, b->nr, sizeof(*stamps), by_order);
	for (size_t i = 0; i < b->nr; i++) {
		double v[NR_FEATURES];
		for (size_t f = 0; f < NR_FEATURES; f++)
			v[f] = b->rows[stamps[i].row][f];
		z_row(b, v, z + i * ROW);
	}
	return z;
}

/* Scores of all rows by forests that have not seen their block of time. */
static int score_blocks(struct baseline *b, const float *z, double *scores)
{
	CLEANUP(forest_freep) struct forest *f = NULL;
	CLEANUP(freep) float *others = calloc(b->nr, ROW * sizeof(*others));
	int err = forest_new(NR_FEATURES, BASELINE_TREES, BASELINE_SAMPLE, random_u64(&b->random),
			     &f);

	if (err || !others)
		return -ENOMEM;
	for (size_t k = 0; k < BLOCKS; k++) {
		size_t begin = b->nr * k / BLOCKS, end = b->nr * (k + 1) / BLOCKS;
		memcpy(others, z, begin * ROW * sizeof(*z));
		memcpy(others + begin * ROW, z + end * ROW, (b->nr - end) * ROW * sizeof(*z));
		err = forest_fit(f, others, b->nr - (end - begin), ROW);
		if (err)
			return err;
		for (size_t i = begin; i < end; i++)
			scores[i] = forest_score_boxed(f, z + i * ROW, NULL);
	}
	return 0;
}

/* Each harmful feature by its own tail: a service with pauses now and then still never fails. */
static int fit_z_tails(struct baseline *b, const float *z, double *scratch)
{
	for (size_t f = 0; f < NR_FEATURES; f++) {
		struct tail *t = &b->z_tail[f];
		if (!feature_harmful(f))
			continue;
		for (size_t i = 0; i < b->nr; i++)
			scratch[i] = z[i * ROW + f];
		int err = tail_fit(scratch, b->nr, -.2, .5, t);
		if (err)
			return err;
		/* Under five spreads nothing is extreme, however calm the twenty worst seconds were. */
		t->limit = fmin(fmax(t->limit, 5), Z_MAX * .9);
		t->unlike = fmax(t->unlike, 3);
	}
	return 0;
}

static int fit_tails(struct baseline *b, const float *z, double *scratch)
{
	int err = score_blocks(b, z, scratch);

	/* The score cannot exceed 1: no heavy tail. Under -.2 twenty peaks promise too much. */
	err = err ?: tail_fit(scratch, b->nr, -.2, 0, &b->score_tail);
	if (err)
		return err;
	/* And no limit where nothing can reach it: half-way to the most that there is, one cut. */
	double most = exp2(-1 / forest_c(BASELINE_SAMPLE));
	b->score_tail.limit = fmin(b->score_tail.limit, (b->score_tail.level + most) / 2);
	return fit_z_tails(b, z, scratch);
}

int baseline_fit(struct baseline *b)
{
	if (b->nr < TAIL_SAMPLES_MIN)
		return -EAGAIN;

	CLEANUP(freep) double *scratch = calloc(b->nr, sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;

	struct baseline next = *b;
	fit_scale(&next, scratch);
	CLEANUP(freep) float *z = z_rows(&next);
	if (!z)
		return -ENOMEM;
	int err = fit_tails(&next, z, scratch) ?: forest_fit(next.forest, z, next.nr, ROW);
	if (err)
		return err;
	next.fitted_nr = next.nr;
	next.fitted_seen = next.seen;
	*b = next;
	return 0;
}

int baseline_refresh_tree(struct baseline *b)
{
	if (!b->fitted_nr)
		return -ENOENT;
	CLEANUP(freep) float *z = z_rows(b);
	if (!z)
		return -ENOMEM;
	return forest_replace_oldest_tree(b->forest, z, b->nr, ROW);
}

void baseline_judge(const struct baseline *b, const double v[NR_FEATURES],
		    struct baseline_judgement *ret)
{
	z_row(b, v, ret->z);
	ret->score = forest_score_boxed(b->forest, ret->z, ret->credit);
	ret->classic = forest_score_classic(b->forest, ret->z);
	bool extreme = false, unlike = ret->score > b->score_tail.unlike;
	for (size_t f = 0; f < NR_FEATURES; f++) {
		extreme |= feature_harmful(f) && ret->z[f] > b->z_tail[f].limit;
		unlike |= feature_harmful(f) && ret->z[f] > b->z_tail[f].unlike;
	}
	/*
	 * Two kinds of tail, one bar: a z that is extreme by itself asks less of the score. Failures least
	 * of all: there is no noise that makes them, while one bad second can lift the level of a thin
	 * baseline above what one feature alone, however strange, can reach.
	 */
	bool fails = ret->z[FEATURE_ERRORS] > 2 * b->z_tail[FEATURE_ERRORS].limit;
	ret->threshold = fails ? b->score_tail.typical :
		extreme        ? b->score_tail.level :
				 b->score_tail.limit;
	ret->over = ret->score > ret->threshold;
	ret->unlike = unlike;
}

void baseline_normal(const struct baseline *b, const double v[NR_FEATURES],
		     double normal[NR_FEATURES])
{
	for (size_t f = 0; f < NR_FEATURES; f++)
		normal[f] = feature_human(f, b->median[f] + b->slope[f] * load(b, v[FEATURE_RATE]));
}
