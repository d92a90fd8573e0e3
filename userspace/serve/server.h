/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.h - sockets and HTTP under the control interface.
 *
 * One Unix control socket and TCP ports, each answering the part of the
 * router's table that belongs to it. libmicrohttpd runs one thread for each
 * connection, so a caller that is slow, or waits for Prometheus, delays nobody
 * and never the sampler.
 *
 * Bounds: SERVER_CONNECTIONS_MAX connections a listener (more wait in the
 * backlog), SERVER_PER_IP_MAX of one address, SERVER_BODY_MAX bytes of body
 * (413), SERVER_HEADER_MAX of request line and headers (431), SERVER_IDLE_S
 * without a byte and SERVER_REQUEST_S from a request's first byte to its last:
 * then the connection is closed and counted.
 *
 * Who may: the Unix socket is 0660 root:GROUP. TCP on loopback checks Host and
 * Origin. Off loopback a bearer token is needed, and without one the server
 * refuses to start. What a caller may do is the router's business.
 */
#ifndef ARCHAIC_SERVER_H
#define ARCHAIC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problem.h"
#include "serve/control.h"

#define SERVER_CONNECTIONS_MAX 256
#define SERVER_PER_IP_MAX 128
#define SERVER_BODY_MAX ((size_t)1 << 20)
#define SERVER_HEADER_MAX ((size_t)32 << 10)
#define SERVER_IDLE_S 60
#define SERVER_REQUEST_S 20
#define SERVER_TOKEN_MIN 16
#define SERVER_TOKEN_MAX 512
#define SERVER_NAMES_MAX 8

/* Which part of the interface a listener answers; bits, so that a route can name several. */
enum server_part {
	SERVER_CONTROL = 1 << 0,  /* Unix socket: all of /v1 */
	SERVER_OPERATOR = 1 << 1, /* 8005 */
	SERVER_DETECTOR = 1 << 2, /* 8006 */
};

struct server_config {
	const char *socket_path; /* NULL: no control socket */
	const char *
		socket_group; /* NULL: "archaic"; a group that does not exist leaves the socket to root */
	const char *listen; /* numeric IPv4 or IPv6 address; NULL: "127.0.0.1" */
	int port_operator;  /* -1: do not listen; 0: any free port (tests) */
	int port_detector;
	const char *token; /* bearer token for listeners off loopback; NULL: none */
	const char *
		names[SERVER_NAMES_MAX]; /* further names allowed in Host, NULL-ended where fewer */
	const char *prometheus_url;      /* NULL: /api/v1/query… answer 503 */
	unsigned request_s;              /* 0: SERVER_REQUEST_S */
};

struct server_stats {
	uint64_t requests;       /* answered, whatever the status */
	uint64_t refused_origin; /* Host or Origin */
	uint64_t refused_token;
	uint64_t too_slow;    /* connections closed at SERVER_REQUEST_S */
	uint32_t connections; /* gauge */
};

struct server;

/**
 * server_start() - bind everything, then answer.
 * @config: copied. @ops: borrowed until server_stop(); called from several threads.
 * @p: on failure one sentence: what is taken and by whom, and the option to change.
 * 0, -EADDRINUSE, -EACCES (off loopback without a token), -EINVAL, -ENOMEM or another -errno.
 * Nothing stays bound on failure. A stale socket file is replaced only when nobody answers on it.
 */
int server_start(const struct server_config *config, const struct control_ops *ops, void *ctx,
		 struct server **ret, struct problem *p);

/**
 * server_stop() - stop listening, wait for running requests, remove the socket file.
 * Call it without the daemon's lock: a request that is being answered may need it. NULL is allowed.
 */
void server_stop(struct server *s);

/** server_port() - the TCP port that @part listens on; 0 when it does not. */
uint16_t server_port(const struct server *s, enum server_part part);

/** server_stats() - a snapshot; any thread. */
void server_stats(struct server *s, struct server_stats *ret);

/**
 * server_read_token() - the token in @path: its first line, SERVER_TOKEN_MIN to SERVER_TOKEN_MAX printable
 * characters. *ret is free()d by the caller. 0 or -errno with @p filled. A file that others than its
 * owner and group may read is refused.
 */
int server_read_token(const char *path, char **ret, struct problem *p);

#endif
