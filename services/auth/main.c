// SPDX-License-Identifier: GPL-2.0-or-later
/* auth-service: sign up, log in, and say whose token this is. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "services/auth/users.h"
#include "services/common/server.h"
#include "services/common/token.h"

#define TOKEN_TTL_S 3600

static struct {
	unsigned char secret[512];
	size_t secret_len;
} g;

struct credentials {
	char email[USERS_EMAIL_MAX];
	const char *password; /* borrowed from the body */
};

static int64_t now_s(void)
{
	return clock_wall_ms() / 1000;
}

static int read_credentials(struct request *rq, cJSON **ret_body, struct credentials *ret)
{
	static const char *const known[] = { "email", "password", NULL };
	const char *email = NULL;

	int status = request_no_query(rq)                                            ?:
		request_json(rq, known, false, ret_body)                             ?:
		request_text(rq, *ret_body, "email", 3, USERS_EMAIL_MAX - 1, &email) ?:
		request_text(rq, *ret_body, "password", USERS_PASSWORD_MIN, USERS_PASSWORD_MAX,
			     &ret->password);
	if (status)
		return status;
	if (users_email(email, ret->email))
		return reply_parameter(rq, "email", email,
				       "an e-mail address such as ada@example.com");
	return 0;
}

static int reply_busy(struct request *rq, int err)
{
	if (err == -EBUSY)
		return reply_error(rq, 503,
				   "too many sign-ups and log-ins at once; try again in a second");
	if (err == -ENOSPC)
		return reply_error(rq, 503, "no more users fit (%d are kept)", USERS_MAX);
	return reply_error(rq, 500, "no memory");
}

static int signup(struct request *rq)
{
	CLEANUP(json_freep) cJSON *body = NULL;
	struct credentials c;
	char id[USERS_ID_SIZE];

	int status = read_credentials(rq, &body, &c);
	if (status)
		return status;
	int err = users_add(c.email, c.password, id);
	if (err == -EEXIST)
		return reply_error(rq, 409, "this e-mail address has signed up already");
	if (err)
		return reply_busy(rq, err);

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "user_id", id);
	cJSON_AddStringToObject(j, "email", c.email);
	return reply_json(rq, 201, j);
}

static int login(struct request *rq)
{
	CLEANUP(json_freep) cJSON *body = NULL;
	CLEANUP(freep) char *token = NULL;
	struct credentials c;
	struct token_claims claims = { 0 };

	int status = read_credentials(rq, &body, &c);
	if (status)
		return status;
	int err = users_login(c.email, c.password, claims.user_id);
	if (err == -EACCES)
		return reply_error(rq, 401, "the e-mail address or the password is wrong");
	if (err)
		return reply_busy(rq, err);

	memcpy(claims.email, c.email, sizeof(claims.email));
	if (token_make(g.secret, g.secret_len, &claims, now_s(), TOKEN_TTL_S, &token))
		return reply_error(rq, 500, "no memory");
	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "access_token", token);
	cJSON_AddStringToObject(j, "token_type", "bearer");
	cJSON_AddNumberToObject(j, "expires_in", TOKEN_TTL_S);
	return reply_json(rq, 200, j);
}

static int validate(struct request *rq)
{
	const char *token = request_bearer(rq);
	struct token_claims c;

	if (request_no_query(rq))
		return rq->status;
	if (!token)
		return reply_error(rq, 401, "a token is needed: Authorization: Bearer TOKEN");
	int err = token_check(g.secret, g.secret_len, token, now_s(), &c);
	if (err == -ENOMEM)
		return reply_error(rq, 500, "no memory");
	if (err)
		return reply_error(rq, 401, "the token is not valid, or has expired");

	cJSON *j = cJSON_CreateObject();
	cJSON_AddStringToObject(j, "user_id", c.user_id);
	cJSON_AddStringToObject(j, "email", c.email);
	return reply_json(rq, 200, j);
}

static int start(uint16_t port, char *why, size_t size)
{
	(void)port;
	const char *secret = getenv("AUTH_JWT_SECRET");

	if (secret && *secret) {
		g.secret_len = strlen(secret);
		if (g.secret_len < TOKEN_SECRET_MIN || g.secret_len > sizeof(g.secret)) {
			snprintf(why, size, "AUTH_JWT_SECRET is %zu bytes; it must be %d to %zu",
				 g.secret_len, TOKEN_SECRET_MIN, sizeof(g.secret));
			return -EINVAL;
		}
		memcpy(g.secret, secret, g.secret_len);
		sodium_memzero((void *)(uintptr_t)secret,
			       g.secret_len); /* not for all to see in /proc/PID/environ */
	} else {
		g.secret_len = TOKEN_SECRET_MIN;
		randombytes_buf(g.secret, g.secret_len);
		log_info("AUTH_JWT_SECRET is not set: tokens end with this process");
	}
	if (users_init()) {
		snprintf(why, size, "no memory for Argon2id (19 MiB)");
		return -ENOMEM;
	}
	return 0;
}

static const struct route routes[] = {
	{ "POST", "/signup", false, signup },
	{ "POST", "/login", false, login },
	{ "GET", "/validate", false, validate },
};

int main(int argc, char **argv)
{
	static const struct service_def def = {
		.name = "auth-service",
		.port = 8001,
		.routes = routes,
		.nr_routes = ARRAY_SIZE(routes),
		.help = "  AUTH_JWT_SECRET   signs the tokens, 32 to 512 bytes; default: random at each start\n",
		.start = start,
		.stop = users_release,
	};

	return service_run(&def, argc, argv);
}
