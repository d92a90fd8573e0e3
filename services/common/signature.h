/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signature.h - was this webhook really sent by Stripe, and just now?
 *
 * Stripe's scheme v1 (docs.stripe.com/webhooks/signature): the header is
 * "t=SECONDS,v1=HEX[,v1=HEX…]", HEX the HMAC-SHA256 of "SECONDS.BODY" under the
 * endpoint's secret. Other schemes (v0) are ignored: accepting them would let a
 * forger choose the weaker one. Compared in constant time. Pure.
 */
#ifndef ARCHAIC_SIGNATURE_H
#define ARCHAIC_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#define SIGNATURE_TOLERANCE_S 300
#define SIGNATURE_HEX_SIZE 65

/**
 * signature_check() - @header of @body (@len bytes) under @secret, at @now_s (seconds since the epoch).
 * @why: set on failure to a static sentence. 0, -EINVAL (no such header, or malformed), -EACCES (no signature
 * fits) or -ESTALE (older or newer than SIGNATURE_TOLERANCE_S).
 */
int signature_check(const char *secret, const char *header, const char *body, size_t len,
		    int64_t now_s, const char **why);

/** signature_hex() - the v1 signature of @body at @t_s. */
void signature_hex(const char *secret, int64_t t_s, const char *body, size_t len,
		   char ret[static SIGNATURE_HEX_SIZE]);

#endif
