// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_http.bpf.c - the parser of http.bpf.h behind BPF_PROG_TEST_RUN; part of
 * no product. A packet is 14 bytes of anything, then payload. What the parser
 * said is in `out`, to be read and cleared between packets.
 */
#include "http.bpf.h"
#include "tests/bpf/test_http.h"

char LICENSE[] SEC("license") = "GPL";

_Static_assert(EV_START == HTTP_EV_START && EV_HEAD == HTTP_EV_HEAD && EV_END == HTTP_EV_END &&
		       EV_TRACE == HTTP_EV_TRACE && EV_LOST == HTTP_EV_LOST &&
		       EV_OPAQUE == HTTP_EV_OPAQUE && EV_PARENT == HTTP_EV_PARENT,
	       "events");
_Static_assert(STATE_SYNC == HTTP_SYNC && STATE_START == HTTP_START &&
		       STATE_UNTIL_CLOSE == HTTP_UNTIL_CLOSE && STATE_OPAQUE == HTTP_OPAQUE,
	       "states");

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
		e->text_len = http_path(s, e->path);
	if (ev & (HTTP_EV_TRACE | HTTP_EV_PARENT))
		e->text_len = http_trace(s, e->trace);
}

static __always_inline int feed(struct __sk_buff *skb, bool response)
{
	__u32 key = response;
	struct stream *s = bpf_map_lookup_elem(&streams, &key);
	bool lost = false;

	if (!s || skb->len <= 14)
		return 0;
	if (!in.more && !http_begin(s, in.seq, 14, skb->len - 14, in.fresh, &lost)) {
		out.stopped = 1;
		return 0;
	}
	out.stopped = 0;
	_Pragma("clang loop unroll(disable)") for (int i = 0; i < HTTP_STEPS; i++)
	{
		__u32 ev = http_step(s, skb, response, in.now);

		note(s, ev);
		if ((ev & HTTP_EV_START) && in.no_body)
			s->flags |= HTTP_F_NO_BODY;
		if (ev & HTTP_EV_STOP) {
			out.stopped = 1;
			break;
		}
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
