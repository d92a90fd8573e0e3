/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfqueue.h - hold packets of drawn responses until their release time, where there is no fq.
 *
 * A netfilter rule (kernel/netfilter.h) sends the service's outgoing TCP packets
 * to a queue; whoever holds the queue gives the verdicts. Here that is a child
 * process of its own, not a thread: a stopped daemon would otherwise hang
 * what it holds (TCP does not retransmit what it sees waiting in its own host),
 * and a killed one would lose it. The child
 *   - asks the fault's table of connections for the release time, per packet;
 *     packets without payload, of unlisted connections, or past it go at once;
 *   - keeps the order within a connection, also when a later packet may go earlier;
 *   - ends the delay of everything it holds, at once and in order, when the lease or the
 *     deadline in the control block is over, and when its pipe to the daemon breaks; in
 *     the last case it then exits.
 * It holds a netlink socket, the table, the pipe and the pages, nothing else.
 *
 * nfnetlink_queue as in linux/netfilter/nfnetlink_queue.h: headers only are copied
 * (COPY_BYTES), GSO packets come whole, a full queue lets packets pass (FAIL_OPEN).
 */
#ifndef ARCHAIC_NFQUEUE_H
#define ARCHAIC_NFQUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/fault_abi.h"

#define NFQUEUE_FIRST 44000 /* queue numbers: the first that is free from here on */
#define NFQUEUE_TRIES 64
#define NFQUEUE_HELD_MAX 65536 /* packets waiting; more pass undelayed and are counted */

/* Shared with the child. */
struct nfqueue_page {
	_Atomic uint64_t
		alive_ns; /* CLOCK_BOOTTIME: the child's last turn; a turn is at most NFQUEUE_TURN_NS */
	_Atomic uint64_t seen; /* packets that came */
	_Atomic uint64_t delayed;
	_Atomic uint64_t full; /* passed undelayed because NFQUEUE_HELD_MAX were waiting */
	_Atomic uint64_t held; /* waiting now */
	_Atomic uint64_t lost; /* netlink messages that the kernel could not deliver */
};

#define NFQUEUE_TURN_NS 100000000ULL

struct nfqueue {
	pid_t pid; /* 0: none */
	int pipe_fd;
	uint16_t queue;
	struct nfqueue_page *page;
};

/**
 * nfqueue_start() - take a free queue in the caller's network namespace and fork its holder.
 * @conns_fd, @value_size: the table; borrowed, the child has its own.
 * @ctl: the mapped control block; the child reads lease and deadline in it.
 * 0, -EBUSY (NFQUEUE_TRIES queues taken), -ENOTSUP (no nfnetlink_queue), or -errno.
 */
int nfqueue_start(int conns_fd, size_t value_size, const struct fault_ctl *ctl,
		  struct nfqueue *ret);

/** nfqueue_alive() - is the holder there and turning? Reaps it when it is gone. @now_boot_ns: CLOCK_BOOTTIME. */
bool nfqueue_alive(struct nfqueue *q, uint64_t now_boot_ns);

/** nfqueue_stop() - break the pipe and wait until all has been released (some ms; killed after 2 s). */
void nfqueue_stop(struct nfqueue *q);

/** nfqueue_available() - can a queue be bound? @why: a static sentence when not. */
bool nfqueue_available(const char **why);

/* ---- the order of verdicts; pure, for tests */

struct nfqueue_item {
	uint64_t release_ns;
	uint64_t arrival; /* breaks ties: first come, first out */
	uint32_t packet_id;
	uint32_t flow; /* slot in the table of flows */
};

struct nfqueue_heap;

/** nfqueue_heap_new() - room for @max items. NULL for out of memory. */
struct nfqueue_heap *nfqueue_heap_new(size_t max);
void nfqueue_heap_free(struct nfqueue_heap *h);

/**
 * nfqueue_heap_add() - hold a packet of @flow until @release_ns, or until what was held of the flow before it.
 * false: the heap or its table of flows is full: pass it.
 */
bool nfqueue_heap_add(struct nfqueue_heap *h, const struct fault_tuple *flow, uint64_t release_ns,
		      uint32_t packet_id);

/** nfqueue_heap_holds() - is a packet of @flow being held? */
bool nfqueue_heap_holds(const struct nfqueue_heap *h, const struct fault_tuple *flow);

/** nfqueue_heap_first() - the soonest release time; UINT64_MAX when empty. */
uint64_t nfqueue_heap_first(const struct nfqueue_heap *h);

/** nfqueue_heap_take() - the next packet that may go at @now_ns. false: none. */
bool nfqueue_heap_take(struct nfqueue_heap *h, uint64_t now_ns, uint32_t *packet_id);

size_t nfqueue_heap_size(const struct nfqueue_heap *h);

/**
 * nfqueue_dissect() - an outgoing IP packet of which @len bytes were copied: its connection, and does it carry payload
 * (or FIN, which must not overtake it)? false: not TCP, or not understood.
 */
bool nfqueue_dissect(const uint8_t *data, size_t len, struct fault_tuple *ret, bool *payload);

#endif
