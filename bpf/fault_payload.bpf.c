// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fault_payload.bpf.c - another status, other values: bytes of responses, changed in place.
 *
 * A tc egress program on the devices that responses leave by; the draw was
 * made by fault_request.bpf.c, whose maps it shares. cgroup_skb cannot change
 * bytes. A length never changes: TCP has numbered the bytes already.
 *
 *   error     the three digits of the status line. Never of 1xx (not an answer),
 *             204 and 304 (without a body, an answer of another class has no framing and
 *             the client waits for ever). The reason phrase stays; the handler has run.
 *   bad_data  in a JSON body with a Content-Length, uncompressed, within its first
 *             JSON_MAX bytes: after one of the chosen keys, a string becomes null
 *             (padded with blanks), and a number loses its last character and gets a minus in
 *             front. 9.99 is -9.9, 100 is -10, 9.9 is -9. What is too short, has an
 *             exponent, or spans two packets stays, and is counted where nothing
 *             of the response could be changed (out_of_reach). Of one packet 112 blocks are
 *             scanned, and a changed value ends its block: some 100 values a packet.
 *
 * Every packet of a device comes by, also of the other end where client and
 * service share lo: only tuples that the ingress program of the service's
 * cgroup has entered are looked at. What was changed is remembered by TCP sequence
 * number, since the packet here is a clone and a retransmission brings the original.
 *
 * Locally made packets are CHECKSUM_PARTIAL: the sum over the payload is made
 * after us, so stores need no mending.
 *
 * Three programs, in tail calls: enter a packet; read its lines; scan a body. So
 * each stays within what Linux 5.10's verifier will walk.
 */
#include "fault_edit.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define JSON_MAX 4096 /* of a body: writing far into an skb makes it linear */
#define JSON_TURN 4   /* blocks a program scans before a tail call */
#define JSON_TURNS 28 /* such programs a packet; the kernel allows 33 tail calls in all */
#define JSON_BLOCK 64

#define TC_NEXT (-1) /* TC_ACT_UNSPEC and TCX_NEXT: whoever else filters here is still asked */

#define JUMP_READ 0
#define JUMP_SCAN 1

/* Modes of the scanner. */
#define JSON_SEEK 0   /* between strings */
#define JSON_STRING 1 /* in a string that may be a key */
#define JSON_AFTER 2  /* behind a string that is one of the keys: is there a colon? */
#define JSON_VALUE 3  /* before its value */
#define JSON_VSTRING 4
#define JSON_VNUMBER 5

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} payload_jumps SEC(".maps");

/* ---- responses */

static __always_inline bool drawn(const struct fault_conn *conn)
{
	__u32 n = conn->nr_responses;

	return n != conn->nr_requests && (conn->hits >> (n & 63) & 1);
}

/* Its status line has been read. */
static __always_inline void on_status(struct __sk_buff *skb, struct fault_ctl *c,
				      struct fault_conn *conn)
{
	__u16 status = conn->out.status;

	if (conn->heads >> (conn->nr_responses & 63) & 1)
		conn->out.flags |= HTTP_F_NO_BODY;
	conn->json.json = conn->json.encoded = conn->json.spoiled = 0;
	conn->json.left = 0;
	if (c->type != FAULT_ABI_ERROR || status < 200 || !drawn(conn))
		return;
	/* "HTTP/1.1 " is nine bytes; all twelve must be in this packet. */
	__u32 at = conn->out.start_at;

	if (status == 204 || status == 304) {
		__sync_fetch_and_add(&c->spared_requests, 1);
	} else if (at != HTTP_NONE && at + 12 <= conn->out.end &&
		   edit(skb, c, conn, at + 9, 3, FAULT_EDIT_STATUS)) {
		__sync_fetch_and_add(&c->touched_requests, 1);
		__sync_fetch_and_add(&c->touched_packets, 1);
	} else {
		__sync_fetch_and_add(&c->out_of_reach, 1);
	}
}

/* A header line at @at in the window has been read: what kind of body is announced? */
static __always_inline void on_header(struct fault_conn *conn, __u32 at)
{
	struct stream *s = &conn->out;
	__u64 w = http_word(s, at) | HTTP_LOWER;
	__u64 v = http_word(s, at + 8) | HTTP_LOWER;

	if (w != HTTP_W8('c', 'o', 'n', 't', 'e', 'n', 't', '-'))
		return;
	if (v == HTTP_W8('e', 'n', 'c', 'o', 'd', 'i', 'n', 'g'))
		conn->json.encoded = 1;
	if ((v & HTTP_BYTES(5)) != HTTP_W8('t', 'y', 'p', 'e', ':', 0, 0, 0))
		return;
	/* application/json, application/problem+json, text/json: the word, not far behind the colon. */
	for (__u32 i = 13; i < 48; i++)
		if (((http_word(s, at + i) | HTTP_LOWER) & HTTP_BYTES(4)) ==
			    HTTP_W8('j', 's', 'o', 'n', 0, 0, 0, 0) &&
		    at + i < s->nl)
			conn->json.json = 1;
}

/* The head is over. True: there is a body to scan. */
static __always_inline bool on_head(struct fault_ctl *c, struct fault_conn *conn)
{
	struct stream *s = &conn->out;

	if (c->type != FAULT_ABI_BAD_DATA || s->status < 200 || !drawn(conn))
		return false;
	if (s->state != HTTP_BODY || !conn->json.json || conn->json.encoded) {
		__sync_fetch_and_add(&c->out_of_reach, 1);
		return false;
	}
	conn->json.left = s->length > JSON_MAX ? JSON_MAX : s->length;
	conn->json.pos = s->pos - (s->fill - s->cur);
	conn->json.mode = JSON_SEEK;
	conn->json.escaped = 0;
	return true;
}

static __always_inline void on_end(struct fault_ctl *c, struct fault_conn *conn)
{
	if (c->type == FAULT_ABI_BAD_DATA && conn->json.json && !conn->json.encoded &&
	    drawn(conn) && !conn->json.spoiled)
		__sync_fetch_and_add(&c->out_of_reach, 1);
	conn->json.spoiled = conn->json.json = 0;
	conn->json.left = 0;
	if (conn->nr_responses != conn->nr_requests)
		conn->nr_responses++;
}

/* 0: the packet is used up; JUMP_… + 1: go on there. */
static __always_inline int read_responses(struct __sk_buff *skb, struct fault_ctl *c,
					  struct fault_conn *conn)
{
	struct stream *s = &conn->out;

	for (int i = 0; i < FAULT_STEPS; i++) {
		__u32 line = s->cur;
		__u8 state = s->state;
		__u32 ev = http_step(s, skb, true, 0);

		if (ev & HTTP_EV_START)
			on_status(skb, c, conn);
		else if (state == HTTP_HEAD && c->type == FAULT_ABI_BAD_DATA && !ev)
			on_header(conn, line);
		if (ev & HTTP_EV_HEAD && on_head(c, conn))
			return JUMP_SCAN + 1;
		if (ev & HTTP_EV_END)
			on_end(c, conn);
		if (ev & HTTP_EV_STOP)
			return 0;
	}
	return JUMP_READ + 1;
}

/* ---- JSON */

/* Without a branch, for the verifier's sake: 0 - 1 alone has the top bit set. Unused keys are all zero, and no string is (its hash begins elsewhere). */
static __always_inline bool is_key(const struct fault_ctl *c, __u32 hash, __u32 len)
{
	__u64 found = 0;

	for (__u32 i = 0; i < FAULT_ABI_KEYS; i++)
		found |= (__u64)((c->keys[i].hash ^ hash) | (c->keys[i].len ^ len)) - 1;
	return found >> 63;
}

/* A value that one of the keys names ends at @end: change it. */
static __always_inline void spoil(struct __sk_buff *skb, struct fault_ctl *c,
				  struct fault_conn *conn, __u32 end, __u16 kind)
{
	struct fault_json *j = &conn->json;
	__u32 at = j->value_at;
	__u32 len = end - at;

	if (at == HTTP_NONE || end < at || (kind == FAULT_EDIT_MINUS && j->exponent) ||
	    !edit(skb, c, conn, at, len, kind))
		return;
	__sync_fetch_and_add(&c->touched_packets, 1);
	if (!j->spoiled) {
		j->spoiled = 1;
		__sync_fetch_and_add(&c->touched_requests, 1);
	}
}

/* A byte within a string. Returns the kind of edit that its end calls for, or 0. */
static __always_inline __u32 scan_string(const struct fault_ctl *c, struct fault_json *j, __u8 mode,
					 __u8 ch)
{
	if (ch == '"' && !j->escaped) {
		bool key = mode == JSON_STRING && is_key(c, j->hash, j->len);

		j->mode = key ? JSON_AFTER : JSON_SEEK;
		return mode == JSON_VSTRING ? FAULT_EDIT_NULL : 0;
	}
	j->escaped = ch == '\\' && !j->escaped;
	j->hash = (j->hash ^ ch) * FAULT_FNV_PRIME;
	j->len++;
	return 0;
}

/* One byte of the body, at @pos. Returns the kind of edit that the value which ends BEFORE it (number) or WITH it (string) calls for, or 0. */
static __always_inline __u32 scan(const struct fault_ctl *c, struct fault_json *j, __u8 ch,
				  __u32 pos)
{
	__u8 mode = j->mode;

	if (mode == JSON_STRING || mode == JSON_VSTRING)
		return scan_string(c, j, mode, ch);
	if (mode == JSON_VNUMBER) {
		if ((__u8)(ch - '0') < 10 || ch == '.')
			return 0;
		if ((ch | 0x20) == 'e' || ch == '+' || ch == '-') {
			j->exponent = 1;
			return 0;
		}
		/* ch is a comma, a bracket or a blank: nothing that begins something. */
		j->mode = JSON_SEEK;
		return FAULT_EDIT_MINUS;
	}
	if (ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n')
		return 0;

	__u8 next = JSON_SEEK;

	if (mode == JSON_AFTER && ch == ':')
		next = JSON_VALUE;
	else if (ch == '"')
		next = mode == JSON_VALUE ? JSON_VSTRING : JSON_STRING;
	else if (mode == JSON_VALUE && (__u8)(ch - '0') < 10)
		next = JSON_VNUMBER;
	j->mode = next;
	j->hash = FAULT_FNV_BASIS;
	j->len = 0;
	j->escaped = j->exponent = 0;
	j->value_at = pos;
	return 0;
}

/* One block of the body, or as far as the first value that is to be changed. False: nothing is left here. */
static __always_inline bool scan_block(struct __sk_buff *skb, struct fault_ctl *c,
				       struct fault_conn *conn)
{
	struct fault_json *j = &conn->json;
	char block[JSON_BLOCK];
	__u32 pos = j->pos, kind = 0, i;
	__u32 n = conn->out.end - pos;

	if (n > j->left)
		n = j->left;
	if (n > JSON_BLOCK)
		n = JSON_BLOCK;
	__u32 less = n - 1;

	AT_LEAST_ONE(less, JSON_BLOCK, return false);
	n = less + 1;
	if (bpf_skb_load_bytes(skb, pos, block, n))
		return false;
	for (i = 0; i < JSON_BLOCK; i++) {
		if (i >= n || kind)
			break;
		kind = scan(c, j, block[i], pos + i);
	}
	/* By way of memory: the verifier forgets where the loop ended, and does not walk on from each place anew. */
	*(volatile __u32 *)&j->scanned = i;
	*(volatile __u8 *)&j->kind = kind;
	i = *(volatile __u32 *)&j->scanned;
	kind = *(volatile __u8 *)&j->kind;
	j->pos = pos + i;
	j->left -= i;
	/* A number ends before the byte that ended it, a string with its quote. */
	if (kind)
		spoil(skb, c, conn, kind == FAULT_EDIT_MINUS ? pos + i - 1 : pos + i, kind);
	return true;
}

/* Some blocks; true when all of the body that this packet has is done. */
static __always_inline bool scan_blocks(struct __sk_buff *skb, struct fault_ctl *c,
					struct fault_conn *conn)
{
	for (int b = 0; b < JSON_TURN; b++)
		if (!scan_block(skb, c, conn))
			return true;
	if (++conn->json.turns >= JSON_TURNS) {
		conn->json.left = 0;
		return true;
	}
	return !conn->json.left || conn->json.pos >= conn->out.end;
}

/* ---- programs */

/* Where the IP header begins: behind an Ethernet header, or at once (tun). */
static __always_inline bool place(struct __sk_buff *skb, __u32 *net)
{
	__u32 protocol = fault_protocol(skb);
	__u16 type = 0;
	__u8 first = 0;

	if (!bpf_skb_load_bytes(skb, 12, &type, sizeof(type)) && type == protocol) {
		*net = 14;
		return true;
	}
	*net = 0;
	if (bpf_skb_load_bytes(skb, 0, &first, sizeof(first)))
		return false;
	return first >> 4 == (protocol == bpf_htons(FAULT_ETH_P_IP) ? 4 : 6);
}

static __always_inline struct fault_conn *conn_of(struct __sk_buff *skb, const struct fault_ctl *c,
						  struct fault_packet *p)
{
	__u32 net;

	if (!place(skb, &net) || !fault_dissect(skb, net, true, p) ||
	    !fault_is_port(c, p->tuple.local_port_be))
		return NULL;
	return bpf_map_lookup_elem(&conns, &p->tuple);
}

/* 33 tail calls were not enough: where the next answer begins, and to what, is unknown. */
static __always_inline void give_up(struct fault_conn *conn)
{
	http_lose(&conn->out);
	conn->nr_responses = conn->nr_requests;
	conn->json.left = 0;
}

SEC("tc")
int fault_payload(struct __sk_buff *skb)
{
	struct fault_ctl *c = fault_ctl();
	struct fault_packet p;
	bool lost;

	if (!c || !fault_active(c))
		return TC_NEXT;
	struct fault_conn *conn = conn_of(skb, c, &p);

	if (!conn || !p.len)
		return TC_NEXT;

	struct stream *s = &conn->out;
	__u32 expected = s->next_seq;
	bool known = s->state != HTTP_NEW;

	if (known && (__s32)(p.seq - expected) < 0)
		repeat(skb, c, conn, &p);
	if (!http_begin(s, p.seq, p.off, p.len, false, &lost))
		return TC_NEXT;
	/* Behind a hole nobody knows which answer this is; the next to start may belong to any request. */
	if (lost)
		conn->nr_responses = conn->nr_requests;
	conn->out_seq = p.seq;
	conn->out_off = p.off;
	conn->json.pos = s->from;
	conn->json.value_at = HTTP_NONE;
	conn->json.turns = 0;
	if (known && (__s32)(p.seq - expected) > 0)
		conn->json.left = 0;
	bpf_tail_call(skb, &payload_jumps, conn->json.left ? JUMP_SCAN : JUMP_READ);
	return TC_NEXT;
}

SEC("tc")
int fault_payload_read(struct __sk_buff *skb)
{
	struct fault_ctl *c = fault_ctl();
	struct fault_packet p;

	if (!c)
		return TC_NEXT;
	struct fault_conn *conn = conn_of(skb, c, &p);

	if (!conn)
		return TC_NEXT;
	int jump = read_responses(skb, c, conn);

	if (jump == JUMP_SCAN + 1)
		bpf_tail_call(skb, &payload_jumps, JUMP_SCAN);
	else if (jump == JUMP_READ + 1)
		bpf_tail_call(skb, &payload_jumps, JUMP_READ);
	else
		return TC_NEXT;
	give_up(conn);
	return TC_NEXT;
}

SEC("tc")
int fault_payload_scan(struct __sk_buff *skb)
{
	struct fault_ctl *c = fault_ctl();
	struct fault_packet p;

	if (!c)
		return TC_NEXT;
	struct fault_conn *conn = conn_of(skb, c, &p);

	if (!conn)
		return TC_NEXT;
	if (scan_blocks(skb, c, conn))
		bpf_tail_call(skb, &payload_jumps, JUMP_READ);
	else
		bpf_tail_call(skb, &payload_jumps, JUMP_SCAN);
	give_up(conn);
	return TC_NEXT;
}
