/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slow.h - a server that takes a known time and knows how many requests it got.
 *
 * Something to hold a load generator to: every request is answered 200, "ok",
 * that long after it came, in order, whatever the path, and /count answers the
 * number of the others before it. It may stall once: from an instant after the first request
 * it does nothing at all for a while, as a server in a long collection does.
 * Bodies are not read: GET and HEAD only. One thread, epoll, keep-alive,
 * pipelining; what is ready together leaves in one write.
 */
#ifndef ARCHAIC_LOAD_SLOW_H
#define ARCHAIC_LOAD_SLOW_H

#include <stdint.h>

#define SLOW_CONNECTIONS_MAX 8192

struct slow_options {
	uint64_t takes_ns;
	uint64_t stall_after_ns, stall_for_ns; /* 0: never */
};

/** slow_listen() - on 127.0.0.1:@port (0: any, told in @port). The socket, or -errno. */
int slow_listen(uint16_t *port);

/** slow_serve() - answer on @listener until the process ends. -errno. */
int slow_serve(int listener, const struct slow_options *o);

#endif
