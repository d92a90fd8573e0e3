// SPDX-License-Identifier: GPL-2.0-or-later
/* The real four services, in a network namespace of their own, every endpoint. No daemon anywhere. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

#define AUTH "http://127.0.0.1:8001"
#define DB "http://127.0.0.1:8002"
#define PRODUCT "http://127.0.0.1:8003"
#define PAYMENT "http://127.0.0.1:8004"

static char dir[] = "/tmp/test-services-XXXXXX";
static char logs[4][64];
static pid_t pids[4];
static char bearer[2048];
static const char *const names[] = { "auth", "db", "product", "payment" };
static const char *const none[] = { "ARCHAIC_SOCKET=/nonexistent/control.sock",
				    "STRIPE_API_KEY=sk_test_dummy", NULL };

static const char *const *auth_header(void)
{
	static const char *headers[2];

	headers[0] = bearer;
	return headers;
}

static void log_in(const char *email)
{
	char body[128];
	struct http_answer a;

	snprintf(body, sizeof(body), "{\"email\":\"%s\",\"password\":\"correct horse\"}", email);
	int status = http_status("POST", AUTH "/signup", body, NULL);
	assert_true(status == 201 || status == 409);
	http("POST", AUTH "/login", body, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(json_str(a.json, "token_type"), "bearer");
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
}

static int set_up(void **state)
{
	(void)state;
	if (netns_enter() || !mkdtemp(dir)) {
		printf("SKIP test_services: a network namespace needs root\n");
		return 0;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	for (size_t i = 0; i < 4; i++) {
		snprintf(logs[i], sizeof(logs[i]), "%s/%s.log", dir, names[i]);
		pids[i] = proc_service(names[i], (uint16_t)(8001 + i), logs[i], none);
	}
	log_in("ada@example.com");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		if (pids[i] > 0)
			proc_end(pids[i], SIGTERM, 7000);
		unlink(logs[i]);
	}
	rmdir(dir);
	return 0;
}

static void need_services(void)
{
	if (!pids[3])
		skip();
}

static void test_services_happy_path(void **state)
{
	(void)state;
	struct http_answer a;
	need_services();

	http("GET", AUTH "/validate", NULL, auth_header(), &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(json_str(a.json, "email"), "ada@example.com");
	assert_non_null(json_str(a.json, "user_id"));
	http_release(&a);

	http("GET", PRODUCT "/products", NULL, auth_header(), &a);
	assert_int_equal(a.status, 200);
	cJSON *products = cJSON_GetObjectItem(a.json, "products");
	assert_true(cJSON_GetArraySize(products) >= 5);
	for (int i = 0; i < 5; i++) {
		const cJSON *p = cJSON_GetArrayItem(products, i);
		char id[16];
		snprintf(id, sizeof(id), "p%d", i + 1);
		assert_string_equal(json_str(p, "id"), id);
		assert_non_null(json_str(p, "name"));
		assert_true(json_num(p, "price", -1) > 0);
		assert_true(json_num(p, "stock", -1) >= 0);
	}
	http_release(&a);
	assert_true(file_has(logs[2], "DB products fetch success: 5 items in "));
}

/* Expectation 5 of the contract: after a successful checkout the cart is empty. */
static void test_services_checkout_empties_the_cart(void **state)
{
	(void)state;
	struct http_answer a;
	need_services();

	assert_int_equal(http_status("POST", PRODUCT "/cart/clear", NULL, auth_header()), 200);
	assert_int_equal(
		http_status("POST", PAYMENT "/create-checkout-session", NULL, auth_header()), 400);
	assert_int_equal(http_status("POST", PRODUCT "/cart/add",
				     "{\"product_id\":\"p2\",\"quantity\":2}", auth_header()),
			 200);
	assert_int_equal(http_status("POST", PRODUCT "/cart/add",
				     "{\"product_id\":\"p2\",\"quantity\":1}", auth_header()),
			 200);
	assert_int_equal(http_status("POST", PRODUCT "/cart/add",
				     "{\"product_id\":\"p3\",\"quantity\":1}", auth_header()),
			 200);
	http("GET", PRODUCT "/cart", NULL, auth_header(), &a);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.json, "items")), 2);
	assert_int_equal(json_num(cJSON_GetArrayItem(cJSON_GetObjectItem(a.json, "items"), 0),
				  "quantity", 0),
			 3);
	assert_non_null(strstr(a.body, "\"total\":611.49"));
	http_release(&a);

	http("POST", PAYMENT "/create-checkout-session",
	     "{\"success_url\":\"https://shop.example/ok?s={CHECKOUT_SESSION_ID}\"}", auth_header(),
	     &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(json_str(a.json, "payment_status"), "paid");
	assert_int_equal(json_num(a.json, "amount_total_cents", 0), 61149);
	char url[256];
	snprintf(url, sizeof(url), PAYMENT "/checkout/success?session_id=%s",
		 json_str(a.json, "session_id"));
	http_release(&a);
	assert_int_equal(http_status("GET", url, NULL, NULL), 200);

	http("GET", PRODUCT "/cart", NULL, auth_header(), &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.json, "items")), 0);
	http_release(&a);
}

static void test_services_carts_are_their_users(void **state)
{
	(void)state;
	char ada[sizeof(bearer)];
	struct http_answer a;
	need_services();

	memcpy(ada, bearer, sizeof(ada));
	assert_int_equal(http_status("POST", PRODUCT "/cart/add",
				     "{\"product_id\":\"p1\",\"quantity\":1}", auth_header()),
			 200);
	log_in("eve@example.com");
	http("GET", PRODUCT "/cart", NULL, auth_header(), &a);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.json, "items")), 0);
	http_release(&a);
	memcpy(bearer, ada, sizeof(ada));
	assert_int_equal(http_status("POST", PRODUCT "/cart/clear", NULL, auth_header()), 200);
}

/* What each endpoint has to say to input that is bad; every answer is JSON with an error in it. */
static const struct {
	const char *method, *url, *body;
	bool with_token;
	int status;
	const char *says; /* in the body */
} bad[] = {
	// clang-format off
	{ "POST", AUTH "/signup", "", false, 400, "empty" },
	{ "POST", AUTH "/signup", "{", false, 400, "JSON" },
	{ "POST", AUTH "/signup", "[]", false, 400, "object" },
	{ "POST", AUTH "/signup", "{}", false, 400, "email" },
	{ "POST", AUTH "/signup", "{\"email\":1,\"password\":\"correct horse\"}", false, 400, "email" },
	{ "POST", AUTH "/signup", "{\"email\":\"ada\",\"password\":\"correct horse\"}", false, 400, "email" },
	{ "POST", AUTH "/signup", "{\"email\":\"a b@example.com\",\"password\":\"correct horse\"}", false, 400, "email" },
	{ "POST", AUTH "/signup", "{\"email\":\"ada@example\",\"password\":\"correct horse\"}", false, 400, "email" },
	{ "POST", AUTH "/signup", "{\"email\":\"ada@.com\",\"password\":\"correct horse\"}", false, 400, "email" },
	{ "POST", AUTH "/signup", "{\"email\":\"bob@example.com\",\"password\":\"short\"}", false, 400, "password" },
	{ "POST", AUTH "/signup", "{\"email\":\"bob@example.com\"}", false, 400, "password" },
	{ "POST", AUTH "/signup", "{\"email\":\"bob@example.com\",\"password\":\"correct \xff horse\"}", false, 400, "UTF-8" },
	{ "POST", AUTH "/signup", "{\"email\":\"bob@example.com\",\"password\":\"correct horse\",\"admin\":true}", false, 400, "admin" },
	{ "POST", AUTH "/signup", "{\"email\":\"ada@example.com\",\"password\":\"correct horse\"}", false, 409, "already" },
	{ "POST", AUTH "/signup", "{\"email\":\"ADA@Example.com\",\"password\":\"correct horse\"}", false, 409, "already" },
	{ "POST", AUTH "/signup?x=1", "{}", false, 400, "x is an unknown parameter" },
	{ "GET", AUTH "/signup", NULL, false, 405, "POST" },
	{ "POST", AUTH "/login", "{\"email\":\"ada@example.com\",\"password\":\"wrong horse\"}", false, 401, "wrong" },
	{ "POST", AUTH "/login", "{\"email\":\"nobody@example.com\",\"password\":\"wrong horse\"}", false, 401, "wrong" },
	{ "POST", AUTH "/login", "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", false, 400, "nested" },
	{ "GET", AUTH "/validate", NULL, false, 401, "token" },
	{ "POST", AUTH "/validate", "{}", false, 405, "GET" },
	{ "GET", AUTH "/nothing", NULL, false, 404, "no such address" },
	{ "DELETE", DB "/products", NULL, false, 405, "GET" },
	{ "GET", DB "/products?limit=5", NULL, false, 400, "limit" },
	{ "GET", DB "/cart", NULL, false, 404, "address" },
	{ "GET", DB "/cart/", NULL, false, 404, "address" },
	{ "GET", DB "/cart/a%00b", NULL, false, 400, "control" },
	{ "GET", DB "/cart/%ff", NULL, false, 400, "UTF-8" },
	{ "GET", DB "/cart/%zz", NULL, false, 400, "hexadecimal" },
	{ "POST", DB "/cart/add", "{}", false, 400, "user_id" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"\",\"product_id\":\"p1\",\"quantity\":1}", false, 400, "user_id" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\"}", false, 400, "quantity" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":0}", false, 400, "1 to 1000" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":1001}", false, 400, "1001" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":-1}", false, 400, "quantity" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":1.5}", false, 400, "1.5" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":\"1\"}", false, 400, "quantity" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":1e400}", false, 400, "" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":1,\"quantity\":2}", false, 400, "twice" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p99\",\"quantity\":1}", false, 404, "p99" },
	{ "POST", DB "/cart/add", "{\"user_id\":\"u\",\"product_id\":\"p1\",\"quantity\":1} x", false, 400, "JSON" },
	{ "POST", DB "/cart/clear", "", false, 400, "empty" },
	{ "POST", DB "/cart/clear", "{\"user_id\":null}", false, 400, "user_id" },
	{ "GET", PRODUCT "/products", NULL, false, 401, "token" },
	{ "POST", PRODUCT "/cart/add", "{\"product_id\":\"p1\",\"quantity\":1}", false, 401, "token" },
	{ "GET", PRODUCT "/cart", NULL, false, 401, "token" },
	{ "POST", PRODUCT "/cart/clear", "{}", false, 401, "token" },
	{ "GET", PRODUCT "/products?x", NULL, true, 400, "x is" },
	{ "POST", PRODUCT "/cart/add", "{\"product_id\":\"p1\",\"quantity\":0}", true, 400, "quantity" },
	{ "POST", PRODUCT "/cart/add", "{\"product_id\":\"p99\",\"quantity\":1}", true, 404, "p99" },
	{ "POST", PRODUCT "/cart/add", "{\"product_id\":\"p1\",\"quantity\":1,\"user_id\":\"other\"}", true, 400, "user_id" },
	{ "POST", PRODUCT "/cart/clear", "{\"user_id\":\"other\"}", true, 400, "user_id" },
	{ "PUT", PRODUCT "/cart", "{}", true, 405, "GET" },
	{ "POST", PAYMENT "/create-checkout-session", "{}", false, 401, "token" },
	{ "POST", PAYMENT "/create-checkout-session", "{}", true, 400, "empty" },
	{ "POST", PAYMENT "/create-checkout-session", "{\"success_url\":\"ftp://x/\"}", true, 400, "success_url" },
	{ "POST", PAYMENT "/create-checkout-session", "{\"success_url\":\"javascript:alert(1)\"}", true, 400, "success_url" },
	{ "POST", PAYMENT "/create-checkout-session", "{\"cancel_url\":7}", true, 400, "cancel_url" },
	{ "POST", PAYMENT "/create-checkout-session", "{\"amount\":1}", true, 400, "amount" },
	{ "GET", PAYMENT "/checkout/success", NULL, false, 400, "session_id" },
	{ "GET", PAYMENT "/checkout/success?session_id=../x", NULL, false, 400, "session_id" },
	{ "GET", PAYMENT "/checkout/success?session_id=cs_unknown", NULL, false, 404, "no such" },
	{ "GET", PAYMENT "/checkout/success?session_id=cs_1&x=2", NULL, false, 400, "x is" },
	{ "POST", PAYMENT "/stripe/webhook", "{}", false, 503, "STRIPE_WEBHOOK_SECRET" },
	{ "GET", DB "/health?x=1", NULL, false, 400, "x is" },
	{ "GET", DB "/inject-failure?type=error", NULL, false, 405, "POST" },
	{ "POST", DB "/inject-failure", NULL, false, 400, "type" },
	{ "POST", DB "/inject-failure?type=", NULL, false, 400, "type" },
	{ "POST", DB "/inject-failure?type=slowness", NULL, false, 400, "type is slowness; it must be timeout, error, cpu, crash or bad_data" },
	{ "POST", DB "/inject-failure?type=loss&intensity=3", NULL, false, 400, "type is loss" },
	{ "POST", DB "/inject-failure?type=bad_data", NULL, false, 503, "archaic-ebpf run" },
	{ "POST", AUTH "/inject-failure?type=bad_data", NULL, false, 400, "type is bad_data; it must be timeout, error, cpu or crash" },
	{ "POST", PRODUCT "/inject-failure?type=bad_data", NULL, false, 400, "type is bad_data" },
	{ "POST", PAYMENT "/inject-failure?type=bad_data", NULL, false, 400, "type is bad_data" },
	{ "POST", DB "/inject-failure?type=error&colour=red", NULL, false, 400, "\"value\":\"red\"" },
	{ "POST", DB "/inject-failure?type=error&intensity=0", NULL, false, 400, "1 to 100" },
	{ "POST", DB "/inject-failure?type=error&intensity=101", NULL, false, 400, "101" },
	{ "POST", DB "/inject-failure?type=error&intensity=1.5", NULL, false, 400, "intensity" },
	{ "POST", DB "/inject-failure?type=error&intensity=much", NULL, false, 400, "much" },
	{ "POST", DB "/inject-failure?type=error&probability=-0.1", NULL, false, 400, "0 to 1" },
	{ "POST", DB "/inject-failure?type=error&probability=nan", NULL, false, 400, "nan" },
	{ "POST", DB "/inject-failure?type=error&duration=0", NULL, false, 400, "duration" },
	{ "POST", DB "/inject-failure?type=error&duration=10s", NULL, false, 400, "10s" },
	{ "POST", DB "/inject-failure?type=error&type=cpu", NULL, false, 400, "twice" },
	{ "POST", DB "/inject-failure?type=error", "{\"type\":\"error\"}", false, 400, "not in both" },
	{ "POST", DB "/inject-failure", "{\"type\":5}", false, 400, "type" },
	{ "POST", DB "/inject-failure", "{\"type\":\"error\",\"intensity\":\"2\"}", false, 400, "intensity" },
	{ "POST", DB "/inject-failure", "{\"type\":\"error\",\"speed\":2}", false, 400, "speed" },
	{ "POST", DB "/inject-failure?type=error", NULL, false, 503, "archaic-ebpf run" },
	{ "POST", DB "/reset", NULL, false, 503, "archaic-ebpf run" },
	{ "POST", DB "/reset?all=1", NULL, false, 400, "all" },
	{ "GET", DB "/reset", NULL, false, 405, "POST" },
	// clang-format on
};

static void test_services_bad_input(void **state)
{
	(void)state;
	need_services();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct http_answer a;
		http(bad[i].method, bad[i].url, bad[i].body,
		     bad[i].with_token ? auth_header() : NULL, &a);
		if (a.status != bad[i].status || !json_str(a.json, "error") ||
		    !json_str(a.json, "trace_id") || !strstr(a.body, bad[i].says))
			fail_msg("%s %s %s: status %d (want %d), body %s", bad[i].method,
				 bad[i].url, bad[i].body ?: "", a.status, bad[i].status, a.body);
		if (a.status == 405 && !strstr(a.allow, bad[i].says))
			fail_msg("%s %s: Allow is \"%s\"", bad[i].method, bad[i].url, a.allow);
		http_release(&a);
	}
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0);
}

static void test_services_tokens_of_others_are_refused(void **state)
{
	(void)state;
	static const char *const tokens[] = {
		"Authorization: Bearer x", "Authorization: Bearer e30.e30.e30",
		"Authorization: Basic YTpi", "Authorization: Bearer",
		"Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTEiLCJlbWFpbCI6ImFAYi5jIiwiZXhwIjo5OTk5OTk5OTk5fQ."
	};
	need_services();

	for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
		const char *const headers[] = { tokens[i], NULL };
		assert_int_equal(http_status("GET", AUTH "/validate", NULL, headers), 401);
		assert_int_equal(http_status("GET", PRODUCT "/products", NULL, headers), 401);
	}
}

static void test_services_long_bodies_are_413(void **state)
{
	(void)state;
	size_t len = (1 << 20) + 1;
	CLEANUP(freep) char *body = malloc(len + 1);
	static const char *const chunked[] = { "Transfer-Encoding: chunked", NULL };
	need_services();

	memset(body, ' ', len);
	body[len] = '\0';
	assert_int_equal(http_status("POST", DB "/cart/add", body, NULL), 413);
	assert_int_equal(http_status("POST", DB "/cart/add", body, chunked), 413);
	body[len - 1] = '\0'; /* exactly 1 MiB is read, and is no JSON */
	assert_int_equal(http_status("POST", DB "/cart/add", body, NULL), 400);
}

static void test_services_cart_lines_are_bounded(void **state)
{
	(void)state;
	static const char most[] = "{\"user_id\":\"full\",\"product_id\":\"p1\",\"quantity\":1000}";
	struct http_answer a;
	need_services();

	assert_int_equal(http_status("POST", DB "/cart/add", most, NULL), 200);
	assert_int_equal(http_status("POST", DB "/cart/add", most, NULL), 409);
	http("GET", DB "/cart/full", NULL, NULL, &a);
	assert_int_equal(json_num(cJSON_GetArrayItem(cJSON_GetObjectItem(a.json, "items"), 0),
				  "quantity", 0),
			 1000);
	http_release(&a);
}

static void test_services_trace_is_passed_on(void **state)
{
	(void)state;
	static const char id[] = "550e8400-e29b-41d4-a716-446655440000";
	const char *headers[] = { auth_header()[0],
				  "X-Trace-ID: 550e8400-e29b-41d4-a716-446655440000", NULL };
	const char *broken[] = { auth_header()[0], "X-Trace-ID: not-a-uuid", NULL };
	struct http_answer a;
	need_services();

	http("GET", PRODUCT "/products", NULL, headers, &a);
	assert_string_equal(a.trace_id, id);
	http_release(&a);
	for (size_t i = 0; i < 3; i++) /* auth, db and product have all logged it */
		assert_true(file_has(logs[i], id));
	http("GET", PRODUCT "/products", NULL, broken, &a);
	assert_int_equal(strlen(a.trace_id), 36);
	assert_string_not_equal(a.trace_id, id);
	http_release(&a);
}

static void test_services_log_one_json_object_a_line(void **state)
{
	(void)state;
	char line[8192];
	size_t nr = 0;
	need_services();

	for (size_t i = 0; i < 4; i++) {
		CLEANUP(fclosep) FILE *f = fopen(logs[i], "re");
		assert_non_null(f);
		for (; fgets(line, sizeof(line), f); nr++) {
			const char *why = NULL;
			CLEANUP(json_freep) cJSON *j = NULL;
			if (json_parse(line, strlen(line), &j, &why))
				fail_msg("%s: %s", why, line);
			assert_non_null(json_str(j, "service"));
			assert_non_null(json_str(j, "level"));
			assert_non_null(json_str(j, "message"));
			assert_non_null(json_str(j, "timestamp"));
		}
	}
	assert_true(nr > 20);
}

static void test_services_health_without_daemon(void **state)
{
	(void)state;
	need_services();

	for (unsigned i = 0; i < 4; i++) {
		char url[64], name[64];
		struct http_answer a;
		snprintf(url, sizeof(url), "http://127.0.0.1:%u/health", 8001 + i);
		snprintf(name, sizeof(name), "%s-service", names[i]);
		http("GET", url, NULL, NULL, &a);
		assert_int_equal(a.status, 200);
		assert_string_equal(json_str(a.json, "service"), name);
		assert_string_equal(json_str(a.json, "status"), "healthy");
		assert_string_equal(json_str(a.json, "daemon"), "not running");
		assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.json, "faults")), 0);
		http_release(&a);
		assert_int_equal(http_status("HEAD", url, NULL, NULL), 200);
	}
}

static void test_services_port_taken_names_the_holder(void **state)
{
	(void)state;
	char log[80], holder[64];
	const char *argv[] = { shop_path("db-service"), NULL };
	need_services();

	snprintf(log, sizeof(log), "%s/taken.log", dir);
	int status = proc_end(proc_start(log, argv, none), 0, 5000);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_true(file_has(log, "port 8002"));
	snprintf(holder, sizeof(holder), "%d", pids[1]);
	assert_true(file_has(log, holder));
	unlink(log);
}

static void test_services_refuse_off_loopback_without_token(void **state)
{
	(void)state;
	const char *argv[] = {
		shop_path("db-service"), "--listen", "0.0.0.0", "--port", "8102", NULL
	};
	need_services();

	int status = proc_end(proc_start("/dev/null", argv, none), 0, 5000);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void test_services_stop_on_sigterm(void **state)
{
	(void)state;
	need_services();

	for (size_t i = 0; i < 4; i++) {
		int status = proc_end(pids[i], SIGTERM, 6000);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		pids[i] = 0;
		assert_true(file_has(logs[i], "stopping on signal 15"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services_happy_path),
		cmocka_unit_test(test_services_checkout_empties_the_cart),
		cmocka_unit_test(test_services_carts_are_their_users),
		cmocka_unit_test(test_services_bad_input),
		cmocka_unit_test(test_services_tokens_of_others_are_refused),
		cmocka_unit_test(test_services_long_bodies_are_413),
		cmocka_unit_test(test_services_cart_lines_are_bounded),
		cmocka_unit_test(test_services_trace_is_passed_on),
		cmocka_unit_test(test_services_log_one_json_object_a_line),
		cmocka_unit_test(test_services_health_without_daemon),
		cmocka_unit_test(test_services_port_taken_names_the_holder),
		cmocka_unit_test(test_services_refuse_off_loopback_without_token),
		cmocka_unit_test(test_services_stop_on_sigterm),
	};

	return cmocka_run_group_tests_name("services", tests, set_up, tear_down);
}
