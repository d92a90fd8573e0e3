// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The real daemon behind every route of the table, asked for what is well formed and
 * makes no sense: other things' ids, wrong types, far numbers. It never answers 5xx
 * (but 503, with a sentence, for what it lacks), always says why, and works on.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "serve/router.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

static const char conf[] = "[observe]\ndiscover = no\n";
static struct scene scene;
static size_t asked, refused;

static int set_up(void **state)
{
	(void)state;
	return scene_set_up(&scene, "test_daemon_input", conf);
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

static void ask(const char *method, const char *target, const char *body)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	int status = scene_api(&scene, method, target, body, &j);
	const char *detail = json_str(j, "detail");

	asked++;
	if (status < 200 || (status >= 500 && status != 503))
		fail_msg("%s %.200s %.200s: %d: %s", method, target, body ?: "", status,
			 detail ?: "no detail");
	if (status < 400)
		return;
	refused++;
	if (!detail || !*detail || (int)json_num(j, "status", 0) != status)
		fail_msg("%s %.200s %.200s: %d without a reason", method, target, body ?: "",
			 status);
}

/* What one argument, parameter or member may be, of which little fits where it stands. */
static const char *const words[] = { "db",
				     "nobody",
				     "f-aaaa",
				     "i-0001",
				     "i-9999",
				     "i-",
				     "i-x",
				     "i-99999999999999999999",
				     "l-1",
				     "0",
				     "1",
				     "200",
				     "-1",
				     "1e9",
				     "true",
				     "false",
				     "open",
				     "2026-01-01T00:00:00Z",
				     "9999-12-31T23:59:59.999Z",
				     "1970-01-01T00:00:00Z",
				     "now",
				     "rate_per_s",
				     "%20",
				     "%F0%9F%92%A9" };
static const char *const values[] = { "\"db\"",
				      "\"nobody\"",
				      "\"\"",
				      "\"timeout\"",
				      "0",
				      "-1",
				      "1e300",
				      "-1e300",
				      "0.5",
				      "9007199254740993",
				      "true",
				      "null",
				      "[]",
				      "{}",
				      "[\"name\",\"name\"]",
				      "{\"a\":{\"b\":[1,2,3]}}",
				      "\"\\u202e\\u0007<script>\"" };

/* Each {name} as @word. */
static void fill(const char *pattern, const char *word, char *to, size_t size)
{
	size_t len = 0;

	for (; *pattern && len + 1 < size; pattern++) {
		if (*pattern != '{') {
			to[len++] = *pattern;
			to[len] = '\0';
			continue;
		}
		len += (size_t)snprintf(to + len, size - len, "%s", word);
		pattern = strchr(pattern, '}');
	}
}

/* Changes that would take the scene apart are not asked for; a stream has no end. */
static bool is_left_out(const struct route *r)
{
	return !(r->parts & SERVER_CONTROL) || !strcmp(r->path, "/v1/events") ||
		(!strcmp(r->method, "DELETE") && !strcmp(r->path, "/v1/services/{name}"));
}

static void ask_queries(const struct route *r, const char *path)
{
	char target[300];

	for (size_t q = 0; r->query && r->query[q]; q++)
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			snprintf(target, sizeof(target), "%s?%s=%s", path, r->query[q], words[i]);
			ask(r->method, target,
			    r->body == BODY_JSON ? "{\"service\":\"nobody\",\"type\":\"x\"}" :
						   NULL);
		}
}

static void ask_bodies(const struct route *r, const char *path, const char *const *fields)
{
	char body[300];

	if (strcmp(r->method, "POST") != 0)
		return;
	for (size_t f = 0; fields && fields[f]; f++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			snprintf(body, sizeof(body), "{\"%s\":%s}", fields[f], values[i]);
			ask("POST", path, body);
		}
}

static void test_daemon_answers_nonsense_with_reasons(void **state)
{
	(void)state;
	size_t nr;
	const struct route *routes = router_routes(&nr);
	char path[256];

	if (!*scene.dir)
		skip();
	for (size_t i = 0; i < nr; i++) {
		const struct route *r = &routes[i];
		bool argument = strchr(r->path, '{');

		if (is_left_out(r))
			continue;
		for (size_t w = 0; w < (argument ? ARRAY_SIZE(words) : 1); w++) {
			fill(r->path, words[w], path, sizeof(path));
			if (r->body != BODY_JSON)
				ask(r->method, path, NULL);
			if (!w)
				ask_queries(r, path);
			if (w < 2)
				ask_bodies(r, path, r->fields);
		}
	}
	printf("  %zu questions, %zu refused\n", asked, refused);
	assert_true(refused > asked / 4);
}

/* The members of a fault, one odd value at a time, beside those that it needs. */
static void test_daemon_arms_no_nonsense(void **state)
{
	(void)state;
	static const char *const types[] = { "timeout", "error", "bad_data", "cpu", "loss" };
	static const char *const members[] = { "probability", "duration_s", "match",
					       "slot",        "params",     "id" };
	static const char *const params[] = { "intensity", "delay_ms", "status",  "percent",
					      "keys",      "seed",     "sunshine" };
	CLEANUP(json_freep) cJSON *j = NULL;
	char body[400];

	if (!*scene.dir)
		skip();
	for (size_t t = 0; t < ARRAY_SIZE(types); t++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			for (size_t m = 0; m < ARRAY_SIZE(members); m++) {
				snprintf(body, sizeof(body),
					 "{\"service\":\"db\",\"type\":\"%s\",\"%s\":%s}", types[t],
					 members[m], values[i]);
				ask("POST", "/v1/faults?dry_run=true", body);
			}
			for (size_t m = 0; m < ARRAY_SIZE(params); m++) {
				snprintf(
					body, sizeof(body),
					"{\"service\":\"db\",\"type\":\"%s\",\"params\":{\"%s\":%s}}",
					types[t], params[m], values[i]);
				ask("POST", "/v1/faults?dry_run=true", body);
			}
		}
	assert_int_equal(scene_api(&scene, "GET", "/v1/faults", NULL, &j), 200);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "items")), 0);
	assert_int_equal(http_status("GET", scene_url("db", "/products"), NULL, NULL), 200);
}

static void test_daemon_is_still_there(void **state)
{
	(void)state;
	if (!*scene.dir)
		skip();
	assert_int_equal(kill(scene.daemon, 0), 0);
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(scene_api(&scene, "GET", "/v1/health", NULL, &j), 200);
	assert_int_equal((int)json_num(j, "degradation_level", 9), 0);
	assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_answers_nonsense_with_reasons),
		cmocka_unit_test(test_daemon_arms_no_nonsense),
		cmocka_unit_test(test_daemon_is_still_there),
	};

	return cmocka_run_group_tests_name("daemon_input", tests, set_up, tear_down);
}
