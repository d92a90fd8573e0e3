// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The HTTP parser of the BPF programs on crafted segments, by BPF_PROG_TEST_RUN:
 * where a message ends, what is refused, and what is not HTTP at all.
 */
#include "http_flow.h"

static void test_parse_chunked(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, RESPONSE);
	flow_say(&f, "HTTP/1.1 200 OK\r\ntransfer-encoding:chunked\r\n\r\n1a\r\n");
	flow_say(&f, "HTTP/1.1 500 no start\r\n\r\n.\r\n");
	flow_say(&f, "0\r\n\r\n");
	assert_heard(&f, 1, 1, 1);

	/* Another coding before it; a size with zeros; trailers; length that does not count beside it. */
	flow_say(&f,
		 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
		 "0000A\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n");
	assert_heard(&f, 2, 2, 2);
	flow_say(&f, OK);
	assert_heard(&f, 3, 3, 3);

	flow_init(&f, REQUEST);
	flow_say(
		&f,
		"PUT /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	assert_heard(&f, 2, 2, 2);
}

static void test_parse_bad_chunks(void **state)
{
	(void)state;
	static const char *const sizes[] = { "\r\n",   "x\r\n",          "-1\r\n",
					     "5x\r\n", "123456789a\r\n", "fffffffffffffffff\r\n" };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct flow f;

		flow_init(&f, RESPONSE);
		flow_say(&f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		flow_say(&f, sizes[i]);
		assert_int_equal(heard(&f, EV_LOST), 1);
		assert_int_equal(heard(&f, EV_END), 0);
		flow_say(&f, OK);
		assert_int_equal(heard(&f, EV_END), 1);
	}
}

static void test_parse_responses_without_body(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, RESPONSE);
	flow_say(
		&f,
		"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n");
	assert_heard(&f, 2, 2, 2);
	f.no_body = true;
	flow_say(&f, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
	flow_say(&f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	f.no_body = false;
	flow_say(&f, OK);
	assert_heard(&f, 5, 5, 5);
}

static void test_parse_100_continue_is_no_answer(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, RESPONSE);
	flow_say(&f, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_heard(&f, 1, 1, 0);
	flow_say(&f, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK);
	assert_heard(&f, 3, 3, 1);
	assert_int_equal(nth(&f, EV_END, 0)->status, 200);
}

static void test_parse_101_is_a_tunnel(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, RESPONSE);
	flow_say(&f, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" OK);
	assert_heard(&f, 1, 1, 1);
	assert_int_equal(f.out.state, STATE_OPAQUE);
	flow_say(&f, OK);
	assert_heard(&f, 1, 1, 1);
}

static void test_parse_until_close(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, RESPONSE);
	flow_say(&f, "HTTP/1.0 200 OK\r\n\r\nbody");
	flow_say(&f, OK);
	assert_heard(&f, 1, 1, 0);
	assert_int_equal(f.out.state, STATE_UNTIL_CLOSE);
}

static void test_parse_header_case(void **state)
{
	(void)state;
	static const char *const names[] = { "Content-Length:", "content-length: ",
					     "CONTENT-LENGTH:\t", "cOnTeNt-LeNgTh:  " };
	struct flow f;

	flow_init(&f, RESPONSE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char text[128];

		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\n%s4 \r\nX-Content-Length: 9\r\n\r\nabcd", names[i]);
		flow_say(&f, text);
	}
	assert_heard(&f, 4, 4, 4);

	/* A line feed alone ends a line, as RFC 9112 allows. */
	flow_say(&f, "HTTP/1.1 200 OK\nContent-Length: 2\n\nab");
	assert_heard(&f, 5, 5, 5);
}

static void test_parse_content_length(void **state)
{
	(void)state;
	static const struct {
		const char *lines;
		uint64_t length; /* 0: must be refused */
	} cases[] = {
		{ "Content-Length: 7\r\n", 7 },
		{ "Content-Length: 12345678\r\n", 12345678 },
		{ "Content-Length: 123456789\r\n", 123456789 },
		{ "Content-Length: 1234567890123456\r\n", 1234567890123456 },
		{ "Content-Length: 0000000042\r\n", 42 },
		{ "Content-Length: 5\r\nContent-Length: 5\r\n", 5 },
		{ "Content-Length: 5\r\nContent-Length: 6\r\n", 0 },
		{ "Content-Length: 18446744073709551617\r\n", 0 },
		{ "Content-Length: 99999999999999999999999999\r\n", 0 },
		{ "Content-Length: -1\r\n", 0 },
		{ "Content-Length: +1\r\n", 0 },
		{ "Content-Length: 0x10\r\n", 0 },
		{ "Content-Length: 1.5\r\n", 0 },
		{ "Content-Length: 5, 5\r\n", 0 },
		{ "Content-Length:\r\n", 0 },
		{ "Content-Length: abc\r\n", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[256];
		struct flow f;

		flow_init(&f, REQUEST);
		snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s\r\n", cases[i].lines);
		flow_say(&f, text);
		if (cases[i].length) {
			assert_heard(&f, 1, 1, 0);
			assert_int_equal(nth(&f, EV_HEAD, 0)->length, cases[i].length);
		} else {
			assert_int_equal(heard(&f, EV_LOST), 1);
			assert_int_equal(heard(&f, EV_END), 0);
		}
	}
}

static void test_parse_not_http(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
		{ "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11 },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24 },
		{ "SSH-2.0-OpenSSH_9.2\r\n", 21 },
		{ "GET /\r\n", 7 },
		{ "GET / HTTP/3.0\r\n\r\n", 18 },
		{ "get / HTTP/1.1\r\n\r\n", 18 },
		{ "*1\r\n$4\r\nPING\r\n", 14 },
		{ "\0\0\0\0\0\0\0\0\0\0\n", 11 },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int direction = REQUEST; direction <= RESPONSE; direction++) {
			struct flow f;

			flow_init(&f, direction);
			flow_send(&f, cases[i].text, cases[i].len);
			assert_int_equal(heard(&f, EV_OPAQUE), 1);
			assert_int_equal(heard(&f, EV_START), 0);
			/* It stays so, whatever comes. */
			flow_say(&f, direction == REQUEST ? POST : OK);
			assert_int_equal(f.out.nr, 1);
		}
	}
}

static void test_parse_older_than_us(void **state)
{
	(void)state;
	struct flow f;

	/* In the middle of a body: nothing is believed until a segment begins a message. */
	flow_init(&f, REQUEST);
	f.old = true;
	flow_say(&f, "rest of a body\r\nGET /no HTTP/1.1\r\n\r\n");
	flow_say(&f, "\r\nGET /no HTTP/1.1\r\n\r\n");
	flow_say(&f, "GETTING warmer\r\n");
	assert_int_equal(f.out.nr, 0);
	flow_say(&f, POST);
	assert_heard(&f, 1, 1, 1);

	flow_init(&f, RESPONSE);
	f.old = true;
	flow_say(&f, OK);
	assert_heard(&f, 1, 1, 1);

	/* Split where it begins. */
	flow_init(&f, RESPONSE);
	f.old = true;
	flow_say(&f, "HT");
	flow_say(&f, "TP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_heard(&f, 1, 1, 1);
}

static void test_parse_older_than_us_and_not_http(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, REQUEST);
	f.old = true;
	for (int i = 0; i < 40; i++)
		flow_say(&f, "\x17\x03\x03 encrypted\n");
	assert_int_equal(heard(&f, EV_OPAQUE), 1);
	assert_int_equal(f.out.state, STATE_OPAQUE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, each)
	const struct CMUnitTest tests[] = {
		T(test_parse_chunked),
		T(test_parse_bad_chunks),
		T(test_parse_responses_without_body),
		T(test_parse_100_continue_is_no_answer),
		T(test_parse_101_is_a_tunnel),
		T(test_parse_until_close),
		T(test_parse_header_case),
		T(test_parse_content_length),
		T(test_parse_not_http),
		T(test_parse_older_than_us),
		T(test_parse_older_than_us_and_not_http),
	};
#undef T
	return cmocka_run_group_tests(tests, setup, teardown);
}
