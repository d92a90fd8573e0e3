// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_observe_order.c's counterpart: a service as the client, whose responses
 * overtake each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/util.h"
#include "overtake.h"

#define CHUNKED "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"

/* What the client asks. */
#define TWO ASK_PATH("/a") ASK_PATH("/b")
#define THREE TWO ASK_PATH("/c")
#define SIX THREE THREE

static const struct overtake_row disordered_responses[] = {
	{ "two swapped, a response each",
	  { SAY(200, 0), SAY(404, 0) },
	  "10",
	  "200 404 ",
	  .asked = TWO,
	  .overtaken = 1 },
	{ "a head split over both",
	  { "HTTP/1.1 20", "0 OK\r\nContent-Length: 0\r\n\r\n" },
	  "10",
	  "200 ",
	  .asked = ASK_PATH("/a"),
	  .overtaken = 1 },
	{ "pipelined responses in both",
	  { SAY(200, 0) SAY(404, 3) "abc", SAY(500, 0) SAY(201, 0) SAY(302, 1) "a" },
	  "10",
	  "200 404 500 201 302 ",
	  .asked = THREE TWO,
	  .overtaken = 1 },
	{ "the third first",
	  { SAY(200, 0), SAY(404, 0), SAY(500, 0) },
	  "201",
	  "200 404 500 ",
	  .asked = THREE,
	  .overtaken = 1 },
	{ "backwards",
	  { SAY(200, 0), SAY(404, 0), SAY(500, 0) },
	  "210",
	  "200 404 500 ",
	  .asked = THREE,
	  .overtaken = 2 },
	{ "backwards, one of them to a HEAD",
	  { SAY(200, 0), SAY(404, 50), SAY(500, 0) },
	  "210",
	  "200 404 500 ",
	  .asked = ASK_PATH("/a") "HEAD /b HTTP/1.1\r\n\r\n" ASK_PATH("/c"),
	  .overtaken = 2 },
	{ "the early one sent twice",
	  { SAY(200, 0), SAY(404, 0) },
	  "110",
	  "200 404 ",
	  .asked = TWO,
	  .overtaken = 2 },
	{ "both sent again",
	  { SAY(200, 0), SAY(404, 0) },
	  "1010",
	  "200 404 ",
	  .asked = TWO,
	  .overtaken = 1 },
	{ "the late one sent again with all behind it",
	  { SAY(200, 0), SAY(404, 0), SAY(500, 0) },
	  "1A",
	  "200 404 500 ",
	  .asked = THREE,
	  .overtaken = 1 },
	{ "a 100 before it",
	  { "HTTP/1.1 100 Continue\r\n\r\n", SAY(201, 0), SAY(200, 0) },
	  "210",
	  "201 200 ",
	  .asked = TWO,
	  .overtaken = 2 },
	{ "a hole in a body",
	  { SAY(200, 30) TEN, TEN, TEN SAY(404, 0) },
	  "021",
	  "200 404 ",
	  .asked = TWO },
	{ "a hole in a chunk",
	  { CHUNKED "1e\r\n" TEN, TEN, TEN "\r\n0\r\n\r\n" SAY(404, 0) },
	  "021",
	  "200 404 ",
	  .asked = TWO },
	{ "a hole with a chunk's size in it",
	  { CHUNKED "a\r\n" TEN, "\r\na\r\n", TEN "\r\n0\r\n\r\n" SAY(404, 0) },
	  "021",
	  "200 404 ",
	  .asked = TWO,
	  .overtaken = 1 },
	{ "larger than what is kept of it",
	  { SAY(200, 0), SAY(201, 6000) THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND },
	  "10",
	  "200 201 ",
	  .asked = TWO,
	  .overtaken = 1 },
};

static void test_observe_order_responses(void **state)
{
	(void)state;

	if (!overtake_available(__func__))
		skip();
	overtake_responses(disordered_responses, ARRAY_SIZE(disordered_responses));
}

static void test_observe_order_loses_and_finds_responses(void **state)
{
	(void)state;
	static const struct overtake_row rows[] = {
		/* Which of the requests the one that is found answers, nobody knows: none is counted. */
		{ "one more than may wait",
		  { SAY(200, 0), SAY(404, 0), SAY(500, 0), SAY(201, 0), SAY(302, 0), SAY(403, 0),
		    SAY(202, 0), SAY(410, 0), SAY(503, 0), SAY(409, 0) },
		  "1234567890",
		  "200 404 500 201 302 403 202 410 503 409 ",
		  "",
		  SIX TWO TWO,
		  .overtaken = 8,
		  .lost = 1,
		  .orphans = 1 },
		{ "one more than may wait, which begins no message",
		  { SAY(200, 0), SAY(404, 0), SAY(500, 0), SAY(201, 0), SAY(302, 0), SAY(403, 0),
		    SAY(202, 0), SAY(410, 0), "HTTP/1.1 503 U",
		    "navailable\r\nContent-Length: 0\r\n\r\n" },
		  "1234567890",
		  "200 404 500 201 302 403 202 410 503 ",
		  "",
		  SIX THREE,
		  .overtaken = 8,
		  .lost = 1 },
	};

	if (!overtake_available(__func__))
		skip();
	overtake_responses(rows, ARRAY_SIZE(rows));
}

static void test_observe_order_early_end_of_responses(void **state)
{
	(void)state;
	static const struct overtake_row rows[] = {
		{ "the end before the data",
		  { SAY(200, 0), SAY(404, 0) },
		  ".01",
		  "200 404 ",
		  .asked = TWO,
		  .overtaken = 1 },
		{ "the end and the last before the first",
		  { SAY(200, 0), SAY(404, 0) },
		  "1.0",
		  "200 404 ",
		  .asked = TWO,
		  .overtaken = 2 },
		{ "the end with the last, before the first",
		  { SAY(200, 0), SAY(404, 0) },
		  "b0",
		  "200 404 ",
		  .asked = TWO,
		  .overtaken = 1 },
		{ "the end before the rest of a body",
		  { SAY(200, 20) TEN, TEN },
		  "0.1",
		  "200 ",
		  .asked = ASK_PATH("/a"),
		  .overtaken = 1 },
		{ "the end with the last of a body, before the rest",
		  { SAY(200, 30) TEN, TEN, TEN },
		  "0c1",
		  "200 ",
		  .asked = ASK_PATH("/a") },
		{ "the end before the rest of a body that lasts until it",
		  { "HTTP/1.1 200 OK\r\n\r\n" TEN, TEN },
		  "0.1",
		  "200 ",
		  .asked = ASK_PATH("/a"),
		  .overtaken = 1 },
		{ "the end with the last of a body that lasts until it",
		  { "HTTP/1.1 200 OK\r\n\r\n" TEN, TEN, TEN },
		  "0c1",
		  "200 ",
		  .asked = ASK_PATH("/a") },
		{ "the end before the rest of a body that it cuts off",
		  { SAY(200, 30) TEN, TEN },
		  "0.1",
		  "",
		  .asked = ASK_PATH("/a"),
		  .overtaken = 1,
		  .aborted = 1 },
	};

	if (!overtake_available(__func__))
		skip();
	overtake_responses(rows, ARRAY_SIZE(rows));
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_order_responses),
		cmocka_unit_test(test_observe_order_loses_and_finds_responses),
		cmocka_unit_test(test_observe_order_early_end_of_responses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
