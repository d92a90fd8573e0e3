// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube_watch.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

#define STEP_MS 50 /* so soon a cancel is seen while waiting */

static int tell(struct kube_watch *w, enum kube_watch_event e, const cJSON *object)
{
	w->events += object != NULL;
	return w->event(w->ctx, e, object);
}

static void keep_version(struct kube_watch *w, const cJSON *object)
{
	const char *version = kube_meta(object, "resourceVersion");

	if (*version && strlen(version) < sizeof(w->version))
		snprintf(w->version, sizeof(w->version), "%s", version);
}

/* An ERROR event carries a Status: 410 when the version is too old. */
static int error_event(const cJSON *status)
{
	return json_num(status, "code", 0) == 410 ? -ESTALE : -EPROTO;
}

static int take_line(struct kube_watch *w, const char *line, size_t len)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why;
	int err = json_parse_deep(line, len, KUBE_DEPTH_MAX, &j, &why);

	if (err) {
		w->lines_bad++;
		return err == -EINVAL ? -EPROTO : err;
	}
	const char *type = json_str(j, "type") ?: "";
	const cJSON *object = cJSON_GetObjectItemCaseSensitive(j, "object");
	if (!strcmp(type, "ERROR"))
		return error_event(object);
	if (!cJSON_IsObject(object)) {
		w->lines_bad++;
		return -EPROTO;
	}
	err = 0;
	if (!strcmp(type, "ADDED"))
		err = tell(w, KUBE_WATCH_ADDED, object);
	else if (!strcmp(type, "MODIFIED"))
		err = tell(w, KUBE_WATCH_MODIFIED, object);
	else if (!strcmp(type, "DELETED"))
		err = tell(w, KUBE_WATCH_DELETED, object);
	/* BOOKMARK: only its version is news. What is added to the API later is passed over as well. */
	if (!err)
		keep_version(w, object);
	else
		w->result = err;
	return err;
}

int kube_watch_feed(struct kube_watch *w, const char *data, size_t len)
{
	if (!w->line.max)
		buf_init(&w->line, KUBE_WATCH_LINE_MAX);
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;
		int err = buf_add(&w->line, data, n);

		if (err) {
			w->lines_bad++;
			return -EPROTO;
		}
		data += n;
		len -= n;
		if (!end)
			break;
		data++;
		len--;
		if (w->line.len) {
			err = take_line(w, w->line.data, w->line.len);
			buf_reset(&w->line);
		}
		if (err)
			return err;
	}
	return 0;
}

/* ---- the calls */

struct stream {
	struct kube_watch *w;
	int err;
};

static int on_data(void *ctx, const char *data, size_t len)
{
	struct stream *s = ctx;

	s->err = kube_watch_feed(s->w, data, len);
	return s->err;
}

static int on_item(void *ctx, const cJSON *item)
{
	struct kube_watch *w = ctx;

	w->result = tell(w, KUBE_WATCH_PRESENT, item);
	return w->result;
}

static int list(struct kube *k, struct kube_watch *w)
{
	char version[KUBE_VERSION_MAX] = "";

	w->version[0] = '\0';
	w->result = w->event(w->ctx, KUBE_WATCH_LIST, NULL);
	if (w->result)
		return w->result;
	int err = kube_list(k, &w->ref, w->selector, on_item, w, version);
	if (err)
		return err;
	w->result = w->event(w->ctx, KUBE_WATCH_SYNCED, NULL);
	if (w->result)
		return w->result;
	w->lists++;
	memcpy(w->version, version, sizeof(version));
	return 0;
}

static int stream(struct kube *k, struct kube_watch *w)
{
	struct stream s = { .w = w };
	char path[1024];
	CLEANUP(freep) char *url = NULL;
	char *selector = w->selector ? curl_easy_escape(NULL, w->selector, 0) : NULL;
	int err = kube_path(&w->ref, path, sizeof(path));
	int n = asprintf(&url,
			 "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d"
			 "&resourceVersion=%s%s%s",
			 path, KUBE_WATCH_SECONDS, w->version, selector ? "&labelSelector=" : "",
			 selector ?: "");

	curl_free(selector);
	if (err)
		return err;
	if (n < 0) {
		url = NULL;
		return -ENOMEM;
	}
	buf_reset(&w->line);
	w->streams++;
	/* Longer than the API's own end of it: a connection that died in silence ends too. */
	err = kube_stream(k, url, (KUBE_WATCH_SECONDS + 30) * 1000, on_data, &s);
	return s.err ?: err;
}

static int wait_ms(const struct kube *k, unsigned ms)
{
	const struct timespec step = { .tv_nsec = STEP_MS * 1000000L };

	for (unsigned waited = 0; waited < ms; waited += STEP_MS) {
		if (kube_cancelled(k))
			return -ECANCELED;
		nanosleep(&step, NULL);
	}
	return kube_cancelled(k) ? -ECANCELED : 0;
}

/* The version is checked where it goes into a path: a stranger's text. */
static bool version_valid(const char *version)
{
	size_t len = strlen(version);

	return len &&
		strspn(version,
		       "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		       "-_.") == len;
}

static int run(struct kube *k, struct kube_watch *w)
{
	unsigned first = w->retry_ms ?: KUBE_WATCH_RETRY_MS, wait = first;

	for (;;) {
		uint64_t events = w->events;
		bool listing = !version_valid(w->version);
		int err = listing ? list(k, w) : stream(k, w);

		if (kube_cancelled(k))
			return -ECANCELED;
		if (w->result)
			return w->result;
		if (err == -EACCES && !w->lists)
			return err;
		/* A stream that ends well, or has told something, is no failure. */
		if (!err || w->events != events)
			wait = first;
		if (!err && listing && version_valid(w->version))
			continue;
		if (err) {
			w->failures++;
			if (w->trouble)
				w->trouble(w->ctx, err, kube_why(k));
		}
		/* Too old, or something that we did not understand: what is there is asked anew. */
		if (err == -ESTALE || err == -EPROTO)
			w->version[0] = '\0';
		err = wait_ms(k, wait);
		if (err)
			return err;
		wait = MIN(wait * 2, (unsigned)KUBE_WATCH_RETRY_MAX_MS);
	}
}

int kube_watch_run(struct kube *k, struct kube_watch *w)
{
	w->result = 0;
	w->version[0] = '\0';
	int err = run(k, w);
	buf_release(&w->line);
	w->line = (struct buf){ 0 };
	return err;
}
