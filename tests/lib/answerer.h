/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * answerer.h - an HTTP server in the test's own process whose answers the test writes, byte for byte if need be.
 *
 * A thread a connection (at most ANSWERER_CONNECTIONS in its life), one request each, then it closes.
 * A stand-in for a peer's bad days (403, 409, late, garbage, huge), which a real one cannot be made to have.
 */
#ifndef ARCHAIC_TEST_ANSWERER_H
#define ARCHAIC_TEST_ANSWERER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWERER_CONNECTIONS 256

struct answerer_request {
	char method[16];
	char path[1024]; /* with the query */
	char head[8192]; /* whole, for strstr() */
	char body[16384];
	size_t body_len;
};

/** Writes the answer to @fd by the functions below; may be called by several threads at once. */
typedef void answerer_fn(void *ctx, const struct answerer_request *q, int fd);

struct answerer {
	answerer_fn *fn;
	void *ctx;
	int fd;
	uint16_t port; /* of a TCP one */
	pthread_t thread, threads[ANSWERER_CONNECTIONS];
	int fds[ANSWERER_CONNECTIONS];
	atomic_uint connections;
};

/** answerer_unix(), answerer_tcp() - start; asserts. @path: a socket to make. */
void answerer_unix(struct answerer *a, const char *path, answerer_fn *fn, void *ctx);
void answerer_tcp(struct answerer *a, answerer_fn *fn, void *ctx);

/** answerer_stop() - break off what is under way, and end. */
void answerer_stop(struct answerer *a);

/** answer_whole() - a whole answer of @body. */
void answer_whole(int fd, int status, const char *body);

/** answer_raw() - these bytes. */
void answer_raw(int fd, const char *text);

/** answer_huge() - status 200 and @size bytes of spaces. */
void answer_huge(int fd, size_t size);

/** answer_silence() - nothing, until the peer gives up or the server stops. */
void answer_silence(int fd);

#endif
