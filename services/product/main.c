// SPDX-License-Identifier: GPL-2.0-or-later
/* product-service: the shop's front: who is asking (auth), then products and carts (db). */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "services/common/bearer.h"
#include "services/common/server.h"

#define DB_TIMEOUT_MS 8000

static struct dependency db;

/* What db refuses because of what the caller asked is the caller's answer; all else is db's failure. */
static int relay(struct request *rq, const struct answer *a, const char *what, const char *list)
{
	if (a->result == CALL_OK && (a->status == 400 || a->status == 404 || a->status == 409) &&
	    a->json)
		return reply_text(rq, a->status, "application/json", a->body);
	if (a->result != CALL_OK || a->status != 200)
		return reply_dependency(rq, &db, a, NULL);
	if (!cJSON_IsObject(a->json))
		return reply_dependency(rq, &db, a, "a JSON object was expected");

	double took_ms = (double)a->took_ns / 1e6;
	if (list)
		log_as(NULL, LOG_LEVEL_INFO, rq->trace_id, "DB %s success: %d items in %.1fms",
		       what, cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(a->json, list)),
		       took_ms);
	else
		log_as(NULL, LOG_LEVEL_INFO, rq->trace_id, "DB %s success in %.1fms", what,
		       took_ms);
	/* Values are handed on as they are: whether they make sense is not ours to say. */
	return reply_text(rq, 200, "application/json", a->body);
}

static int get_products(struct request *rq)
{
	CLEANUP(answer_release) struct answer a = { 0 };

	if (request_no_query(rq))
		return rq->status;
	request_call(rq, &db, "GET", "/products", NULL, NULL, &a);
	return relay(rq, &a, "products fetch", "products");
}

static int get_cart(struct request *rq)
{
	CLEANUP(answer_release) struct answer a = { 0 };
	CLEANUP(freep) char *user = uri_encode(rq->user_id);
	char path[512];

	if (request_no_query(rq))
		return rq->status;
	if (!user)
		return reply_error(rq, 500, "no memory");
	snprintf(path, sizeof(path), "/cart/%s", user);
	request_call(rq, &db, "GET", path, NULL, NULL, &a);
	return relay(rq, &a, "cart fetch", "items");
}

static int post_to_db(struct request *rq, const char *path, cJSON *body, const char *what,
		      const char *list)
{
	CLEANUP(answer_release) struct answer a = { 0 };
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(body);

	if (!text)
		return reply_error(rq, 500, "no memory");
	request_call(rq, &db, "POST", path, text, NULL, &a);
	return relay(rq, &a, what, list);
}

static int add_to_cart(struct request *rq)
{
	static const char *const known[] = { "product_id", "quantity", NULL };
	CLEANUP(json_freep) cJSON *body = NULL;
	CLEANUP(json_freep) cJSON *out = cJSON_CreateObject();
	const char *product = NULL;
	int quantity = 0;

	int status = request_no_query(rq)                             ?:
		request_json(rq, known, false, &body)                 ?:
		request_text(rq, body, "product_id", 1, 32, &product) ?:
		request_whole(rq, body, "quantity", 1, 1000, &quantity);
	if (status)
		return status;
	cJSON_AddStringToObject(out, "user_id", rq->user_id);
	cJSON_AddStringToObject(out, "product_id", product);
	cJSON_AddNumberToObject(out, "quantity", quantity);
	return post_to_db(rq, "/cart/add", out, "cart add", "items");
}

static int clear_cart(struct request *rq)
{
	static const char *const known[] = { NULL };
	CLEANUP(json_freep) cJSON *body = NULL;
	CLEANUP(json_freep) cJSON *out = cJSON_CreateObject();

	int status = request_no_query(rq) ?: request_json(rq, known, true, &body);
	if (status)
		return status;
	cJSON_AddStringToObject(out, "user_id", rq->user_id);
	return post_to_db(rq, "/cart/clear", out, "cart clear", NULL);
}

static int start(uint16_t port, char *why, size_t size)
{
	(void)port;
	return bearer_init(why, size) ?:
		dependency_from_env(&db, "db-service", "DB_SERVICE_URL", "http://127.0.0.1:8002",
				    DB_TIMEOUT_MS, why, size);
}

static void stop(void)
{
	bearer_release();
	dependency_release(&db);
}

static const struct route routes[] = {
	{ "GET", "/products", true, get_products },
	{ "POST", "/cart/add", true, add_to_cart },
	{ "GET", "/cart", true, get_cart },
	{ "POST", "/cart/clear", true, clear_cart },
};

int main(int argc, char **argv)
{
	static const struct service_def def = {
		.name = "product-service",
		.port = 8003,
		.routes = routes,
		.nr_routes = ARRAY_SIZE(routes),
		.help = "  AUTH_SERVICE_URL  default http://127.0.0.1:8001\n"
			"  DB_SERVICE_URL    default http://127.0.0.1:8002\n",
		.start = start,
		.stop = stop,
		.authenticate = bearer_authenticate,
	};

	return service_run(&def, argc, argv);
}
