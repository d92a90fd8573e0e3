/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * server.h - a table of routes into a running HTTP service.
 *
 * One thread a connection (SERVER_CONNECTIONS_MAX; more wait in the listen
 * queue), so a slow dependency holds up nobody else. Every answer carries
 * X-Trace-ID and is logged. Unknown paths are 404, known ones with another
 * method 405 with Allow, bodies over 1 MiB 413, all as JSON. A refusal that
 * libmicrohttpd makes itself, before there is a request (a malformed line,
 * headers over 32 KiB), has its own short HTML body.
 *
 * SIGTERM and SIGINT: stops accepting, lets requests finish for up to 5 s,
 * gives up calls to others that are still under way, and returns 0.
 */
#ifndef ARCHAIC_SERVICE_SERVER_H
#define ARCHAIC_SERVICE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/common/request.h"

#define SERVER_CONNECTIONS_MAX 512
#define SERVER_IDLE_S 75
#define SERVER_GRACE_MS 5000

struct route {
	const char *method, *pattern; /* "POST", "/cart/{user_id}" */
	bool auth; /* a Bearer token that the auth service accepts; fills rq->user_id */
	int (*handle)(struct request *rq); /* returns the status that it replied */
};

struct service_def {
	const char *name; /* "db-service" */
	uint16_t port;    /* default */
	const struct route *routes;
	size_t nr_routes;
	bool bad_data; /* its answers hold data: POST /inject-failure?type=bad_data can spoil it */
	const char *help; /* of --help: what its environment can hold; one a line */
	/* Called once, after the options, before the first request; NULL: none. On failure fills @why. 0 or -errno. */
	int (*start)(uint16_t port, char *why, size_t size);
	void (*stop)(void); /* after the last request; NULL: none */
	/* For routes with auth: 0 with rq->user_id, or the status that it replied. */
	int (*authenticate)(struct request *rq);
};

/** service_run() - the whole of a service's main(): options, start, serve, stop. Returns main's value. */
int service_run(const struct service_def *def, int argc, char **argv);

/**
 * route_find() - the route of @method and @u among @routes.
 * @param: see uri_match(). @allow: @size bytes; on a wrong method, what is allowed: "GET, HEAD". 0, -ENOENT or
 * -ENOTSUP (the path is known, the method is not).
 */
int route_find(const struct route *routes, size_t nr, const char *method, const struct uri *u,
	       const struct route **ret, const char **param, char *allow, size_t size);

#endif
