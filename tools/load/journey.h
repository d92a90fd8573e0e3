/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journey.h - a customer's way through the shop: sign up, log in, products, cart, checkout.
 *
 * Pure: requests as text out, answers in. journey.js is the same way for k6;
 * the steps' names (each a check) must stay the same in both, and a test
 * compares them. A customer signs up once, then comes back: logs in, lists the
 * products, adds one, looks at the cart, pays. What cannot go on without the
 * step that failed (no account, no token, nothing in the cart) ends there. A
 * cart that was not paid is cleared, so that it does not grow for ever.
 */
#ifndef ARCHAIC_LOAD_JOURNEY_H
#define ARCHAIC_LOAD_JOURNEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tools/load/target.h"

enum step {
	STEP_SIGN_UP,
	STEP_LOG_IN,
	STEP_LIST,
	STEP_ADD,
	STEP_LOOK,
	STEP_PAY,
	STEP_CLEAR, /* only where paying failed */
	NR_STEPS,   /* the journey is over */
};

enum part { PART_AUTH, PART_PRODUCT, PART_PAYMENT, NR_PARTS };

#define JOURNEY_TOKEN_MAX 2048
#define JOURNEY_TRACE_SIZE 37
#define JOURNEY_ANSWER_MAX (256 << 10) /* bytes of a body that are looked at */

struct step_info {
	const char *check, *method, *path; /* static */
	enum part part;
};

struct customer {
	unsigned int nr, journeys;
	char run[16]; /* tells this run's customers from another's; letters and digits */
	enum step step;
	bool signed_up, paid;
	char token[JOURNEY_TOKEN_MAX]; /* "": not logged in */
};

/** journey_step() - what @step is, @step below NR_STEPS. */
const struct step_info *journey_step(enum step step);

/** journey_part_name() - "auth", "product", "payment". */
const char *journey_part_name(enum part part);

/** journey_begin() - another journey. @per_login: how many are made with one log-in, 1 or more; customers take turns. */
void journey_begin(struct customer *c, unsigned int per_login);

/** journey_request() - the step's request for @t. 0 or buf's error. */
int journey_request(const struct customer *c, const struct target *t,
		    const char trace_id[JOURNEY_TRACE_SIZE], struct buf *ret);

/**
 * journey_answer() - judge the step's answer, and go to the next step or the end.
 * @status: 0 where none came. @body: @len bytes, untrusted. True: the check holds.
 */
bool journey_answer(struct customer *c, int status, const char *body, size_t len);

#endif
