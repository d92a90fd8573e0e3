// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_http.bpf.c - the parser of http.bpf.h behind BPF_PROG_TEST_RUN; part of
 * no product. A packet is 14 bytes of anything, then payload. What the parser
 * said is in `out`, to be read and cleared between packets.
 */
#include "http.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct test_in {
	__u32 seq;
	__u8 response;
	__u8 fresh;
	__u8 no_body;
	__u8 pad;
	__u64 now;
};

#define TEST_EVENTS 64
struct test_event {
	__u32 ev;
	__u16 method;
	__u16 status;
	__u32 start_at;
	__u32 path_len;
	__u64 length;
	__u64 first_ns;
	char path[ABI_PATH_MAX];
	char trace[ABI_TRACE_MAX];
};

struct test_out {
	__u32 nr;
	__u32 state;
	__u32 lost; /* holes */
	__u32 steps_left;
	__u64 bytes;
	struct test_event events[TEST_EVENTS];
};

struct test_in in;
struct test_out out;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct stream);
} streams SEC(".maps");

static __always_inline void note(struct stream *s, __u32 ev)
{
	__u32 i = out.nr;

	if (!(ev & ~HTTP_EV_STOP))
		return;
	out.nr++;
	if (i >= TEST_EVENTS)
		return;

	struct test_event *e = &out.events[i];

	e->ev = ev;
	e->method = s->method;
	e->status = s->status;
	e->start_at = s->start_at;
	e->length = s->length;
	e->first_ns = s->first_ns;
	if (ev & HTTP_EV_START)
		e->path_len = http_path(s, e->path);
	if (ev & (HTTP_EV_TRACE | HTTP_EV_PARENT))
		e->path_len = http_trace(s, e->trace);
}

static __always_inline int feed(struct __sk_buff *skb, bool response)
{
	__u32 key = response;
	struct stream *s = bpf_map_lookup_elem(&streams, &key);
	bool lost;

	if (!s || skb->len <= 14)
		return 0;
	if (http_begin(s, in.seq, 14, skb->len - 14, in.fresh, &lost)) {
		int i;

		for (i = 0; i < HTTP_STEPS; i++) {
			__u32 ev = http_step(s, skb, response, in.now);

			note(s, ev);
			if ((ev & HTTP_EV_START) && in.no_body)
				s->flags |= HTTP_F_NO_BODY;
			if (ev & HTTP_EV_STOP)
				break;
		}
		out.steps_left = HTTP_STEPS - i;
	}
	out.lost += lost;
	out.state = s->state;
	out.bytes = s->bytes;
	return 0;
}

SEC("tc")
int test_request(struct __sk_buff *skb)
{
	return feed(skb, false);
}

SEC("tc")
int test_response(struct __sk_buff *skb)
{
	return feed(skb, true);
}
