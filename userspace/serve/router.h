/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * router.h - one request in, one answer out: the whole interface without a socket.
 *
 * One table (router_routes()) drives matching, 404 and 405, which query
 * parameters and bodies are allowed and where a route is answered; the OpenAPI
 * file is tested against it both ways. Everything in a request is untrusted:
 * percent-encoding, UTF-8, JSON, names and ids are checked before a control
 * function sees them. What is refused becomes an RFC 9457 problem document.
 *
 * Rights: a caller on the Unix socket that is not root may read everything and
 * act only on its own service. TCP callers have passed serve/gate.h.
 *
 * Thread-safe: a router holds no state but the idempotency table.
 */
#ifndef ARCHAIC_ROUTER_H
#define ARCHAIC_ROUTER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/problem.h"
#include "serve/control.h"
#include "serve/events.h"
#include "serve/server.h"

#define ROUTER_TARGET_MAX 8192               /* bytes of path and query, as sent */
#define ROUTER_QUERY_MAX 16                  /* parameters */
#define ROUTER_ARGS_MAX 2                    /* {name}s in a path */
#define ROUTER_ANSWER_MAX ((size_t)16 << 20) /* bytes of a JSON answer */

struct inbound {
	enum server_part part;
	const char *method;       /* HEAD is answered as GET; the server leaves the body out */
	const char *target;       /* path and query, as sent */
	const char *content_type; /* NULL: none; so for the next four */
	const char *accept;
	const char *idempotency_key;
	const char *last_event_id;
	const char *body; /* @body_len bytes, need not be terminated */
	size_t body_len;
	struct caller caller; /* service is filled in by the router where it matters */
	uint64_t now_ns;      /* CLOCK_MONOTONIC */
};

/* Owned by the caller: reply_release(). */
struct reply {
	int status;
	const char *content_type; /* static */
	struct buf body;
	char allow[64];                 /* Allow, with 405; "" else */
	char location[192];             /* with 201; "" else */
	struct events_listener *events; /* the body is this stream, and has no end; NULL else */
};

void reply_release(struct reply *r);

/** reply_problem() - make @r the problem document of @p (RFC 9457). A status of 0 becomes 500. */
void reply_problem(struct reply *r, const struct problem *p);

struct router;

/**
 * router_new() - @ops and @ctx are borrowed until router_free(). @prometheus_url: copied; NULL or "": none.
 * 0 or -ENOMEM.
 */
int router_new(const struct control_ops *ops, void *ctx, const char *prometheus_url,
	       struct router **ret);
void router_free(struct router *r);

/** router_handle() - answer @req. Always fills @reply; may wait for a control function or for Prometheus. */
void router_handle(struct router *r, const struct inbound *req, struct reply *reply);

/* ---- the table */

enum route_body {
	BODY_NONE,  /* nothing, or an empty object */
	BODY_MAYBE, /* nothing, or one JSON object */
	BODY_JSON,  /* one JSON object, required */
	BODY_FORM,  /* application/x-www-form-urlencoded, passed on */
};

struct exchange;

struct route {
	const char *method;
	const char *path; /* "/v1/services/{name}" */
	unsigned parts;   /* enum server_part bits */
	enum route_body body;
	bool any_query;            /* query lists what is known; others are passed on */
	const char *const *query;  /* NULL-ended; NULL: none */
	const char *const *fields; /* of the body, NULL-ended; NULL: whoever parses it knows */
	int (*handler)(struct exchange *x); /* 0 with x->reply set, or -errno with x->problem */
};

/** router_routes() - the table; @nr its length. Static. */
const struct route *router_routes(size_t *nr);

/* ---- for handlers (routes*.c) */

struct exchange {
	struct router *router;
	const struct control_ops *ops;
	void *ctx;
	const char *prometheus_url; /* "" : none */
	const struct route *route;
	const struct inbound *req;
	struct caller caller;
	const char *args[ROUTER_ARGS_MAX];
	struct {
		const char *name, *value;
	} query[ROUTER_QUERY_MAX];
	size_t nr_query;
	const char *query_text; /* as sent, after the '?'; "" for none */
	cJSON *body;            /* owned; NULL where none came */
	struct reply *reply;
	struct problem problem;
};

/** exchange_json() - answer @status with @json, which is taken. 0 or -errno with the problem set. */
int exchange_json(struct exchange *x, int status, cJSON *json);

/** exchange_query() - the parameter's value, or NULL. */
const char *exchange_query(const struct exchange *x, const char *name);

/** exchange_bool() - parameter @name as true or false; @ret stays when it is missing. 0 or -EINVAL. */
int exchange_bool(struct exchange *x, const char *name, bool *ret);

/** exchange_limit() - parameter "limit", 1..@max; @ret stays when it is missing. 0 or -EINVAL. */
int exchange_limit(struct exchange *x, size_t max, size_t *ret);

/** exchange_text() - body member @name as text of 1..@max-1 bytes. Missing: 400 when @required, else *ret is "". */
int exchange_text(struct exchange *x, const char *name, bool required, size_t max,
		  const char **ret);

/** exchange_whole() - body member @name as a whole number in [@min, @max]; *ret stays when it is missing. */
int exchange_whole(struct exchange *x, const char *name, uint64_t min, uint64_t max, uint64_t *ret);

/** exchange_missing() - this daemon has no such function: a 503 and its errno. */
int exchange_missing(struct exchange *x);

/**
 * exchange_self() - look up the caller's own service into x->caller.service ("" when it has none).
 * Only the Unix socket knows its callers; TCP callers have none.
 */
void exchange_self(struct exchange *x);

/**
 * exchange_may_act() - may the caller change @service? NULL: something that belongs to no single service.
 * 0, or -EACCES with a 403.
 */
int exchange_may_act(struct exchange *x, const char *service);

/** exchange_service() - @name, or for "self" the caller's own service. 0; 404 when it has none or the name cannot exist. */
int exchange_service(struct exchange *x, const char *name, const char **ret);

/* openapi.json, embedded; not terminated. */
extern const char openapi_json[];
extern const char openapi_json_end[];

#endif
