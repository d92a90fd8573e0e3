// SPDX-License-Identifier: GPL-2.0-or-later
/* The control server over real sockets: what it answers, bounds and survives. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "api_rig.h"
#include "base/clock.h"
#include "base/util.h"
#include "serve/listen.h"

static void test_api_answers_on_every_listener(void **state)
{
	rig_need(state);
	rig_start(rig_config());
	assert_int_equal(get(SERVER_CONTROL, "/v1/health", ""), 200);
	assert_non_null(strstr(answer, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(answer, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(strstr(answer, "\"uptime_s\":1"));
	assert_int_equal(get(SERVER_OPERATOR, "/health", ""), 200);
	assert_int_equal(get(SERVER_DETECTOR, "/metrics", ""), 200);
	assert_non_null(strstr(answer, "text/plain; version=0.0.4"));
	assert_non_null(strstr(answer, "archaic_build_info{version=\"0\"} 1\n"));
	assert_int_equal(
		get(SERVER_DETECTOR, "/metrics", "Accept: application/openmetrics-text\r\n"), 200);
	assert_non_null(strstr(answer, "# EOF\n"));
	assert_int_equal(get(SERVER_CONTROL, "/v1/openapi.json", ""), 200);
	assert_int_equal(get(SERVER_DETECTOR, "/api/v1/query?query=up", ""), 503);
	assert_non_null(strstr(answer, "PROMETHEUS_URL"));
	assert_int_equal(raw(SERVER_CONTROL,
			     "HEAD /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
			 200);
	assert_null(strstr(answer, "uptime_s"));
	assert_int_equal(
		raw(SERVER_CONTROL,
		    "PUT /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
		405);
	assert_non_null(strstr(answer, "\r\nAllow: GET, HEAD, POST\r\n"));
	assert_int_equal(post(SERVER_CONTROL, "/v1/faults", "",
			      "{\"service\":\"db\",\"type\":\"timeout\"}"),
			 201);
	assert_non_null(strstr(answer, "\r\nLocation: /v1/faults/f-db\r\n"));
	struct server_stats s;
	server_stats(server, &s);
	assert_int_equal(s.requests, 9);
}

static void test_api_keeps_a_connection_and_pipelines(void **state)
{
	static const char two[] =
		"GET /v1/mode HTTP/1.1\r\nHost: x\r\n\r\n"
		"POST /v1/mode HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{\"mode\":\"observe\"}"
		"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

	rig_need(state);
	rig_start(rig_config());
	assert_int_equal(raw(SERVER_CONTROL, two), 200);
	const char *second = strstr(answer + 8, "HTTP/1.1 200");
	assert_non_null(second);
	assert_non_null(strstr(second + 8, "HTTP/1.1 404"));
	assert_string_equal(fake.mode, "observe");
}

static void test_api_refuses_other_hosts_and_origins_on_tcp(void **state)
{
	struct server_stats s;
	struct server_config c = rig_config();

	rig_need(state);
	c.names[0] = "box.lan";
	rig_start(c);
	assert_int_equal(get(SERVER_DETECTOR, "/health", "Host: evil.example\r\n"), 403);
	assert_non_null(strstr(answer, "application/problem+json"));
	assert_int_equal(get(SERVER_DETECTOR, "/health", "Host: 127.0.0.1:8006\r\n"), 200);
	assert_int_equal(get(SERVER_DETECTOR, "/health", "Host: box.lan\r\n"), 200);
	assert_int_equal(raw(SERVER_DETECTOR, "GET /health HTTP/1.0\r\n\r\n"), 403);
	assert_int_equal(post(SERVER_OPERATOR, "/incidents/i-0001/approve",
			      "Origin: http://evil.example\r\n", ""),
			 403);
	assert_int_equal(post(SERVER_OPERATOR, "/incidents/i-0001/approve", "Origin: null\r\n", ""),
			 403);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(post(SERVER_OPERATOR, "/incidents/i-0001/approve",
			      "Origin: http://localhost\r\n", ""),
			 200);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.who.transport, TRANSPORT_TCP);
	assert_false(fake.who.is_root);
	/* No browser reaches the Unix socket. */
	assert_int_equal(get(SERVER_CONTROL, "/v1/health", "Host: evil.example\r\n"), 200);
	server_stats(server, &s);
	assert_int_equal(s.refused_origin, 4);
}

static void test_api_bounds_the_body(void **state)
{
	static char text[SERVER_BODY_MAX + 4096];
	static const char head[] =
		"POST /v1/services HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100800\r\n";

	rig_need(state);
	rig_start(rig_config());
	assert_int_equal(
		raw(SERVER_CONTROL,
		    "POST /v1/services HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n{"),
		413);
	assert_non_null(strstr(answer, "application/problem+json"));
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));

	/* Nothing announced: counted as it comes. */
	CLEANUP(closep) int fd = dial_unix();
	memset(text, ' ', sizeof(text));
	put(fd, head, sizeof(head) - 1);
	put(fd, text, 0x100800);
	put(fd, "\r\n0\r\n\r\n", 7);
	assert_int_equal(hear(fd, 8000), 413);

	/* Just fits, and is one JSON text. */
	CLEANUP(closep) int other = dial_unix();
	static const char fits[] =
		"POST /v1/mode HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\nConnection: close\r\n\r\n";
	memcpy(text, "{\"mode\":\"auto\"}", 15);
	put(other, fits, sizeof(fits) - 1);
	put(other, text, SERVER_BODY_MAX);
	assert_int_equal(hear(other, 8000), 200);
}

static void test_api_survives_what_is_not_http(void **state)
{
	static const char *const cases[] = {
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"GET /v1/health HTTP/1.1\r\n\r\n",
		"GET /v1/health HTTP/1.1\r\nHost x\r\n\r\n",
		"POST /v1/mode HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"POST /v1/mode HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST /v1/mode HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n",
		"GET /%00%ff\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	};
	static char large[64 << 10];

	rig_need(state);
	rig_start(rig_config());
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(closep) int fd = dial_unix();
		assert_true(fd >= 0);
		put(fd, cases[i], strlen(cases[i]));
		shutdown(fd, SHUT_WR);
		int status = hear(fd, 8000);
		if (status == 200 || (status >= 500 && status != 505))
			fail_msg("case %zu: %d", i, status);
	}
	memset(large, 'a', sizeof(large) - 1);
	memcpy(large, "GET /v1/health HTTP/1.1\r\nHost: x\r\nX: ", 37);
	CLEANUP(closep) int fd = dial_unix();
	put(fd, large, sizeof(large) - 1);
	int status = hear(fd, 8000);
	assert_true(status == 0 || (status >= 400 && status < 500));
	assert_int_equal(get(SERVER_CONTROL, "/v1/health", ""), 200);
}

/* A drip of bytes keeps no thread longer than the request's time, and delays nobody meanwhile. */
static void test_api_cuts_off_a_slow_client(void **state)
{
	static const char head[] =
		"POST /v1/mode HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
	struct server_stats s;

	rig_need(state);
	rig_start(rig_config());
	CLEANUP(closep) int fd = dial_unix();
	uint64_t began = clock_mono_ns();
	put(fd, head, sizeof(head) - 1);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	/* The request's time is 2 s here, and the sweeper comes once a second. */
	while (!poll(&p, 1, 200) && clock_mono_ns() - began < 10 * NSEC_PER_SEC) {
		put(fd, " ", 1);
		assert_int_equal(get(SERVER_CONTROL, "/v1/health", ""), 200);
	}
	assert_true(clock_mono_ns() - began < 5 * NSEC_PER_SEC);
	assert_true(clock_mono_ns() - began > 1 * NSEC_PER_SEC);
	server_stats(server, &s);
	assert_int_equal(s.too_slow, 1);
}

static void test_api_answers_others_while_one_waits(void **state)
{
	rig_need(state);
	rig_start(rig_config());
	fake.hold_ms = 1500;
	CLEANUP(closep) int fd = dial_unix();
	static const char slow[] =
		"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	put(fd, slow, sizeof(slow) - 1);
	uint64_t began = clock_mono_ns();
	for (int i = 0; i < 20; i++)
		assert_int_equal(get(SERVER_CONTROL, "/v1/services", ""), 200);
	assert_true(clock_mono_ns() - began < 1200 * NSEC_PER_MSEC);
	assert_int_equal(hear(fd, 8000), 200);
}

static void test_api_listens_on_ipv6_too(void **state)
{
	struct server_config c = rig_config();

	rig_need(state);
	c.listen = "::1";
	rig_start(c);
	struct sockaddr_in6 in = { .sin6_family = AF_INET6,
				   .sin6_port = htons(server_port(server, SERVER_DETECTOR)),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	CLEANUP(closep) int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	static const char ask[] =
		"GET /health HTTP/1.1\r\nHost: [::1]:8006\r\nConnection: close\r\n\r\n";
	put(fd, ask, sizeof(ask) - 1);
	assert_int_equal(hear(fd, 8000), 200);
}

static void test_api_passes_queries_on(void **state)
{
	struct server_config c = rig_config();
	CLEANUP(closep) int fd = -1;
	struct problem p;
	char url[64], got[2048] = "";
	uint16_t port;
	int say[2];

	rig_need(state);
	assert_int_equal(listen_tcp("127.0.0.1", 0, "", &fd, &port, &p), 0);
	assert_int_equal(pipe(say), 0);
	pid_t pid = fork();
	if (!pid) {
		static const char reply[] =
			"HTTP/1.1 422 X\r\nContent-Type: application/json\r\nContent-Length: 18\r\n"
			"Connection: close\r\n\r\n{\"status\":\"error\"}";
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		for (int i = 0; i < 2; i++) {
			poll(&ready, 1, 8000);
			int conn = accept(fd, NULL, NULL);
			usleep(100000);
			ssize_t n = read(conn, got, sizeof(got));
			n = write(say[1], got, n > 0 ? (size_t)n : 0);
			put(conn, reply, sizeof(reply) - 1);
			close(conn);
		}
		_exit(0);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	c.prometheus_url = url;
	rig_start(c);
	assert_int_equal(get(SERVER_DETECTOR, "/api/v1/query?query=up%7Ba%3D%22b%22%7D&x=1", ""),
			 422);
	assert_non_null(strstr(answer, "{\"status\":\"error\"}"));
	assert_true(read(say[0], got, sizeof(got) - 1) > 0);
	assert_ptr_equal(
		strstr(got, "GET /api/v1/query?query=up%7Ba%3D%22b%22%7D&x=1 HTTP/1.1\r\n"), got);
	assert_int_equal(
		raw(SERVER_DETECTOR,
		    "POST /api/v1/query_range HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n"
		    "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\nquery=up"),
		422);
	memset(got, 0, sizeof(got));
	assert_true(read(say[0], got, sizeof(got) - 1) > 0);
	assert_ptr_equal(strstr(got, "POST /api/v1/query_range HTTP/1.1\r\n"), got);
	assert_non_null(strstr(got, "\r\n\r\nquery=up"));
	waitpid(pid, NULL, 0);
	close(say[0]);
	close(say[1]);
	close(TAKE_FD(fd));
	/* Nobody there any more. */
	assert_int_equal(get(SERVER_DETECTOR, "/api/v1/query?query=up", ""), 502);
	assert_non_null(strstr(answer, "application/problem+json"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_api_answers_on_every_listener),
		CASE(test_api_keeps_a_connection_and_pipelines),
		CASE(test_api_refuses_other_hosts_and_origins_on_tcp),
		CASE(test_api_bounds_the_body),
		CASE(test_api_survives_what_is_not_http),
		CASE(test_api_cuts_off_a_slow_client),
		CASE(test_api_answers_others_while_one_waits),
		CASE(test_api_listens_on_ipv6_too),
		CASE(test_api_passes_queries_on),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
