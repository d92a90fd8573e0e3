// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The HTTP parser of the BPF programs, fed with crafted segments through
 * BPF_PROG_TEST_RUN: split at every byte, retransmitted, overlapping, holes,
 * pipelined, every kind of framing, and everything that is not HTTP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/bpf/test_http.h"

#include "skel/test_http.skel.h"

#define REQUEST 0
#define RESPONSE 1
#define PACKET_MAX 3000

static struct test_http_bpf *skel;

/* One direction of a connection, and what was heard of it so far. */
struct flow {
	int direction;
	uint32_t seq;   /* of the next byte to send */
	uint64_t now;
	bool old;       /* opened before we looked */
	bool no_body;
	struct test_out out;
};

static void flow_init(struct flow *f, int direction)
{
	static const char zero[4096];
	uint32_t key = (uint32_t)direction;

	assert_true(bpf_map__value_size(skel->maps.streams) <= sizeof(zero));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.streams), &key, zero, BPF_ANY), 0);
	memset(f, 0, sizeof(*f));
	f->direction = direction;
	f->seq = 1000;
	f->now = 1;
	memset(&skel->bss->out, 0, sizeof(skel->bss->out));
}

/* A segment at @seq; the flow's own place does not move. */
static void flow_segment(struct flow *f, uint32_t seq, const void *data, size_t len)
{
	unsigned char packet[14 + PACKET_MAX] = { [12] = 0x88, [13] = 0xb5 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = (uint32_t)(14 + len), .repeat = 1);
	struct bpf_program *p = f->direction == REQUEST ? skel->progs.test_request : skel->progs.test_response;

	assert_true(len > 0 && len <= PACKET_MAX);
	memcpy(packet + 14, data, len);
	skel->bss->in = (struct test_in){
		.now = f->now, .seq = seq, .fresh = !f->old, .no_body = f->no_body,
	};
	/* As the observer goes round by tail calls. */
	for (int turn = 0; turn < 33; turn++) {
		skel->bss->in.more = turn > 0;
		assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(p), &opts), 0);
		if (skel->bss->out.stopped)
			break;
	}
	assert_true(skel->bss->out.stopped);
	memcpy(&f->out, &skel->bss->out, sizeof(f->out));
}

static void flow_send(struct flow *f, const void *data, size_t len)
{
	flow_segment(f, f->seq, data, len);
	f->seq += (uint32_t)len;
}

static void flow_say(struct flow *f, const char *text)
{
	flow_send(f, text, strlen(text));
}

/* How many of the events heard so far carry @ev? */
static unsigned int heard(const struct flow *f, uint32_t ev)
{
	unsigned int n = 0;

	assert_true(f->out.nr <= TEST_EVENTS);
	for (uint32_t i = 0; i < f->out.nr; i++)
		n += (f->out.events[i].ev & ev) != 0;
	return n;
}

static const struct test_event *nth(const struct flow *f, uint32_t ev, unsigned int n)
{
	for (uint32_t i = 0; i < f->out.nr; i++)
		if ((f->out.events[i].ev & ev) && n-- == 0)
			return &f->out.events[i];
	fail_msg("no event %u", ev);
	return NULL;
}

static void assert_heard(const struct flow *f, unsigned int starts, unsigned int heads, unsigned int ends)
{
	assert_int_equal(heard(f, EV_START), starts);
	assert_int_equal(heard(f, EV_HEAD), heads);
	assert_int_equal(heard(f, EV_END), ends);
	assert_int_equal(heard(f, EV_LOST | EV_OPAQUE), 0);
	assert_int_equal(f->out.lost, 0);
}

static void assert_path(const struct flow *f, unsigned int n, const char *path)
{
	const struct test_event *e = nth(f, EV_START, n);

	assert_int_equal(e->text_len, strlen(path));
	assert_memory_equal(e->path, path, strlen(path));
}

#define POST "POST /cart/add?x=1 HTTP/1.1\r\nHost: localhost:8003\r\nContent-Type: application/json\r\n" \
	"X-Trace-ID: 550e8400-e29b-41d4-a716-446655440000\r\nContent-Length: 11\r\n\r\nhello\r\n\r\nok"
#define OK "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"

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

		snprintf(text, sizeof(text), "%s /%zu HTTP/1.%zu\r\n\r\n", methods[i].name, i, i % 2);
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
		{ RESPONSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n"
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
				assert_memory_equal(nth(&f, EV_TRACE, 0)->trace, "550e8400-e29b-41d4-a716-446655440000", 36);
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
	flow_segment(&f, 1000 + 30, POST + 30, 10);
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
		flow_segment(&f, 1000 + (uint32_t)cut / 2, POST + cut / 2, len - cut / 2);
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
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					i % 2 ? "POST /%u HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
					      : "GET /%u HTTP/1.1\r\nHost: somewhere\r\nX-Trace-ID: t%u\r\n\r\n", i, i);
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
					"HTTP/1.1 %u X\r\nContent-Length: %u\r\n\r\n%.*s", 400 + i, i, (int)i,
					"HTTP/1.1 500 not a start");
	flow_send(&f, text, len);
	assert_heard(&f, 20, 20, 20);
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(nth(&f, EV_START, i)->status, 400 + i);
}

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
	flow_say(&f, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
		     "0000A\r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\n");
	assert_heard(&f, 2, 2, 2);
	flow_say(&f, OK);
	assert_heard(&f, 3, 3, 3);

	flow_init(&f, REQUEST);
	flow_say(&f, "PUT /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	assert_heard(&f, 2, 2, 2);
}

static void test_parse_bad_chunks(void **state)
{
	(void)state;
	static const char *const sizes[] = { "\r\n", "x\r\n", "-1\r\n", "5x\r\n", "123456789a\r\n", "fffffffffffffffff\r\n" };

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
	flow_say(&f, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n");
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
	static const char *const names[] = { "Content-Length:", "content-length: ", "CONTENT-LENGTH:\t", "cOnTeNt-LeNgTh:  " };
	struct flow f;

	flow_init(&f, RESPONSE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char text[128];

		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s4 \r\nX-Content-Length: 9\r\n\r\nabcd", names[i]);
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

static void test_parse_long_lines(void **state)
{
	(void)state;
	static const size_t cuts[] = { 1, 100, 127, 128, 129, 191, 192, 193, 500, 1200 };
	char cookie[1200], path[400], text[PACKET_MAX];

	memset(cookie, 'c', sizeof(cookie));
	memset(path, 'p', sizeof(path));
	int len = snprintf(text, sizeof(text),
			   "POST /%.*s HTTP/1.1\r\nCookie: %.*s\r\nX-Trace-ID: abc\r\nContent-Length: 2\r\n\r\nab"
			   "GET /next HTTP/1.1\r\n\r\n", (int)sizeof(path), path, (int)sizeof(cookie), cookie);

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
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nTraceParent: %s\r\nx-trace-id:no-space\r\n\r\n", parent);
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
		"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nDate: Tue, 24 Nov 2026 08:43:00 GMT\r\n"
		"Server: a-server-with-a-long-name/1.2.3 (Debian) module/4.5.6\r\nContent-Length: 9\r\n\r\nNot Found",
	};
	uint64_t seed = 42;

	for (int round = 0; round < 300; round++) {
		char text[PACKET_MAX];
		size_t len = 0, at = 0;
		unsigned int nr = 1 + draw(&seed) % 12;
		struct flow f;

		flow_init(&f, RESPONSE);
		for (unsigned int i = 0; i < nr; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", messages[draw(&seed) % ARRAY_SIZE(messages)]);
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
			flow_segment(&f, f.seq + (uint32_t)(draw(&seed) % 64), text, 1 + draw(&seed) % (len - 1));
			f.seq += 64;
		}
		assert_true(f.out.nr <= TEST_EVENTS);
		assert_true(f.out.bytes < 5 * PACKET_MAX);
	}
}

static int setup(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		printf("SKIP test_observe_parse: loading BPF programs needs root\n");
		return 0;
	}
	libbpf_set_print(NULL);
	skel = test_http_bpf__open_and_load();
	return skel ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	test_http_bpf__destroy(skel);
	return 0;
}

static int each(void **state)
{
	(void)state;
	if (!skel)
		skip();
	return 0;
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
		T(test_parse_long_lines),
		T(test_parse_trace_ids),
		T(test_parse_random_segments),
		T(test_parse_random_noise),
	};
#undef T
	return cmocka_run_group_tests(tests, setup, teardown);
}
