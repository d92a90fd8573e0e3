// SPDX-License-Identifier: GPL-2.0-or-later
/* A Fault of the cluster into what the daemon takes, and what the daemon says into its status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "kube/fault_object.h"
#include "kube/kube.h"

#define META \
	"\"metadata\":{\"name\":\"slow\",\"uid\":\"4b2e5bca-5abd-4158-afc2-ca135d8c7ed0\",\"resourceVersion\":\"7\"%s}"
#define SPEC \
	"\"spec\":{\"service\":\"db\",\"type\":\"timeout\",\"delayMilliseconds\":300,\"probability\":0.5,\"durationSeconds\":60%s}"

static cJSON *parse(const char *text)
{
	const char *why = NULL;
	cJSON *j = NULL;

	if (json_parse(text, strlen(text), &j, &why))
		fail_msg("%s: %s", why, text);
	return j;
}

static cJSON *object(const char *meta, const char *spec, const char *status)
{
	char text[4096], format[1024];

	snprintf(format, sizeof(format), "{%s,%s%%s}", META, SPEC);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), format, meta, spec, status);
#pragma GCC diagnostic pop
	return parse(text);
}

static void assert_json(const cJSON *j, const char *expected)
{
	CLEANUP(json_freep) cJSON *e = parse(expected);
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(j);

	if (!cJSON_Compare(j, e, true))
		fail_msg("%s\n is not %s", text, expected);
}

static void steps(void **state)
{
	static const struct {
		const char *meta, *status;
		enum fault_object_step step;
	} cases[] = {
		{ "", "", FAULT_OBJECT_ARM },
		{ "", ",\"status\":{\"nodes\":{\"n2\":{\"state\":\"armed\"}}}", FAULT_OBJECT_ARM },
		{ "", ",\"status\":{\"nodes\":{\"n1\":{\"state\":\"armed\"}}}", FAULT_OBJECT_LOOK },
		{ "", ",\"status\":{\"nodes\":{\"n1\":{\"state\":\"expired\"}}}",
		  FAULT_OBJECT_NOTHING },
		{ "", ",\"status\":{\"nodes\":{\"n1\":{\"state\":\"refused\"}}}",
		  FAULT_OBJECT_NOTHING },
		{ ",\"deletionTimestamp\":\"x\"", "", FAULT_OBJECT_NOTHING },
		{ ",\"deletionTimestamp\":\"x\",\"finalizers\":[\"archaic-ebpf.io/n2\",\"n1\"]", "",
		  FAULT_OBJECT_NOTHING },
		{ ",\"deletionTimestamp\":\"x\",\"finalizers\":[\"archaic-ebpf.io/n1\"]", "",
		  FAULT_OBJECT_DISARM },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep) cJSON *o = object(cases[i].meta, "", cases[i].status);
		assert_int_equal(fault_object_step(o, "n1"), cases[i].step);
	}
}

static void arming(void **state)
{
	CLEANUP(json_freep)
	cJSON *o = object("", ",\"includeHealthChecks\":true,\"keys\":[\"a\"]", "");
	CLEANUP(json_freep) cJSON *body = NULL;

	(void)state;
	assert_int_equal(fault_object_arm(o, &body), 0);
	assert_json(body,
		    "{\"service\":\"db\",\"type\":\"timeout\",\"delay_ms\":300,\"probability\":0.5,"
		    "\"duration_s\":60,\"keys\":[\"a\"],\"match\":{\"health\":true},"
		    "\"slot\":\"k4b2e5bca5abd4158afc2ca135d8c7e\"}");

	CLEANUP(json_freep) cJSON *bare = parse("{\"metadata\":{\"uid\":\"4b2e5bca5abd\"}}");
	CLEANUP(json_freep) cJSON *none = NULL;
	assert_int_equal(fault_object_arm(bare, &none), -EINVAL);
	CLEANUP(json_freep)
	cJSON *anonymous = parse("{\"metadata\":{},\"spec\":{\"service\":\"db\"}}");
	assert_int_equal(fault_object_arm(anonymous, &none), -EINVAL);
	assert_null(none);
}

static void finalizers(void **state)
{
	CLEANUP(json_freep)
	cJSON *o = object(",\"finalizers\":[\"other/x\",\"archaic-ebpf.io/n2\"]", "", "");
	CLEANUP(json_freep) cJSON *add = NULL, *drop = NULL, *none = NULL;

	(void)state;
	assert_int_equal(fault_object_finalizer(o, "n1", true, &add), 0);
	assert_json(
		add,
		"{\"metadata\":{\"finalizers\":[\"other/x\",\"archaic-ebpf.io/n2\",\"archaic-ebpf.io/n1\"]}}");
	assert_int_equal(fault_object_finalizer(o, "n2", false, &drop), 0);
	assert_json(drop, "{\"metadata\":{\"finalizers\":[\"other/x\"]}}");
	assert_int_equal(fault_object_finalizer(o, "n2", true, &none), -EALREADY);
	assert_int_equal(fault_object_finalizer(o, "n1", false, &none), -EALREADY);
	assert_null(none);
}

/* Two nodes: the sum says armed while either is, and one part's writing leaves the other's alone. */
static void sums(void **state)
{
	CLEANUP(json_freep)
	cJSON *o = object("", "",
			  ",\"status\":{\"nodes\":{\"n2\":{\"state\":\"armed\",\"says\":\"two\","
			  "\"endsAt\":\"2026-01-01T00:00:00Z\",\"touchedRequests\":5}}}");
	CLEANUP(json_freep) cJSON *fault =
		parse("{\"id\":\"f-1\",\"state\":\"expired\",\"says\":\"one\",\"armed_at\":null,"
		      "\"ends_at\":null,\"touched\":{\"requests\":3}}");
	CLEANUP(json_freep) cJSON *patch = NULL;
	struct fault_report r;

	(void)state;
	assert_int_equal(fault_report_of(fault, &r), 0);
	assert_int_equal(fault_object_status(o, "n1", &r, &patch), 0);
	assert_json(
		patch,
		"{\"status\":{\"nodes\":{\"n1\":{\"state\":\"expired\",\"id\":\"f-1\",\"says\":\"one\","
		"\"touchedRequests\":3}},\"state\":\"armed\",\"says\":\"two\","
		"\"endsAt\":\"2026-01-01T00:00:00Z\",\"touchedRequests\":8}}");

	/* Said already: nothing is written. */
	CLEANUP(json_freep) cJSON *again =
		object("", "",
		       ",\"status\":{\"nodes\":{\"n1\":{\"state\":\"expired\",\"id\":\"f-1\","
		       "\"says\":\"one\",\"touchedRequests\":3}}}");
	CLEANUP(json_freep) cJSON *none = NULL;
	assert_int_equal(fault_object_status(again, "n1", &r, &none), -EALREADY);
	assert_null(none);
}

static void reports(void **state)
{
	CLEANUP(json_freep) cJSON *bad = parse("{\"id\":\"f-1\"}");
	CLEANUP(json_freep) cJSON *problem = parse("{\"detail\":\"db listens on no port now\"}");
	CLEANUP(json_freep)
	cJSON *o = object("", "",
			  ",\"status\":{\"nodes\":{\"n1\":{\"state\":\"armed\",\"id\":\"f-9\","
			  "\"touchedRequests\":4}}}");
	struct fault_report r = { .state = "kept" };

	(void)state;
	assert_int_equal(fault_report_of(bad, &r), -EPROTO);
	assert_string_equal(r.state, "kept");
	fault_report_refusal(problem, 422, &r);
	assert_string_equal(r.state, "refused");
	assert_string_equal(r.says, "db listens on no port now");
	fault_report_refusal(NULL, 503, &r);
	assert_string_equal(r.says, "the agent answered 503");
	assert_string_equal(fault_object_id(o, "n1"), "f-9");
	assert_null(fault_object_id(o, "n2"));
	fault_report_lost(o, "n1", &r);
	assert_string_equal(r.state, "lost");
	assert_int_equal(r.touched_requests, 4);
}

static void nodes(void **state)
{
	(void)state;
	assert_true(fault_object_node_valid("worker-1.example"));
	assert_false(fault_object_node_valid(""));
	assert_false(fault_object_node_valid("Worker"));
	assert_false(fault_object_node_valid("a/b"));
	assert_false(fault_object_node_valid(
		"a123456789a123456789a123456789a123456789a123456789a123456789abcd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps), cmocka_unit_test(arming),  cmocka_unit_test(finalizers),
		cmocka_unit_test(sums),  cmocka_unit_test(reports), cmocka_unit_test(nodes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
