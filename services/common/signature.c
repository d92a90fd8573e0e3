// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/signature.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define HEADER_MAX 1024

void signature_hex(const char *secret, int64_t t_s, const char *body, size_t len,
		   char ret[static SIGNATURE_HEX_SIZE])
{
	crypto_auth_hmacsha256_state state;
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char prefix[32];
	int n = snprintf(prefix, sizeof(prefix), "%" PRId64 ".", t_s);

	crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret, strlen(secret));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)prefix, (unsigned long long)n);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)body, len);
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_bin2hex(ret, SIGNATURE_HEX_SIZE, mac, sizeof(mac));
}

static bool fits(const char *given, const char *expected)
{
	return strlen(given) == SIGNATURE_HEX_SIZE - 1 &&
		!sodium_memcmp(given, expected, SIGNATURE_HEX_SIZE - 1);
}

static bool any_fits(const char *header, const char *expected)
{
	char copy[HEADER_MAX], *rest = copy;
	bool found = false;

	memcpy(copy, header, strlen(header) + 1);
	for (char *part; (part = strsep(&rest, ","));) {
		part += strspn(part, " ");
		if (!strncmp(part, "v1=", 3) && fits(part + 3, expected))
			found = true;
	}
	return found;
}

static int read_time(const char *header, int64_t *ret)
{
	char copy[HEADER_MAX], *rest = copy;
	uint64_t t;

	memcpy(copy, header, strlen(header) + 1);
	for (char *part; (part = strsep(&rest, ","));) {
		part += strspn(part, " ");
		if (!strncmp(part, "t=", 2) && !text_to_u64(part + 2, 0, INT64_MAX, &t)) {
			*ret = (int64_t)t;
			return 0;
		}
	}
	return -EINVAL;
}

int signature_check(const char *secret, const char *header, const char *body, size_t len,
		    int64_t now_s, const char **why)
{
	char expected[SIGNATURE_HEX_SIZE];
	int64_t t;

	if (!header || strlen(header) >= HEADER_MAX || read_time(header, &t)) {
		*why = "the Stripe-Signature header is missing or malformed (t=SECONDS,v1=HEX)";
		return -EINVAL;
	}
	signature_hex(secret, t, body, len, expected);
	if (!any_fits(header, expected)) {
		*why = "no signature of the Stripe-Signature header fits the body";
		return -EACCES;
	}
	/* After the signature: only then is the time Stripe's word. */
	if (t > now_s ? t - now_s > SIGNATURE_TOLERANCE_S : now_s - t > SIGNATURE_TOLERANCE_S) {
		*why = "the signature's time is more than 300 s away from now";
		return -ESTALE;
	}
	return 0;
}
