// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The forest: by hand on tiny sets, against the reference AUC of the classic score, and what
 * the boxes are for: a fault in one feature.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "../lib/csv.h"
#include "base/util.h"
#include "detect/forest.h"
#include "detect/random.h"

#define SEEDS 10

static float gauss(struct random *r)
{
	double u = 1 - random_unit(r), v = random_unit(r);
	return (float)(sqrt(-2 * log(u)) * cos(2 * M_PI * v));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void test_forest_c_by_hand(void **state)
{
	(void)state;
	assert_true(forest_c(0) == 0 && forest_c(1) == 0 && forest_c(2) == 1);
	/* 2 H(n-1) - 2 (n-1)/n with H exact: n = 3: 2 * 1.5 - 4/3; n = 4: 2 * 11/6 - 3/2 */
	assert_float_equal(forest_c(3), 5. / 3, 1e-12);
	assert_float_equal(forest_c(4), 13. / 6, 1e-12);
	assert_float_equal(forest_c(256), 10.2448, 1e-3);
	/* The logarithm takes over where it is exact enough: no step. */
	assert_true(fabs(forest_c(33) - forest_c(32)) < .1);
}

/* Two points, one feature: the root's box is [0, 1], both leaves are at depth 1, c(2) = 1. */
static void test_forest_two_points_by_hand(void **state)
{
	(void)state;
	const float rows[] = { 0, 1 }, inside = .5F, outside = 3;
	double credit[1];
	CLEANUP(forest_freep) struct forest *f = NULL;

	assert_int_equal(forest_new(1, 7, 256, 1, &f), 0);
	assert_int_equal(forest_fitted(f), 0);
	assert_true(forest_score_boxed(f, &inside, credit) == 0 && credit[0] == 0);
	assert_int_equal(forest_fit(f, rows, 2, 1), 0);
	assert_int_equal(forest_fitted(f), 7);

	/* Path 1 everywhere: 2^(-1/1). */
	assert_float_equal(forest_score_classic(f, &inside), .5, 1e-6);
	assert_float_equal(forest_score_classic(f, &outside), .5, 1e-6);
	assert_float_equal(forest_score_boxed(f, &inside, credit), .5, 1e-6);
	assert_true(credit[0] == 0);
	/* Outside, p = 2/3 at depth 0: E = 2/3 * 1 + 1/3 * 1. */
	assert_float_equal(forest_score_boxed(f, &outside, credit), .5, 1e-6);
	assert_float_equal(credit[0], 1, 1e-6);
}

/*
 * Four points in two groups, 0, 1 and 100, 101: the root's cut falls between the groups in 99 of
 * 101 trees, and all leaves are at depth 2 then. One tree whose cut does is enough to check.
 * x = 400: root e = 299, r = 101, p = 299/400, E = p; w = 101/400; node [100, 101]: e = 299,
 * r = 1, p = 299/300: E += w p 2, w = 101/400/300; leaf: E += w 2. c(4) = 13/6.
 */
static void test_forest_boxed_by_hand(void **state)
{
	(void)state;
	const float rows[] = { 0, 1, 100, 101 }, far = 400, edge = 101;
	double expected = 299. / 400 + 101. / 400 * 2;
	bool seen = false;

	for (uint64_t seed = 1; seed < 20 && !seen; seed++) {
		CLEANUP(forest_freep) struct forest *f = NULL;
		assert_int_equal(forest_new(1, 1, 4, seed, &f), 0);
		assert_int_equal(forest_fit(f, rows, 4, 1), 0);
		seen = fabs(forest_score_classic(f, &edge) - exp2(-2 / (13. / 6))) < 1e-6;
		if (!seen)
			continue;
		/* The classic score cannot tell 400 from 101. */
		assert_float_equal(forest_score_classic(f, &far), forest_score_classic(f, &edge),
				   1e-9);
		assert_float_equal(forest_score_boxed(f, &edge, NULL),
				   forest_score_classic(f, &edge), 1e-6);
		assert_float_equal(forest_score_boxed(f, &far, NULL), exp2(-expected / (13. / 6)),
				   1e-5);
	}
	assert_true(seen);
}

static void test_forest_refuses_bad_shapes(void **state)
{
	(void)state;
	struct forest *f = NULL;
	const float rows[4] = { 0 };

	assert_int_equal(forest_new(0, 1, 2, 1, &f), -EINVAL);
	assert_int_equal(forest_new(FOREST_FEATURES_MAX + 1, 1, 2, 1, &f), -EINVAL);
	assert_int_equal(forest_new(1, FOREST_TREES_MAX + 1, 2, 1, &f), -EINVAL);
	assert_int_equal(forest_new(1, 1, 1, 1, &f), -EINVAL);
	assert_null(f);

	assert_int_equal(forest_new(2, 3, 4, 1, &f), 0);
	assert_int_equal(forest_replace_oldest_tree(f, rows, 2, 2), -ENOENT);
	assert_int_equal(forest_fit(f, rows, 1, 2), -EINVAL);
	assert_int_equal(forest_fit(f, rows, 2, 1), -EINVAL);
	assert_int_equal(forest_fitted(f), 0);
	/* All rows the same: no split is possible, and none is needed. */
	assert_int_equal(forest_fit(f, rows, 2, 2), 0);
	const float other[] = { 5, 0 };
	assert_true(isfinite(forest_score_classic(f, other)) &&
		    isfinite(forest_score_boxed(f, other, NULL)));
	forest_free(f);
}

static void fill(struct random *r, float *rows, size_t n, size_t d, size_t stride)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < d; j++)
			rows[i * stride + j] = gauss(r);
}

static void test_forest_same_seed_same_scores(void **state)
{
	(void)state;
	static float rows[600 * 5];
	struct random r;
	double score[3];

	random_seed(&r, 3);
	fill(&r, rows, 600, 5, 5);
	for (int k = 0; k < 3; k++) {
		CLEANUP(forest_freep) struct forest *f = NULL;
		assert_int_equal(forest_new(5, 20, 64, k == 2 ? 8 : 7, &f), 0);
		assert_int_equal(forest_fit(f, rows, 600, 5), 0);
		score[k] = forest_score_boxed(f, rows, NULL);
	}
	assert_true(score[0] == score[1]);
	assert_true(score[0] != score[2]);
}

/* A forest whose every tree was replaced knows the new level and has forgotten the old. */
static void test_forest_streaming_follows_the_reservoir(void **state)
{
	(void)state;
	static float before[1024 * 4], after[1024 * 4];
	CLEANUP(forest_freep) struct forest *f = NULL;
	struct random r;

	random_seed(&r, 4);
	fill(&r, before, 1024, 4, 4);
	fill(&r, after, 1024, 4, 4);
	for (size_t i = 0; i < 1024; i++)
		after[i * 4 + 2] += 12;

	assert_int_equal(forest_new(4, 100, 256, 5, &f), 0);
	assert_int_equal(forest_fit(f, before, 1024, 4), 0);
	double strange = forest_score_boxed(f, after, NULL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(forest_replace_oldest_tree(f, after, 1024, 4), 0);
	assert_true(forest_score_boxed(f, after, NULL) < strange - .2);
	assert_true(forest_score_boxed(f, before, NULL) > forest_score_boxed(f, after, NULL) + .2);
}

struct recall {
	double classic, boxed, named;
};

/* Threshold at a false positive rate of 1e-3 on unseen normal rows, then rows with one feature shifted. */
static struct recall one_feature_recall(double shift, uint64_t seed)
{
	enum { D = 8, TRAIN = 2048, CALM = 20000, HURT = 2000 };
	static float train[TRAIN * D];
	static double classic[CALM], boxed[CALM];
	CLEANUP(forest_freep) struct forest *f = NULL;
	struct recall ret = { 0 };
	struct random r;
	float x[D];

	random_seed(&r, seed);
	fill(&r, train, TRAIN, D, D);
	assert_int_equal(forest_new(D, 100, 256, seed, &f), 0);
	assert_int_equal(forest_fit(f, train, TRAIN, D), 0);
	for (size_t i = 0; i < CALM; i++) {
		fill(&r, x, 1, D, D);
		classic[i] = forest_score_classic(f, x);
		boxed[i] = forest_score_boxed(f, x, NULL);
	}
	qsort(classic, CALM, sizeof(double), by_value);
	qsort(boxed, CALM, sizeof(double), by_value);

	for (size_t i = 0; i < HURT; i++) {
		double credit[D];
		size_t best = 0;
		fill(&r, x, 1, D, D);
		x[i % D] += (float)shift;
		ret.classic += forest_score_classic(f, x) > classic[CALM - CALM / 1000];
		ret.boxed += forest_score_boxed(f, x, credit) > boxed[CALM - CALM / 1000];
		for (size_t j = 1; j < D; j++)
			best = credit[j] > credit[best] ? j : best;
		ret.named += best == i % D;
	}
	return (struct recall){ ret.classic / HURT, ret.boxed / HURT, ret.named / HURT };
}

static void test_forest_boxes_find_one_feature(void **state)
{
	(void)state;
	const double shifts[] = { 6, 10, 100 };

	printf("one feature of 8 shifted, false positive rate 1e-3: recall\n");
	for (size_t i = 0; i < ARRAY_SIZE(shifts); i++) {
		struct recall r = one_feature_recall(shifts[i], 11 + i);
		printf("  %5.0f sigma  classic %.3f  boxed %.3f  feature named %.3f\n", shifts[i],
		       r.classic, r.boxed, r.named);
		if (shifts[i] < 10)
			continue;
		assert_true(r.boxed >= .9);
		assert_true(r.classic <= .2);
		assert_true(r.named >= .99);
	}
}

/* Area under the ROC curve: the share of pairs ranked rightly, ties count half (Mann-Whitney). */
static double auc(const double *score, const bool *anomaly, size_t n)
{
	struct pair {
		double score, anomaly;
	} *p = calloc(n, sizeof(*p));
	double rank_sum = 0, positives = 0;

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (struct pair){ score[i], anomaly[i] };
	qsort(p, n, sizeof(*p), by_value);
	for (size_t i = 0; i < n;) {
		size_t j = i;
		while (j < n && p[j].score == p[i].score)
			j++;
		for (size_t k = i; k < j; k++) {
			rank_sum += p[k].anomaly * ((double)(i + j + 1) / 2);
			positives += p[k].anomaly;
		}
		i = j;
	}
	free(p);
	return (rank_sum - positives * (positives + 1) / 2) / (positives * ((double)n - positives));
}

struct set {
	float *rows, *standard;
	bool *anomaly;
	size_t n, d;
};

/* The boxed score adds distances over features: it gets columns of mean 0 and deviation 1. */
static void standardise(const struct set *s)
{
	for (size_t j = 0; j < s->d; j++) {
		double mean = 0, var = 0;
		for (size_t i = 0; i < s->n; i++)
			mean += s->rows[i * s->d + j] / (double)s->n;
		for (size_t i = 0; i < s->n; i++)
			var += pow(s->rows[i * s->d + j] - mean, 2) / (double)s->n;
		for (size_t i = 0; i < s->n; i++)
			s->standard[i * s->d + j] =
				(float)((s->rows[i * s->d + j] - mean) / (var > 0 ? sqrt(var) : 1));
	}
}

static void load_set(const char *name, struct set *ret)
{
	char path[512], file[128];
	struct csv c;

	snprintf(file, sizeof(file), "forest/%s.csv", name);
	assert_int_equal(csv_read(test_data_path(file, path, sizeof(path)), &c), 0);
	*ret = (struct set){ .n = c.nr_rows - 1, .d = c.nr_columns - 1 };
	ret->rows = calloc(ret->n * ret->d, sizeof(float));
	ret->standard = calloc(ret->n * ret->d, sizeof(float));
	ret->anomaly = calloc(ret->n, sizeof(bool));
	assert_true(ret->rows && ret->standard && ret->anomaly);
	for (size_t i = 0; i < ret->n; i++) {
		for (size_t j = 0; j < ret->d; j++)
			ret->rows[i * ret->d + j] = (float)csv_number(&c, i + 1, j);
		ret->anomaly[i] = csv_number(&c, i + 1, ret->d) != 0;
	}
	csv_release(&c);
	standardise(ret);
}

struct aucs {
	double mean, deviation, boxed;
};

static struct aucs measure(const struct set *s)
{
	double *score = calloc(s->n, sizeof(double)), of[SEEDS], boxed = 0, mean = 0, var = 0;

	assert_non_null(score);
	for (size_t k = 0; k < SEEDS; k++) {
		CLEANUP(forest_freep) struct forest *f = NULL;
		assert_int_equal(forest_new(s->d, 100, 256, 100 + k, &f), 0);
		assert_int_equal(forest_fit(f, s->rows, s->n, s->d), 0);
		for (size_t i = 0; i < s->n; i++)
			score[i] = forest_score_classic(f, &s->rows[i * s->d]);
		of[k] = auc(score, s->anomaly, s->n);
		mean += of[k] / SEEDS;
		assert_int_equal(forest_fit(f, s->standard, s->n, s->d), 0);
		for (size_t i = 0; i < s->n; i++)
			score[i] = forest_score_boxed(f, &s->standard[i * s->d], NULL);
		boxed += auc(score, s->anomaly, s->n) / SEEDS;
	}
	for (size_t k = 0; k < SEEDS; k++)
		var += (of[k] - mean) * (of[k] - mean) / (SEEDS - 1);
	free(score);
	return (struct aucs){ mean, sqrt(var), boxed };
}

/*
 * The reference's mean has an error of its own, and so has ours: where .01 is within what seeds
 * alone do, two standard errors of the difference are allowed on top.
 */
static void test_forest_classic_auc_is_on_a_par(void **state)
{
	(void)state;
	char path[512];

	if (test_data_skipped(__func__))
		skip();
	CLEANUP(freep) char *text =
		test_read_file(test_data_path("forest/reference.json", path, sizeof(path)));
	assert_non_null(text);
	cJSON *reference = cJSON_Parse(text), *set;
	assert_non_null(reference);

	size_t nr_sets = 0;
	printf("%-12s %9s %9s %7s %9s\n", "AUC", "reference", "classic", "+-", "boxed");
	cJSON_ArrayForEach(set, reference) {
		double want = cJSON_GetObjectItem(set, "auc_mean")->valuedouble;
		double spread = cJSON_GetObjectItem(set, "auc_std")->valuedouble;
		struct set s;
		load_set(set->string, &s);
		assert_int_equal(s.n, cJSON_GetObjectItem(set, "rows")->valueint);
		assert_int_equal(s.d, cJSON_GetObjectItem(set, "features")->valueint);

		struct aucs got = measure(&s);
		double error = 2 * sqrt((spread * spread + got.deviation * got.deviation) / SEEDS);
		printf("%-12s %9.4f %9.4f %7.4f %9.4f\n", set->string, want, got.mean,
		       got.deviation, got.boxed);
		assert_true(got.mean >= want - .01 - error);
		free(s.rows);
		free(s.standard);
		free(s.anomaly);
		nr_sets++;
	}
	cJSON_Delete(reference);
	assert_true(nr_sets >= 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forest_c_by_hand),
		cmocka_unit_test(test_forest_two_points_by_hand),
		cmocka_unit_test(test_forest_boxed_by_hand),
		cmocka_unit_test(test_forest_refuses_bad_shapes),
		cmocka_unit_test(test_forest_same_seed_same_scores),
		cmocka_unit_test(test_forest_streaming_follows_the_reservoir),
		cmocka_unit_test(test_forest_boxes_find_one_feature),
		cmocka_unit_test(test_forest_classic_auc_is_on_a_par),
	};
	return cmocka_run_group_tests_name("forest", tests, NULL, NULL);
}
