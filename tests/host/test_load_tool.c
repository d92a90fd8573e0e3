// SPDX-License-Identifier: GPL-2.0-or-later
/* archaic-load as a program: arguments, exit status, JSON, signals, and the shapes against the real services. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"
#include "tools/load/hurt.h"

#define RUN_MS 60000 /* none of these takes as long, however busy the machine is */

static char dir[] = "/tmp/test-load-XXXXXX";
static pid_t pids[4];
static char logs[4][64];
static bool up;
static const char *out;
static const char *const names[] = { "auth", "db", "product", "payment" };
static const char *const service_env[] = { "ARCHAIC_SOCKET=/nonexistent/control.sock",
					   "STRIPE_API_KEY=sk_test_dummy", NULL };

static int set_up(void **state)
{
	(void)state;
	if (netns_enter() || !mkdtemp(dir)) {
		printf("SKIP test_load_tool: a network namespace needs root\n");
		return 0;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	for (size_t i = 0; i < 4; i++) {
		snprintf(logs[i], sizeof(logs[i]), "%s/%s.log", dir, names[i]);
		pids[i] = proc_service(names[i], (uint16_t)(8001 + i), logs[i], service_env);
	}
	up = true;
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

static void need_services(void)
{
	if (!up)
		skip();
}

static int load(const char *const *args)
{
	const char *argv[24] = { shop_path("archaic-load") };

	for (size_t i = 0; args[i]; i++) {
		assert_true(i + 2 < ARRAY_SIZE(argv));
		argv[i + 1] = args[i];
	}
	return proc_run(argv, NULL, RUN_MS, &out);
}

#define LOAD(...) load((const char *const[]){ __VA_ARGS__, NULL })

/* The last line of the output, owned. */
static cJSON *summary(void)
{
	cJSON *j = NULL;
	const char *why = "", *last = out;

	for (const char *line = out; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (!strncmp(line, "{\"type\":\"summary\"", 17))
			last = line;
	if (json_parse(last, strcspn(last, "\n"), &j, &why))
		fail_msg("%s: %s", why, out);
	assert_string_equal(json_str(j, "type"), "summary");
	return j;
}

static double check_of(const cJSON *j, const char *name, const char *member)
{
	const cJSON *c;

	cJSON_ArrayForEach(c, cJSON_GetObjectItem(j, "checks"))
		if (!strcmp(json_str(c, "name"), name))
			return json_num(c, member, -1);
	return -1;
}

static void test_tool_refuses_bad_arguments(void **state)
{
	static const struct {
		const char *args[6];
		const char *says;
	} cases[] = {
		{ { NULL }, "usage" },
		{ { "walk" }, "there is no command walk" },
		{ { "run" }, "a shape is missing" },
		{ { "run", "slow" }, "there is no such shape" },
		{ { "run", "normal", "spike" }, "unknown argument spike" },
		{ { "run", "normal", "--users", "5" }, "go with steady only" },
		{ { "run", "steady", "--users", "0" }, "--users is 0; it must be 1 to 1000" },
		{ { "run", "steady", "--rate", "nan" }, "--rate is nan; it must be 0.1 to 10000" },
		{ { "run", "normal", "--threshold", "p99<5" },
		  "it must begin with http_req_duration" },
		{ { "run", "normal", "--auth-url", "https://a" }, "https is not spoken here" },
		{ { "run", "normal", "--auth-url", "http://a/x" }, "an address without a path" },
		{ { "run", "normal", "--wrong" }, "--wrong" },
		{ { "http" }, "is no address" },
		{ { "http", "ftp://x" }, "is no address" },
		{ { "http", "http://127.0.0.1/", "-c", "0" },
		  "--connections is 0; it must be 1 to 4096" },
		{ { "http", "http://127.0.0.1/", "-p", "65" },
		  "--pipeline is 65; it must be 1 to 64" },
		{ { "http", "http://127.0.0.1/", "-d", "0" }, "--duration is 0" },
		{ { "http", "http://127.0.0.1/", "-n", "1.5" }, "--requests is 1.5" },
		{ { "http", "http://127.0.0.1/", "-X", "get" }, "--method is get" },
		{ { "http", "http://127.0.0.1/", "-H", "no colon" }, "--header" },
		{ { "http", "http://127.0.0.1/", "-r" }, "argument" },
		{ { "shapes", "normal" }, "unknown argument normal" },
		{ { "serve", "--port", "70000" }, "--port is 70000; it must be 0 to 65535" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = load(cases[i].args);

		if (status != 2 || !strstr(out, cases[i].says))
			fail_msg("case %zu: status %d, %s", i, status, out);
	}
}

static void test_tool_helps(void **state)
{
	static const char *const commands[] = { "run", "http", "shapes", "serve" };

	(void)state;
	assert_int_equal(LOAD("--help"), 0);
	assert_int_equal(LOAD("--version"), 0);
	assert_non_null(strstr(out, ARCHAIC_VERSION));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		assert_int_equal(LOAD(commands[i], "--help"), 0);
		assert_non_null(strstr(out, "EXAMPLES"));
	}
	assert_int_equal(LOAD("shapes"), 0);
	assert_non_null(strstr(out, "endurance"));
}

static void test_tool_status_by_thresholds(void **state)
{
	(void)state;
	need_services();
	assert_int_equal(LOAD("http", "http://127.0.0.1:8002/products", "-n", "50", "-c", "2",
			      "--json", "--threshold", "http_reqs:count==50", "--threshold",
			      "http_req_failed:rate==0"),
			 0);
	CLEANUP(json_freep) cJSON *good = summary();
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(good, "passed")));
	assert_int_equal((int)json_num(good, "requests", 0), 50);
	assert_int_equal((int)json_num(cJSON_GetObjectItem(good, "status"), "200", 0), 50);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(good, "thresholds")), 2);

	assert_int_equal(LOAD("http", "http://127.0.0.1:8002/nothing", "-n", "20", "--json",
			      "--threshold", "http_req_failed:rate<0.5"),
			 99);
	CLEANUP(json_freep) cJSON *bad = summary();
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(bad, "passed")));
	assert_int_equal((int)json_num(cJSON_GetObjectItem(bad, "status"), "404", 0), 20);
	const cJSON *t = cJSON_GetArrayItem(cJSON_GetObjectItem(bad, "thresholds"), 0);
	assert_string_equal(json_str(t, "expr"), "http_req_failed:rate<0.5");
	assert_true(json_num(t, "value", 0) == 1);

	assert_int_equal(LOAD("http", "http://127.0.0.1:9/"), 1);
	assert_non_null(strstr(out, "Connection refused"));
	assert_int_equal(LOAD("http", "http://no-such-host.invalid/"), 1);
	assert_int_equal(LOAD("run", "normal", "--auth-url", "http://127.0.0.1:9"), 1);
	assert_non_null(strstr(out, "auth cannot be reached"));
}

static void test_tool_sends_bodies_and_headers(void **state)
{
	struct stub *s;

	(void)state;
	need_services();
	s = stub_start(9902, NULL);
	stub_say_json(s, 201, "{}");
	assert_int_equal(LOAD("http", "http://127.0.0.1:9902/x?y=1", "-n", "1", "-c", "1", "-b",
			      "{\"a\":1}", "-H", "Content-Type: application/json", "-H",
			      "X-Two: 2"),
			 0);
	const char *heard = stub_heard(s);
	assert_ptr_equal(strstr(heard, "POST /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:9902\r\n"), heard);
	assert_non_null(strstr(heard, "\r\nContent-Type: application/json\r\nX-Two: 2\r\n"));
	assert_non_null(strstr(heard, "\r\nContent-Length: 7\r\n\r\n{\"a\":1}"));
	stub_stop(s);
}

/* How often a service says that it answered so. */
static unsigned int logged(size_t service, const char *what)
{
	CLEANUP(fclosep) FILE *f = fopen(logs[service], "re");
	char line[1024];
	unsigned int nr = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		nr += strstr(line, what) != NULL;
	return nr;
}

static void test_tool_walks_the_journey(void **state)
{
	static const char *const steps[] = { "signed up",     "logged in",     "products listed",
					     "added to cart", "cart shows it", "checked out" };
	unsigned int before[2] = { 0 };

	(void)state;
	need_services();
	before[0] = logged(0, "POST /login 200");
	before[1] = logged(3, "POST /create-checkout-session 200");
	assert_int_equal(LOAD("run", "normal", "--squeeze", "3s", "--json", "--threshold",
			      "checks:rate==1", "--threshold", "http_req_failed:rate==0",
			      "--threshold", "iterations:count>=10"),
			 0);
	CLEANUP(json_freep) cJSON *j = summary();
	double iterations = json_num(j, "iterations", 0);

	assert_int_equal((int)json_num(j, "interrupted", -1), 0);
	assert_int_equal((int)check_of(j, "signed up", "ok"), 10);
	for (size_t i = 1; i < ARRAY_SIZE(steps); i++)
		assert_true(check_of(j, steps[i], "ok") == iterations);
	assert_true(check_of(j, "cart cleared", "ok") < 0); /* nobody had to */
	assert_true(json_num(j, "requests", 0) == 10 + 5 * iterations);
	/* And the services say the same. */
	assert_int_equal(logged(0, "POST /login 200") - before[0], (int)iterations);
	assert_int_equal(logged(3, "POST /create-checkout-session 200") - before[1],
			 (int)iterations);
}

static void test_tool_says_a_line_a_second(void **state)
{
	unsigned int lines = 0;
	double requests = 0, most = 0;

	(void)state;
	need_services();
	int status = LOAD("run", "spike", "--squeeze", "3s", "--json-lines");
	assert_true(status == 0 || status == 99);
	for (const char *line = out; !strncmp(line, "{\"type\":\"progress\"", 18);
	     line = strchr(line, '\n') + 1) {
		CLEANUP(json_freep) cJSON *j = NULL;
		const char *why;

		assert_int_equal(json_parse(line, strcspn(line, "\n"), &j, &why), 0);
		lines++;
		assert_true(json_num(j, "elapsed_s", -1) >= lines);
		assert_true(json_num(j, "remaining_s", -1) >= 0);
		assert_true(json_num(j, "requests", -1) >= requests);
		requests = json_num(j, "requests", -1);
		most = MAX(most, json_num(j, "vus", -1));
		assert_true(json_num(j, "rate_per_s", -1) >= 0);
		assert_true(json_num(cJSON_GetObjectItem(j, "latency_ms"), "p99", -1) >= 0);
	}
	assert_true(lines >= 2);
	assert_true(most > 0 && most <= 50);
	CLEANUP(json_freep) cJSON *j = summary();
	assert_true(json_num(j, "requests", 0) >= requests);
	assert_int_equal((int)json_num(j, "vus_max", 0), 50);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(j, "passed")) == (status == 0));
}

static void test_tool_keeps_a_rate(void **state)
{
	(void)state;
	need_services();
	assert_int_equal(LOAD("run", "steady", "--users", "4", "--rate", "40", "--duration", "4s",
			      "--json-lines", "--slow", "1ms"),
			 0);
	assert_non_null(strstr(out, "{\"type\":\"slow\",\"wall_ms\":")); /* a hash takes longer */
	assert_non_null(strstr(
		out,
		"\"service\":\"auth\",\"method\":\"POST\",\"path\":\"/signup\",\"status\":201"));
	CLEANUP(json_freep) cJSON *j = summary();
	/* Never above it, journeys that are walked to their end included; slots lost on a busy machine are not made up for. */
	double elapsed_s = json_num(j, "elapsed_s", 0);
	assert_true(elapsed_s >= 4 && elapsed_s < 40);
	assert_true(json_num(j, "requests", 0) <= 40 * (elapsed_s + 0.05) + 1); /* told to .1 s */
	assert_true(json_num(j, "requests", 0) >= 8);
}

static void stopped_by(int sig)
{
	char log[64];
	const char *argv[] = {
		shop_path("archaic-load"), "run", "endurance", "--json-lines", "--slow", "1ms", NULL
	};
	static char text[16384];

	snprintf(log, sizeof(log), "%s/stopped", dir);
	pid_t pid = proc_start(log, argv, NULL);
	for (int i = 0; i < 2000 && !file_has(log, "\"slow\""); i++) /* a hash takes longer */
		usleep(10000);
	int status = proc_end(pid, sig, 10000);
	CLEANUP(fclosep) FILE *f = fopen(log, "re");
	unlink(log);
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	out = text;
	assert_true(status >= 0 && WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 128 + sig);
	CLEANUP(json_freep) cJSON *j = summary();
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(j, "stopped")));
	assert_true(json_num(j, "requests", 0) > 0);
}

static void test_tool_stops_with_a_summary(void **state)
{
	(void)state;
	need_services();
	stopped_by(SIGINT);
	stopped_by(SIGTERM);
}

static bool told_progress(void *log)
{
	return file_has(log, "\"elapsed_s\":2.");
}

static bool told_slow(void *log)
{
	return file_has(log, "\"type\":\"slow\"") && file_has(log, "\"service\":\"product\"");
}

static bool told_failed(void *log)
{
	return file_has(log, "\"type\":\"failed\"") &&
		file_has(log, "\"status\":503,\"trace_id\":\"");
}

static void test_tool_tells_slow_and_failed(void **state)
{
	char log[64];
	const char *argv[] = { shop_path("archaic-load"),
			       "run",
			       "steady",
			       "--users",
			       "2",
			       "--rate",
			       "50",
			       "--duration",
			       "60s",
			       "--json-lines",
			       "--slow",
			       "900ms",
			       NULL };

	(void)state;
	need_services();
	snprintf(log, sizeof(log), "%s/told", dir);
	pid_t pid = proc_start(log, argv, NULL);
	assert_true(wait_true(told_progress, log, 20000));
	kill(pids[1], SIGSTOP);
	usleep(1300000); /* that is what db takes */
	kill(pids[1], SIGCONT);
	bool slow = wait_true(told_slow, log, 20000);
	proc_end(pids[1], SIGKILL, 2000);
	bool failed = wait_true(told_failed, log, 20000);
	int status = proc_end(pid, SIGINT, 10000);
	pids[1] = proc_service("db", 8002, logs[1], service_env);
	unlink(log);
	assert_true(slow);
	assert_true(failed);
	assert_true(status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 130);
}

static void test_tool_arms_through_the_services(void **state)
{
	char why[512] = "";
	struct stub *db, *auth;

	(void)state;
	need_services();
	db = stub_start(9903, NULL);
	auth = stub_start(9904, NULL);
	stub_say_json(db, 200, "{}");
	stub_say_json(auth, 200, "{}");
	assert_int_equal(hurt_arm("http://127.0.0.1:9903", "http://127.0.0.1:9904", 41500000000ULL,
				  why, sizeof(why)),
			 0);
	assert_non_null(strstr(stub_heard(db),
			       "POST /inject-failure?type=timeout&probability=0.2&duration=42 "));
	assert_non_null(strstr(stub_heard(auth),
			       "POST /inject-failure?type=error&probability=0.1&duration=42 "));
	assert_int_equal(
		hurt_reset("http://127.0.0.1:9903", "http://127.0.0.1:9904", why, sizeof(why)), 0);
	assert_non_null(strstr(stub_heard(db), "POST /reset "));
	assert_non_null(strstr(stub_heard(auth), "POST /reset "));

	/* The second is refused: the first is taken back, and the reason is told. */
	stub_say_json(auth, 422, "{\"detail\":\"over the limit\"}");
	assert_true(hurt_arm("http://127.0.0.1:9903", "http://127.0.0.1:9904", 1, why,
			     sizeof(why)) < 0);
	assert_non_null(strstr(why, "over the limit"));
	stub_stop(auth);
	assert_non_null(strstr(stub_heard(db), "POST /reset "));
	/* One is gone: the other is reset all the same. */
	stub_say_json(db, 200, "{}");
	assert_true(hurt_reset("http://127.0.0.1:9904", "http://127.0.0.1:9903", why, sizeof(why)) <
		    0);
	assert_non_null(strstr(stub_heard(db), "POST /reset "));
	stub_stop(db);

	assert_int_equal(LOAD("run", "normal", "--with-failures"), 1);
	assert_non_null(strstr(out, "no faults, no run"));
	assert_non_null(strstr(out, "make up")); /* the service says how to start a daemon */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tool_refuses_bad_arguments),
		cmocka_unit_test(test_tool_helps),
		cmocka_unit_test(test_tool_status_by_thresholds),
		cmocka_unit_test(test_tool_sends_bodies_and_headers),
		cmocka_unit_test(test_tool_walks_the_journey),
		cmocka_unit_test(test_tool_keeps_a_rate),
		cmocka_unit_test(test_tool_stops_with_a_summary),
		cmocka_unit_test(test_tool_tells_slow_and_failed),
		cmocka_unit_test(test_tool_arms_through_the_services),
		/* Last: fifty users leave auth with hashes to make. */
		cmocka_unit_test(test_tool_says_a_line_a_second),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
