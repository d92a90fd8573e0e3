// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/router.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"
#include "serve/act.h"
#include "serve/idempotency.h"

struct router {
	const struct control_ops *ops;
	void *ctx;
	struct idempotency *idempotency;
	char prometheus_url[512];
};

int router_new(const struct control_ops *ops, void *ctx, const char *prometheus_url,
	       struct router **ret)
{
	struct router *r = calloc(1, sizeof(*r));

	if (!r || idempotency_new(&r->idempotency)) {
		free(r);
		return -ENOMEM;
	}
	r->ops = ops;
	r->ctx = ctx;
	snprintf(r->prometheus_url, sizeof(r->prometheus_url), "%s", prometheus_url ?: "");
	*ret = r;
	return 0;
}

void router_free(struct router *r)
{
	if (!r)
		return;
	idempotency_free(r->idempotency);
	free(r);
}

/* ---- path and query */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False: a broken escape, a NUL, or not UTF-8. */
static bool decode(char *s, bool plus_is_blank)
{
	char *to = s;

	for (char *from = s; *from; from++) {
		char c = *from;
		if (c == '%') {
			int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
			if (low < 0 || !(high | low))
				return false;
			c = (char)(high << 4 | low);
			from += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		*to++ = c;
	}
	*to = '\0';
	return text_is_utf8(s, (size_t)(to - s));
}

static int parse_query(struct exchange *x, char *text)
{
	while (text && *text) {
		char *part = strsep(&text, "&");
		if (!*part)
			continue;
		if (x->nr_query == ROUTER_QUERY_MAX)
			return problem_set(&x->problem, 400,
					   "there are more than %d query parameters",
					   ROUTER_QUERY_MAX);

		char *value = strchrnul(part, '=');
		if (*value)
			*value++ = '\0';
		if (!decode(part, true) || !decode(value, true))
			return problem_set(&x->problem, 400,
					   "the query is not valid percent-encoded UTF-8");
		x->query[x->nr_query].name = part;
		x->query[x->nr_query].value = value;
		x->nr_query++;
	}
	return 0;
}

static bool listed(const char *const *list, const char *name)
{
	for (; list && *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

static int check_query(struct exchange *x)
{
	if (x->route->any_query)
		return 0;
	for (size_t i = 0; i < x->nr_query; i++) {
		const char *name = x->query[i].name;
		if (!listed(x->route->query, name)) {
			int err = problem_set(&x->problem, 400,
					      "there is no query parameter of this name here");
			snprintf(x->problem.parameter, sizeof(x->problem.parameter), "%s", name);
			return err;
		}
		for (size_t j = 0; j < i; j++)
			if (!strcmp(x->query[j].name, name))
				return problem_parameter(&x->problem, 400, name, "given twice",
							 "given once");
	}
	return 0;
}

/* Do the path's segments fit the pattern's? Arguments point into @path, which is cut up when they do. */
static bool match(const char *pattern, char *path, const char *args[static ROUTER_ARGS_MAX])
{
	char *cut[ROUTER_ARGS_MAX], *start[ROUTER_ARGS_MAX];
	size_t nr = 0;

	while (*pattern) {
		if (*pattern == '{') {
			pattern = strchr(pattern, '}') + 1;
			start[nr] = path;
			path += strcspn(path, "/");
			if (path == start[nr])
				return false;
			cut[nr++] = path;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	if (*path)
		return false;
	for (size_t i = 0; i < nr; i++) {
		*cut[i] = '\0';
		args[i] = start[i];
	}
	return true;
}

/* A literal path wins over one with a {name}: the table lists it first. */
static int find_route(struct exchange *x, char *path)
{
	const char *method = !strcmp(x->req->method, "HEAD") ? "GET" : x->req->method;
	size_t nr;
	const struct route *routes = router_routes(&nr), *same_path = NULL;
	char copy[ROUTER_TARGET_MAX + 1];
	bool elsewhere = false;

	snprintf(copy, sizeof(copy), "%s", path);
	for (size_t i = 0; i < nr; i++) {
		const struct route *r = &routes[i];
		const char *args[ROUTER_ARGS_MAX] = { 0 };
		/* Once a literal path has matched, /v1/faults/types is not also an id. */
		if ((same_path && strcmp(r->path, same_path->path) != 0) ||
		    !match(r->path, path, args))
			continue;
		snprintf(path, sizeof(copy), "%s", copy);
		if (!(r->parts & x->req->part)) {
			elsewhere = true;
			continue;
		}
		same_path = r;
		if (!strcmp(r->method, method)) {
			x->route = r;
			match(r->path, path, x->args);
			return 0;
		}
		snprintf(x->reply->allow + strlen(x->reply->allow),
			 sizeof(x->reply->allow) - strlen(x->reply->allow), "%s%s%s",
			 *x->reply->allow ? ", " : "", r->method,
			 !strcmp(r->method, "GET") ? ", HEAD" : "");
	}
	if (same_path)
		return problem_set(&x->problem, 405, "this path answers %s", x->reply->allow);
	if (elsewhere)
		return problem_set(
			&x->problem, 404,
			"this is not answered on this port; the control socket answers all of /v1");
	return problem_set(&x->problem, 404,
			   "there is nothing at this path; /v1/openapi.json lists what there is");
}

/* ---- body */

static bool media_type_is(const char *given, const char *wanted)
{
	size_t n = strlen(wanted);

	return !strncasecmp(given, wanted, n) &&
		(!given[n] || given[n] == ';' || isspace((unsigned char)given[n]));
}

static int parse_body(struct exchange *x)
{
	const struct inbound *req = x->req;
	enum route_body kind = x->route->body;
	const char *wanted = kind == BODY_FORM ? "application/x-www-form-urlencoded" :
						 "application/json";
	const char *why = NULL;

	if (!strcmp(x->route->method, "GET") || (kind != BODY_JSON && !req->body_len))
		return 0;
	/* Nothing but JSON: a form of another site's page cannot send that without asking first. */
	if (req->body_len && req->content_type && !media_type_is(req->content_type, wanted)) {
		problem_parameter(&x->problem, 415, "Content-Type", req->content_type, wanted);
		snprintf(x->problem.title, sizeof(x->problem.title), "Unsupported media type");
		return -EINVAL;
	}
	if (kind == BODY_FORM)
		return 0;
	if (!req->body_len)
		return problem_set(&x->problem, 400,
				   "the body is empty; it must be one JSON object");

	CLEANUP(json_freep) cJSON *body = NULL;
	int err = json_parse(req->body, req->body_len, &body, &why);
	if (err == -ENOMEM)
		return problem_set(&x->problem, 503, "out of memory");
	if (err)
		return problem_set(&x->problem, 400, "%s", why);
	if (!cJSON_IsObject(body))
		return problem_set(&x->problem, 400, "the body must be one JSON object");

	static const char *const none[] = { NULL };
	const char *const *known = kind == BODY_NONE ? none : x->route->fields;
	const char *unknown = known ? json_unknown(body, known) : NULL;
	if (unknown) {
		err = problem_set(&x->problem, 400, "the body has a field that is not known here");
		snprintf(x->problem.parameter, sizeof(x->problem.parameter), "%s", unknown);
		return err;
	}
	if (kind != BODY_NONE)
		x->body = TAKE_PTR(body);
	return 0;
}

/* ---- one request */

static int dispatch(struct exchange *x, char *target)
{
	char *query = strchrnul(target, '?');

	if (*query)
		*query++ = '\0';
	if (*target != '/')
		return problem_set(&x->problem, 400, "the request target must be a path");
	x->query_text = x->req->target + (query - target);

	int err = find_route(x, target);
	if (err)
		return err;
	for (size_t i = 0; i < ROUTER_ARGS_MAX && x->args[i]; i++)
		if (!decode((char *)x->args[i], false))
			return problem_set(&x->problem, 400,
					   "the path is not valid percent-encoded UTF-8");
	err = parse_query(x, query) ?: check_query(x) ?: parse_body(x);
	return err ?: x->route->handler(x);
}

static void answer(struct router *r, const struct inbound *req, struct reply *reply)
{
	struct exchange x = {
		.router = r,
		.ops = r->ops,
		.ctx = r->ctx,
		.prometheus_url = r->prometheus_url,
		.req = req,
		.caller = req->caller,
		.reply = reply,
	};
	char target[ROUTER_TARGET_MAX + 1];

	*reply = (struct reply){ 0 };
	buf_init(&reply->body, ROUTER_ANSWER_MAX);
	if (strlen(req->target) > ROUTER_TARGET_MAX) {
		problem_set(&x.problem, 400, "path and query are longer than %d bytes",
			    ROUTER_TARGET_MAX);
		reply_problem(reply, &x.problem);
		return;
	}
	snprintf(target, sizeof(target), "%s", req->target);
	if (dispatch(&x, target))
		reply_problem(reply, &x.problem);
	act_tell(&x);
	cJSON_Delete(x.body);
}

/* ---- Idempotency-Key */

static bool key_valid(const char *key)
{
	size_t len = strlen(key);

	if (!len || len > IDEMPOTENCY_KEY_MAX)
		return false;
	for (; *key; key++)
		if (*key < 0x21 || *key > 0x7e)
			return false;
	return true;
}

/* Two services that run as one user must not get each other's answers. */
static void scope_of(struct router *r, const struct inbound *req,
		     char scope[static IDEMPOTENCY_SCOPE_MAX])
{
	struct exchange x = { .ops = r->ops, .ctx = r->ctx, .caller = req->caller };

	exchange_self(&x);
	snprintf(scope, IDEMPOTENCY_SCOPE_MAX, "%u %u %s", req->part, req->caller.uid,
		 x.caller.service);
}

static void answer_once(struct router *r, const struct inbound *req, struct reply *reply)
{
	struct problem p = { 0 };
	char scope[IDEMPOTENCY_SCOPE_MAX];
	CLEANUP(buf_release) struct buf text;
	char *body = NULL;
	size_t len = 0;
	int status = 0;

	buf_init(&text, ROUTER_TARGET_MAX + SERVER_BODY_MAX + 64);
	if (!key_valid(req->idempotency_key)) {
		problem_parameter(&p, 400, "Idempotency-Key", req->idempotency_key,
				  "1 to 128 printable ASCII characters");
		reply_problem(reply, &p);
		return;
	}
	if (buf_addf(&text, "%s %s\n", req->method, req->target) ||
	    buf_add(&text, req->body, req->body_len)) {
		problem_set(&p, 413, "the request is too large to be repeated");
		reply_problem(reply, &p);
		return;
	}
	scope_of(r, req, scope);
	switch (idempotency_begin(r->idempotency, scope, req->idempotency_key, text.data, text.len,
				  req->now_ns, &status, &body, &len)) {
	case IDEMPOTENCY_FIRST:
		answer(r, req, reply);
		idempotency_end(r->idempotency, scope, req->idempotency_key, reply->status,
				buf_str(&reply->body), reply->body.len);
		return;
	case IDEMPOTENCY_REPEATED:
		*reply = (struct reply){ .status = status, .content_type = "application/json" };
		reply->body = (struct buf){
			.data = body, .len = len, .cap = len + 1, .max = ROUTER_ANSWER_MAX
		};
		return;
	case IDEMPOTENCY_RUNNING:
		problem_set(&p, 409,
			    "the first request with this Idempotency-Key is still running");
		break;
	case IDEMPOTENCY_OTHER:
		problem_set(&p, 422,
			    "this Idempotency-Key was used for another request; use a new one");
		break;
	case IDEMPOTENCY_LOST:
		problem_set(
			&p, 409,
			"the request with this Idempotency-Key is done; its answer was too large to keep");
		break;
	case IDEMPOTENCY_FULL:
		problem_set(&p, 429, "too many requests with an Idempotency-Key are running");
		break;
	}
	reply_problem(reply, &p);
}

void router_handle(struct router *r, const struct inbound *req, struct reply *reply)
{
	*reply = (struct reply){ 0 };
	if (req->idempotency_key && !strcmp(req->method, "POST"))
		answer_once(r, req, reply);
	else
		answer(r, req, reply);
}
