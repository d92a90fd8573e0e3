/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_abi.h - the fault programs' types that cross the kernel border.
 *
 * Every armed fault is a BPF object of its own, so that disarming is closing:
 * one struct fault_ctl (an array map of one, mapped into the daemon, so that a
 * heartbeat is a store and needs no system call) and one table of connections.
 */
#ifndef ARCHAIC_FAULT_ABI_H
#define ARCHAIC_FAULT_ABI_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define FAULT_ABI_PORTS 8
#define FAULT_ABI_KEYS 8
#define FAULT_ABI_CONNS \
	8192 /* about 900 bytes each, only while armed; full: the least recently used is forgotten */

/* The same order as enum fault_type. */
#define FAULT_ABI_TIMEOUT 0
#define FAULT_ABI_ERROR 1
#define FAULT_ABI_BAD_DATA 2
#define FAULT_ABI_CPU 3
#define FAULT_ABI_CRASH 4
#define FAULT_ABI_LOSS 5

/* Probabilities are thresholds for a 32-bit draw: 2^32 is always, 0 never. */
#define FAULT_ABI_ALWAYS (1ULL << 32)

/* A key of a JSON object, as the scanner knows it: FNV-1a (32 bit) of its bytes, and their number. */
struct fault_key {
	__u32 hash;
	__u32 len;
};
#define FAULT_FNV_BASIS 2166136261U
#define FAULT_FNV_PRIME 16777619U

struct fault_ctl {
	/* Written by the daemon while armed; one store each. */
	__u64 lease_end_ns; /* CLOCK_BOOTTIME; heartbeat thread */
	__u64 deadline_ns;  /* CLOCK_BOOTTIME */
	/* Written once, before attaching. */
	__u64 delay_ns;
	__u64 threshold;      /* per request */
	__u64 loss_threshold; /* per packet of a drawn request */
	__u64 seed;
	__u32 type;
	__u32 netns_ino; /* 0: any (tests) */
	__u32 status;
	__u32 match_health;
	__u32 spin_ns; /* of each FAULT_ABI_TICK_NS */
	__u32 use_edt; /* stamp at egress; else somebody else holds the packets */
	__u32 nr_ports;
	__u32 nr_keys;
	__u16 ports[FAULT_ABI_PORTS]; /* host byte order */
	struct fault_key keys[FAULT_ABI_KEYS];
	__u64 pad[1];

	/* Counters, written by the programs with atomic adds. A cache line apart from what every packet reads. */
	__u64 seen_packets;
	__u64 draws;
	__u64 touched_requests;
	__u64 spared_requests; /* exempt ones too */
	__u64 touched_packets;
	__u64 out_of_reach;
	__u64 conns_full;
	__u64 events_lost;
};

#define FAULT_ABI_TICK_NS 1000000U

/* A connection of the service, seen from the service. IPv4 as ::ffff:a.b.c.d, so mapped sockets are nothing special. */
struct fault_tuple {
	__u32 local[4]; /* network byte order */
	__u32 peer[4];
	__u16 local_port_be;
	__u16 peer_port_be;
	__u32 pad;
};

/*
 * Value of the table of connections. Only this head crosses the border: the
 * holder of delayed packets looks the tuple up and reads release_ns.
 */
struct fault_conn_head {
	__u64 release_ns; /* CLOCK_MONOTONIC: payload must not leave before */
};

/* An event for the daemon: the request that drew `crash`. */
struct fault_event {
	__u64 at_ns; /* CLOCK_BOOTTIME */
	__u64 draw;
};

_Static_assert(sizeof(struct fault_key) == 8, "fault_key");
_Static_assert(sizeof(struct fault_ctl) == 6 * 8 + 8 * 4 + 16 + 64 + 8 + 64, "fault_ctl");
_Static_assert(sizeof(struct fault_tuple) == 40, "fault_tuple");
_Static_assert(sizeof(struct fault_conn_head) == 8, "fault_conn_head");
_Static_assert(sizeof(struct fault_event) == 16, "fault_event");

#endif
