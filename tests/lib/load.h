/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.h - an HTTP client that knows exactly what it sent and got, as a process of its own.
 *
 * It holds connections open (by IPv4, by IPv6, by IPv4 from an IPv6 socket, in
 * turn) and does one order at a time: each of the connections sends `pipeline`
 * requests in one write, then reads as many answers. It ends with its parent.
 */
#ifndef ARCHAIC_TEST_LOAD_H
#define ARCHAIC_TEST_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_CONNECTIONS_MAX 256
#define LOAD_STATUS_MAX 600

/* Cumulative. */
struct load_count {
	uint64_t requests; /* answered */
	uint64_t status[LOAD_STATUS_MAX];
	uint64_t sent_bytes, read_bytes;
	uint64_t broken; /* answers that did not come whole, connections that failed */
};

struct load {
	pid_t pid;
	int order, done;          /* sockets */
	struct load_count *count; /* shared */
};

/** load_start() - a client for @port on this host, in the caller's network namespace. No connection yet. 0 or -errno. */
int load_start(struct load *l, uint16_t port);

/** load_connect() - open @nr connections more. @late_ack: the handshake's ACK waits for the first request (TCP_QUICKACK off). 0 or -errno. */
int load_connect(struct load *l, unsigned int nr, bool late_ack);

/**
 * load_run() - ask @requests times, spread evenly over the connections.
 * @lines: what to ask for in turn, "GET /200/5"; a method with a body ("POST") sends 11 bytes. NULL-ended.
 * @pipeline: 1 .. 64 requests in one write. @requests: a multiple of connections * @pipeline.
 * 0, -EIO when an answer was not what was asked for, or -errno.
 */
int load_run(struct load *l, const char *const *lines, unsigned int pipeline, uint64_t requests);

/** load_ask() - send one request on each connection and wait for no answer. */
int load_ask(struct load *l, const char *line);

/** load_hang_up() - close all connections. */
int load_hang_up(struct load *l);

/** load_stop() - kill and reap. May be said twice. */
void load_stop(struct load *l);

#endif
