/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_http.h - what the test of the HTTP parser and its BPF program tell each other.
 */
#ifndef ARCHAIC_TEST_HTTP_H
#define ARCHAIC_TEST_HTTP_H

#include "bpf/abi.h"

struct test_in {
	__u64 now;
	__u32 seq;
	__u8 fresh;   /* the connection was seen from its start */
	__u8 no_body; /* the response answers a HEAD */
	__u8 more;    /* go on with the packet of the last run */
	__u8 pad;
};

/* Events and states as in http.bpf.h, which userspace cannot include: test_http.bpf.c asserts that they are the same. */
#define EV_START 1
#define EV_HEAD 2
#define EV_END 4
#define EV_TRACE 8
#define EV_LOST 16
#define EV_OPAQUE 32
#define EV_PARENT 128
#define STATE_SYNC 1
#define STATE_START 2
#define STATE_UNTIL_CLOSE 9
#define STATE_OPAQUE 10

#define TEST_EVENTS 64
struct test_event {
	__u32 ev; /* EV_*, and the parser's "stop" */
	__u16 method;
	__u16 status;
	__u32 start_at;
	__u32 text_len; /* of path or trace */
	__u64 length;
	__u64 first_ns;
	char path[ABI_PATH_MAX];
	char trace[ABI_TRACE_MAX];
};

struct test_out {
	__u64 bytes;
	__u32 nr; /* events */
	__u32 state;
	__u32 lost;    /* holes */
	__u32 stopped; /* the packet is used up */
	struct test_event events[TEST_EVENTS];
};

#endif
