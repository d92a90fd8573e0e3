// SPDX-License-Identifier: GPL-2.0-or-later
/* The generator against real sockets: servers that count, take a known time, stall, break off and talk rubbish. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "tests/lib/httpd.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"
#include "tools/load/gen.h"
#include "tools/load/slow.h"

static bool alone; /* in a namespace of our own */
static struct tally tally;
static struct buf text;

static int set_up(void **state)
{
	(void)state;
	alone = !netns_enter();
	if (!alone)
		printf("SKIP test_load_http: a network namespace needs root\n");
	curl_global_init(CURL_GLOBAL_ALL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_release(&text);
	curl_global_cleanup();
	return 0;
}

static void need_namespace(void)
{
	if (!alone)
		skip();
}

static pid_t start_slow(const struct slow_options *o, uint16_t *port)
{
	*port = 0;
	int fd = slow_listen(port);
	pid_t parent = getpid(), pid;

	assert_true(fd >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		_exit(slow_serve(fd, o) ? 1 : 0);
	}
	close(fd);
	return pid;
}

static void stop(pid_t pid)
{
	proc_end(pid, SIGKILL, 2000);
}

static uint64_t served(uint16_t port)
{
	struct http_answer a;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/count", port);
	http("GET", url, NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	uint64_t n = strtoull(a.body, NULL, 10);
	http_release(&a);
	return n;
}

static struct gen_options options(unsigned int connections, unsigned int depth)
{
	return (struct gen_options){ .connections = connections,
				     .depth = depth,
				     .timeout_ns = 10 * NSEC_PER_SEC };
}

/* One run against @host's @path; gen_run()'s result. */
static int run_at(struct gen_options *o, const char *host, uint16_t port, const char *path,
		  const char *method, bool close_each)
{
	const struct gen_request rq = { .method = method, .close = close_each };
	static struct target t;
	const char *why;
	char url[128];
	int signal = 0;

	snprintf(url, sizeof(url), "http://%s:%u%s", host, port, path);
	assert_int_equal(target_parse(url, &t, &why), 0);
	int err = target_connect(&t, 2000);
	if (err)
		return err;
	buf_release(&text);
	buf_init(&text, GEN_REQUEST_MAX);
	assert_int_equal(gen_build(&t, &rq, &text), 0);
	o->target = &t;
	o->text = text.data;
	o->text_len = text.len;
	o->head_only = !strcmp(method, "HEAD");
	memset(&tally, 0, sizeof(tally));
	err = gen_run(o, &tally, &signal);
	assert_int_equal(signal, 0);
	return err;
}

static int run(struct gen_options *o, uint16_t port)
{
	return run_at(o, "127.0.0.1", port, "/", "GET", false);
}

static void all_well(uint64_t nr)
{
	assert_int_equal(tally.requests, nr);
	assert_int_equal(tally.errors, 0);
	assert_int_equal(tally.status[200], nr);
	assert_int_equal(tally.latency.total, nr + tally.unsent);
	assert_int_equal(tally.service.total, nr);
}

static void test_load_counts_are_the_servers(void **state)
{
	static const struct {
		unsigned int connections, depth;
		bool close;
	} cases[] = {
		{ 1, 1, false }, { 8, 1, false }, { 8, 16, false }, { 3, 64, false }, { 4, 1, true }
	};
	const struct slow_options so = { 0 };
	uint64_t before = 0;
	uint16_t port;

	(void)state;
	need_namespace();
	pid_t server = start_slow(&so, &port);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gen_options o = options(cases[i].connections, cases[i].depth);

		o.requests = cases[i].close ? 200 : 5000;
		assert_int_equal(run_at(&o, "127.0.0.1", port, "/x", "GET", cases[i].close), 0);
		all_well(o.requests);
		assert_int_equal(served(port), before + o.requests);
		before += o.requests;
		assert_int_equal(tally.bytes_out, o.requests * text.len);
		if (!cases[i].close)
			assert_int_equal(tally.connects, cases[i].connections);
	}
	stop(server);
}

static void test_load_ends_by_time_and_waits_for_the_last(void **state)
{
	const struct slow_options so = { .takes_ns = 30 * NSEC_PER_MSEC };
	struct gen_options o = options(4, 4);
	uint16_t port;

	(void)state;
	need_namespace();
	pid_t server = start_slow(&so, &port);
	o.duration_ns = 300 * NSEC_PER_MSEC;
	assert_int_equal(run(&o, port), 0);
	assert_true(tally.requests >= 16);
	all_well(tally.requests);
	assert_int_equal(served(port), tally.requests);
	/* It takes 30 ms, and nobody may have been faster. */
	assert_true(tally.latency.min_ns >= 30 * NSEC_PER_MSEC);
	assert_true(tally.service.min_ns >= 30 * NSEC_PER_MSEC);
	stop(server);
}

static void test_load_keeps_its_schedule(void **state)
{
	const struct slow_options so = { .takes_ns = 5 * NSEC_PER_MSEC };
	struct gen_options o = options(64, 1);
	uint16_t port;

	(void)state;
	need_namespace();
	pid_t server = start_slow(&so, &port);
	o.rate_per_s = 500;
	o.duration_ns = NSEC_PER_SEC;
	assert_int_equal(run(&o, port), 0);
	/* 500 were due; on a machine that is elsewhere at the very end some may not have been sent, and it says so. */
	assert_int_equal(tally.requests + tally.unsent, 500);
	all_well(tally.requests);
	assert_int_equal(served(port), tally.requests);
	assert_true(tally.end_ns - tally.start_ns >= 998 * NSEC_PER_MSEC);
	/* Latency counts from when it was due, so it is never the shorter of the two. */
	assert_true(hist_quantile(&tally.latency, .5) >= hist_quantile(&tally.service, .5));
	stop(server);
}

static uint64_t slower_than(const struct hist *h, uint64_t ns)
{
	uint64_t nr = 0;

	for (size_t i = hist_slot(ns) + 1; i < HIST_SLOTS; i++)
		nr += h->slots[i];
	return nr;
}

/*
 * A server that stalls for 600 ms: of 500 requests a second, 300 are due meanwhile and wait between
 * 600 and 0 ms. A closed loop of four connections asks four times, and tells of four slow requests.
 */
static void test_load_leaves_no_wait_out(void **state)
{
	const struct slow_options so = { .stall_after_ns = 200 * NSEC_PER_MSEC,
					 .stall_for_ns = 600 * NSEC_PER_MSEC };
	struct gen_options o = options(4, 1);
	uint64_t waited, sent_slow;
	uint16_t port;

	(void)state;
	need_namespace();
	pid_t server = start_slow(&so, &port);
	o.duration_ns = 1500 * NSEC_PER_MSEC;
	o.rate_per_s = 500;
	assert_int_equal(run(&o, port), 0);
	assert_int_equal(tally.requests + tally.unsent, 750);
	waited = slower_than(&tally.latency, 200 * NSEC_PER_MSEC);
	sent_slow = slower_than(&tally.service, 200 * NSEC_PER_MSEC);
	/* Due in the stall's first 400 ms. What waited was sent late, and answered at once: service time does not tell. */
	assert_true(waited >= 180);
	assert_true(waited >= 10 * sent_slow);
	assert_true(hist_quantile(&tally.latency, .9) >= 200 * NSEC_PER_MSEC);
	stop(server);

	server = start_slow(&so, &port);
	o.rate_per_s = 0;
	assert_int_equal(run(&o, port), 0);
	/* That is what a closed loop cannot see: 4 slow ones among all the others. */
	assert_true(slower_than(&tally.latency, 500 * NSEC_PER_MSEC) <= 8);
	assert_true(tally.requests > 100);
	stop(server);
}

/* Ten times as much as the server can take: what was due and never sent is told, with its wait. */
static void test_load_tells_what_it_could_not_send(void **state)
{
	const struct slow_options so = { .takes_ns = 100 * NSEC_PER_MSEC };
	struct gen_options o = options(2, 1);
	uint16_t port;

	(void)state;
	need_namespace();
	pid_t server = start_slow(&so, &port);
	o.rate_per_s = 200;
	o.duration_ns = NSEC_PER_SEC;
	assert_int_equal(run(&o, port), 0);
	assert_int_equal(tally.requests + tally.unsent, 200);
	assert_true(tally.requests <= 22);
	assert_int_equal(tally.latency.total, 200);
	assert_int_equal(served(port), tally.requests);
	assert_true(hist_quantile(&tally.latency, .5) >= 300 * NSEC_PER_MSEC);
	stop(server);
}

static void test_load_reads_every_kind_of_answer(void **state)
{
	static const struct {
		const char *path, *method;
		int status;
		unsigned int depth;
		uint64_t errors;
	} cases[] = {
		{ "/200/5", "GET", 200, 4, 0 },
		{ "/200/100000", "GET", 200, 2, 0 },
		{ "/200/3333/chunked", "GET", 200, 4, 0 },
		{ "/200/50/split", "GET", 200, 2, 0 },
		{ "/200/9/continue", "GET", 200, 4, 0 },
		{ "/200/70000/file", "GET", 200, 1, 0 },
		{ "/204/0", "GET", 204, 4, 0 },
		{ "/304/7", "GET", 304, 4, 0 },
		{ "/200/99", "HEAD", 200, 4, 0 },
		{ "/200/500/close", "GET", 200, 1, 0 },
		{ "/404/5", "GET", 404, 4, 40 },
		{ "/503/0", "GET", 503, 1, 40 },
	};
	struct httpd h;

	(void)state;
	need_namespace();
	assert_int_equal(httpd_start(&h, 0, false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gen_options o = options(2, cases[i].depth);
		/* IPv6 and IPv4 in turns. */
		const char *host = i % 2 ? "[::1]" : "127.0.0.1";

		o.requests = 40;
		assert_int_equal(run_at(&o, host, h.port, cases[i].path, cases[i].method, false),
				 0);
		if (tally.status[cases[i].status] != 40 || tally.errors != cases[i].errors)
			fail_msg("%s %s: %u answers of 40, %u errors", cases[i].method,
				 cases[i].path, (unsigned int)tally.status[cases[i].status],
				 (unsigned int)tally.errors);
		assert_int_equal(tally.failures[FAIL_STATUS], cases[i].errors);
	}
	httpd_stop(&h);
}

static void test_load_does_not_wait_for_ever(void **state)
{
	struct gen_options o = options(2, 2);
	struct httpd h;

	(void)state;
	need_namespace();
	assert_int_equal(httpd_start(&h, 0, false), 0);
	o.requests = 8;
	o.timeout_ns = 100 * NSEC_PER_MSEC;
	assert_int_equal(run_at(&o, "127.0.0.1", h.port, "/0/0", "GET", false), 0);
	assert_int_equal(tally.requests, 8);
	assert_int_equal(tally.failures[FAIL_TIMEOUT], 8);
	assert_true(tally.latency.min_ns >= 100 * NSEC_PER_MSEC);
	httpd_stop(&h);
}

static void test_load_tells_rubbish_from_silence(void **state)
{
	static const struct {
		const char *say;
		enum failure why;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", FAIL_PROTOCOL },
		{ "SSH-2.0-OpenSSH\r\n", FAIL_PROTOCOL },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", FAIL_CUT },
		{ "HTTP/1.1 200", FAIL_CUT },
		{ "", FAIL_CUT },
	};
	struct stub *s;

	(void)state;
	need_namespace();
	s = stub_start(9901, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gen_options o = options(1, 1);

		stub_say(s, cases[i].say);
		o.requests = 3;
		o.timeout_ns = 2 * NSEC_PER_SEC;
		assert_int_equal(run(&o, 9901), 0);
		assert_int_equal(tally.requests, 3);
		if (tally.failures[cases[i].why] != 3)
			fail_msg("case %zu: %u of 3 as expected", i,
				 (unsigned int)tally.failures[cases[i].why]);
	}
	stub_stop(s);
}

static pid_t victim;

static int kill_server(void *ctx, const struct tally *t, uint64_t now_ns)
{
	(void)ctx, (void)t, (void)now_ns;
	if (victim) {
		kill(victim, SIGKILL);
		victim = 0;
	}
	return 0;
}

static void test_load_outlives_its_server(void **state)
{
	const struct slow_options so = { .takes_ns = 20 * NSEC_PER_MSEC };
	struct gen_options o = options(4, 2);
	uint16_t port;

	(void)state;
	need_namespace();
	for (int open = 0; open < 2; open++) {
		pid_t server = victim = start_slow(&so, &port);

		o.duration_ns = 1600 * NSEC_PER_MSEC;
		o.rate_per_s = open ? 100 : 0;
		o.second = kill_server;
		assert_int_equal(run(&o, port), 0);
		assert_true(tally.status[200] > 0);
		/* Each attempt that is refused is a request that failed. */
		assert_true(tally.failures[FAIL_CONNECT] > 0);
		assert_int_equal(tally.requests, tally.status[200] + tally.errors);
		if (open)
			assert_int_equal(tally.requests + tally.unsent, 160);
		waitpid(server, NULL, 0);
	}
	/* And with nobody there from the start there is nothing to measure. */
	assert_int_equal(run(&o, port), -ECONNREFUSED);
}

static int refuse_to_go_on(void *ctx, const struct tally *t, uint64_t now_ns)
{
	(void)ctx, (void)t, (void)now_ns;
	return -EPIPE;
}

static void test_load_stops_when_nobody_reads(void **state)
{
	const struct slow_options so = { 0 };
	struct gen_options o = options(1, 1);
	uint16_t port;

	(void)state;
	need_namespace();
	pid_t server = start_slow(&so, &port);
	o.duration_ns = 60 * NSEC_PER_SEC;
	o.second = refuse_to_go_on;
	assert_int_equal(run(&o, port), -EPIPE);
	stop(server);
}

static void test_load_refuses_bad_options(void **state)
{
	struct gen_options good = options(1, 1), o;
	int signal;

	(void)state;
	good.text = "x";
	good.text_len = 1;
	good.requests = 1;
#define REFUSED(field, value)                                            \
	do {                                                             \
		o = good;                                                \
		o.field = value;                                         \
		assert_int_equal(gen_run(&o, &tally, &signal), -EINVAL); \
	} while (0)
	REFUSED(connections, 0);
	REFUSED(connections, GEN_CONNECTIONS_MAX + 1);
	REFUSED(depth, 0);
	REFUSED(depth, CONN_DEPTH_MAX + 1);
	REFUSED(requests, 0);
	REFUSED(text_len, 0);
	REFUSED(rate_per_s, -1);
	REFUSED(rate_per_s, GEN_RATE_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_counts_are_the_servers),
		cmocka_unit_test(test_load_ends_by_time_and_waits_for_the_last),
		cmocka_unit_test(test_load_keeps_its_schedule),
		cmocka_unit_test(test_load_leaves_no_wait_out),
		cmocka_unit_test(test_load_tells_what_it_could_not_send),
		cmocka_unit_test(test_load_reads_every_kind_of_answer),
		cmocka_unit_test(test_load_does_not_wait_for_ever),
		cmocka_unit_test(test_load_tells_rubbish_from_silence),
		cmocka_unit_test(test_load_outlives_its_server),
		cmocka_unit_test(test_load_stops_when_nobody_reads),
		cmocka_unit_test(test_load_refuses_bad_options),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
