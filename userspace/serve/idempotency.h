/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * idempotency.h - the same POST, said again, is done once.
 *
 * A bounded table from (caller's scope, Idempotency-Key) to the answer that the
 * first request got. IDEMPOTENCY_MAX keys are remembered, for IDEMPOTENCY_NS;
 * the oldest finished one makes room. Only answers that did something (2xx) are
 * kept: what was refused may be tried again. Thread-safe.
 */
#ifndef ARCHAIC_IDEMPOTENCY_H
#define ARCHAIC_IDEMPOTENCY_H

#include <stddef.h>
#include <stdint.h>

#define IDEMPOTENCY_MAX 256
#define IDEMPOTENCY_NS (24ULL * 3600 * 1000000000)
#define IDEMPOTENCY_KEY_MAX 128  /* bytes, printable ASCII */
#define IDEMPOTENCY_SCOPE_MAX 96 /* bytes with the NUL */
#define IDEMPOTENCY_ANSWER_MAX \
	(64 * 1024) /* a larger answer is not kept: the repeated request gets 409 */

struct idempotency;

enum idempotency_verdict {
	IDEMPOTENCY_FIRST,    /* go on; say idempotency_end() afterwards */
	IDEMPOTENCY_REPEATED, /* *status and *body are the first one's answer */
	IDEMPOTENCY_RUNNING,  /* the first one is not done yet: 409 */
	IDEMPOTENCY_OTHER,    /* the key was used for another request: 422 */
	IDEMPOTENCY_LOST,     /* done, but its answer was too large to keep: 409 */
	IDEMPOTENCY_FULL,     /* every slot belongs to a running request: 429 */
};

int idempotency_new(struct idempotency **ret);
void idempotency_free(struct idempotency *t);

/**
 * idempotency_begin() - has @scope said @key before?
 * @request: bytes that tell requests apart (method, target, body); hashed, not kept.
 * @status, @body: set for IDEMPOTENCY_REPEATED only; *body is free()d by the caller, its length in *len.
 * -ENOMEM is answered as IDEMPOTENCY_FULL.
 */
enum idempotency_verdict idempotency_begin(struct idempotency *t, const char *scope,
					   const char *key, const void *request, size_t request_len,
					   uint64_t now_ns, int *status, char **body, size_t *len);

/** idempotency_end() - the request that was the first is answered; 2xx is kept, all else forgets the key. */
void idempotency_end(struct idempotency *t, const char *scope, const char *key, int status,
		     const char *body, size_t len);

#endif
