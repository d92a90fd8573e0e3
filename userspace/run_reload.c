// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SIGHUP. A thread reads the configuration again, from the words and the environment that the
 * process was started with, so that a slow disk holds up no tick; what it read is compared option
 * by option and taken over under the lock, between two ticks. Counters, baselines and armed faults
 * are not touched: no sample is lost. A configuration that is wrong changes nothing at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "run_daemon.h"

void run_limits_now(struct daemon *d, struct faults_config *ret)
{
	pthread_mutex_lock(&d->lock);
	run_faults_config(d->config, ret);
	pthread_mutex_unlock(&d->lock);
}

static bool has_terminal(void)
{
	CLEANUP(closep) int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	return fd >= 0;
}

/* ---- taking over, under the lock */

static void take_mode(struct daemon *d)
{
	/* A detector only keeps the record. */
	if (d->engine && d->role != ROLE_DETECTOR)
		engine_set_mode(d->engine, run_mode(d->config), "configuration", clock_mono_ns());
}

static void take_log_level(struct daemon *d)
{
	log_set_level(d->config->daemon.log_level);
}

static void take_faults(struct daemon *d)
{
	struct faults_config f;

	if (!d->faults)
		return;
	run_faults_config(d->config, &f);
	size_t ended = faults_set_limits(d->faults, &f);
	if (ended)
		log_warning("reload: %zu armed fault(s) are not allowed any more and ended", ended);
}

static void take_limits(struct daemon *d)
{
	struct engine_config e;

	if (!d->engine)
		return;
	engine_config_default(&e);
	run_limits_config(d->config, &e.guard, &e.verify);
	engine_set_limits(d->engine, &e.guard, &e.verify);
}

/* What is to be told that an option changed; the others are read where they are used. */
static const struct taker {
	const char *section, *key; /* NULL: any of the section */
	void (*take)(struct daemon *d);
} takers[] = {
	{ "daemon", "mode", take_mode },
	{ "daemon", "log_level", take_log_level },
	{ "faults", NULL, take_faults },
	{ "remediate", NULL, take_limits },
};

static unsigned takers_of(const struct config_option *o)
{
	unsigned bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		if (!strcmp(takers[i].section, o->section) &&
		    (!takers[i].key || !strcmp(takers[i].key, o->key)))
			bits |= 1U << i;
	return bits;
}

static size_t take_options(struct daemon *d, const struct config *fresh)
{
	size_t nr, changed = 0;
	const struct config_option *o = config_options(&nr);
	unsigned told = 0;

	for (size_t i = 0; i < nr; i++) {
		char was[CONFIG_TEXT_MAX], is[CONFIG_TEXT_MAX];
		if (!config_differs(&o[i], d->config, fresh))
			continue;
		changed++;
		config_value(&o[i], d->config, was, sizeof(was));
		config_value(&o[i], fresh, is, sizeof(is));
		if (!o[i].live) {
			log_warning("reload: [%s] %s = %s needs a restart; until then it is \"%s\"",
				    o[i].section, o[i].key, is, was);
			continue;
		}
		config_copy_option(&o[i], d->reload.config, fresh);
		told |= takers_of(&o[i]);
		log_info("reload: [%s] %s = %s; it was \"%s\"", o[i].section, o[i].key, is, was);
	}
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		if (told & 1U << i)
			takers[i].take(d);
	return changed;
}

static const struct config_service *section_of(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->nr_services; i++)
		if (!strcmp(c->services[i].name, name))
			return &c->services[i];
	return NULL;
}

/* A section that is as it was keeps its service, with all that was learned of it. */
static size_t take_services(struct daemon *d, const struct config *fresh)
{
	struct config *c = d->reload.config;
	size_t changed = 0;

	for (size_t i = 0; i < c->nr_services; i++) {
		const struct config_service *old = &c->services[i],
					    *now = section_of(fresh, old->name);
		if (now && !memcmp(now, old, sizeof(*now)))
			continue;
		changed++;
		if (registry_detach(d->registry, old->name, NULL, NULL) == 0)
			log_info("reload: [service %s] %s", old->name,
				 now ? "changed: it is attached anew" :
				       "is gone: it is detached, and its faults end");
	}
	if (changed)
		daemon_scan(d, clock_mono_ns());
	for (size_t i = 0; i < fresh->nr_services; i++) {
		const struct config_service *now = &fresh->services[i],
					    *old = section_of(c, now->name);
		if (old && !memcmp(now, old, sizeof(*now)))
			continue;
		changed += !old;
		log_info("reload: [service %s] is attached", now->name);
		daemon_attach_configured(d, now, clock_mono_ns());
	}
	if (changed)
		daemon_scan(d, clock_mono_ns());
	memcpy(c->services, fresh->services, sizeof(c->services));
	c->nr_services = fresh->nr_services;
	return changed;
}

static void take_over(struct daemon *d, const struct config *fresh)
{
	pthread_mutex_lock(&d->lock);
	size_t options = take_options(d, fresh), services = take_services(d, fresh);
	d->reload.done++;
	pthread_mutex_unlock(&d->lock);
	log_info("reload: done, %zu option(s) and %zu [service] section(s) differ", options,
		 services);
}

/* ---- the thread */

static void reload_once(struct daemon *d)
{
	const struct run_words *w = d->reload.words;
	CLEANUP(freep) struct config *fresh = malloc(sizeof(*fresh));
	struct problem p = { 0 };

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", clock_mono_ns() / NSEC_PER_USEC);
	int err = fresh ? config_load(w->argc, w->argv, w->env, fresh, &p) : -ENOMEM;
	if (err) {
		pthread_mutex_lock(&d->lock);
		d->reload.refused++;
		pthread_mutex_unlock(&d->lock);
		log_error("reload: nothing is changed: %s", *p.detail ? p.detail : strerror(-err));
	} else {
		take_over(d, fresh);
	}
	sd_notify(0, "READY=1");
}

static bool once_more(struct daemon *d)
{
	pthread_mutex_lock(&d->lock);
	bool again = d->reload.again;
	d->reload.again = false;
	d->reload.busy = again;
	pthread_mutex_unlock(&d->lock);
	return again;
}

static void *work(void *ctx)
{
	do
		reload_once(ctx);
	while (once_more(ctx));
	return NULL;
}

/* However many come meanwhile, they make one more. */
static void begin(struct daemon *d)
{
	struct reload *r = &d->reload;

	pthread_mutex_lock(&d->lock);
	bool busy = r->busy;
	r->again = busy;
	r->busy = true;
	pthread_mutex_unlock(&d->lock);
	if (busy)
		return;
	reload_stop(d); /* it has ended: no wait */
	int err = pthread_create(&r->thread, NULL, work, d);
	r->started = !err;
	if (err) {
		log_error("reload: no thread for it: %s", strerror(err));
		once_more(d);
	}
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *ctx)
{
	struct daemon *d = ctx;

	(void)si;
	/* Whoever started it by hand has closed the window: nobody is left to press Ctrl-C. */
	if (d->reload.had_terminal && !has_terminal()) {
		log_info("the terminal is gone");
		return sd_event_exit(sd_event_source_get_event(s), 0);
	}
	if (!d->reload.words)
		return 0;
	begin(d);
	return 0;
}

int reload_start(struct daemon *d)
{
	d->reload.had_terminal = has_terminal();
	int err = sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
	return err < 0 ? err : 0;
}

void reload_stop(struct daemon *d)
{
	if (d->reload.started)
		pthread_join(d->reload.thread, NULL);
	d->reload.started = false;
}
