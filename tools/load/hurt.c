// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/hurt.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/http_client.h"
#include "base/json.h"

#define URL_MAX 512

/* What the service says of itself, or that it says nothing. */
static void explain(const char *url, const struct http_client_response *r, char *why, size_t size)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *bad;

	if (r->error != HTTP_CLIENT_OK) {
		snprintf(why, size, "%s: %s", url, r->why);
		return;
	}
	if (json_parse(buf_str(&r->body), r->body.len, &j, &bad))
		j = NULL;
	snprintf(why, size, "%s answers %d: %s", url, r->status,
		 (j ? json_str(j, "detail") ?: json_str(j, "error") : NULL) ?: "without a reason");
}

static int post(struct http_client *c, const char *url, char *why, size_t size)
{
	const char *token = getenv("ARCHAIC_TOKEN");
	char line[512];
	const char *const headers[] = { line, NULL };
	const struct http_client_request rq = { .url = url,
						.method = "POST",
						.headers = token && *token ? headers : NULL };
	struct http_client_response r;

	/* Services that listen off loopback ask for it. */
	snprintf(line, sizeof(line), "Authorization: Bearer %s", token ?: "");
	int err = http_client_do(c, &rq, &r);

	if (!err && r.status != 200)
		err = -EREMOTEIO;
	if (err)
		explain(url, &r, why, size);
	http_client_response_release(&r);
	return err;
}

int hurt_reset(const char *db_url, const char *auth_url, char *why, size_t size)
{
	CLEANUP(http_client_freep) struct http_client *c = NULL;
	const char *const urls[] = { db_url, auth_url };
	char url[URL_MAX];
	int ret = http_client_new(&c);

	if (ret) {
		snprintf(why, size, "no memory");
		return ret;
	}
	/* The second is reset whatever becomes of the first. */
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		snprintf(url, sizeof(url), "%s/reset", urls[i]);
		int err = post(c, url, why, size);
		ret = ret ?: err;
	}
	return ret;
}

int hurt_arm(const char *db_url, const char *auth_url, uint64_t duration_ns, char *why, size_t size)
{
	CLEANUP(http_client_freep) struct http_client *c = NULL;
	uint64_t s = (duration_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
	char url[URL_MAX], also[256];
	int err = http_client_new(&c);

	if (err) {
		snprintf(why, size, "no memory");
		return err;
	}
	snprintf(url, sizeof(url),
		 "%s/inject-failure?type=timeout&probability=0.2&duration=%" PRIu64, db_url, s);
	err = post(c, url, why, size);
	if (err)
		return err;
	snprintf(url, sizeof(url), "%s/inject-failure?type=error&probability=0.1&duration=%" PRIu64,
		 auth_url, s);
	err = post(c, url, why, size);
	if (err)
		hurt_reset(db_url, auth_url, also, sizeof(also));
	return err;
}
