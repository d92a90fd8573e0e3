// SPDX-License-Identifier: GPL-2.0-or-later
/* db-service: products and carts. */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "services/common/server.h"
#include "services/db/shop.h"

static int get_products(struct request *rq)
{
	return request_no_query(rq) ?: reply_json(rq, 200, shop_products());
}

static int get_cart(struct request *rq)
{
	if (request_no_query(rq))
		return rq->status;
	if (strlen(rq->param) > SHOP_USER_MAX)
		return reply_parameter(rq, "user_id", "too long", "text of 1 to 128 bytes");
	return reply_json(rq, 200, shop_cart(rq->param));
}

static int add_to_cart(struct request *rq)
{
	static const char *const known[] = { "user_id", "product_id", "quantity", NULL };
	CLEANUP(json_freep) cJSON *body = NULL;
	const char *user = NULL, *product = NULL;
	int quantity = 0;

	int status = request_no_query(rq)                                           ?:
		request_json(rq, known, false, &body)                               ?:
		request_text(rq, body, "user_id", 1, SHOP_USER_MAX, &user)          ?:
		request_text(rq, body, "product_id", 1, SHOP_PRODUCT_MAX, &product) ?:
		request_whole(rq, body, "quantity", 1, SHOP_QUANTITY_MAX, &quantity);
	if (status)
		return status;

	switch (shop_add(user, product, quantity)) {
	case 0:
		return reply_json(rq, 200, shop_cart(user));
	case -ENOENT:
		return reply_error(rq, 404, "there is no product %s", product);
	case -EDQUOT:
		return reply_error(rq, 409, "a cart holds at most %d of one product",
				   SHOP_QUANTITY_MAX);
	case -ENOSPC:
		return reply_error(rq, 503, "no more carts fit (%d are kept)", SHOP_CARTS_MAX);
	default:
		return reply_error(rq, 500, "no memory");
	}
}

static int clear_cart(struct request *rq)
{
	static const char *const known[] = { "user_id", NULL };
	CLEANUP(json_freep) cJSON *body = NULL;
	const char *user = NULL;

	int status = request_no_query(rq)             ?:
		request_json(rq, known, false, &body) ?:
		request_text(rq, body, "user_id", 1, SHOP_USER_MAX, &user);
	if (status)
		return status;

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "user_id", user);
	cJSON_AddNumberToObject(j, "cleared", shop_clear(user));
	return reply_json(rq, 200, j);
}

static const struct route routes[] = {
	{ "GET", "/products", false, get_products },
	{ "POST", "/cart/add", false, add_to_cart },
	{ "POST", "/cart/clear", false, clear_cart },
	{ "GET", "/cart/{user_id}", false, get_cart },
};

int main(int argc, char **argv)
{
	static const struct service_def def = {
		.name = "db-service",
		.port = 8002,
		.routes = routes,
		.nr_routes = ARRAY_SIZE(routes),
		.bad_data = true,
		.stop = shop_release,
	};

	return service_run(&def, argc, argv);
}
