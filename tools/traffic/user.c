// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/traffic/user.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tools/traffic/tally.h"

#define ANSWER_MAX (256 << 10)
#define TOKEN_SIZE 2048
#define JOURNEYS_PER_LOGIN 200 /* a hash is expensive: log-ins must not drown the shop's own work */

static atomic_bool stopping;
static _Atomic uint64_t next_slot_ns;

struct session {
	const struct user *u;
	CURL *curl;
	struct buf answer;
	char token[TOKEN_SIZE]; /* "": not logged in */
	char email[64];
	bool signed_up;
};

void user_stop_all(void)
{
	atomic_store(&stopping, true);
}

/* Waits for this request's turn. False: stopping. */
static bool take_slot(double rate_per_s)
{
	uint64_t step_ns = (uint64_t)(1e9 / rate_per_s), now_ns = clock_mono_ns();
	uint64_t expected = atomic_load(&next_slot_ns);

	if (expected + NSEC_PER_SEC / 2 < now_ns)
		atomic_compare_exchange_strong(&next_slot_ns, &expected, now_ns);
	uint64_t slot_ns = atomic_fetch_add(&next_slot_ns, step_ns);

	while (!atomic_load(&stopping)) {
		now_ns = clock_mono_ns();
		if (now_ns >= slot_ns)
			return true;
		uint64_t wait_ns = MIN(slot_ns - now_ns, 200 * NSEC_PER_MSEC);
		struct timespec ts = { .tv_sec = 0, .tv_nsec = (long)wait_ns };
		nanosleep(&ts, NULL);
	}
	return false;
}

static size_t on_data(char *data, size_t size, size_t n, void *ctx)
{
	return buf_add(ctx, data, size * n) ? 0 : size * n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)ctx, (void)a, (void)b, (void)c, (void)d;
	return atomic_load(&stopping);
}

static void make_trace(char ret[static TALLY_TRACE_SIZE])
{
	unsigned char b[16] = { 0 };

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		b[0] = 1;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(ret, TALLY_TRACE_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

static struct curl_slist *make_headers(const struct session *s, const char *trace_id, bool has_body)
{
	char line[TOKEN_SIZE + 32];

	snprintf(line, sizeof(line), "X-Trace-ID: %s", trace_id);
	struct curl_slist *l = curl_slist_append(NULL, line);
	if (*s->token) {
		snprintf(line, sizeof(line), "Authorization: Bearer %s", s->token);
		l = curl_slist_append(l, line);
	}
	return has_body ? curl_slist_append(l, "Content-Type: application/json") : l;
}

static void set_options(struct session *s, const char *url, const char *method, const char *body,
			struct curl_slist *headers)
{
	curl_easy_reset(s->curl); /* keeps the connections */
	curl_easy_setopt(s->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(s->curl, CURLOPT_URL, url);
	curl_easy_setopt(s->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(s->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(s->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(s->curl, CURLOPT_TIMEOUT_MS, (long)s->u->traffic->timeout_ms);
	curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, &s->answer);
	curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(s->curl, CURLOPT_CUSTOMREQUEST, method);
	if (body)
		curl_easy_setopt(s->curl, CURLOPT_POSTFIELDS, body);
}

/* One request in its slot. The status, 0 where no answer came, -1 when stopping. @ok2: another status that is no failure. */
static int ask(struct session *s, const char *service, const char *base, const char *method,
	       const char *path, const char *body, int ok2)
{
	struct tally_request r = { .service = service, .method = method, .path = path, .why = "" };
	char url[768];
	long status = 0;

	if (!take_slot(s->u->traffic->rate_per_s))
		return -1;
	make_trace(r.trace_id);
	snprintf(url, sizeof(url), "%s%s", base, path);
	struct curl_slist *headers = make_headers(s, r.trace_id, body);
	buf_reset(&s->answer);
	set_options(s, url, method, body, headers);
	tally_begin();
	r.started_ns = clock_mono_ns();
	CURLcode code = curl_easy_perform(s->curl);
	r.ended_ns = clock_mono_ns();
	if (code == CURLE_OK)
		curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	else
		r.why = curl_easy_strerror(code);
	r.status = (int)status;
	/* What was given up at the end of the run is nobody's failure. */
	r.failed = code != CURLE_ABORTED_BY_CALLBACK && (status < 200 || status > 299) &&
		status != ok2;
	tally_end(&r);
	curl_slist_free_all(headers);
	return r.status;
}

static void take_token(struct session *s)
{
	const char *why;
	CLEANUP(json_freep) cJSON *j = NULL;

	if (json_parse(buf_str(&s->answer), s->answer.len, &j, &why))
		return;
	const char *token = json_str(j, "access_token");
	if (token && strlen(token) < sizeof(s->token))
		memcpy(s->token, token, strlen(token) + 1);
}

static void log_in(struct session *s)
{
	const char *base = s->u->traffic->auth_url;
	char body[160];

	s->token[0] = '\0';
	snprintf(body, sizeof(body), "{\"email\":\"%s\",\"password\":\"traffic of %s\"}", s->email,
		 s->u->traffic->run);
	if (!s->signed_up) {
		int status = ask(s, "auth", base, "POST", "/signup", body, 409);
		s->signed_up = status == 201 || status == 409;
	}
	if (s->signed_up) {
		int status = ask(s, "auth", base, "POST", "/login", body, 0);
		if (status == 200)
			take_token(s);
		else if (status == 401)
			s->signed_up =
				false; /* auth was started again, and keeps its users in memory */
	}
}

static void journey(struct session *s, unsigned int nr)
{
	const struct traffic *t = s->u->traffic;
	char body[64];

	snprintf(body, sizeof(body), "{\"product_id\":\"p%u\",\"quantity\":%u}",
		 (s->u->nr + nr) % 5 + 1, nr % 3 + 1);
	int listed = ask(s, "product", t->product_url, "GET", "/products", NULL, 401);
	int added = ask(s, "product", t->product_url, "POST", "/cart/add", body, 401);
	ask(s, "product", t->product_url, "GET", "/cart", NULL, 401);
	if (added == 200) /* an empty cart cannot be paid, and is no failure of payment's */
		ask(s, "payment", t->payment_url, "POST", "/create-checkout-session", "{}", 401);
	ask(s, "product", t->product_url, "POST", "/cart/clear", "{}", 401);
	if (listed == 401 || added == 401)
		s->token[0] = '\0';
}

void *user_run(void *user)
{
	struct session s = { .u = user };

	snprintf(s.email, sizeof(s.email), "user-%s-%u@traffic.example", s.u->traffic->run,
		 s.u->nr);
	buf_init(&s.answer, ANSWER_MAX);
	s.curl = curl_easy_init();
	for (unsigned int nr = 0; s.curl && !atomic_load(&stopping); nr++) {
		/* Users log in again at different times, not all at once. */
		if (!*s.token || (nr + s.u->nr * 13) % JOURNEYS_PER_LOGIN == JOURNEYS_PER_LOGIN - 1)
			log_in(&s);
		if (*s.token)
			journey(&s, nr);
	}
	curl_easy_cleanup(s.curl);
	buf_release(&s.answer);
	return NULL;
}
