/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * threshold.h - how strange is too strange, is it big enough to matter, and for how long.
 *
 * Three pure parts: the extreme-value tail that turns calm scores into a limit, the effect
 * sizes without which a deviation is no anomaly, and the debounce.
 */
#ifndef ARCHAIC_THRESHOLD_H
#define ARCHAIC_THRESHOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "detect/features.h"

#define TAIL_LEVEL .98
#define TAIL_RISK 1e-4
#define TAIL_SAMPLES_MIN 100

/* What is beyond the TAIL_LEVEL quantile, as a generalised Pareto distribution. */
struct tail {
	double typical;      /* the median */
	double level;        /* the TAIL_LEVEL quantile */
	double unlike;       /* the .99 quantile: p < 1e-2, for the onset */
	double shape, scale; /* of the excesses over level */
	double limit;        /* exceeded with probability TAIL_RISK */
	size_t nr_peaks;
};

/**
 * tail_fit() - peaks over threshold, as in A. Siffer et al., "Anomaly Detection in Streams
 * with Extreme Value Theory" (SPOT), KDD 2017: limit = level + scale/shape ((q n / peaks)^-shape - 1).
 * @values: @n >= TAIL_SAMPLES_MIN calm values; sorted in place.
 * @shape_min, @shape_max: what the shape is clamped to. A score that cannot exceed 1 has no
 *          heavy tail (shape <= 0), whatever twenty peaks say.
 *
 * Probability-weighted moments (J. Hosking, J. Wallis, Technometrics 1987) instead of SPOT's
 * maximum likelihood by Grimshaw: with the 20 peaks that 1,024 samples give, they have the
 * smaller error, and no root-finding that may fail. 0 or -EINVAL.
 */
int tail_fit(double *values, size_t n, double shape_min, double shape_max, struct tail *ret);

/**
 * effects() - which features are worse by enough to matter? A bit per feature (1u << f).
 * @now:    the second in question.
 * @normal: human units, at this load (baseline_normal()).
 *
 * p50, p99, self: >= 1.3 times and >= 5 ms more (the p99 of four requests or more: two of them); errors: >= 1 point more, three at least and
 * n >= 20; oldest in flight: >= 500 ms and three times both its own normal and the normal p99;
 * cpu: >= 1.5 times and >= .15 cores more; run queue: >= 2 times and >= 5 ms more.
 */
unsigned effects(const struct features *now, const double normal[NR_FEATURES]);

/* Fixed limits, for services of which nothing is known yet. */
struct static_limits {
	double p99_ms;       /* 1000: over it is too slow */
	double errors_ratio; /* .1: over it is too many, of 20 requests or more */
	uint64_t loss_ns; /* 3 s: requests in flight and none finished for so long is total loss, at any age */
};

/** static_effects() - the same against fixed limits. */
unsigned static_effects(const struct features *now, const struct static_limits *limits);

#define VOTE_NS 900000000ULL /* one vote a second: windows that overlap are one piece of evidence */
#define VOTES_OPEN 3         /* of */
#define VOTES_WINDOW 5
#define VOTES_LONE_COST 2 /* calm votes that a lone suspect one takes back */
#define VOTES_IDLE 60     /* votes of silence that close, since silence is no proof of health */

struct debounce {
	uint8_t votes; /* newest in bit 0 */
	bool open;
	unsigned calm; /* votes since VOTES_OPEN were suspect, less VOTES_LONE_COST for each lone suspect one */
	unsigned idle;     /* votes in a row */
	uint64_t voted_ns; /* last vote; 0: none */
};

enum debounce_vote { VOTE_CALM, VOTE_SUSPECT, VOTE_IDLE };
enum debounce_change { DEBOUNCE_SAME, DEBOUNCE_OPENED, DEBOUNCE_CLOSED };

/**
 * debounce_vote() - one tick's opinion.
 * @at_once: open without waiting for votes (total loss, half of all requests failing).
 * @calm_ticks: so many calm votes close. Opening and closing use one measure: what would open an
 * anomaly starts the count anew; a suspect vote by itself, of which a healthy service has some,
 * only takes VOTES_LONE_COST back. Else a service of which one second in ten is in the tail of its
 * normal (a log-in's password hash among quick requests) would never open an anomaly and, once in
 * one, never leave it.
 * Ticks less than VOTE_NS after the last vote do not vote, unless @at_once.
 */
enum debounce_change debounce_vote(struct debounce *d, enum debounce_vote vote, bool at_once,
				   uint64_t now_ns, unsigned calm_ticks);

#endif
