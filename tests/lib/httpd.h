/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * httpd.h - an HTTP/1.1 server that answers what the path asks for, as a process of its own.
 *
 * One thread, epoll, keep-alive, pipelining, HEAD, bodies by Content-Length:
 *	/200/5          status 200, a body of 5 bytes (none for 204 and 304)
 *	/200/5/chunked  the same in chunks of at most 1,000 bytes
 *	/200/5/file     the body by sendfile()
 *	/200/5/splice   the body through a pipe, by splice()
 *	/200/5/split    head and body in pieces of 7 bytes, each a segment
 *	/200/5/continue a 100 Continue before it
 *	/200/5/close    no length; the connection closes behind the body
 *	/0/0            never an answer
 * Anything else: the connection closes. It ends with the process that started it.
 */
#ifndef ARCHAIC_TEST_HTTPD_H
#define ARCHAIC_TEST_HTTPD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTPD_BODY_MAX (16u << 20)

struct httpd {
	pid_t pid;
	uint16_t port;
};

/** httpd_start() - listen on [::]:@port (mapped IPv4 too; 0: any), in the caller's network namespace. @defer: TCP_DEFER_ACCEPT. 0 or -errno. */
int httpd_start(struct httpd *h, uint16_t port, bool defer);

/** httpd_stop() - kill and reap. May be said twice. */
void httpd_stop(struct httpd *h);

#endif
