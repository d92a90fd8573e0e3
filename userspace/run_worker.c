// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "base/clock.h"
#include "run_daemon.h"

#define SAVE_NS (5 * 60 * NSEC_PER_SEC)

/* The next job; NULL when the daemon stops, or when it is @until_ns. Waits. */
static struct job *next_job(struct worker *w, uint64_t until_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
					.tv_nsec = (long)(until_ns % NSEC_PER_SEC) };
	struct job *j = NULL;
	int late = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->nr && !w->stop && !late)
		late = pthread_cond_timedwait(&w->wake, &w->lock, &until);
	if (w->nr && !w->stop) {
		j = w->queue[w->head];
		w->head = (w->head + 1) % WORKER_QUEUE_MAX;
		w->nr--;
	}
	pthread_mutex_unlock(&w->lock);
	return j;
}

static bool stops(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool ret = w->stop;
	pthread_mutex_unlock(&w->lock);
	return ret;
}

static void *work(void *ctx)
{
	struct daemon *d = ctx;
	uint64_t save_ns = clock_mono_ns() + SAVE_NS;

	for (;;) {
		struct job *j = next_job(&d->worker, save_ns);
		if (!j && stops(&d->worker))
			return NULL;
		if (!j) {
			models_save(d);
			save_ns = clock_mono_ns() + SAVE_NS;
			continue;
		}
		job_run(j, &d->executor);

		pthread_mutex_lock(&d->lock);
		engine_done(d->engine, clock_mono_ns(), j);
		pthread_mutex_unlock(&d->lock);
	}
}

int worker_start(struct daemon *d)
{
	struct worker *w = &d->worker;
	pthread_condattr_t attr;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	int err = pthread_create(&w->thread, NULL, work, d);
	w->running = !err;
	return -err;
}

int worker_submit(void *ctx, struct job *j)
{
	struct worker *w = &((struct daemon *)ctx)->worker;
	int err = -ENOSPC;

	pthread_mutex_lock(&w->lock);
	if (w->nr < WORKER_QUEUE_MAX && !w->stop) {
		w->queue[(w->head + w->nr++) % WORKER_QUEUE_MAX] = j;
		pthread_cond_signal(&w->wake);
		err = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return err;
}

/* What is still to be written is written: an audit that loses its end is none. Plans and actions are dropped. */
static void drain(struct daemon *d)
{
	struct worker *w = &d->worker;

	for (; w->nr; w->nr--, w->head = (w->head + 1) % WORKER_QUEUE_MAX) {
		struct job *j = w->queue[w->head];
		if (j->kind == JOB_RECORD)
			job_run(j, &d->executor);
		job_free(j);
	}
}

void worker_stop(struct daemon *d)
{
	struct worker *w = &d->worker;

	if (!w->running)
		return;
	atomic_store(&w->cancel, true);
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->running = false;
	drain(d);
	models_save(d);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}
