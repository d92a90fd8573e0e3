/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * token.h - access tokens: JWT, HS256, with an expiry.
 *
 * Only HS256 is accepted, whatever a token's header says. Thread-safe.
 */
#ifndef ARCHAIC_TOKEN_H
#define ARCHAIC_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#define TOKEN_MAX 4096
#define TOKEN_USER_MAX 129
#define TOKEN_EMAIL_MAX 255
#define TOKEN_SECRET_MIN 32

struct token_claims {
	char user_id[TOKEN_USER_MAX], email[TOKEN_EMAIL_MAX];
};

/** token_make() - sign @c, to be accepted before @now_s + @ttl_s (seconds since the epoch). @ret: owned, free(). 0 or -errno. */
int token_make(const void *secret, size_t secret_len, const struct token_claims *c, int64_t now_s,
	       int64_t ttl_s, char **ret);

/** token_check() - 0 with @ret, -EACCES (not ours, altered, other algorithm, expired) or -ENOMEM. */
int token_check(const void *secret, size_t secret_len, const char *token, int64_t now_s,
		struct token_claims *ret);

#endif
