// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/series_prometheus.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/text.h"

/* A rate needs two scrapes; Prometheus's usual interval is 15 s. */
#define WINDOW_MIN_S 60

static int add_quantile(struct buf *to, double q, const char *name, const char *selector,
			uint32_t window_s)
{
	return buf_addf(to, "histogram_quantile(%g,sum by(le)(rate(%s_bucket%s[%us])))*1000", q,
			name, selector, window_s);
}

int series_promql(enum series_metric m, const char *service, uint32_t step_s, struct buf *to)
{
	static const char http[] = "http_server_request_duration_seconds";
	uint32_t window = MAX(step_s, (uint32_t)WINDOW_MIN_S);
	char s[SERVICE_NAME_MAX + 32];

	/* A service's name holds no quote and no backslash. */
	snprintf(s, sizeof(s), "{service_name=\"%s\"}", service);
	switch (m) {
	case SERIES_RATE:
		return buf_addf(to, "sum(rate(%s_count%s[%us]))", http, s, window);
	case SERIES_ERRORS:
		return buf_addf(
			to,
			"sum(rate(%s_count{service_name=\"%s\",error_type!=\"\"}[%us]) or vector(0))"
			"/sum(rate(%s_count%s[%us]))",
			http, service, window, http, s, window);
	case SERIES_P50:
		return add_quantile(to, .5, http, s, window);
	case SERIES_P90:
		return add_quantile(to, .9, http, s, window);
	case SERIES_P99:
		return add_quantile(to, .99, http, s, window);
	case SERIES_CPU:
		return buf_addf(to, "sum(rate(container_cpu_time_seconds_total%s[%us]))", s,
				window);
	case SERIES_RUNQUEUE:
		return add_quantile(to, .95, "archaic_sched_runqueue_latency_seconds", s, window);
	case SERIES_SCORE:
		return buf_addf(to, "max(max_over_time(archaic_anomaly_score%s[%us]))", s, window);
	case SERIES_IN_FLIGHT:
		return buf_addf(to,
				"max(max_over_time(archaic_http_server_requests_in_flight%s[%us]))",
				s, window);
	default:
		return -ENOENT;
	}
}

/* [unix time, "text"] */
static void take_pair(const cJSON *pair, float *values, size_t nr, const struct series_window *w)
{
	const cJSON *at = cJSON_GetArrayItem(pair, 0), *text = cJSON_GetArrayItem(pair, 1);
	double v;

	if (!cJSON_IsNumber(at) || !cJSON_IsString(text) ||
	    text_to_double(text->valuestring, 0, 1e12, &v))
		return;
	/* A value at t is of the window that ends there: of the step before. */
	double i = (at->valuedouble - (double)w->from_s) / w->step_s - 1;
	if (i >= 0 && i < (double)nr && isnan(values[(size_t)i]))
		values[(size_t)i] = (float)v;
}

int series_take_matrix(const char *json, size_t len, enum series_metric m, size_t nr,
		       struct series_window *w)
{
	CLEANUP(json_freep) cJSON *answer = NULL;
	const char *why;
	const cJSON *pair;

	if (json_parse(json, len, &answer, &why))
		return -EINVAL;
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(answer, "data");
	const char *kind = json_str(data, "resultType");
	const cJSON *result = cJSON_GetObjectItemCaseSensitive(data, "result");
	if (!kind || strcmp(kind, "matrix") != 0 || !cJSON_IsArray(result))
		return -EINVAL;
	/* Each expression is one sum: no series, or one. */
	const cJSON *one = cJSON_GetArrayItem(result, 0);
	cJSON_ArrayForEach(pair, cJSON_GetObjectItemCaseSensitive(one, "values"))
		take_pair(pair, w->values[m], MIN(nr, w->nr), w);
	return 0;
}

static int add_escaped(struct buf *to, const char *s)
{
	int err = 0;

	for (; *s && !err; s++)
		err = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~",
			     *s) ?
			buf_add(to, s, 1) :
			buf_addf(to, "%%%02X", (unsigned char)*s);
	return err;
}

static int make_url(const char *base, const char *expression, const struct series_window *w,
		    size_t nr, struct buf *to)
{
	size_t len = strlen(base);

	while (len && base[len - 1] == '/')
		len--;
	int err = buf_add(to, base, len) ?: buf_addstr(to, "/api/v1/query_range?query=");
	err = err ?: add_escaped(to, expression);
	return err ?:
		     buf_addf(to, "&start=%" PRId64 "&end=%" PRId64 "&step=%u", w->from_s + w->step_s,
			      w->from_s + (int64_t)nr * w->step_s, w->step_s);
}

static int ask(struct http_client *client, const char *url, const char *service,
	       enum series_metric m, size_t nr, uint32_t left_ms, struct series_window *w)
{
	CLEANUP(buf_release) struct buf expression, full;

	buf_init(&expression, 1024);
	buf_init(&full, 8192);
	int err = series_promql(m, service, w->step_s, &expression);
	err = err ?: make_url(url, buf_str(&expression), w, nr, &full);
	if (err)
		return err;

	struct http_client_request req = { .url = buf_str(&full),
					   .timeout_ms = left_ms,
					   .body_max = SERIES_PROMETHEUS_ANSWER_MAX };
	CLEANUP(http_client_response_release) struct http_client_response answer;
	err = http_client_do(client, &req, &answer);
	if (!err && answer.status != 200)
		err = -EPROTO;
	return err ?: series_take_matrix(buf_str(&answer.body), answer.body.len, m, nr, w);
}

void series_from_prometheus(const char *url, const char *service, unsigned metrics,
			    struct series_window *w)
{
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	uint64_t until_ns = clock_mono_ns() + SERIES_PROMETHEUS_MS * NSEC_PER_MSEC, now;
	size_t nr = w->nr;

	if (w->known_s != INT64_MAX)
		nr = w->known_s > w->from_s ? (size_t)((w->known_s - w->from_s) / w->step_s) : 0;
	if (!nr || http_client_new(&client))
		return;
	for (int m = 0; m < NR_SERIES_METRICS && (now = clock_mono_ns()) < until_ns; m++) {
		if (!(metrics & 1U << m))
			continue;
		int err = ask(client, url, service, (enum series_metric)m, nr,
			      (uint32_t)((until_ns - now) / NSEC_PER_MSEC) + 1, w);
		/* A server that is not there for one is not there for ten. */
		if (err == -EHOSTUNREACH || err == -ETIMEDOUT)
			return;
	}
}
