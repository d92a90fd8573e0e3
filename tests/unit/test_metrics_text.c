// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "serve/metrics.h"
#include "serve/metrics_family.h"
#include "tests/lib/partner.h"

static struct metrics *m;
static struct buf out;

static int setup(void **state)
{
	(void)state;
	buf_init(&out, METRICS_TEXT_MAX);
	return metrics_new(&m);
}

static int teardown(void **state)
{
	(void)state;
	metrics_free(m);
	buf_release(&out);
	return 0;
}

static const char *render(bool openmetrics)
{
	buf_reset(&out);
	assert_int_equal(metrics_render(m, openmetrics, &out), 0);
	return buf_str(&out);
}

#define assert_has(text, part)                                        \
	do {                                                          \
		if (!strstr(text, part))                              \
			fail_msg("no '%s' in:\n%.3000s", part, text); \
	} while (0)

static void test_metrics_bounds_are_all_of_the_kernels(void **state)
{
	size_t histograms = 0;

	(void)state;
	for (size_t f = 0; f < NR_METRICS; f++) {
		const struct metric_family *family = metric_family((enum metric)f);
		assert_non_null(family->name);
		assert_non_null(family->help);
		if (family->kind != METRIC_HISTOGRAM)
			continue;
		histograms++;
		for (size_t b = 0; b < family->nr_bounds; b++) {
			bool found = false;
			for (size_t i = 0; i < ABI_HIST_BUCKETS - 1; i++)
				found |= hist_upper_ns(i) == family->bounds[b];
			if (!found)
				fail_msg("%s: %llu ns is no bound of the kernel's", family->name,
					 (unsigned long long)family->bounds[b]);
			assert_true(!b || family->bounds[b] > family->bounds[b - 1]);
		}
	}
	assert_int_equal(histograms, 5);
}

/* Every kernel bucket holds 1: the count up to a bound is the number of kernel bounds up to it. */
static void test_metrics_folds_buckets_exactly(void **state)
{
	struct hist h;

	(void)state;
	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		h.n[i] = 1;
	assert_int_equal(metrics_add_hist(m, METRIC_RUNQUEUE, METRIC_LABELS("db"), &h, 2500000000),
			 0);
	const char *text = render(false);
	assert_has(
		text,
		"archaic_sched_runqueue_latency_seconds_bucket{service_name=\"db\",le=\"5e-06\"} 8\n");
	assert_has(text, "_bucket{service_name=\"db\",le=\"1e-05\"} 11\n");
	assert_has(text, "_bucket{service_name=\"db\",le=\"0.0025\"} 35\n");
	assert_has(text, "_bucket{service_name=\"db\",le=\"1\"} 61\n");
	assert_has(text, "_bucket{service_name=\"db\",le=\"+Inf\"} 81\n");
	assert_has(text, "archaic_sched_runqueue_latency_seconds_sum{service_name=\"db\"} 2.5\n");
	assert_has(text, "archaic_sched_runqueue_latency_seconds_count{service_name=\"db\"} 81\n");
}

static void test_metrics_duration_buckets_are_those_of_the_document(void **state)
{
	static const char *const bounds[] = {
		"0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.075", "0.1",
		"0.25",   "0.5",   "0.75",   "1",     "2.5",  "5",     "7.5",  "10",    "+Inf"
	};
	struct hist h = { 0 };
	char line[128];

	(void)state;
	assert_int_equal(metrics_add_hist(m, METRIC_HTTP_SERVER_DURATION,
					  METRIC_LABELS("db", "GET", "200"), &h, 0),
			 0);
	const char *at = render(false);
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		snprintf(
			line, sizeof(line),
			"_bucket{service_name=\"db\",http_request_method=\"GET\",http_response_status_code=\"200\",le=\"%s\"} 0\n",
			bounds[i]);
		at = strstr(at, line);
		if (!at)
			fail_msg("no %s in its place", line);
	}
}

static void test_metrics_adds_up_equal_series(void **state)
{
	(void)state;
	metrics_set_namespace(m, "shop");
	assert_int_equal(metrics_add(m, METRIC_CPU_SECONDS, METRIC_LABELS("db"), 1.25), 0);
	assert_int_equal(metrics_add(m, METRIC_CPU_SECONDS, METRIC_LABELS("db", ""), 1), 0);
	assert_int_equal(metrics_add(m, METRIC_CPU_SECONDS, METRIC_LABELS("db", "user"), 4), 0);
	const char *text = render(false);
	assert_has(
		text,
		"container_cpu_time_seconds_total{service_name=\"db\",service_namespace=\"shop\"} 2.25\n");
	assert_has(text, "{service_name=\"db\",service_namespace=\"shop\",cpu_mode=\"user\"} 4\n");
	assert_has(text, "# TYPE container_cpu_time_seconds_total counter\n");
	assert_null(strstr(text, "archaic_anomaly_score"));
}

static void test_metrics_escapes_what_strangers_named(void **state)
{
	char longest[400];

	(void)state;
	assert_int_equal(
		metrics_add(m, METRIC_IN_FLIGHT, METRIC_LABELS("a\"b\\c\nd\xff\xc3\xa9"), 1), 0);
	assert_has(render(false), "{service_name=\"a\\\"b\\\\c\\nd?\xc3\xa9\"} 1\n");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(metrics_add(m, METRIC_IN_FLIGHT, METRIC_LABELS(longest), 1), 0);
	assert_true(strlen(render(false)) < 600);
}

static void test_metrics_refuses_the_wrong_kind_and_too_many_labels(void **state)
{
	struct hist h = { 0 };

	(void)state;
	assert_true(metrics_add(m, METRIC_RUNQUEUE, METRIC_LABELS("db"), 1) < 0);
	assert_true(metrics_add_hist(m, METRIC_IN_FLIGHT, METRIC_LABELS("db"), &h, 0) < 0);
	assert_true(metrics_add(m, METRIC_IN_FLIGHT, METRIC_LABELS("db", "x"), 1) < 0);
	assert_string_equal(render(false), "");
}

static void test_metrics_folds_what_is_over_the_cap(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < METRICS_SERIES_MAX + 7; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(metrics_add(m, METRIC_IN_FLIGHT, METRIC_LABELS(name), 1), 0);
	}
	assert_int_equal(metrics_add(m, METRIC_IN_FLIGHT, NULL, 3), 0);
	/* Known ones are still told apart. */
	assert_int_equal(metrics_add(m, METRIC_IN_FLIGHT, METRIC_LABELS("s0"), 1), 0);
	const char *text = render(false);
	size_t lines = 0;
	for (const char *p = text; (p = strstr(p, "\narchaic_http_server_requests_in_flight{"));
	     p++)
		lines++;
	assert_int_equal(lines, METRICS_SERIES_MAX + 1);
	assert_has(text,
		   "archaic_http_server_requests_in_flight{otel_metric_overflow=\"true\"} 10\n");
	assert_has(text, "archaic_http_server_requests_in_flight{service_name=\"s0\"} 2\n");
	assert_has(
		text,
		"archaic_series_overflow_total{metric=\"archaic_http_server_requests_in_flight\"} 7\n");
}

static void test_metrics_openmetrics_has_its_own_forms(void **state)
{
	struct metric_exemplar ex = { .trace_id = "550e8400-e29b-41d4-a716-446655440000",
				      .value = .003,
				      .wall_ms = 1705314600123 };
	struct metric_exemplar forged = { .trace_id = "\"} 1\nevil 2",
					  .value = .003,
					  .wall_ms = 1 };
	size_t bucket = 0;
	struct metric_exemplar older = { .trace_id = "abc", .value = .004, .wall_ms = 1 };
	struct metric_exemplar elsewhere = { .trace_id = "def", .value = 3, .wall_ms = 1 };
	const char *const *db = METRIC_LABELS("product", "db", "false");
	const char *const *auth = METRIC_LABELS("product", "auth", "false");
	struct hist h = { 0 };

	(void)state;
	while (hist_upper_ns(bucket) < 3000000)
		bucket++;
	h.n[0] = h.n[bucket] = 1;
	assert_int_equal(metrics_add(m, METRIC_ABORTED, METRIC_LABELS("db"), 3), 0);
	/* No series, no exemplar. */
	assert_int_equal(metrics_exemplar(m, METRIC_EDGE_DURATION, db, &ex), 0);
	assert_string_equal(strstr(render(true), "# {") ?: "", "");
	assert_int_equal(metrics_add_hist(m, METRIC_EDGE_DURATION, db, &h, 1000), 0);
	assert_int_equal(metrics_add_hist(m, METRIC_EDGE_DURATION, auth, &h, 1000), 0);
	assert_int_equal(metrics_exemplar(m, METRIC_EDGE_DURATION, db, &ex), 0);
	/* The first stays; a bucket that nobody is in gets none; a forged id stands for nothing. */
	assert_int_equal(metrics_exemplar(m, METRIC_EDGE_DURATION, db, &older), 0);
	assert_int_equal(metrics_exemplar(m, METRIC_EDGE_DURATION, db, &elsewhere), 0);
	assert_int_equal(metrics_exemplar(m, METRIC_EDGE_DURATION, auth, &forged), 0);
	assert_true(metrics_exemplar(m, METRIC_ABORTED, METRIC_LABELS("db"), &ex) < 0);
	const char *text = render(true);
	assert_has(text, "# TYPE archaic_http_server_aborted_requests counter\n");
	assert_has(text, "archaic_http_server_aborted_requests_total{service_name=\"db\"} 3.0\n");
	assert_has(text,
		   "{client=\"product\",server=\"db\",failed=\"false\",le=\"0.005\"} 2 # "
		   "{trace_id=\"550e8400e29b41d4a716446655440000\"} 0.003 1705314600.123\n");
	assert_has(text, "le=\"1.0\"} 2\n");
	assert_null(strstr(text, "evil"));
	assert_null(strstr(text, "\"abc\""));
	assert_null(strstr(text, "\"def\""));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	assert_null(strstr(render(false), " # {"));
	assert_null(strstr(render(false), "# EOF"));
}

static void test_metrics_are_what_the_scraper_asks_for(void **state)
{
	(void)state;
	assert_false(metrics_wants_openmetrics(NULL));
	assert_false(metrics_wants_openmetrics("*/*"));
	assert_false(metrics_wants_openmetrics("text/plain"));
	assert_true(metrics_wants_openmetrics("application/openmetrics-text"));
	/* As Prometheus 2.42 asks. */
	assert_true(metrics_wants_openmetrics(
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
		"version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
	assert_false(
		metrics_wants_openmetrics("application/openmetrics-text;q=0.2, text/plain;q=0.9"));
	assert_false(metrics_wants_openmetrics("application/openmetrics-text;q=0"));
}

/* Something of everything, as a scrape would have it. */
static void fill(void)
{
	struct hist h;

	for (size_t i = 0; i < ABI_HIST_BUCKETS; i++)
		h.n[i] = i;
	metrics_set_namespace(m, "shop");
	for (size_t f = 0; f < NR_METRICS; f++) {
		if (f == METRIC_SERIES_OVERFLOW)
			continue;
		const char *values[METRICS_LABELS_MAX + 1] = { 0 };
		const struct metric_family *family = metric_family((enum metric)f);
		size_t nr = family->identity;
		while (family->labels[nr - family->identity])
			nr++;
		for (size_t i = 0; i < nr; i++)
			values[i] = i == 1 ? "we\"ird\\\n" : "x";
		int err = family->kind == METRIC_HISTOGRAM ?
			metrics_add_hist(m, (enum metric)f, values, &h, 12345678901) :
			metrics_add(m, (enum metric)f, values, 1);
		assert_int_equal(err, 0);
	}
	for (int i = 0; i < METRICS_SERIES_MAX + 1; i++) {
		char name[16];
		snprintf(name, sizeof(name), "m%d", i);
		assert_int_equal(metrics_add(m, METRIC_MAP_ENTRIES, METRIC_LABELS(name), i), 0);
	}
}

static void test_metrics_pass_promtool(void **state)
{
	char path[512], lack[512], says[4096];
	struct child c;

	(void)state;
	if (!partner_get("promtool", path, sizeof(path), lack, sizeof(lack))) {
		printf("SKIP test_metrics_pass_promtool: %s\n", lack);
		skip();
	}
	fill();
	render(false);
	const char *const argv[] = { path, "check", "metrics", NULL };
	child_start(&c, argv, true);
	assert_int_equal(write(c.in, out.data, out.len), out.len);
	child_close_input(&c);
	child_read(&c, says, sizeof(says));
	int status = child_end(&c);
	if (status || *says)
		fail_msg("promtool: status %d\n%s", status, says);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_metrics_bounds_are_all_of_the_kernels),
		CASE(test_metrics_folds_buckets_exactly),
		CASE(test_metrics_duration_buckets_are_those_of_the_document),
		CASE(test_metrics_adds_up_equal_series),
		CASE(test_metrics_escapes_what_strangers_named),
		CASE(test_metrics_refuses_the_wrong_kind_and_too_many_labels),
		CASE(test_metrics_folds_what_is_over_the_cap),
		CASE(test_metrics_openmetrics_has_its_own_forms),
		CASE(test_metrics_are_what_the_scraper_asks_for),
		CASE(test_metrics_pass_promtool),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
