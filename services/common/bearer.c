// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/bearer.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

#define AUTH_TIMEOUT_MS 5000

static struct dependency auth;

int dependency_from_env(struct dependency *d, const char *name, const char *env,
			const char *fallback, unsigned int timeout_ms, char *why, size_t size)
{
	const char *url = getenv(env);

	if (!url || !*url)
		url = fallback;
	int err = dependency_init(d, name, url, "", timeout_ms);
	if (err)
		snprintf(why, size, "%s is %.100s; it must look like %s", env, url, fallback);
	return err;
}

int bearer_init(char *why, size_t size)
{
	return dependency_from_env(&auth, "auth-service", "AUTH_SERVICE_URL",
				   "http://127.0.0.1:8001", AUTH_TIMEOUT_MS, why, size);
}

void bearer_release(void)
{
	dependency_release(&auth);
}

int bearer_authenticate(struct request *rq)
{
	const char *token = request_bearer(rq);
	CLEANUP(answer_release) struct answer a = { 0 };

	if (!token)
		return reply_error(
			rq, 401,
			"a token is needed: Authorization: Bearer TOKEN, as POST /login of the "
			"auth service gives it");
	if (strlen(token) > 4096)
		return reply_error(rq, 401, "the token is too long to be one of ours");

	request_call(rq, &auth, "GET", "/validate", NULL, token, &a);
	if (a.result == CALL_OK && a.status == 401)
		return reply_error(rq, 401, "the token is not valid, or has expired");
	if (a.result != CALL_OK || a.status != 200)
		return reply_dependency(rq, &auth, &a, NULL);

	const char *id = json_str(a.json, "user_id");
	if (!id || !*id || strlen(id) >= sizeof(rq->user_id) || !text_is_plain(id))
		return reply_dependency(rq, &auth, &a, "user_id is missing or cannot be used");
	memcpy(rq->user_id, id, strlen(id) + 1);
	return 0;
}
