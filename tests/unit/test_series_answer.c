// SPDX-License-Identifier: GPL-2.0-or-later
/* What /v1/series is asked as text, what it answers, and what Prometheus fills in. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "serve/series_answer.h"
#include "serve/series_prometheus.h"

#define T0 1700000000LL

static void test_series_answer_reads_times(void **state)
{
	static const struct {
		const char *text;
		int64_t at; /* -1: refused */
	} cases[] = {
		{ "1705314600", 1705314600 },
		{ "1705314600.9", 1705314600 },
		{ "2024-01-15T10:30:00Z", 1705314600 },
		{ "2024-01-15T10:30:00.999Z", 1705314600 },
		{ "2024-01-15T12:30:00+02:00", 1705314600 },
		{ "2024-01-15T05:00:00-05:30", 1705314600 },
		{ "2024-02-29T00:00:00Z", 1709164800 },
		{ "0", 0 },
		{ "", -1 },
		{ "now", -1 },
		{ "-1", -1 },
		{ "nan", -1 },
		{ "inf", -1 },
		{ "1e300", -1 },
		{ "0x10", -1 },
		{ "2024-01-15", -1 },
		{ "2024-01-15T10:30:00", -1 },
		{ "2024-13-15T10:30:00Z", -1 },
		{ "2024-00-15T10:30:00Z", -1 },
		{ "2023-02-29T00:00:00Z", -1 },
		{ "2024-01-15T25:30:00Z", -1 },
		{ "2024-01-15T10:61:00Z", -1 },
		{ "2024-01-15T10:30:00.Z", -1 },
		{ "2024-01-15T10:30:00Zz", -1 },
		{ "2024-01-15T10:30:00+2:00", -1 },
		{ "2024-01-15T10:30:00+02:00x", -1 },
		{ "1969-12-31T23:59:59Z", -1 },
		{ "-024-01-15T10:30:00Z", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t at = -2;
		int err = series_parse_time(cases[i].text, &at);
		if (cases[i].at < 0 ? err != -EINVAL || at != -2 : err || at != cases[i].at)
			fail_msg("%s: %d, %lld", cases[i].text, err, (long long)at);
	}
}

static void test_series_answer_chooses_a_step(void **state)
{
	(void)state;
	assert_int_equal(series_auto_step(1), 1);
	assert_int_equal(series_auto_step(600), 1);
	assert_int_equal(series_auto_step(601), 2);
	assert_int_equal(series_auto_step(3600), 10);
	assert_int_equal(series_auto_step(86400), 300);
	for (int64_t span = 1; span <= SERIES_RANGE_MAX_S; span += span / 3 + 1)
		assert_true(span / series_auto_step(span) <= SERIES_AUTO_POINTS);
}

static void test_series_answer_knows_its_metrics(void **state)
{
	unsigned metrics;
	bool heat;

	(void)state;
	assert_int_equal(series_parse_metrics(NULL, &metrics, &heat), 0);
	assert_int_equal(metrics, SERIES_ALL);
	assert_false(heat);
	assert_int_equal(series_parse_metrics("p99_ms,heat,rate_per_s", &metrics, &heat), 0);
	assert_int_equal(metrics, 1U << SERIES_P99 | 1U << SERIES_RATE);
	assert_true(heat);
	for (int m = 0; m < NR_SERIES_METRICS; m++) {
		assert_int_equal(series_parse_metrics(series_metric_name((enum series_metric)m),
						      &metrics, &heat),
				 0);
		assert_int_equal(metrics, 1U << m);
	}
	assert_int_equal(series_parse_metrics("", &metrics, &heat), -EINVAL);
	assert_int_equal(series_parse_metrics("p99_ms,", &metrics, &heat), -EINVAL);
	assert_int_equal(series_parse_metrics(",p99_ms", &metrics, &heat), -EINVAL);
	assert_int_equal(series_parse_metrics("p99", &metrics, &heat), -EINVAL);
	assert_int_equal(series_parse_metrics("p99_ms rate_per_s", &metrics, &heat), -EINVAL);
}

static void test_series_answer_is_json_with_gaps(void **state)
{
	CLEANUP(series_window_release) struct series_window w;
	CLEANUP(buf_release) struct buf text;
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why;

	(void)state;
	buf_init(&text, 1 << 20);
	assert_int_equal(series_window(T0, T0 + 3, 1, T0 + 10, &w), 0);
	w.values[SERIES_RATE][1] = 12.3456789f;
	w.heat_known[1] = true;
	w.heat[1][5] = 17;
	assert_int_equal(series_render(&w, "db", 1U << SERIES_RATE, true, &text), 0);
	assert_int_equal(json_parse(text.data, text.len, &j, &why), 0);
	assert_string_equal(json_str(j, "service"), "db");
	assert_true(json_num(j, "from", 0) == T0);
	assert_true(json_num(j, "to", 0) == T0 + 3);
	assert_true(json_num(j, "step_s", 0) == 1);
	cJSON *list = cJSON_GetObjectItem(j, "series");
	assert_int_equal(cJSON_GetArraySize(list), 1);
	cJSON *one = cJSON_GetArrayItem(list, 0), *values = cJSON_GetObjectItem(one, "values");
	assert_string_equal(json_str(one, "metric"), "rate_per_s");
	assert_string_equal(json_str(one, "unit"), "1/s");
	assert_int_equal(cJSON_GetArraySize(values), 3);
	assert_true(cJSON_IsNull(cJSON_GetArrayItem(values, 0)));
	assert_true(fabs(cJSON_GetArrayItem(values, 1)->valuedouble - 12.346) < 1e-6);
	assert_true(cJSON_IsNull(cJSON_GetArrayItem(values, 2)));
	cJSON *heat = cJSON_GetObjectItem(j, "heat"), *counts = cJSON_GetObjectItem(heat, "counts");
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(heat, "bounds_ms")),
			 SERIES_HEAT_BUCKETS - 1);
	assert_int_equal(cJSON_GetArraySize(counts), 3);
	assert_true(cJSON_IsNull(cJSON_GetArrayItem(counts, 0)));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetArrayItem(counts, 1)), SERIES_HEAT_BUCKETS);
	assert_int_equal(cJSON_GetArrayItem(cJSON_GetArrayItem(counts, 1), 5)->valueint, 17);
}

/* The worst that can be asked for fits an answer. */
static void test_series_answer_has_room_for_the_largest(void **state)
{
	CLEANUP(series_window_release) struct series_window w;
	CLEANUP(buf_release) struct buf text;

	(void)state;
	buf_init(&text, 16 << 20);
	assert_int_equal(series_window(T0, T0 + 3600, 1, T0 + 3600, &w), 0);
	for (size_t i = 0; i < w.nr; i++) {
		for (int m = 0; m < NR_SERIES_METRICS; m++)
			w.values[m][i] = 1.2345e-6f;
		w.heat_known[i] = true;
		memset(w.heat[i], 0x7f, sizeof(w.heat[i]));
	}
	assert_int_equal(series_render(&w, "db", SERIES_ALL, true, &text), 0);
}

static void take(struct series_window *w, const char *json, size_t nr, int wanted)
{
	assert_int_equal(series_take_matrix(json, strlen(json), SERIES_RATE, nr, w), wanted);
}

static void test_series_answer_takes_prometheus_for_its_gaps(void **state)
{
	CLEANUP(series_window_release) struct series_window w;

	(void)state;
	assert_int_equal(series_window(T0, T0 + 40, 10, T0 + 50, &w), 0);
	w.values[SERIES_RATE][1] = 5;
	take(&w,
	     "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":["
	     "[1700000010,\"1.5\"],[1700000020,\"2.5\"],[1700000030,\"NaN\"],[1700000040,\"4.5\"],"
	     "[1699999990,\"9\"],[\"x\",\"9\"],[1700000010],[1e300,\"9\"]]}]}}",
	     3, 0);
	assert_true(w.values[SERIES_RATE][0] == 1.5f);
	/* What we know ourselves stays. */
	assert_true(w.values[SERIES_RATE][1] == 5);
	assert_true(isnan(w.values[SERIES_RATE][2]));
	/* Behind what was asked for. */
	assert_true(isnan(w.values[SERIES_RATE][3]));
	take(&w, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}", 4,
	     0);
	take(&w, "{\"status\":\"error\",\"error\":\"x\"}", 4, -EINVAL);
	take(&w, "{\"data\":{\"resultType\":\"vector\",\"result\":[]}}", 4, -EINVAL);
	take(&w, "[]", 4, -EINVAL);
	take(&w, "<html>", 4, -EINVAL);
	take(&w, "", 4, -EINVAL);
}

static void test_series_answer_asks_prometheus_in_its_words(void **state)
{
	CLEANUP(buf_release) struct buf text;

	(void)state;
	buf_init(&text, 4096);
	assert_int_equal(series_promql(SERIES_P99, "db", 300, &text), 0);
	assert_string_equal(
		buf_str(&text),
		"histogram_quantile(0.99,sum by(le)(rate(http_server_request_duration_seconds_bucket{service_name=\"db\"}[300s])))*1000");
	buf_reset(&text);
	/* A window shorter than two scrapes would be empty. */
	assert_int_equal(series_promql(SERIES_RATE, "db", 1, &text), 0);
	assert_non_null(strstr(buf_str(&text), "[60s]"));
	assert_int_equal(series_promql(SERIES_SELF, "db", 1, &text), -ENOENT);
	assert_int_equal(series_promql(SERIES_THRESHOLD, "db", 1, &text), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_series_answer_reads_times),
		cmocka_unit_test(test_series_answer_chooses_a_step),
		cmocka_unit_test(test_series_answer_knows_its_metrics),
		cmocka_unit_test(test_series_answer_is_json_with_gaps),
		cmocka_unit_test(test_series_answer_has_room_for_the_largest),
		cmocka_unit_test(test_series_answer_takes_prometheus_for_its_gaps),
		cmocka_unit_test(test_series_answer_asks_prometheus_in_its_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
