// SPDX-License-Identifier: GPL-2.0-or-later
#include "export/exporter.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

struct exporter {
	struct exporter_config config;
	char namespace[64], host[256];

	pthread_mutex_t lock; /* of the queue, the counts and stop; a leaf */
	pthread_cond_t wake;
	struct span *queue; /* EXPORT_QUEUE_MAX */
	size_t head, nr;
	uint64_t oldest_ns; /* when the first of the queue came */
	bool stop;
	struct exporter_stats stats;

	pthread_t thread;
	bool running;
	atomic_bool cancel;

	/* The thread's own. */
	struct span *batch; /* EXPORT_BATCH_MAX */
	size_t nr_batch;
	struct buf body;
	uint32_t attempt;
	uint64_t first_ns, again_ns;
	bool works;
};

int exporter_new(const struct exporter_config *c, struct exporter **ret)
{
	pthread_condattr_t attr;
	struct exporter *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->queue = calloc(EXPORT_QUEUE_MAX, sizeof(*e->queue));
	e->batch = calloc(EXPORT_BATCH_MAX, sizeof(*e->batch));
	if (!e->queue || !e->batch) {
		free(e->queue);
		free(e->batch);
		free(e);
		return -ENOMEM;
	}
	e->config = *c;
	snprintf(e->namespace, sizeof(e->namespace), "%s", c->namespace ?: "");
	snprintf(e->host, sizeof(e->host), "%s", c->host ?: "");
	e->works = true;
	buf_init(&e->body, EXPORT_BODY_MAX);
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->wake, &attr);
	pthread_condattr_destroy(&attr);
	*ret = e;
	return 0;
}

void exporter_push(struct exporter *e, const struct span *s, uint64_t now_ns)
{
	pthread_mutex_lock(&e->lock);
	if (e->nr == EXPORT_QUEUE_MAX) {
		e->stats.dropped_full++;
	} else {
		if (!e->nr)
			e->oldest_ns = now_ns;
		e->queue[(e->head + e->nr++) % EXPORT_QUEUE_MAX] = *s;
		/* One wake-up for the first, which starts the delay, and one for a batch. */
		if (e->nr == 1 || e->nr == EXPORT_BATCH_MAX)
			pthread_cond_signal(&e->wake);
	}
	pthread_mutex_unlock(&e->lock);
}

void exporter_stats(struct exporter *e, struct exporter_stats *ret)
{
	pthread_mutex_lock(&e->lock);
	*ret = e->stats;
	ret->queued += e->nr;
	pthread_mutex_unlock(&e->lock);
}

/* 0: a batch is in hand; else when there will be one. */
static uint64_t take_batch(struct exporter *e, uint64_t now_ns)
{
	uint64_t due_ns = 0;

	pthread_mutex_lock(&e->lock);
	if (!e->nr)
		due_ns = UINT64_MAX;
	else if (e->nr < EXPORT_BATCH_MAX && !e->stop && e->oldest_ns + EXPORT_DELAY_NS > now_ns)
		due_ns = e->oldest_ns + EXPORT_DELAY_NS;
	while (!due_ns && e->nr && e->nr_batch < EXPORT_BATCH_MAX) {
		e->batch[e->nr_batch++] = e->queue[e->head];
		e->head = (e->head + 1) % EXPORT_QUEUE_MAX;
		e->nr--;
	}
	e->stats.queued = e->nr_batch;
	/* What stays has waited for no longer than the batch took: its delay begins now. */
	e->oldest_ns = due_ns ? e->oldest_ns : now_ns;
	pthread_mutex_unlock(&e->lock);
	return due_ns;
}

static int make_body(struct exporter *e)
{
	const struct otlp_resource r = { .namespace = e->namespace, .host = e->host };

	buf_reset(&e->body);
	span_pair(e->batch, e->nr_batch);
	return otlp_encode(e->batch, e->nr_batch, &r, &e->body);
}

static void tell(struct exporter *e, bool works, const char *why)
{
	if (works != e->works && e->config.changed)
		e->config.changed(e->config.ctx, works, why);
	e->works = works;
}

/* Done with the batch: so many of it were not taken. */
static void end_batch(struct exporter *e, uint64_t *counter, uint64_t lost)
{
	pthread_mutex_lock(&e->lock);
	lost = MIN(lost, e->nr_batch);
	*counter += lost;
	e->stats.sent += e->nr_batch - lost;
	e->stats.queued = 0;
	pthread_mutex_unlock(&e->lock);
	e->nr_batch = 0;
	e->attempt = 0;
}

static void count_request(struct exporter *e, enum otlp_verdict v)
{
	pthread_mutex_lock(&e->lock);
	e->stats.requests_ok += v == OTLP_TAKEN;
	e->stats.requests_later += v == OTLP_LATER;
	e->stats.requests_refused += v == OTLP_REFUSED;
	pthread_mutex_unlock(&e->lock);
}

static void send_batch(struct exporter *e, uint64_t now_ns)
{
	struct otlp_answer a = { 0 };

	if (!e->attempt++)
		e->first_ns = now_ns;
	e->config.send(e->config.ctx, e->body.data, e->body.len, &e->cancel, &a);
	enum otlp_verdict v = otlp_judge(&a);
	count_request(e, v);
	if (v == OTLP_TAKEN) {
		tell(e, true, a.why);
		end_batch(e, &e->stats.rejected, a.rejected);
		return;
	}
	/* What we broke off ourselves says nothing of the receiver. */
	if (!atomic_load(&e->cancel))
		tell(e, false, a.why);
	if (v == OTLP_REFUSED) {
		end_batch(e, &e->stats.rejected, e->nr_batch);
		return;
	}
	e->again_ns = now_ns + otlp_backoff_ns(e->attempt, a.retry_after_ns, randombytes_random());
	if (e->again_ns > e->first_ns + EXPORT_GIVE_UP_NS)
		end_batch(e, &e->stats.dropped_late, e->nr_batch);
}

uint64_t exporter_step(struct exporter *e, uint64_t now_ns)
{
	uint64_t due_ns;

	if (e->nr_batch && now_ns < e->again_ns)
		return e->again_ns;
	if (!e->nr_batch) {
		due_ns = take_batch(e, now_ns);
		if (due_ns)
			return due_ns;
		if (make_body(e) < 0) {
			/* No memory, or over the cap: the same again would be no better. */
			end_batch(e, &e->stats.dropped_late, e->nr_batch);
			return now_ns;
		}
	}
	send_batch(e, now_ns);
	return e->nr_batch ? e->again_ns : now_ns;
}

/* Until @due_ns, something new, or the end. False: the end. */
static bool wait_until(struct exporter *e, uint64_t due_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(due_ns / NSEC_PER_SEC),
					.tv_nsec = (long)(due_ns % NSEC_PER_SEC) };

	pthread_mutex_lock(&e->lock);
	if (!e->stop && due_ns == UINT64_MAX && !e->nr)
		pthread_cond_wait(&e->wake, &e->lock);
	else if (!e->stop && due_ns != UINT64_MAX)
		pthread_cond_timedwait(&e->wake, &e->lock, &until);
	bool ret = !e->stop;
	pthread_mutex_unlock(&e->lock);
	return ret;
}

/* One try for each batch that is left, within EXPORT_LAST_NS. */
static void flush(struct exporter *e)
{
	uint64_t end_ns = clock_mono_ns() + EXPORT_LAST_NS, now_ns;

	atomic_store(&e->cancel, false);
	while ((now_ns = clock_mono_ns()) < end_ns) {
		e->again_ns = 0;
		if (exporter_step(e, now_ns) == UINT64_MAX || e->nr_batch)
			break;
	}
	pthread_mutex_lock(&e->lock);
	e->stats.dropped_late += e->nr + e->nr_batch;
	e->nr = 0;
	pthread_mutex_unlock(&e->lock);
}

static void *export_thread(void *ctx)
{
	struct exporter *e = ctx;
	uint64_t due_ns = 0;

	while (wait_until(e, due_ns))
		due_ns = exporter_step(e, clock_mono_ns());
	flush(e);
	return NULL;
}

int exporter_start(struct exporter *e)
{
	int err = pthread_create(&e->thread, NULL, export_thread, e);

	e->running = !err;
	return -err;
}

static void join(struct exporter *e)
{
	uint64_t end_ns = clock_mono_ns() + EXPORT_LAST_NS;
	const struct timespec end = { .tv_sec = (time_t)(end_ns / NSEC_PER_SEC),
				      .tv_nsec = (long)(end_ns % NSEC_PER_SEC) };

	if (!pthread_clockjoin_np(e->thread, NULL, CLOCK_MONOTONIC, &end))
		return;
	atomic_store(&e->cancel, true);
	pthread_join(e->thread, NULL);
}

void exporter_free(struct exporter *e)
{
	if (!e)
		return;
	if (e->running) {
		/* A call that waits for a dead receiver ends now; the thread then sends what is left. */
		atomic_store(&e->cancel, true);
		pthread_mutex_lock(&e->lock);
		e->stop = true;
		pthread_cond_signal(&e->wake);
		pthread_mutex_unlock(&e->lock);
		join(e);
	}
	pthread_cond_destroy(&e->wake);
	pthread_mutex_destroy(&e->lock);
	buf_release(&e->body);
	free(e->queue);
	free(e->batch);
	free(e);
}
