// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>

#include "base/clock.h"
#include "run_daemon.h"

/* The next job, or NULL when the daemon stops. Waits. */
static struct job *next_job(struct worker *w)
{
	struct job *j = NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->nr && !w->stop)
		pthread_cond_wait(&w->wake, &w->lock);
	if (!w->stop) {
		j = w->queue[w->head];
		w->head = (w->head + 1) % WORKER_QUEUE_MAX;
		w->nr--;
	}
	pthread_mutex_unlock(&w->lock);
	return j;
}

static void *work(void *ctx)
{
	struct daemon *d = ctx;
	struct job *j;

	while ((j = next_job(&d->worker))) {
		job_run(j, &d->executor);

		pthread_mutex_lock(&d->lock);
		engine_done(d->engine, clock_mono_ns(), j);
		pthread_mutex_unlock(&d->lock);
	}
	return NULL;
}

int worker_start(struct daemon *d)
{
	struct worker *w = &d->worker;

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
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
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
}
