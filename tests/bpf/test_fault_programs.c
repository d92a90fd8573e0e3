// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fault programs on crafted packets, by BPF_PROG_TEST_RUN: what is drawn,
 * what is rewritten, and that the same bytes are treated the same again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault_rig.h"
#include "kernel/fault_bpf.h"

#define PORT 8002
#define CLIENT 40000
#define FRAME_MAX 8192

static const uint16_t port = PORT;
static bool available;

static int setup(void **state)
{
	(void)state;
	/* Nothing else is a reason to skip: what the verifier refuses is a failure. */
	available = geteuid() == 0;
	if (!available)
		print_message("SKIP test_fault_programs: needs root\n");
	return 0;
}

static struct fault_bpf *open_percent(uint32_t type, double probability, uint64_t seed,
				      double percent)
{
	static const char *const keys[] = { "name", "price" };
	struct fault_bpf_spec spec = {
		.type = type,
		.ports = &port,
		.nr_ports = 1,
		.probability = probability,
		.seed = seed,
		.status = 500,
		.percent = percent,
		.keys = keys,
		.nr_keys = 2,
		.delay_ns = NSEC_PER_SEC,
		.use_edt = true,
		.lease_end_ns = clock_boot_ns() + 3600 * NSEC_PER_SEC,
		.deadline_ns = clock_boot_ns() + 3600 * NSEC_PER_SEC,
	};
	struct fault_bpf *b = NULL;

	if (!available)
		skip();
	assert_int_equal(fault_bpf_open(&spec, &b), 0);
	return b;
}

static struct fault_bpf *open_fault(uint32_t type, double probability, uint64_t seed)
{
	return open_percent(type, probability, seed, 100);
}

struct frame {
	uint8_t data[FRAME_MAX];
	size_t len;
	size_t payload; /* where it begins */
};

/* An Ethernet frame: from the client (in) or from the service (out). */
static struct frame frame(bool v6, bool out, uint16_t server_port, uint32_t seq, uint8_t flags,
			  const char *payload, size_t len)
{
	struct frame f = { .len = 0 };
	size_t ip = 14, tcp = ip + (v6 ? 40 : 20);
	uint16_t type = htons(v6 ? 0x86dd : 0x0800),
		 total = htons((uint16_t)(v6 ? 20 + len : 40 + len));
	uint16_t src = htons(out ? server_port : CLIENT), dst = htons(out ? CLIENT : server_port);
	uint32_t seq_be = htonl(seq);

	memcpy(f.data + 12, &type, 2);
	if (v6) {
		f.data[ip] = 0x60;
		memcpy(f.data + ip + 4, &total, 2);
		f.data[ip + 6] = 6;
		f.data[ip + 8 + 15] = out ? 1 : 2;
		f.data[ip + 24 + 15] = out ? 2 : 1;
	} else {
		f.data[ip] = 0x45;
		memcpy(f.data + ip + 2, &total, 2);
		f.data[ip + 9] = 6;
		memcpy(f.data + ip + 12,
		       (uint8_t[]){ 10, 0, 0, out ? 1 : 2, 10, 0, 0, out ? 2 : 1 }, 8);
	}
	memcpy(f.data + tcp, &src, 2);
	memcpy(f.data + tcp + 2, &dst, 2);
	memcpy(f.data + tcp + 4, &seq_be, 4);
	f.data[tcp + 12] = 0x50;
	f.data[tcp + 13] = flags;
	f.payload = tcp + 20;
	memcpy(f.data + f.payload, payload, len);
	f.len = f.payload + len;
	return f;
}

static uint32_t run(int fd, struct frame *f)
{
	uint8_t out[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = f->data, .data_size_in = (uint32_t)f->len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
	assert_int_equal(o.data_size_out, f->len);
	/* The Ethernet header comes back empty where the program does not see it. */
	memcpy(f->data + 14, out + 14, f->len - 14);
	return o.retval;
}

static void request_at(struct fault_bpf *b, bool v6, uint16_t server_port, uint32_t seq,
		       const char *text, size_t len)
{
	int fds[3];
	struct frame f = frame(v6, false, server_port, seq, 0x18, text, len);

	fault_bpf_program_fds(b, fds);
	assert_int_equal(run(fds[0], &f), 1);
}

static void request(struct fault_bpf *b, uint32_t seq, const char *text)
{
	request_at(b, false, PORT, seq, text, strlen(text));
}

static void response(struct fault_bpf *b, uint32_t seq, const char *text, char *ret)
{
	struct frame f = frame(false, true, PORT, seq, 0x18, text, strlen(text));

	assert_int_equal((int)run(fault_bpf_payload_fd(b), &f), -1);
	memcpy(ret, f.data + f.payload, f.len - f.payload);
	ret[f.len - f.payload] = '\0';
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static void test_fault_draws_once_wherever_a_request_is_cut(void **state)
{
	static const char text[] = "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" GET;
	size_t len = strlen(text);

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_ERROR, 1, 1);
	struct fault_ctl *c = fault_bpf_ctl(b);
	for (size_t cut = 1; cut < len; cut++) {
		struct frame syn = frame(false, false, PORT, 99, 2, "", 0);
		int fds[3];

		fault_bpf_program_fds(b, fds);
		run(fds[0], &syn); /* forgets the connection before */
		c->draws = 0;
		request_at(b, false, PORT, 100, text, cut);
		request_at(b, false, PORT, 100, text, cut); /* retransmitted */
		request_at(b, false, PORT, 100 + (uint32_t)cut, text + cut, len - cut);
		if (c->draws != 2)
			fail_msg("cut at %zu: %llu draws", cut, (unsigned long long)c->draws);
		request_at(b, false, PORT, 100, text, len); /* and all of it again */
		assert_int_equal(c->draws, 2);
	}
	fault_bpf_close(b);
}

static void test_fault_draws_for_pipelines_of_any_length(void **state)
{
	char text[FRAME_MAX - 100] = "";
	int n = 40; /* the kernel takes a page at most */

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_ERROR, 0, 1);
	for (int i = 0, at = 0; i < n; i++)
		at += snprintf(
			text + at, sizeof(text) - (size_t)at, "%s",
			"GET /x HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: k6/0.49 (https)\r\nA: b\r\n\r\n");
	request(b, 1, text);
	assert_int_equal(fault_bpf_ctl(b)->draws, n);
	assert_int_equal(fault_bpf_ctl(b)->spared_requests, n);
	fault_bpf_close(b);
}

static void test_fault_leaves_alone_what_is_not_its_own(void **state)
{
	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_ERROR, 1, 1);
	struct fault_ctl *c = fault_bpf_ctl(b);

	request_at(b, false, PORT + 1, 1, GET, strlen(GET));
	assert_int_equal(c->seen_packets, 0);
	request_at(b, true, PORT, 1, GET, strlen(GET)); /* IPv6 is ordinary */
	assert_int_equal(c->draws, 1);
	request(b, 1, "\x16\x03\x01\x02 this is TLS, or anything\r\n\r\n");
	request(b, 1000, "GET /inject-failure?type=error HTTP/1.1\r\n\r\n");
	request(b, 2000, "POST /reset HTTP/1.1\r\n\r\n");
	request(b, 3000, "GET /healthz HTTP/1.1\r\n\r\n");
	request(b, 4000, "GET /health?x HTTP/1.1\r\n\r\n");
	assert_int_equal(c->draws, 1);
	request(b, 5000, "GET /healthy HTTP/1.1\r\n\r\n");
	request(b, 6000, "GET /reset/all HTTP/1.1\r\n\r\n");
	assert_int_equal(c->draws, 3);

	/* Past its lease, past its deadline: nothing is even counted. */
	uint64_t seen = c->seen_packets;
	c->lease_end_ns = clock_boot_ns();
	request(b, 7000, GET);
	c->lease_end_ns = clock_boot_ns() + 60 * NSEC_PER_SEC;
	c->deadline_ns = clock_boot_ns();
	request(b, 8000, GET);
	assert_int_equal(c->seen_packets, seen);
	assert_int_equal(c->draws, 3);
	fault_bpf_close(b);
}

static void test_fault_seed_draws_the_same_again(void **state)
{
	char drawn[3][201] = { "" }, got[FRAME_MAX];

	(void)state;
	for (int k = 0; k < 3; k++) {
		struct fault_bpf *b = open_fault(FAULT_ABI_ERROR, 0.4, k < 2 ? 42 : 43);

		for (uint32_t i = 0; i < 200; i++) {
			request(b, 1 + i * (uint32_t)strlen(GET), GET);
			response(b, 1 + i * (uint32_t)strlen(OK), OK, got);
			drawn[k][i] = got[9];
		}
		fault_bpf_close(b);
	}
	assert_string_equal(drawn[0], drawn[1]);
	assert_string_not_equal(drawn[0], drawn[2]);
}

static void test_fault_rewrites_retransmissions_alike(void **state)
{
	char got[FRAME_MAX];
	size_t n = strlen(OK);

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_ERROR, 1, 1);
	request(b, 1, GET GET);
	response(b, 500, OK OK, got);
	assert_memory_equal(got, "HTTP/1.1 500 OK\r\n", 17);
	assert_memory_equal(got + n, "HTTP/1.1 500 OK\r\n", 17);
	assert_int_equal(fault_bpf_ctl(b)->touched_requests, 2);
	/* As it was, as its second half, and cut elsewhere. */
	response(b, 500, OK OK, got);
	assert_memory_equal(got, "HTTP/1.1 500 OK\r\n", 17);
	assert_memory_equal(got + n, "HTTP/1.1 500 OK\r\n", 17);
	response(b, 500 + (uint32_t)n, OK, got);
	assert_memory_equal(got, "HTTP/1.1 500 OK\r\n", 17);
	response(b, 505, &(OK OK)[5], got);
	assert_memory_equal(got + 4, "500", 3);
	assert_int_equal(fault_bpf_ctl(b)->touched_requests, 2);
	fault_bpf_close(b);
}

static void test_fault_never_rewrites_answers_without_a_body(void **state)
{
	char got[FRAME_MAX];
	static const char *const kept[] = {
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\n\r\n",
	};
	uint32_t in = 1, out = 1;

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_ERROR, 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		request(b, in, GET);
		in += (uint32_t)strlen(GET);
		response(b, out, kept[i], got);
		out += (uint32_t)strlen(kept[i]);
		assert_string_equal(got, kept[i]);
	}
	/* 100 is not the answer; the one behind it is. HEAD has a length and no body. */
	static const char head[] = "HEAD / HTTP/1.1\r\n\r\n",
			  two[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
				  "Content-Length: 99\r\n\r\n";
	request(b, in, head);
	in += (uint32_t)strlen(head);
	response(b, out, two, got);
	out += (uint32_t)strlen(two);
	assert_memory_equal(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500", 37);
	request(b, in, GET);
	response(b, out, OK, got);
	assert_memory_equal(got, "HTTP/1.1 500", 12);
	fault_bpf_close(b);
}

/* What is given, and what must come of it, byte by byte as long. */
static void test_fault_spoils_json_within_its_length(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "{\"name\":\"Widget\"}", "{\"name\":null    }" },
		{ "{\"name\":\"ab\"}", "{\"name\":null}" },
		{ "{\"name\":\"a\"}", "{\"name\":\"a\"}" }, /* no room for null */
		{ "{\"name\" : \"a\\\"b\\\\\"}", "{\"name\" : null    }" },
		{ "{\"price\":9.99}", "{\"price\":-9.9}" },
		{ "{\"price\":100}", "{\"price\":-10}" },
		{ "{\"price\":9.9,\"x\":1}", "{\"price\":-9 ,\"x\":1}" },
		{ "{\"price\":5}", "{\"price\":5}" },
		{ "{\"price\":1e9}", "{\"price\":1e9}" },
		{ "{\"price\":-3.5}", "{\"price\":-3.5}" },
		{ "{\"price\":null,\"name\":true}", "{\"price\":null,\"name\":true}" },
		{ "{\"names\":\"Widget\",\"my name\":\"xxxx\"}",
		  "{\"names\":\"Widget\",\"my name\":\"xxxx\"}" },
		{ "[\"name\",\"Widget\"]", "[\"name\",\"Widget\"]" }, /* no key */
		{ "{\"a\":\"name\",\"b\":\"price\"}", "{\"a\":\"name\",\"b\":\"price\"}" },
		{ "{\"name\":[\"Widget\"]}", "{\"name\":[\"Widget\"]}" },
		{ "{\"a\":{\"name\":\"Widget\",\"price\":12.50}}",
		  "{\"a\":{\"name\":null    ,\"price\":-12.5}}" },
	};
	char text[FRAME_MAX], got[FRAME_MAX];
	uint32_t in = 1, out = 1;

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_BAD_DATA, 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		request(b, in, GET);
		in += (uint32_t)strlen(GET);
		snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 strlen(cases[i].in), cases[i].in);
		response(b, out, text, got);
		assert_string_equal(strstr(got, "\r\n\r\n") + 4, cases[i].want);
		response(b, out, text, got); /* retransmitted */
		assert_string_equal(strstr(got, "\r\n\r\n") + 4, cases[i].want);
		out += (uint32_t)strlen(text);
	}
	fault_bpf_close(b);
}

/* A long list: as far as 4 KiB, in packets of odd sizes; the next answer is understood again. */
static void test_fault_spoils_json_over_packets(void **state)
{
	char body[6000] = "[", text[FRAME_MAX], got[FRAME_MAX], all[FRAME_MAX] = "";
	size_t n = 1, spoiled = 0;

	(void)state;
	for (int i = 0; i < 120; i++)
		n += (size_t)snprintf(body + n, sizeof(body) - n,
				      "%s{\"name\":\"item %03d\",\"price\":%d.25}", i ? "," : "", i,
				      10 + i);
	snprintf(body + n, sizeof(body) - n, "]");
	size_t len = (size_t)snprintf(text, sizeof(text),
				      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				      "Content-Length: %zu\r\n\r\n%s",
				      strlen(body), body);
	struct fault_bpf *b = open_fault(FAULT_ABI_BAD_DATA, 1, 1);
	request(b, 1, GET);
	for (size_t at = 0; at < len; at += 1009) {
		char piece[1010];

		snprintf(piece, sizeof(piece), "%s", text + at);
		response(b, 1 + (uint32_t)at, piece, got);
		size_t end = strlen(all);
		snprintf(all + end, sizeof(all) - end, "%s", got);
	}
	assert_int_equal(strlen(all), len);
	for (const char *s = all; (s = strstr(s, "null")); s += 4)
		spoiled++;
	print_message("%zu names of 120 spoiled in %zu bytes\n", spoiled, len);
	assert_true(spoiled > 60 && spoiled < 120);
	assert_int_equal(fault_bpf_ctl(b)->touched_requests, 1);
	request(b, 1 + (uint32_t)strlen(GET), GET);
	response(b, 1 + (uint32_t)len,
		 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n"
		 "{\"name\":\"abc\"}",
		 got);
	assert_non_null(strstr(got, "{\"name\":null }"));
	fault_bpf_close(b);
}

static void test_fault_loss_drops_without_telling_the_sender(void **state)
{
	int fds[3];

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_LOSS, 1, 1);
	struct frame f = frame(false, true, PORT, 1, 0x18, OK, strlen(OK));
	fault_bpf_program_fds(b, fds);
	assert_int_equal(run(fds[2], &f), 1); /* no request: not drawn */
	request(b, 1, GET);
	assert_int_equal(run(fds[2], &f), 2);
	assert_int_equal(fault_bpf_ctl(b)->touched_packets, 1);
	/* A request that is exempt spares its connection. */
	request(b, 1 + (uint32_t)strlen(GET), "GET /health HTTP/1.1\r\n\r\n");
	assert_int_equal(run(fds[2], &f), 1);
	fault_bpf_close(b);
}

/* Of a drawn request's packets the share that was asked for is lost; of one that was not drawn, none. */
static void test_fault_loss_drops_the_share(void **state)
{
	int fds[3], n = 2000;

	(void)state;
	for (int drawn = 0; drawn < 2; drawn++) {
		struct fault_bpf *b = open_percent(FAULT_ABI_LOSS, drawn, 1, 20);
		size_t lost = 0;

		request(b, 1, GET);
		fault_bpf_program_fds(b, fds);
		for (int i = 0; i < n; i++) {
			struct frame f = frame(false, true, PORT, 1, 0x18, OK, strlen(OK));
			uint32_t verdict = run(fds[2], &f);

			assert_true(verdict == 1 || verdict == 2);
			lost += verdict == 2;
		}
		assert_int_equal(fault_bpf_ctl(b)->touched_packets, lost);
		if (drawn)
			fault_rig_assert_share("loss, packets", lost, (uint64_t)n, .2);
		else
			assert_int_equal(lost, 0);
		fault_bpf_close(b);
	}
}

static void test_fault_timeout_notes_one_release_time(void **state)
{
	struct fault_conn_head head;
	struct fault_tuple t = { .local = { 0, 0, htonl(0xffff), htonl(0x0a000001) },
				 .peer = { 0, 0, htonl(0xffff), htonl(0x0a000002) },
				 .local_port_be = htons(PORT),
				 .peer_port_be = htons(CLIENT) };

	(void)state;
	struct fault_bpf *b = open_fault(FAULT_ABI_TIMEOUT, 1, 1);
	CLEANUP(freep) void *value = malloc(fault_bpf_conns_value_size(b));
	uint64_t before = clock_mono_ns();
	request(b, 1, GET);
	uint64_t after = clock_mono_ns();
	assert_int_equal(bpf_map_lookup_elem(fault_bpf_conns_fd(b), &t, value), 0);
	memcpy(&head, value, sizeof(head));
	assert_true(head.release_ns >= before + NSEC_PER_SEC &&
		    head.release_ns <= after + NSEC_PER_SEC);
	/* Exempt: the time stands as it was. */
	request(b, 1 + (uint32_t)strlen(GET), "GET /reset HTTP/1.1\r\n\r\n");
	struct fault_conn_head again;
	assert_int_equal(bpf_map_lookup_elem(fault_bpf_conns_fd(b), &t, value), 0);
	memcpy(&again, value, sizeof(again));
	assert_int_equal(again.release_ns, head.release_ns);
	fault_bpf_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_draws_once_wherever_a_request_is_cut),
		cmocka_unit_test(test_fault_draws_for_pipelines_of_any_length),
		cmocka_unit_test(test_fault_leaves_alone_what_is_not_its_own),
		cmocka_unit_test(test_fault_seed_draws_the_same_again),
		cmocka_unit_test(test_fault_rewrites_retransmissions_alike),
		cmocka_unit_test(test_fault_never_rewrites_answers_without_a_body),
		cmocka_unit_test(test_fault_spoils_json_within_its_length),
		cmocka_unit_test(test_fault_spoils_json_over_packets),
		cmocka_unit_test(test_fault_loss_drops_without_telling_the_sender),
		cmocka_unit_test(test_fault_loss_drops_the_share),
		cmocka_unit_test(test_fault_timeout_notes_one_release_time),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
