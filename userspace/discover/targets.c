// SPDX-License-Identifier: GPL-2.0-or-later
#include "discover/targets.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "discover/bundle.h"
#include "docker/docker.h"

struct table {
	struct target *list; /* TARGETS_MAX of room */
	size_t nr;
};

struct targets {
	char docker_path[108];
	struct docker *docker; /* the thread's; NULL: none */
	atomic_bool cancel;
	pthread_t thread;
	bool running;

	pthread_mutex_t lock; /* of all below; held for look-ups only */
	pthread_cond_t wake, done;
	bool stop;
	uint64_t wanted, begun, ended; /* rounds: asked for, begun, over */
	struct table now;
	struct targets_stats stats;

	struct table next; /* the thread's, */
	size_t dropped;    /* and what found no room in it */
};

/* ---- one round; the thread's alone but for the table that it reads */

static const struct target *find_in(const struct table *t, const char *id)
{
	for (size_t i = 0; i < t->nr; i++)
		if (!strcmp(t->list[i].id, id))
			return &t->list[i];
	return NULL;
}

/* The table of the round before is written by this thread only: it may be read without the lock. */
static const struct target *known(void *ctx, const char *id)
{
	return find_in(&((struct targets *)ctx)->now, id);
}

static void add(void *ctx, const struct target *t)
{
	struct targets *all = ctx;
	struct target *same = (struct target *)find_in(&all->next, t->id);

	if (same)
		*same = *t;
	else if (all->next.nr < TARGETS_MAX)
		all->next.list[all->next.nr++] = *t;
	else
		all->dropped++;
}

static void take_label(const struct docker_container *c, const char *key, char *to, size_t size)
{
	const char *v = docker_label(c, key);

	if (!*to && v && strlen(v) < size)
		memcpy(to, v, strlen(v) + 1);
}

static void add_docker(struct targets *t, const struct docker_container *c)
{
	const struct target *before = find_in(&t->now, c->id);
	struct target n = { .pid = before ? before->pid : 0 };

	memcpy(n.id, c->id, sizeof(n.id));
	snprintf(n.container, sizeof(n.container), "%s", c->name);
	take_label(c, "app.kubernetes.io/name", n.app, sizeof(n.app));
	take_label(c, "app", n.app, sizeof(n.app));
	take_label(c, "com.docker.compose.service", n.compose, sizeof(n.compose));
	/* A kubelet's dockershim names its pods here. */
	take_label(c, "io.kubernetes.pod.name", n.pod, sizeof(n.pod));
	take_label(c, "io.kubernetes.pod.namespace", n.namespace, sizeof(n.namespace));
	if (!*n.pod || !*n.namespace)
		n.pod[0] = n.namespace[0] = '\0';
	target_locate(&n);
	/* Another run of it has another process. */
	if (!n.pid) {
		struct docker_container *full = calloc(1, sizeof(*full));
		if (full && docker_inspect(t->docker, c->id, full) == 0)
			n.pid = full->pid;
		free(full);
		target_locate(&n);
	}
	add(t, &n);
}

static bool ask_docker(struct targets *t)
{
	struct docker_list l = { 0 };

	/* Most machines have none: not a failure. */
	if (!t->docker || access(t->docker_path, F_OK) < 0)
		return true;
	if (docker_list(t->docker, &l) < 0)
		return false;
	for (size_t i = 0; i < l.nr && !atomic_load(&t->cancel); i++)
		add_docker(t, &l.items[i]);
	docker_list_release(&l);
	return true;
}

/* What Docker does not tell this time is as it was told last: a busy Engine is no reason to forget names. */
static void keep_docker(struct targets *t)
{
	for (size_t i = 0; i < t->now.nr; i++) {
		struct target n = t->now.list[i];

		target_locate(&n);
		if (n.pid && !find_in(&t->next, n.id))
			add(t, &n);
	}
}

static void round_of(struct targets *t)
{
	struct bundles_stats b;

	t->next.nr = t->dropped = 0;
	bundles_each(known, add, t, &b);
	bool heard = ask_docker(t);
	if (!heard)
		keep_docker(t);

	pthread_mutex_lock(&t->lock);
	struct table before = t->now;
	t->now = t->next;
	t->next = before;
	t->stats.rounds++;
	t->stats.docker_failed += !heard;
	t->stats.broken_bundles = b.broken;
	t->stats.over_max += b.over_max + t->dropped;
	t->stats.known = t->now.nr;
	pthread_mutex_unlock(&t->lock);
}

/* ---- the thread */

static void rest(struct targets *t, uint64_t until_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
					.tv_nsec = (long)(until_ns % NSEC_PER_SEC) };

	while (!t->stop && pthread_cond_timedwait(&t->wake, &t->lock, &until) == 0)
		;
}

static void *run(void *ctx)
{
	struct targets *t = ctx;

	prctl(PR_SET_NAME, "targets");
	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		if (t->wanted <= t->begun) {
			pthread_cond_wait(&t->wake, &t->lock);
			continue;
		}
		uint64_t begin_ns = clock_mono_ns();
		t->begun = t->wanted;
		pthread_mutex_unlock(&t->lock);
		round_of(t);
		pthread_mutex_lock(&t->lock);
		t->ended = t->begun;
		pthread_cond_broadcast(&t->done);
		rest(t, begin_ns + TARGETS_PERIOD_NS);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static int make_tables(struct targets *t)
{
	t->now.list = calloc(TARGETS_MAX, sizeof(*t->now.list));
	t->next.list = calloc(TARGETS_MAX, sizeof(*t->next.list));
	return t->now.list && t->next.list ? 0 : -ENOMEM;
}

static int start(struct targets *t)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	t->running = !err;
	return -err;
}

int targets_new(const char *docker, struct targets **ret)
{
	CLEANUP(targets_freep) struct targets *t = calloc(1, sizeof(*t));
	pthread_condattr_t attr;

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_cond_init(&t->done, &attr);
	pthread_condattr_destroy(&attr);
	if (snprintf(t->docker_path, sizeof(t->docker_path), "%s", docker) >=
	    (int)sizeof(t->docker_path))
		return -EINVAL;
	int err = make_tables(t);
	if (!err && *docker)
		err = docker_new(docker, &t->cancel, &t->docker);
	if (err)
		return err;
	if (t->docker)
		docker_timeout(t->docker, TARGETS_DOCKER_MS);
	err = start(t);
	if (err)
		return err;
	*ret = TAKE_PTR(t);
	return 0;
}

void targets_free(struct targets *t)
{
	if (!t)
		return;
	atomic_store(&t->cancel, true);
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (t->running)
		pthread_join(t->thread, NULL);
	docker_free(t->docker);
	free(t->now.list);
	free(t->next.list);
	pthread_cond_destroy(&t->wake);
	pthread_cond_destroy(&t->done);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- asking */

/* Under the lock. A round that is under way may have passed what is meant. */
static uint64_t want_round(struct targets *t)
{
	if (t->wanted == t->begun)
		t->wanted++;
	pthread_cond_signal(&t->wake);
	return t->wanted;
}

int targets_describe(struct targets *t, const char *id, struct target *ret)
{
	pthread_mutex_lock(&t->lock);
	const struct target *found = find_in(&t->now, id);
	if (found)
		*ret = *found;
	else
		want_round(t);
	pthread_mutex_unlock(&t->lock);
	return found ? 0 : -EAGAIN;
}

size_t targets_find(struct targets *t, const struct target_selector *s, struct target *ret,
		    size_t max)
{
	size_t nr = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->now.nr; i++) {
		const struct target *at = &t->now.list[i];

		if (!at->pid || !target_matches(s, at))
			continue;
		if (nr < max)
			ret[nr] = *at;
		nr++;
	}
	if (!nr)
		want_round(t);
	pthread_mutex_unlock(&t->lock);
	return nr;
}

int targets_refresh(struct targets *t, uint64_t wait_ns)
{
	uint64_t until_ns = clock_mono_ns() + wait_ns;
	const struct timespec until = { .tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
					.tv_nsec = (long)(until_ns % NSEC_PER_SEC) };
	int err = 0;

	pthread_mutex_lock(&t->lock);
	uint64_t round = want_round(t);
	while (t->ended < round && !err)
		err = pthread_cond_timedwait(&t->done, &t->lock, &until);
	pthread_mutex_unlock(&t->lock);
	return -err;
}

void targets_stats(struct targets *t, struct targets_stats *ret)
{
	pthread_mutex_lock(&t->lock);
	*ret = t->stats;
	pthread_mutex_unlock(&t->lock);
}
