// SPDX-License-Identifier: GPL-2.0-or-later
/* payment-service: totals a cart, has it paid through Stripe, and empties it once it is. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "services/common/bearer.h"
#include "services/common/server.h"
#include "services/common/signature.h"
#include "services/payment/order.h"
#include "services/payment/paid.h"
#include "services/payment/stripe.h"

#define DB_TIMEOUT_MS 8000
#define SESSION_MAX 255

static struct {
	struct dependency db;
	const char *webhook_secret; /* NULL: webhooks are refused */
	char own_url[512];
} g;

static int fetch_order(struct request *rq, struct order *ret)
{
	CLEANUP(answer_release) struct answer a = { 0 };
	CLEANUP(freep) char *user = uri_encode(rq->user_id);
	const char *why = NULL;
	char path[512];

	if (!user)
		return reply_error(rq, 500, "no memory");
	snprintf(path, sizeof(path), "/cart/%s", user);
	request_call(rq, &g.db, "GET", path, NULL, NULL, &a);
	if (a.result != CALL_OK || a.status != 200)
		return reply_dependency(rq, &g.db, &a, NULL);
	if (order_from_cart(a.json, ret, &why))
		return reply_dependency(rq, &g.db, &a, why);
	log_as(NULL, LOG_LEVEL_INFO, rq->trace_id, "DB cart fetch success: %zu items in %.1fms",
	       ret->nr_lines, (double)a.took_ns / 1e6);
	if (!ret->nr_lines)
		return reply_error(rq, 400, "the cart is empty: there is nothing to pay");
	return 0;
}

static int clear_cart(struct request *rq, const char *user)
{
	CLEANUP(answer_release) struct answer a = { 0 };
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "user_id", user);
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(body);
	if (!text)
		return reply_error(rq, 500, "no memory");
	request_call(rq, &g.db, "POST", "/cart/clear", text, NULL, &a);
	if (a.result != CALL_OK || a.status != 200)
		return reply_dependency(rq, &g.db, &a, NULL);
	return 0;
}

/* Empty the cart of @user, once for each session. 0, or the status already replied. */
static int settle(struct request *rq, const char *session, const char *user, bool *ret_cleared)
{
	*ret_cleared = false;
	if (!paid_claim(session))
		return 0;
	int status = clear_cart(rq, user);
	if (status) {
		paid_unclaim(session);
		return status;
	}
	*ret_cleared = true;
	log_as(NULL, LOG_LEVEL_INFO, rq->trace_id, "checkout %.80s is paid, cart cleared", session);
	return 0;
}

/* As Stripe does with its placeholder. Owned by the caller; NULL: no memory. */
static char *fill_session_id(const char *url, const char *id)
{
	static const char placeholder[] = "{CHECKOUT_SESSION_ID}";
	const char *at = strstr(url, placeholder);
	char *filled;

	if (!at)
		return strdup(url);
	return asprintf(&filled, "%.*s%s%s", (int)(at - url), url, id, at + strlen(placeholder)) <
			0 ?
		NULL :
		filled;
}

static int pay_simulated(struct request *rq, const struct order *o, const char *success_url)
{
	unsigned char random[16];
	char id[64] = "cs_simulated_";
	bool cleared;

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(id + strlen(id), sizeof(id) - strlen(id), random, sizeof(random));
	CLEANUP(freep) char *url = fill_session_id(success_url, id);
	int status = url ? settle(rq, id, rq->user_id, &cleared) :
			   reply_error(rq, 500, "no memory");
	if (status)
		return status;

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "session_id", id);
	cJSON_AddStringToObject(j, "url", url);
	cJSON_AddStringToObject(j, "payment_status", "paid");
	cJSON_AddNumberToObject(j, "amount_total_cents", (double)o->total_cents);
	cJSON_AddStringToObject(j, "currency", "usd");
	cJSON_AddBoolToObject(j, "simulated", true);
	cJSON_AddBoolToObject(j, "cart_cleared", cleared);
	return reply_json(rq, 200, j);
}

static int pay_stripe(struct request *rq, const struct order *o, const char *success_url,
		      const char *cancel_url)
{
	CLEANUP(json_freep) cJSON *session = NULL;

	int status = stripe_create(rq, o, success_url, cancel_url, &session);
	if (status)
		return status;
	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "session_id", json_str(session, "id"));
	if (json_str(session, "url"))
		cJSON_AddStringToObject(j, "url", json_str(session, "url"));
	else
		cJSON_AddNullToObject(j, "url");
	cJSON_AddStringToObject(j, "payment_status", json_str(session, "payment_status"));
	cJSON_AddNumberToObject(j, "amount_total_cents", (double)o->total_cents);
	cJSON_AddStringToObject(j, "currency", "usd");
	cJSON_AddBoolToObject(j, "simulated", false);
	cJSON_AddBoolToObject(j, "cart_cleared", false);
	return reply_json(rq, 200, j);
}

/* 0 with an address, borrowed, or the status already replied. */
static int read_url(struct request *rq, const cJSON *body, const char *name, const char **ret)
{
	const char *given = NULL;

	int status = request_text(rq, body, name, 0, STRIPE_URL_MAX - 1, &given);
	if (status || !given)
		return status;
	if (!stripe_url_valid(given))
		return reply_parameter(rq, name, given, "an http or https address");
	*ret = given;
	return 0;
}

static int create_checkout_session(struct request *rq)
{
	static const char *const known[] = { "success_url", "cancel_url", NULL };
	CLEANUP(json_freep) cJSON *body = NULL;
	CLEANUP(freep) struct order *o = calloc(1, sizeof(*o));
	char success[640], cancel[640];
	const char *success_url = success, *cancel_url = cancel;

	if (!o)
		return reply_error(rq, 500, "no memory");
	snprintf(success, sizeof(success), "%s/checkout/success?session_id={CHECKOUT_SESSION_ID}",
		 g.own_url);
	snprintf(cancel, sizeof(cancel), "%s/health", g.own_url);
	int status = request_no_query(rq)                       ?:
		request_json(rq, known, true, &body)            ?:
		read_url(rq, body, "success_url", &success_url) ?:
		read_url(rq, body, "cancel_url", &cancel_url)   ?:
								  fetch_order(rq, o);
	if (status)
		return status;
	return stripe_simulated() ? pay_simulated(rq, o, success_url) :
				    pay_stripe(rq, o, success_url, cancel_url);
}

static bool session_valid(const char *id)
{
	size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

	return len && len <= SESSION_MAX && !id[len];
}

/* A session object of Stripe's: clears the cart if it is paid and ours. 0, or the status already replied. */
static int settle_session(struct request *rq, const cJSON *session, bool *ret_cleared)
{
	const char *id = json_str(session, "id"), *paid = json_str(session, "payment_status");
	const char *user = json_str(session, "client_reference_id");

	*ret_cleared = false;
	if (!id || !session_valid(id) || !paid || strcmp(paid, "paid") != 0)
		return 0;
	if (!user || !*user || strlen(user) >= REQUEST_USER_MAX || !text_is_plain(user))
		return 0; /* another shop's session in the same Stripe account */
	return settle(rq, id, user, ret_cleared);
}

static int checkout_success(struct request *rq)
{
	CLEANUP(json_freep) cJSON *session = NULL;
	const char *id = uri_query(&rq->uri, "session_id"), *payment_status = "paid";
	bool cleared = false;

	for (size_t i = 0; i < rq->uri.nr_query; i++)
		if (strcmp(rq->uri.query[i].name, "session_id") != 0)
			return reply_unknown(rq, rq->uri.query[i].name, rq->uri.query[i].value,
					     "session_id");
	if (!id || !session_valid(id))
		return reply_parameter(rq, "session_id", id ?: "missing",
				       "a checkout session's id");
	if (stripe_simulated()) {
		if (!paid_known(id))
			return reply_error(rq, 404, "there is no such checkout session");
	} else {
		int status = stripe_lookup(rq, id, &session) ?:
							       settle_session(rq, session, &cleared);
		if (status)
			return status;
		payment_status = json_str(session, "payment_status");
	}

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "session_id", id);
	cJSON_AddStringToObject(j, "payment_status", payment_status);
	cJSON_AddBoolToObject(j, "cart_cleared", cleared);
	return reply_json(rq, 200, j);
}

static bool tells_of_payment(const char *type)
{
	return !strcmp(type, "checkout.session.completed") ||
		!strcmp(type, "checkout.session.async_payment_succeeded");
}

static int webhook(struct request *rq)
{
	CLEANUP(json_freep) cJSON *event = NULL;
	const char *why = NULL;
	bool cleared = false;

	if (!g.webhook_secret)
		return reply_error(rq, 503,
				   "STRIPE_WEBHOOK_SECRET is not set: no webhook can be checked");
	if (signature_check(g.webhook_secret, request_header(rq, "Stripe-Signature"), rq->body,
			    rq->body_len, clock_wall_ms() / 1000, &why)) {
		log_as(NULL, LOG_LEVEL_WARNING, rq->trace_id, "webhook refused: %s", why);
		return reply_error(rq, 400, "%s", why);
	}
	if (json_parse(rq->body, rq->body_len, &event, &why))
		return reply_error(rq, 400, "%s", why);

	const char *type = json_str(event, "type");
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	if (!type)
		return reply_parameter(rq, "type", "missing", "the kind of the event");
	if (tells_of_payment(type)) {
		int status = settle_session(rq, cJSON_GetObjectItemCaseSensitive(data, "object"),
					    &cleared);
		if (status)
			return status; /* not 2xx: Stripe sends it again */
	}
	cJSON *j = cJSON_CreateObject();
	cJSON_AddBoolToObject(j, "received", true);
	cJSON_AddBoolToObject(j, "cart_cleared", cleared);
	return reply_json(rq, 200, j);
}

static int start(uint16_t port, char *why, size_t size)
{
	const char *own = getenv("PAYMENT_SERVICE_URL"), *secret = getenv("STRIPE_WEBHOOK_SECRET");

	if (own && *own && (strlen(own) >= sizeof(g.own_url) || !stripe_url_valid(own))) {
		snprintf(why, size, "PAYMENT_SERVICE_URL is not an http or https address");
		return -EINVAL;
	}
	if (own && *own)
		snprintf(g.own_url, sizeof(g.own_url), "%s", own);
	else
		snprintf(g.own_url, sizeof(g.own_url), "http://localhost:%u", port);
	g.webhook_secret = secret && *secret ? secret : NULL;
	return bearer_init(why, size)  ?:
		stripe_init(why, size) ?:
		dependency_from_env(&g.db, "db-service", "DB_SERVICE_URL", "http://127.0.0.1:8002",
				    DB_TIMEOUT_MS, why, size);
}

static void stop(void)
{
	bearer_release();
	stripe_release();
	dependency_release(&g.db);
}

static const struct route routes[] = {
	{ "POST", "/create-checkout-session", true, create_checkout_session },
	{ "GET", "/checkout/success", false, checkout_success },
	{ "POST", "/stripe/webhook", false, webhook },
};

int main(int argc, char **argv)
{
	static const struct service_def def = {
		.name = "payment-service",
		.port = 8004,
		.routes = routes,
		.nr_routes = ARRAY_SIZE(routes),
		.help = "  AUTH_SERVICE_URL       default http://127.0.0.1:8001\n"
			"  DB_SERVICE_URL         default http://127.0.0.1:8002\n"
			"  STRIPE_API_KEY         none, or sk_test_dummy: simulated, paid at once\n"
			"  STRIPE_API_BASE        default https://api.stripe.com\n"
			"  STRIPE_WEBHOOK_SECRET  none: webhooks are refused\n"
			"  PAYMENT_SERVICE_URL    where buyers return to; default http://localhost:PORT\n",
		.start = start,
		.stop = stop,
		.authenticate = bearer_authenticate,
	};

	return service_run(&def, argc, argv);
}
