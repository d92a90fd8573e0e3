// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/journey.h"

#include <string.h>

#include "base/json.h"

#define PRODUCTS 5 /* p1 … p5, at least */

const struct step_info *journey_step(enum step step)
{
	static const struct step_info steps[NR_STEPS] = {
		[STEP_SIGN_UP] = { "signed up", "POST", "/signup", PART_AUTH },
		[STEP_LOG_IN] = { "logged in", "POST", "/login", PART_AUTH },
		[STEP_LIST] = { "products listed", "GET", "/products", PART_PRODUCT },
		[STEP_ADD] = { "added to cart", "POST", "/cart/add", PART_PRODUCT },
		[STEP_LOOK] = { "cart shows it", "GET", "/cart", PART_PRODUCT },
		[STEP_PAY] = { "checked out", "POST", "/create-checkout-session", PART_PAYMENT },
		[STEP_CLEAR] = { "cart cleared", "POST", "/cart/clear", PART_PRODUCT },
	};

	return &steps[step];
}

const char *journey_part_name(enum part part)
{
	static const char *const names[NR_PARTS] = { "auth", "product", "payment" };

	return names[part];
}

void journey_begin(struct customer *c, unsigned int per_login)
{
	/* Customers log in again at different times, not all at once: a hash is expensive. */
	bool again = (c->journeys + c->nr * 13) % per_login == 0;

	c->journeys++;
	c->paid = false;
	if (!c->signed_up)
		c->step = STEP_SIGN_UP;
	else
		c->step = again || !*c->token ? STEP_LOG_IN : STEP_LIST;
}

static void product_of(const struct customer *c, char id[static 16])
{
	snprintf(id, 16, "p%u", (c->nr + c->journeys) % PRODUCTS + 1);
}

/* Nothing here needs escaping: run is of letters and digits. */
static void body_of(const struct customer *c, char *text, size_t size)
{
	char product[16];

	product_of(c, product);
	switch (c->step) {
	case STEP_SIGN_UP:
	case STEP_LOG_IN:
		snprintf(text, size,
			 "{\"email\":\"user-%s-%u@load.example\",\"password\":\"pass of %s\"}",
			 c->run, c->nr, c->run);
		break;
	case STEP_ADD:
		snprintf(text, size, "{\"product_id\":\"%s\",\"quantity\":%u}", product,
			 c->journeys % 3 + 1);
		break;
	default:
		snprintf(text, size, "{}");
	}
}

int journey_request(const struct customer *c, const struct target *t,
		    const char trace_id[JOURNEY_TRACE_SIZE], struct buf *ret)
{
	const struct step_info *step = journey_step(c->step);
	bool post = step->method[0] == 'P';
	char body[192] = "";

	int err = buf_addf(ret,
			   "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: archaic-load/%s\r\n"
			   "Accept: application/json\r\nX-Trace-ID: %s\r\n",
			   step->method, step->path, t->authority, ARCHAIC_VERSION, trace_id);
	if (!err && step->part != PART_AUTH)
		err = buf_addf(ret, "Authorization: Bearer %s\r\n", c->token);
	if (!err && post) {
		body_of(c, body, sizeof(body));
		err = buf_addf(ret, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			       strlen(body));
	}
	return err ?: buf_addf(ret, "\r\n%s", body);
}

static bool take_token(struct customer *c, const cJSON *j)
{
	const char *token = json_str(j, "access_token");
	size_t len = token ? strlen(token) : 0;

	/* It goes into a header: nothing but what a token may be of (RFC 6750, b64token). */
	if (!len || len >= sizeof(c->token) ||
	    strspn(token,
		   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") != len)
		return false;
	memcpy(c->token, token, len + 1);
	return true;
}

static bool cart_shows(const struct customer *c, const cJSON *j)
{
	const cJSON *item;
	char product[16];

	product_of(c, product);
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(j, "items")) {
		const char *id = json_str(item, "product_id");

		if (id && !strcmp(id, product))
			return true;
	}
	return false;
}

static bool judge(struct customer *c, int status, const cJSON *j)
{
	switch (c->step) {
	case STEP_SIGN_UP:
		/* 409: the account was made by a request whose answer was lost. */
		c->signed_up = status == 201 || status == 409;
		return status == 201;
	case STEP_LOG_IN:
		c->token[0] = '\0';
		if (status == 401)
			c->signed_up =
				false; /* auth was started again, and keeps its users in memory */
		return status == 200 && take_token(c, j);
	case STEP_LIST:
		return status == 200 &&
			cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(j, "products")) >=
			PRODUCTS;
	case STEP_LOOK:
		return status == 200 && cart_shows(c, j);
	case STEP_PAY:
		c->paid = status == 200 && json_str(j, "payment_status");
		return c->paid;
	default:
		return status == 200;
	}
}

static enum step next(const struct customer *c, bool ok)
{
	switch (c->step) {
	case STEP_SIGN_UP:
		return c->signed_up ? STEP_LOG_IN : NR_STEPS;
	case STEP_LOG_IN:
	case STEP_ADD:
		return ok ? (enum step)(c->step + 1) : NR_STEPS;
	case STEP_PAY:
		return ok ? NR_STEPS : STEP_CLEAR;
	default:
		return (enum step)(c->step + 1);
	}
}

bool journey_answer(struct customer *c, int status, const char *body, size_t len)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why;

	if (json_parse(body, len, &j, &why))
		j = NULL; /* and no step that needs it holds */
	bool ok = judge(c, status, j);
	if (status == 401 && c->step > STEP_LOG_IN)
		c->token[0] = '\0';
	c->step = next(c, ok);
	/* Nothing of the shop's answers to nobody. */
	if (c->step > STEP_LOG_IN && !*c->token)
		c->step = NR_STEPS;
	return ok;
}
