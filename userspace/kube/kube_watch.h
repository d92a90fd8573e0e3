/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_watch.h - what there is of a kind, and every change of it from then on.
 *
 * Lists, then watches from the list's resourceVersion, and goes on from the last event's after
 * each end of the stream; where the API no longer knows that version (410) it lists anew. Between
 * failures it waits, twice as long each time up to KUBE_WATCH_RETRY_MAX_MS. Events are lines of
 * JSON, each at most KUBE_WATCH_LINE_MAX bytes; one that is longer, or no JSON, ends the stream and
 * leads to a new list: no event is passed over in silence.
 *
 * A list is told as KUBE_WATCH_LIST, a KUBE_WATCH_PRESENT for each object, and KUBE_WATCH_SYNCED:
 * what the taker knew and was not named in between is gone. A list that breaks off has no SYNCED, and the
 * next one begins with another LIST: until then the taker keeps what it has.
 */
#ifndef ARCHAIC_KUBE_WATCH_H
#define ARCHAIC_KUBE_WATCH_H

#include "base/buf.h"
#include "kube/kube.h"

#define KUBE_WATCH_LINE_MAX (1u << 20)
#define KUBE_WATCH_SECONDS \
	240 /* then the API ends the stream by itself, and it is asked for anew */
#define KUBE_WATCH_RETRY_MS 500
#define KUBE_WATCH_RETRY_MAX_MS 30000

enum kube_watch_event {
	KUBE_WATCH_LIST, /* object NULL */
	KUBE_WATCH_PRESENT,
	KUBE_WATCH_SYNCED, /* object NULL */
	KUBE_WATCH_ADDED,
	KUBE_WATCH_MODIFIED,
	KUBE_WATCH_DELETED,
};

struct kube_watch {
	struct kube_ref ref;  /* of the list: name NULL */
	const char *selector; /* labels; NULL: all */
	/** event() - @object borrowed. Non-zero ends kube_watch_run(), which returns it. */
	int (*event)(void *ctx, enum kube_watch_event e, const cJSON *object);
	/** trouble() - a failure that is being retried, once per failure; may be NULL. */
	void (*trouble)(void *ctx, int err, const char *why);
	void *ctx;
	unsigned retry_ms; /* first wait; 0 takes KUBE_WATCH_RETRY_MS */

	/* Counts; read by the taker's own thread. */
	uint64_t lists, streams, events, failures, lines_bad;

	/* Its own. */
	struct buf line;
	char version[KUBE_VERSION_MAX];
	int result;
};

/**
 * kube_watch_run() - until @k's cancel or a taker's no. In a thread of its own, with a struct kube of its own.
 * -ECANCELED, -EACCES from the first list (RBAC says no: the caller may try again later), or what event() returned.
 */
int kube_watch_run(struct kube *k, struct kube_watch *w);

/** kube_watch_feed() - bytes of the stream: whole lines become events. For kube_watch.c and its tests. 0, -EPROTO, -ESTALE (410) or what event() returned. */
int kube_watch_feed(struct kube_watch *w, const char *data, size_t len);

#endif
