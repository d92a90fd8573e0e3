// SPDX-License-Identifier: GPL-2.0-or-later
/* What a run is to do and what must hold: addresses, thresholds, shapes, requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "tools/load/gen.h"
#include "tools/load/shape.h"
#include "tools/load/target.h"

static struct tally tally;

static void test_target_addresses(void **state)
{
	static const struct {
		const char *url, *host, *authority, *path;
		uint16_t port;
	} good[] = {
		{ "http://localhost", "localhost", "localhost", "/", 80 },
		{ "http://127.0.0.1:8003/products?x=1&y", "127.0.0.1", "127.0.0.1:8003",
		  "/products?x=1&y", 8003 },
		{ "HTTP://[::1]:65535/", "::1", "[::1]:65535", "/", 65535 },
		{ "http://[fe80::1]", "fe80::1", "[fe80::1]", "/", 80 },
		{ "http://a.example?q", "a.example", "a.example", "/?q", 80 },
	};
	static const char *const bad[] = { "",
					   "localhost:80",
					   "https://localhost",
					   "ftp://x/",
					   "http://",
					   "http:///x",
					   "http://:80/",
					   "http://a:/",
					   "http://a:0/",
					   "http://a:65536/",
					   "http://a:8o/",
					   "http://[::1/",
					   "http://[::1]x/",
					   "http://u:p@a/",
					   "http://a/#top",
					   "http://a/b c",
					   "http://a/\r\nX: y",
					   "http://caf\xc3\xa9/" };
	struct target t;
	const char *why = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(target_parse(good[i].url, &t, &why), 0);
		assert_string_equal(t.host, good[i].host);
		assert_string_equal(t.authority, good[i].authority);
		assert_string_equal(t.path, good[i].path);
		assert_int_equal(t.port, good[i].port);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		if (target_parse(bad[i], &t, &why) != -EINVAL || !why)
			fail_msg("%s is taken", bad[i]);
	}
}

static void test_request_text(void **state)
{
	static const char *const headers[] = { "X-A: 1", "host: other", NULL };
	static const char *const bad[] = {
		"no colon",     ": empty",           "a b: c",
		"X: a\r\nY: b", "Content-Length: 5", "transfer-encoding: chunked"
	};
	struct gen_request rq = { .method = "GET" };
	struct target t;
	struct buf b;
	const char *why;

	(void)state;
	buf_init(&b, GEN_REQUEST_MAX);
	assert_int_equal(target_parse("http://a:81/x", &t, &why), 0);
	assert_int_equal(gen_build(&t, &rq, &b), 0);
	assert_string_equal(
		buf_str(&b),
		"GET /x HTTP/1.1\r\nHost: a:81\r\nUser-Agent: archaic-load/" ARCHAIC_VERSION
		"\r\n\r\n");
	buf_reset(&b);
	rq = (struct gen_request){
		.method = "POST", .headers = headers, .body = "{}", .body_len = 2, .close = true
	};
	assert_int_equal(gen_build(&t, &rq, &b), 0);
	assert_string_equal(buf_str(&b),
			    "POST /x HTTP/1.1\r\nUser-Agent: archaic-load/" ARCHAIC_VERSION
			    "\r\nX-A: 1\r\nhost: other\r\nContent-Length: 2\r\n"
			    "Connection: close\r\n\r\n{}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *const one[] = { bad[i], NULL };

		rq.headers = one;
		if (gen_build(&t, &rq, &b) != -EINVAL)
			fail_msg("%s is taken", bad[i]);
	}
	buf_release(&b);
}

static void fill_tally(void)
{
	const struct conn_request rq = { 0 };

	memset(&tally, 0, sizeof(tally));
	tally.start_ns = 0;
	tally.end_ns = 10 * NSEC_PER_SEC;
	/* 1 … 100 ms, and the last two fail. */
	for (uint64_t i = 1; i <= 100; i++)
		tally_answer(&tally, &rq, i > 98 ? 500 : 200, i * NSEC_PER_MSEC);
	tally.iterations = 20;
	tally.nr_checks = 2;
	tally.checks[0] = (struct tally_check){ "a", 30, 0 };
	tally.checks[1] = (struct tally_check){ "b", 15, 5 };
}

static void test_threshold_verdicts(void **state)
{
	static const struct {
		const char *text;
		bool met;
		double measured;
	} cases[] = {
		{ "http_req_duration:p(99)<100", true, 99 },
		{ "http_req_duration:p(99)<98", false, 99 },
		{ "http_req_duration:p(50)<=50.2", true, 50 },
		{ "http_req_duration:med>49", true, 50 },
		{ "http_req_duration: avg < 50.6", true, 50.5 },
		{ "http_req_duration:min>=1", true, 1 },
		{ "http_req_duration:max==100", true, 100 },
		{ "http_req_duration:max!=100", false, 100 },
		{ "http_req_duration:p(99.9)>99.5", true, 100 },
		{ "http_req_failed:rate<0.02", false, .02 },
		{ "http_req_failed:rate<=0.02", true, .02 },
		{ "http_reqs:count>=100", true, 100 },
		{ "http_reqs:rate>10", false, 10 },
		{ "checks:rate>0.9", false, .9 },
		{ "checks:rate>0.89", true, .9 },
		{ "iterations:count>19", true, 20 },
		{ "iterations:rate==2", true, 2 },
	};
	struct threshold th;
	const char *why = "";

	(void)state;
	fill_tally();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		double v = -1;

		if (threshold_parse(cases[i].text, &th, &why))
			fail_msg("%s: %s", cases[i].text, why);
		assert_string_equal(th.text, cases[i].text);
		if (threshold_met(&th, &tally, &v) != cases[i].met ||
		    v < cases[i].measured * .998 || v > cases[i].measured * 1.002)
			fail_msg("%s: measured %g", cases[i].text, v);
	}
}

static void test_threshold_counts_what_was_never_sent(void **state)
{
	struct threshold th;
	const char *why;
	double v = 0;

	(void)state;
	fill_tally();
	tally_unsent(&tally, 0, 1e6, 100, 200000000);
	assert_int_equal(threshold_parse("http_req_failed:rate<0.5", &th, &why), 0);
	assert_false(threshold_met(&th, &tally, &v));
	assert_true(v == .51);
}

static void test_threshold_of_nothing_is_not_met(void **state)
{
	static const char *const all[] = { "http_req_duration:p(99)<100", "http_req_failed:rate<1",
					   "checks:rate>=0", "iterations:count>=0",
					   "http_reqs:rate>=0" };
	struct threshold th;
	const char *why;
	double v = 77;

	(void)state;
	memset(&tally, 0, sizeof(tally));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(threshold_parse(all[i], &th, &why), 0);
		assert_false(threshold_met(&th, &tally, &v));
		assert_true(v == 77);
	}
}

static void test_threshold_refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"p(99)<5",
		"http_req_duration",
		"http_req_duration:",
		"http_req_duration:p(99)",
		"http_req_duration:p(99)<",
		"http_req_duration:p(99)<x",
		"http_req_duration:p(99)<5ms",
		"http_req_duration:p(101)<5",
		"http_req_duration:p(-1)<5",
		"http_req_duration:p99<5",
		"http_req_duration:p(99<5",
		"http_req_duration:rate<5",
		"http_req_duration:p(99)=5",
		"http_req_failed:avg<5",
		"http_req_failed:count<5",
		"http_reqs:max<5",
		"other:rate<5",
		"http_req_failed:rate<0.1 && rate>0",
	};
	struct threshold th = { .metric = 77 };
	const char *why;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		if (threshold_parse(bad[i], &th, &why) != -EINVAL || !why)
			fail_msg("%s is taken", bad[i]);
	}
	assert_int_equal(th.metric, 77);
}

static void check_shape(const char *name, unsigned int duration_s, unsigned int most)
{
	struct shape s;

	assert_int_equal(shape_find(name, false, &s), 0);
	assert_int_equal(shape_duration_ns(&s), duration_s * NSEC_PER_SEC);
	assert_int_equal(shape_users_max(&s), most);
	assert_int_equal(shape_users(&s, duration_s * NSEC_PER_SEC), 0);
	assert_true(s.nr_thresholds >= 3);
	assert_int_equal(shape_find(name, true, &s), 0);
	assert_true(s.nr_thresholds >= 3);
}

/* What the issue and the contract promise. */
static void test_shape_the_four(void **state)
{
	struct shape s;

	(void)state;
	check_shape("normal", 30, 10);
	check_shape("spike", 45, 50);
	check_shape("endurance", 120, 5);
	check_shape("stress", 70, 100);
	assert_int_equal(shape_find("other", false, &s), -ENOENT);
}

static void test_shape_users_in_a_straight_line(void **state)
{
	struct shape s;

	(void)state;
	assert_int_equal(shape_find("spike", false, &s), 0);
	assert_int_equal(shape_users(&s, 0), 0);
	assert_int_equal(shape_users(&s, 5 * NSEC_PER_SEC), 25);
	assert_int_equal(shape_users(&s, 10 * NSEC_PER_SEC), 50);
	assert_int_equal(shape_users(&s, 34 * NSEC_PER_SEC), 50);
	assert_int_equal(shape_users(&s, 40 * NSEC_PER_SEC), 25);
	assert_int_equal(shape_users(&s, 44900 * NSEC_PER_MSEC), 1);
	assert_int_equal(shape_find("normal", false, &s), 0);
	assert_int_equal(shape_users(&s, 0), 10);
	assert_int_equal(shape_users(&s, 29999 * NSEC_PER_MSEC), 10);
}

static void test_shape_squeezed(void **state)
{
	struct shape s;

	(void)state;
	assert_int_equal(shape_find("spike", false, &s), 0);
	shape_squeeze(&s, 9 * NSEC_PER_SEC);
	assert_int_equal(shape_duration_ns(&s), 9 * NSEC_PER_SEC);
	assert_int_equal(shape_users(&s, NSEC_PER_SEC), 25);
	assert_int_equal(shape_users(&s, 3 * NSEC_PER_SEC), 50);
	assert_int_equal(shape_users_max(&s), 50);
}

static void test_shape_refuses(void **state)
{
	static const char head[] =
		"{\"step_pause_s\":0,\"pause_s\":0,\"grace_s\":1,\"shapes\":{\"a\":";
	static const char good[] =
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"1s\",\"target\":2}],\"thresholds\":"
		"{\"checks\":[\"rate>0.9\"]}}";
	static const char *const bad[] = {
		"{\"start_vus\":1,\"stages\":[],\"thresholds\":{\"checks\":[\"rate>0.9\"]}}",
		"{\"start_vus\":-1,\"stages\":[{\"duration\":\"1s\",\"target\":2}],\"thresholds\":{\"checks\":[\"rate>0.9\"]}}",
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"x\",\"target\":2}],\"thresholds\":{\"checks\":[\"rate>0.9\"]}}",
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"1s\",\"target\":1001}],\"thresholds\":{\"checks\":[\"rate>0.9\"]}}",
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"1s\",\"target\":1.5}],\"thresholds\":{\"checks\":[\"rate>0.9\"]}}",
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"1s\",\"target\":2}],\"thresholds\":{}}",
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"1s\",\"target\":2}],\"thresholds\":{\"checks\":[\"avg>0.9\"]}}",
		"{\"start_vus\":1,\"stages\":[{\"duration\":\"1s\",\"target\":2}],\"thresholds\":{\"checks\":[5]}}",
		"[",
	};
	struct shape s;
	const char *why = NULL;
	char text[512];

	(void)state;
	int len = snprintf(text, sizeof(text), "%s%s}}", head, good);
	assert_int_equal(shape_parse(text, (size_t)len, "a", false, &s, &why), 0);
	assert_int_equal(shape_parse(text, (size_t)len, "b", false, &s, &why), -ENOENT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why = NULL;
		len = snprintf(text, sizeof(text), "%s%s}}", head, bad[i]);
		if (shape_parse(text, (size_t)len, "a", false, &s, &why) != -EINVAL || !why)
			fail_msg("case %zu is taken", i);
	}
}

static void test_shape_list_is_json(void **state)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why;
	struct buf b;

	(void)state;
	buf_init(&b, 64 << 10);
	assert_int_equal(shape_list(&b), 0);
	assert_int_equal(json_parse(buf_str(&b), b.len, &j, &why), 0);
	const cJSON *items = cJSON_GetObjectItem(j, "items");
	assert_int_equal(cJSON_GetArraySize(items), 4);
	assert_string_equal(json_str(cJSON_GetArrayItem(items, 1), "name"), "spike");
	assert_int_equal((int)json_num(cJSON_GetArrayItem(items, 1), "vus_max", 0), 50);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_addresses),
		cmocka_unit_test(test_request_text),
		cmocka_unit_test(test_threshold_verdicts),
		cmocka_unit_test(test_threshold_counts_what_was_never_sent),
		cmocka_unit_test(test_threshold_of_nothing_is_not_met),
		cmocka_unit_test(test_threshold_refuses),
		cmocka_unit_test(test_shape_the_four),
		cmocka_unit_test(test_shape_users_in_a_straight_line),
		cmocka_unit_test(test_shape_squeezed),
		cmocka_unit_test(test_shape_refuses),
		cmocka_unit_test(test_shape_list_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
