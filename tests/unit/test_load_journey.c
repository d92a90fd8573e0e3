// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "tools/load/journey.h"

#define TRACE "550e8400-e29b-41d4-a716-446655440000"
#define PRODUCTS "{\"products\":[{},{},{},{},{}]}"

static struct customer c;
static struct target target;
static struct buf text;

static void begin(void)
{
	const char *why;

	memset(&c, 0, sizeof(c));
	snprintf(c.run, sizeof(c.run), "abc123");
	c.nr = 2;
	assert_int_equal(target_parse("http://127.0.0.1:8001", &target, &why), 0);
	journey_begin(&c, 1);
}

/* The step's request begins with @line, and its answer leads to @next. */
static void step(const char *line, int status, const char *body, bool ok, enum step next)
{
	buf_init(&text, 8192);
	assert_int_equal(journey_request(&c, &target, TRACE, &text), 0);
	if (strncmp(buf_str(&text), line, strlen(line)) != 0)
		fail_msg("%s, but %s was expected", buf_str(&text), line);
	assert_non_null(strstr(buf_str(&text), "\r\nX-Trace-ID: " TRACE "\r\n"));
	assert_int_equal(journey_answer(&c, status, body, strlen(body)), ok);
	assert_int_equal(c.step, next);
	buf_release(&text);
}

static void log_in(void)
{
	step("POST /signup HTTP/1.1\r\n", 201, "{}", true, STEP_LOG_IN);
	step("POST /login HTTP/1.1\r\n", 200, "{\"access_token\":\"t.o-k_en\"}", true, STEP_LIST);
}

static void test_journey_from_end_to_end(void **state)
{
	(void)state;
	begin();
	log_in();
	assert_string_equal(c.token, "t.o-k_en");
	step("GET /products HTTP/1.1\r\n", 200, PRODUCTS, true, STEP_ADD);
	step("POST /cart/add HTTP/1.1\r\n", 200, "{}", true, STEP_LOOK);
	step("GET /cart HTTP/1.1\r\n", 200, "{\"items\":[{\"product_id\":\"p4\",\"name\":null}]}",
	     true, STEP_PAY);
	step("POST /create-checkout-session HTTP/1.1\r\n", 200, "{\"payment_status\":\"paid\"}",
	     true, NR_STEPS);

	/* A customer signs up once, and another product is bought. */
	journey_begin(&c, 1);
	step("POST /login ", 200, "{\"access_token\":\"t2\"}", true, STEP_LIST);
	step("GET /products ", 200, PRODUCTS, true, STEP_ADD);
	step("POST /cart/add ", 200, "{}", true, STEP_LOOK);
	step("GET /cart ", 200, "{\"items\":[{\"product_id\":\"p5\"}]}", true, STEP_PAY);
}

static void test_journey_requests_carry_token_and_length(void **state)
{
	(void)state;
	begin();
	buf_init(&text, 8192);
	journey_request(&c, &target, TRACE, &text);
	assert_null(strstr(buf_str(&text), "Authorization"));
	const char *body = strstr(buf_str(&text), "\r\n\r\n") + 4;
	char length[64];
	snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(body));
	assert_non_null(strstr(buf_str(&text), length));
	assert_string_equal(
		body, "{\"email\":\"user-abc123-2@load.example\",\"password\":\"pass of abc123\"}");
	buf_release(&text);

	log_in();
	buf_init(&text, 8192);
	journey_request(&c, &target, TRACE, &text);
	assert_non_null(strstr(buf_str(&text), "\r\nAuthorization: Bearer t.o-k_en\r\n"));
	assert_null(strstr(buf_str(&text), "Content-Length"));
	buf_release(&text);
}

static void test_journey_ends_where_it_cannot_go_on(void **state)
{
	static const char *const bad_tokens[] = { "",
						  "{}",
						  "{\"access_token\":5}",
						  "{\"access_token\":\"\"}",
						  "{\"access_token\":\"a\\r\\nX: y\"}",
						  "{\"access_token\":\"a b\"}",
						  "{\"access_token\":\"x\"" };

	(void)state;
	begin();
	step("POST /signup ", 503, "{}", false, NR_STEPS);
	journey_begin(&c, 1);
	step("POST /signup ", 0, "", false, NR_STEPS);
	/* The account was made all the same: no check, but a way on. */
	journey_begin(&c, 1);
	step("POST /signup ", 409, "{}", false, STEP_LOG_IN);
	for (size_t i = 0; i < ARRAY_SIZE(bad_tokens); i++) {
		c.step = STEP_LOG_IN;
		step("POST /login ", 200, bad_tokens[i], false, NR_STEPS);
		assert_string_equal(c.token, "");
	}
	/* auth was started again: the next journey signs up anew. */
	c.step = STEP_LOG_IN;
	step("POST /login ", 401, "{}", false, NR_STEPS);
	journey_begin(&c, 1);
	log_in();
	/* A list that fails is no reason to leave; a cart that takes nothing is. */
	step("GET /products ", 502, "{}", false, STEP_ADD);
	step("POST /cart/add ", 504, "{}", false, NR_STEPS);
	/* The token has ended. */
	c.step = STEP_LIST;
	step("GET /products ", 401, "{}", false, NR_STEPS);
	assert_string_equal(c.token, "");
	journey_begin(&c, 1000);
	assert_int_equal(c.step, STEP_LOG_IN);
}

static void test_journey_checks_what_it_reads(void **state)
{
	static const struct {
		enum step step;
		const char *line, *body;
	} bad[] = {
		{ STEP_LIST, "GET /products ", "{\"products\":[{},{},{},{}]}" },
		{ STEP_LIST, "GET /products ", "{\"products\":7}" },
		{ STEP_LIST, "GET /products ", "nothing" },
		{ STEP_LOOK, "GET /cart ", "{\"items\":[{\"product_id\":\"p1\"}]}" },
		{ STEP_LOOK, "GET /cart ", "{\"items\":[7,{\"product_id\":4}]}" },
		{ STEP_LOOK, "GET /cart ", "[]" },
	};

	(void)state;
	begin();
	log_in();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		c.step = bad[i].step;
		step(bad[i].line, 200, bad[i].body, false, (enum step)(bad[i].step + 1));
	}
	/* What was not paid is cleared. */
	step("POST /create-checkout-session ", 200, "{}", false, STEP_CLEAR);
	step("POST /cart/clear ", 200, "{}", true, NR_STEPS);
}

static void test_journey_log_ins_are_spread(void **state)
{
	unsigned int logins[20] = { 0 };

	(void)state;
	for (unsigned int nr = 0; nr < 20; nr++) {
		memset(&c, 0, sizeof(c));
		c.nr = nr;
		c.signed_up = true;
		snprintf(c.token, sizeof(c.token), "t");
		for (unsigned int i = 0; i < 20; i++) {
			journey_begin(&c, 20);
			logins[i] += c.step == STEP_LOG_IN;
		}
	}
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(logins[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journey_from_end_to_end),
		cmocka_unit_test(test_journey_requests_carry_token_and_length),
		cmocka_unit_test(test_journey_ends_where_it_cannot_go_on),
		cmocka_unit_test(test_journey_checks_what_it_reads),
		cmocka_unit_test(test_journey_log_ins_are_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
