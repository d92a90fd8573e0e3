// SPDX-License-Identifier: GPL-2.0-or-later
/* Bad input on every endpoint of the control socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "router_rig.h"

#define JSON16 "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"

static const struct {
	const char *method, *target, *body;
	int status;
	const char *parameter;
} bad[] = {
	/* paths */
	{ "GET", "/", NULL, 404, NULL },
	{ "GET", "/v1", NULL, 404, NULL },
	{ "GET", "/v1/", NULL, 404, NULL },
	{ "GET", "/v1/services/", NULL, 404, NULL },
	{ "GET", "/v1/services/db/", NULL, 404, NULL },
	{ "GET", "/v1/services/nobody", NULL, 404, NULL },
	{ "GET", "/v1/services/..", NULL, 404, NULL },
	{ "GET", "/v1/services/a%2Fb", NULL, 404, NULL },
	{ "GET", "/v1/services/%00", NULL, 400, NULL },
	{ "GET", "/v1/services/%", NULL, 400, NULL },
	{ "GET", "/v1/services/%4", NULL, 400, NULL },
	{ "GET", "/v1/services/%zz", NULL, 400, NULL },
	{ "GET", "/v1/services/%ff%fe", NULL, 400, NULL },
	{ "GET", "/v1/services/%c0%af", NULL, 400, NULL },
	{ "GET", "http://localhost/v1/health", NULL, 400, NULL },
	{ "OPTIONS", "*", NULL, 400, NULL },
	{ "GET", "", NULL, 400, NULL },
	{ "GET", "/v1/faults/F-DB", NULL, 404, NULL },
	{ "GET", "/v1/faults/f-none", NULL, 404, NULL },
	{ "DELETE", "/v1/faults/f-none", NULL, 404, NULL },
	{ "GET", "/v1/incidents/i-9999", NULL, 404, NULL },
	{ "GET", "/v1/incidents/i-0001%0d%0aX", NULL, 404, NULL },
	{ "GET", "/v1/incidents/i-9999/report", NULL, 404, NULL },
	{ "POST", "/v1/services/nobody/accept", NULL, 404, NULL },
	{ "GET", "/v1/services/db/accept", NULL, 405, NULL },
	{ "POST", "/v1/incidents/i-9999/approve", NULL, 404, NULL },
	{ "POST", "/v1/incidents/i-9999/reject", NULL, 404, NULL },
	{ "GET", "/v1/faults/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL,
	  404, NULL },
	/* what the control socket does not answer */
	{ "GET", "/metrics", NULL, 404, NULL },
	{ "GET", "/health", NULL, 404, NULL },
	{ "POST", "/analyze", "{\"service\":\"db\"}", 404, NULL },
	/* methods */
	{ "POST", "/v1/health", "{}", 405, NULL },
	{ "DELETE", "/v1/health", NULL, 405, NULL },
	{ "PUT", "/v1/services", "{}", 405, NULL },
	{ "PATCH", "/v1/services/db", "{}", 405, NULL },
	{ "POST", "/v1/services/db", "{}", 405, NULL },
	{ "POST", "/v1/faults/types", "{}", 405, NULL },
	{ "DELETE", "/v1/faults/types", NULL, 405, NULL },
	{ "GET", "/v1/analyze", NULL, 405, NULL },
	{ "GET", "/v1/incidents/i-0001/approve", NULL, 405, NULL },
	{ "TRACE", "/v1/doctor", NULL, 405, NULL },
	{ "get", "/v1/health", NULL, 405, NULL },
	/* query */
	{ "GET", "/v1/health?x=1", NULL, 400, "x" },
	{ "GET", "/v1/services?limit=3", NULL, 400, "limit" },
	{ "GET", "/v1/faults?service=nobody", NULL, 404, NULL },
	{ "GET", "/v1/faults?service=", NULL, 404, NULL },
	{ "GET", "/v1/faults?service=self", NULL, 404, NULL },
	{ "GET", "/v1/faults?service=db&service=db", NULL, 400, "service" },
	{ "GET", "/v1/faults?Service=db", NULL, 400, "Service" },
	{ "GET", "/v1/faults?service=%ff", NULL, 400, NULL },
	{ "GET", "/v1/faults?%ff=1", NULL, 400, NULL },
	{ "GET", "/v1/requests?slow=1", NULL, 400, "slow" },
	{ "GET", "/v1/requests?slow", NULL, 400, "slow" },
	{ "GET", "/v1/requests?failed=TRUE", NULL, 400, "failed" },
	{ "GET", "/v1/requests?limit=0", NULL, 400, "limit" },
	{ "GET", "/v1/requests?limit=1001", NULL, 400, "limit" },
	{ "GET", "/v1/requests?limit=-1", NULL, 400, "limit" },
	{ "GET", "/v1/requests?limit=1e2", NULL, 400, "limit" },
	{ "GET", "/v1/requests?limit=99999999999999999999", NULL, 400, "limit" },
	{ "GET", "/v1/requests?limit=", NULL, 400, "limit" },
	{ "GET", "/v1/incidents?state=happy", NULL, 400, "state" },
	{ "GET", "/v1/incidents?limit=201", NULL, 400, "limit" },
	{ "GET", "/v1/incidents?before=I_1", NULL, 400, "before" },
	{ "GET", "/v1/incidents?before=", NULL, 400, "before" },
	{ "GET", "/v1/requests?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", NULL, 400, NULL },
	{ "POST", "/v1/faults?dry_run=maybe", "{\"service\":\"db\",\"type\":\"timeout\"}", 400,
	  "dry_run" },
	{ "POST", "/v1/mode?x=1", "{\"mode\":\"observe\"}", 400, "x" },
	/* bodies in general */
	{ "POST", "/v1/services", NULL, 400, NULL },
	{ "POST", "/v1/services", "", 400, NULL },
	{ "POST", "/v1/services", "{", 400, NULL },
	{ "POST", "/v1/services", "[]", 400, NULL },
	{ "POST", "/v1/services", "null", 400, NULL },
	{ "POST", "/v1/services", "\"x\"", 400, NULL },
	{ "POST", "/v1/services", "{} {}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":\"a\xff\"}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":\"a\\u0000b\",\"port\":1}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":\"a\",\"name\":\"b\",\"port\":1}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":" JSON16 "}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":\"a\",\"port\":1e999}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":\"a\",\"port\":NaN}", 400, NULL },
	/* attach */
	{ "POST", "/v1/services", "{\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\"x\"}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":80,\"pid\":1}", 400, NULL },
	{ "POST", "/v1/services", "{\"name\":7,\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\"\",\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\".x\",\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\"a b\",\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\"self\",\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\"<script>\",\"port\":80}", 400, "name" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":0}", 400, "port" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":65536}", 400, "port" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":80.5}", 400, "port" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":\"80\"}", 400, "port" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":null}", 400, "port" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"pid\":-1}", 400, "pid" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"pid\":4194305}", 400, "pid" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"cgroup\":\"a\"}", 400, "cgroup" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"cgroup\":\"/a/../../b\"}", 400, "cgroup" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"cgroup\":\"/a/..\"}", 400, "cgroup" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"cgroup\":\"/..\"}", 400, "cgroup" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"cgroup\":[]}", 400, "cgroup" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":80,\"supervised\":1}", 400,
	  "supervised" },
	{ "POST", "/v1/services", "{\"name\":\"x\",\"port\":80,\"colour\":1}", 400, "colour" },
	{ "POST", "/v1/services", "{\"name\":\"db\",\"port\":80}", 409, NULL },
	{ "DELETE", "/v1/services/nobody", NULL, 404, NULL },
	/* faults: the shape; the fault module's own refusals pass through */
	{ "POST", "/v1/faults", "{\"type\":\"timeout\"}", 400, "service" },
	{ "POST", "/v1/faults", "{\"service\":\"db\"}", 400, "type" },
	{ "POST", "/v1/faults", "{\"service\":1,\"type\":\"timeout\"}", 400, "service" },
	{ "POST", "/v1/faults", "{\"service\":\"db\",\"type\":[]}", 400, "type" },
	{ "POST", "/v1/faults", "{\"service\":\"nobody\",\"type\":\"timeout\"}", 404, NULL },
	{ "POST", "/v1/faults", "{\"service\":\"a/b\",\"type\":\"timeout\"}", 404, NULL },
	{ "POST", "/v1/faults", "{\"service\":\"self\",\"type\":\"timeout\"}", 404, NULL },
	{ "POST", "/v1/faults", "{\"service\":\"db\",\"type\":\"sunshine\"}", 400, "type" },
	{ "POST", "/v1/faults", "{\"service\":\"db\",\"type\":\"timeout\",\"probability\":2}", 400,
	  "probability" },
	{ "POST", "/v1/faults", "{\"service\":\"db\",\"type\":\"timeout\",\"x\":2}", 400, "x" },
	{ "DELETE", "/v1/faults?service=nobody", NULL, 404, NULL },
	{ "DELETE", "/v1/faults", "{\"x\":1}", 400, "x" },
	/* incidents and the rest */
	{ "POST", "/v1/incidents/i-0001/approve", "{\"action\":1}", 400, "action" },
	{ "POST", "/v1/incidents/i-0001/approve", "{\"why\":\"x\"}", 400, "why" },
	{ "POST", "/v1/incidents/i-0001/approve", "[1]", 400, NULL },
	{ "POST", "/v1/incidents/i-0001/reject", "{\"why\":\"\"}", 400, "why" },
	{ "POST", "/v1/incidents/i-0001/reject", "{\"why\":{}}", 400, "why" },
	{ "POST", "/v1/analyze", NULL, 400, NULL },
	{ "POST", "/v1/analyze", "[]", 400, NULL },
	{ "POST", "/v1/analyze", "{}", 400, "service" },
	{ "POST", "/v1/mode", "{}", 400, "mode" },
	{ "POST", "/v1/mode", "{\"mode\":\"panic\"}", 400, "mode" },
	{ "POST", "/v1/mode", "{\"mode\":\"auto-safe-and-more-text-than-fits\"}", 400, "mode" },
	{ "POST", "/v1/mode", "{\"mode\":true}", 400, "mode" },
	{ "POST", "/v1/mode", "{\"mode\":\"auto\",\"force\":true}", 400, "force" },
};

static void test_router_refuses_bad_input(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char what[256];
		snprintf(what, sizeof(what), "%s %.80s %.80s", bad[i].method, bad[i].target,
			 bad[i].body ?: "");
		int status = ask(bad[i].method, bad[i].target, bad[i].body);
		if (status != bad[i].status)
			fail_msg("%s: %d instead of %d: %s", what, status, bad[i].status,
				 buf_str(&reply.body));
		assert_problem(what, bad[i].parameter);
	}
	/* Two detach, one accept and one disarm_all reached the fake and were refused there. */
	assert_int_equal(fake.calls, 4);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, router_setup, router_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_router_refuses_bad_input),
	};
	return cmocka_run_group_tests(tests, router_group_setup, router_group_teardown);
}
