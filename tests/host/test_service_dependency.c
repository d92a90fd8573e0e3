// SPDX-License-Identifier: GPL-2.0-or-later
/* What product does while auth, db or the daemon is down, slow or talks rubbish: stubs in their places. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

#define PRODUCT "http://127.0.0.1:8003"
#define PAYMENT "http://127.0.0.1:8004"

static char dir[] = "/tmp/test-dependency-XXXXXX";
static char log_product[64], log_payment[64], sock[64];
static pid_t product, payment;
static struct stub *auth, *db, *control;
static const char *const token[] = {
	"Authorization: Bearer abc", "X-Trace-ID: 550e8400-e29b-41d4-a716-446655440000",
	"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL
};
static const char somebody[] = "{\"user_id\":\"u-1\",\"email\":\"a@b.c\"}";
static const char products[] =
	"{\"products\":[{\"id\":\"p1\",\"name\":\"x\",\"price\":1.5,\"stock\":2}]}";

static int set_up(void **state)
{
	(void)state;
	static char env_socket[96];
	const char *env[] = { env_socket, "DB_SERVICE_URL=http://127.0.0.1:8002/",
			      "STRIPE_API_KEY=", NULL };

	if (netns_enter() || !mkdtemp(dir)) {
		printf("SKIP test_service_dependency: a network namespace needs root\n");
		return 0;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	snprintf(log_product, sizeof(log_product), "%s/product.log", dir);
	snprintf(log_payment, sizeof(log_payment), "%s/payment.log", dir);
	snprintf(sock, sizeof(sock), "%s/control.sock", dir);
	snprintf(env_socket, sizeof(env_socket), "ARCHAIC_SOCKET=%s", sock);
	product = proc_service("product", 8003, log_product, env);
	payment = proc_service("payment", 8004, log_payment, env);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (product > 0)
		proc_end(product, SIGTERM, 7000);
	if (payment > 0)
		proc_end(payment, SIGTERM, 7000);
	unlink(log_product);
	unlink(log_payment);
	rmdir(dir);
	return 0;
}

static int start_stubs(void **state)
{
	(void)state;
	if (!product)
		return 0;
	auth = stub_start(8001, NULL);
	db = stub_start(8002, NULL);
	control = stub_start(0, sock);
	stub_say_json(auth, 200, somebody);
	stub_say_json(db, 200, products);
	stub_say_json(control, 200, "{\"items\":[]}");
	return 0;
}

static int stop_stubs(void **state)
{
	(void)state;
	stub_stop(auth);
	stub_stop(db);
	stub_stop(control);
	auth = db = control = NULL;
	return 0;
}

static void need_services(void)
{
	if (!product)
		skip();
}

static void expect(const char *method, const char *url, const char *body, int status,
		   const char *dependency)
{
	struct http_answer a;

	http(method, url, body, token, &a);
	if (a.status != status || !json_str(a.json, "dependency") ||
	    strcmp(json_str(a.json, "dependency"), dependency) != 0 || !json_str(a.json, "error") ||
	    !strstr(json_str(a.json, "error"), dependency))
		fail_msg("%s %s: status %d (want %d), body %s", method, url, a.status, status,
			 a.body);
	http_release(&a);
}

static void test_dependency_down_is_503(void **state)
{
	(void)state;
	need_services();

	stub_stop(db);
	db = NULL;
	expect("GET", PRODUCT "/products", NULL, 503, "db-service");
	expect("POST", PRODUCT "/cart/clear", "{}", 503, "db-service");
	expect("POST", PAYMENT "/create-checkout-session", NULL, 503, "db-service");
	stub_stop(auth);
	auth = NULL;
	expect("GET", PRODUCT "/products", NULL, 503, "auth-service"); /* and never 401 */
	assert_true(file_has(log_product, "DB-service cannot be reached"));
	assert_true(file_has(log_product, "Auth-service cannot be reached"));
}

static void test_dependency_bad_answer_is_502(void **state)
{
	(void)state;
	static const char *const rubbish[] = {
		"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot JSON!",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"\xff\xff\"",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"products\":[",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
		"SSH-2.0-OpenSSH_9\r\n",
		"",
	};
	need_services();

	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++) {
		stub_say(db, rubbish[i]);
		expect("GET", PRODUCT "/products", NULL, 502, "db-service");
	}
	assert_true(file_has(log_product, "DB-service bad answer"));
	for (size_t i = 0; i < ARRAY_SIZE(rubbish); i++) {
		stub_say(auth, rubbish[i]);
		expect("GET", PRODUCT "/products", NULL, 502, "auth-service");
	}
	stub_say_json(auth, 200, "{\"user_id\":7}");
	expect("GET", PRODUCT "/products", NULL, 502, "auth-service");
	assert_true(file_has(log_product, "Auth-service bad answer"));
}

static void test_dependency_refusing_token_is_401(void **state)
{
	(void)state;
	need_services();

	stub_say_json(auth, 401, "{\"error\":\"no\"}");
	assert_int_equal(http_status("GET", PRODUCT "/products", NULL, token), 401);
	assert_int_equal(http_status("POST", PAYMENT "/create-checkout-session", NULL, token), 401);
}

static void test_dependency_malformed_values_are_handed_on(void **state)
{
	(void)state;
	static const char wrong[] =
		"{\"products\":[{\"id\":\"p1\",\"name\":null,\"price\":-299.99,\"stock\":2}]}";
	struct http_answer a;
	need_services();

	stub_say_json(db, 200, wrong);
	http("GET", PRODUCT "/products", NULL, token, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, wrong);
	http_release(&a);
}

static void test_dependency_wrong_prices_are_not_charged(void **state)
{
	(void)state;
	static const char *const carts[] = {
		"{\"items\":[{\"name\":\"x\",\"price\":-1.5,\"quantity\":1}]}",
		"{\"items\":[{\"name\":null,\"price\":1.5,\"quantity\":1}]}",
		"{\"items\":[{\"name\":\"x\",\"price\":1.505,\"quantity\":1}]}",
		"{\"items\":[{\"name\":\"x\",\"price\":1e9,\"quantity\":1}]}",
		"{\"items\":[{\"name\":\"x\",\"price\":1.5,\"quantity\":0}]}",
		"{\"items\":[{\"name\":\"x\",\"price\":\"1.5\",\"quantity\":1}]}",
		"{\"items\":7}",
	};
	need_services();

	for (size_t i = 0; i < ARRAY_SIZE(carts); i++) {
		stub_say_json(db, 200, carts[i]);
		expect("POST", PAYMENT "/create-checkout-session", NULL, 502, "db-service");
	}
}

static void test_dependency_gets_the_trace(void **state)
{
	(void)state;
	need_services();

	assert_int_equal(http_status("GET", PRODUCT "/products", NULL, token), 200);
	assert_non_null(strstr(stub_heard(auth), "Authorization: Bearer abc\r\n"));
	for (size_t i = 0; i < 2; i++) {
		const char *heard = stub_heard(i ? db : auth);
		assert_non_null(
			strstr(heard, "X-Trace-ID: 550e8400-e29b-41d4-a716-446655440000\r\n"));
		assert_non_null(strstr(
			heard,
			"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"));
	}
	assert_null(strstr(stub_heard(db), "Bearer")); /* db has no use for it */
}

static void *ask_products(void *ctx)
{
	http("GET", PRODUCT "/products", NULL, token, ctx);
	return NULL;
}

static bool log_has_late(void *ctx)
{
	(void)ctx;
	return file_has(log_product, "DB-service timeout after 8");
}

/* The one test that waits for the real limit of 8 s. */
static void test_dependency_late_is_504_and_holds_up_nobody(void **state)
{
	(void)state;
	pthread_t threads[20];
	struct http_answer late[20], a;
	need_services();

	stub_say(db, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_products, &late[i]), 0);
	usleep(300000);
	http("GET", PRODUCT "/health", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_true(a.took_ms < 1000);
	http_release(&a);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(late[i].status, 504);
		assert_string_equal(json_str(late[i].json, "dependency"), "db-service");
		assert_true(late[i].took_ms >= 7990 && late[i].took_ms < 10000);
		http_release(&late[i]);
	}
	assert_true(wait_true(log_has_late, NULL, 1000));
	assert_true(file_has(log_product, "ms — upstream impact detected"));
}

static void test_dependency_kept_connection_that_died_is_no_failure(void **state)
{
	(void)state;
	need_services();

	/* The stub closes after each answer although it does not say so: the pool's connection is dead at its next use. */
	stub_say(db, "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"products\":[]}");
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(http_status("GET", PRODUCT "/products", NULL, token), 200);
}

/* ---- the forwarder */

static void test_forwarder_relays_an_armed_fault(void **state)
{
	(void)state;
	static const char fault[] = "{\"id\":\"f-7k2m\",\"state\":\"armed\",\"says\":\"…\"}";
	struct http_answer a;
	need_services();

	stub_say_json(control, 201, fault);
	http("POST", PRODUCT "/inject-failure?type=timeout&intensity=2&probability=0.4&duration=60",
	     NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, fault);
	http_release(&a);

	const char *heard = stub_heard(control), *body = strstr(heard, "\r\n\r\n"), *why = NULL;
	assert_int_equal(strncmp(heard, "POST /v1/faults HTTP/1.1\r\n", 26), 0);
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(json_parse(body + 4, strlen(body + 4), &j, &why), 0);
	assert_string_equal(json_str(j, "service"), "self");
	assert_string_equal(json_str(j, "slot"), "inject-failure");
	assert_string_equal(json_str(j, "type"), "timeout");
	assert_float_equal(json_num(cJSON_GetObjectItem(j, "params"), "intensity", 0), 2, 0);
	assert_float_equal(json_num(j, "probability", 0), 0.4, 1e-9);
	assert_float_equal(json_num(j, "duration_s", 0), 60, 0);
}

static void test_forwarder_takes_a_json_body_and_defaults(void **state)
{
	(void)state;
	need_services();

	stub_say_json(control, 201, "{\"state\":\"armed\"}");
	assert_int_equal(
		http_status("POST", PRODUCT "/inject-failure", "{\"type\":\"crash\"}", NULL), 200);
	const char *body = strstr(stub_heard(control), "\r\n\r\n"), *why = NULL;
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(json_parse(body + 4, strlen(body + 4), &j, &why), 0);
	assert_string_equal(json_str(j, "type"), "crash");
	assert_float_equal(json_num(cJSON_GetObjectItem(j, "params"), "intensity", 0), 1, 0);
	assert_float_equal(json_num(j, "probability", 0), 1, 0);
	assert_null(cJSON_GetObjectItem(j, "duration_s"));
}

static void test_forwarder_relays_problems(void **state)
{
	(void)state;
	static const int statuses[] = { 400, 404, 409, 422, 503 };
	static const char problem[] =
		"{\"type\":\"about:blank\",\"status\":422,\"detail\":\"over max_duration\"}";
	struct http_answer a;
	need_services();

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		stub_say_json(control, statuses[i], problem);
		http("POST", PRODUCT "/inject-failure?type=error", NULL, NULL, &a);
		assert_int_equal(a.status, statuses[i]);
		assert_string_equal(a.body, problem);
		http_release(&a);
	}
	/* What was given as duration is not refused as duration_s. */
	stub_say_json(
		control, 422,
		"{\"detail\":\"duration_s is 7200; duration_s must be at most 3600\",\"parameter\":\"duration_s\"}");
	http("POST", PRODUCT "/inject-failure?type=error&duration=7200", NULL, NULL, &a);
	assert_int_equal(a.status, 422);
	assert_string_equal(
		a.body,
		"{\"detail\":\"duration is 7200; duration must be at most 3600\",\"parameter\":\"duration\"}");
	http_release(&a);
	stub_say(control, "rubbish\r\n\r\n");
	assert_int_equal(http_status("POST", PRODUCT "/inject-failure?type=error", NULL, NULL),
			 502);
}

static void test_forwarder_reset(void **state)
{
	(void)state;
	need_services();

	stub_say_json(control, 200, "{\"items\":[{\"id\":\"f-1\"}]}");
	assert_int_equal(http_status("POST", PRODUCT "/reset", NULL, NULL), 200);
	assert_non_null(strstr(stub_heard(control), "DELETE /v1/faults?service=self HTTP/1.1\r\n"));
	stub_say_json(control, 200, "{\"items\":[]}");
	assert_int_equal(http_status("POST", PRODUCT "/reset", "{}", NULL), 200);
	stub_say_json(control, 404, "{\"status\":404}"); /* not attached: nothing is armed either */
	assert_int_equal(http_status("POST", PRODUCT "/reset", NULL, NULL), 200);
	stub_say_json(control, 503, "{\"status\":503}");
	assert_int_equal(http_status("POST", PRODUCT "/reset", NULL, NULL), 503);
}

static void test_forwarder_refuses_foreign_pages(void **state)
{
	(void)state;
	static const struct {
		const char *origin;
		int status;
	} cases[] = { { "Origin: https://evil.example", 403 },
		      { "Origin: null", 403 },
		      { "Origin: http://127.0.0.1.evil.example:8080", 403 },
		      { "Origin: http://localhost:8080", 200 },
		      { "Origin: http://127.0.0.1:8080", 200 },
		      { "Origin: http://[::1]:8080", 200 } };
	need_services();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const headers[] = { cases[i].origin, NULL };
		assert_int_equal(http_status("POST", PRODUCT "/reset", NULL, headers),
				 cases[i].status);
	}
}

static void test_health_shows_armed_faults(void **state)
{
	(void)state;
	struct http_answer a;
	need_services();

	stub_say_json(
		control, 200,
		"{\"items\":[{\"id\":\"f-1\",\"state\":\"armed\"},{\"id\":\"f-0\",\"state\":\"expired\"}]}");
	http("GET", PRODUCT "/health", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(json_str(a.json, "daemon"), "running");
	cJSON *faults = cJSON_GetObjectItem(a.json, "faults");
	assert_int_equal(cJSON_GetArraySize(faults), 1);
	assert_string_equal(json_str(faults->child, "id"), "f-1");
	http_release(&a);
}

static void test_health_never_waits_for_the_daemon(void **state)
{
	(void)state;
	double best_ms = 1e9;
	need_services();

	stub_say(control, NULL);
	for (size_t i = 0; i < 5;
	     i++) { /* the best of five: other programs may take the processor from one */
		struct http_answer a;
		http("GET", PRODUCT "/health", NULL, NULL, &a);
		assert_int_equal(a.status, 200);
		assert_string_equal(json_str(a.json, "daemon"), "not answering");
		best_ms = MIN(best_ms, a.took_ms);
		http_release(&a);
	}
	assert_true(best_ms < 200);
}

/* Last: product is stopped while a call is under way. */
static void test_sigterm_finishes_what_is_in_flight(void **state)
{
	(void)state;
	pthread_t thread;
	struct http_answer a;
	need_services();

	stub_say(db, NULL);
	assert_int_equal(pthread_create(&thread, NULL, ask_products, &a), 0);
	usleep(500000);
	uint64_t start_ns = clock_mono_ns();
	kill(product, SIGTERM);
	usleep(200000);
	assert_int_equal(http_status("GET", PRODUCT "/health", NULL, NULL),
			 0); /* accepts nobody any more */
	int status = proc_end(product, 0, 7000);
	product = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(clock_mono_ns() - start_ns < 6 * NSEC_PER_SEC);
	pthread_join(thread, NULL);
	assert_int_equal(a.status, 503); /* an answer, not a broken connection */
	assert_non_null(strstr(a.body, "stopping"));
	http_release(&a);
}

#define with_stubs(test) cmocka_unit_test_setup_teardown(test, start_stubs, stop_stubs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_stubs(test_dependency_down_is_503),
		with_stubs(test_dependency_bad_answer_is_502),
		with_stubs(test_dependency_refusing_token_is_401),
		with_stubs(test_dependency_malformed_values_are_handed_on),
		with_stubs(test_dependency_wrong_prices_are_not_charged),
		with_stubs(test_dependency_gets_the_trace),
		with_stubs(test_dependency_late_is_504_and_holds_up_nobody),
		with_stubs(test_dependency_kept_connection_that_died_is_no_failure),
		with_stubs(test_forwarder_relays_an_armed_fault),
		with_stubs(test_forwarder_takes_a_json_body_and_defaults),
		with_stubs(test_forwarder_relays_problems),
		with_stubs(test_forwarder_reset),
		with_stubs(test_forwarder_refuses_foreign_pages),
		with_stubs(test_health_shows_armed_faults),
		with_stubs(test_health_never_waits_for_the_daemon),
		with_stubs(test_sigterm_finishes_what_is_in_flight),
	};

	return cmocka_run_group_tests_name("service_dependency", tests, set_up, tear_down);
}
