// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole daemon and a receiver of OpenTelemetry's traces that says what it is told to: what it
 * gets of a call through three services, what it never gets, and what becomes of it when it fails.
 * A real Jaeger and a real collector: make test-observability.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "export/otlp.h"
#include "tests/lib/scene.h"
#include "tests/lib/scrape.h"
#include "tests/lib/shop.h"

#define TRACE "7f3c2a10111142228333944455556666"

static const char conf[] = "[observe]\nsample_every = 1\nnamespace = shop\n"
			   "[otlp]\nendpoint = http://127.0.0.1:4318\n";
static struct scene scene;
static struct stub *receiver;

static int set_up(void **state)
{
	(void)state;
	scene_set_up(&scene, "test_daemon_traces", conf);
	if (*scene.dir)
		receiver = stub_start(4318, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (receiver)
		stub_stop(receiver);
	scene_close(&scene);
	return 0;
}

static const char *log_in(void)
{
	static const char who[] = "{\"email\":\"eve@example.com\",\"password\":\"correct horse\"}";
	static char bearer[2048];
	struct http_answer a;

	http_status("POST", scene_url("auth", "/signup"), who, NULL);
	http("POST", scene_url("auth", "/login"), who, NULL, &a);
	assert_int_equal(a.status, 200);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
	return bearer;
}

/* ---- what came */

/* The spans of our trace by service and kind; all of a call end within a millisecond, so in one batch. */
struct came {
	const char *bearer;
	unsigned asked;
	cJSON *product_server, *product_client, *auth_server, *db_server; /* borrowed of root */
	cJSON *root;
};

static void sort_in(struct came *c, const char *service, cJSON *span)
{
	int kind = (int)json_num(span, "kind", 0);

	if (strcmp(json_str(span, "traceId"), TRACE) != 0)
		return;
	if (!strcmp(service, "product") && kind == 2)
		c->product_server = span;
	else if (!strcmp(service, "product"))
		c->product_client = span;
	else if (!strcmp(service, "auth"))
		c->auth_server = span;
	else if (!strcmp(service, "db"))
		c->db_server = span;
}

static const char *attribute(const cJSON *of, const char *key)
{
	const cJSON *a;

	cJSON_ArrayForEach(a, cJSON_GetObjectItemCaseSensitive(of, "attributes")) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(a, "value");
		if (!strcmp(json_str(a, "key"), key))
			return json_str(v, "stringValue") ?: json_str(v, "intValue") ?: "list";
	}
	return "";
}

static void sort_all(struct came *c)
{
	cJSON *r, *s;

	c->product_server = c->product_client = c->auth_server = c->db_server = NULL;
	cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(c->root, "resourceSpans")) {
		const cJSON *resource = cJSON_GetObjectItemCaseSensitive(r, "resource");
		cJSON *scope =
			cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(r, "scopeSpans"), 0);
		assert_string_equal(attribute(resource, "service.namespace"), "shop");
		cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(scope, "spans")) {
			sort_in(c, attribute(resource, "service.name"), s);
		}
	}
}

static bool all_came(void *came)
{
	struct came *c = came;
	const char *headers[] = { c->bearer, "X-Trace-ID: 7f3c2a10-1111-4222-8333-944455556666",
				  NULL };
	const char *why, *heard = stub_heard(receiver), *body = strstr(heard, "\r\n\r\n");

	/* Twice a second: every request is sampled, and a batch fits into what the stub gives. */
	if (c->asked++ % 50 == 0) {
		http_status("GET", scene_url("db", "/nothing?secret=1"), NULL, headers);
		assert_int_equal(
			http_status("GET", scene_url("product", "/products"), NULL, headers), 200);
	}
	cJSON_Delete(c->root);
	c->root = NULL;
	if (!body || json_parse(body + 4, strlen(body + 4), &c->root, &why))
		return false;
	assert_int_equal(strncmp(heard, "POST /v1/traces HTTP/1.1\r\n", 26), 0);
	assert_non_null(strstr(heard, "Content-Type: application/json\r\n"));
	assert_null(strstr(heard, "secret=1"));
	/* Its own requests to us are in none. */
	assert_null(strstr(body, OTLP_PATH));
	sort_all(c);
	return strstr(body, "\"/nothing\"") && c->product_server && c->product_client &&
		c->auth_server && c->db_server;
}

static void test_traces_of_one_call(void **state)
{
	struct came c = { 0 };

	(void)state;
	scene_need(&scene);
	c.bearer = log_in();
	stub_say_json(receiver, 200, "{}");
	if (!wait_true(all_came, &c, 20000)) {
		scene_show_log(&scene);
		fail_msg("not all spans came; the last: %.2000s", stub_heard(receiver));
	}
	assert_string_equal(json_str(c.product_server, "name"), "GET");
	assert_string_equal(attribute(c.product_server, "url.path"), "/products");
	assert_string_equal(attribute(c.product_server, "http.response.status_code"), "200");
	assert_string_equal(attribute(c.product_server, "server.port"), "8003");
	assert_string_equal(attribute(c.db_server, "server.address"), "db");
	assert_string_equal(attribute(c.db_server, "archaic.client.service"), "product");
	assert_int_equal(json_num(c.product_client, "kind", 0), 3);
	/* The callee is the caller's child: both ends were seen. */
	assert_non_null(json_str(c.db_server, "parentSpanId"));
	assert_non_null(json_str(c.auth_server, "parentSpanId"));
	assert_string_not_equal(json_str(c.db_server, "parentSpanId"),
				json_str(c.auth_server, "parentSpanId"));
	cJSON_Delete(c.root);
}

/* ---- a receiver that fails */

static double counted(const char *name, const char *outcome)
{
	char label[64];
	CLEANUP(freep) char *text = scrape(false);

	snprintf(label, sizeof(label), "outcome=\"%s\"", outcome);
	return scrape_find(text, name, PARTS(label)).sum;
}

static bool was_put_off(void *before)
{
	http_status("GET", scene_url("db", "/health"), NULL, NULL);
	return counted("archaic_otlp_requests_total", "later") > *(double *)before;
}

static bool was_taken(void *before)
{
	return counted("archaic_otlp_spans_total", "sent") > *(double *)before;
}

static bool was_refused(void *before)
{
	http_status("GET", scene_url("db", "/health"), NULL, NULL);
	return counted("archaic_otlp_spans_total", "rejected") > *(double *)before;
}

static void test_traces_receiver_that_fails(void **state)
{
	(void)state;
	scene_need(&scene);
	double later = counted("archaic_otlp_requests_total", "later");
	stub_say_json(receiver, 503, "{}");
	assert_true(wait_true(was_put_off, &later, 10000));
	assert_true(file_has(scene.log,
			     "traces: http://127.0.0.1:4318/v1/traces takes no spans: it "
			     "answered with status 503"));

	double sent = counted("archaic_otlp_spans_total", "sent");
	stub_say_json(receiver, 200, "{}");
	assert_true(wait_true(was_taken, &sent, 15000));

	double rejected = counted("archaic_otlp_spans_total", "rejected");
	stub_say_json(receiver, 400, "{}");
	assert_true(wait_true(was_refused, &rejected, 10000));

	CLEANUP(freep) char *text = scrape(false);
	struct scraped lost =
		scrape_find(text, "archaic_events_lost_total", PARTS("stage=\"spans\""));
	assert_true(lost.lines == 1 && lost.sum > 0);
	assert_true(scrape_find(text, "archaic_otlp_queue_max_spans", PARTS()).sum == 2048);
}

/* ---- who is told */

static bool doctor_says(const char *part)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *i;

	assert_int_equal(scene_api(&scene, "GET", "/v1/doctor", NULL, &j), 200);
	cJSON_ArrayForEach(i, cJSON_GetObjectItemCaseSensitive(j, "items")) {
		if (!strcmp(json_str(i, "area"), "export") && strstr(json_str(i, "says"), part))
			return true;
	}
	return false;
}

/* A receiver that takes the connection and never answers does not hold up the daemon's end. */
static void test_traces_off_by_default_and_end_beside_a_silent_receiver(void **state)
{
	(void)state;
	scene_need(&scene);
	assert_true(doctor_says("are sent to http://127.0.0.1:4318/v1/traces"));
	stub_say(receiver, NULL);
	http_status("GET", scene_url("db", "/health"), NULL, NULL);
	assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);

	scene_daemon(&scene, "observe", "[observe]\nsample_every = 1\n");
	assert_true(doctor_says("no trace is sent anywhere"));
	CLEANUP(freep) char *text = scrape(false);
	assert_null(strstr(text, "archaic_otlp_"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traces_of_one_call),
		cmocka_unit_test(test_traces_receiver_that_fails),
		cmocka_unit_test(test_traces_off_by_default_and_end_beside_a_silent_receiver),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
