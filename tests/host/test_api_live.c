// SPDX-License-Identifier: GPL-2.0-or-later
/* What the pages read as it happens: streams that catch up and hold nobody up, and history. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "api_rig.h"
#include "base/clock.h"
#include "base/util.h"
#include "serve/events.h"
#include "serve/listen.h"

static struct events *events;

static int set_up(void **state)
{
	int err = rig_setup(state);

	if (!err)
		err = events_new(1, &events);
	fake.events = events;
	return err;
}

static int tear_down(void **state)
{
	int err = rig_teardown(state);

	events_free(events);
	events = NULL;
	return err;
}

/* ---- series */

static void test_pages_give_series(void **state)
{
	static const char *const bad[] = {
		"",
		"?service=db&metric=nothing",
		"?service=db&step=0",
		"?service=db&step=1.5",
		"?service=db&from=yesterday",
		"?service=db&from=2000&to=1000",
		"?service=db&from=1000&to=90000&step=1",
		"?service=db&from=0&to=2000000000",
		"?service=db&what=ever",
	};

	rig_need(state);
	rig_start(rig_config());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char target[128];
		snprintf(target, sizeof(target), "/v1/series%s", bad[i]);
		if (get(SERVER_DASHBOARD, target, "") != 400)
			fail_msg("%s: %.20s", target, answer);
	}
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/series?service=nobody", ""), 404);
	assert_int_equal(get(SERVER_DASHBOARD,
			     "/v1/series?service=db&metric=rate_per_s,p99_ms,heat", ""),
			 200);
	assert_int_equal(fake.series.to_s - fake.series.from_s, 300);
	assert_int_equal(fake.series.step_s, 1);
	assert_non_null(strstr(answer, "\"values\":[7,null,"));
	assert_non_null(strstr(answer, "\"heat\":{\"bounds_ms\":[0.1,"));
	assert_int_equal(
		get(SERVER_CHAOS,
		    "/v1/series?service=db&from=2026-11-24T10:00:00Z&to=1795514400&step=60", ""),
		400);
	assert_int_equal(
		get(SERVER_CHAOS,
		    "/v1/series?service=db&from=2026-11-24T10:00:00Z&to=1795518000&step=60", ""),
		200);
	assert_int_equal(fake.series.from_s, 1795514400);
}

/* A server that gives one value, for the step that ends a minute after 10:00, and shows what it was asked. */
static void *be_prometheus(void *arg)
{
	static const char reply[] =
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
		"Connection: close\r\n\r\n"
		"{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":["
		"{\"values\":[[1795514460,\"42\"]]}]}}      \n";
	int fd = *(int *)arg;
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char got[2048] = "";

	if (poll(&ready, 1, 8000) <= 0)
		return NULL;
	CLEANUP(closep) int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct pollfd asked = { .fd = conn, .events = POLLIN };
	ssize_t n = poll(&asked, 1, 8000) > 0 ? read(conn, got, sizeof(got) - 1) : 0;
	put(conn, reply, sizeof(reply) - 1);
	return n > 0 ? strdup(got) : NULL;
}

/* What is older than our memory: the fake knows the first step only as 7, and not when it began. */
static void test_pages_take_older_series_from_prometheus(void **state)
{
	struct server_config c = rig_config();
	CLEANUP(closep) int fd = -1;
	struct problem p;
	pthread_t thread;
	uint16_t port;
	char url[64];
	void *got = NULL;

	rig_need(state);
	assert_int_equal(listen_tcp("127.0.0.1", 0, "", &fd, &port, &p), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	c.prometheus_url = url;
	rig_start(c);
	assert_int_equal(pthread_create(&thread, NULL, be_prometheus, &fd), 0);
	/* 2026-11-24T10:00:00Z is 1795514400. Self time is not to be had there: it is not asked for. */
	assert_int_equal(
		get(SERVER_DASHBOARD,
		    "/v1/series?service=db&metric=p99_ms,self_mean_ms&from=1795514400&to=1795514580&step=60",
		    ""),
		200);
	assert_int_equal(pthread_join(thread, &got), 0);
	assert_non_null(got);
	assert_non_null(strstr(got, "GET /api/v1/query_range?query=histogram_quantile"));
	assert_non_null(strstr(got, "&start=1795514460&end=1795514580&step=60 "));
	free(got);
	assert_non_null(
		strstr(answer, "\"metric\":\"p99_ms\",\"unit\":\"ms\",\"values\":[42,null,null]"));
	assert_non_null(strstr(
		answer, "\"metric\":\"self_mean_ms\",\"unit\":\"ms\",\"values\":[null,null,null]"));
	/* It is gone: the answer is what we know ourselves, and comes all the same. */
	close(TAKE_FD(fd));
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/series?service=db&metric=rate_per_s", ""), 200);
	assert_non_null(strstr(answer, "\"values\":[7,null,"));
}

/* ---- events */

static int listen_to(const char *headers)
{
	char text[256];
	int fd = dial(SERVER_DASHBOARD);

	snprintf(text, sizeof(text), "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
		 headers);
	put(fd, text, strlen(text));
	return fd;
}

/* Reads into answer until @wanted is there, or 5 s without it. */
static bool hear_of(int fd, const char *wanted)
{
	size_t len = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t until = clock_mono_ns() + 5 * NSEC_PER_SEC;

	answer[0] = '\0';
	while (!strstr(answer, wanted) && clock_mono_ns() < until && len < sizeof(answer) - 1)
		if (poll(&p, 1, 100) > 0) {
			ssize_t n = read(fd, answer + len, sizeof(answer) - 1 - len);
			if (n <= 0)
				return false;
			len += (size_t)n;
			answer[len] = '\0';
		}
	return strstr(answer, wanted);
}

static void wait_for_listeners(unsigned nr)
{
	struct events_stats s;
	uint64_t until = clock_mono_ns() + 10 * NSEC_PER_SEC;
	struct timespec moment = { .tv_nsec = 10000000 };

	do {
		events_stats(events, &s);
		if (s.listeners == nr)
			return;
		nanosleep(&moment, NULL);
	} while (clock_mono_ns() < until);
	fail_msg("%u listeners instead of %u", s.listeners, nr);
}

static void test_pages_stream_events(void **state)
{
	rig_need(state);
	rig_start(rig_config());
	CLEANUP(closep) int fd = listen_to("");
	assert_true(hear_of(fd, "\r\n\r\n"));
	assert_true(answer_has("Content-Type: text/event-stream; charset=utf-8"));
	assert_true(answer_has("Cache-Control: no-store"));
	wait_for_listeners(1);
	events_publish(events, "fault", "{\"id\":\"f-1\"}");
	assert_true(hear_of(fd, "id: 1\nevent: fault\ndata: {\"id\":\"f-1\"}\n\n"));
	for (int i = 0; i < 3; i++)
		events_publish(events, "load", "{}");
	assert_true(hear_of(fd, "id: 4\n"));

	/* The connection is lost; what was missed comes with the next one. */
	CLEANUP(closep) int again = listen_to("Last-Event-ID: 2\r\n");
	assert_true(hear_of(again, "id: 4\n"));
	assert_non_null(strstr(answer, "id: 3\n"));
	assert_null(strstr(answer, "id: 2\n"));
	CLEANUP(closep) int strange = listen_to("Last-Event-ID: 77\r\n");
	assert_true(hear_of(strange, "event: reset\n"));
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/events?last_event_id=x", ""), 400);
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/events", "Last-Event-ID: -3\r\n"), 400);
}

static void test_pages_bound_their_listeners(void **state)
{
	int fds[EVENTS_LISTENERS_MAX];
	struct server_config c = rig_config();

	rig_need(state);
	rig_start(c);
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++)
		fds[i] = listen_to("");
	wait_for_listeners(EVENTS_LISTENERS_MAX);
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/events", ""), 503);
	/* They wait, and hold nobody: others are answered. */
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/health", ""), 200);
	events_publish(events, "sample", "{\"t\":1}");
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++)
		assert_true(hear_of(fds[i], "{\"t\":1}"));
	/* A page that is closed makes room, at the latest when it is written to. */
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++)
		close(fds[i]);
	events_publish(events, "sample", "{\"t\":2}");
	events_publish(events, "sample", "{\"t\":3}");
	wait_for_listeners(0);

	/* The server ends at once, though somebody listens. */
	CLEANUP(closep) int last = listen_to("");
	wait_for_listeners(1);
	uint64_t start = clock_mono_ns();
	server_stop(server);
	server = NULL;
	assert_true(clock_mono_ns() - start < 2 * NSEC_PER_SEC);
	wait_for_listeners(0);
}

/* It takes nothing, and so much is for it that it cannot: it is cut, and nobody else notices. */
static void test_pages_cut_a_listener_that_stalls(void **state)
{
	struct server_config c = rig_config();
	CLEANUP(freep) char *large = malloc(1 << 20);
	struct events_stats s;

	rig_need(state);
	c.stall_s = 1;
	rig_start(c);
	assert_non_null(large);
	memset(large, '1', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
	CLEANUP(closep) int stalled = listen_to("");
	CLEANUP(closep) int well = listen_to("");
	wait_for_listeners(2);
	uint64_t start = clock_mono_ns();
	for (int i = 0; i < 16; i++)
		events_publish(events, "sample", large);
	events_publish(events, "fault", "{\"id\":\"last\"}");
	assert_true(clock_mono_ns() - start < NSEC_PER_SEC);
	/* The other one reads all of it: only its end is looked at. */
	char tail[65536 + 1] = "";
	while (!strstr(tail, "\"last\"")) {
		ssize_t n = read(well, tail, sizeof(tail) - 1);
		assert_true(n > 0);
		tail[n] = '\0';
	}
	wait_for_listeners(1);
	events_stats(events, &s);
	assert_int_equal(s.dropped_slow, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pages_give_series),
		CASE(test_pages_take_older_series_from_prometheus),
		CASE(test_pages_stream_events),
		CASE(test_pages_bound_their_listeners),
		CASE(test_pages_cut_a_listener_that_stalls),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
