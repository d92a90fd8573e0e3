/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn.bpf.h - what the observer keeps of a connection, and how its requests are counted.
 *
 * struct conn lives in socket storage and goes with the socket. The two
 * directions of a connection run at once (one packet of each, see order.bpf.h);
 * each field has one writer:
 *
 *	direction of the requests   requests, head, starts[] (free slots), detail_of, path, trace
 *	direction of the responses  responses, tail, starts[] (frees slots), ttfb_ns, *_flushed
 *	whoever comes first         epoch, role, server, client (idempotent), dead
 *
 * head and tail make a ring with one producer and one consumer. No barrier
 * stands between them: a response follows its request through the socket's
 * lock and the server process. It may even come first, where its request waits
 * for another CPU that stands still (a virtual one): tail is then before head
 * for a while, and that request is counted without a time.
 *
 * An abort breaks the ownership of tail; it happens once, and nothing is
 * parsed after it.
 */
#ifndef ARCHAIC_CONN_BPF_H
#define ARCHAIC_CONN_BPF_H

#include "vmlinux.h"

#include "abi.h"
#include "hist.bpf.h"
#include "http.bpf.h"
#include "identity.bpf.h"

#define ROLE_NONE 0
#define ROLE_SERVER 1
#define ROLE_CLIENT 2

#define START_METHOD 15ULL /* the low bits of a start time hold the method: 16 ns are nothing */
#define MAX_FUTURE_NS (3600ULL * 1000000000ULL)
#define PEER_TRIES 8 /* requests until a server stops asking who its client is */

struct conn {
	struct stream requests;
	struct stream responses;
	__u64 starts[ABI_PIPELINE]; /* when a request came, with its method; 0: free, or not remembered */
	__u64 ttfb_ns;              /* first byte of the response that is coming */
	__u64 rx_flushed;           /* stream bytes that are in a series already */
	__u64 tx_flushed;
	__u32 head;      /* requests seen */
	__u32 tail;      /* requests answered */
	__u32 detail_of; /* which of them path and trace belong to */
	__u32 epoch;
	__u32 server;
	__u32 client;
	__u8 role;
	__u8 dead;
	__u8 fresh; /* seen from its first byte on */
	__u8 peer_tries;
	__u8 path_len;
	__u8 trace_len;
	__u8 pad[2];
	char path[ABI_PATH_MAX];
	char trace[ABI_TRACE_MAX];
};

/* Bits of conn_entry.gate. */
#define GATE_BUSY 1U                           /* a CPU is at work */
#define GATE_USED(slot) (1U << (8 + (slot)))   /* a place of the stash is taken, */
#define GATE_READY(slot) (1U << (16 + (slot))) /* and filled */

/* A socket's storage: the connection, and who is at its incoming packets (order.bpf.h). */
struct conn_entry {
	struct conn conn;
#ifdef ORDER_LOCK
	struct bpf_spin_lock lock; /* of gate */
#endif
	__u32 gate;
	__u8 waiting; /* places of the stash that were looked at: they still come too early */
	__u8 slot;    /* 1 + the place that is being parsed */
	__u8 pad[2];
};
/* With the kernel's head of 80 bytes it fits into 1 KiB. */
_Static_assert(sizeof(struct conn_entry) <= 944, "conn_entry");

struct abi_config config;
struct abi_stats stats;
__u32 parked_hint; /* a request was parked lately; userspace clears it each tick */

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn_entry);
} conns SEC(".maps");

/* Server port -> service id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct abi_port_key);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, ABI_SERIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct abi_series_key);
	__type(value, struct abi_series);
} series SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, ABI_RING_BYTES);
} ring SEC(".maps");

static const struct abi_series no_series;

#define ADD(counter, n) __sync_fetch_and_add(&(counter), n)

/* Find or make a series; a full table gives the overflow series, which userspace has made. */
static __always_inline struct abi_series *series_get(struct abi_series_key *key)
{
	struct abi_series *v = bpf_map_lookup_elem(&series, key);

	if (v)
		return v;
	bpf_map_update_elem(&series, key, &no_series, BPF_NOEXIST);
	v = bpf_map_lookup_elem(&series, key);
	if (v)
		return v;

	__u8 side = key->side;

	__builtin_memset(key, 0, sizeof(*key));
	key->server = key->client = ABI_SERIES_OTHER;
	key->side = side;
	v = bpf_map_lookup_elem(&series, key);
	if (v)
		ADD(stats.series_overflow, 1);
	else
		ADD(stats.series_dropped, 1);
	return v;
}

/* The series of an edge that carries what is no request. */
static __always_inline struct abi_series *series_meta(const struct conn *c)
{
	struct abi_series_key key = {
		.server = c->server,
		.client = c->client,
		.side = c->role == ROLE_CLIENT ? ABI_SIDE_CLIENT : ABI_SIDE_SERVER,
	};

	return series_get(&key);
}

static __always_inline void ring_request(const struct conn *c, __u32 nr, __u64 start, __u64 ttfb,
					 __u64 duration, __u16 status, __u8 flags)
{
	struct abi_request *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		ADD(stats.ring_dropped, 1);
		return;
	}
	r->start_ns = start & ~START_METHOD;
	r->ttfb_ns = ttfb;
	r->duration_ns = duration;
	r->server = c->server;
	r->client = c->client;
	r->status = status;
	r->method = start & START_METHOD;
	r->side = c->role == ROLE_CLIENT ? ABI_SIDE_CLIENT : ABI_SIDE_SERVER;
	r->flags = flags;
	r->path_len = r->trace_len = r->pad = 0;
	if (c->detail_of == nr) {
		r->path_len = c->path_len;
		r->trace_len = c->trace_len;
	}
	/* Stale bytes of another request of this connection may follow: the lengths count. */
	__builtin_memcpy(r->path, c->path, sizeof(r->path));
	__builtin_memcpy(r->trace, c->trace, sizeof(r->trace));
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
}

/* Does this request go to the ring? */
static __always_inline __u8 request_flags(const struct conn *c, __u64 duration, __u16 status)
{
	__u8 flags = 0;
	__u32 every = config.sample_every;

	if (status >= 500 && status < 600)
		flags |= ABI_REQUEST_FAILED;
	if (duration >= config.slow_ns)
		flags |= ABI_REQUEST_SLOW;
	if (every && !((__u64)bpf_get_prandom_u32() * every >> 32))
		flags |= ABI_REQUEST_SAMPLED;
	return flags;
}

/* Requests without an answer; less than 0: answered, and not read yet. */
static __always_inline __s32 conn_open(const struct conn *c)
{
	return http_reload(c->head) - http_reload(c->tail);
}

/* May another CPU still have the request of the response that leaves here? */
static __always_inline bool conn_runs_ahead(const struct conn *c)
{
	__u32 gate = http_reload(((const struct conn_entry *)c)->gate);

	return c->role == ROLE_SERVER && (gate & GATE_BUSY) && conn_open(c) > -ABI_PIPELINE;
}

/* The last byte of a response has passed at @end. */
static __always_inline void conn_finish(struct conn *c, __u64 end)
{
	/* Asked before head is read: a CPU that is not at work any more then has told all that it had. */
	bool ahead = conn_runs_ahead(c);
	__u32 nr = c->tail;
	__u64 start = 0;

	if (conn_open(c) > 0) {
		start = c->starts[nr % ABI_PIPELINE];
		c->starts[nr % ABI_PIPELINE] = 0;
	} else if (!ahead) {
		ADD(stats.orphan_responses, 1);
		return;
	}

	__u64 came = start & ~START_METHOD;
	__u16 status = c->responses.status;

	c->tail = nr + 1;

	struct abi_series_key key = {
		.server = c->server,
		.client = c->client,
		.status = status,
		.method = start & START_METHOD,
		.side = c->role == ROLE_CLIENT ? ABI_SIDE_CLIENT : ABI_SIDE_SERVER,
	};
	struct abi_series *v = series_get(&key);

	if (!v)
		return;

	__u64 rx = c->requests.bytes, tx = c->responses.bytes;

	ADD(v->requests, 1);
	ADD(v->rx_bytes, rx - c->rx_flushed);
	ADD(v->tx_bytes, tx - c->tx_flushed);
	c->rx_flushed = rx;
	c->tx_flushed = tx;
	if (!start) {
		ADD(v->untimed, 1);
		return;
	}

	__u64 duration = end > came ? end - came : 0;
	__u64 ttfb = c->ttfb_ns > came ? c->ttfb_ns - came : 0;

	ADD(v->duration_ns, duration);
	ADD(v->ttfb_ns, ttfb);

	__u32 bucket = bucket_of(duration);

	ADD(v->duration[bucket], 1);
	/* Most responses are one packet, their first byte leaves with the last. */
	if (ttfb != duration)
		bucket = bucket_of(ttfb);
	ADD(v->ttfb[bucket], 1);

	__u8 flags = request_flags(c, duration, status);

	if (flags)
		ring_request(c, nr, start, ttfb, duration, status, flags);
}

/* The connection is over for us; what was not answered never will be. */
static __always_inline void conn_abort(struct conn *c, __u64 now)
{
	__u32 nr = c->tail;
	__s32 open = conn_open(c);

	if (c->dead)
		return;
	c->dead = 1;
	if (open <= 0)
		return;

	__u64 start = c->starts[nr % ABI_PIPELINE];
	__u64 came = start & ~START_METHOD;
	struct abi_series *v = series_meta(c);

	c->tail = nr + open;
	if (v)
		ADD(v->aborted, open);
	if (start)
		ring_request(c, nr, start, 0, now > came ? now - came : 0, 0, ABI_REQUEST_ABORTED);
}

/* One direction is not understood any more. */
static __always_inline void conn_unparsed(struct conn *c, bool response, bool opaque)
{
	struct abi_series *v = series_meta(c);

	if (v)
		ADD(v->unparsed, 1);
	if (opaque) {
		ADD(stats.streams_opaque, 1);
		c->requests.state = c->responses.state = HTTP_OPAQUE;
		c->requests.fill = c->requests.cur = c->responses.fill = c->responses.cur = 0;
	} else {
		ADD(stats.streams_lost, 1);
	}
	/* Whether these were answered is not known; they must not wait for ever. */
	if (response || opaque) {
		_Pragma("clang loop unroll(full)") for (int i = 0; i < ABI_PIPELINE; i++)
			c->starts[i] = 0;
		c->tail = c->head;
	}
}

static __always_inline void conn_request_event(struct conn *c, __u32 ev)
{
	struct stream *s = &c->requests;
	__u32 nr = c->head;

	if (ev & HTTP_EV_START) {
		__s32 open = conn_open(c);

		if (open >= 0 && open < ABI_PIPELINE)
			c->starts[nr % ABI_PIPELINE] = (s->first_ns & ~START_METHOD) | s->method;
		else if (open > 0)
			ADD(stats.pipeline_overflow, 1);
		if (!open) {
			c->trace_len = 0;
			c->path_len = http_path(s, c->path);
			c->detail_of = nr;
		}
		c->head = nr + 1;
	} else if (ev & (HTTP_EV_TRACE | HTTP_EV_PARENT)) {
		/* X-Trace-ID is what the logs carry: it wins over traceparent. */
		if (c->detail_of == nr - 1 && ((ev & HTTP_EV_TRACE) || !c->trace_len))
			c->trace_len = http_trace(s, c->trace);
	} else if (ev & (HTTP_EV_LOST | HTTP_EV_OPAQUE)) {
		conn_unparsed(c, false, ev & HTTP_EV_OPAQUE);
	}
}

static __always_inline void conn_response_event(struct conn *c, __u32 ev, __u64 now)
{
	struct stream *s = &c->responses;

	if (ev & HTTP_EV_START) {
		__u8 method = c->starts[c->tail % ABI_PIPELINE] & START_METHOD;

		c->ttfb_ns = s->first_ns;
		if (method == ABI_METHOD_HEAD)
			s->flags |= HTTP_F_NO_BODY;
		if (method == ABI_METHOD_CONNECT)
			s->flags |= HTTP_F_CONNECT;
	} else if (ev & HTTP_EV_END) {
		conn_finish(c, now);
		if (s->state == HTTP_OPAQUE)
			c->requests.state = HTTP_OPAQUE; /* a tunnel from here on */
	} else if (ev & (HTTP_EV_LOST | HTTP_EV_OPAQUE)) {
		conn_unparsed(c, true, ev & HTTP_EV_OPAQUE);
	}
}

#endif
