// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/payment/order.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/json.h"

static const char *read_line(const cJSON *line, struct order_line *ret)
{
	const char *name = json_str(line, "name");
	double cents = json_num(line, "price", -1) * 100, quantity = json_num(line, "quantity", 0);

	if (!name || !*name || strlen(name) >= sizeof(ret->name))
		return "a product in the cart has no usable name";
	/* 199.95 * 100 is not whole in binary: a thousandth of a cent either way is. */
	if (cents < 1 || cents > ORDER_PRICE_MAX_CENTS || fabs(cents - round(cents)) > 1e-3)
		return "a price in the cart is not a positive amount of whole cents";
	if (quantity < 1 || quantity > 1000 || quantity != floor(quantity))
		return "a quantity in the cart is not a whole number from 1 to 1000";
	memcpy(ret->name, name, strlen(name) + 1);
	ret->price_cents = (int)lround(cents);
	ret->quantity = (int)quantity;
	return NULL;
}

int order_from_cart(const cJSON *cart, struct order *ret, const char **why)
{
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(cart, "items");
	struct order o = { 0 };

	if (!cJSON_IsArray(items)) {
		*why = "the cart has no list of items";
		return -EINVAL;
	}
	for (const cJSON *line = items->child; line; line = line->next) {
		if (o.nr_lines == ORDER_LINES_MAX) {
			*why = "the cart has more than 64 items";
			return -EINVAL;
		}
		const char *flaw = read_line(line, &o.lines[o.nr_lines]);
		if (flaw) {
			*why = flaw;
			return -EINVAL;
		}
		o.total_cents +=
			(long long)o.lines[o.nr_lines].price_cents * o.lines[o.nr_lines].quantity;
		o.nr_lines++;
	}
	*ret = o;
	return 0;
}
