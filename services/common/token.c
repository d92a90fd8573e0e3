// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/token.h"

#include <errno.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static void jwtp(jwt_t **j)
{
	jwt_free(*j);
}

int token_make(const void *secret, size_t secret_len, const struct token_claims *c, int64_t now_s,
	       int64_t ttl_s, char **ret)
{
	CLEANUP(jwtp) jwt_t *j = NULL;

	if (jwt_new(&j))
		return -ENOMEM;
	int err = jwt_add_grant(j, "sub", c->user_id)              ?:
		jwt_add_grant(j, "email", c->email)                ?:
		jwt_add_grant_int(j, "iat", (long)now_s)           ?:
		jwt_add_grant_int(j, "exp", (long)(now_s + ttl_s)) ?:
		jwt_set_alg(j, JWT_ALG_HS256, secret, (int)secret_len);
	if (err)
		return -err;
	char *text = jwt_encode_str(j);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

static int take_claim(jwt_t *j, const char *name, char *to, size_t size)
{
	const char *s = jwt_get_grant(j, name);

	if (!s || !*s || strlen(s) >= size)
		return -EACCES;
	memcpy(to, s, strlen(s) + 1);
	return 0;
}

int token_check(const void *secret, size_t secret_len, const char *token, int64_t now_s,
		struct token_claims *ret)
{
	CLEANUP(jwtp) jwt_t *j = NULL;
	struct token_claims c;

	if (strlen(token) > TOKEN_MAX)
		return -EACCES;
	int err = jwt_decode(&j, token, secret, (int)secret_len);
	if (err)
		return err == ENOMEM ? -ENOMEM : -EACCES;
	/* The library picks the algorithm from the token: HS384 and HS512 would pass with our key. */
	if (jwt_get_alg(j) != JWT_ALG_HS256 || jwt_get_grant_int(j, "exp") <= now_s)
		return -EACCES;
	if (take_claim(j, "sub", c.user_id, sizeof(c.user_id)) ||
	    take_claim(j, "email", c.email, sizeof(c.email)))
		return -EACCES;
	*ret = c;
	return 0;
}
