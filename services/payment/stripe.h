/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stripe.h - the two calls to Stripe's API that a checkout needs.
 *
 * Form-encoded requests with an Idempotency-Key, as docs.stripe.com/api says.
 * Our key never reaches a log line or an answer. Thread-safe after stripe_init().
 */
#ifndef ARCHAIC_STRIPE_H
#define ARCHAIC_STRIPE_H

#include <stdbool.h>
#include <stddef.h>

#include "services/common/request.h"
#include "services/payment/order.h"

#define STRIPE_URL_MAX 2048

/** stripe_init() - from STRIPE_API_KEY and STRIPE_API_BASE. 0, or -EINVAL with @why filled. */
int stripe_init(char *why, size_t size);
void stripe_release(void);

/** stripe_simulated() - no key, or sk_test_dummy: nobody is called, everything is paid at once. */
bool stripe_simulated(void);

/** stripe_url_valid() - http or https, at most STRIPE_URL_MAX - 1 bytes, nothing that a URL cannot hold. */
bool stripe_url_valid(const char *url);

/**
 * stripe_create() - a checkout session for @o, owned by the user of @rq.
 * @ret: Stripe's session object, owned. 0, or the status already replied.
 */
int stripe_create(struct request *rq, const struct order *o, const char *success_url,
		  const char *cancel_url, cJSON **ret);

/** stripe_lookup() - the session @id ([A-Za-z0-9_], checked by the caller). @ret: owned. 0, or the status already replied. */
int stripe_lookup(struct request *rq, const char *id, cJSON **ret);

#endif
