// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/db/shop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/util.h"

struct product {
	const char *id, *name;
	int price_cents, stock;
};

/* Stock is what the shelf holds; no order takes from it. It is never less than one cart may ask for. */
static const struct product products[] = {
	{ "p1", "Laptop", 129999, 1500 },    { "p2", "Headphones", 19950, 4000 },
	{ "p3", "Coffee Mug", 1299, 12000 }, { "p4", "Mechanical Keyboard", 8990, 2500 },
	{ "p5", "Desk Lamp", 4525, 3000 },
};

#define NR_PRODUCTS ARRAY_SIZE(products)

struct cart {
	char user[SHOP_USER_MAX + 1];
	int quantity[NR_PRODUCTS]; /* 0: not in it */
	UT_hash_handle hh;
};

static struct {
	pthread_mutex_t lock;
	struct cart *carts; /* guarded by lock */
} g = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int add_money(cJSON *to, const char *name, long long cents)
{
	char text[32];

	/* As text: 19950 cents are 199.50, and neither 199.5 nor a rounded double. */
	snprintf(text, sizeof(text), "%lld.%02lld", cents / 100, cents % 100);
	return cJSON_AddRawToObject(to, name, text) ? 0 : -ENOMEM;
}

static const struct product *find_product(const char *id)
{
	for (size_t i = 0; i < NR_PRODUCTS; i++)
		if (!strcmp(products[i].id, id))
			return &products[i];
	return NULL;
}

cJSON *shop_products(void)
{
	cJSON *j = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(j, "products");

	for (size_t i = 0; i < NR_PRODUCTS && list; i++) {
		cJSON *p = cJSON_CreateObject();
		cJSON_AddStringToObject(p, "id", products[i].id);
		cJSON_AddStringToObject(p, "name", products[i].name);
		add_money(p, "price", products[i].price_cents);
		cJSON_AddNumberToObject(p, "stock", products[i].stock);
		cJSON_AddItemToArray(list, p);
	}
	return j;
}

cJSON *shop_cart(const char *user)
{
	int quantity[NR_PRODUCTS] = { 0 };
	struct cart *c = NULL;
	long long total = 0;

	pthread_mutex_lock(&g.lock);
	HASH_FIND_STR(g.carts, user, c);
	if (c)
		memcpy(quantity, c->quantity, sizeof(quantity));
	pthread_mutex_unlock(&g.lock);

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "user_id", user);
	cJSON *list = cJSON_AddArrayToObject(j, "items");
	for (size_t i = 0; i < NR_PRODUCTS && list; i++) {
		if (!quantity[i])
			continue;
		cJSON *line = cJSON_CreateObject();
		cJSON_AddStringToObject(line, "product_id", products[i].id);
		cJSON_AddStringToObject(line, "name", products[i].name);
		add_money(line, "price", products[i].price_cents);
		cJSON_AddNumberToObject(line, "quantity", quantity[i]);
		cJSON_AddItemToArray(list, line);
		total += (long long)products[i].price_cents * quantity[i];
	}
	add_money(j, "total", total);
	return j;
}

/* With the lock held: the user's cart, made where there is none. 0, -ENOSPC or -ENOMEM. */
static int cart_of(const char *user, struct cart **ret)
{
	struct cart *c = NULL;

	HASH_FIND_STR(g.carts, user, c);
	if (c) {
		*ret = c;
		return 0;
	}
	if (HASH_COUNT(g.carts) >= SHOP_CARTS_MAX)
		return -ENOSPC;

	CLEANUP(freep) struct cart *made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	snprintf(made->user, sizeof(made->user), "%s", user);
	HASH_ADD_STR(g.carts, user, made);
	HASH_FIND_STR(g.carts, user, c);
	if (c != made)
		return -ENOMEM;
	*ret = TAKE_PTR(made);
	return 0;
}

int shop_add(const char *user, const char *product, int quantity)
{
	const struct product *p = find_product(product);
	struct cart *c = NULL;

	if (!p)
		return -ENOENT;
	pthread_mutex_lock(&g.lock);
	int err = cart_of(user, &c);
	if (!err && c->quantity[p - products] > SHOP_QUANTITY_MAX - quantity)
		err = -EDQUOT;
	if (!err)
		c->quantity[p - products] += quantity;
	pthread_mutex_unlock(&g.lock);
	return err;
}

int shop_clear(const char *user)
{
	struct cart *c = NULL;
	int nr = 0;

	pthread_mutex_lock(&g.lock);
	HASH_FIND_STR(g.carts, user, c);
	if (c) {
		for (size_t i = 0; i < NR_PRODUCTS; i++)
			nr += c->quantity[i] > 0;
		HASH_DEL(g.carts, c);
		free(c);
	}
	pthread_mutex_unlock(&g.lock);
	return nr;
}

void shop_release(void)
{
	struct cart *c, *next;

	HASH_ITER(hh, g.carts, c, next) {
		HASH_DEL(g.carts, c);
		free(c);
	}
}
