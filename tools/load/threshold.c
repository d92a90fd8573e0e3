// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/threshold.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"

enum metric { DURATION, FAILED, REQUESTS, CHECKS, ITERATIONS, NR_METRICS };
enum stat { AVG, LEAST, MED, MOST, PERCENTILE, RATE, COUNT, NR_STATS };
enum op { LT, LE, GT, GE, EQ, NE, NR_OPS };

static const char *const metrics[NR_METRICS] = { "http_req_duration", "http_req_failed",
						 "http_reqs", "checks", "iterations" };
static const char *const stats[NR_STATS] = { "avg", "min", "med", "max", "p(", "rate", "count" };

static bool allowed(enum metric m, enum stat s)
{
	switch (m) {
	case DURATION:
		return s <= PERCENTILE;
	case FAILED:
	case CHECKS:
		return s == RATE;
	default:
		return s == RATE || s == COUNT;
	}
}

static int refuse(const char **why, const char *sentence)
{
	*why = sentence;
	return -EINVAL;
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " ");
}

/* A number up to the first character of @end; what follows it, or NULL. */
static const char *take_number(const char *s, const char *end, double max, double *ret)
{
	char text[32];
	size_t len = strcspn(s, end);

	if (!len || len >= sizeof(text))
		return NULL;
	memcpy(text, s, len);
	text[len] = '\0';
	return text_to_double(text, 0, max, ret) ? NULL : s + len;
}

static const char *take_stat(const char *s, struct threshold *th)
{
	for (int i = 0; i < NR_STATS; i++) {
		size_t len = strlen(stats[i]);

		if (strncmp(s, stats[i], len) != 0)
			continue;
		th->stat = i;
		if (i != PERCENTILE)
			return s + len;
		s = take_number(s + len, ")", 100, &th->percentile);
		return s && *s == ')' ? s + 1 : NULL;
	}
	return NULL;
}

static const char *take_op(const char *s, struct threshold *th)
{
	static const char *const ops[NR_OPS] = { "<", "<=", ">", ">=", "==", "!=" };
	const char *rest = NULL;

	for (int i = 0; i < NR_OPS; i++) /* the longer of two that fit comes later */
		if (!strncmp(s, ops[i], strlen(ops[i]))) {
			th->op = i;
			rest = s + strlen(ops[i]);
		}
	return rest;
}

int threshold_parse(const char *text, struct threshold *ret, const char **why)
{
	struct threshold th = { .metric = NR_METRICS };
	size_t name = strcspn(text, ":");

	if (strlen(text) >= sizeof(th.text))
		return refuse(why, "it is too long");
	snprintf(th.text, sizeof(th.text), "%s", text);
	for (int i = 0; i < NR_METRICS; i++)
		if (strlen(metrics[i]) == name && !memcmp(text, metrics[i], name))
			th.metric = i;
	if (th.metric == NR_METRICS || text[name] != ':')
		return refuse(
			why,
			"it must begin with http_req_duration:, http_req_failed:, http_reqs:, checks: or iterations:");
	const char *s = take_stat(skip_blanks(text + name + 1), &th);
	if (!s || !allowed((enum metric)th.metric, (enum stat)th.stat))
		return refuse(
			why,
			"http_req_duration has avg, min, med, max and p(0 to 100); http_req_failed and checks have rate; http_reqs and iterations have rate and count");
	s = take_op(skip_blanks(s), &th);
	if (!s)
		return refuse(why, "it needs one of < <= > >= == !=");
	s = take_number(skip_blanks(s), " ", 1e15, &th.value);
	if (!s || *skip_blanks(s))
		return refuse(why, "it must end with a number, 0 or more");
	*ret = th;
	return 0;
}

static bool duration(const struct threshold *th, const struct tally *t, double *ret)
{
	const struct hist *h = &t->latency;

	switch ((enum stat)th->stat) {
	case AVG:
		*ret = hist_mean(h) / 1e6;
		break;
	case LEAST:
		*ret = (double)h->min_ns / 1e6;
		break;
	case MOST:
		*ret = (double)h->max_ns / 1e6;
		break;
	case MED:
		*ret = (double)hist_quantile(h, .5) / 1e6;
		break;
	default:
		*ret = (double)hist_quantile(h, th->percentile / 100) / 1e6;
	}
	return h->total > 0;
}

static bool share(uint64_t part, uint64_t whole, double *ret)
{
	*ret = whole ? (double)part / (double)whole : 0;
	return whole > 0;
}

static bool measure(const struct threshold *th, const struct tally *t, double *ret)
{
	uint64_t nr = th->metric == REQUESTS ? t->requests : t->iterations, ok = 0, fails = 0;

	switch ((enum metric)th->metric) {
	case DURATION:
		return duration(th, t, ret);
	case FAILED:
		/* What was due and never sent is no success either. */
		return share(t->errors + t->unsent, t->requests + t->unsent, ret);
	case CHECKS:
		for (unsigned int i = 0; i < t->nr_checks; i++) {
			ok += t->checks[i].ok;
			fails += t->checks[i].fails;
		}
		return share(ok, ok + fails, ret);
	default:
		*ret = th->stat == COUNT ? (double)nr : (double)nr / tally_seconds(t);
		return nr > 0;
	}
}

bool threshold_met(const struct threshold *th, const struct tally *t, double *measured)
{
	double v = 0;

	if (!measure(th, t, &v))
		return false;
	*measured = v;
	switch ((enum op)th->op) {
	case LT:
		return v < th->value;
	case LE:
		return v <= th->value;
	case GT:
		return v > th->value;
	case GE:
		return v >= th->value;
	case EQ:
		return v == th->value;
	default:
		return v != th->value;
	}
}
