// SPDX-License-Identifier: GPL-2.0-or-later
/* PromQL is Prometheus's: its two query paths are passed on, bounded in time and size, with its answer as it came. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/http_client.h"
#include "serve/routes.h"

#define QUERY_TIMEOUT_MS 15000
#define QUERY_ANSWER_MAX ROUTER_ANSWER_MAX

static int make_url(struct exchange *x, struct buf *url)
{
	size_t len = strlen(x->prometheus_url);

	while (len && x->prometheus_url[len - 1] == '/')
		len--;
	int err = buf_add(url, x->prometheus_url, len) ?: buf_addstr(url, x->route->path);
	if (!err && *x->query_text)
		err = buf_addf(url, "?%s", x->query_text);
	return err;
}

static int refuse(struct exchange *x, int err, const struct http_client_response *answer)
{
	int status = err == -ETIMEDOUT ? 504 : 502;
	int ret = problem_set(&x->problem, status, "Prometheus at %s gave no answer: %s",
			      x->prometheus_url, answer->why);

	snprintf(x->problem.title, sizeof(x->problem.title), "%s",
		 status == 504 ? "Gateway time-out" : "Bad gateway");
	return ret;
}

static const char *kind_of(const struct http_client_response *answer)
{
	const char *value;
	size_t len;
	bool json = http_client_header(answer, "Content-Type", &value, &len) && len >= 16 &&
		!strncasecmp(value, "application/json", 16);

	return json ? "application/json" : "text/plain; charset=utf-8";
}

static int pass_on(struct exchange *x, struct http_client *client, const char *url)
{
	static const char *const form[] = { "Content-Type: application/x-www-form-urlencoded",
					    NULL };
	bool post = !strcmp(x->req->method, "POST");
	struct http_client_request ask = {
		.url = url,
		.method = post ? "POST" : "GET",
		.headers = post ? form : NULL,
		.body = post && x->req->body_len ? x->req->body : NULL,
		.body_len = post ? x->req->body_len : 0,
		.timeout_ms = QUERY_TIMEOUT_MS,
		.body_max = QUERY_ANSWER_MAX,
	};
	CLEANUP(http_client_response_release) struct http_client_response answer;
	int err = http_client_do(client, &ask, &answer);

	if (err)
		return refuse(x, err, &answer);
	if (buf_add(&x->reply->body, buf_str(&answer.body), answer.body.len))
		return problem_set(&x->problem, 502, "Prometheus's answer is larger than 16 MiB");
	x->reply->status = answer.status;
	x->reply->content_type = kind_of(&answer);
	return 0;
}

int route_query(struct exchange *x)
{
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	CLEANUP(buf_release) struct buf url;

	buf_init(&url, ROUTER_TARGET_MAX + 1024);
	if (!*x->prometheus_url)
		return problem_set(
			&x->problem, 503,
			"no Prometheus server is configured; set PROMETHEUS_URL or --prometheus-url");
	if (make_url(x, &url) || http_client_new(&client))
		return problem_set(&x->problem, 503, "out of memory");
	return pass_on(x, client, buf_str(&url));
}
