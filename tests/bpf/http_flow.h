/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_flow.h - segments of one direction of a made-up connection, through the parser's BPF program.
 *
 * For the tests of http.bpf.h; asserts (cmocka) that the program runs. One flow at a time.
 */
#ifndef ARCHAIC_TEST_HTTP_FLOW_H
#define ARCHAIC_TEST_HTTP_FLOW_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
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
	uint32_t seq; /* of the next byte to send */
	uint64_t now;
	bool old; /* opened before we looked */
	bool no_body;
	struct test_out out;
};

static inline void flow_init(struct flow *f, int direction)
{
	static const char zero[4096];
	uint32_t key = (uint32_t)direction;

	assert_true(bpf_map__value_size(skel->maps.streams) <= sizeof(zero));
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skel->maps.streams), &key, zero, BPF_ANY),
			 0);
	memset(f, 0, sizeof(*f));
	f->direction = direction;
	f->seq = 1000;
	f->now = 1;
	memset(&skel->bss->out, 0, sizeof(skel->bss->out));
}

/* A segment at @seq; the flow's own place does not move. */
static inline void flow_segment(struct flow *f, uint32_t seq, const void *data, size_t len)
{
	unsigned char packet[14 + PACKET_MAX] = { [12] = 0x88, [13] = 0xb5 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
		    .data_size_in = (uint32_t)(14 + len), .repeat = 1);
	struct bpf_program *p = f->direction == REQUEST ? skel->progs.test_request :
							  skel->progs.test_response;

	assert_true(len > 0 && len <= PACKET_MAX);
	memcpy(packet + 14, data, len);
	skel->bss->in = (struct test_in){
		.now = f->now,
		.seq = seq,
		.fresh = !f->old,
		.no_body = f->no_body,
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

static inline void flow_send(struct flow *f, const void *data, size_t len)
{
	flow_segment(f, f->seq, data, len);
	f->seq += (uint32_t)len;
}

static inline void flow_say(struct flow *f, const char *text)
{
	flow_send(f, text, strlen(text));
}

/* How many of the events heard so far carry @ev? */
static inline unsigned int heard(const struct flow *f, uint32_t ev)
{
	unsigned int n = 0;

	assert_true(f->out.nr <= TEST_EVENTS);
	for (uint32_t i = 0; i < f->out.nr; i++)
		n += (f->out.events[i].ev & ev) != 0;
	return n;
}

static inline const struct test_event *nth(const struct flow *f, uint32_t ev, unsigned int n)
{
	for (uint32_t i = 0; i < f->out.nr; i++)
		if ((f->out.events[i].ev & ev) && n-- == 0)
			return &f->out.events[i];
	fail_msg("no event %u", ev);
	return NULL;
}

static inline void assert_heard(const struct flow *f, unsigned int starts, unsigned int heads,
				unsigned int ends)
{
	assert_int_equal(heard(f, EV_START), starts);
	assert_int_equal(heard(f, EV_HEAD), heads);
	assert_int_equal(heard(f, EV_END), ends);
	assert_int_equal(heard(f, EV_LOST | EV_OPAQUE), 0);
	assert_int_equal(f->out.lost, 0);
}

static inline void assert_path(const struct flow *f, unsigned int n, const char *path)
{
	const struct test_event *e = nth(f, EV_START, n);

	assert_int_equal(e->text_len, strlen(path));
	assert_memory_equal(e->path, path, strlen(path));
}

#define POST                                                                                        \
	"POST /cart/add?x=1 HTTP/1.1\r\nHost: localhost:8003\r\nContent-Type: application/json\r\n" \
	"X-Trace-ID: 550e8400-e29b-41d4-a716-446655440000\r\nContent-Length: 11\r\n\r\nhello\r\n\r\nok"
#define OK \
	"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"

static inline int setup(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		printf("SKIP %s: loading BPF programs needs root\n", program_invocation_short_name);
		return 0;
	}
	libbpf_set_print(NULL);
	skel = test_http_bpf__open_and_load();
	return skel ? 0 : -1;
}

static inline int teardown(void **state)
{
	(void)state;
	test_http_bpf__destroy(skel);
	return 0;
}

static inline int each(void **state)
{
	(void)state;
	if (!skel)
		skip();
	return 0;
}

#endif
