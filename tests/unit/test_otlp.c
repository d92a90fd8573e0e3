// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests into spans, spans into OTLP's JSON, and what the answers mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "export/otlp.h"

#define EPOCH_NS 1700000000000000000ULL
#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static const struct otlp_resource resource = { .namespace = "shop", .host = "node-1" };

static struct request request(uint8_t side, uint16_t status)
{
	struct request r = {
		.seq = 7,
		.start_ns = 5 * NSEC_PER_SEC,
		.ttfb_ns = 3 * NSEC_PER_MSEC,
		.duration_ns = 4 * NSEC_PER_MSEC,
		.server = 2,
		.client = 1,
		.status = status,
		.method = ABI_METHOD_GET,
		.side = side,
		.flags = ABI_REQUEST_SLOW | ABI_REQUEST_SAMPLED,
		.path = "/products?token=secret",
		.trace_id = TRACE,
		.parent_id = PARENT,
	};

	return r;
}

static struct span span(uint8_t side, uint16_t status)
{
	struct request r = request(side, status);
	struct span s;

	span_make(&r, EPOCH_NS, 42, &s);
	snprintf(s.server, sizeof(s.server), "db");
	snprintf(s.client, sizeof(s.client), "product");
	s.server_port = 8002;
	return s;
}

/* ---- spans */

static void trace_of(const char *text, uint64_t seq, uint8_t to[static 16])
{
	struct request r = { .seq = seq };
	struct span s;

	snprintf(r.trace_id, sizeof(r.trace_id), "%s", text);
	span_make(&r, 0, 42, &s);
	memcpy(to, s.trace_id, 16);
}

static void test_span_trace_ids(void **state)
{
	static const uint8_t want[16] = { 0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd,
					  0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c };
	uint8_t a[16], b[16];

	(void)state;
	trace_of(TRACE, 1, a);
	assert_memory_equal(a, want, 16);
	trace_of("0AF76519-16cd-43dd-8448-eb211c80319c", 2, a);
	assert_memory_equal(a, want, 16);

	/* No id of OpenTelemetry's form: the same text is the same trace all the same, another is another. */
	trace_of("order 17", 3, a);
	trace_of("order 17", 4, b);
	assert_memory_equal(a, b, 16);
	trace_of("order 18", 5, b);
	assert_memory_not_equal(a, b, 16);

	/* None, and one that may not be: a trace of its own. */
	trace_of("", 6, a);
	trace_of("", 7, b);
	assert_memory_not_equal(a, b, 16);
	trace_of("00000000000000000000000000000000", 8, a);
	for (size_t i = 0; i < 16; i++)
		b[i] = 0;
	assert_memory_not_equal(a, b, 16);
}

static void test_span_ids_differ(void **state)
{
	static uint8_t ids[1000][8];
	struct span s;

	(void)state;
	for (uint64_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct request r = { .seq = i + 1 };
		span_make(&r, 0, 42, &s);
		memcpy(ids[i], s.span_id, 8);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(ids[k], ids[i], 8);
	}
}

static void test_span_keeps_no_query_and_no_control_character(void **state)
{
	struct request r = request(ABI_SIDE_SERVER, 200);
	struct span s;

	(void)state;
	span_make(&r, EPOCH_NS, 42, &s);
	assert_string_equal(s.path, "/products");
	snprintf(r.path, sizeof(r.path), "/a\x1b[31m\xff#x");
	span_make(&r, EPOCH_NS, 42, &s);
	assert_string_equal(s.path, "/a?[31m?");
}

static void test_span_parent(void **state)
{
	static const uint8_t want[8] = { 0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31 }, none[8];
	struct request r = request(ABI_SIDE_SERVER, 200);
	struct span s;

	(void)state;
	span_make(&r, EPOCH_NS, 42, &s);
	assert_memory_equal(s.parent_id, want, 8);
	snprintf(r.parent_id, sizeof(r.parent_id), "0000000000000000");
	span_make(&r, EPOCH_NS, 42, &s);
	assert_memory_equal(s.parent_id, none, 8);
}

static void test_span_failed_by_the_conventions(void **state)
{
	static const struct {
		uint8_t side;
		uint16_t status;
		bool failed;
	} cases[] = {
		{ ABI_SIDE_SERVER, 200, false }, { ABI_SIDE_SERVER, 404, false },
		{ ABI_SIDE_SERVER, 500, true },  { ABI_SIDE_SERVER, 0, true },
		{ ABI_SIDE_CLIENT, 302, false }, { ABI_SIDE_CLIENT, 404, true },
		{ ABI_SIDE_CLIENT, 503, true },  { ABI_SIDE_CLIENT, 0, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span s = span(cases[i].side, cases[i].status);
		if (span_failed(&s) != cases[i].failed)
			fail_msg("case %zu", i);
	}
	struct span s = span(ABI_SIDE_SERVER, 200);
	s.flags |= ABI_REQUEST_ABORTED;
	assert_true(span_failed(&s));
}

static void test_span_pair_makes_the_callee_a_child(void **state)
{
	struct span s[3] = { span(ABI_SIDE_SERVER, 200), span(ABI_SIDE_CLIENT, 200),
			     span(ABI_SIDE_CLIENT, 200) };

	(void)state;
	for (uint8_t i = 0; i < 3; i++)
		s[i].span_id[0] = i + 1;
	/* Two calls, one after the other: the server's is within the second. */
	s[1].start_ns -= 10 * NSEC_PER_MSEC;
	s[2].start_ns -= NSEC_PER_MSEC;
	span_pair(s, 3);
	assert_memory_equal(s[0].parent_id, s[2].span_id, 8);
	/* The caller keeps the parent that it was given. */
	assert_memory_not_equal(s[2].parent_id, s[0].span_id, 8);
}

static void test_span_pair_leaves_what_is_another_call(void **state)
{
	uint8_t parent[8];

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct span s[2] = { span(ABI_SIDE_SERVER, 200), span(ABI_SIDE_CLIENT, 200) };
		memcpy(parent, s[0].parent_id, 8);
		if (i == 0)
			s[1].trace_id[0] ^= 1;
		else if (i == 1)
			s[1].server_id = 9;
		else if (i == 2)
			s[1].client_id = 9;
		else if (i == 3)
			snprintf(s[1].path, sizeof(s[1].path), "/cart");
		else if (i == 4)
			s[1].start_ns = s[0].start_ns + 1;
		else
			s[1].end_ns = s[0].end_ns - 100 * NSEC_PER_MSEC;
		span_pair(s, 2);
		if (memcmp(s[0].parent_id, parent, 8) != 0)
			fail_msg("case %d was taken for the same call", i);
	}
}

/* ---- JSON */

static cJSON *encode(const struct span *spans, size_t nr)
{
	CLEANUP(buf_release) struct buf b = { 0 };
	cJSON *j = NULL;
	const char *why = "";

	buf_init(&b, 1 << 20);
	assert_int_equal(otlp_encode(spans, nr, &resource, &b), 0);
	if (json_parse(buf_str(&b), b.len, &j, &why))
		fail_msg("%s: %s", why, buf_str(&b));
	return j;
}

static const cJSON *at(const cJSON *j, const char *name, int i)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(j, name);

	assert_true(cJSON_IsArray(list));
	return cJSON_GetArrayItem(list, i);
}

static const cJSON *span_at(const cJSON *j, int service, int i)
{
	return at(at(at(j, "resourceSpans", service), "scopeSpans", 0), "spans", i);
}

/* The value of attribute @key as text; NULL: there is none. */
static const char *attribute(const cJSON *of, const char *key)
{
	const cJSON *a;

	cJSON_ArrayForEach(a, cJSON_GetObjectItemCaseSensitive(of, "attributes")) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(a, "value");
		if (!strcmp(json_str(a, "key"), key))
			return json_str(v, "stringValue") ?: json_str(v, "intValue") ?: "list";
	}
	return NULL;
}

static void test_otlp_span_by_the_conventions(void **state)
{
	struct span s = span(ABI_SIDE_SERVER, 503);

	(void)state;
	CLEANUP(json_freep) cJSON *j = encode(&s, 1);
	const cJSON *service =
		cJSON_GetObjectItemCaseSensitive(at(j, "resourceSpans", 0), "resource");
	assert_string_equal(attribute(service, "service.name"), "db");
	assert_string_equal(attribute(service, "service.namespace"), "shop");
	assert_string_equal(attribute(service, "host.name"), "node-1");

	const cJSON *one = span_at(j, 0, 0);
	assert_string_equal(json_str(one, "traceId"), TRACE);
	assert_string_equal(json_str(one, "parentSpanId"), PARENT);
	assert_int_equal(strlen(json_str(one, "spanId")), 16);
	assert_string_equal(json_str(one, "name"), "GET");
	assert_int_equal(json_num(one, "kind", 0), 2);
	/* 64-bit numbers are text: as numbers they would lose their last digits. */
	assert_string_equal(json_str(one, "startTimeUnixNano"), "1700000005000000000");
	assert_string_equal(json_str(one, "endTimeUnixNano"), "1700000005004000000");
	assert_string_equal(json_str(at(one, "events", 0), "timeUnixNano"), "1700000005003000000");
	assert_string_equal(attribute(one, "http.request.method"), "GET");
	assert_string_equal(attribute(one, "url.path"), "/products");
	assert_string_equal(attribute(one, "url.scheme"), "http");
	assert_string_equal(attribute(one, "server.address"), "db");
	assert_string_equal(attribute(one, "server.port"), "8002");
	assert_string_equal(attribute(one, "http.response.status_code"), "503");
	assert_string_equal(attribute(one, "error.type"), "503");
	assert_string_equal(attribute(one, "archaic.client.service"), "product");
	assert_string_equal(attribute(one, "archaic.kept_because"), "list");
	assert_null(attribute(one, "archaic.faults.armed"));
	assert_int_equal(json_num(cJSON_GetObjectItemCaseSensitive(one, "status"), "code", 0), 2);
}

static void test_otlp_client_span_without_answer(void **state)
{
	struct request r = request(ABI_SIDE_CLIENT, 0);
	struct span s;

	(void)state;
	r.flags = ABI_REQUEST_ABORTED;
	r.method = ABI_METHOD_OTHER;
	*r.parent_id = '\0';
	span_make(&r, EPOCH_NS, 42, &s);
	snprintf(s.client, sizeof(s.client), "product");
	snprintf(s.faults[0], sizeof(s.faults[0]), "f-7k2m");
	CLEANUP(json_freep) cJSON *j = encode(&s, 1);
	const cJSON *one = span_at(j, 0, 0);
	assert_string_equal(
		attribute(cJSON_GetObjectItemCaseSensitive(at(j, "resourceSpans", 0), "resource"),
			  "service.name"),
		"product");
	assert_int_equal(json_num(one, "kind", 0), 3);
	assert_string_equal(json_str(one, "name"), "HTTP");
	assert_string_equal(attribute(one, "http.request.method"), "_OTHER");
	assert_string_equal(attribute(one, "error.type"), "aborted");
	assert_string_equal(attribute(one, "archaic.faults.armed"), "list");
	assert_null(attribute(one, "http.response.status_code"));
	assert_null(attribute(one, "server.address"));
	assert_null(json_str(one, "parentSpanId"));
	assert_null(cJSON_GetObjectItemCaseSensitive(one, "events"));
}

static void test_otlp_good_span_has_no_status(void **state)
{
	struct span s = span(ABI_SIDE_SERVER, 200);

	(void)state;
	CLEANUP(json_freep) cJSON *j = encode(&s, 1);
	assert_null(cJSON_GetObjectItemCaseSensitive(span_at(j, 0, 0), "status"));
	assert_null(attribute(span_at(j, 0, 0), "error.type"));
}

static void test_otlp_groups_by_service(void **state)
{
	struct span s[5] = { span(ABI_SIDE_SERVER, 200), span(ABI_SIDE_CLIENT, 200),
			     span(ABI_SIDE_SERVER, 500), span(ABI_SIDE_CLIENT, 404),
			     span(ABI_SIDE_SERVER, 201) };

	(void)state;
	CLEANUP(json_freep) cJSON *j = encode(s, 5);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(j, "resourceSpans")),
			 2);
	assert_string_equal(attribute(span_at(j, 0, 2), "http.response.status_code"), "201");
	assert_null(span_at(j, 0, 3));
	assert_string_equal(attribute(span_at(j, 1, 1), "error.type"), "404");
	assert_null(span_at(j, 1, 2));
}

/* A batch of the worst spans there are fits into the exporter's body. */
static void test_otlp_batch_fits(void **state)
{
	static struct span s[512];
	CLEANUP(buf_release) struct buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		s[i] = span(i % 2, 500);
		memset(s[i].path, '"', ABI_PATH_MAX);
		memset(s[i].server, 's', SERVICE_NAME_MAX - 1);
		memset(s[i].client, 'c', SERVICE_NAME_MAX - 1);
		for (size_t f = 0; f < SPAN_FAULTS_MAX; f++)
			memset(s[i].faults[f], 'f', SPAN_FAULT_ID_MAX - 1);
		s[i].flags = 0xff;
	}
	buf_init(&b, (size_t)2 << 20);
	assert_int_equal(otlp_encode(s, ARRAY_SIZE(s), &resource, &b), 0);
	printf("a batch of 512 of the largest spans has %zu bytes\n", b.len);
}

/* ---- answers */

static void test_otlp_url(void **state)
{
	static const char *const cases[][2] = {
		{ "http://h:4318", "http://h:4318/v1/traces" },
		{ "http://h:4318/", "http://h:4318/v1/traces" },
		{ "https://h/otlp/", "https://h/otlp/v1/traces" },
		{ "http://h:4318/v1/traces", "http://h:4318/v1/traces" },
	};
	char url[OTLP_URL_MAX], big[OTLP_URL_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(otlp_url(cases[i][0], url), 0);
		assert_string_equal(url, cases[i][1]);
	}
	memset(big, 'h', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(otlp_url(big, url), -22);
}

static void test_otlp_judge(void **state)
{
	static const struct {
		int status;
		enum otlp_verdict v;
	} cases[] = { { 200, OTLP_TAKEN },   { 202, OTLP_TAKEN },   { 0, OTLP_LATER },
		      { 429, OTLP_LATER },   { 502, OTLP_LATER },   { 503, OTLP_LATER },
		      { 504, OTLP_LATER },   { 400, OTLP_REFUSED }, { 401, OTLP_REFUSED },
		      { 404, OTLP_REFUSED }, { 500, OTLP_REFUSED }, { 302, OTLP_REFUSED } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct otlp_answer a = { .status = cases[i].status };
		if (otlp_judge(&a) != cases[i].v)
			fail_msg("status %d", cases[i].status);
	}
}

static void test_otlp_partial_success(void **state)
{
	static const struct {
		const char *body;
		uint64_t rejected;
	} cases[] = {
		{ "{}", 0 },
		{ "", 0 },
		{ "not JSON", 0 },
		{ "{\"partialSuccess\":{}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too \\u0007old\"}}",
		  3 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":4}}", 4 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":-4}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedSpans\":\"many\"}}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct otlp_answer a = { .status = 200 };
		otlp_read_body(cases[i].body, strlen(cases[i].body), &a);
		if (a.rejected != cases[i].rejected)
			fail_msg("%s", cases[i].body);
		if (a.rejected == 3)
			assert_string_equal(a.why, "too ?old");
	}
}

static void test_otlp_backoff(void **state)
{
	(void)state;
	assert_true(otlp_backoff_ns(1, 0, 0) == NSEC_PER_SEC);
	assert_true(otlp_backoff_ns(2, 0, 0) == 2 * NSEC_PER_SEC);
	assert_true(otlp_backoff_ns(5, 0, 0) == 16 * NSEC_PER_SEC);
	assert_true(otlp_backoff_ns(6, 0, 0) == 30 * NSEC_PER_SEC);
	assert_true(otlp_backoff_ns(UINT32_MAX, 0, 0) == 30 * NSEC_PER_SEC);
	assert_true(otlp_backoff_ns(1, 0, UINT32_MAX) == NSEC_PER_SEC / 2);
	assert_true(otlp_backoff_ns(1, 20 * NSEC_PER_SEC, 0) == 20 * NSEC_PER_SEC);
	assert_true(otlp_backoff_ns(1, 86400 * NSEC_PER_SEC, 0) == 300 * NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_span_trace_ids),
		cmocka_unit_test(test_span_ids_differ),
		cmocka_unit_test(test_span_keeps_no_query_and_no_control_character),
		cmocka_unit_test(test_span_parent),
		cmocka_unit_test(test_span_failed_by_the_conventions),
		cmocka_unit_test(test_span_pair_makes_the_callee_a_child),
		cmocka_unit_test(test_span_pair_leaves_what_is_another_call),
		cmocka_unit_test(test_otlp_span_by_the_conventions),
		cmocka_unit_test(test_otlp_client_span_without_answer),
		cmocka_unit_test(test_otlp_good_span_has_no_status),
		cmocka_unit_test(test_otlp_groups_by_service),
		cmocka_unit_test(test_otlp_batch_fits),
		cmocka_unit_test(test_otlp_url),
		cmocka_unit_test(test_otlp_judge),
		cmocka_unit_test(test_otlp_partial_success),
		cmocka_unit_test(test_otlp_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
