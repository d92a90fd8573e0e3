// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What was learned, kept in the store: so that a daemon that is started again knows what is normal
 * at once. Saved by the worker every few minutes and at the end; never from the tick.
 *
 * A row that this program cannot read (another version's, or damaged) is not lost when it saves its
 * own: it is kept beside it as NAME.refused, one of each, and read again by the program that can.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "run_daemon.h"

/* A row of the table models: what it is, and how it is written and read. */
struct model {
	const char *name, *what;
	size_t max;
	int (*save)(const struct daemon *d, struct buf *b);
	int (*load)(struct daemon *d, const void *data, size_t len);
};

static int save_baselines(const struct daemon *d, struct buf *b)
{
	return detector_save(d->detector, b);
}

static int load_baselines(struct daemon *d, const void *data, size_t len)
{
	return detector_load(d->detector, data, len);
}

static int save_usual(const struct daemon *d, struct buf *b)
{
	return diagnoser_save(d->diagnoser, b);
}

static int load_usual(struct daemon *d, const void *data, size_t len)
{
	return diagnoser_load(d->diagnoser, data, len);
}

static const struct model models[] = {
	{ "baselines", "the baselines", DETECTOR_BLOB_MAX, save_baselines, load_baselines },
	{ "usual", "the diagnosis's usual figures", DIAGNOSER_BLOB_MAX, save_usual, load_usual },
};

struct loading {
	struct daemon *d;
	const struct model *m;
	bool found;
	int64_t at_ms;
	int err;
};

static int take_row(const struct store_row *row, void *ctx)
{
	struct loading *l = ctx;
	size_t len;
	const void *data = store_blob(row, 1, &len);

	l->found = true;
	l->at_ms = store_int(row, 0);
	l->err = len > l->m->max ? -EINVAL : l->m->load(l->d, data, len);
	return 0;
}

static void say_loaded(const struct loading *l)
{
	if (l->err == -ESTALE)
		log_warning(
			"%s on disk are of another version of this program: kept as %s.refused, "
			"and learned anew",
			l->m->what, l->m->name);
	else if (l->err == -EINVAL)
		log_warning("%s on disk are damaged: kept as %s.refused, and learned anew",
			    l->m->what, l->m->name);
	else if (l->err)
		log_warning("%s cannot be taken from disk: %s; learned anew", l->m->what,
			    strerror(-l->err));
	else
		log_info("%s were saved %.1f hours ago and are used again", l->m->what,
			 (double)(clock_wall_ms() - l->at_ms) / 3.6e6);
}

static void load_row(struct loading *l, const char *name)
{
	int err = store_query(l->d->store, "SELECT at, data FROM models WHERE name = ?1", take_row,
			      l, "t", name);

	if (err)
		l->err = err;
}

static void keep_refused(struct daemon *d, const char *name, const char *aside)
{
	int err = store_run(d->store,
			    "INSERT INTO models(name, at, data) SELECT ?2, at, data FROM models "
			    "WHERE name = ?1 ON CONFLICT(name) DO UPDATE SET at = excluded.at, "
			    "data = excluded.data",
			    "tt", name, aside);

	if (err)
		log_warning("%s cannot be kept: %s", name, strerror(-err));
}

void models_load(struct daemon *d)
{
	for (size_t i = 0; d->store && i < ARRAY_SIZE(models); i++) {
		struct loading l = { .d = d, .m = &models[i] }, kept = l;
		char aside[64];

		snprintf(aside, sizeof(aside), "%s.refused", models[i].name);
		load_row(&l, models[i].name);
		/* After an older program was tried for a while: what this one had learned before. */
		if (l.found && l.err)
			load_row(&kept, aside);
		if (kept.found && !kept.err)
			l = kept;
		else if (l.found && (l.err == -ESTALE || (l.err && !kept.found)))
			keep_refused(d, models[i].name, aside);
		if (l.err || l.found)
			say_loaded(&l);
	}
}

static int save_one(struct daemon *d, const struct model *m)
{
	CLEANUP(buf_release) struct buf b;

	buf_init(&b, m->max);
	/* About a tenth of a millisecond a service; the disk is waited for without the lock. */
	pthread_mutex_lock(&d->lock);
	int err = m->save(d, &b);
	pthread_mutex_unlock(&d->lock);
	return err ?:
		     store_run(d->store,
			       "INSERT INTO models(name, at, data) VALUES(?1, ?2, ?3) ON CONFLICT(name) "
				    "DO UPDATE SET at = excluded.at, data = excluded.data",
			       "tib", m->name, clock_wall_ms(), (const void *)b.data, b.len);
}

void models_save(struct daemon *d)
{
	struct detector_stats stats;

	if (!d->store || !d->detector || !d->diagnoser)
		return;
	pthread_mutex_lock(&d->lock);
	detector_stats(d->detector, &stats);
	pthread_mutex_unlock(&d->lock);
	/* Nothing was learned: what is on disk is better than what a few seconds have seen. */
	if (stats.samples_learned == d->saved_samples)
		return;
	d->saved_samples = stats.samples_learned;
	for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
		int err = save_one(d, &models[i]);
		if (err)
			log_warning("%s cannot be saved: %s", models[i].what, strerror(-err));
	}
}
