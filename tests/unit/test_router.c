// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/json.h"
#include "base/util.h"
#include "router_rig.h"

static void test_router_answers_every_route_well(void **state)
{
	static const struct {
		enum server_part part;
		const char *method, *target, *body;
		int status;
	} good[] = {
		{ SERVER_CONTROL, "GET", "/v1/health", NULL, 200 },
		{ SERVER_CONTROL, "HEAD", "/v1/health", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/openapi.json", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/services", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/services/d%62", NULL, 200 },
		{ SERVER_CONTROL, "POST", "/v1/services", "{\"name\":\"new\",\"port\":80}", 201 },
		{ SERVER_CONTROL, "DELETE", "/v1/services/db", NULL, 204 },
		{ SERVER_CONTROL, "GET", "/v1/graph?", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/scores", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/requests?service=db&slow=true&failed=false&limit=7",
		  NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/faults?&service=db&", NULL, 200 },
		{ SERVER_CONTROL, "POST", "/v1/faults", "{\"service\":\"db\",\"type\":\"timeout\"}",
		  201 },
		{ SERVER_CONTROL, "POST", "/v1/faults?dry_run=true",
		  "{\"service\":\"db\",\"type\":\"timeout\"}", 200 },
		{ SERVER_CONTROL, "DELETE", "/v1/faults", NULL, 200 },
		{ SERVER_CONTROL, "DELETE", "/v1/faults", "{}", 200 },
		{ SERVER_CONTROL, "GET", "/v1/faults/types", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/faults/f-db", NULL, 200 },
		{ SERVER_CONTROL, "DELETE", "/v1/faults/f-db", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/incidents?state=open&before=i-0009&limit=5", NULL,
		  200 },
		{ SERVER_CONTROL, "GET", "/v1/incidents/i-0001", NULL, 200 },
		{ SERVER_CONTROL, "GET", "/v1/incidents/i-0001/report", NULL, 200 },
		{ SERVER_CONTROL, "POST", "/v1/services/db/accept", NULL, 200 },
		{ SERVER_CONTROL, "POST", "/v1/incidents/i-0001/approve", NULL, 200 },
		{ SERVER_OPERATOR, "POST", "/incidents/i-0001/reject", "{\"why\":\"mine\"}", 200 },
		{ SERVER_CONTROL, "POST", "/v1/analyze?from=alertmanager",
		  "{\"service\":\"db\",\"other\":1}", 200 },
		{ SERVER_OPERATOR, "POST", "/analyze",
		  "{\"service\":\"db\",\"status\":\"resolved\"}", 204 },
		{ SERVER_CONTROL, "GET", "/v1/mode", NULL, 200 },
		{ SERVER_CONTROL, "POST", "/v1/mode", "{\"mode\":\"auto-safe\"}", 200 },
		{ SERVER_CONTROL, "GET", "/v1/doctor", NULL, 200 },
		{ SERVER_OPERATOR, "GET", "/health", NULL, 200 },
		{ SERVER_OPERATOR, "GET", "/incidents", NULL, 200 },
		{ SERVER_OPERATOR, "GET", "/incidents/i-0001", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/health", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/metrics", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/services", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/services/db", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/graph", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/scores", NULL, 200 },
		{ SERVER_DETECTOR, "GET", "/v1/faults/types", NULL, 200 },
		{ SERVER_DETECTOR, "POST", "/v1/faults",
		  "{\"service\":\"db\",\"type\":\"timeout\"}", 405 },
		{ SERVER_DETECTOR, "DELETE", "/v1/faults", NULL, 405 },
		{ SERVER_DETECTOR, "GET", "/incidents", NULL, 404 },
		{ SERVER_OPERATOR, "POST", "/v1/mode", "{\"mode\":\"auto\"}", 405 },
		{ SERVER_OPERATOR, "GET", "/metrics", NULL, 404 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct inbound in = root_asks(good[i].method, good[i].target, good[i].body);
		in.part = good[i].part;
		if (ask_as(&in) != good[i].status)
			fail_msg("%s %s: %d %s", good[i].method, good[i].target, reply.status,
				 buf_str(&reply.body));
	}
	assert_string_equal(fake.attach.name, "new");
	assert_int_equal(fake.attach.port, 80);
	assert_string_equal(fake.requests.service, "db");
	assert_true(fake.requests.slow && !fake.requests.failed);
	assert_int_equal(fake.requests.limit, 7);
	assert_string_equal(fake.incidents.state, "");
	assert_string_equal(fake.action, "(none)");
	assert_string_equal(fake.why, "mine");
	assert_string_equal(fake.mode, "auto-safe");
}

static void test_router_tells_the_methods_and_the_place(void **state)
{
	(void)state;
	assert_int_equal(ask("PUT", "/v1/faults", "{}"), 405);
	assert_string_equal(reply.allow, "GET, HEAD, POST, DELETE");
	assert_int_equal(ask("POST", "/v1/faults/types", "{}"), 405);
	assert_string_equal(reply.allow, "GET, HEAD");
	assert_int_equal(ask("POST", "/v1/faults", "{\"service\":\"db\",\"type\":\"timeout\"}"),
			 201);
	assert_string_equal(reply.location, "/v1/faults/f-db");
	assert_int_equal(ask("POST", "/v1/faults?dry_run=true",
			     "{\"service\":\"db\",\"type\":\"timeout\"}"),
			 200);
	assert_string_equal(reply.location, "");
	assert_true(fake.dry_run);
}

static void test_router_wants_json(void **state)
{
	struct inbound in = root_asks("POST", "/v1/mode", "{\"mode\":\"auto\"}");

	(void)state;
	in.content_type = "text/plain";
	assert_int_equal(ask_as(&in), 415);
	assert_problem("text/plain", "Content-Type");
	in.content_type = "application/x-www-form-urlencoded";
	assert_int_equal(ask_as(&in), 415);
	in.content_type = "application/jsonp";
	assert_int_equal(ask_as(&in), 415);
	in.content_type = "Application/JSON; charset=utf-8";
	assert_int_equal(ask_as(&in), 200);
	in.content_type = NULL;
	assert_int_equal(ask_as(&in), 200);
}

/* Who is not root may read everything and act on its own service alone. */
static void test_router_lets_a_user_act_on_its_own_service_only(void **state)
{
	static const char on_db[] = "{\"service\":\"db\",\"type\":\"timeout\"}";
	static const char on_self[] = "{\"service\":\"self\",\"type\":\"timeout\"}";
	static const struct {
		const char *method, *target, *body;
		int as_db, as_auth, as_nobody;
	} cases[] = {
		{ "GET", "/v1/services", NULL, 200, 200, 200 },
		{ "GET", "/v1/faults", NULL, 200, 200, 200 },
		{ "GET", "/v1/faults?service=self", NULL, 200, 200, 404 },
		{ "POST", "/v1/faults", on_db, 201, 403, 403 },
		{ "POST", "/v1/faults?dry_run=true", on_db, 200, 403, 403 },
		{ "POST", "/v1/faults", on_self, 201, 201, 404 },
		{ "DELETE", "/v1/faults/f-db", NULL, 200, 403, 403 },
		{ "DELETE", "/v1/faults", NULL, 403, 403, 403 },
		{ "DELETE", "/v1/faults?service=db", NULL, 200, 403, 403 },
		{ "DELETE", "/v1/faults?service=self", NULL, 200, 200, 404 },
		{ "POST", "/v1/services", "{\"name\":\"new\",\"port\":80}", 403, 403, 403 },
		{ "DELETE", "/v1/services/db", NULL, 403, 403, 403 },
		{ "POST", "/v1/services/db/accept", NULL, 403, 403, 403 },
		{ "POST", "/v1/incidents/i-0001/approve", NULL, 403, 403, 403 },
		{ "POST", "/v1/incidents/i-0001/reject", NULL, 403, 403, 403 },
		{ "POST", "/v1/mode", "{\"mode\":\"auto\"}", 403, 403, 403 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const int wanted[] = { cases[i].as_db, cases[i].as_auth, cases[i].as_nobody };
		const char *const selves[] = { "db", "auth", "" };
		for (size_t k = 0; k < 3; k++) {
			unsigned before = fake.calls;
			int status = user_asks(cases[i].method, cases[i].target, cases[i].body,
					       selves[k]);
			if (status != wanted[k])
				fail_msg("%s %s as %s: %d", cases[i].method, cases[i].target,
					 selves[k], status);
			if (status == 403) {
				assert_problem(cases[i].target, NULL);
				assert_int_equal(fake.calls, before);
			}
		}
	}
	assert_int_equal(user_asks("POST", "/v1/faults", on_self, "auth"), 201);
	assert_string_equal(fake.service, "auth");
	assert_int_equal(fake.who.uid, 1000);
	assert_int_equal(fake.who.pid, 4711);
	assert_string_equal(fake.who.service, "auth");
}

static void test_router_does_a_repeated_post_once(void **state)
{
	struct inbound in = root_asks("POST", "/v1/services", "{\"name\":\"twice\",\"port\":80}");

	(void)state;
	in.idempotency_key = "abc";
	assert_int_equal(ask_as(&in), 201);
	assert_int_equal(ask_as(&in), 201);
	assert_int_equal(fake.calls, 1);
	assert_non_null(strstr(buf_str(&reply.body), "\"name\":\"db\""));
	in.body = "{\"name\":\"other\",\"port\":80}";
	in.body_len = strlen(in.body);
	assert_int_equal(ask_as(&in), 422);
	assert_problem("another body", NULL);
	in.idempotency_key = "";
	assert_int_equal(ask_as(&in), 400);
	assert_problem("empty key", "Idempotency-Key");
	in.idempotency_key = "a b";
	assert_int_equal(ask_as(&in), 400);
	/* A service's key is not another's. */
	in = root_asks("POST", "/v1/faults", "{\"service\":\"self\",\"type\":\"timeout\"}");
	in.caller.is_root = false;
	in.caller.uid = 1000;
	in.idempotency_key = "abc";
	snprintf(fake.self, sizeof(fake.self), "db");
	assert_int_equal(ask_as(&in), 201);
	snprintf(fake.self, sizeof(fake.self), "auth");
	assert_int_equal(ask_as(&in), 201);
	assert_string_equal(fake.service, "auth");
}

static void test_router_bounds_the_target(void **state)
{
	static char target[ROUTER_TARGET_MAX + 64];

	(void)state;
	memset(target, 'a', sizeof(target) - 1);
	memcpy(target, "/v1/services/", 13);
	assert_int_equal(ask("GET", target, NULL), 400);
	assert_problem("a long target", NULL);
	target[ROUTER_TARGET_MAX] = '\0';
	assert_int_equal(ask("GET", target, NULL), 404);
}

static void test_router_answers_utf8_whatever_strangers_sent(void **state)
{
	const char *why;
	CLEANUP(json_freep) cJSON *j = NULL;

	(void)state;
	assert_int_equal(ask("GET", "/v1/requests", NULL), 200);
	if (json_parse(reply.body.data, reply.body.len, &j, &why))
		fail_msg("%s", why);
	const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItem(j, "items"), 0);
	assert_string_equal(json_str(item, "path"), "/??");
}

static void test_router_never_answers_without_a_reason(void **state)
{
	(void)state;
	fake.broken = true;
	assert_int_equal(ask("GET", "/v1/services", NULL), 500);
	assert_problem("a failure without a reason", NULL);
}

static void test_router_says_what_a_smaller_daemon_lacks(void **state)
{
	static const struct control_ops none = { 0 };
	struct router *small;
	size_t nr;
	const struct route *routes = router_routes(&nr);

	(void)state;
	assert_int_equal(router_new(&none, NULL, NULL, &small), 0);
	for (size_t i = 0; i < nr; i++) {
		const struct route *r = &routes[i];
		char target[128], *brace;
		struct inbound in = root_asks(r->method, target, NULL);
		snprintf(target, sizeof(target), "%s", r->path);
		while ((brace = strchr(target, '{')))
			memmove(brace, strchr(brace, '}'), strlen(strchr(brace, '}')) + 1),
				*brace = 'x';
		if (strstr(r->path, "openapi"))
			continue;
		in.part = r->parts & -r->parts;
		if (r->body == BODY_JSON) {
			in.body = strstr(r->path, "mode") ?
				"{\"mode\":\"auto\"}" :
				strstr(r->path, "loads") ?
				"{\"shape\":\"spike\"}" :
				strstr(r->path, "services") ?
				"{\"name\":\"x\",\"port\":1}" :
				"{\"service\":\"db\",\"type\":\"timeout\"}";
			in.body_len = strlen(in.body);
		}
		reply_release(&reply);
		router_handle(small, &in, &reply);
		/* Only a detector has it at all; whatever else is asked is no worse for that. */
		if (reply.status != (strstr(r->path, "samples") ? 404 : 503))
			fail_msg("%s %s: %d", r->method, target, reply.status);
		assert_problem(target, NULL);
	}
	router_free(small);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, router_setup, router_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_router_answers_every_route_well),
		CASE(test_router_tells_the_methods_and_the_place),
		CASE(test_router_wants_json),
		CASE(test_router_lets_a_user_act_on_its_own_service_only),
		CASE(test_router_does_a_repeated_post_once),
		CASE(test_router_bounds_the_target),
		CASE(test_router_answers_utf8_whatever_strangers_sent),
		CASE(test_router_never_answers_without_a_reason),
		CASE(test_router_says_what_a_smaller_daemon_lacks),
	};
	return cmocka_run_group_tests(tests, router_group_setup, router_group_teardown);
}
