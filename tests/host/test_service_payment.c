// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * payment against Stripe's own stripe-mock (a Go module; it checks our form
 * against Stripe's OpenAPI file), and against a stub where the mock's fixed
 * answers do not reach: paid sessions, webhooks, refusals.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <curl/curl.h>
#include <sodium.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "services/common/signature.h"
#include "tests/lib/netns.h"
#include "tests/lib/partner.h"
#include "tests/lib/shop.h"

#define AUTH "http://127.0.0.1:8001"
#define DB "http://127.0.0.1:8002"
#define PAYMENT "http://127.0.0.1:8004"
#define MOCK "http://127.0.0.1:12111"
#define SECRET "whsec_of_the_test"

static char dir[] = "/tmp/test-payment-XXXXXX";
static char logs[4][64];
static char mock_path[PATH_MAX + 64], mock_lack[512];
static pid_t auth, db;
static char bearer[2048], user_id[64];

static void log_in(void)
{
	static const char body[] = "{\"email\":\"ada@example.com\",\"password\":\"correct horse\"}";
	struct http_answer a;

	http("POST", AUTH "/signup", body, NULL, &a);
	snprintf(user_id, sizeof(user_id), "%s", json_str(a.json, "user_id"));
	http_release(&a);
	http("POST", AUTH "/login", body, NULL, &a);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
}

static int set_up(void **state)
{
	(void)state;
	if (geteuid() || !mkdtemp(dir)) {
		printf("SKIP test_service_payment: a network namespace needs root\n");
		return 0;
	}
	/* Before the network namespace: it comes from outside. */
	partner_get("stripe-mock", mock_path, sizeof(mock_path), mock_lack, sizeof(mock_lack));
	if (netns_enter())
		return -1;
	curl_global_init(CURL_GLOBAL_ALL);
	for (size_t i = 0; i < 4; i++)
		snprintf(logs[i], sizeof(logs[i]), "%s/%zu.log", dir, i);
	auth = proc_service("auth", 8001, logs[0], NULL);
	db = proc_service("db", 8002, logs[1], NULL);
	log_in();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (auth > 0)
		proc_end(auth, SIGTERM, 7000);
	if (db > 0)
		proc_end(db, SIGTERM, 7000);
	for (size_t i = 0; i < 4; i++)
		unlink(logs[i]);
	rmdir(dir);
	return 0;
}

static pid_t start_payment(void)
{
	static const char *const env[] = { "STRIPE_API_KEY=sk_test_123", "STRIPE_API_BASE=" MOCK,
					   "STRIPE_WEBHOOK_SECRET=" SECRET,
					   "ARCHAIC_SOCKET=/nonexistent", NULL };

	if (!auth)
		skip();
	return proc_service("payment", 8004, logs[2], env);
}

static void end_payment(pid_t pid)
{
	int status = proc_end(pid, SIGTERM, 7000);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const char *const *token(void)
{
	static const char *headers[3] = { NULL, "Idempotency-Key: order-17" };

	headers[0] = bearer;
	return headers;
}

static void fill_cart(void)
{
	char body[256];

	snprintf(body, sizeof(body), "{\"user_id\":\"%s\",\"product_id\":\"p2\",\"quantity\":2}",
		 user_id);
	assert_int_equal(http_status("POST", DB "/cart/add", body, NULL), 200);
}

static int cart_size(void)
{
	char url[128];
	struct http_answer a;

	snprintf(url, sizeof(url), DB "/cart/%s", user_id);
	http("GET", url, NULL, NULL, &a);
	int n = cJSON_GetArraySize(cJSON_GetObjectItem(a.json, "items"));
	http_release(&a);
	return n;
}

static void empty_cart(void)
{
	char body[128];

	snprintf(body, sizeof(body), "{\"user_id\":\"%s\"}", user_id);
	assert_int_equal(http_status("POST", DB "/cart/clear", body, NULL), 200);
}

static bool mock_ready(void *ctx)
{
	(void)ctx;
	/* It wants a key, and says so: then it is there. */
	return http_status("GET", MOCK "/v1/charges", NULL, NULL) == 401;
}

static void test_payment_against_stripe_mock(void **state)
{
	(void)state;
	struct http_answer a;

	if (!auth)
		skip();
	if (*mock_lack) {
		printf("SKIP test_payment_against_stripe_mock: %s\n", mock_lack);
		skip();
	}
	const char *argv[] = { mock_path, "-http-addr", "127.0.0.1:12111", NULL };
	pid_t mock = proc_start(logs[3], argv, NULL);
	assert_true(wait_true(mock_ready, NULL, 60000));
	pid_t payment = start_payment();

	fill_cart();
	http("POST", PAYMENT "/create-checkout-session",
	     "{\"success_url\":\"https://shop.example/ok\"}", token(), &a);
	if (a.status != 200)
		fail_msg("status %d, body %s", a.status,
			 a.body); /* the mock names the field that it does not know */
	assert_non_null(json_str(a.json, "session_id"));
	assert_false(cJSON_IsTrue(cJSON_GetObjectItem(a.json, "simulated")));
	assert_int_equal(json_num(a.json, "amount_total_cents", 0), 39900);
	char url[512];
	snprintf(url, sizeof(url), PAYMENT "/checkout/success?session_id=%s",
		 json_str(a.json, "session_id"));
	http_release(&a);
	assert_int_equal(cart_size(), 1); /* not paid yet */
	http("GET", url, NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_non_null(json_str(a.json, "payment_status"));
	http_release(&a);

	empty_cart();
	end_payment(payment);
	proc_end(mock, SIGTERM, 5000);
}

static void session_json(char *to, size_t size, const char *id, const char *status)
{
	snprintf(
		to, size,
		"{\"id\":\"%s\",\"object\":\"checkout.session\",\"payment_status\":\"%s\",\"client_reference_id\":\"%s\"}",
		id, status, user_id);
}

static void test_payment_form_and_key(void **state)
{
	(void)state;
	struct stub *stripe = stub_start(12111, NULL);
	pid_t payment = start_payment();
	char session[256];
	static const char *const fields[] = {
		"mode=payment",
		"&success_url=http%3A%2F%2Flocalhost%3A8004%2Fcheckout%2Fsuccess%3Fsession_id%3D%7BCHECKOUT_SESSION_ID%7D",
		"line_items%5B0%5D%5Bquantity%5D=2",
		"%5Bunit_amount%5D=19950",
		"%5Bcurrency%5D=usd",
		"%5Bname%5D=Headphones",
	};

	session_json(session, sizeof(session), "cs_1", "unpaid");
	stub_say_json(stripe, 200, session);
	fill_cart();
	assert_int_equal(http_status("POST", PAYMENT "/create-checkout-session", NULL, token()),
			 200);
	const char *heard = stub_heard(stripe);
	assert_int_equal(strncmp(heard, "POST /v1/checkout/sessions HTTP/1.1\r\n", 37), 0);
	assert_non_null(strstr(heard, "Authorization: Bearer sk_test_123\r\n"));
	assert_non_null(strstr(heard, "Content-Type: application/x-www-form-urlencoded\r\n"));
	char key[128];
	snprintf(key, sizeof(key), "Idempotency-Key: %s-order-17\r\n", user_id);
	assert_non_null(strstr(heard, key));
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!strstr(heard, fields[i]))
			fail_msg("%s is not in %s", fields[i], heard);
	assert_false(file_has(logs[2], "sk_test_123"));
	empty_cart();
	end_payment(payment);
	stub_stop(stripe);
}

static void test_payment_return_clears_the_cart_once_paid(void **state)
{
	(void)state;
	struct stub *stripe = stub_start(12111, NULL);
	pid_t payment = start_payment();
	char session[256];

	fill_cart();
	session_json(session, sizeof(session), "cs_2", "unpaid");
	stub_say_json(stripe, 200, session);
	assert_int_equal(
		http_status("GET", PAYMENT "/checkout/success?session_id=cs_2", NULL, NULL), 200);
	assert_int_equal(cart_size(), 1);
	session_json(session, sizeof(session), "cs_2", "paid");
	stub_say_json(stripe, 200, session);
	assert_int_equal(
		http_status("GET", PAYMENT "/checkout/success?session_id=cs_2", NULL, NULL), 200);
	assert_int_equal(cart_size(), 0);
	/* The same page loaded again must not take what was put in since. */
	fill_cart();
	assert_int_equal(
		http_status("GET", PAYMENT "/checkout/success?session_id=cs_2", NULL, NULL), 200);
	assert_int_equal(cart_size(), 1);
	stub_say_json(stripe, 404, "{\"error\":{\"message\":\"No such session\"}}");
	assert_int_equal(
		http_status("GET", PAYMENT "/checkout/success?session_id=cs_3", NULL, NULL), 404);
	empty_cart();
	end_payment(payment);
	stub_stop(stripe);
}

static void test_payment_stripe_failing(void **state)
{
	(void)state;
	struct stub *stripe = stub_start(12111, NULL);
	pid_t payment = start_payment();
	struct http_answer a;

	fill_cart();
	stub_say_json(stripe, 401,
		      "{\"error\":{\"message\":\"Invalid API Key provided: sk_test_***\"}}");
	http("POST", PAYMENT "/create-checkout-session", NULL, token(), &a);
	assert_int_equal(a.status, 502);
	assert_string_equal(json_str(a.json, "dependency"), "Stripe");
	http_release(&a);
	stub_say_json(stripe, 200, "{\"object\":\"list\"}");
	assert_int_equal(http_status("POST", PAYMENT "/create-checkout-session", NULL, token()),
			 502);
	stub_stop(stripe);
	assert_int_equal(http_status("POST", PAYMENT "/create-checkout-session", NULL, token()),
			 503);
	assert_int_equal(cart_size(), 1);
	empty_cart();
	end_payment(payment);
}

static int send_event(const char *event, const char *secret, int64_t age_s)
{
	char hex[SIGNATURE_HEX_SIZE], header[160];
	const char *const headers[] = { header, NULL };
	int64_t t = (int64_t)time(NULL) - age_s;

	signature_hex(secret, t, event, strlen(event), hex);
	snprintf(header, sizeof(header), "Stripe-Signature: t=%lld,v1=%s", (long long)t, hex);
	return http_status("POST", PAYMENT "/stripe/webhook", event, headers);
}

static void make_event(char *to, size_t size, const char *type, const char *id, const char *status)
{
	char session[256];

	session_json(session, sizeof(session), id, status);
	snprintf(to, size, "{\"id\":\"evt_1\",\"type\":\"%s\",\"data\":{\"object\":%s}}", type,
		 session);
}

static void test_payment_webhook(void **state)
{
	(void)state;
	pid_t payment = start_payment();
	char event[512];

	fill_cart();
	make_event(event, sizeof(event), "checkout.session.completed", "cs_7", "paid");
	assert_int_equal(http_status("POST", PAYMENT "/stripe/webhook", event, NULL), 400);
	assert_int_equal(send_event(event, "whsec_forged", 0), 400);
	assert_int_equal(send_event(event, SECRET, 301), 400);
	assert_int_equal(cart_size(), 1);
	make_event(event, sizeof(event), "checkout.session.completed", "cs_7", "unpaid");
	assert_int_equal(send_event(event, SECRET, 0), 200);
	make_event(event, sizeof(event), "checkout.session.expired", "cs_7", "paid");
	assert_int_equal(send_event(event, SECRET, 0), 200);
	assert_int_equal(send_event("{\"type\":\"checkout.session.completed\"}", SECRET, 0), 200);
	assert_int_equal(send_event("not JSON", SECRET, 0), 400);
	assert_int_equal(cart_size(), 1);

	make_event(event, sizeof(event), "checkout.session.completed", "cs_7", "paid");
	assert_int_equal(send_event(event, SECRET, 0), 200);
	assert_int_equal(cart_size(), 0);
	fill_cart(); /* Stripe repeats itself */
	assert_int_equal(send_event(event, SECRET, 10), 200);
	assert_int_equal(cart_size(), 1);
	empty_cart();
	end_payment(payment);
}

static void test_payment_webhook_is_tried_again_when_db_fails(void **state)
{
	(void)state;
	pid_t payment = start_payment();
	char event[512];

	fill_cart();
	make_event(event, sizeof(event), "checkout.session.completed", "cs_8", "paid");
	proc_end(db, SIGKILL, 1000);
	assert_int_equal(send_event(event, SECRET, 0), 503);
	db = proc_service("db", 8002, logs[1], NULL);
	fill_cart();
	assert_int_equal(send_event(event, SECRET, 0), 200);
	assert_int_equal(cart_size(), 0);
	end_payment(payment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payment_against_stripe_mock),
		cmocka_unit_test(test_payment_form_and_key),
		cmocka_unit_test(test_payment_return_clears_the_cart_once_paid),
		cmocka_unit_test(test_payment_stripe_failing),
		cmocka_unit_test(test_payment_webhook),
		cmocka_unit_test(test_payment_webhook_is_tried_again_when_db_fails),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests_name("service_payment", tests, set_up, tear_down);
}
