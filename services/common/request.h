/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h - one request as a handler sees it, and how it answers.
 *
 * A handler runs on its connection's own thread, reads struct request and ends
 * with exactly one reply_*(), whose return value (the HTTP status) it returns.
 * Every refusal is JSON: {"error": "a sentence", …, "trace_id": …}.
 *
 * Text that a handler gets is valid UTF-8 without control characters where it
 * comes from the address or from request_text(); bodies are at most 1 MiB.
 */
#ifndef ARCHAIC_REQUEST_H
#define ARCHAIC_REQUEST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"
#include "services/common/client.h"
#include "services/common/trace.h"
#include "services/common/uri.h"

#define REQUEST_BODY_MAX (1 << 20)
#define REQUEST_USER_MAX 129

struct MHD_Connection;

struct request {
	const char *method; /* "GET" also for HEAD */
	struct uri uri;
	const char *param; /* what {…} of the route's pattern matched; NULL */
	const char *body;  /* terminated; "" without one */
	size_t body_len;
	char trace_id[TRACE_ID_SIZE];
	char traceparent[TRACEPARENT_SIZE]; /* "": none */
	char user_id[REQUEST_USER_MAX];     /* of a route with auth: who it is */

	/* Set by reply_*(). */
	int status;
	char *answer; /* owned */
	const char *answer_type;
	const char *allow; /* 405: the Allow header */

	struct MHD_Connection *connection; /* for request_header() */
};

/** request_header() - a header's value, borrowed; NULL where missing. */
const char *request_header(const struct request *rq, const char *name);

/** request_bearer() - the token after "Authorization: Bearer", borrowed; NULL where there is none. */
const char *request_bearer(const struct request *rq);

/** reply_json() - @json (taken, also on failure) with @status. Returns the status, 500 without memory. */
int reply_json(struct request *rq, int status, cJSON *json);

/** reply_text() - @body (copied), which is JSON, as it stands. */
int reply_text(struct request *rq, int status, const char *content_type, const char *body);

/** reply_error() - a refusal in one sentence. */
int reply_error(struct request *rq, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** reply_parameter() - 400 about one parameter: its name, what was given, what is allowed. */
int reply_parameter(struct request *rq, const char *name, const char *value, const char *allowed);

/** reply_unknown() - 400 about a parameter that nobody knows. @value: as it was given. */
int reply_unknown(struct request *rq, const char *name, const char *value, const char *known);

/**
 * reply_dependency() - 502, 503 or 504 for @a, a failed or unfit answer of @d, which both the body and the log name.
 * @a->result CALL_OK means: it came, but its status or shape is bad; @why (or NULL) says how.
 */
int reply_dependency(struct request *rq, const struct dependency *d, const struct answer *a,
		     const char *why);

/**
 * request_json() - the body as an object whose members are all in @known (NULL-ended).
 * @ret: owned by the caller; an empty body gives NULL where @optional. 0, or the status already replied.
 */
int request_json(struct request *rq, const char *const *known, bool optional, cJSON **ret);

/**
 * request_text() - member @name: text of @min to @max bytes without control characters.
 * @ret: borrowed from @json; NULL where missing and @min is 0. 0, or the status already replied.
 */
int request_text(struct request *rq, const cJSON *json, const char *name, size_t min, size_t max,
		 const char **ret);

/** request_whole() - member @name: a whole number in [min, max], required. 0, or the status already replied. */
int request_whole(struct request *rq, const cJSON *json, const char *name, int min, int max,
		  int *ret);

/** request_no_query() - refuse any query parameter. 0, or the status already replied. */
int request_no_query(struct request *rq);

/** text_is_plain() - no control characters. */
bool text_is_plain(const char *s);

/** request_call() - a call on behalf of @rq: passes its trace on. @body: JSON or NULL. @bearer: or NULL. */
void request_call(const struct request *rq, struct dependency *d, const char *method,
		  const char *path, const char *body, const char *bearer, struct answer *ret);

#endif
