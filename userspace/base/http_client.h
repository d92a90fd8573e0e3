/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_client.h - one bounded HTTP call at a time: bytes out, bytes in, or one error class.
 *
 * A client is a libcurl handle with its connection cache: calls to the same
 * place reuse the connection. Redirects are never followed, a body over its cap
 * ends the call, and every call has a total time-out. libcurl is set up once by
 * itself; no signal is used, so any thread may own a client. One client serves
 * one thread at a time; make one per thread. Proxies of the environment are not
 * used unless a request says so (a call to localhost must not leave the host).
 */
#ifndef ARCHAIC_HTTP_CLIENT_H
#define ARCHAIC_HTTP_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HTTP_CLIENT_BODY_MAX (1024 * 1024) /* answer's body where the request names no cap, bytes */
#define HTTP_CLIENT_HEADERS_MAX \
	(16 * 1024)                  /* bytes kept of the answer's head; the rest is left out */
#define HTTP_CLIENT_TIMEOUT_MS 10000 /* where the request names none */
#define HTTP_CLIENT_CONNECT_TIMEOUT_MS 2000

enum http_client_error {
	HTTP_CLIENT_OK,          /* an answer came, whatever its status */
	HTTP_CLIENT_UNREACHABLE, /* no such host, refused, no route, no such socket */
	HTTP_CLIENT_TIMEOUT,
	HTTP_CLIENT_TLS,       /* certificate or handshake */
	HTTP_CLIENT_TOO_LARGE, /* the body went over body_max */
	HTTP_CLIENT_PROTOCOL,  /* broken off, or not HTTP */
	HTTP_CLIENT_CANCELLED,
	HTTP_CLIENT_INTERNAL, /* bad URL, no memory: our own side */
};

/* Whom to trust and who we are, PEM texts each; NULL: the system's authorities, no certificate of ours. */
struct http_client_tls {
	const char *ca; /* then these authorities alone */
	const char *cert;
	const char *key;
};

/* Zero is a fitting default for every field but url. Everything is borrowed for the call. */
struct http_client_request {
	const char *url;            /* http:// or https:// */
	const char *method;         /* NULL: GET, or POST where there is a body */
	const char *const *headers; /* NULL-ended "Name: value" lines; NULL: none */
	const void *body;           /* NULL: none */
	size_t body_len;            /* bytes */
	uint32_t connect_timeout_ms;
	uint32_t timeout_ms;     /* the whole call */
	size_t body_max;         /* bytes of the answer's body */
	const char *unix_socket; /* path; NULL: TCP. The URL's host is then only the Host header */
	bool use_proxy;          /* honour http_proxy and friends */
	const struct http_client_tls *tls; /* for https://; NULL: all defaults */
	/**
	 * on_data() - takes the body of an answer of status 200 piece by piece as it comes, instead of
	 * response.body and without body_max. Non-zero ends the call (HTTP_CLIENT_CANCELLED). NULL: none.
	 */
	int (*on_data)(void *ctx, const char *data, size_t len);
	void *ctx;                 /* on_data()'s */
	const atomic_bool *cancel; /* true ends the call, within about a second; NULL: never */
};

struct http_client_response {
	enum http_client_error error;
	int status; /* 100..599; 0 without an answer */
	struct buf body;
	struct buf headers; /* raw lines of the final answer, CRLF between them */
	double seconds;     /* the whole call took */
	char why[256];      /* on failure: one sentence without the URL's query */
};

struct http_client;

/** http_client_new() - 0 or -ENOMEM. Any thread. */
int http_client_new(struct http_client **ret);
void http_client_free(struct http_client *c);

/**
 * http_client_do() - make one call and wait for its end.
 * @ret: always initialised; release it also after a failure, when it holds error and why only.
 *
 * 0 when an answer came (of any status), else the errno of the class:
 * -EHOSTUNREACH, -ETIMEDOUT, -EBADE (TLS), -EMSGSIZE, -EPROTO, -ECANCELED, -EINVAL.
 */
int http_client_do(struct http_client *c, const struct http_client_request *req,
		   struct http_client_response *ret);

/** http_client_response_release() - may be said twice. */
void http_client_response_release(struct http_client_response *r);

/**
 * http_client_header() - the value of the first header @name, case ignored.
 * @value: set to the borrowed, unterminated text without outer blanks; @len: its bytes.
 * False where there is none.
 */
bool http_client_header(const struct http_client_response *r, const char *name, const char **value,
			size_t *len);

/** http_client_error_name() - "ok", "unreachable", "timeout", "tls", "too_large", "protocol", "cancelled", "internal". */
const char *http_client_error_name(enum http_client_error e);

static inline void http_client_freep(struct http_client **c)
{
	http_client_free(*c);
}

#endif
