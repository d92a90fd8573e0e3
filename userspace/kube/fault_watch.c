// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/fault_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/http_client.h"
#include "base/json.h"
#include "base/util.h"
#include "kube/kube.h"
#include "kube/kube_watch.h"

#define WAIT_MS 500           /* how late a cancel is seen */
#define IDLE_MS 60000         /* a pass nobody asked for: what a lost event would have left */
#define DENIED_RETRY_MS 10000 /* RBAC may be put right */

struct watcher {
	const struct fault_watch_config *c;
	const atomic_bool *cancel;
	struct kube *kube; /* the passes' own */
	struct http_client *http;
	bool active; /* the last pass left something to come back for */

	pthread_mutex_t lock; /* guards changed, and say() */
	pthread_cond_t wake;
	bool changed;
};

static void say(struct watcher *w, bool failed, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct watcher *w, bool failed, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&w->lock);
	w->c->say(w->c->ctx, failed, text);
	pthread_mutex_unlock(&w->lock);
}

/* ---- the daemon */

/* @ret: the answer's JSON, NULL where it has none. The HTTP status, or -errno without an answer. */
static int ask(struct watcher *w, const char *method, const char *path, const cJSON *body,
	       cJSON **ret)
{
	static const char *const json[] = { "Content-Type: application/json", NULL };
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	CLEANUP(json_textp) char *text = body ? cJSON_PrintUnformatted(body) : NULL;
	const char *why;
	char url[256];

	if (body && !text)
		return -ENOMEM;
	snprintf(url, sizeof(url), "http://localhost%s", path);
	const struct http_client_request q = {
		.url = url,
		.method = method,
		.headers = body ? json : NULL,
		.body = text,
		.body_len = text ? strlen(text) : 0,
		.timeout_ms = FAULT_WATCH_DAEMON_MS,
		.unix_socket = w->c->socket,
		.cancel = w->cancel,
	};
	int err = http_client_do(w->http, &q, &r);
	if (err)
		return err;
	if (!r.body.len || json_parse(buf_str(&r.body), r.body.len, ret, &why))
		*ret = NULL;
	return r.status;
}

/* Ids are the daemon's and service names the schema's: letters, digits, - . _ and nothing to escape. */
static bool plain(const char *text)
{
	return text && *text && strlen(text) < 64 &&
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
		strlen(text) &&
		strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

static int ask_about(struct watcher *w, const char *method, const char *what, const char *name,
		     cJSON **ret)
{
	char path[160];

	snprintf(path, sizeof(path), "/v1/%s/%s", what, name);
	return ask(w, method, path, NULL, ret);
}

/* ---- the object */

static struct kube_ref ref_of(struct watcher *w, const cJSON *object, const char *sub)
{
	return (struct kube_ref){ .api = FAULT_OBJECT_API,
				  .namespace_ = kube_namespace(w->kube),
				  .plural = "faults",
				  .name = object ? kube_meta(object, "name") : NULL,
				  .sub = sub };
}

/* A conflict is no failure: the object has changed, the next pass sees how. @ret: the object afterwards. */
static int patch(struct watcher *w, const cJSON *object, const char *sub, cJSON *body, cJSON **ret)
{
	struct kube_ref ref = ref_of(w, object, sub);
	int err = kube_patch(w->kube, &ref, body, kube_meta(object, "resourceVersion"), false, ret);

	w->active = w->active || err;
	if (err && err != -EBUSY && err != -ENOENT && err != -ECANCELED)
		say(w, true, "fault %s cannot be written: %s", kube_meta(object, "name"),
		    kube_why(w->kube));
	return err;
}

static void report(struct watcher *w, const cJSON *object, const struct fault_report *r)
{
	const char *before =
		json_str(kube_at(object, "status", "nodes", w->c->node, NULL), "state");
	CLEANUP(json_freep) cJSON *body = NULL;

	if (fault_object_status(object, w->c->node, r, &body))
		return;
	if (!patch(w, object, "status", body, NULL) && (!before || strcmp(before, r->state) != 0))
		say(w, false, "fault %s on %s: %s. %s", kube_meta(object, "name"),
		    fault_object_service(object) ?: "?", r->state, r->says);
}

static int set_finalizer(struct watcher *w, const cJSON *object, bool want, cJSON **ret)
{
	CLEANUP(json_freep) cJSON *body = NULL;
	int err = fault_object_finalizer(object, w->c->node, want, &body);

	return err ? err : patch(w, object, NULL, body, ret);
}

/* The finalizer comes first: from here on no object vanishes with its fault armed. */
static void arm(struct watcher *w, const cJSON *object)
{
	const char *service = fault_object_service(object);
	CLEANUP(json_freep) cJSON *held = NULL, *body = NULL, *answer = NULL, *there = NULL;
	struct fault_report r;

	w->active = true; /* also where the service is not here: it may come */
	if (!plain(service) || ask_about(w, "GET", "services", service, &there) != 200)
		return;
	int err = set_finalizer(w, object, true, &held);
	if ((err && err != -EALREADY) || fault_object_arm(object, &body))
		return;
	int status = ask(w, "POST", "/v1/faults", body, &answer);
	if (status == 201 || status == 200) {
		if (fault_report_of(answer, &r))
			return;
	} else if (status >= 400 && status != 404 && status != 429) {
		fault_report_refusal(answer, status, &r);
	} else {
		return; /* no daemon, a busy one, or a service that has just gone: again later */
	}
	report(w, held ?: object, &r);
}

static void look(struct watcher *w, const cJSON *object)
{
	const char *id = fault_object_id(object, w->c->node);
	CLEANUP(json_freep) cJSON *answer = NULL;
	struct fault_report r;
	int status = plain(id) ? ask_about(w, "GET", "faults", id, &answer) : 404;

	w->active = true;
	if (status == 404 || status == -EHOSTUNREACH)
		fault_report_lost(object, w->c->node, &r);
	else if (status != 200 || fault_report_of(answer, &r))
		return;
	report(w, object, &r);
}

/* No daemon, no fault: what its successor finds in the journal it undoes by itself. */
static void disarm(struct watcher *w, const cJSON *object)
{
	const char *id = fault_object_id(object, w->c->node);
	CLEANUP(json_freep) cJSON *answer = NULL;
	int status = plain(id) ? ask_about(w, "DELETE", "faults", id, &answer) : 404;

	w->active = true;
	if (status != 200 && status != 404 && status != 409 && status != -EHOSTUNREACH)
		return;
	if (!set_finalizer(w, object, false, NULL))
		say(w, false, "fault %s is disarmed: it is being deleted",
		    kube_meta(object, "name"));
}

static int step(void *ctx, const cJSON *object)
{
	struct watcher *w = ctx;

	switch (fault_object_step(object, w->c->node)) {
	case FAULT_OBJECT_NOTHING:
		break;
	case FAULT_OBJECT_ARM:
		arm(w, object);
		break;
	case FAULT_OBJECT_LOOK:
		look(w, object);
		break;
	case FAULT_OBJECT_DISARM:
		disarm(w, object);
		break;
	}
	return atomic_load(w->cancel) ? -ECANCELED : 0;
}

static void pass(struct watcher *w)
{
	char version[KUBE_VERSION_MAX];
	struct kube_ref list = ref_of(w, NULL, NULL);

	w->active = false;
	int err = kube_list(w->kube, &list, NULL, step, w, version);
	if (err && err != -ECANCELED) {
		w->active = true;
		say(w, true, "faults cannot be listed: %s", kube_why(w->kube));
	}
}

/* ---- the two threads */

static void nap(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

static int on_event(void *ctx, enum kube_watch_event e, const cJSON *object)
{
	struct watcher *w = ctx;

	(void)object;
	if (e == KUBE_WATCH_LIST || e == KUBE_WATCH_PRESENT)
		return 0;
	pthread_mutex_lock(&w->lock);
	w->changed = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static void on_trouble(void *ctx, int err, const char *why)
{
	if (err != -ECANCELED)
		say(ctx, true, "the watch of faults broke off: %s", why);
}

static int make_kube(struct watcher *w, struct kube **ret, char *why, size_t why_size)
{
	struct kube_config config = { 0 };
	int err = kube_config_load(w->c->kubeconfig, &config, why, why_size);

	if (err)
		return err;
	err = kube_new(&config, w->cancel, ret);
	if (err)
		snprintf(why, why_size, "out of memory");
	kube_config_release(&config);
	return err;
}

static void *watch_main(void *ctx)
{
	struct watcher *w = ctx;
	CLEANUP(kube_freep) struct kube *k = NULL;
	char why[256] = "";

	while (!atomic_load(w->cancel)) {
		struct kube_watch watch = { .event = on_event, .trouble = on_trouble, .ctx = w };
		int err = k ? 0 : make_kube(w, &k, why, sizeof(why));

		if (!err) {
			watch.ref = (struct kube_ref){ .api = FAULT_OBJECT_API,
						       .namespace_ = kube_namespace(k),
						       .plural = "faults" };
			err = kube_watch_run(k, &watch);
		}
		if (err != -ECANCELED)
			say(w, true, "faults cannot be watched: %s", k ? kube_why(k) : why);
		for (unsigned ms = 0; ms < DENIED_RETRY_MS && !atomic_load(w->cancel);
		     ms += WAIT_MS)
			nap(WAIT_MS);
	}
	return NULL;
}

/* Until something changed, or it is time to look again, or the end. */
static void await(struct watcher *w)
{
	unsigned limit = w->active ? FAULT_WATCH_PASS_MS : IDLE_MS;

	pthread_mutex_lock(&w->lock);
	for (unsigned ms = 0; ms < limit && !w->changed && !atomic_load(w->cancel); ms += WAIT_MS) {
		struct timespec until;
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += WAIT_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&w->wake, &w->lock, &until);
	}
	w->changed = false;
	pthread_mutex_unlock(&w->lock);
}

int fault_watch_run(const struct fault_watch_config *config, const atomic_bool *cancel, char *why,
		    size_t why_size)
{
	struct watcher w = { .c = config,
			     .cancel = cancel,
			     .lock = PTHREAD_MUTEX_INITIALIZER,
			     .wake = PTHREAD_COND_INITIALIZER };
	pthread_t thread;

	if (!fault_object_node_valid(config->node)) {
		snprintf(why, why_size, "a node's name is wanted, of at most %d letters",
			 FAULT_OBJECT_NODE_MAX - 1);
		return -EINVAL;
	}
	CLEANUP(kube_freep) struct kube *kube = NULL;
	CLEANUP(http_client_freep) struct http_client *http = NULL;
	int err = make_kube(&w, &kube, why, why_size) ?: http_client_new(&http);
	if (err)
		return err;
	w.kube = kube;
	w.http = http;
	err = pthread_create(&thread, NULL, watch_main, &w);
	if (err) {
		snprintf(why, why_size, "cannot start a thread: %s", strerror(err));
		return -EAGAIN;
	}
	while (!atomic_load(cancel)) {
		pass(&w);
		await(&w);
	}
	pthread_join(thread, NULL);
	return 0;
}
