// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <math.h>

#include "base/clock.h"
#include "base/util.h"
#include "bench.h"
#include "detect/anomaly.h"
#include "detect/forest.h"

#define ROWS 1024
#define TREES 100
#define SAMPLE 256
#define REPEATS 5
#define SCORES 2000
#define SERVICES 64

/* Twelve uniform draws added up: near enough to a normal one. xorshift64* (S. Vigna, 2016). */
static float draw(uint64_t *state)
{
	double sum = -6;

	for (int i = 0; i < 12; i++) {
		*state ^= *state >> 12;
		*state ^= *state << 25;
		*state ^= *state >> 27;
		sum += (double)((*state * 0x2545f4914f6cdd1dULL) >> 11) / 9007199254740992.0;
	}
	return (float)sum;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t nr)
{
	qsort(v, nr, sizeof(*v), by_size);
	return v[nr / 2];
}

int bench_forest(void)
{
	static float rows[ROWS][NR_FEATURES];
	CLEANUP(forest_freep) struct forest *f = NULL;
	double fit[REPEATS], boxed[REPEATS], classic[REPEATS], credit[NR_FEATURES];
	volatile double sink = 0;
	uint64_t seed = 42;
	int err = forest_new(NR_FEATURES, TREES, SAMPLE, 1, &f);

	for (size_t i = 0; i < ROWS; i++)
		for (size_t k = 0; k < NR_FEATURES; k++)
			rows[i][k] = draw(&seed);
	for (size_t r = 0; !err && r < REPEATS; r++) {
		uint64_t t0 = clock_mono_ns();
		err = forest_fit(f, rows[0], ROWS, NR_FEATURES);
		uint64_t t1 = clock_mono_ns();
		for (size_t i = 0; i < SCORES; i++)
			sink += forest_score_boxed(f, rows[i % ROWS], credit);
		uint64_t t2 = clock_mono_ns();
		for (size_t i = 0; i < SCORES; i++)
			sink += forest_score_classic(f, rows[i % ROWS]);
		uint64_t t3 = clock_mono_ns();
		fit[r] = (double)(t1 - t0);
		boxed[r] = (double)(t2 - t1) / SCORES;
		classic[r] = (double)(t3 - t2) / SCORES;
	}
	if (err)
		return err;
	double f_ns = median(fit, REPEATS), b_ns = median(boxed, REPEATS),
	       c_ns = median(classic, REPEATS);
	printf("forest of %d trees of %d of %d rows, %d features, medians of %d:\n", TREES, SAMPLE,
	       ROWS, NR_FEATURES, REPEATS);
	printf("  boxed score / classic score      %.2f (%.1f us, %.1f us)\n", b_ns / c_ns,
	       b_ns / 1e3, c_ns / 1e3);
	printf("  fit / classic score              %.0f (%.2f ms)\n", f_ns / c_ns, f_ns / 1e6);
	printf("  scoring %d services / 1 s tick   %.4f\n", SERVICES,
	       SERVICES * (b_ns + c_ns) / 1e9);
	printf("  growing one tree / 1 s tick      %.5f\n", f_ns / TREES / 1e9);
	return isfinite(sink) ? 0 : -EDOM;
}
