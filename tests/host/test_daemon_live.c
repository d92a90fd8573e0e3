// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the pages are made of, from the real daemon with the shop and its traffic: a
 * fault that is armed from the chaos port is seen as an event and in the history,
 * fifty listeners delay no tick, and a load test runs and is stopped.
 */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

#define DASHBOARD 7000
#define CHAOS 8080
#define LISTENERS 50

static const char conf[] = "[observe]\ndiscover = no\n";
static const char *const ours[] = { "X-Archaic-Request: 1", "Content-Type: application/json",
				    NULL };
static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	if (!scene_open(&scene, "test_daemon_live"))
		return 0;
	scene_daemon(&scene, "observe", conf);
	scene_traffic(&scene, "8", "80");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

/* ---- events */

/* By HTTP/1.0, which has no chunks: what is read is the events alone. */
static int listen_to(const char *headers)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(DASHBOARD),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char text[256];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int n = snprintf(text, sizeof(text), "GET /v1/events HTTP/1.0\r\nHost: localhost\r\n%s\r\n",
			 headers);

	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
	return fd;
}

static char heard[1 << 20];
static size_t heard_len;

/* What comes within @ms is added to heard; true as soon as @wanted is in it. */
static bool hear(int fd, const char *wanted, unsigned ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t until = clock_mono_ns() + ms * NSEC_PER_MSEC;

	while (!strstr(heard, wanted) && clock_mono_ns() < until && heard_len < sizeof(heard) - 1)
		if (poll(&p, 1, 50) > 0) {
			ssize_t n = read(fd, heard + heard_len, sizeof(heard) - 1 - heard_len);
			if (n <= 0)
				return false;
			heard_len += (size_t)n;
			heard[heard_len] = '\0';
		}
	return strstr(heard, wanted);
}

static void forget(void)
{
	heard_len = 0;
	heard[0] = '\0';
}

static unsigned count(const char *text, const char *what)
{
	unsigned nr = 0;

	for (; (text = strstr(text, what)); text++)
		nr++;
	return nr;
}

/* The last whole sample that was heard. */
static cJSON *last_sample(void)
{
	static const char head[] = "event: sample\ndata: ";
	const char *at = NULL, *why, *end;
	cJSON *sample = NULL;

	for (const char *p = heard; (p = strstr(p, head)) && strstr(p, "\n\n"); p++)
		at = p;
	assert_non_null(at);
	at += sizeof(head) - 1;
	end = strchr(at, '\n');
	if (json_parse(at, (size_t)(end - at), &sample, &why))
		fail_msg("a sample that is no JSON: %s", why);
	return sample;
}

static const cJSON *by_name(const cJSON *list, const char *name)
{
	const cJSON *s;

	cJSON_ArrayForEach(s, list)
		if (!strcmp(json_str(s, "name") ?: "", name))
			return s;
	return NULL;
}

static void test_live_samples_come_once_a_second(void **state)
{
	uint64_t start;
	unsigned nr;

	(void)state;
	scene_need(&scene);
	CLEANUP(closep) int fd = listen_to("");
	assert_true(hear(fd, "event: sample", 5000));
	forget();
	start = clock_mono_ns();
	hear(fd, "no such thing", 10000);
	nr = count(heard, "event: sample");
	/* Ticks are 100 ms while baselines are learned; samples are not. */
	if (nr < 8 || nr > 11)
		fail_msg("%u samples in %.1f s", nr, (double)(clock_mono_ns() - start) / 1e9);
	CLEANUP(json_freep) cJSON *sample = last_sample();
	const cJSON *services = cJSON_GetObjectItem(sample, "services");
	const cJSON *db = by_name(services, "db");
	assert_int_equal(cJSON_GetArraySize(services), 4);
	assert_true(json_num(db, "rate_per_s", 0) > 1);
	assert_null(cJSON_GetObjectItem(db, "pids"));
	assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(sample, "edges")) >= 3);
	assert_true(fabs(json_num(sample, "t", 0) - (double)clock_wall_ms() / 1e3) < 5);
}

/* ---- the history */

static double series_value(const char *metric, bool highest)
{
	char target[128];
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *v;
	double best = NAN;

	snprintf(target, sizeof(target), "/v1/series?service=db&metric=%s&from=%lld", metric,
		 (long long)clock_wall_ms() / 1000 - 4);
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &j), 200);
	const cJSON *one = cJSON_GetArrayItem(cJSON_GetObjectItem(j, "series"), 0);
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(one, "values"))
		if (cJSON_IsNumber(v))
			best = isnan(best) ? v->valuedouble :
				highest    ? fmax(best, v->valuedouble) :
					     fmin(best, v->valuedouble);
	return best;
}

static bool p50_is_high(void *arg)
{
	(void)arg;
	return series_value("p50_ms", false) > 350;
}

static bool p50_is_low(void *arg)
{
	(void)arg;
	return series_value("p50_ms", true) < 200;
}

static void test_live_fault_is_seen_at_once_and_in_the_history(void **state)
{
	static const char arm[] =
		"{\"service\":\"db\",\"type\":\"timeout\",\"params\":{\"delay_ms\":400},\"duration_s\":60}";
	struct http_answer a;
	char wanted[64];

	(void)state;
	scene_need(&scene);
	assert_true(wait_true(p50_is_low, NULL, 15000));
	CLEANUP(closep) int fd = listen_to("");
	assert_true(hear(fd, "event: sample", 5000));
	assert_int_equal(http_status("POST", "http://127.0.0.1:8080/v1/faults", arm, NULL), 403);
	http("POST", "http://127.0.0.1:8080/v1/faults", arm, ours, &a);
	if (a.status != 201)
		fail_msg("%d %s", a.status, a.body);
	snprintf(wanted, sizeof(wanted), "{\"id\":\"%s\"", json_str(a.json, "id"));
	http_release(&a);
	assert_true(hear(fd, "event: fault", 2000));
	assert_true(hear(fd, wanted, 2000));
	assert_true(wait_true(p50_is_high, NULL, 15000));
	/* How many it has touched is told without being asked. */
	forget();
	assert_true(hear(fd, "\"touched\":{\"requests\":", 5000));
	http("DELETE", "http://127.0.0.1:8080/v1/faults", NULL, ours, &a);
	assert_int_equal(a.status, 200);
	http_release(&a);
	assert_true(hear(fd, "\"state\":\"reset\"", 3000));
	assert_true(wait_true(p50_is_low, NULL, 20000));

	CLEANUP(json_freep) cJSON *audit = NULL;
	assert_int_equal(scene_api(&scene, "GET", "/v1/audit?limit=2", NULL, &audit), 200);
	const cJSON *items = cJSON_GetObjectItem(audit, "items");
	assert_int_equal(cJSON_GetArraySize(items), 2);
	const cJSON *last = cJSON_GetArrayItem(items, 0), *first = cJSON_GetArrayItem(items, 1);
	assert_string_equal(json_str(last, "actor"), "tcp");
	assert_string_equal(json_str(last, "event"), "DELETE");
	assert_non_null(strstr(json_str(last, "says"), "1 ended"));
	assert_string_equal(json_str(first, "event"), "POST");
	assert_true(json_num(first, "status", 0) == 201);
	assert_non_null(strstr(json_str(first, "says"), "0.4 s late"));
}

/* The id of the last event that was heard; every one after the first is one more than before. */
static unsigned long long consecutive(unsigned long long *first)
{
	unsigned long long last = 0, id;

	*first = 0;
	for (const char *p = heard; (p = strstr(p, "\nid: ")) && strstr(p, "\n\n"); p++) {
		id = strtoull(p + 5, NULL, 10);
		if (last && id != last + 1)
			fail_msg("event %llu follows %llu", id, last);
		if (!last)
			*first = id;
		last = id;
	}
	assert_true(last > 0);
	return last;
}

/* The connection is lost for a while, and nothing that happened meanwhile is. */
static void test_live_catches_up(void **state)
{
	unsigned long long last, first;
	char header[64];
	struct http_answer a;

	(void)state;
	scene_need(&scene);
	forget();
	int fd = listen_to("");
	assert_true(hear(fd, "event: sample", 5000));
	close(fd);
	last = consecutive(&first);
	http("POST", "http://127.0.0.1:8080/v1/faults",
	     "{\"service\":\"auth\",\"type\":\"error\",\"probability\":0.01,\"duration_s\":1}",
	     ours, &a);
	assert_int_equal(a.status, 201);
	http_release(&a);
	nanosleep(&(struct timespec){ .tv_sec = 3 }, NULL);
	snprintf(header, sizeof(header), "Last-Event-ID: %llu\r\n", last);
	forget();
	CLEANUP(closep) int again = listen_to(header);
	assert_true(hear(again, "\"state\":\"expired\"", 5000));
	for (unsigned i = 0; i < 50 && count(heard, "event: sample") < 2; i++)
		hear(again, "no such thing", 100);
	assert_true(count(heard, "event: sample") >= 2);
	assert_null(strstr(heard, "event: reset"));
	consecutive(&first);
	assert_int_equal(first, last + 1);
}

/* ---- many */

static double lost(const char *stage)
{
	struct http_answer a;
	char series[96];
	double n = -1;

	snprintf(series, sizeof(series), "archaic_events_lost_total{stage=\"%s\"} ", stage);
	http("GET", "http://127.0.0.1:8006/metrics", NULL, NULL, &a);
	const char *at = strstr(a.body, series);
	if (at)
		n = strtod(strchr(at, '}') + 1, NULL);
	http_release(&a);
	return n;
}

static void test_live_fifty_listeners_delay_nothing(void **state)
{
	int fds[LISTENERS];
	double before = lost("ticks_late");

	(void)state;
	scene_need(&scene);
	assert_true(before >= 0);
	for (size_t i = 0; i < LISTENERS; i++)
		fds[i] = listen_to("");
	/* Half of them never read. */
	for (int round = 0; round < 5; round++)
		for (size_t i = 0; i < LISTENERS; i += 2) {
			forget();
			if (!hear(fds[i], "event: sample", 5000))
				fail_msg("listener %zu hears nothing", i);
		}
	/* On a busy machine a tick is late now and then; fifty listeners add no more than that. */
	double late = lost("ticks_late") - before;
	print_message("%d listeners: %.0f late ticks\n", LISTENERS, late);
	assert_true(late <= 3);
	for (size_t i = 0; i < LISTENERS; i++)
		close(fds[i]);
}

/* A flood of requests is answered, and not all of it written down: what is left out is counted. */
static void test_live_audit_is_bounded(void **state)
{
	CLEANUP(json_freep) cJSON *audit = NULL;
	const cJSON *item;
	uint64_t start = clock_mono_ns();
	size_t written = 0;

	(void)state;
	scene_need(&scene);
	double before = lost("audit_requests");
	assert_true(before >= 0);
	for (int i = 0; i < 200; i++)
		assert_int_equal(http_status("DELETE",
					     "http://127.0.0.1:8080/v1/faults?service=payment",
					     NULL, ours),
				 200);
	double left_out = lost("audit_requests") - before;
	double took_s = (double)(clock_mono_ns() - start) / 1e9;
	assert_int_equal(scene_api(&scene, "GET", "/v1/audit?limit=500", NULL, &audit), 200);
	cJSON_ArrayForEach(item, cJSON_GetObjectItem(audit, "items")) {
		const cJSON *data = cJSON_GetObjectItem(item, "data");
		const char *query = json_str(data, "query");
		written += query && !strcmp(query, "service=payment");
	}
	print_message("200 in %.1f s: %zu written, %.0f left out\n", took_s, written, left_out);
	assert_true((double)written + left_out == 200);
	/* A burst of 60, and two a second. */
	assert_true((double)written <= 60 + 2 * took_s + 1);
}

/* ---- load */

static bool load_is_heard(void *arg)
{
	CLEANUP(json_freep) cJSON *j = NULL;

	scene_api(&scene, "GET", arg, NULL, &j);
	return json_num(j, "vus", 0) > 0 && json_num(j, "requests", 0) > 10;
}

static void test_live_load_runs_and_stops(void **state)
{
	char url[96];
	struct http_answer a;

	(void)state;
	scene_need(&scene);
	CLEANUP(closep) int fd = listen_to("");
	assert_true(hear(fd, "event: sample", 5000));
	http("POST", "http://127.0.0.1:8080/v1/loads", "{\"shape\":\"normal\"}", ours, &a);
	if (a.status != 201)
		fail_msg("%d %s", a.status, a.body);
	snprintf(url, sizeof(url), "/v1/loads/%s", json_str(a.json, "id"));
	http_release(&a);
	assert_int_equal(http_status("POST", "http://127.0.0.1:8080/v1/loads",
				     "{\"shape\":\"spike\"}", ours),
			 409);
	assert_true(wait_true(load_is_heard, url, 15000));
	assert_true(hear(fd, "event: load", 3000));
	char whole[128];
	snprintf(whole, sizeof(whole), "http://127.0.0.1:8080%s", url);
	http("DELETE", whole, NULL, ours, &a);
	assert_int_equal(a.status, 200);
	assert_string_equal(json_str(a.json, "state"), "stopped");
	http_release(&a);
}

static void test_live_leaves_in_order(void **state)
{
	(void)state;
	scene_need(&scene);
	/* With a listener and a load test at work. */
	CLEANUP(closep) int fd = listen_to("");
	http_status("POST", "http://127.0.0.1:8080/v1/loads", "{\"shape\":\"normal\"}", ours);
	forget();
	assert_true(hear(fd, "event: ", 5000));
	int status = scene_daemon_end(&scene, SIGTERM);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live_samples_come_once_a_second),
		cmocka_unit_test(test_live_fault_is_seen_at_once_and_in_the_history),
		cmocka_unit_test(test_live_catches_up),
		cmocka_unit_test(test_live_fifty_listeners_delay_nothing),
		cmocka_unit_test(test_live_audit_is_bounded),
		cmocka_unit_test(test_live_load_runs_and_stops),
		cmocka_unit_test(test_live_leaves_in_order),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
