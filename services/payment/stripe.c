// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/payment/stripe.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "services/common/bearer.h"

#define TIMEOUT_MS 10000
#define FORM_MAX (64 << 10)

static struct {
	struct dependency stripe;
	char authorization[320]; /* "": simulated */
} g;

int stripe_init(char *why, size_t size)
{
	const char *key = getenv("STRIPE_API_KEY");

	int err = dependency_from_env(&g.stripe, "Stripe", "STRIPE_API_BASE",
				      "https://api.stripe.com", TIMEOUT_MS, why, size);
	if (err)
		return err;
	g.stripe.proxy = true;
	if (!key || !*key || !strcmp(key, "sk_test_dummy")) {
		log_info("no Stripe key: payments are simulated, paid at once");
		return 0;
	}
	if (strlen(key) > 255 ||
	    strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") !=
		    strlen(key)) {
		snprintf(
			why, size,
			"STRIPE_API_KEY does not look like a key (letters, digits and _, at most 255)");
		return -EINVAL;
	}
	if (!strncmp(key, "sk_live_", 8) && strncmp(g.stripe.url, "https://", 8) != 0) {
		snprintf(why, size,
			 "a live Stripe key is only sent over https; STRIPE_API_BASE is %.100s",
			 g.stripe.url);
		return -EINVAL;
	}
	snprintf(g.authorization, sizeof(g.authorization), "Authorization: Bearer %s", key);
	return 0;
}

void stripe_release(void)
{
	dependency_release(&g.stripe);
}

bool stripe_simulated(void)
{
	return !*g.authorization;
}

bool stripe_url_valid(const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL;
	bool ok = u && strlen(url) < STRIPE_URL_MAX &&
		curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		(!strcmp(scheme, "http") || !strcmp(scheme, "https"));

	for (const char *s = url; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			ok = false;
	curl_free(scheme);
	curl_url_cleanup(u);
	return ok;
}

/* The first error sticks: callers check once, at the end. */
static void form_add(struct buf *form, int *err, const char *name, const char *value)
{
	CLEANUP(freep) char *n = uri_encode(name);
	CLEANUP(freep) char *v = uri_encode(value);

	if (!*err)
		*err = n && v ? buf_addf(form, "%s%s=%s", form->len ? "&" : "", n, v) : -ENOMEM;
}

static void form_add_line(struct buf *form, int *err, size_t i, const char *name, const char *value)
{
	char full[96];

	snprintf(full, sizeof(full), "line_items[%zu]%s", i, name);
	form_add(form, err, full, value);
}

static int make_form(const struct request *rq, const struct order *o, const char *success_url,
		     const char *cancel_url, struct buf *form)
{
	int err = 0;

	form_add(form, &err, "mode", "payment");
	form_add(form, &err, "success_url", success_url);
	form_add(form, &err, "cancel_url", cancel_url);
	form_add(form, &err, "client_reference_id", rq->user_id);
	form_add(form, &err, "metadata[trace_id]", rq->trace_id);
	for (size_t i = 0; i < o->nr_lines; i++) {
		char number[16];
		snprintf(number, sizeof(number), "%d", o->lines[i].quantity);
		form_add_line(form, &err, i, "[quantity]", number);
		snprintf(number, sizeof(number), "%d", o->lines[i].price_cents);
		form_add_line(form, &err, i, "[price_data][unit_amount]", number);
		form_add_line(form, &err, i, "[price_data][currency]", "usd");
		form_add_line(form, &err, i, "[price_data][product_data][name]", o->lines[i].name);
	}
	return err;
}

/* The caller's own key, under its user's name: two users' equal keys must not meet. Else one that is new. */
static void idempotency_key(const struct request *rq, char *ret, size_t size)
{
	const char *given = request_header(rq, "Idempotency-Key");
	char made[TRACE_ID_SIZE];

	trace_id_make(made);
	if (given && strlen(given) <= 100 &&
	    strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
		    strlen(given))
		snprintf(ret, size, "Idempotency-Key: %s-%s", rq->user_id, given);
	else
		snprintf(ret, size, "Idempotency-Key: %s", made);
}

/* Stripe's own words go to the log; our client learns that Stripe refused, not how our account is set up. */
static int refuse(struct request *rq, const struct answer *a)
{
	const char *message =
		json_str(cJSON_GetObjectItemCaseSensitive(a->json, "error"), "message");

	if (a->result == CALL_OK && message)
		log_as(NULL, LOG_LEVEL_ERROR, rq->trace_id, "Stripe refused (status %d): %.300s",
		       a->status, message);
	return reply_dependency(rq, &g.stripe, a, NULL);
}

static int take_session(struct request *rq, struct answer *a, cJSON **ret)
{
	if (a->result != CALL_OK || a->status != 200)
		return refuse(rq, a);
	if (!json_str(a->json, "id") || !json_str(a->json, "payment_status"))
		return reply_dependency(rq, &g.stripe, a, "a checkout session was expected");
	*ret = TAKE_PTR(a->json);
	return 0;
}

int stripe_create(struct request *rq, const struct order *o, const char *success_url,
		  const char *cancel_url, cJSON **ret)
{
	CLEANUP(answer_release) struct answer a = { 0 };
	CLEANUP(buf_release) struct buf form;
	char key[256];

	buf_init(&form, FORM_MAX);
	if (make_form(rq, o, success_url, cancel_url, &form))
		return reply_error(rq, 500, "no memory for the order");
	idempotency_key(rq, key, sizeof(key));
	struct call c = {
		.method = "POST",
		.path = "/v1/checkout/sessions",
		.body = buf_str(&form),
		.content_type = "application/x-www-form-urlencoded",
		.headers = { g.authorization, key },
	};
	dependency_call(&g.stripe, &c, &a);
	return take_session(rq, &a, ret);
}

int stripe_lookup(struct request *rq, const char *id, cJSON **ret)
{
	CLEANUP(answer_release) struct answer a = { 0 };
	char path[320];

	snprintf(path, sizeof(path), "/v1/checkout/sessions/%.255s", id);
	struct call c = { .method = "GET", .path = path, .headers = { g.authorization } };
	dependency_call(&g.stripe, &c, &a);
	if (a.result == CALL_OK && a.status == 404)
		return reply_error(rq, 404, "Stripe knows no such checkout session");
	return take_session(rq, &a, ret);
}
