/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paid.h - which checkout sessions have been dealt with.
 *
 * Stripe reports one payment several times (webhooks are repeated, and the
 * buyer returns too): the cart is cleared for the first report only, or what
 * was put into it afterwards would be lost. The last PAID_MAX sessions are
 * remembered; in memory. Thread-safe.
 */
#ifndef ARCHAIC_PAID_H
#define ARCHAIC_PAID_H

#include <stdbool.h>

#define PAID_MAX 4096

/** paid_claim() - true for the first who asks: the cart is the caller's to clear. */
bool paid_claim(const char *session);

/** paid_unclaim() - clearing failed: the next report may try again. */
void paid_unclaim(const char *session);

/** paid_known() - has it been claimed? */
bool paid_known(const char *session);

#endif
