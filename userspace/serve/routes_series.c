// SPDX-License-Identifier: GPL-2.0-or-later
/* GET /v1/series: what was asked, made whole; the daemon's history; what is older, from Prometheus. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "serve/routes.h"
#include "serve/series_answer.h"
#include "serve/series_prometheus.h"

#define DEFAULT_SPAN_S 300

static int parse_time(struct exchange *x, const char *name, int64_t *ret)
{
	const char *text = exchange_query(x, name);

	if (!text || !series_parse_time(text, ret))
		return 0;
	return problem_parameter(&x->problem, 400, name, text, "RFC 3339, or unix time in seconds");
}

static int parse_step(struct exchange *x, struct control_series *which)
{
	const char *text = exchange_query(x, "step");
	uint64_t step = 0;

	if (text && text_to_u64(text, 1, SERIES_STEP_MAX_S, &step))
		return problem_parameter(&x->problem, 400, "step", text,
					 "whole seconds from 1 to 86400");
	which->step_s = text ? (uint32_t)step : series_auto_step(which->to_s - which->from_s);
	return 0;
}

static int parse_range(struct exchange *x, struct control_series *which)
{
	which->now_s = clock_wall_ms() / 1000;
	which->to_s = which->now_s;
	int err = parse_time(x, "to", &which->to_s);
	which->from_s = which->to_s > DEFAULT_SPAN_S ? which->to_s - DEFAULT_SPAN_S : 0;
	err = err ?: parse_time(x, "from", &which->from_s);
	if (err)
		return err;
	if (which->from_s >= which->to_s || which->to_s - which->from_s > SERIES_RANGE_MAX_S)
		return problem_parameter(&x->problem, 400, "from", exchange_query(x, "from") ?: "?",
					 "before to, and no more than 366 days before");
	return parse_step(x, which);
}

static int parse(struct exchange *x, struct control_series *which, unsigned *metrics, bool *heat)
{
	const char *wanted = exchange_query(x, "metric"), *name = exchange_query(x, "service");

	if (!name)
		return problem_parameter(&x->problem, 400, "service", "missing",
					 "a service's name");
	int err = exchange_service(x, name, &name);
	if (err)
		return err;
	snprintf(which->service, sizeof(which->service), "%s", name);
	if (series_parse_metrics(wanted, metrics, heat))
		return problem_parameter(&x->problem, 400, "metric", wanted,
					 "names as in the answer, or heat, separated by commas");
	return parse_range(x, which);
}

static int refuse(struct exchange *x, int err)
{
	if (x->problem.status)
		return err;
	if (err == -E2BIG)
		return problem_parameter(&x->problem, 400, "step", exchange_query(x, "step") ?: "?",
					 "so large that there are at most 3600 points");
	if (err == -EINVAL)
		return problem_parameter(&x->problem, 400, "from", exchange_query(x, "from") ?: "?",
					 "before to");
	return problem_set(&x->problem, 503, "the history could not be read: %s", strerror(-err));
}

int route_series(struct exchange *x)
{
	CLEANUP(series_window_release) struct series_window w = { 0 };
	struct control_series which;
	unsigned metrics;
	bool heat;

	if (!x->ops->series)
		return exchange_missing(x);
	int err = parse(x, &which, &metrics, &heat);
	if (err)
		return err;
	err = x->ops->series(x->ctx, &which, &w, &x->problem);
	if (err)
		return refuse(x, err);
	if (*x->prometheus_url)
		series_from_prometheus(x->prometheus_url, which.service, metrics, &w);
	if (series_render(&w, which.service, metrics, heat, &x->reply->body))
		return problem_set(&x->problem, 503, "out of memory");
	x->reply->status = 200;
	x->reply->content_type = "application/json";
	return 0;
}
