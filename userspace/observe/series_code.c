// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/series_code.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/util.h"

#define PER_OCTAVE 1400.0
#define COUNTS_PER_OCTAVE 8.0

static const struct {
	const char *name, *unit;
} metrics[NR_SERIES_METRICS] = {
	[SERIES_RATE] = { "rate_per_s", "1/s" },
	[SERIES_ERRORS] = { "error_ratio", "ratio" },
	[SERIES_P50] = { "p50_ms", "ms" },
	[SERIES_P90] = { "p90_ms", "ms" },
	[SERIES_P99] = { "p99_ms", "ms" },
	[SERIES_SELF] = { "self_mean_ms", "ms" },
	[SERIES_CPU] = { "cpu_cores", "cores" },
	[SERIES_RUNQUEUE] = { "runqueue_p95_ms", "ms" },
	[SERIES_SCORE] = { "score", "ratio" },
	[SERIES_THRESHOLD] = { "threshold", "ratio" },
	[SERIES_IN_FLIGHT] = { "inflight", "requests" },
};

const char *series_metric_name(enum series_metric m)
{
	return metrics[m].name;
}

const char *series_metric_unit(enum series_metric m)
{
	return metrics[m].unit;
}

int series_metric_parse(const char *name, size_t len, enum series_metric *ret)
{
	for (int m = 0; m < NR_SERIES_METRICS; m++) {
		if (strlen(metrics[m].name) == len && !strncmp(metrics[m].name, name, len)) {
			*ret = (enum series_metric)m;
			return 0;
		}
	}
	return -EINVAL;
}

/* Three a decade, each of which is one of the kernel's own bounds: nothing is split. */
static const double heat_bounds_ms[SERIES_HEAT_BUCKETS] = {
	.1, .2, .5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, INFINITY,
};

double series_heat_bound_ms(size_t i)
{
	return heat_bounds_ms[i];
}

size_t series_heat_bucket(size_t i)
{
	uint64_t upper = hist_upper_ns(i);
	size_t k = 0;

	while (k < SERIES_HEAT_BUCKETS - 1 && (double)upper > heat_bounds_ms[k] * 1e6 * 1.0001)
		k++;
	return k;
}

uint16_t series_encode(double value)
{
	if (!(value >= 0))
		return SERIES_CODE_UNKNOWN;
	if (value < SERIES_CODE_LEAST)
		return 0;
	double code = 1 + round(log2(value / SERIES_CODE_LEAST) * PER_OCTAVE);
	return (uint16_t)fmin(code, SERIES_CODE_UNKNOWN - 1);
}

float series_decode(uint16_t code)
{
	if (code == SERIES_CODE_UNKNOWN)
		return NAN;
	return code ? (float)(SERIES_CODE_LEAST * exp2((code - 1) / PER_OCTAVE)) : 0;
}

uint8_t series_encode_count(uint64_t n)
{
	if (!n)
		return 0;
	return (uint8_t)fmin(1 + round(log2((double)n) * COUNTS_PER_OCTAVE), UINT8_MAX);
}

uint32_t series_decode_count(uint8_t code)
{
	return code ? (uint32_t)round(exp2((code - 1) / COUNTS_PER_OCTAVE)) : 0;
}

void series_point_unknown(struct series_point *ret)
{
	memset(ret->value, 0xff, sizeof(ret->value));
	memset(ret->heat, 0, sizeof(ret->heat));
}

bool series_point_known(const struct series_point *p)
{
	return p->value[SERIES_RATE] != SERIES_CODE_UNKNOWN;
}

static void add_heat(const struct hist *h, struct series_point *ret)
{
	uint64_t n[SERIES_HEAT_BUCKETS] = { 0 };

	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		if (h->n[i])
			n[series_heat_bucket(i)] += h->n[i];
	for (size_t k = 0; k < SERIES_HEAT_BUCKETS; k++)
		ret->heat[k] = series_encode_count(n[k]);
}

void series_sum_point(const struct series_sum *s, struct series_point *ret)
{
	bool timed = hist_count(&s->duration) > 0;
	double self_ns = fmax(0, (double)s->duration_ns - (double)s->callee_ns);
	const double value[NR_SERIES_METRICS] = {
		[SERIES_RATE] = s->span_s > 0 ? (double)s->requests / s->span_s : NAN,
		[SERIES_ERRORS] = s->requests + s->aborted ?
			(double)s->failed / (double)(s->requests + s->aborted) :
			NAN,
		[SERIES_P50] = timed ? hist_quantile_ns(&s->duration, .5) / 1e6 : NAN,
		[SERIES_P90] = timed ? hist_quantile_ns(&s->duration, .9) / 1e6 : NAN,
		[SERIES_P99] = timed ? hist_quantile_ns(&s->duration, .99) / 1e6 : NAN,
		[SERIES_SELF] = s->requests ? self_ns / (double)s->requests / 1e6 : NAN,
		[SERIES_CPU] =
			s->knows_tasks && s->span_s > 0 ? (double)s->cpu_ns / 1e9 / s->span_s : NAN,
		[SERIES_RUNQUEUE] = s->knows_tasks && hist_count(&s->runq) ?
			hist_quantile_ns(&s->runq, .95) / 1e6 :
			NAN,
		[SERIES_SCORE] = s->score,
		[SERIES_THRESHOLD] = s->threshold,
		[SERIES_IN_FLIGHT] = s->knows_in_flight ? s->in_flight : NAN,
	};

	for (int m = 0; m < NR_SERIES_METRICS; m++)
		ret->value[m] = series_encode(value[m]);
	add_heat(&s->duration, ret);
}
