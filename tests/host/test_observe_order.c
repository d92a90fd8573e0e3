// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segments that overtake each other, by hand: whatever order they come in, every
 * request is counted once, with its status; and where there is no room to wait
 * any more, the place that was lost is counted and found again. A service as the
 * server, and as the client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "observe_scene.h"
#include "overtake.h"
#include "rawtcp.h"

#define POST(status, length) \
	"POST /" #status "/0 HTTP/1.1\r\nHost: a\r\nContent-Length: " #length "\r\n\r\n"

static const struct overtake_row disordered_requests[] = {
	{ "as many as may wait, the last first",
	  { ASK(200), ASK(404), ASK(500), ASK(201), ASK(302), ASK(403), ASK(202), ASK(410),
	    ASK(503) },
	  "876543210",
	  "200 404 500 201 302 403 202 410 503 ",
	  .overtaken = 8 },
	{ "two swapped, a request each", { ASK(200), ASK(404) }, "10", "200 404 ", .overtaken = 1 },
	{ "a head split over both",
	  { "GET /200/0 HT", "TP/1.1\r\nHost: a\r\n\r\n" },
	  "10",
	  "200 ",
	  .overtaken = 1 },
	{ "pipelined requests in both",
	  { ASK(200) ASK(404) ASK(500), ASK(201) ASK(302) },
	  "10",
	  "200 404 500 201 302 ",
	  .overtaken = 1 },
	{ "pipelined requests, one of them in both",
	  { ASK(200) "GET /404/0 HTTP/1.1\r\nHo", "st: a\r\n\r\n" ASK(500) },
	  "10",
	  "200 404 500 ",
	  .overtaken = 1 },
	{ "the third first",
	  { ASK(200), ASK(404), ASK(500) },
	  "201",
	  "200 404 500 ",
	  .overtaken = 1 },
	{ "backwards", { ASK(200), ASK(404), ASK(500) }, "210", "200 404 500 ", .overtaken = 2 },
	{ "backwards, heads cut",
	  { "GET /200", "/0 HTTP/1.1\r\nHost: a\r", "\n\r\n" ASK(404) },
	  "210",
	  "200 404 ",
	  .overtaken = 2 },
	{ "the early one sent twice", { ASK(200), ASK(404) }, "110", "200 404 ", .overtaken = 2 },
	{ "the early one sent again", { ASK(200), ASK(404) }, "101", "200 404 ", .overtaken = 1 },
	{ "both sent again", { ASK(200), ASK(404) }, "1010", "200 404 ", .overtaken = 1 },
	{ "the late one sent again with all behind it",
	  { ASK(200), ASK(404), ASK(500) },
	  "1A",
	  "200 404 500 ",
	  .overtaken = 1 },
	{ "an overlap", { ASK(200), ASK(404), ASK(500) }, "B10", "200 404 500 ", .overtaken = 2 },
	{ "places are used again",
	  { ASK(200), ASK(404), ASK(500), ASK(201) },
	  "1032",
	  "200 404 500 201 ",
	  .overtaken = 2 },
	{ "as many as may wait",
	  { ASK(200), ASK(404), ASK(500), ASK(201), ASK(302) },
	  "43210",
	  "200 404 500 201 302 ",
	  .overtaken = 4 },
	{ "more lines than one program reads",
	  { ASK(200),
	    ASK(201) ASK(302) ASK(403) ASK(504) ASK(201) ASK(302) ASK(403) ASK(504) ASK(201)
		    ASK(302) ASK(403) ASK(504) },
	  "10",
	  "200 201 302 403 504 201 302 403 504 201 302 403 504 ",
	  .overtaken = 1 },
	{ "a hole in a body",
	  { POST(201, 30) TEN, TEN, TEN ASK(404) },
	  "021",
	  "201 404 ",
	  .overtaken = 0 },
	{ "a hole that is the rest of a body",
	  { POST(201, 20) TEN, TEN, ASK(404) },
	  "021",
	  "201 404 ",
	  .overtaken = 0 },
	{ "a hole beyond a body",
	  { POST(201, 20) TEN, TEN "GET /404/0 HT", "TP/1.1\r\nHost: a\r\n\r\n" },
	  "021",
	  "201 404 ",
	  .overtaken = 1 },
	{ "larger than what is kept of it",
	  { ASK(200), POST(201, 6000) THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND },
	  "10",
	  "200 201 ",
	  .overtaken = 1 },
};

static void test_observe_order_requests(void **state)
{
	(void)state;

	if (!overtake_available(__func__))
		skip();
	overtake_requests(disordered_requests, ARRAY_SIZE(disordered_requests));
}

/* More than may wait: some are not counted, and that is told; what comes later is. */
static void test_observe_order_loses_and_finds_the_place(void **state)
{
	(void)state;
	static const struct overtake_row rows[] = {
		/* The last one begins a message: from there on. Its count has the first answer's status. */
		{ "one more than may wait",
		  { ASK(200), ASK(404), ASK(500), ASK(201), ASK(302), ASK(403), ASK(202), ASK(410),
		    ASK(503), ASK(409) },
		  "1234567890",
		  "200 404 500 201 302 403 202 410 503 409 ",
		  "200 ",
		  .overtaken = 8,
		  .lost = 1,
		  .orphans = 9 },
		{ "one more than may wait, which begins no message",
		  { ASK(200), ASK(404), ASK(500), ASK(201), ASK(302), ASK(403), ASK(202), ASK(410),
		    "GET /503/0 HT", "TP/1.1\r\nHost: a\r\n\r\n" },
		  "1234567890",
		  "200 404 500 201 302 403 202 410 503 ",
		  "",
		  .overtaken = 8,
		  .lost = 1,
		  .orphans = 9 },
		{ "one more than may wait, and not the last",
		  { ASK(200), ASK(404), ASK(500), ASK(201), ASK(302), ASK(403), ASK(202), ASK(410),
		    ASK(503), ASK(409) },
		  "2345678910",
		  "200 404 500 201 302 403 202 410 503 409 ",
		  "200 404 500 201 302 403 202 410 503 ",
		  .overtaken = 8,
		  .lost = 1,
		  .orphans = 1 },
		{ "a request behind what is kept of a segment",
		  { ASK(200),
		    POST(201, 5000) THOUSAND THOUSAND THOUSAND THOUSAND THOUSAND ASK(404) },
		  "10",
		  "200 201 404 ",
		  "200 201 ",
		  .overtaken = 1,
		  .lost = 1,
		  .orphans = 1 },
	};

	if (!overtake_available(__func__))
		skip();
	overtake_requests(rows, ARRAY_SIZE(rows));
}

static void test_observe_order_early_end_of_requests(void **state)
{
	(void)state;
	static const struct overtake_row rows[] = {
		{ "the end before the data",
		  { ASK(200), ASK(404) },
		  ".01",
		  "200 404 ",
		  .overtaken = 1 },
		{ "the end and the last before the first",
		  { ASK(200), ASK(404) },
		  "1.0",
		  "200 404 ",
		  .overtaken = 2 },
		{ "the end with the last, before the first",
		  { ASK(200), ASK(404) },
		  "b0",
		  "200 404 ",
		  .overtaken = 1 },
		{ "the end before the rest of a body",
		  { POST(201, 20) TEN, TEN },
		  "0.1",
		  "201 ",
		  .overtaken = 1 },
		{ "the end with the last of a body, before the rest",
		  { POST(201, 30) TEN, TEN, TEN },
		  "0c1",
		  "201 ",
		  .overtaken = 0 },
	};

	if (!overtake_available(__func__))
		skip();
	overtake_requests(rows, ARRAY_SIZE(rows));
}

static void test_observe_order_blind_reset(void **state)
{
	(void)state;
	static const struct overtake_row blind = { .what = "a blind reset", .order = "" },
					 in_place = { .what = "a reset in its place",
						      .order = "",
						      .aborted = 1 };
	struct overtake_sums was, now;
	struct rawtcp c;
	struct scene t;
	char text[512];

	if (!overtake_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	for (int v6 = 0; v6 < 2; v6++) {
		uint32_t len = (uint32_t)strlen(ASK_PATH("/0/0"));

		overtake_sums(&t, ABI_SIDE_SERVER, &was);
		overtake_connect(&c, &t, v6);
		assert_int_equal(rawtcp_send(&c, 0, ASK_PATH("/0/0"), len, 0), 0);
		scene_look_until(&t, 1);
		assert_int_equal(rawtcp_send(&c, len + 1, NULL, 0, RAWTCP_RST), 0);
		assert_int_equal(rawtcp_send(&c, len + 9000, NULL, 0, RAWTCP_RST), 0);
		assert_int_equal(rawtcp_send(&c, len + 9000, TEN, 10, RAWTCP_RST), 0);
		overtake_sums(&t, ABI_SIDE_SERVER, &now);
		overtake_expect_counts(&blind, "", &was, &now);
		assert_int_equal(t.served.in_flight, 1);

		/* The connection lives, and so does our view of it: this is the place. */
		assert_int_equal(rawtcp_send(&c, len, NULL, 0, RAWTCP_RST), 0);
		overtake_sums(&t, ABI_SIDE_SERVER, &now);
		overtake_expect_counts(&in_place, "", &was, &now);
		overtake_expect_idle(&in_place, &t);
		assert_int_equal(rawtcp_send(&c, len, TEN, 10, 0), 0);
		assert_int_equal(rawtcp_read(&c, text, sizeof(text)), -ECONNRESET);
	}
	scene_stop(&t);
}

#define CONNECTIONS 300
#define ROUNDS 10                    /* of a connection */
#define ROUNDS_NS (5 * NSEC_PER_SEC) /* enough of them all, where a machine is slow */
#define ROUND_SEGMENTS 4 /* all may wait at once, where a CPU stands still: STASH_SLOTS */

/* Three requests in four segments: heads are cut. */
static const char round_stream[] = "GET /200/0 HTTP/1.1\r\nHost: abcdefg\r\n\r\n"
				   "GET /404/0 HTTP/1.1\r\nHost: abcdefg\r\n\r\n"
				   "GET /500/0 HTTP/1.1\r\nHost: abcdefghi\r\n\r\n";
#define ROUND_BYTES (sizeof(round_stream) - 1)
_Static_assert(ROUND_BYTES % ROUND_SEGMENTS == 0, "segments of one size");

/* The half of a round's segments that another CPU delivers. */
struct other {
	pthread_t thread;
	pthread_barrier_t barrier;
	struct rawtcp c;
	int err;
};

static int send_half(struct other *o, int round, size_t from)
{
	const size_t piece = ROUND_BYTES / ROUND_SEGMENTS;
	int err = 0;

	for (size_t i = from; i < ROUND_SEGMENTS && !err; i += 2)
		err = rawtcp_send(&o->c, (uint32_t)(ROUND_BYTES * (size_t)round + i * piece),
				  round_stream + i * piece, piece, 0);
	return err;
}

static void move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *send_other_half(void *arg)
{
	struct other *o = arg;

	move_to(1);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&o->barrier);
		o->err = send_half(o, round, 1) ?: o->err;
		pthread_barrier_wait(&o->barrier);
	}
	return NULL;
}

/* All rounds of one connection, and a request in order, so that no byte is left for a later answer to tell of. Adds to *sent and *heard. */
static void play_rounds(const struct scene *t, bool v6, size_t *sent, size_t *heard)
{
	struct other o = { 0 };
	int err = 0;

	overtake_connect(&o.c, t, v6);
	pthread_barrier_init(&o.barrier, NULL, 2);
	assert_int_equal(pthread_create(&o.thread, NULL, send_other_half, &o), 0);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&o.barrier);
		err = send_half(&o, round, 0) ?: err;
		pthread_barrier_wait(&o.barrier);
		*heard += overtake_hear(&o.c, "200 404 500 ");
	}
	pthread_join(o.thread, NULL);
	pthread_barrier_destroy(&o.barrier);
	assert_int_equal(err + o.err, 0);
	assert_int_equal(rawtcp_send(&o.c, ROUNDS * ROUND_BYTES, ASK(410), strlen(ASK(410)), 0), 0);
	*sent += ROUNDS * ROUND_BYTES + strlen(ASK(410));
	*heard += overtake_hear(&o.c, "410 ");
	assert_int_equal(rawtcp_send(&o.c, atomic_load(&o.c.sent), NULL, 0, RAWTCP_RST), 0);
}

static void test_observe_order_two_cpus(void **state)
{
	(void)state;
	static const unsigned int statuses[] = { 200, 404, 500 };
	struct overtake_row r = { .what = "two CPUs at once", .order = "at random" };
	struct overtake_sums was, now;
	struct scene t;
	cpu_set_t before;
	size_t sent = 0, heard = 0;
	unsigned int nr = 0;

	if (!overtake_available(__func__))
		skip();
	sched_getaffinity(0, sizeof(before), &before);
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	overtake_sums(&t, ABI_SIDE_SERVER, &was);
	move_to(0);
	for (uint64_t end = clock_mono_ns() + ROUNDS_NS;
	     !nr || (nr < CONNECTIONS && clock_mono_ns() < end); nr++)
		play_rounds(&t, nr % 2, &sent, &heard);
	sched_setaffinity(0, sizeof(before), &before);
	overtake_sums(&t, ABI_SIDE_SERVER, &now);
	/* How often they wait is the machine's; so is whether an answer leaves while another CPU still has the request. */
	r.overtaken = now.stats.overtaken - was.stats.overtaken;
	r.untimed = now.untimed - was.untimed;
	printf("  %llu of %u segments waited, %llu of %u requests were answered before they were read\n",
	       (unsigned long long)r.overtaken, nr * ROUNDS * ROUND_SEGMENTS,
	       (unsigned long long)r.untimed, nr * ROUNDS * 3);
#define SINCE(field) (unsigned long long)(now.stats.field - was.stats.field)
	printf("  %llu streams lost, %llu opaque, %llu orphans, %llu without storage, %u connections\n",
	       SINCE(streams_lost), SINCE(streams_opaque), SINCE(orphan_responses),
	       SINCE(storage_nomem), nr);
#undef SINCE
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		overtake_expect(&r, "requests of a status",
				now.status[statuses[i]] - was.status[statuses[i]], nr * ROUNDS);
		was.status[statuses[i]] = now.status[statuses[i]];
	}
	overtake_expect(&r, "requests in order", now.status[410] - was.status[410], nr);
	was.status[410] = now.status[410];
	overtake_expect_counts(&r, "", &was, &now);
	overtake_expect(&r, "no storage", now.stats.storage_nomem, 0);
	overtake_expect(&r, "bytes of requests", now.rx - was.rx, sent);
	overtake_expect(&r, "bytes of answers", now.tx - was.tx, heard);
	overtake_expect_idle(&r, &t);
	scene_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_order_requests),
		cmocka_unit_test(test_observe_order_loses_and_finds_the_place),
		cmocka_unit_test(test_observe_order_early_end_of_requests),
		cmocka_unit_test(test_observe_order_blind_reset),
		cmocka_unit_test(test_observe_order_two_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
