/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * order.h - db's cart into what has to be paid: whole cents, checked.
 *
 * db's values are not trusted: a cart whose prices are negative, broken or
 * absurd is refused rather than charged. Pure.
 */
#ifndef ARCHAIC_ORDER_H
#define ARCHAIC_ORDER_H

#include <cjson/cJSON.h>
#include <stddef.h>

#define ORDER_LINES_MAX 64
#define ORDER_PRICE_MAX_CENTS 99999999 /* Stripe's own limit on one price */

struct order {
	struct order_line {
		char name[129];
		int price_cents, quantity;
	} lines[ORDER_LINES_MAX];
	size_t nr_lines;
	long long total_cents;
};

/** order_from_cart() - @cart: db's GET /cart/{user_id}. @why: set on failure to a static sentence. 0 or -EINVAL. */
int order_from_cart(const cJSON *cart, struct order *ret, const char **why);

#endif
