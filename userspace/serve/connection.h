/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * connection.h - what server.c and connection.c share. Nobody else includes this.
 *
 * server.c binds, starts and stops; connection.c is what libmicrohttpd calls on
 * a connection's thread: gather one request, let it through the gate, hand it
 * to the router, send the answer.
 */
#ifndef ARCHAIC_CONNECTION_H
#define ARCHAIC_CONNECTION_H

#include <microhttpd.h>
#include <pthread.h>
#include <sys/types.h>

#include "base/buf.h"
#include "serve/events.h"
#include "serve/gate.h"
#include "serve/router.h"
#include "serve/server.h"
#include "serve/slowdown.h"

#define SERVER_LISTENERS_MAX 5
#define SERVER_ANSWER_S 120 /* from the request's last byte to the answer's */

struct listener {
	struct server *server;
	enum server_part part;
	int fd; /* owned until libmicrohttpd has it; -1 then */
	uint16_t port;
	bool is_unix, needs_token;
	bool is_page;
	const char *token; /* that it asks for; the server's */
	struct MHD_Daemon *daemon;
};

/* One connection and the request that is on it. */
struct conn {
	struct conn *next, **link; /* server.lock */
	int fd;
	uint64_t deadline_ns; /* server.lock */
	bool cut;             /* server.lock */
	struct caller caller;

	char *target; /* as sent; owned */
	struct buf body;
	bool seen, too_large;
};

struct server {
	struct router *router;
	char *listen, *listen_pages, *token, *chaos_token, *samples_token, *socket_path;
	bool (*vouched)(void *ctx, const char *authorization); /* of control_ops */
	void *ctx;
	char *tls_cert, *tls_key;
	bool read_only;
	struct events *events; /* the daemon's; NULL: none */
	ino_t socket_ino;
	char *names[SERVER_NAMES_MAX + 1];
	uint64_t request_ns, stall_ns;
	struct listener listeners[SERVER_LISTENERS_MAX];
	size_t nr_listeners;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t sweeper;
	bool sweeping, stopping;
	struct conn *conns;
	uint32_t connections;
	struct server_stats stats;
	struct gate_brake brake;
	struct slowdown slowdown;
};

/* connection_page.c: what the two pages' listeners do besides. */

/** connection_guard() - Host, our own header, read-only mode. 0 or -errno with @p set. */
int connection_guard(const struct listener *l, struct MHD_Connection *connection,
		     const char *method, struct problem *p);

/** connection_page_headers() - what a browser must know about whatever a page's port answers. */
void connection_page_headers(struct MHD_Response *r);

/** connection_page() - send the page's file that @c's target names. MHD_NO in *ret: it failed. False: it names none. */
bool connection_page(const struct listener *l, struct MHD_Connection *connection,
		     const struct conn *c, const char *method, enum MHD_Result *ret);

/** connection_stream() - a response that goes on for as long as the listener, which is taken. NULL: no memory, it is shut. */
struct MHD_Response *connection_stream(struct server *s, struct conn *c,
				       struct events_listener *events);

/** connection_deadline() - whoever does not move on within @span_ns is cut. */
void connection_deadline(struct server *s, struct conn *c, uint64_t span_ns);

/* libmicrohttpd's callbacks; cls is the listener. */
enum MHD_Result connection_handle(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **con_cls);
void *connection_target(void *cls, const char *uri, struct MHD_Connection *connection);
void connection_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		       enum MHD_ConnectionNotificationCode code);
void connection_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			  enum MHD_RequestTerminationCode code);

#endif
