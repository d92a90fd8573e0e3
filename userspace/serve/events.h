/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.h - what happens, told to everybody who listens, rendered once.
 *
 * A publisher hands in one line of JSON; it becomes one frame of a
 * text/event-stream, kept in a ring and shared by all listeners by reference.
 * A listener copies from its frame into its own connection's buffer on its own
 * thread: publishing never waits for one, and no lock is held while anything is
 * written to a socket.
 *
 * Ids rise by one and begin at what events_new() is given: taken from the wall
 * clock, an earlier daemon's ids are below all of ours. A listener that comes
 * back names its last id and gets everything after it; where that is gone, a
 * frame "reset" says why, and its user reads everything anew.
 *
 * Bounds: EVENTS_RING_MAX frames and EVENTS_RING_BYTES (the oldest go),
 * EVENTS_FRAME_MAX a frame (refused, counted), EVENTS_LISTENERS_MAX listeners
 * (-EBUSY). A listener that falls out of the ring's end is ended and counted;
 * one that takes nothing for EVENTS_STALL_NS is its connection's to cut.
 *
 * Thread-safe. Its lock is a leaf: it may be taken under any other.
 */
#ifndef ARCHAIC_EVENTS_H
#define ARCHAIC_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define EVENTS_LISTENERS_MAX 64
#define EVENTS_RING_MAX 600
#define EVENTS_RING_BYTES ((size_t)32 << 20)
#define EVENTS_FRAME_MAX ((size_t)2 << 20)
#define EVENTS_KEEPALIVE_NS 5000000000ULL
#define EVENTS_STALL_NS 20000000000ULL
#define EVENTS_LINGER_NS 300000000000ULL /* samples go on so long after the last listener left */

struct events;
struct events_listener;

struct events_stats {
	uint64_t published;
	uint64_t refused;      /* frames that were too large, or for which there was no memory */
	uint64_t dropped_slow; /* listeners that fell out of the ring or stalled */
	uint64_t turned_away;  /* listeners over EVENTS_LISTENERS_MAX */
	uint64_t resets;       /* listeners whose last id was gone */
	uint32_t listeners;    /* gauge */
	size_t ring_bytes;     /* gauge */
};

/** events_new() - the first frame's id will be @first_id (> 0). 0 or -ENOMEM. */
int events_new(uint64_t first_id, struct events **ret);

/** events_free() - after the last listener has gone. NULL is allowed. */
void events_free(struct events *e);

/** events_close() - every listener's stream ends now, and none is taken any more. Any thread. NULL is allowed. */
void events_close(struct events *e);

/**
 * events_publish() - one event more.
 * @type: "sample", "fault" …: a word. @json: one line of JSON, copied.
 * 0, -EMSGSIZE or -ENOMEM (both counted).
 */
int events_publish(struct events *e, const char *type, const char *json);

/**
 * events_wanted() - is it worth making samples? Yes while somebody listens, and for
 * EVENTS_LINGER_NS after: then a lost connection finds them when it comes back.
 * Who comes later than that is told to read everything anew.
 */
bool events_wanted(struct events *e, uint64_t now_ns);

/**
 * events_open() - listen from now on, or from after @last_id.
 * @has_last: false begins with the newest sample, where there is one.
 * *ret: events_shut(). 0, -EBUSY (EVENTS_LISTENERS_MAX), -ESHUTDOWN or -ENOMEM.
 */
int events_open(struct events *e, bool has_last, uint64_t last_id, uint64_t now_ns,
		struct events_listener **ret);

/** events_shut() - stop listening. @stalled: it was cut for taking nothing. NULL is allowed. */
void events_shut(struct events_listener *l, bool stalled, uint64_t now_ns);

/**
 * events_read() - the stream's next bytes, at most @max (> 0), into @to.
 * Waits up to EVENTS_KEEPALIVE_NS for some, then gives a comment line that keeps the connection alive.
 * Returns how many, or -EPIPE: the stream is over. One thread a listener.
 */
ssize_t events_read(struct events_listener *l, char *to, size_t max);

void events_stats(struct events *e, struct events_stats *ret);

#endif
