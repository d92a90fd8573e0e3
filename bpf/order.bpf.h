/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * order.bpf.h - incoming segments of a connection, one at a time and in their order.
 *
 * Ingress programs run before the socket is locked. Two segments of one
 * connection come to two CPUs at once, or the later one first, where the sender
 * moved between CPUs in between (on loopback each CPU delivers what was sent on
 * it) and where a network reorders. TCP puts them in order behind us; so must we:
 * whoever finds another CPU at work, or a hole before a segment whose bytes count,
 * leaves a copy in the stash, and whoever is at work looks there before it leaves.
 *
 * Bounds: STASH_SLOTS segments a connection, HTTP_COPY bytes of each (enough for
 * heads; bodies are skipped by arithmetic), STASH_MAX segments in all. Over
 * them the stream loses its place, is counted and finds it again.
 *
 * An entry of the stash that is evicted while it is written or read gives another
 * connection's bytes a wrong end: at worst that stream is lost, too.
 *
 * ORDER_LOCK: for kernels before 5.12, which have no atomics with a result. A
 * spin lock costs a packet five times as much (some 80 ns).
 */
#ifndef ARCHAIC_ORDER_BPF_H
#define ARCHAIC_ORDER_BPF_H

#include "conn.bpf.h"

#define STASH_SLOTS 8 /* a power of two; GATE_USED, GATE_READY and waiting have 8 bits each */
#define STASH_MAX 256

struct stash_key {
	__u64 cookie;
	__u64 slot;
};

struct stash {
	__u32 seq;
	__u32 len; /* of the segment, also where less of it is here */
	__u32 flags;
	char data[HTTP_COPY + HTTP_WINDOW];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STASH_MAX);
	__type(key, struct stash_key);
	__type(value, struct stash);
} stashes SEC(".maps");

static const struct stash no_stash;

/* Each returns what was there before. */
#ifdef ORDER_LOCK
#define GATE_OP(name, arg, new)                                      \
	static __always_inline __u32 name(struct conn_entry *e, arg) \
	{                                                            \
		__u32 old;                                           \
                                                                     \
		bpf_spin_lock(&e->lock);                             \
		old = e->gate;                                       \
		e->gate = (new);                                     \
		bpf_spin_unlock(&e->lock);                           \
		return old;                                          \
	}
#define COMMA ,
GATE_OP(gate_set, __u32 bits, old | bits)
GATE_OP(gate_clear, __u32 bits, old & ~bits)
GATE_OP(gate_swap, __u32 from COMMA __u32 to, old == from ? to : old)
#else
static __always_inline __u32 gate_set(struct conn_entry *e, __u32 bits)
{
	return __sync_fetch_and_or(&e->gate, bits);
}

static __always_inline __u32 gate_clear(struct conn_entry *e, __u32 bits)
{
	return __sync_fetch_and_and(&e->gate, ~bits);
}

static __always_inline __u32 gate_swap(struct conn_entry *e, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(&e->gate, from, to);
}
#endif

static __always_inline struct stash *stash_get(struct __sk_buff *skb, __u32 slot)
{
	struct stash_key key = { .cookie = bpf_get_socket_cookie(skb), .slot = slot };

	return bpf_map_lookup_elem(&stashes, &key);
}

static __always_inline void stash_drop(struct __sk_buff *skb, struct conn_entry *e, __u32 slot)
{
	struct stash_key key = { .cookie = bpf_get_socket_cookie(skb), .slot = slot };

	bpf_map_delete_elem(&stashes, &key);
	slot &= STASH_SLOTS - 1;
	gate_clear(e, GATE_USED(slot) | GATE_READY(slot));
}

/* Take a place; STASH_SLOTS: there is none. */
static __always_inline __u32 stash_reserve(struct conn_entry *e)
{
	_Pragma("clang loop unroll(full)") for (__u32 i = 0; i < STASH_SLOTS;
						i++) if (!(gate_set(e, GATE_USED(i)) &
							   GATE_USED(i))) return i;
	return STASH_SLOTS;
}

static __always_inline bool stash_fill(struct __sk_buff *skb, const struct packet *p,
				       const struct stash_key *key)
{
	struct stash *st = NULL;
	__u32 last = p->len - 1;

	if (!bpf_map_update_elem(&stashes, key, &no_stash, BPF_ANY))
		st = bpf_map_lookup_elem(&stashes, key);
	if (!st)
		return false;
	st->seq = p->seq;
	st->len = p->len;
	st->flags = p->flags;
	if (p->len > HTTP_COPY)
		last = HTTP_COPY - 1;
	http_hide(last);
	return last >= HTTP_COPY || !bpf_skb_load_bytes(skb, p->off, st->data, last + 1);
}

/* false: no room. */
static __always_inline bool stash_put(struct __sk_buff *skb, struct conn_entry *e,
				      const struct packet *p)
{
	__u32 slot = stash_reserve(e);
	struct stash_key key = { .cookie = bpf_get_socket_cookie(skb), .slot = slot };

	if (slot >= STASH_SLOTS)
		return false;
	if (!stash_fill(skb, p, &key)) {
		gate_clear(e, GATE_USED(slot));
		return false;
	}
	gate_set(e, GATE_READY(slot));
	ADD(stats.overtaken, 1);
	return true;
}

/* Places that are filled and were not looked at. */
static __always_inline __u32 order_pending(const struct conn_entry *e, __u32 gate)
{
	return gate >> 16 & ~e->waiting;
}

static __always_inline bool order_take(struct conn_entry *e)
{
	return !(gate_set(e, GATE_BUSY) & GATE_BUSY);
}

static __always_inline void order_release(struct conn_entry *e)
{
	gate_clear(e, GATE_BUSY);
}

/* false: done. true: something waits that was not looked at; the connection stays ours. */
static __always_inline bool order_leave(struct conn_entry *e)
{
	__u32 gate = *(volatile __u32 *)&e->gate;

	return order_pending(e, gate) || gate_swap(e, gate, gate & ~GATE_BUSY) != gate;
}

/* Where a stream begins that we see from its start: its second segment may come first. */
static __always_inline void order_begin(const struct conn *c, struct stream *s, struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp;

	if (s->state != HTTP_NEW || !c->fresh)
		return;
	tp = bpf_tcp_sock(sk);
	if (!tp)
		return;
	s->next_seq = tp->rcv_nxt;
	s->state = HTTP_START;
}

/* Has a segment to wait for what is before it? */
static __always_inline bool order_early(const struct stream *s, __u32 seq, __u32 len, __u32 flags)
{
	/* A FIN alone has no bytes that could be skipped to: its place is behind all others. */
	if (!len && (flags & TCP_FLAG_FIN))
		return s->state != HTTP_NEW && (__s32)(seq - s->next_seq) > 0;
	return http_misses(s, seq);
}

/*
 * The segment that waited whose turn it is now; *ret is 1 + its place, 0 where none's is. NULL with a
 * place: it was evicted. All places in one run, since a kernel allows 33 tail calls a packet.
 */
static __always_inline struct stash *order_turn(struct __sk_buff *skb, struct conn_entry *e,
						const struct stream *s, __u32 *ret)
{
	struct stash *st = NULL;

	*ret = 0;
	_Pragma("clang loop unroll(full)") for (__u32 i = 0; i < STASH_SLOTS; i++)
	{
		if (!(order_pending(e, *(volatile __u32 *)&e->gate) & 1U << i))
			continue;
		st = stash_get(skb, i);
		if (!st || !order_early(s, st->seq, st->len, st->flags)) {
			*ret = 1 + i;
			break;
		}
		e->waiting |= 1U << i;
	}
	return st;
}

#define ORDER_PARSE 0 /* parse the packet, then leave */
#define ORDER_LEAVE 1 /* it waits; leave */
#define ORDER_DONE 2  /* another CPU has the connection */

/* What to do with an incoming packet of the connection. */
static __always_inline int order_enter(struct __sk_buff *skb, struct conn_entry *e,
				       const struct packet *p, struct stream *s,
				       struct bpf_sock *sk)
{
	bool mine = order_take(e);

	if (mine) {
		order_begin(&e->conn, s, sk);
		if (!order_early(s, p->seq, p->len, p->flags))
			return ORDER_PARSE;
	}
	/* Whether a reset is in its place cannot be said later. */
	if (!(p->flags & TCP_FLAG_RST) && stash_put(skb, e, p))
		/* The other may have left before it could see this. */
		return mine || order_take(e) ? ORDER_LEAVE : ORDER_DONE;
	return mine ? ORDER_PARSE : ORDER_DONE;
}

#endif
