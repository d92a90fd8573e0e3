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
 *
 * The two pages (SERVER_PAGES) are for browsers, so they ask for more: a Host
 * that is an address, localhost or one of ours (DNS rebinding), a header of our
 * own on whatever changes something (CSRF), and they forbid frames and foreign
 * script. On loopback port 8080 arms faults and starts load with no token: any
 * local user may then, within the configured limits, which is not so on the
 * other ports. chaos_token or read_only closes that. The pages' own files are
 * public; only /v1 asks for the token.
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
	SERVER_CONTROL = 1 << 0,   /* Unix socket: all of /v1 */
	SERVER_OPERATOR = 1 << 1,  /* 8005 */
	SERVER_DETECTOR = 1 << 2,  /* 8006 */
	SERVER_DASHBOARD = 1 << 3, /* 7000: a page, and what it reads */
	SERVER_CHAOS = 1 << 4,     /* 8080: a page that hurts */
};

#define SERVER_PAGES (SERVER_DASHBOARD | SERVER_CHAOS)

struct server_config {
	const char *socket_path; /* NULL: no control socket */
	const char *
		socket_group; /* NULL: "archaic"; a group that does not exist leaves the socket to root */
	const char *listen; /* numeric IPv4 or IPv6 address; NULL: "127.0.0.1" */
	int port_operator;  /* -1: do not listen; 0: any free port (tests) */
	int port_detector;
	const char *listen_pages; /* the two pages' address; NULL: as listen */
	int port_dashboard;
	int port_chaos;
	bool read_only; /* the pages show, and change nothing: 403 */
	const char *
		chaos_token; /* 8080 asks for it on loopback too; NULL: only off loopback, for token */
	const char *
		samples_token; /* POST /v1/samples asks for this one, on loopback too; NULL: as everything else */
	const char *tls_cert, *tls_key; /* PEM; both: the pages are served over TLS; NULL: not */
	const char *token;              /* bearer token for listeners off loopback; NULL: none */
	const char *
		names[SERVER_NAMES_MAX]; /* further names allowed in Host, NULL-ended where fewer */
	const char *prometheus_url;      /* NULL: /api/v1/query… answer 503 */
	unsigned request_s;              /* 0: SERVER_REQUEST_S */
	unsigned stall_s; /* a listener that takes nothing for so long is cut; 0: EVENTS_STALL_NS */
};

struct server_stats {
	uint64_t requests;       /* answered, whatever the status */
	uint64_t refused_origin; /* Host or Origin */
	uint64_t refused_token;
	uint64_t refused_forged; /* to the pages: without our header */
	uint64_t refused_read_only;
	uint32_t slowed_addresses; /* gauge: of wrong tokens */
	uint64_t too_slow;         /* connections closed at SERVER_REQUEST_S */
	uint32_t connections;      /* gauge */
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
