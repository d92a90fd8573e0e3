// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"

/* A peer that is up completes a handshake in its kernel, however busy its process is. */
#define CONNECT_TIMEOUT_MS 3000U
/* Shorter than the servers' own limit on idle connections, so that we seldom write into a closing one. */
#define IDLE_MAX_S 60L

static atomic_bool aborting;

static void curlp(CURL **c)
{
	curl_easy_cleanup(*c);
}

static void slistp(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

static void urlp(CURLU **u)
{
	curl_url_cleanup(*u);
}

static bool url_usable(const char *url)
{
	CLEANUP(urlp) CURLU *u = curl_url();
	char *part = NULL;
	bool ok = u && !strpbrk(url, "?#@ \r\n") &&
		curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_SCHEME, &part, 0) == CURLUE_OK &&
		(!strcmp(part, "http") || !strcmp(part, "https"));

	curl_free(part);
	return ok;
}

int dependency_init(struct dependency *d, const char *name, const char *url, const char *unix_path,
		    unsigned int timeout_ms)
{
	size_t len = strlen(url);

	while (len && url[len - 1] == '/')
		len--;
	if (len >= sizeof(d->url) || strlen(unix_path) >= sizeof(d->unix_path) || !url_usable(url))
		return -EINVAL;

	*d = (struct dependency){ .timeout_ms = timeout_ms, .lock = PTHREAD_MUTEX_INITIALIZER };
	memcpy(d->url, url, len);
	memcpy(d->unix_path, unix_path, strlen(unix_path) + 1);
	snprintf(d->name, sizeof(d->name), "%s", name);
	snprintf(d->label, sizeof(d->label), "%s", name);
	/* "DB-service", "Auth-service": as the logs have always been searched for. */
	d->label[0] = (char)toupper((unsigned char)d->label[0]);
	if (!strncmp(d->label, "Db-", 3))
		d->label[1] = 'B';
	return 0;
}

void dependency_release(struct dependency *d)
{
	while (d->nr_idle)
		curl_easy_cleanup(d->idle[--d->nr_idle]);
}

static CURL *take_handle(struct dependency *d)
{
	CURL *c = NULL;

	pthread_mutex_lock(&d->lock);
	if (d->nr_idle)
		c = d->idle[--d->nr_idle];
	pthread_mutex_unlock(&d->lock);
	return c ?: curl_easy_init();
}

static void give_handle(struct dependency *d, CURL *c)
{
	bool kept = false;

	curl_easy_reset(c); /* forgets options that point into this call, keeps connections */
	pthread_mutex_lock(&d->lock);
	if (d->nr_idle < DEPENDENCY_POOL_MAX) {
		d->idle[d->nr_idle++] = c;
		kept = true;
	}
	pthread_mutex_unlock(&d->lock);
	if (!kept)
		curl_easy_cleanup(c);
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
	return buf_add(ctx, data, size * n) ? 0 : size * n;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	(void)ctx, (void)dt, (void)dn, (void)ut, (void)un;
	return atomic_load(&aborting);
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
	char line[512];

	if (!value || !*value)
		return 0;
	snprintf(line, sizeof(line), "%s%s%s", name, *name ? ": " : "", value);
	struct curl_slist *l = curl_slist_append(*list, line);
	if (!l)
		return -ENOMEM;
	*list = l;
	return 0;
}

static int add_headers(const struct call *c, struct curl_slist **list)
{
	int err = add_header(list, "X-Trace-ID", c->trace_id) ?:
		add_header(list, "traceparent", c->traceparent);

	if (c->body)
		/* Expect: 100-continue would cost a round trip on every long body. */
		err = err                                                                       ?:
			add_header(list, "Content-Type", c->content_type ?: "application/json") ?:
			add_header(list, "", "Expect:");
	for (size_t i = 0; i < CALL_HEADERS_MAX && c->headers[i]; i++)
		err = err ?: add_header(list, "", c->headers[i]);
	return err;
}

static void set_options(CURL *h, const struct dependency *d, const struct call *c, struct buf *body)
{
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, c->method);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)d->timeout_ms);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)MIN(CONNECT_TIMEOUT_MS, d->timeout_ms));
	curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, body);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	if (!d->proxy)
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	if (*d->unix_path)
		curl_easy_setopt(h, CURLOPT_UNIX_SOCKET_PATH, d->unix_path);
	if (c->body) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)strlen(c->body));
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->body);
	}
}

/* Never connected: not reachable. Connected and silent: late. Anything else that is not an answer: a bad one. */
static enum call_result classify(CURLcode code, CURL *h)
{
	curl_off_t connected_us = 0;

	switch (code) {
	case CURLE_OK:
		return CALL_OK;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_ABORTED_BY_CALLBACK:
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
		return CALL_UNREACHABLE;
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(h, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
		return connected_us ? CALL_LATE : CALL_UNREACHABLE;
	default:
		return CALL_BAD;
	}
}

static void read_body(struct buf *body, struct answer *ret)
{
	const char *why;

	if (!body->len)
		return;
	if (json_parse(body->data, body->len, &ret->json, &why)) {
		ret->result = CALL_BAD;
		snprintf(ret->why, sizeof(ret->why), "its answer (status %d) cannot be read: %s",
			 ret->status, why);
	}
	ret->body = buf_take(body);
}

static void explain(CURLcode code, const struct buf *body, struct answer *ret)
{
	const char *what = curl_easy_strerror(code);

	if (code == CURLE_WRITE_ERROR)
		what = body->len ? "its answer is longer than 1 MiB" : "no memory for its answer";
	else if (code == CURLE_ABORTED_BY_CALLBACK)
		what = "given up, because this service is stopping";
	else if (ret->result == CALL_UNREACHABLE && code == CURLE_OPERATION_TIMEDOUT)
		what = "no connection within the time allowed";
	snprintf(ret->why, sizeof(ret->why), "%s", what);
}

void dependency_call(struct dependency *d, const struct call *c, struct answer *ret)
{
	uint64_t start = clock_mono_ns();
	*ret = (struct answer){ .result = CALL_UNREACHABLE };
	CLEANUP(buf_release) struct buf body;
	CLEANUP(slistp) struct curl_slist *headers = NULL;
	CLEANUP(buf_release) struct buf url;

	buf_init(&body, DEPENDENCY_ANSWER_MAX);
	buf_init(&url, 8192);
	CLEANUP(curlp) CURL *h = take_handle(d);
	if (!h || buf_addf(&url, "%s%s", d->url, c->path) || add_headers(c, &headers)) {
		snprintf(ret->why, sizeof(ret->why), "no memory for the call");
		return;
	}

	set_options(h, d, c, &body);
	curl_easy_setopt(h, CURLOPT_URL, buf_str(&url));
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	CURLcode code = curl_easy_perform(h);
	ret->result = classify(code, h);
	if (code == CURLE_OK) {
		long status = 0;
		curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
		ret->status = (int)status;
		read_body(&body, ret);
	} else {
		explain(code, &body, ret);
	}
	ret->took_ns = clock_mono_ns() - start;
	give_handle(d, TAKE_PTR(h));
}

void answer_release(struct answer *a)
{
	free(a->body);
	cJSON_Delete(a->json);
	a->body = NULL;
	a->json = NULL;
}

void dependency_abort_all(void)
{
	atomic_store(&aborting, true);
}
