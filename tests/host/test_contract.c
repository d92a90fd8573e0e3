// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a user expects to see (expectations 1 to 4 of the outside contract; 5 is
 * in test_services.c): the real services, under the real supervisor, with the
 * real daemon, in a network namespace of the test's own. Faults go in through
 * the services' own POST /inject-failure.
 */
#include <dirent.h>
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

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

#define AUTH "http://127.0.0.1:8001"
#define DB "http://127.0.0.1:8002"
#define PRODUCT "http://127.0.0.1:8003"
#define PAYMENT "http://127.0.0.1:8004"
#define OPERATOR "http://127.0.0.1:8005"
#define DETECTOR "http://127.0.0.1:8006"
#define CALLS 24

static char dir[] = "/tmp/test-contract-XXXXXX";
static char cgroup[64], services_dir[64], state_dir[64], log_daemon[64], socket_env[96],
	bearer[2048];
static pid_t supervisor, daemon_pid;
static const char *const names[] = { "auth", "db", "product", "payment" };

static const char *const *token(void)
{
	static const char *headers[2];

	headers[0] = bearer;
	return headers;
}

static void write_files(const char *supervise_conf, const char *daemon_conf)
{
	FILE *s = fopen(supervise_conf, "we"), *d = fopen(daemon_conf, "we");

	assert_non_null(s);
	assert_non_null(d);
	fprintf(d,
		"[observe]\ndiscover = no\nwarmup_tick = 100ms\ntick = 200ms\n[detect]\nbaseline = 256\nshadow = 128\n");
	for (size_t i = 0; i < 4; i++) {
		char binary[32];
		snprintf(binary, sizeof(binary), "%s-service", names[i]);
		fprintf(s, "[%s]\ncommand = %s --port %zu\n", names[i], shop_path(binary),
			8001 + i);
		fprintf(d, "[service %s]\nport = %zu\nsupervised = yes\n", names[i], 8001 + i);
	}
	fclose(s);
	fclose(d);
}

static bool answers(void *url)
{
	return http_status("GET", url, NULL, NULL) == 200;
}

static void wait_answer(const char *url)
{
	if (!wait_true(answers, (void *)(uintptr_t)url, 20000)) {
		file_show(log_daemon);
		fail_msg("%s does not answer", url);
	}
}

static void start_all(void)
{
	static char supervise_conf[96], daemon_conf[96];
	const char *env[] = { socket_env, NULL };

	snprintf(services_dir, sizeof(services_dir), "%s/services", dir);
	snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	snprintf(log_daemon, sizeof(log_daemon), "%s/daemon.log", dir);
	snprintf(socket_env, sizeof(socket_env), "ARCHAIC_SOCKET=%s/control.sock", dir);
	snprintf(supervise_conf, sizeof(supervise_conf), "%s/supervise.conf", services_dir);
	snprintf(daemon_conf, sizeof(daemon_conf), "%s/daemon.conf", dir);
	snprintf(cgroup, sizeof(cgroup), "/archaic-test-%d", getpid());
	mkdir(services_dir, 0755);
	write_files(supervise_conf, daemon_conf);

	const char *services[] = { shop_path("archaic-supervise"),
				   "--run-dir",
				   services_dir,
				   "--cgroup",
				   cgroup,
				   "--config",
				   supervise_conf,
				   NULL };
	const char *run[] = { shop_path("archaic-ebpf"),
			      "run",
			      "--config",
			      daemon_conf,
			      "--run-dir",
			      dir,
			      "--state-dir",
			      state_dir,
			      "--mode",
			      "suggest",
			      NULL };
	supervisor = proc_start(log_daemon, services, env);
	for (size_t i = 0; i < 4; i++) {
		char url[64];
		snprintf(url, sizeof(url), "http://127.0.0.1:%zu/health", 8001 + i);
		wait_answer(url);
	}
	daemon_pid = proc_start(log_daemon, run, env);
	wait_answer(DETECTOR "/health");
}

static void log_in(void)
{
	static const char body[] = "{\"email\":\"ada@example.com\",\"password\":\"correct horse\"}";
	struct http_answer a;

	assert_int_equal(http_status("POST", AUTH "/signup", body, NULL), 201);
	http("POST", AUTH "/login", body, NULL, &a);
	assert_int_equal(a.status, 200);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
}

static int set_up(void **state)
{
	(void)state;
	if (access(shop_path("archaic-ebpf"), X_OK)) {
		printf("SKIP test_contract: the daemon is not built\n");
		return 0;
	}
	if (netns_enter() || !mkdtemp(dir)) {
		printf("SKIP test_contract: a network namespace needs root\n");
		return 0;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	start_all();
	log_in();
	return 0;
}

static void remove_dir(const char *path)
{
	DIR *d = opendir(path);

	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

static int tear_down(void **state)
{
	(void)state;
	if (daemon_pid > 0)
		proc_end(daemon_pid, SIGTERM, 10000);
	if (supervisor > 0)
		proc_end(supervisor, SIGTERM, 15000);
	if (*cgroup)
		cgroup_sweep(cgroup);
	remove_dir(services_dir);
	remove_dir(state_dir);
	remove_dir(dir);
	return 0;
}

static void need_daemon(void)
{
	if (!daemon_pid)
		skip();
}

static void arm(const char *url)
{
	struct http_answer a;

	http("POST", url, NULL, NULL, &a);
	if (a.status != 200 || !json_str(a.json, "id") || !json_str(a.json, "says"))
		fail_msg("POST %s: status %d, body %s", url, a.status, a.body);
	http_release(&a);
}

static bool log_has(const char *service, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s.log", services_dir, service);
	return file_has(path, text);
}

/* 1. error on auth: protected calls to product answer 502, and product's log names auth. */
static void test_contract_1_auth_errors_make_product_fail(void **state)
{
	(void)state;
	struct http_answer a;
	need_daemon();

	arm(AUTH "/inject-failure?type=error&probability=1");
	for (size_t i = 0; i < 10; i++) {
		http("GET", PRODUCT "/products", NULL, token(), &a);
		assert_int_equal(a.status, 502);
		assert_string_equal(json_str(a.json, "dependency"), "auth-service");
		http_release(&a);
	}
	assert_true(log_has("product", "Auth-service bad answer"));
	http("GET", AUTH "/health", NULL, NULL, &a); /* never hurt, and shows the fault */
	assert_int_equal(a.status, 200);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(a.json, "faults")), 1);
	http_release(&a);

	assert_int_equal(http_status("POST", AUTH "/reset", NULL, NULL), 200);
	assert_int_equal(http_status("POST", AUTH "/reset", NULL, NULL), 200);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(http_status("GET", PRODUCT "/products", NULL, token()), 200);
}

static bool payment_fails(void *ctx)
{
	struct http_answer a;

	(void)ctx;
	/* Answered by the service, then changed on its way: only this client, whom nobody knows, got the 500. */
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(http_status("GET", PAYMENT "/checkout/success", NULL, NULL), 500);
	http("GET", DETECTOR "/services/payment", NULL, NULL, &a);
	bool yes = a.status == 200 && json_num(a.json, "error_ratio", 0) > 0.9;
	http_release(&a);
	return yes;
}

/* The observer sees what the client gets, also of a service that only strangers call. */
static void test_contract_errors_stand_at_the_hurt_service(void **state)
{
	(void)state;
	need_daemon();

	arm(PAYMENT "/inject-failure?type=error&probability=1");
	assert_true(wait_true(payment_fails, NULL, 5000));
	assert_int_equal(http_status("POST", PAYMENT "/reset", NULL, NULL), 200);
	assert_int_not_equal(http_status("GET", PAYMENT "/checkout/success", NULL, NULL), 500);
}

static bool malformed(const cJSON *products)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, products)
		if (cJSON_IsNull(cJSON_GetObjectItem(p, "name")) || json_num(p, "price", 1) < 0)
			return true;
	return false;
}

/* 2. bad_data on db: product hands on malformed values, and still answers 200. */
static void test_contract_2_bad_data_is_handed_on(void **state)
{
	(void)state;
	struct http_answer a;
	need_daemon();

	arm(DB "/inject-failure?type=bad_data");
	for (size_t i = 0; i < 10; i++) {
		http("GET", PRODUCT "/products", NULL, token(), &a);
		assert_int_equal(a.status, 200);
		if (!malformed(cJSON_GetObjectItem(a.json, "products")))
			fail_msg("nothing is wrong in %s", a.body);
		http_release(&a);
	}
	assert_int_equal(http_status("POST", DB "/reset", NULL, NULL), 200);
	http("GET", PRODUCT "/products", NULL, token(), &a);
	assert_false(malformed(cJSON_GetObjectItem(a.json, "products")));
	http_release(&a);
}

struct call {
	pthread_t thread;
	struct http_answer a;
};

static void *ask_products(void *ctx)
{
	struct call *c = ctx;

	http("GET", PRODUCT "/products", NULL, token(), &c->a);
	return NULL;
}

static void ask_many(struct call *calls)
{
	for (size_t i = 0; i < CALLS; i++)
		assert_int_equal(pthread_create(&calls[i].thread, NULL, ask_products, &calls[i]),
				 0);
	for (size_t i = 0; i < CALLS; i++)
		pthread_join(calls[i].thread, NULL);
}

static bool all_fast(void *ctx)
{
	bool fast = true;
	(void)ctx;

	for (size_t i = 0; i < 10 && fast; i++) {
		struct http_answer a;
		http("GET", PRODUCT "/products", NULL, token(), &a);
		fast = a.status == 200 && a.took_ms < 1000;
		http_release(&a);
	}
	return fast;
}

/* 3. timeout, probability .4, for a time: a mixture; then all are fast again with nobody resetting anything. */
static void test_contract_3_timeout_is_a_mixture_and_ends(void **state)
{
	(void)state;
	struct call calls[CALLS];
	size_t slow = 0, fast = 0;
	need_daemon();

	uint64_t armed_ns = clock_mono_ns();
	arm(DB "/inject-failure?type=timeout&intensity=2&probability=0.4&duration=12");
	ask_many(calls); /* all 24 alike: once in 200,000 runs */
	for (size_t i = 0; i < CALLS; i++) {
		assert_int_equal(calls[i].a.status, 200);
		slow += calls[i].a.took_ms >= 3990;
		fast += calls[i].a.took_ms < 2000;
		http_release(&calls[i].a);
	}
	assert_int_equal(slow + fast, CALLS);
	assert_true(slow > 0 && fast > 0);

	uint64_t until_ns = armed_ns + 12500 * NSEC_PER_MSEC, now_ns = clock_mono_ns();
	if (until_ns > now_ns)
		usleep((useconds_t)((until_ns - now_ns) /
				    1000)); /* the fault's own end is what is tested */
	assert_true(all_fast(NULL));
	assert_true(file_has(log_daemon, "Injected DB timeout — sleeping 4s"));
}

/* 3, with intensity 5: good answers and 504, since product waits 8 s at most. */
static void test_contract_3_long_timeout_makes_504(void **state)
{
	(void)state;
	struct call calls[CALLS];
	size_t late = 0, good = 0;
	need_daemon();

	arm(DB "/inject-failure?type=timeout&intensity=5&probability=0.4&duration=60");
	ask_many(calls);
	for (size_t i = 0; i < CALLS; i++) {
		late += calls[i].a.status == 504;
		good += calls[i].a.status == 200;
		http_release(&calls[i].a);
	}
	assert_int_equal(late + good, CALLS);
	assert_true(late > 0 && good > 0);
	assert_true(log_has("product", "DB-service timeout after 8"));
	assert_int_equal(http_status("POST", DB "/reset", NULL, NULL), 200);
	assert_true(wait_true(all_fast, NULL, 5000));
}

static bool baseline_full(void *ctx)
{
	struct http_answer a;
	size_t nr = 0;
	const cJSON *s;
	(void)ctx;

	http("GET", DETECTOR "/health", NULL, NULL, &a);
	cJSON_ArrayForEach(s,
			   cJSON_GetObjectItem(cJSON_GetObjectItem(a.json, "detector"), "services"))
		nr += json_num(s, "baseline_samples", 0) >= 256;
	http_release(&a);
	return nr == 4;
}

static bool has_victim(const cJSON *incident, const char *name)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItem(incident, "victims"))
		if (cJSON_IsString(v) && !strcmp(v->valuestring, name))
			return true;
	return false;
}

static bool db_is_blamed(void *ctx)
{
	struct http_answer a;
	const cJSON *i;
	bool found = false;
	(void)ctx;

	http("GET", OPERATOR "/incidents", NULL, NULL, &a);
	cJSON_ArrayForEach(i, cJSON_GetObjectItem(a.json, "items")) {
		const char *root = json_str(cJSON_GetObjectItem(i, "root_cause"), "service");
		found = found ||
			(root && !strcmp(root, "db") && has_victim(i, "product") &&
			 has_victim(i, "payment"));
	}
	http_release(&a);
	return found;
}

/* 4. timeout on db: the incident names db as the root cause, and product and payment as victims. */
static void test_contract_4_incident_names_db(void **state)
{
	(void)state;
	char out[96];
	const char *argv[] = { shop_path("archaic-load"),
			       "run",
			       "steady",
			       "--json-lines",
			       "--users",
			       "16",
			       "--rate",
			       "100",
			       "--duration",
			       "3m",
			       NULL };
	need_daemon();

	snprintf(out, sizeof(out), "%s/traffic.jsonl", dir);
	pid_t traffic = proc_start(out, argv, NULL);
	bool learned = wait_true(baseline_full, NULL, 120000);
	arm(DB "/inject-failure?type=timeout&intensity=1&duration=60");
	bool blamed = wait_true(db_is_blamed, NULL, 40000);
	http_status("POST", DB "/reset", NULL, NULL);
	proc_end(traffic, SIGINT, 5000);
	assert_true(learned);
	assert_true(blamed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contract_1_auth_errors_make_product_fail),
		cmocka_unit_test(test_contract_errors_stand_at_the_hurt_service),
		cmocka_unit_test(test_contract_2_bad_data_is_handed_on),
		cmocka_unit_test(test_contract_3_timeout_is_a_mixture_and_ends),
		cmocka_unit_test(test_contract_3_long_timeout_makes_504),
		cmocka_unit_test(test_contract_4_incident_names_db),
	};

	return cmocka_run_group_tests_name("contract", tests, set_up, tear_down);
}
