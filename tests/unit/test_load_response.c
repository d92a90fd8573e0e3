// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "tools/load/response.h"

static struct response r;

/* In pieces of @step bytes, each in memory of its own so that reading over an end is found. Bytes taken, or -errno. */
static ssize_t feed(const char *text, size_t len, size_t step)
{
	size_t at = 0;

	while (at < len && r.state != RESPONSE_DONE) {
		size_t n = MIN(step, len - at);
		CLEANUP(freep) char *piece = malloc(n);

		assert_non_null(piece);
		memcpy(piece, text + at, n);
		ssize_t took = response_feed(&r, piece, n);
		if (took < 0)
			return took;
		assert_true((size_t)took == n || r.state == RESPONSE_DONE);
		at += (size_t)took;
	}
	return (ssize_t)at;
}

static const struct {
	const char *text, *body;
	int status;
	bool keep_alive, head_only;
} good[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true, false },
	{ "HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", "", 200, true, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "ok", 200, true,
	  false },
	{ "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length:\t3 \r\n\r\nno\n", "no\n",
	  404, false, false },
	{ "HTTP/1.1 204 No Content\r\nX: \xc3\xa9\r\n\r\n", "", 204, true, false },
	{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "", 304, true, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "", 200, true, true },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200, false, false },
	{ "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", "ok", 200,
	  true, false },
	{ "HTTP/1.1 200 OK\r\nConnection: foo, CLOSE ,bar\r\nContent-Length: 0\r\n\r\n", "", 200,
	  false, false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00A;x=\"y\"\r\n, world!!!\r\n0\r\n\r\n",
	  "hello, world!!!", 200, true, false },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nDigest: x\r\nContent-Length: 7\r\n\r\n",
	  "", 200, true, false },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
	  "ok", 200, true, false },
};

static void test_response_in_pieces_of_every_size(void **state)
{
	struct buf body;

	(void)state;
	buf_init(&body, 1024);
	r.body = &body;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[512];
		int len = snprintf(text, sizeof(text), "%sHTTP/1.1 500 Next\r\n", good[i].text);

		for (size_t step = 1; step <= (size_t)len; step++) {
			response_begin(&r, good[i].head_only);
			ssize_t n = feed(text, (size_t)len, step);
			if (r.state != RESPONSE_DONE || n != (ssize_t)strlen(good[i].text))
				fail_msg("case %zu, step %zu: state %d (%s), %zd bytes", i, step,
					 r.state, r.why ?: "", n);
			assert_int_equal(r.status, good[i].status);
			assert_int_equal(r.keep_alive, good[i].keep_alive);
			assert_string_equal(buf_str(&body), good[i].body);
			assert_int_equal(r.body_bytes, strlen(good[i].body));
		}
	}
	buf_release(&body);
	r.body = NULL;
}

static void test_response_refuses(void **state)
{
	static const char *const bad[] = {
		"HTTP/2 200 OK\r\n",
		"HTTP/1.2 200 OK\r\n",
		"http/1.1 200 OK\r\n",
		"HTTP/1.1  200 OK\r\n",
		"HTTP/1.1 20 OK\r\n",
		"HTTP/1.1 2000 OK\r\n",
		"HTTP/1.1 099 OK\r\n",
		"HTTP/1.1 600 OK\r\n",
		"HTTP/1.1 200 O\001K\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n",
		"\r\nHTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\x7f\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ng\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5hello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (size_t step = 1; step <= strlen(bad[i]); step++) {
			response_begin(&r, false);
			if (feed(bad[i], strlen(bad[i]), step) != -EPROTO)
				fail_msg("case %zu is taken, step %zu", i, step);
			assert_int_equal(r.state, RESPONSE_BAD);
			assert_non_null(r.why);
			/* Once bad it stays so. */
			assert_int_equal(response_feed(&r, "HTTP/1.1 200 OK\r\n", 17), -EPROTO);
		}
}

static void test_response_heads_are_bounded(void **state)
{
	static char line[RESPONSE_LINE_MAX + 16];

	(void)state;
	memset(line, 'a', sizeof(line));
	for (int whole = 0; whole < 2; whole++) {
		response_begin(&r, false);
		assert_int_equal(response_feed(&r, "HTTP/1.1 200 OK\r\n", 17), 17);
		memcpy(line + sizeof(line) - 2, whole ? "\r\n" : "aa", 2);
		assert_int_equal(response_feed(&r, line, sizeof(line)), -EPROTO);
	}

	response_begin(&r, false);
	assert_int_equal(response_feed(&r, "HTTP/1.1 200 OK\r\n", 17), 17);
	size_t sent = 17;
	while (response_feed(&r, "Name: some value\r\n", 18) == 18)
		sent += 18;
	assert_int_equal(r.state, RESPONSE_BAD);
	assert_true(sent <= RESPONSE_HEAD_MAX && sent > RESPONSE_HEAD_MAX - 36);
}

static void test_response_that_ends_with_its_connection(void **state)
{
	static const char open[] = "HTTP/1.1 200 OK\r\n\r\nall of it",
			  cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";

	(void)state;
	response_begin(&r, false);
	assert_false(response_begun(&r));
	assert_int_equal(response_eof(&r), -EPIPE);

	assert_int_equal(feed(open, strlen(open), 5), (ssize_t)strlen(open));
	assert_true(response_begun(&r));
	assert_int_equal(r.state, RESPONSE_UNTIL_CLOSE);
	assert_false(r.keep_alive);
	assert_int_equal(response_eof(&r), 0);
	assert_int_equal(r.state, RESPONSE_DONE);
	assert_int_equal(r.body_bytes, 9);

	response_begin(&r, false);
	assert_int_equal(feed(cut, strlen(cut), 7), (ssize_t)strlen(cut));
	assert_int_equal(response_eof(&r), -EPIPE);
}

static void test_response_body_over_its_cap_is_counted(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
	struct buf body;

	(void)state;
	buf_init(&body, 4);
	r.body = &body;
	response_begin(&r, false);
	assert_int_equal(feed(text, strlen(text), 3), (ssize_t)strlen(text));
	assert_int_equal(r.state, RESPONSE_DONE);
	assert_int_equal(r.body_bytes, 10);
	assert_true(body.len <= 4);
	buf_release(&body);
	r.body = NULL;
}

/* Whatever comes, it ends, takes no more than there is, and (SAN=1) touches nothing else. */
static void test_response_survives_noise(void **state)
{
	uint64_t seed = 7;
	char text[512];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		int len = snprintf(text, sizeof(text), "%s",
				   good[round % (int)ARRAY_SIZE(good)].text);

		for (int k = 0; k < 3; k++) {
			seed ^= seed >> 12;
			seed ^= seed << 25;
			seed ^= seed >> 27;
			text[seed % (uint64_t)len] = (char)(seed >> 32);
		}
		response_begin(&r, round & 1);
		ssize_t n = feed(text, (size_t)len, 1 + (size_t)(seed >> 40) % 40);
		assert_true(n == -EPROTO || (n >= 0 && n <= len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_response_in_pieces_of_every_size),
		cmocka_unit_test(test_response_refuses),
		cmocka_unit_test(test_response_heads_are_bounded),
		cmocka_unit_test(test_response_that_ends_with_its_connection),
		cmocka_unit_test(test_response_body_over_its_cap_is_counted),
		cmocka_unit_test(test_response_survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
