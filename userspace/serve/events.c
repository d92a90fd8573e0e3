// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/events.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

struct frame {
	atomic_uint users;
	uint64_t id;
	size_t len;
	char text[];
};

struct events {
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Slot of id i is i % EVENTS_RING_MAX; ids in the ring have no gap. */
	struct frame *ring[EVENTS_RING_MAX];
	uint64_t oldest, next; /* ids; equal: empty */
	uint64_t sample;       /* the newest one's id; 0: none in the ring */
	uint64_t valid;        /* ids below it cannot be caught up from */
	bool closed;
	uint64_t left_ns; /* when the last listener went; 0: there was none yet */
	struct events_stats stats;
};

struct events_listener {
	struct events *events;
	uint64_t next;       /* id of the frame to be given next */
	struct frame *frame; /* held; NULL: none at hand */
	size_t at;           /* bytes of it that were given */
};

static void let_go(struct frame *f)
{
	if (f && atomic_fetch_sub(&f->users, 1) == 1)
		free(f);
}

static struct frame *frame_new(uint64_t id, const char *type, const char *json)
{
	int len = snprintf(NULL, 0, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", id, type, json);
	struct frame *f = malloc(sizeof(*f) + (size_t)len + 1);

	if (!f)
		return NULL;
	atomic_init(&f->users, 1);
	f->id = id;
	f->len = (size_t)len;
	snprintf(f->text, f->len + 1, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", id, type, json);
	return f;
}

int events_new(uint64_t first_id, struct events **ret)
{
	pthread_condattr_t attr;
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->more, &attr);
	pthread_condattr_destroy(&attr);
	e->oldest = e->next = e->valid = first_id;
	*ret = e;
	return 0;
}

static void drop_oldest(struct events *e)
{
	struct frame **slot = &e->ring[e->oldest % EVENTS_RING_MAX];

	e->stats.ring_bytes -= (*slot)->len;
	if (e->sample == e->oldest)
		e->sample = 0;
	let_go(TAKE_PTR(*slot));
	e->oldest++;
}

void events_free(struct events *e)
{
	if (!e)
		return;
	while (e->oldest < e->next)
		drop_oldest(e);
	pthread_cond_destroy(&e->more);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void events_close(struct events *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->closed = true;
	pthread_cond_broadcast(&e->more);
	pthread_mutex_unlock(&e->lock);
}

static int push(struct events *e, const char *type, const char *json)
{
	struct frame *f = frame_new(e->next, type, json);

	if (!f)
		return -ENOMEM;
	while (e->oldest < e->next &&
	       (e->next - e->oldest == EVENTS_RING_MAX ||
		e->stats.ring_bytes + f->len > EVENTS_RING_BYTES))
		drop_oldest(e);
	e->ring[e->next % EVENTS_RING_MAX] = f;
	e->stats.ring_bytes += f->len;
	if (!strcmp(type, "sample"))
		e->sample = e->next;
	e->next++;
	e->stats.published++;
	pthread_cond_broadcast(&e->more);
	return 0;
}

int events_publish(struct events *e, const char *type, const char *json)
{
	size_t len = strlen(json);

	/* A line break would end the event early, and let its text pass for another one. */
	int err = len > EVENTS_FRAME_MAX || strpbrk(json, "\r\n") ? -EMSGSIZE : 0;
	pthread_mutex_lock(&e->lock);
	err = err ?: push(e, type, json);
	if (err)
		e->stats.refused++;
	pthread_mutex_unlock(&e->lock);
	return err;
}

bool events_wanted(struct events *e, uint64_t now_ns)
{
	pthread_mutex_lock(&e->lock);
	bool yes = e->stats.listeners || (e->left_ns && now_ns < e->left_ns + EVENTS_LINGER_NS);
	pthread_mutex_unlock(&e->lock);
	return yes;
}

/* ---- listeners */

/* What is told first to one whose last id is gone; its id is that of the newest frame, so that it is not told again. */
static struct frame *reset_frame(const struct events *e, uint64_t last_id)
{
	const char *why = last_id >= e->next ?
		"{\"why\":\"this id is not of this daemon's life; read everything anew\"}" :
		"{\"why\":\"what came after this id is no longer kept; read everything anew\"}";

	return frame_new(e->next - 1, "reset", why);
}

static int begin(struct events *e, struct events_listener *l, bool has_last, uint64_t last_id)
{
	bool known = last_id < e->next && last_id + 1 >= MAX(e->oldest, e->valid);

	if (has_last && known) {
		l->next = last_id + 1;
		return 0;
	}
	l->next = e->sample ? e->sample : e->next;
	if (!has_last)
		return 0;
	l->next = e->next;
	l->frame = reset_frame(e, last_id);
	e->stats.resets++;
	return l->frame ? 0 : -ENOMEM;
}

int events_open(struct events *e, bool has_last, uint64_t last_id, uint64_t now_ns,
		struct events_listener **ret)
{
	CLEANUP(freep) struct events_listener *l = calloc(1, sizeof(*l));
	int err = l ? 0 : -ENOMEM;

	pthread_mutex_lock(&e->lock);
	if (!err && e->closed)
		err = -ESHUTDOWN;
	if (!err && e->stats.listeners == EVENTS_LISTENERS_MAX) {
		e->stats.turned_away++;
		err = -EBUSY;
	}
	/* Nobody has listened for long: no sample was made for the time before. */
	if (!err && !e->stats.listeners && now_ns >= e->left_ns + EVENTS_LINGER_NS) {
		e->valid = e->next;
		e->sample = 0;
	}
	err = err ?: begin(e, l, has_last, last_id);
	if (!err) {
		l->events = e;
		e->stats.listeners++;
		*ret = TAKE_PTR(l);
	}
	pthread_mutex_unlock(&e->lock);
	return err;
}

void events_shut(struct events_listener *l, bool stalled, uint64_t now_ns)
{
	if (!l)
		return;
	struct events *e = l->events;

	pthread_mutex_lock(&e->lock);
	e->stats.dropped_slow += stalled;
	if (!--e->stats.listeners)
		e->left_ns = now_ns;
	pthread_mutex_unlock(&e->lock);
	let_go(l->frame);
	free(l);
}

/* The next frame, held, or NULL: none came in time. -EPIPE: over. */
static int await(struct events_listener *l, struct frame **ret)
{
	struct events *e = l->events;
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(EVENTS_KEEPALIVE_NS / NSEC_PER_SEC);
	pthread_mutex_lock(&e->lock);
	while (!e->closed && l->next == e->next && !err)
		err = pthread_cond_timedwait(&e->more, &e->lock, &until);
	if (e->closed) {
		err = -EPIPE;
	} else if (l->next < e->oldest) {
		e->stats.dropped_slow++;
		err = -EPIPE;
	} else {
		err = 0;
		*ret = l->next < e->next ? e->ring[l->next % EVENTS_RING_MAX] : NULL;
		if (*ret) {
			atomic_fetch_add(&(*ret)->users, 1);
			l->next++;
		}
	}
	pthread_mutex_unlock(&e->lock);
	return err;
}

ssize_t events_read(struct events_listener *l, char *to, size_t max)
{
	static const char alive[] = ": still here\n\n";

	if (!l->frame) {
		int err = await(l, &l->frame);
		if (err)
			return err;
		l->at = 0;
	}
	/* A buffer too small for the comment cannot be: libmicrohttpd gives kilobytes. */
	if (!l->frame) {
		size_t n = MIN(max, sizeof(alive) - 1);
		memcpy(to, alive, n);
		return (ssize_t)n;
	}
	size_t n = MIN(max, l->frame->len - l->at);
	memcpy(to, l->frame->text + l->at, n);
	l->at += n;
	if (l->at == l->frame->len)
		let_go(TAKE_PTR(l->frame));
	return (ssize_t)n;
}

void events_stats(struct events *e, struct events_stats *ret)
{
	pthread_mutex_lock(&e->lock);
	*ret = e->stats;
	pthread_mutex_unlock(&e->lock);
}
