// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The HTTP parser of the BPF programs on crafted segments, by BPF_PROG_TEST_RUN:
 * start lines and heads, split at every byte, retransmitted, overlapping, with
 * holes, pipelined, too long, and noise.
 */
#include "http_flow.h"

static void test_parse_request(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, REQUEST);
	flow_say(&f, "GET /products HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_heard(&f, 1, 1, 1);
	assert_path(&f, 0, "/products");
	assert_int_equal(nth(&f, EV_START, 0)->method, ABI_METHOD_GET);
	assert_int_equal(nth(&f, EV_START, 0)->start_at, 14);
	assert_int_equal(f.out.state, STATE_START);
}

static void test_parse_methods(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t method;
	} methods[] = {
		{ "GET", ABI_METHOD_GET },         { "HEAD", ABI_METHOD_HEAD },
		{ "POST", ABI_METHOD_POST },       { "PUT", ABI_METHOD_PUT },
		{ "DELETE", ABI_METHOD_DELETE },   { "PATCH", ABI_METHOD_PATCH },
		{ "OPTIONS", ABI_METHOD_OPTIONS }, { "CONNECT", ABI_METHOD_CONNECT },
		{ "TRACE", ABI_METHOD_TRACE },     { "PROPFIND", ABI_METHOD_OTHER },
		{ "GETS", ABI_METHOD_OTHER },      { "VERSION-CONTROL", ABI_METHOD_OTHER },
	};
	struct flow f;

	flow_init(&f, REQUEST);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		char text[128];

		snprintf(text, sizeof(text), "%s /%zu HTTP/1.%zu\r\n\r\n", methods[i].name, i,
			 i % 2);
		flow_say(&f, text);
		assert_heard(&f, (unsigned int)i + 1, (unsigned int)i + 1, (unsigned int)i + 1);
		assert_int_equal(nth(&f, EV_START, (unsigned int)i)->method, methods[i].method);
	}
	assert_path(&f, 11, "/11");
}

static void test_parse_split_at_every_byte(void **state)
{
	(void)state;
	static const struct {
		int direction;
		const char *text;
	} cases[] = {
		{ REQUEST, POST },
		{ RESPONSE, OK },
		{ RESPONSE,
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n"
		  "0\r\nX-Sum: 1\r\n\r\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t cut = 1; cut < len; cut++) {
			struct flow f;

			flow_init(&f, cases[i].direction);
			f.now = 100;
			flow_send(&f, cases[i].text, cut);
			f.now = 200;
			flow_send(&f, cases[i].text + cut, len - cut);
			assert_heard(&f, 1, 1, 1);
			assert_int_equal(nth(&f, EV_START, 0)->first_ns, 100);
			assert_int_equal(f.out.bytes, len);
			if (cases[i].direction == REQUEST) {
				assert_path(&f, 0, "/cart/add?x=1");
				assert_int_equal(nth(&f, EV_TRACE, 0)->text_len, 36);
				assert_memory_equal(nth(&f, EV_TRACE, 0)->trace,
						    "550e8400-e29b-41d4-a716-446655440000", 36);
				assert_int_equal(nth(&f, EV_HEAD, 0)->length, 11);
			} else {
				assert_int_equal(nth(&f, EV_START, 0)->status, 200);
			}
		}
	}
}

static void test_parse_byte_by_byte(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, REQUEST);
	for (int round = 0; round < 3; round++)
		for (const char *p = POST; *p; p++)
			flow_send(&f, p, 1);
	assert_heard(&f, 3, 3, 3);
	assert_path(&f, 2, "/cart/add?x=1");

	flow_init(&f, RESPONSE);
	for (int round = 0; round < 3; round++)
		for (const char *p = OK; *p; p++)
			flow_send(&f, p, 1);
	assert_heard(&f, 3, 3, 3);
}

static void test_parse_retransmitted(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, REQUEST);
	flow_say(&f, POST);
	for (int i = 0; i < 3; i++)
		flow_segment(&f, 1000, POST, strlen(POST));
	flow_segment(&f, 1000 + 30, &POST[30], 10);
	assert_heard(&f, 1, 1, 1);
	assert_int_equal(f.out.bytes, strlen(POST));

	flow_say(&f, POST);
	assert_heard(&f, 2, 2, 2);
}

static void test_parse_overlapping(void **state)
{
	(void)state;
	size_t len = strlen(POST);

	for (size_t cut = 2; cut < len; cut++) {
		struct flow f;

		/* The second segment sends half of the first again. */
		flow_init(&f, REQUEST);
		flow_send(&f, POST, cut);
		flow_segment(&f, 1000 + (uint32_t)cut / 2, &POST[cut / 2], len - cut / 2);
		assert_heard(&f, 1, 1, 1);
		assert_int_equal(f.out.bytes, len);
	}
}

static void test_parse_sequence_wraps(void **state)
{
	(void)state;
	struct flow f;

	for (uint32_t before = 1; before < strlen(OK); before++) {
		flow_init(&f, RESPONSE);
		f.seq = -before;
		flow_say(&f, OK);
		flow_segment(&f, -before, OK, strlen(OK));
		flow_say(&f, OK);
		assert_heard(&f, 2, 2, 2);
	}
}

static void test_parse_hole_in_body_is_jumped(void **state)
{
	(void)state;
	static const char body[1000];
	struct flow f;

	flow_init(&f, RESPONSE);
	flow_say(&f, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
	flow_send(&f, body, 1000);
	f.seq += 1000; /* never seen, or seen late */
	flow_send(&f, body, 1000);
	flow_say(&f, OK);
	assert_heard(&f, 2, 2, 2);

	/* The hole is the end of the body. */
	flow_say(&f, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
	f.seq += 100;
	flow_say(&f, OK);
	assert_heard(&f, 4, 4, 4);
}

static void test_parse_hole_in_head_loses_and_finds_again(void **state)
{
	(void)state;
	struct flow f;

	flow_init(&f, REQUEST);
	flow_say(&f, "GET /a HTTP/1.1\r\nHo");
	f.seq += 20;
	flow_say(&f, "d: tail of a head\r\n\r\n");
	assert_int_equal(f.out.lost, 1);
	assert_int_equal(f.out.state, STATE_SYNC);
	assert_int_equal(heard(&f, EV_END), 0);
	flow_say(&f, "GET /b HTTP/1.1\r\n\r\n");
	assert_int_equal(heard(&f, EV_START), 2);
	assert_int_equal(heard(&f, EV_END), 1);
	assert_path(&f, 1, "/b");
}

static void test_parse_pipelined(void **state)
{
	(void)state;
	char text[PACKET_MAX];
	struct flow f;
	size_t len = 0;

	flow_init(&f, REQUEST);
	for (unsigned int i = 0; i < 16; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len,
			i % 2 ? "POST /%u HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" :
				"GET /%u HTTP/1.1\r\nHost: somewhere\r\nX-Trace-ID: t%u\r\n\r\n",
			i, i);
	flow_send(&f, text, len);
	assert_heard(&f, 16, 16, 16);
	for (unsigned int i = 0; i < 16; i++) {
		char path[8];

		snprintf(path, sizeof(path), "/%u", i);
		assert_path(&f, i, path);
	}

	len = 0;
	flow_init(&f, RESPONSE);
	for (unsigned int i = 0; i < 20; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"HTTP/1.1 %u X\r\nContent-Length: %u\r\n\r\n%.*s", 400 + i,
					i, (int)i, "HTTP/1.1 500 not a start");
	flow_send(&f, text, len);
	assert_heard(&f, 20, 20, 20);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(nth(&f, EV_START, i)->status, 400 + i);
}

static void test_parse_long_lines(void **state)
{
	(void)state;
	static const size_t cuts[] = { 1, 100, 127, 128, 129, 191, 192, 193, 500, 1200 };
	char cookie[1200], path[400], text[PACKET_MAX];

	memset(cookie, 'c', sizeof(cookie));
	memset(path, 'p', sizeof(path));
	int len = snprintf(
		text, sizeof(text),
		"POST /%.*s HTTP/1.1\r\nCookie: %.*s\r\nX-Trace-ID: abc\r\nContent-Length: 2\r\n\r\nab"
		"GET /next HTTP/1.1\r\n\r\n",
		(int)sizeof(path), path, (int)sizeof(cookie), cookie);

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct flow f;

		flow_init(&f, REQUEST);
		flow_send(&f, text, cuts[i]);
		flow_send(&f, text + cuts[i], (size_t)len - cuts[i]);
		assert_heard(&f, 2, 2, 2);
		assert_int_equal(nth(&f, EV_START, 0)->text_len, ABI_PATH_MAX);
		assert_memory_equal(nth(&f, EV_START, 0)->path + 1, path, ABI_PATH_MAX - 1);
		assert_int_equal(nth(&f, EV_TRACE, 0)->text_len, 3);
		assert_path(&f, 1, "/next");
	}
}

static void test_parse_trace_ids(void **state)
{
	(void)state;
	static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	char text[256];
	struct flow f;

	flow_init(&f, REQUEST);
	snprintf(text, sizeof(text),
		 "GET / HTTP/1.1\r\nTraceParent: %s\r\nx-trace-id:no-space\r\n\r\n", parent);
	flow_say(&f, text);
	assert_int_equal(nth(&f, EV_PARENT, 0)->text_len, strlen(parent));
	assert_memory_equal(nth(&f, EV_PARENT, 0)->trace, parent, strlen(parent));
	assert_int_equal(nth(&f, EV_TRACE, 0)->text_len, 8);
	assert_memory_equal(nth(&f, EV_TRACE, 0)->trace, "no-space", 8);

	flow_init(&f, REQUEST);
	flow_say(&f, "GET / HTTP/1.1\r\nX-Trace-ID:\r\nX-Trace-Id: \r\n\r\n");
	assert_int_equal(heard(&f, EV_TRACE), 0);
}

/* xorshift64*: Vigna, 2016. */
static uint64_t draw(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 2685821657736338717ULL;
}

/* Any messages, cut anywhere, some sent twice: as many come out as went in. */
static void test_parse_random_segments(void **state)
{
	(void)state;
	static const char *const messages[] = {
		OK,
		"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
		"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n10;e=f\r\n0123456789abcdef\r\n0\r\n\r\n",
		("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nDate: Tue, 24 Nov 2026 08:43:00 GMT\r\n"
		 "Server: a-server-with-a-long-name/1.2.3 (Debian) module/4.5.6\r\nContent-Length: 9\r\n\r\nNot Found"),
	};
	uint64_t seed = 42;

	for (int round = 0; round < 300; round++) {
		char text[PACKET_MAX];
		size_t len = 0, at = 0;
		unsigned int nr = 1 + draw(&seed) % 12;
		struct flow f;

		flow_init(&f, RESPONSE);
		for (unsigned int i = 0; i < nr; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
						messages[draw(&seed) % ARRAY_SIZE(messages)]);
		assert_true(len < sizeof(text));
		while (at < len) {
			size_t n = 1 + draw(&seed) % (draw(&seed) % 4 ? 40 : 900);
			size_t back = draw(&seed) % 3 ? 0 : draw(&seed) % (at + 1);

			n = MIN(n, len - at);
			flow_segment(&f, 1000 + (uint32_t)(at - back), text + at - back, n + back);
			at += n;
		}
		assert_heard(&f, nr, nr, nr);
		assert_int_equal(f.out.bytes, len);
	}
}

/* Noise never gives an answer that is not there, and never hangs. */
static void test_parse_random_noise(void **state)
{
	(void)state;
	uint64_t seed = 7;

	for (int round = 0; round < 300; round++) {
		struct flow f;

		flow_init(&f, round % 2);
		f.old = round % 3 == 0;
		for (int i = 0; i < 5; i++) {
			char text[PACKET_MAX];
			size_t len = strlen(POST OK);

			memcpy(text, round % 2 ? OK POST : POST OK, len);
			for (int k = 0; k < 20; k++)
				text[draw(&seed) % len] = (char)draw(&seed);
			flow_segment(&f, f.seq + (uint32_t)(draw(&seed) % 64), text,
				     1 + draw(&seed) % (len - 1));
			f.seq += 64;
		}
		assert_true(f.out.nr <= TEST_EVENTS);
		assert_true(f.out.bytes < 5 * PACKET_MAX);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, each)
	const struct CMUnitTest tests[] = {
		T(test_parse_request),
		T(test_parse_methods),
		T(test_parse_split_at_every_byte),
		T(test_parse_byte_by_byte),
		T(test_parse_retransmitted),
		T(test_parse_overlapping),
		T(test_parse_sequence_wraps),
		T(test_parse_hole_in_body_is_jumped),
		T(test_parse_hole_in_head_loses_and_finds_again),
		T(test_parse_pipelined),
		T(test_parse_long_lines),
		T(test_parse_trace_ids),
		T(test_parse_random_segments),
		T(test_parse_random_noise),
	};
#undef T
	return cmocka_run_group_tests(tests, setup, teardown);
}
