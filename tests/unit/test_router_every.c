// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A table of bad input on every endpoint: each attack is made on each row of the
 * router's own table, on each listener that answers it. A route that is added is
 * attacked from the next run on. Nothing reaches the daemon, nothing answers 5xx,
 * and each refusal is a problem document.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "router_rig.h"

#define JSON17 "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]"

static size_t attacks, routes_attacked;

struct target {
	const struct route *route;
	enum server_part part;
	char path[256]; /* {name}s are replaced by what does not exist */
};

static struct inbound request(const struct target *t, const char *method, const char *target,
			      const char *type, const char *body)
{
	struct inbound in = root_asks(method, target, body);

	in.part = t->part;
	in.content_type = type;
	if (t->part != SERVER_CONTROL)
		in.caller = (struct caller){ .transport = TRANSPORT_TCP, .uid = (uid_t)-1 };
	return in;
}

/* @status: the one that is allowed. */
static void assert_refused(const struct inbound *in, int status)
{
	char what[400];
	unsigned calls = fake.calls;

	attacks++;
	int got = ask_as(in);
	snprintf(what, sizeof(what), "part %u: %.16s %.120s (%.40s) %.80s", in->part, in->method,
		 in->target, in->content_type ?: "no type", in->body);
	if (got != status)
		fail_msg("%s: %d instead of %d: %.300s", what, got, status, buf_str(&reply.body));
	assert_problem(what, NULL);
	if (fake.calls != calls)
		fail_msg("%s: it reached the daemon", what);
}

static void refuse(const struct target *t, const char *method, const char *target, const char *type,
		   const char *body, int status)
{
	struct inbound in = request(t, method, target, type, body);

	assert_refused(&in, status);
}

/* The pattern with each {name} as @value. */
static void fill(const char *pattern, const char *value, char *to, size_t size)
{
	size_t len = 0;

	for (; *pattern && len + 1 < size; pattern++) {
		if (*pattern != '{') {
			to[len++] = *pattern;
			continue;
		}
		len += (size_t)snprintf(to + len, size - len, "%s", value);
		pattern = strchr(pattern, '}');
	}
	to[MIN(len, size - 1)] = '\0';
}

static void attack_methods(const struct target *t)
{
	static const char *const methods[] = { "BREW",    "get", "PATCH",      "OPTIONS",
					       "CONNECT", "",    "GET\r\nX: y" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		refuse(t, methods[i], t->path, NULL, NULL, 405);
		if (!strstr(reply.allow, t->route->method))
			fail_msg("%s %s: Allow is '%s'", t->route->method, t->path, reply.allow);
	}
}

static void attack_queries(const struct target *t)
{
	static const char *const always[] = { "?%ff=1", "?a=%zz", "?a=%", "?a=%00", "?%c0%af" };
	char target[512];

	for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
		snprintf(target, sizeof(target), "%s%s", t->path, always[i]);
		refuse(t, t->route->method, target, NULL, NULL, 400);
	}
	snprintf(target, sizeof(target), "%s?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", t->path);
	refuse(t, t->route->method, target, NULL, NULL, 400);
	if (t->route->any_query)
		return;
	snprintf(target, sizeof(target), "%s?sunshine=1", t->path);
	refuse(t, t->route->method, target, NULL, NULL, 400);
	for (size_t i = 0; t->route->query && t->route->query[i]; i++) {
		snprintf(target, sizeof(target), "%s?%s=1&%s=1", t->path, t->route->query[i],
			 t->route->query[i]);
		refuse(t, t->route->method, target, NULL, NULL, 400);
	}
}

static void attack_arguments(const struct target *t)
{
	static const char *const broken[] = { "%ff", "%00", "%", "%4", "%zz", "a%c3", "%ed%a0%80" };
	char target[512];

	if (!strchr(t->route->path, '{'))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		fill(t->route->path, broken[i], target, sizeof(target));
		refuse(t, t->route->method, target, NULL, NULL, 400);
	}
}

/* What no JSON object is; after each, the same as somebody's web page could send it. */
static void attack_bodies(const struct target *t)
{
	static const char *const never[] = {
		"{",
		"[]",
		"[1]",
		"null",
		"7",
		"\"x\"",
		"{} {}",
		"{\"a\":1,\"a\":2}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":NaN}",
		"{\"a\":" JSON17 "}",
		"{'a':1}",
		"{\"a\":1,}",
		"<xml/>",
	};
	static const char *const types[] = { "text/plain",
					     "multipart/form-data; boundary=x",
					     "application/jsonp",
					     "application/xml",
					     "",
					     ";" };
	enum route_body kind = t->route->body;

	if (!strcmp(t->route->method, "GET"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		refuse(t, t->route->method, t->path, types[i], "{}", 415);
	if (kind == BODY_FORM) {
		refuse(t, t->route->method, t->path, "application/json", "{}", 415);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		refuse(t, t->route->method, t->path, "application/json", never[i], 400);
	if (kind == BODY_JSON)
		refuse(t, t->route->method, t->path, "application/json", "", 400);
	if (kind == BODY_NONE || t->route->fields)
		refuse(t, t->route->method, t->path, "application/json", "{\"sunshine\":1}", 400);
}

static void attack_keys(const struct target *t)
{
	static char longest[200];
	const char *const keys[] = { "", "a b", "\x01", "caf\xc3\xa9", longest };

	memset(longest, 'k', 129);
	if (strcmp(t->route->method, "POST") != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct inbound in = request(t, "POST", t->path, "application/json", "{}");
		in.idempotency_key = keys[i];
		assert_refused(&in, 400);
	}
}

static void attack(const struct target *t)
{
	routes_attacked++;
	attack_methods(t);
	attack_queries(t);
	attack_arguments(t);
	attack_bodies(t);
	attack_keys(t);
}

static void test_router_refuses_bad_input_on_every_route(void **state)
{
	(void)state;
	size_t nr;
	const struct route *routes = router_routes(&nr);

	for (size_t i = 0; i < nr; i++)
		for (unsigned bit = 1; bit <= routes[i].parts; bit <<= 1) {
			struct target t = { .route = &routes[i], .part = (enum server_part)bit };

			if (!(routes[i].parts & bit))
				continue;
			fill(routes[i].path, "nobody", t.path, sizeof(t.path));
			attack(&t);
		}
	assert_true(routes_attacked >= nr);
	printf("  %zu attacks on %zu routes at %zu places\n", attacks, nr, routes_attacked);
}

/* What does not exist is not found, at every length and in every spelling. */
static void test_router_finds_nobody(void **state)
{
	static const char *const names[] = { "nobody",       "..",     ".",
					     "a%2fb",        "%2e%2e", "-x",
					     "%0d%0aX:%20y", "self",   "%3Cscript%3E",
					     "\xe2\x80\xae" };
	static char longest[4097];
	size_t nr;
	const struct route *routes = router_routes(&nr);

	(void)state;
	memset(longest, 'a', sizeof(longest) - 1);
	for (size_t i = 0; i < nr; i++) {
		const struct route *r = &routes[i];
		struct target t = { .route = r, .part = (enum server_part)(r->parts & -r->parts) };

		if (!strchr(r->path, '{'))
			continue;
		for (size_t k = 0; k <= ARRAY_SIZE(names); k++) {
			char target[8192];
			fill(r->path, k < ARRAY_SIZE(names) ? names[k] : longest, target,
			     sizeof(target));
			struct inbound in = request(&t, r->method, target, NULL, NULL);
			int status = ask_as(&in);
			if (status != 404)
				fail_msg("%s %.100s: %d instead of 404: %.200s", r->method, target,
					 status, buf_str(&reply.body));
			assert_problem(target, NULL);
		}
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, router_setup, router_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_router_refuses_bad_input_on_every_route),
		CASE(test_router_finds_nobody),
	};
	return cmocka_run_group_tests_name("router_every", tests, router_group_setup,
					   router_group_teardown);
}
