/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.h - calls to other services: with a limit on time and size, classified.
 *
 * A dependency owns a bounded pool of libcurl handles; a call takes one (or
 * makes one when all are out) and gives it back, so connections are kept alive
 * across callers' threads. No redirects, no proxy, HTTP and HTTPS only.
 *
 * What the caller's client gets: CALL_BAD 502, CALL_UNREACHABLE 503, CALL_LATE 504.
 * All functions are thread-safe but dependency_init() and dependency_release().
 */
#ifndef ARCHAIC_CLIENT_H
#define ARCHAIC_CLIENT_H

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEPENDENCY_POOL_MAX 64          /* idle handles kept; more are closed after use */
#define DEPENDENCY_ANSWER_MAX (1 << 20) /* bytes; a longer answer is a bad one */
#define CALL_HEADERS_MAX 4

struct dependency {
	char name[64];       /* "db-service": in bodies */
	char label[64];      /* "DB-service": in logs */
	char url[512];       /* no slash at its end */
	char unix_path[108]; /* "": TCP */
	unsigned int timeout_ms;
	bool proxy; /* may go through the environment's proxy (Stripe); never the house's own */
	pthread_mutex_t lock;
	void *idle[DEPENDENCY_POOL_MAX]; /* CURL handles, guarded by lock */
	size_t nr_idle;
};

enum call_result { CALL_OK, CALL_BAD, CALL_UNREACHABLE, CALL_LATE };

struct call {
	const char *method, *path;             /* path begins with '/', encoded */
	const char *body;                      /* NULL: none */
	const char *content_type;              /* of the body; NULL: application/json */
	const char *trace_id, *traceparent;    /* NULL or "": not sent */
	const char *headers[CALL_HEADERS_MAX]; /* "Name: value", NULL-ended unless full */
};

/* CALL_OK: an HTTP answer came, whole, with any status and body a JSON text or empty. Else @why says what happened. */
struct answer {
	enum call_result result;
	int status;  /* 0 where none came */
	char *body;  /* owned; NULL where empty */
	cJSON *json; /* owned; NULL where empty or not JSON */
	uint64_t took_ns;
	char why[160];
};

/**
 * dependency_init() - where a service is called.
 * @name: its name. @url: "http://host:port" or "https://…", user names and queries are refused; with @unix_path
 * only for the Host header. 0 or -EINVAL (the address cannot be used).
 */
int dependency_init(struct dependency *d, const char *name, const char *url, const char *unix_path,
		    unsigned int timeout_ms);
void dependency_release(struct dependency *d);

/** dependency_call() - one call; always fills @ret, which needs answer_release(). */
void dependency_call(struct dependency *d, const struct call *c, struct answer *ret);
void answer_release(struct answer *a);

/** dependency_abort_all() - end every call under way within about a second, and refuse new ones. For the stop. */
void dependency_abort_all(void);

#endif
