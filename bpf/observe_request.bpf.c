// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * observe_request.bpf.c - requests of services, seen where packets pass sockets.
 *
 * Attached at the root of the cgroup v2 hierarchy, so every socket of the host
 * passes here; most leave after a few loads. A socket learns once what it is:
 * a server's (its local port is a service's), a client's (its cgroup, the
 * process that called connect(), or its cookie is a service's), or neither.
 * When services change, userspace raises config.epoch and each socket decides
 * again with its next packet. Where client and server are both here, each end
 * counts for itself; the client's end leaves its name in `peers` for the server's.
 *
 * Behaves well: keep-alive, pipelining, split heads, retransmissions, bodies of
 * any size by whatever syscall they were sent, connections older than us,
 * the request on the handshake's ACK (which arrives at the listener and is
 * parked until the socket exists).
 * Does not: HTTP/2, TLS (counted as unparsed); segments that arrive out of order
 * in a head (the place is lost, counted, and found again).
 *
 * A server's duration ends when the response leaves: at the later of now and
 * the time stamped on the packet for fq, so that a delay is in it.
 */
#include "vmlinux.h"

#include <bpf/bpf_tracing.h>

#include "conn.bpf.h"
#include "flight.bpf.h"
#include "order.bpf.h"
#include "role.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * The second half: who it is was decided, the bytes are placed in the stream.
 * One loop a program keeps the verifier's work small on every kernel; a packet
 * with more lines than a loop has turns goes round again, up to the kernel's
 * limit of 33 tail calls.
 */
#define PARSE_REQUESTS 0
#define PARSE_RESPONSES 1
#define PARSE_PARKED 2
#define PARSE_STASHED_REQUESTS 3
#define PARSE_STASHED_RESPONSES 4

#define STASHED_STEPS \
	12 /* such segments are rare, and the verifier has two kinds of memory to follow */

#define PARSERS(name, ...)                                \
	struct {                                          \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);    \
		__uint(max_entries, 5);                   \
		__uint(key_size, sizeof(__u32));          \
		__array(values, int(struct __sk_buff *)); \
	} name SEC(".maps") = { .values = { __VA_ARGS__ } }

int in_requests(struct __sk_buff *skb);
int in_responses(struct __sk_buff *skb);
int in_parked(struct __sk_buff *skb);
int in_stashed_requests(struct __sk_buff *skb);
int in_stashed_responses(struct __sk_buff *skb);
int out_requests(struct __sk_buff *skb);
int out_responses(struct __sk_buff *skb);

PARSERS(parse_in, (void *)&in_requests, (void *)&in_responses, (void *)&in_parked,
	(void *)&in_stashed_requests, (void *)&in_stashed_responses);
PARSERS(parse_out, (void *)&out_requests, (void *)&out_responses);

/* When a packet leaves: now, or when fq lets it go. */
static __always_inline __u64 packet_time(struct __sk_buff *skb, bool egress)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 later = egress ? skb->tstamp - now : 0;

	return later - 1 < MAX_FUTURE_NS ? now + later : now;
}

/* false: the segment holds more than one program may read. */
static __always_inline bool conn_requests(struct conn *c, const struct http_bytes *b, __u64 now,
					  int steps)
{
	_Pragma("clang loop unroll(disable)") for (int i = 0; i < steps; i++)
	{
		__u32 ev = http_step_in(&c->requests, b, false, now);

		if (ev & ~(HTTP_EV_STOP | HTTP_EV_HEAD | HTTP_EV_END))
			conn_request_event(c, ev);
		if (ev & HTTP_EV_STOP)
			return true;
	}
	return false;
}

static __always_inline bool conn_responses(struct conn *c, const struct http_bytes *b, __u64 now,
					   int steps)
{
	_Pragma("clang loop unroll(disable)") for (int i = 0; i < steps; i++)
	{
		__u32 ev = http_step_in(&c->responses, b, true, now);

		if (ev & ~(HTTP_EV_STOP | HTTP_EV_HEAD))
			conn_response_event(c, ev, now);
		if (ev & HTTP_EV_STOP)
			return true;
	}
	return false;
}

/* Did the process close it, both ways? A client may close its sending half and still wait for the answer. */
static __always_inline bool sock_closed(struct bpf_sock *sk)
{
	struct sock *s = (struct sock *)bpf_skc_to_tcp_sock(sk);

	return s && BPF_CORE_READ_BITFIELD_PROBED(s, sk_shutdown) == 3;
}

/* FIN and RST, after the packet's payload. */
static __always_inline void conn_close(struct conn *c, struct bpf_sock *sk, __u32 seq, __u8 flags,
				       bool egress, bool response, __u64 now)
{
	struct stream *s = response ? &c->responses : &c->requests;

	/* Anybody may send a RST (RFC 5961), and a FIN may overtake data: out of place, both change nothing. */
	if (!egress && s->state != HTTP_NEW && seq != s->next_seq)
		return;
	if (flags & TCP_FLAG_RST) {
		conn_abort(c, now);
		return;
	}
	if (response) {
		if (s->state == HTTP_UNTIL_CLOSE) {
			conn_finish(c, now);
			s->state = HTTP_START;
		}
		conn_abort(c, now);
	} else if (egress && sock_closed(sk)) {
		conn_abort(c, now);
	}
}

/* The loop of a packet found no end within the kernel's limit: give up the place, and count it. */
static __always_inline void give_up(struct conn *c, bool response)
{
	http_lose(response ? &c->responses : &c->requests);
	conn_unparsed(c, response, false);
	ADD(stats.streams_budget, 1);
}

/* Neither comes back, unless the kernel's limit is reached. */
static __always_inline void go_parse(struct __sk_buff *skb, bool egress, bool response)
{
	if (egress)
		bpf_tail_call(skb, &parse_out, response ? PARSE_RESPONSES : PARSE_REQUESTS);
	else
		bpf_tail_call(skb, &parse_in, response ? PARSE_RESPONSES : PARSE_REQUESTS);
}

static __always_inline void go_stashed(struct __sk_buff *skb, bool response)
{
	bpf_tail_call(skb, &parse_in, response ? PARSE_STASHED_RESPONSES : PARSE_STASHED_REQUESTS);
}

/* This CPU is done with the connection, unless something waited for that. */
static __always_inline void leave(struct __sk_buff *skb, struct conn_entry *e, bool response)
{
	if (!order_leave(e))
		return;
	go_stashed(skb, response);
	order_release(e); /* the rest waits for the next packet */
}

/* Put the packet in its place in the stream and go to its parser; comes back when there is nothing to parse. */
static __always_inline void place(struct __sk_buff *skb, struct conn *c, struct bpf_sock *sk,
				  const struct packet *p, bool egress, bool response)
{
	struct stream *s = response ? &c->responses : &c->requests;
	bool lost = false;
	__u32 fresh = 0;

	/* What a reset carries is no part of the stream (RFC 9293, 3.10.7.4), and anybody's. */
	if (p->len && !(p->flags & TCP_FLAG_RST))
		fresh = http_begin(s, p->seq, p->off, p->len, c->fresh, &lost);
	if (lost)
		conn_unparsed(c, response, false);
	if (fresh) {
		skb->cb[0] = p->flags;
		go_parse(skb, egress, response);
	}
	if (p->flags & (TCP_FLAG_FIN | TCP_FLAG_RST))
		conn_close(c, sk, p->seq, p->flags, egress, response, packet_time(skb, egress));
}

/* A request on the ACK that completes a handshake: its socket does not exist yet. */
static __always_inline void park(struct __sk_buff *skb, struct bpf_sock *sk, const struct packet *p)
{
	struct role r = { .role = ROLE_SERVER };
	struct peer_key key;
	bool lost;

	r.server = service_of_port(sock_netns(sk), p->dest);
	if (!r.server)
		return;

	bool local = parked_key(skb, sk, p, true, &key);

	struct parked_conn *at = bpf_map_lookup_elem(&parked, &key);

	/* Another connection of the same ports that was never accepted. */
	if (at && at->conn.requests.next_seq - p->seq > 1U << 20)
		at = NULL;
	if (!at) {
		if (bpf_map_update_elem(&parked, &key, &no_conn, BPF_ANY))
			return;
		at = bpf_map_lookup_elem(&parked, &key);
		if (!at)
			return;
		ADD(stats.listener_parked, 1);
	}

	struct conn *c = &at->conn;

	r.client = client_of(&key, local);
	role_set(c, &r, config.epoch);
	c->fresh = 1;
	parked_hint = 1;
	if (http_begin(&c->requests, p->seq, p->off, p->len, true, &lost))
		bpf_tail_call(skb, &parse_in, PARSE_PARKED);
}

static __always_inline int observe(struct __sk_buff *skb, bool egress)
{
	struct packet p;
	struct bpf_sock *sk;
	struct conn *c;

	if (!packet_tcp(skb, 0, &p))
		return 1;
	/* Bare ACKs are the most; one of them adopts what was parked. */
	if (!p.len && !(p.flags & (TCP_FLAG_FIN | TCP_FLAG_RST)) && !(egress && parked_hint))
		return 1;
	sk = skb->sk;
	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	if (!egress && sk->state == BPF_TCP_LISTEN) {
		if (p.len)
			park(skb, sk, &p);
		return 1;
	}
	if (sk->state == BPF_TCP_SYN_SENT)
		return 1;
	c = conn_get(skb, sk, &p, egress);
	if (!c || c->role == ROLE_NONE || c->dead)
		return 1;

	struct conn_entry *e = (struct conn_entry *)c;
	bool response = egress == (c->role == ROLE_SERVER);

	if (egress) {
		place(skb, c, sk, &p, egress, response);
		return 1;
	}

	int turn = order_enter(skb, e, &p, response ? &c->responses : &c->requests, sk);

	if (turn == ORDER_PARSE)
		place(skb, c, sk, &p, egress, response);
	if (turn != ORDER_DONE)
		leave(skb, e, response);
	return 1;
}

static __always_inline int parse(struct __sk_buff *skb, bool egress, bool response)
{
	const struct http_bytes b = { .skb = skb };
	__u8 flags =
		skb->cb[0]; /* of the TCP header, from place(); the kernel clears cb before each packet */
	struct bpf_sock *sk = skb->sk;
	struct conn_entry *e;
	struct conn *c;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	e = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (!e)
		return 1;
	c = &e->conn;

	__u64 now = packet_time(skb, egress);

	if (!(response ? conn_responses(c, &b, now, HTTP_STEPS) :
			 conn_requests(c, &b, now, HTTP_STEPS))) {
		go_parse(skb, egress, response);
		give_up(c, response);
	}
	/* The payload was new, so its end is the stream's. */
	if (flags & (TCP_FLAG_FIN | TCP_FLAG_RST))
		conn_close(c, sk, (response ? &c->responses : &c->requests)->next_seq, flags,
			   egress, response, now);
	if (!egress) {
		e->waiting = 0;
		leave(skb, e, response);
	}
	return 1;
}

/* A segment that waited, one a run. */
static __always_inline int parse_stashed(struct __sk_buff *skb, bool response)
{
	struct bpf_sock *sk = skb->sk;
	struct http_bytes b = { 0 };
	struct conn_entry *e;
	struct stash *st;
	bool lost;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	e = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (!e)
		return 1;

	struct conn *c = &e->conn;
	struct stream *s = response ? &c->responses : &c->requests;
	__u32 slot = e->slot;
	bool more = slot;

	st = more ? stash_get(skb, slot - 1) : order_turn(skb, e, s, &slot);
	if (!slot) {
		leave(skb, e, response);
		return 1;
	}
	if (st && !more) {
		more = !c->dead && st->len && http_begin(s, st->seq, 0, st->len, c->fresh, &lost);
		e->slot = slot;
	}
	if (st && more) {
		__u64 now = bpf_ktime_get_ns();

		b.copy = st->data;
		if (!(response ? conn_responses(c, &b, now, STASHED_STEPS) :
				 conn_requests(c, &b, now, STASHED_STEPS))) {
			go_stashed(skb, response);
			give_up(c, response);
		}
	}
	if (st && (st->flags & TCP_FLAG_FIN))
		conn_close(c, sk, st->seq + st->len, st->flags, false, response,
			   bpf_ktime_get_ns());
	stash_drop(skb, e, slot - 1);
	e->slot = 0;
	e->waiting = 0;
	leave(skb, e, response);
	return 1;
}

/* Whose client is it? Only looks: every connect() is allowed. */
static __always_inline int note_connect(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct note *note;

	if (!sk)
		return 1;
	note = bpf_sk_storage_get(&notes, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (note) {
		note->tgid = bpf_get_current_pid_tgid() >> 32;
		note->bystander = 0;
	}
	return 1;
}

SEC("cgroup/connect4")
int note_connect4(struct bpf_sock_addr *ctx)
{
	return note_connect(ctx);
}

SEC("cgroup/connect6")
int note_connect6(struct bpf_sock_addr *ctx)
{
	return note_connect(ctx);
}

/* A connection that ends with no packet of its own: killed, or closed after the other side was. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sock_state, struct sock *sk, int from, int to)
{
	struct conn *c;

	if (to != BPF_TCP_CLOSE)
		return 0;
	c = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (c && c->role != ROLE_NONE)
		conn_abort(c, bpf_ktime_get_ns());
	return 0;
}

SEC("cgroup_skb/ingress")
int observe_ingress(struct __sk_buff *skb)
{
	return observe(skb, false);
}

SEC("cgroup_skb/egress")
int observe_egress(struct __sk_buff *skb)
{
	return observe(skb, true);
}

SEC("cgroup_skb/ingress")
int in_requests(struct __sk_buff *skb)
{
	return parse(skb, false, false);
}

SEC("cgroup_skb/ingress")
int in_responses(struct __sk_buff *skb)
{
	return parse(skb, false, true);
}

SEC("cgroup_skb/ingress")
int in_parked(struct __sk_buff *skb)
{
	const struct http_bytes b = { .skb = skb };
	struct packet p;
	struct peer_key key;
	struct parked_conn *at;
	struct bpf_sock *sk = skb->sk;

	if (!sk || !packet_tcp(skb, 0, &p))
		return 1;
	parked_key(skb, sk, &p, true, &key);
	at = bpf_map_lookup_elem(&parked, &key);
	if (at && !conn_requests(&at->conn, &b, bpf_ktime_get_ns(), HTTP_STEPS)) {
		bpf_tail_call(skb, &parse_in, PARSE_PARKED);
		give_up(&at->conn, false);
	}
	return 1;
}

SEC("cgroup_skb/ingress")
int in_stashed_requests(struct __sk_buff *skb)
{
	return parse_stashed(skb, false);
}

SEC("cgroup_skb/ingress")
int in_stashed_responses(struct __sk_buff *skb)
{
	return parse_stashed(skb, true);
}

SEC("cgroup_skb/egress")
int out_requests(struct __sk_buff *skb)
{
	return parse(skb, true, false);
}

SEC("cgroup_skb/egress")
int out_responses(struct __sk_buff *skb)
{
	return parse(skb, true, true);
}
