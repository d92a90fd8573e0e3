// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/llm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

#define DAY_NS (86400 * NSEC_PER_SEC)
#define BACKOFF_NS (500 * NSEC_PER_MSEC)
#define SLICE_NS (100 * NSEC_PER_MSEC)
#define LEAST_NS (300 * NSEC_PER_MSEC) /* less than this left: another try would only time out */

struct llm {
	struct llm_config config;
	struct http_client *http;
	enum llm_schema_mode mode; /* the best that the endpoint was found to take */
	uint64_t day_ns;           /* when the count began */
	unsigned calls;
};

int llm_new(const struct llm_config *c, struct llm **ret)
{
	const char *why;
	if (!llm_config_check(c, &why))
		return -EINVAL;
	CLEANUP(llm_freep) struct llm *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->config = *c;
	int err = http_client_new(&l->http);
	if (err)
		return err;
	*ret = TAKE_PTR(l);
	return 0;
}

void llm_free(struct llm *l)
{
	if (!l)
		return;
	http_client_free(l->http);
	explicit_bzero(l, sizeof(*l));
	free(l);
}

enum llm_schema_mode llm_schema_mode(const struct llm *l)
{
	return l->mode;
}

static bool within_daily_cap(struct llm *l, uint64_t now_ns)
{
	if (!l->day_ns || now_ns - l->day_ns >= DAY_NS) {
		l->day_ns = now_ns;
		l->calls = 0;
	}
	if (l->calls >= l->config.daily_cap)
		return false;
	l->calls++;
	return true;
}

/* False: cancelled. */
static bool wait_ns(uint64_t ns, const atomic_bool *cancel)
{
	uint64_t end = clock_mono_ns() + ns, now;

	while ((now = clock_mono_ns()) < end) {
		if (cancel && atomic_load(cancel))
			return false;
		uint64_t slice = MIN(end - now, SLICE_NS);
		struct timespec t = { .tv_sec = 0, .tv_nsec = (long)slice };
		nanosleep(&t, NULL);
	}
	return true;
}

static void auth_header(const struct llm_config *c, char *text, size_t size)
{
	snprintf(text, size,
		 c->format == LLM_GEMINI ? "x-goog-api-key: %s" : "Authorization: Bearer %s",
		 c->key);
}

static int post(struct llm *l, const struct buf *body, uint64_t left_ns, const atomic_bool *cancel,
		struct http_client_response *r)
{
	char url[LLM_URL_MAX], auth[LLM_KEY_MAX + 32];
	const char *headers[3] = { "Content-Type: application/json", NULL, NULL };

	int err = llm_url(&l->config, url);
	if (err)
		return err;
	if (l->config.key[0]) {
		auth_header(&l->config, auth, sizeof(auth));
		headers[1] = auth;
	}
	uint32_t left_ms = (uint32_t)MIN(left_ns / NSEC_PER_MSEC, (uint64_t)UINT32_MAX);
	struct http_client_request q = {
		.url = url,
		.headers = headers,
		.body = body->data,
		.body_len = body->len,
		.connect_timeout_ms = MIN(l->config.connect_timeout_ms, left_ms),
		.timeout_ms = left_ms,
		.body_max = LLM_BODY_MAX,
		.use_proxy = l->config.use_proxy,
		.cancel = cancel,
	};
	err = http_client_do(l->http, &q, r);
	explicit_bzero(auth, sizeof(auth));
	return err;
}

static const char *transport_words(enum http_client_error e)
{
	switch (e) {
	case HTTP_CLIENT_UNREACHABLE:
		return "the model cannot be reached";
	case HTTP_CLIENT_TIMEOUT:
		return "the model did not answer in time";
	case HTTP_CLIENT_TLS:
		return "the model's TLS certificate or handshake is not good";
	case HTTP_CLIENT_TOO_LARGE:
		return "the model's answer is over 256 KiB";
	case HTTP_CLIENT_PROTOCOL:
		return "the model's answer broke off or is not HTTP";
	case HTTP_CLIENT_CANCELLED:
		return "the question was cancelled";
	default:
		return "the question could not be sent";
	}
}

/* One call. 0: a->usable. Else @f says what to make of it. */
static int try_once(struct llm *l, const struct llm_question *q, enum llm_schema_mode mode,
		    uint64_t left_ns, const atomic_bool *cancel, struct llm_answer *a,
		    struct llm_failure *f)
{
	CLEANUP(buf_release) struct buf body, text;
	buf_init(&body, LLM_REQUEST_MAX);
	buf_init(&text, LLM_BODY_MAX);
	*f = (struct llm_failure){ 0 };
	int err = llm_request(&l->config, q, mode, &body);
	if (err) {
		snprintf(f->because, sizeof(f->because), "the question could not be put together");
		return err;
	}

	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	unsigned tokens[2];
	a->calls++;
	err = post(l, &body, left_ns, cancel, &r);
	if (err) {
		snprintf(f->because, sizeof(f->because), "%s", transport_words(r.error));
		return err;
	}
	err = llm_extract(l->config.format, r.status, buf_str(&r.body), r.body.len, &text, a->model,
			  tokens, f);
	a->prompt_tokens = tokens[0];
	a->answer_tokens = tokens[1];
	const char *after;
	size_t len;
	if (err && !f->retry_after_ns && http_client_header(&r, "Retry-After", &after, &len))
		f->retry_after_ns = llm_retry_after(after, len);
	if (err)
		return err;
	if (!llm_validate(q, buf_str(&text), text.len, a)) {
		memcpy(f->because, a->because, sizeof(f->because));
		return -EBADMSG;
	}
	return 0;
}

/* What to do after a failure: false: give up, f->because says why. */
static bool go_on(const struct llm_config *c, enum llm_schema_mode *mode, unsigned *retries,
		  uint64_t deadline_ns, const atomic_bool *cancel, struct llm_failure *f)
{
	if (f->schema && *mode < LLM_PROMPT_ONLY) {
		++*mode;
		return true;
	}
	if (!f->retry || *retries >= c->retries)
		return false;
	uint64_t pause = f->retry_after_ns ? f->retry_after_ns : BACKOFF_NS << *retries,
		 now = clock_mono_ns();
	if (now + pause + LEAST_NS > deadline_ns) {
		size_t used = strlen(f->because);
		snprintf(f->because + used, sizeof(f->because) - used,
			 "; a retry after %.1f s would be too late", (double)pause / 1e9);
		return false;
	}
	++*retries;
	return wait_ns(pause, cancel);
}

int llm_ask(struct llm *l, const struct llm_question *q, const atomic_bool *cancel,
	    struct llm_answer *a)
{
	uint64_t now = clock_mono_ns(), deadline = now + l->config.timeout_ms * NSEC_PER_MSEC;
	enum llm_schema_mode mode = l->mode;
	struct llm_failure f;
	unsigned retries = 0;
	int err;

	*a = (struct llm_answer){ 0 };
	snprintf(a->model, sizeof(a->model), "%s", l->config.model);
	for (;;) {
		now = clock_mono_ns();
		if (now + LEAST_NS > deadline) {
			snprintf(a->because, sizeof(a->because),
				 "the model did not answer in time");
			return -ETIMEDOUT;
		}
		if (!within_daily_cap(l, now)) {
			snprintf(a->because, sizeof(a->because),
				 "our own limit of questions a day (%u) is reached",
				 l->config.daily_cap);
			return -EDQUOT;
		}
		err = try_once(l, q, mode, deadline - now, cancel, a, &f);
		if (!err || !go_on(&l->config, &mode, &retries, deadline, cancel, &f))
			break;
	}
	/* Remembered only when it led to an answer: an endpoint that was sick has not said what it takes. */
	if (!err || err == -EBADMSG)
		l->mode = mode;
	if (err)
		memcpy(a->because, f.because, sizeof(a->because));
	return err;
}
