/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * abi.h - every observer type that crosses the kernel border. Written once,
 * included by both sides: fixed widths, explicit padding, byte order in the
 * name, a static assert on every size. No bool, no enum, no long in a struct.
 * Times are CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns()).
 * The fault programs' types are in fault_abi.h.
 */
#ifndef ARCHAIC_ABI_H
#define ARCHAIC_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/*
 * The one bucket scheme: upper bounds (inclusive) of 1, 1.25, 1.5, 2, 2.5, 3,
 * 4, 5, 6, 7.5 times 10^k, from 1 us to 75 s, then one open bucket. It holds
 * every bound of the Prometheus buckets (.0005 ... 10 s), so folding is exact.
 */
#define ABI_HIST_PER_DECADE 10
#define ABI_HIST_DECADES 8
#define ABI_HIST_BUCKETS (ABI_HIST_PER_DECADE * ABI_HIST_DECADES + 1)

/* In hundredths of the decade's base. */
#define ABI_HIST_STEPS { 100, 125, 150, 200, 250, 300, 400, 500, 600, 750 }
#define ABI_HIST_FIRST_NS 1000ULL

/* Bounds of what programs keep. */
#define ABI_SERIES_MAX 4096 /* (server, client, status, method, side) */
#define ABI_PATH_MAX 128    /* raw bytes of the request target that an event carries */
#define ABI_TRACE_MAX 56    /* raw bytes of X-Trace-ID or traceparent (55) */
#define ABI_PIPELINE 16 /* requests of one connection whose start is remembered; a power of two */
#define ABI_RING_BYTES (256 * 1024)

/* Methods, as the parser names them. */
#define ABI_METHOD_NONE 0
#define ABI_METHOD_GET 1
#define ABI_METHOD_HEAD 2
#define ABI_METHOD_POST 3
#define ABI_METHOD_PUT 4
#define ABI_METHOD_DELETE 5
#define ABI_METHOD_PATCH 6
#define ABI_METHOD_OPTIONS 7
#define ABI_METHOD_CONNECT 8
#define ABI_METHOD_TRACE 9
#define ABI_METHOD_OTHER 10
#define ABI_METHODS 11

/* Which end of the connection saw it. */
#define ABI_SIDE_SERVER 0
#define ABI_SIDE_CLIENT 1

/* A listening port of a service: key of the `ports` map; value: __u32 service id. */
struct abi_port_key {
	__u32 netns_ino;
	__u16 port; /* host byte order */
	__u16 pad;
};
_Static_assert(sizeof(struct abi_port_key) == 8, "abi_port_key");

/* An end of connections on another host: key of the `remotes` map; value: the id that userspace gave it. */
struct abi_remote_key {
	__u32 addr[4]; /* network order, as in IPv6 (v4-mapped where IPv4) */
	__u16 port;    /* host byte order, of a server; 0: whoever connects from there */
	__u16 pad;
};
_Static_assert(sizeof(struct abi_remote_key) == 20, "abi_remote_key");

#define ABI_REMOTES_MAX 2048

/*
 * One series. Service id 0 is the outside world. The overflow series has
 * server and client ABI_SERIES_OTHER. status 0 and method 0: the meta series
 * of an edge, which carries `aborted` and `unparsed` and no requests.
 */
#define ABI_SERIES_OTHER 0xffffffffU
struct abi_series_key {
	__u32 server;
	__u32 client;
	__u16 status; /* exact; 0: none valid */
	__u8 method;
	__u8 side;
};
_Static_assert(sizeof(struct abi_series_key) == 12, "abi_series_key");

/* Per CPU; only ever added to, with atomics (softirq may interrupt the same CPU's egress). Counters wrap. */
struct abi_series {
	__u64 requests; /* finished: the last byte of the response passed */
	__u64 untimed; /* of those, not in the histograms: their start was not remembered (deep pipelining) */
	__u64 duration_ns;
	__u64 ttfb_ns;
	__u64 rx_bytes; /* of requests, headers included */
	__u64 tx_bytes; /* of responses, headers included */
	__u64 aborted;  /* connection gone before the response was complete */
	__u64 unparsed; /* streams that were not HTTP/1.x, or lost their place */
	__u32 duration[ABI_HIST_BUCKETS];
	__u32 ttfb[ABI_HIST_BUCKETS];
};
_Static_assert(sizeof(struct abi_series) == 8 * 8 + 8 * ABI_HIST_BUCKETS, "abi_series");

/* Tasks of one service; per CPU. */
struct abi_tasks {
	__u64 cpu_ns;
	__u64 runq_ns;
	__u32 runq[ABI_HIST_BUCKETS]; /* woken to running */
	__u32 pad;
};
_Static_assert(sizeof(struct abi_tasks) == 16 + 4 * ABI_HIST_BUCKETS + 4, "abi_tasks");

/* What runs on a CPU now: its slice is not in cpu_ns yet. */
struct abi_oncpu {
	__u64 since_ns;
	__u32 service;
	__u32 pad;
};
_Static_assert(sizeof(struct abi_oncpu) == 16, "abi_oncpu");

/* One connection with unanswered requests, written by the in-flight iterator. */
struct abi_flight {
	__u64 oldest_ns; /* when its oldest unanswered request came */
	__u32 server;
	__u32 client;
	__u32 requests;
	__u8 side;
	__u8 pad[3];
};
_Static_assert(sizeof(struct abi_flight) == 24, "abi_flight");

/* A sampled, slow or failed request, in the ring buffer. */
#define ABI_REQUEST_SAMPLED 1
#define ABI_REQUEST_SLOW 2
#define ABI_REQUEST_FAILED 4  /* 5xx */
#define ABI_REQUEST_ABORTED 8 /* no complete answer: status may be 0 */
struct abi_request {
	__u64 start_ns;
	__u64 ttfb_ns;
	__u64 duration_ns;
	__u32 server;
	__u32 client;
	__u16 status;
	__u8 method;
	__u8 side;
	__u8 flags;     /* ABI_REQUEST_* */
	__u8 path_len;  /* 0: not kept (a later request of a pipeline) */
	__u8 trace_len; /* 0: none */
	__u8 pad;
	char path[ABI_PATH_MAX];
	char trace[ABI_TRACE_MAX];
};
_Static_assert(sizeof(struct abi_request) == 40 + ABI_PATH_MAX + ABI_TRACE_MAX, "abi_request");

/* Settings, written by userspace while the programs run; each field by one store. */
struct abi_config {
	__u32 epoch;        /* raised when services change: sockets decide their role again */
	__u32 netns_ino;    /* the daemon's own */
	__u32 sample_every; /* one in N requests goes to the ring; 0: none */
	__u32 notes; /* every connect() is noted: a socket without a note is no client, or is older than us */
	__u64 slow_ns;   /* requests from this duration on go to the ring */
	__u32 both_ends; /* local clients that are nobody's are looked at, too, as client 0 */
	__u32 pad;
};
_Static_assert(sizeof(struct abi_config) == 32, "abi_config");

/* What was dropped or given up, and where. Cumulative, atomics. */
struct abi_stats {
	__u64 storage_nomem;     /* no socket storage: that connection is not observed */
	__u64 series_overflow;   /* requests folded into the overflow series */
	__u64 series_dropped;    /* requests that found not even that one */
	__u64 ring_dropped;      /* request events */
	__u64 pipeline_overflow; /* requests whose start was not remembered */
	__u64 streams_lost; /* a hole in the stream, or a bad frame: searched for the next message */
	__u64 streams_opaque;   /* not HTTP/1.x */
	__u64 streams_budget;   /* more in one packet than a program may do */
	__u64 orphan_responses; /* responses whose request was not seen */
	__u64 listener_parked;  /* requests that came on the handshake's ACK */
	__u64 listener_adopted;
	__u64 overtaken;       /* segments that waited for one before them, or for another CPU */
	__u64 wakeups_dropped; /* the table of waking tasks was full */
	__u64 parsed; /* requests finished, at either end; summed by userspace, not by the programs */
};
_Static_assert(sizeof(struct abi_stats) == 14 * 8, "abi_stats");

#endif
