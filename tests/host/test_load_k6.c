// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The k6 scripts: checked against the types of k6's modules, and run against the real services, by k6 where it
 * is found, else in Node with thin stand-ins for k6's modules (which is not k6, and says so).
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/partner.h"
#include "tests/lib/shop.h"

#define SCRIPT_MS 90000
#define NR_SCRIPTS 4

static char dir[] = "/tmp/test-load-k6-XXXXXX";
static char logs[4][64], tsc[4096], lack[512], k6[1024], node[1024];
static pid_t pids[4];
static bool alone;
static const char *out;
static const char *const names[] = { "auth", "db", "product", "payment" };
static const char *const scripts[NR_SCRIPTS] = { "normal", "spike", "endurance", "stress" };
static const char *const service_env[] = { "ARCHAIC_SOCKET=/nonexistent/control.sock",
					   "STRIPE_API_KEY=sk_test_dummy", NULL };

/* Where PATH has @program; "": nowhere. */
static void look_up(const char *program, char *to, size_t size)
{
	const char *path = getenv("PATH") ?: "";

	while (*path) {
		size_t len = strcspn(path, ":");

		snprintf(to, size, "%.*s/%s", (int)len, path, program);
		if (!access(to, X_OK))
			return;
		path += len + (path[len] == ':');
	}
	*to = '\0';
}

static int set_up(void **state)
{
	(void)state;
	/* Before the namespace, which leads nowhere. */
	if (!partner_get("k6-types", tsc, sizeof(tsc), lack, sizeof(lack)))
		*tsc = '\0';
	look_up("k6", k6, sizeof(k6));
	look_up("node", node, sizeof(node));
	if (netns_enter() || !mkdtemp(dir)) {
		printf("SKIP test_load_k6: a network namespace needs root\n");
		return 0;
	}
	alone = true;
	curl_global_init(CURL_GLOBAL_ALL);
	for (size_t i = 0; i < 4; i++) {
		snprintf(logs[i], sizeof(logs[i]), "%s/%s.log", dir, names[i]);
		pids[i] = proc_service(names[i], (uint16_t)(8001 + i), logs[i], service_env);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		if (pids[i] > 0)
			proc_end(pids[i], SIGTERM, 7000);
		unlink(logs[i]);
	}
	rmdir(dir);
	return 0;
}

static void copy(const char *from, const char *to)
{
	CLEANUP(fclosep) FILE *a = fopen(from, "re");
	CLEANUP(fclosep) FILE *b = fopen(to, "we");
	char piece[4096];
	size_t n;

	if (!a || !b)
		fail_msg("%s to %s: %s", from, to, strerror(errno));
	while ((n = fread(piece, 1, sizeof(piece), a)))
		assert_int_equal(fwrite(piece, 1, n, b), n);
}

/* tsc looks for types beside the sources, and those are in the partner's folder. */
static int type_check(const char *journey)
{
	static const char config[] = "tests/k6/tsconfig.json";
	char folder[4096], to[8192];

	snprintf(folder, sizeof(folder), "%s", tsc);
	*strstr(folder, "/node_modules") = '\0';
	snprintf(to, sizeof(to), "%s/scripts", folder);
	mkdir(to, 0755);
	snprintf(to, sizeof(to), "%s/tsconfig.json", folder);
	copy(config, to);
	for (int i = 0; i < NR_SCRIPTS; i++) {
		char from[64];

		snprintf(from, sizeof(from), "tools/load/%s.js", scripts[i]);
		snprintf(to, sizeof(to), "%s/scripts/%s.js", folder, scripts[i]);
		copy(from, to);
	}
	snprintf(to, sizeof(to), "%s/scripts/journey.js", folder);
	copy(journey, to);
	const char *argv[] = { tsc, "-p", folder, NULL };
	return proc_run(argv, NULL, SCRIPT_MS, &out);
}

static void test_k6_scripts_have_the_right_types(void **state)
{
	char bad[64];

	(void)state;
	if (!*tsc) {
		printf("SKIP test_k6_scripts_have_the_right_types: %s\n", lack);
		skip();
	}
	if (type_check("tools/load/journey.js"))
		fail_msg("%s", out);
	/* The check can fail. */
	snprintf(bad, sizeof(bad), "/tmp/test-k6-journey-%d.js", getpid());
	copy("tools/load/journey.js", bad);
	FILE *f = fopen(bad, "ae");
	assert_non_null(f);
	fputs("\nhttp.post(5, 'a body', { headers: 7 });\n", f);
	fclose(f);
	int status = type_check(bad);
	unlink(bad);
	assert_int_not_equal(status, 0);
	assert_non_null(strstr(out, "journey.js"));
}

/* The object that stands in @text, owned. */
static cJSON *object_in(const char *text)
{
	const char *at = strstr(text, "{\"by\":"), *why = "";
	cJSON *j = NULL;

	if (!at || json_parse(at, strcspn(at, "\n"), &j, &why))
		fail_msg("%s: %s", why, text);
	return j;
}

static int run_script(const char *shape, const char *const *env)
{
	char script[64];
	const char *by_k6[] = { k6, "run", "--quiet", script, NULL };
	const char *by_node[] = { node, "tests/k6/standin/run.mjs", script, NULL };

	snprintf(script, sizeof(script), "tools/load/%s.js", shape);
	return proc_run(*k6 ? by_k6 : by_node, env, SCRIPT_MS, &out);
}

static void need_runner(const char *test)
{
	if (!alone)
		skip();
	if (!*k6 && !*node) {
		printf("SKIP %s: neither k6 nor node is here\n", test);
		skip();
	}
}

/*
 * Whatever the machine is doing, what the journey does is right; how long it takes is not asked here. @crowd: a
 * hundred users at once are more than the services' password hashes can take: some may be refused.
 */
static void check_result(const cJSON *j, bool crowd)
{
	static const char *const steps[] = { "signed up",     "logged in",     "products listed",
					     "added to cart", "cart shows it", "checked out" };
	const cJSON *c;

	assert_int_equal((int)json_num(j, "exceptions", -1), 0);
	if (!crowd)
		assert_int_equal((int)json_num(j, "errors", -1), 0);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "checks")), ARRAY_SIZE(steps));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		bool found = false;

		cJSON_ArrayForEach(c, cJSON_GetObjectItem(j, "checks"))
			found |= !strcmp(json_str(c, "name"), steps[i]) &&
				json_num(c, "ok", 0) > 0 && (crowd || json_num(c, "fails", 1) == 0);
		if (!found)
			fail_msg("%s: %s", steps[i], out);
	}
}

static void test_k6_scripts_walk_the_journey(void **state)
{
	static const char *const env[] = { "SQUEEZE_S=4", NULL };
	static const int users[NR_SCRIPTS] = { 10, 50, 5, 100 };

	(void)state;
	need_runner("test_k6_scripts_walk_the_journey");
	for (int i = 0; i < NR_SCRIPTS; i++) {
		int status = run_script(scripts[i], env);

		if (status != 0 && status != 99)
			fail_msg("%s ends with %d: %s", scripts[i], status, out);
		if (*k6)
			continue; /* k6's own summary has said what its checks are */
		CLEANUP(json_freep) cJSON *j = object_in(out);
		check_result(j, users[i] > 10);
		assert_int_equal((int)json_num(j, "vus_max", 0), users[i]);
		assert_non_null(strstr(out, "this is not k6"));
	}
}

/* Faults through a stub in place of db: armed by setup(), reset by teardown(). */
static void test_k6_scripts_arm_and_reset(void **state)
{
	static const char *const env[] = { "SQUEEZE_S=0.5", "WITH_FAILURES=1",
					   "DB_SERVICE_URL=http://127.0.0.1:9905",
					   "AUTH_SERVICE_URL=http://127.0.0.1:9906", NULL };
	struct stub *db, *auth;

	(void)state;
	need_runner("test_k6_scripts_arm_and_reset");
	db = stub_start(9905, NULL);
	auth = stub_start(9906, NULL);
	stub_say_json(db, 200, "{}");
	stub_say_json(auth, 200, "{}");
	run_script("normal", env);
	assert_non_null(strstr(stub_heard(db), "POST /reset "));
	assert_non_null(strstr(stub_heard(auth), "POST /reset "));

	/* auth refuses: db is taken back at once, and nothing runs. */
	stub_say_json(auth, 503, "{\"error\":\"no daemon\"}");
	int status = run_script("normal", env);
	assert_int_equal(status, 107);
	assert_non_null(strstr(stub_heard(db), "POST /reset "));
	assert_non_null(strstr(stub_heard(auth),
			       "POST /inject-failure?type=error&probability=0.1&duration="));
	stub_stop(db);
	stub_stop(auth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_k6_scripts_have_the_right_types),
		cmocka_unit_test(test_k6_scripts_walk_the_journey),
		cmocka_unit_test(test_k6_scripts_arm_and_reset),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
