/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shop.h - products and carts, in memory.
 *
 * A change is checked whole before anything is written, under one lock: no
 * cart is ever half-written. Money is whole cents. A cart that is empty takes
 * no room. Thread-safe.
 */
#ifndef ARCHAIC_SHOP_H
#define ARCHAIC_SHOP_H

#include <cjson/cJSON.h>

#define SHOP_USER_MAX 128 /* bytes of a user id, without the NUL */
#define SHOP_PRODUCT_MAX 32
#define SHOP_QUANTITY_MAX 1000 /* of one product in one cart, too */
#define SHOP_CARTS_MAX 50000

/** shop_products() - {"products":[{id, name, price, stock}…]}; NULL: no memory. */
cJSON *shop_products(void);

/**
 * shop_cart() - {"user_id", "items":[{product_id, name, price, quantity}…], "total"}; NULL: no memory.
 * Somebody who has none has an empty one.
 */
cJSON *shop_cart(const char *user);

/** shop_add() - 0, -ENOENT (no such product), -EDQUOT (over SHOP_QUANTITY_MAX), -ENOSPC (SHOP_CARTS_MAX) or -ENOMEM. */
int shop_add(const char *user, const char *product, int quantity);

/** shop_clear() - empties the cart; the number of products that were in it. */
int shop_clear(const char *user);

void shop_release(void);

#endif
