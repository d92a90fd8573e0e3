// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the whole daemon tells a Prometheus server: the families and labels of its
 * document, exemplars that lead to a trace, names that strangers cannot explode,
 * answers under load.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/scene.h"
#include "tests/lib/scrape.h"
#include "tests/lib/shop.h"

#define SCRAPERS 16
#define SCRAPES 12
#define SCRAPE_MAX_MS \
	5000 /* of a scraper's patience, 10 s by default, on a machine that does other work too */

static const char conf[] = "[observe]\nsample_every = 1\nnamespace = shop\n";
static const char trace[] = "X-Trace-ID: 7f3c2a10-1111-4222-8333-944455556666";
static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	return scene_set_up(&scene, "test_daemon_metrics", conf);
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

/* ---- the document */

static const char *const families[] = {
	"http_server_request_duration_seconds_bucket",
	"http_client_request_duration_seconds_bucket",
	"archaic_http_server_time_to_first_byte_seconds_bucket",
	"container_cpu_time_seconds_total",
	"archaic_sched_runqueue_latency_seconds_bucket",
	"archaic_service_edge_requests_total",
	"archaic_service_edge_duration_seconds_bucket",
	"archaic_anomaly_score",
	"archaic_anomaly_active",
	"archaic_detector_baseline_samples",
	"archaic_incidents_total",
	"archaic_remediations_total",
	"archaic_workload_info",
	"archaic_build_info",
	"archaic_events_lost_total",
	"archaic_http_parse_total",
	"archaic_bpf_map_entries",
	"archaic_bpf_map_max_entries",
	"archaic_map_evictions_total",
	"archaic_degradation_level",
	/* and those of ours that it does not name */
	"archaic_http_server_request_bytes_total",
	"archaic_http_server_response_bytes_total",
	"archaic_http_server_untimed_requests_total",
	"archaic_http_server_requests_in_flight",
	"archaic_api_requests_total",
};

static const char *log_in(void)
{
	static const char who[] = "{\"email\":\"ada@example.com\",\"password\":\"correct horse\"}";
	static char bearer[2048];
	struct http_answer a;

	http_status("POST", scene_url("auth", "/signup"), who, NULL);
	http("POST", scene_url("auth", "/login"), who, NULL, &a);
	assert_int_equal(a.status, 200);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
	return bearer;
}

static bool all_there(void *missing)
{
	CLEANUP(freep) char *text = scrape(false);

	*(const char **)missing = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (!scrape_find(text, families[i], PARTS()).lines)
			*(const char **)missing = families[i];
	return !*(const char **)missing;
}

static struct scraped answers_of_db(const char *text)
{
	return scrape_find(text, "http_server_request_duration_seconds_count",
			   PARTS("service_name=\"db\"", "service_namespace=\"shop\"",
				 "http_request_method=\"GET\"", "http_response_status_code=\"200\"",
				 "network_protocol_version=\"1.1\"", "url_scheme=\"http\""));
}

/* A client's mistake, which is no error of the server's. */
static size_t mistakes_of_db(const char *text)
{
	return scrape_find(text, "http_server_request_duration_seconds_count",
			   PARTS("service_name=\"db\"", "status_code=\"404\""))
		.lines;
}

/* The families may come with one tick, the last request with the next. */
static bool all_counted(void *unused)
{
	(void)unused;
	CLEANUP(freep) char *text = scrape(false);

	return answers_of_db(text).sum >= 5 && mistakes_of_db(text);
}

static void test_daemon_metrics_are_those_of_the_document(void **state)
{
	(void)state;
	const char *missing = NULL;
	scene_need(&scene);

	const char *headers[] = { log_in(), NULL };
	for (int i = 0; i < 5; i++)
		assert_int_equal(
			http_status("GET", scene_url("product", "/products"), NULL, headers), 200);
	assert_int_equal(http_status("GET", scene_url("db", "/nothing"), NULL, NULL), 404);
	if (!wait_true(all_there, &missing, 5000))
		fail_msg("there is no %s", missing);

	assert_true(wait_true(all_counted, NULL, 5000));
	CLEANUP(freep) char *text = scrape(false);
	assert_int_equal(answers_of_db(text).lines, 1);
	assert_int_equal(mistakes_of_db(text), 1);
	assert_int_equal(scrape_find(text, "http_server_request_duration_seconds_count",
				     PARTS("service_name=\"db\"", "error_type"))
				 .lines,
			 0);
	assert_int_equal(scrape_find(text, "http_client_request_duration_seconds_count",
				     PARTS("service_name=\"product\"", "server_address=\"db\""))
				 .sum,
			 5);
	assert_int_equal(
		scrape_find(text, "archaic_workload_info",
			    PARTS("service_name=\"db\"", "service_instance_id=\"", ":8002\""))
			.sum,
		1);
	assert_int_equal(
		scrape_find(text, "archaic_remediations_total",
			    PARTS("service_name=\"db\"", "action=\"restart\"", "result=\"done\""))
			.lines,
		1);
	/* Where the kernel does not count runs, there is no number rather than 0. */
	struct scraped runs = scrape_find(text, "archaic_bpf_program_runs_total", PARTS());
	assert_true(!runs.lines || runs.sum > 0);
}

/* ---- errors and exemplars */

/* The caller's view: the call failed, whatever the server thinks that it sent. */
static double failed_calls(const char *text)
{
	return scrape_find(text, "archaic_service_edge_requests_total",
			   PARTS("client=\"product\"", "server=\"db\"", "failed=\"true\""))
		.sum;
}

struct exemplars {
	char *text; /* the last answer; owned */
	const char *missing;
};

static void release_exemplars(struct exemplars *e)
{
	free(e->text);
}

/* Counters and requests come by different ways, so not always by the same tick. */
static bool all_lead_to_the_trace(void *ctx)
{
	static const char *const who[][2] = {
		{ "http_client_request_duration_seconds_bucket", "error_type=\"500\"" },
		{ "http_server_request_duration_seconds_bucket", "error_type=\"502\"" },
		{ "archaic_http_server_time_to_first_byte_seconds_bucket", "error_type=\"502\"" },
	};
	struct exemplars *e = ctx;

	free(e->text);
	e->text = scrape(true);
	e->missing = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(who); i++)
		if (!scrape_find(e->text, who[i][0],
				 PARTS("service_name=\"product\"", who[i][1],
				       " # {trace_id=\"7f3c2a10111142228333944455556666\"} "))
			     .lines)
			e->missing = who[i][0];
	if (failed_calls(e->text) == 0)
		e->missing = "archaic_service_edge_requests_total";
	return !e->missing;
}

/* From the trace to the request: what product asked of db, and what it answered itself. */
static void assert_request_is_told(void)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *r;
	unsigned sides = 0;

	assert_int_equal(scene_api(&scene, "GET", "/v1/requests?service=product&failed=true", NULL,
				   &j),
			 200);
	cJSON_ArrayForEach(r, cJSON_GetObjectItem(j, "items")) {
		bool call = !strcmp(json_str(r, "service"), "db");
		bool client = !strcmp(json_str(r, "side"), "client");

		if (strcmp(json_str(r, "trace_id"), "7f3c2a10-1111-4222-8333-944455556666") != 0)
			continue;
		/* While answers are rewritten, our own end of product's answer is looked at too. */
		sides |= call ? 2 : client ? 4 : 1;
		assert_string_equal(json_str(r, "service"), call ? "db" : "product");
		assert_string_equal(json_str(r, "client"), call ? "product" : "outside");
		assert_string_equal(json_str(r, "method"), "GET");
		assert_string_equal(json_str(r, "path"), "/products");
		assert_int_equal((int)json_num(r, "status", 0), call ? 500 : 502);
		assert_true(json_num(r, "ttfb_ms", -1) > 0);
		assert_true(json_num(r, "duration_ms", 0) >= json_num(r, "ttfb_ms", 0));
		assert_true(cJSON_IsTrue(cJSON_GetObjectItem(r, "failed")));
	}
	assert_int_equal(sides & 3, 3);
}

static void test_daemon_metrics_lead_to_the_trace(void **state)
{
	(void)state;
	CLEANUP(release_exemplars) struct exemplars e = { 0 };
	scene_need(&scene);

	const char *headers[] = { log_in(), trace, NULL };
	scene_fault("db", "type=error&duration=20");
	assert_int_equal(http_status("GET", scene_url("product", "/products"), NULL, headers), 502);
	assert_int_equal(http_status("POST", scene_url("db", "/reset"), NULL, NULL), 200);
	if (!wait_true(all_lead_to_the_trace, &e, 5000))
		fail_msg("not there, or without the trace: product's %s", e.missing);
	assert_request_is_told();
	assert_true(failed_calls(e.text) == 1);
	assert_string_equal(e.text + strlen(e.text) - strlen("# EOF\n"), "# EOF\n");
	CLEANUP(freep) char *plain = scrape(false);
	assert_null(strstr(plain, "trace_id="));
}

/* ---- what strangers cannot explode */

static bool db_has(void *at_least)
{
	CLEANUP(freep) char *text = scrape(false);

	return scrape_find(text, "http_server_request_duration_seconds_count",
			   PARTS("service_name=\"db\""))
		       .sum >= *(double *)at_least;
}

static void test_daemon_metrics_do_not_grow_with_paths(void **state)
{
	(void)state;
	char path[96];
	scene_need(&scene);

	assert_int_equal(http_status("BREW", scene_url("db", "/pot"), NULL, NULL), 404);
	assert_int_equal(http_status("GET", scene_url("db", "/nothing"), NULL, NULL), 404);
	CLEANUP(freep) char *before = scrape(false);
	double wanted = scrape_find(before, "http_server_request_duration_seconds_count",
				    PARTS("service_name=\"db\""))
				.sum +
		300;
	for (int i = 0; i < 150; i++) {
		snprintf(path, sizeof(path), "/nothing/%d?user=%d&\"}evil{", i, i);
		http_status("GET", scene_url("db", path), NULL, NULL);
		snprintf(path, sizeof(path), "BREW%d", i);
		http_status(path, scene_url("db", "/pot"), NULL, NULL);
	}
	assert_true(wait_true(db_has, &wanted, 5000));
	CLEANUP(freep) char *after = scrape(false);
	struct scraped all = scrape_find(after, "http_server_request_duration_seconds_count",
					 PARTS("service_name=\"db\""));
	printf("  %zu series of db\n", all.lines);
	assert_true(all.lines <= 12);
	assert_true(scrape_find(after, "http_server_request_duration_seconds_count",
				PARTS("service_name=\"db\"", "http_request_method=\"_OTHER\""))
			    .sum >= 150);
	assert_null(strstr(after, "evil"));
	assert_null(strstr(after, "BREW"));
}

/* ---- under load */

struct scraper {
	pthread_t thread;
	unsigned good;
	double slowest_ms;
};

static void *scrape_on(void *arg)
{
	struct scraper *s = arg;
	CLEANUP(http_client_freep) struct http_client *client = NULL;
	const struct http_client_request ask = {
		.url = SCRAPE_URL, .method = "GET", .timeout_ms = 20000, .body_max = 64 << 20
	};

	if (http_client_new(&client))
		return NULL;
	for (int i = 0; i < SCRAPES; i++) {
		CLEANUP(http_client_response_release) struct http_client_response r;
		uint64_t began = clock_mono_ns();
		if (http_client_do(client, &ask, &r) || r.status != 200 || !r.body.len)
			continue;
		double took = (double)(clock_mono_ns() - began) / 1e6;
		s->slowest_ms = took > s->slowest_ms ? took : s->slowest_ms;
		s->good += buf_str(&r.body)[r.body.len - 1] == '\n';
	}
	return NULL;
}

/* Asks, and never reads. */
static int hang(void)
{
	static const char ask[] = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(8006) };
	const int little = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL), sizeof(ask) - 1);
	return fd;
}

static double ticks_lost(void)
{
	CLEANUP(freep) char *text = scrape(false);

	return scrape_find(text, "archaic_events_lost_total", PARTS("stage=\"ticks_unread\"")).sum;
}

static void test_daemon_metrics_answer_under_load(void **state)
{
	(void)state;
	struct scraper scrapers[SCRAPERS] = { 0 };
	double slowest_ms = 0;
	int deaf[8];
	scene_need(&scene);

	pid_t traffic = scene_traffic(&scene, "16", "300");
	for (size_t i = 0; i < ARRAY_SIZE(deaf); i++)
		deaf[i] = hang();
	for (size_t i = 0; i < SCRAPERS; i++)
		assert_int_equal(pthread_create(&scrapers[i].thread, NULL, scrape_on, &scrapers[i]),
				 0);
	for (size_t i = 0; i < SCRAPERS; i++) {
		pthread_join(scrapers[i].thread, NULL);
		assert_int_equal(scrapers[i].good, SCRAPES);
		slowest_ms = MAX(slowest_ms, scrapers[i].slowest_ms);
	}
	printf("  %d scrapes by %d at once, beside 8 that never read: the slowest took %.0f ms\n",
	       SCRAPERS * SCRAPES, SCRAPERS, slowest_ms);
	assert_true(slowest_ms < SCRAPE_MAX_MS);
	assert_int_equal(ticks_lost(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(deaf); i++)
		close(deaf[i]);
	proc_end(traffic, SIGINT, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_metrics_are_those_of_the_document),
		cmocka_unit_test(test_daemon_metrics_lead_to_the_trace),
		cmocka_unit_test(test_daemon_metrics_do_not_grow_with_paths),
		cmocka_unit_test(test_daemon_metrics_answer_under_load),
	};

	return cmocka_run_group_tests_name("daemon_metrics", tests, set_up, tear_down);
}
