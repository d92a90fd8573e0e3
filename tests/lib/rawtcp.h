/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rawtcp.h - one end of a TCP connection by hand: segments in any order.
 *
 * A TUN device joins the caller's network namespace (RAWTCP_HERE4, RAWTCP_HERE6)
 * to a host that exists only here (RAWTCP_THERE4, RAWTCP_THERE6). What that host
 * sends is what the caller says, one packet a call; and when the call returns, the
 * packet has passed the socket's BPF programs, because TUN receives in the
 * writer's context. Nothing is sent again and no window is kept: a test's peer
 * reads at once, and what it writes is small. No TCP options.
 *
 * One thread a connection, but for rawtcp_send().
 */
#ifndef ARCHAIC_TEST_RAWTCP_H
#define ARCHAIC_TEST_RAWTCP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RAWTCP_HERE4 "192.0.2.1"
#define RAWTCP_THERE4 "192.0.2.2"
#define RAWTCP_HERE6 "2001:db8::1"
#define RAWTCP_THERE6 "2001:db8::2"
#define RAWTCP_SEGMENT_MAX 16384 /* bytes of payload in one packet */

/* Flags of a segment. */
#define RAWTCP_FIN 1
#define RAWTCP_RST 4

struct rawtcp {
	int tun; /* borrowed */
	bool v6;
	bool ended;       /* the peer's FIN was read */
	uint16_t port;    /* that host's */
	uint16_t peer;    /* the kernel's */
	uint32_t first;   /* sequence number of the first byte that we send */
	uint32_t ack;     /* of the next one that we expect */
	atomic_uint sent; /* bytes of our stream, up to the last one that was sent */
};

/** rawtcp_tun() - make the device, with its addresses. A file descriptor, or -errno (-ENOENT, -ENODEV: no TUN in this kernel). */
int rawtcp_tun(void);

/** rawtcp_connect() - shake hands with a listener on @peer, from @port. 0, -ECONNREFUSED, -ETIMEDOUT (5 s) or -errno. */
int rawtcp_connect(struct rawtcp *c, int tun, bool v6, uint16_t port, uint16_t peer);

/** rawtcp_accept() - the other way round: take the first SYN to @port. 0, -ETIMEDOUT (5 s) or -errno. */
int rawtcp_accept(struct rawtcp *c, int tun, bool v6, uint16_t port);

/**
 * rawtcp_send() - one segment, which also acknowledges what was read.
 * @at: where in our stream it belongs, in bytes from its beginning.
 * @flags: RAWTCP_*. May be called by several threads at once, if none reads. 0 or -errno.
 */
int rawtcp_send(struct rawtcp *c, uint32_t at, const void *data, size_t len, uint8_t flags);

/** rawtcp_read() - the next piece of the peer's stream. Its length, 0: the peer's end, -ECONNRESET, -ETIMEDOUT (5 s) or -errno. */
ssize_t rawtcp_read(struct rawtcp *c, void *buf, size_t size);

#endif
