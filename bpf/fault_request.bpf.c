// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fault_request.bpf.c - the draw, the delay and the loss of one fault.
 *
 * Attached to the service's own cgroup while the fault is armed, and confined
 * to its sockets by local port and network namespace, since a cgroup may be
 * shared.
 *
 * Ingress reads the requests (http.bpf.h) and draws once for each, at its
 * start line: that is the first moment when the path is known, and paths that
 * are exempt must not be drawn. What was drawn is kept for the response:
 *   timeout   a release time for the whole connection, the latest of those drawn.
 *             Everything of a response waits for one instant and then flows; TCP
 *             is in order, so what follows on the connection waits too.
 *   error, bad_data   a bit per request; fault_payload.bpf.c finds the response.
 *   crash     an event: the daemon kills by pidfd (bpf_send_signal is not to be
 *             had here).
 *   loss      the connection's packets may be dropped until its next request.
 * Egress stamps (EDT, the fq qdisc holds) or drops. Segments without payload
 * are never delayed, or the handshake waits twice; FIN follows the payload.
 *
 * When it does not do well: of pipelined requests an earlier, undrawn response
 * that has not left yet waits with a drawn one. HTTP/2 and TLS are not read:
 * nothing is drawn, and the daemon's canary says so.
 */
#include "fault_common.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} jumps SEC(".maps");

static const struct fault_conn no_conn;

static __always_inline bool in_netns(struct __sk_buff *skb, __u32 ino)
{
	struct bpf_sock *sk = skb->sk;

	if (!ino)
		return true;
	if (!sk)
		return false;
	struct tcp_sock *tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);

	return tp &&
		BPF_CORE_READ(tp, inet_conn.icsk_inet.sk.__sk_common.skc_net.net, ns.inum) == ino;
}

/* Is this packet of the service that we are to hurt? */
static __always_inline bool ours(struct __sk_buff *skb, const struct fault_ctl *c, bool egress,
				 struct fault_packet *p)
{
	return fault_dissect(skb, 0, egress, p) && fault_is_port(c, p->tuple.local_port_be) &&
		in_netns(skb, c->netns_ino);
}

static __always_inline bool path_ends(__u8 c)
{
	return c == ' ' || c == '?' || c == '\r' || c == '\n';
}

#define P8 HTTP_W8

/* The path at s->at, as words; never hurt: /inject-failure, /reset; liveness only if asked. */
static __always_inline bool exempt(const struct stream *s, bool match_health)
{
	__u32 at = s->at;
	__u64 a = http_word(s, at), b = http_word(s, at + 8);

	if (a == P8('/', 'i', 'n', 'j', 'e', 'c', 't', '-') &&
	    (b & HTTP_BYTES(7)) == P8('f', 'a', 'i', 'l', 'u', 'r', 'e', 0))
		return path_ends(b >> 56);
	if ((a & HTTP_BYTES(6)) == P8('/', 'r', 'e', 's', 'e', 't', 0, 0))
		return path_ends(a >> 48);
	if (match_health)
		return false;
	if ((a & HTTP_BYTES(7)) == P8('/', 'h', 'e', 'a', 'l', 't', 'h', 0))
		return path_ends(a >> 56) || ((__u8)(a >> 56) == 'z' && path_ends(b));
	if ((a & HTTP_BYTES(6)) == P8('/', 'l', 'i', 'v', 'e', 'z', 0, 0))
		return path_ends(a >> 48);
	if ((a & HTTP_BYTES(7)) == P8('/', 'r', 'e', 'a', 'd', 'y', 'z', 0))
		return path_ends(a >> 56);
	return false;
}

static __always_inline void tell(struct fault_ctl *c)
{
	struct fault_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(&c->events_lost, 1);
		return;
	}
	e->at_ns = bpf_ktime_get_boot_ns();
	e->draw = c->draws;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
}

/* A request's start line has been read: draw for it. */
static __always_inline void on_request(struct fault_ctl *c, struct fault_conn *conn)
{
	__u32 n = conn->nr_requests;
	__u64 bit = 1ULL << (n & 63);
	bool hit = !exempt(&conn->in, c->match_health) && fault_draw(c);

	conn->hits = hit ? conn->hits | bit : conn->hits & ~bit;
	conn->heads = conn->in.method == ABI_METHOD_HEAD ? conn->heads | bit : conn->heads & ~bit;
	conn->lossy = hit;
	conn->lost = 0;
	conn->nr_requests = n + 1;
	if (!hit) {
		__sync_fetch_and_add(&c->spared_requests, 1);
		return;
	}
	if (c->type == FAULT_ABI_TIMEOUT) {
		__u64 release = bpf_ktime_get_ns() + c->delay_ns;

		if (release > conn->head.release_ns)
			conn->head.release_ns = release;
		__sync_fetch_and_add(&c->touched_requests, 1);
	} else if (c->type == FAULT_ABI_CRASH) {
		__sync_fetch_and_add(&c->touched_requests, 1);
		tell(c);
	}
}

/* Read on until the packet is used up; false when the loop ran out before. */
static __always_inline bool read_requests(struct __sk_buff *skb, struct fault_ctl *c,
					  struct fault_conn *conn)
{
	for (int i = 0; i < FAULT_STEPS; i++) {
		__u32 ev = http_step(&conn->in, skb, false, 0);

		if (ev & HTTP_EV_START)
			on_request(c, conn);
		if (ev & HTTP_EV_STOP)
			return true;
	}
	return false;
}

static __always_inline struct fault_conn *conn_of(struct fault_ctl *c,
						  const struct fault_tuple *tuple)
{
	struct fault_conn *conn = bpf_map_lookup_elem(&conns, tuple);

	if (conn)
		return conn;
	if (bpf_map_update_elem(&conns, tuple, &no_conn, BPF_NOEXIST))
		__sync_fetch_and_add(&c->conns_full, 1);
	return bpf_map_lookup_elem(&conns, tuple);
}

SEC("cgroup_skb/ingress")
int fault_ingress(struct __sk_buff *skb)
{
	struct fault_ctl *c = fault_ctl();
	struct fault_packet p;
	bool lost;

	if (!c || !fault_active(c) || !ours(skb, c, false, &p))
		return 1;
	__sync_fetch_and_add(&c->seen_packets, 1);
	if (p.flags & FAULT_TCP_SYN) {
		bpf_map_delete_elem(&conns, &p.tuple);
		return 1;
	}
	if (!p.len)
		return 1;

	struct fault_conn *conn = conn_of(c, &p.tuple);

	if (conn && http_begin(&conn->in, p.seq, p.off, p.len, false, &lost))
		bpf_tail_call(skb, &jumps, 0);
	return 1;
}

/* Reads the packet that fault_ingress placed; again and again where it holds more than one turn may read. */
SEC("cgroup_skb/ingress")
int fault_read(struct __sk_buff *skb)
{
	struct fault_ctl *c = fault_ctl();
	struct fault_packet p;

	if (!c || !ours(skb, c, false, &p))
		return 1;
	struct fault_conn *conn = bpf_map_lookup_elem(&conns, &p.tuple);

	if (!conn || read_requests(skb, c, conn))
		return 1;
	bpf_tail_call(skb, &jumps, 0);
	http_lose(&conn->in); /* 33 turns were not enough */
	return 1;
}

/* Drop as a network would: 2 is "drop, and let the sender believe that it went" (5.3); 0 would be EPERM. */
static __always_inline int lose(struct fault_ctl *c, struct fault_conn *conn)
{
	if (!conn->lossy || bpf_get_prandom_u32() >= c->loss_threshold)
		return 1;
	__sync_fetch_and_add(&c->touched_packets, 1);
	if (!conn->lost) {
		conn->lost = 1;
		__sync_fetch_and_add(&c->touched_requests, 1);
	}
	return 2;
}

SEC("cgroup_skb/egress")
int fault_egress(struct __sk_buff *skb)
{
	struct fault_ctl *c = fault_ctl();
	struct fault_packet p;

	if (!c || !fault_active(c) || !ours(skb, c, true, &p))
		return 1;
	struct fault_conn *conn = bpf_map_lookup_elem(&conns, &p.tuple);

	if (!conn || (p.flags & FAULT_TCP_SYN))
		return 1;
	if (c->type == FAULT_ABI_LOSS)
		return lose(c, conn);
	if (!c->use_edt || (!p.len && !(p.flags & FAULT_TCP_FIN)))
		return 1;

	__u64 release = conn->head.release_ns;

	/* The larger of TCP's own stamp and ours, or pacing is lost. */
	if (release > bpf_ktime_get_ns() && release > skb->tstamp) {
		skb->tstamp = release;
		__sync_fetch_and_add(&c->touched_packets, 1);
	}
	return 1;
}
