// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One service, one tick: is it suspect, by whom, and in which words. Pure.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "detect/detector_state.h"

/* "2.01 s" beats "2010.00 ms"; three figures are enough for anybody. */
static const char *human(enum feature f, double value, char *text, size_t size)
{
	if (isnan(value))
		snprintf(text, size, "nothing");
	else if (f == FEATURE_ERRORS)
		snprintf(text, size, "%.3g %%", value * 100);
	else if (strcmp(feature_unit(f), "ms") == 0 && value >= 1000)
		snprintf(text, size, "%.3g s", value / 1000);
	else
		snprintf(text, size, "%.3g %s", value, feature_unit(f));
	return text;
}

static const char *in_words(enum feature f)
{
	static const char *const words[NR_FEATURES] = {
		[FEATURE_P50] = "median duration",
		[FEATURE_P99] = "p99 duration",
		[FEATURE_ERRORS] = "failed requests",
		[FEATURE_RATE] = "rate",
		[FEATURE_CPU] = "CPU",
		[FEATURE_RUNQUEUE] = "run-queue p95",
		[FEATURE_SELF] = "self time",
		[FEATURE_IN_FLIGHT] = "in flight",
		[FEATURE_OLDEST] = "oldest request in flight",
	};
	return words[f];
}

/* The harmful feature with the largest z among the bits; NR_FEATURES where there is none. */
static enum feature worst(unsigned features, const float *z)
{
	enum feature ret = NR_FEATURES;

	for (enum feature f = 0; f < NR_FEATURES; f++)
		if (features & (1U << f) && (ret == NR_FEATURES || z[f] > z[ret]))
			ret = f;
	return ret;
}

/*
 * The features that made the score, largest share first. Shares that are equal within a tenth are
 * told by z, so that "p99 is 2 s" comes before "the rate is lower".
 */
static void rank_features(const struct baseline_judgement *j, const struct features *f,
			  const double *normal, struct verdict *v)
{
	double key[NR_FEATURES];

	for (size_t i = 0; i < NR_FEATURES; i++)
		key[i] = round(j->credit[i] * 10) * 100 + fabs(j->z[i]) +
			(feature_harmful(i) && j->z[i] > 0 ? .5 : 0);
	v->nr_top = 0;
	while (v->nr_top < ARRAY_SIZE(v->top)) {
		size_t best = 0;
		for (size_t i = 1; i < NR_FEATURES; i++)
			if (key[i] > key[best])
				best = i;
		if (key[best] < 1)
			return;
		v->top[v->nr_top++] = (struct feature_credit){
			.feature = best,
			.share = j->credit[best],
			.value = feature_human(best, f->v[best]),
			.normal = normal[best],
			.z = j->z[best],
		};
		key[best] = -1;
	}
}

/* Features that are both strange and bad enough; a z under three carries no blame. */
static unsigned blamed(const struct baseline_judgement *j, const struct features *f,
		       const double *normal)
{
	unsigned big = effects(f, normal), ret = 0;

	for (size_t i = 0; i < NR_FEATURES; i++)
		if (big & (1U << i) && j->z[i] >= 3)
			ret |= 1U << i;
	return ret;
}

static void say_static(const struct features *f, const struct static_limits *limits,
		       unsigned features, struct verdict *v)
{
	if (features & (1U << FEATURE_ERRORS))
		snprintf(v->why, sizeof(v->why),
			 "%llu of %llu requests failed; the static limit is %.3g %%",
			 (unsigned long long)f->errors_failed, (unsigned long long)f->errors_n,
			 limits->errors_ratio * 100);
	else
		snprintf(v->why, sizeof(v->why), "p99 duration %.3g s; the static limit is %.3g s",
			 f->p99_ms / 1000, limits->p99_ms / 1000);
}

static void say_forest(const struct features *f, const double *normal, enum feature worst_of,
		       struct verdict *v)
{
	char now[32], usual[32];

	snprintf(v->why, sizeof(v->why), "%s %s, normally %s; score %.3f, threshold %.3f",
		 in_words(worst_of),
		 human(worst_of, feature_human(worst_of, f->v[worst_of]), now, sizeof(now)),
		 human(worst_of, normal[worst_of], usual, sizeof(usual)), v->score, v->threshold);
}

/* Long requests are no loss where they are the habit. */
static bool lost(const struct features *f, const double *normal, bool known)
{
	return f->total_loss &&
		(!known ||
		 (f->oldest_ms > 2 * normal[FEATURE_P99] &&
		  f->oldest_ms > 2 * normal[FEATURE_OLDEST]));
}

void judge(const struct entry *e, const struct detector_config *cfg, const struct features *f,
	   struct verdict *v, bool *at_once, bool *unlike)
{
	bool known = e->baseline.fitted_nr > 0, warm = entry_warm(e, cfg);
	bool half_fail = f->errors_n >= FEATURES_ERRORS_MIN && f->errors_ratio >= .5;
	struct baseline_judgement j = { 0 };
	double normal[NR_FEATURES] = { 0 };
	unsigned features = 0, fixed = static_effects(f, &cfg->limits);

	*at_once = *unlike = false;
	v->scorer = SCORER_NONE;
	v->suspect = false;
	if (!f->traffic) {
		snprintf(v->why, sizeof(v->why), "no traffic");
		v->score = v->classic_score = 0;
		v->nr_top = 0;
		return;
	}

	if (known) {
		baseline_judge(&e->baseline, f->v, &j);
		baseline_normal(&e->baseline, f->v, normal);
		features = j.over ? blamed(&j, f, normal) : 0;
		rank_features(&j, f, normal, v);
		v->score = j.score;
		v->classic_score = j.classic;
		v->threshold = j.threshold;
		*unlike = j.unlike;
	}
	bool loss = lost(f, normal, known);

	*at_once = loss || half_fail;
	v->suspect = true;
	if (warm && features) {
		v->scorer = SCORER_FOREST;
		say_forest(f, normal, worst(features, j.z), v);
	} else if (loss) {
		v->scorer = SCORER_TOTAL_LOSS;
		snprintf(v->why, sizeof(v->why),
			 "%u in flight, the oldest for %.1f s, and none finished for %.3g s",
			 f->in_flight, f->oldest_ms / 1000, (double)cfg->limits.loss_ns / 1e9);
	} else if (half_fail || (!warm && fixed)) {
		v->scorer = SCORER_STATIC;
		say_static(f, &cfg->limits, half_fail ? 1U << FEATURE_ERRORS : fixed, v);
	} else {
		v->suspect = false;
		snprintf(v->why, sizeof(v->why), known ? "as usual" : "learning");
	}
	*unlike |= v->suspect;
}
