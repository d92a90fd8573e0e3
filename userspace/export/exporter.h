/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exporter.h - spans in, OTLP requests out, on a thread of its own.
 *
 * The queue holds EXPORT_QUEUE_MAX spans; one more is dropped and counted, and
 * whoever gives it never waits. A batch goes when EXPORT_BATCH_MAX are there or
 * the oldest has waited EXPORT_DELAY_NS. One batch is under way at a time; what
 * the receiver cannot take now is tried again (otlp_backoff_ns()) until
 * EXPORT_GIVE_UP_NS after the first try, then dropped and counted; what it
 * refuses is dropped at once. Nothing is kept on disk.
 * exporter_step() decides and takes the time; the thread only waits and calls it.
 */
#ifndef ARCHAIC_EXPORTER_H
#define ARCHAIC_EXPORTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/otlp.h"
#include "export/span.h"

#define EXPORT_QUEUE_MAX 2048
#define EXPORT_BATCH_MAX 512
#define EXPORT_DELAY_NS NSEC_PER_SEC
#define EXPORT_GIVE_UP_NS (300 * NSEC_PER_SEC)
#define EXPORT_LAST_NS \
	(2 * NSEC_PER_SEC) /* what exporter_stop() gives the last batches, all together */
#define EXPORT_BODY_MAX ((size_t)2 << 20) /* bytes of one request; a full batch has about 600 KiB */
#define EXPORT_HEADERS_MAX 8

/* Sends one body and fills @ret; called on the exporter's thread, may wait. True in @cancel ends it early. */
typedef void export_send_fn(void *ctx, const char *body, size_t len, const atomic_bool *cancel,
			    struct otlp_answer *ret);

struct exporter_config {
	const char *namespace, *host; /* see struct otlp_resource; copied */
	export_send_fn *send;
	void *ctx; /* outlives the exporter */
	/* Told, on the exporter's thread, when the receiver stops taking spans, and when it takes them again. */
	void (*changed)(void *ctx, bool works, const char *why);
};

struct exporter_stats {
	uint64_t sent;         /* spans that were taken */
	uint64_t dropped_full; /* the queue was full */
	uint64_t dropped_late; /* given up, or left at the end */
	uint64_t rejected; /* by the receiver: a refused request's, or those of a partial success */
	uint64_t requests_ok, requests_later, requests_refused;
	size_t queued; /* now, the batch under way included */
};

struct exporter;

/** exporter_new() - 0 or -ENOMEM. No thread yet. */
int exporter_new(const struct exporter_config *c, struct exporter **ret);

/** exporter_start() - start the thread. 0 or -errno. */
int exporter_start(struct exporter *e);

/** exporter_push() - copy @s into the queue. Any thread; waits for nothing but a short lock. */
void exporter_push(struct exporter *e, const struct span *s, uint64_t now_ns);

/** exporter_stats() - any thread. */
void exporter_stats(struct exporter *e, struct exporter_stats *ret);

/**
 * exporter_step() - do what is due at @now_ns (CLOCK_MONOTONIC): at most one request.
 * Returns when it is to be called again, UINT64_MAX: when something was pushed. Where a thread was
 * started it alone calls this.
 */
uint64_t exporter_step(struct exporter *e, uint64_t now_ns);

/** exporter_free() - stop the thread, give what is left one try, free. NULL is allowed. */
void exporter_free(struct exporter *e);

static inline void exporter_freep(struct exporter **e)
{
	exporter_free(*e);
}

#endif
