// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of requests that get no answer, whose they are, and which are
 * told one by one: hang-ups on both sides, a server that dies, neighbours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "observe_scene.h"

static void test_observe_body_until_close(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	assert_int_equal(load_connect(&t.client, 6, false), 0);
	assert_int_equal(load_ask(&t.client, "GET /200/5000/close"), 0);
	for (uint64_t end = clock_mono_ns() + 5 * NSEC_PER_SEC;
	     t.edge.client_requests < 6 && clock_mono_ns() < end;)
		scene_look(&t);
	assert_int_equal(t.served.requests, 6);
	assert_int_equal(t.edge.client_requests, 6);
	assert_int_equal(t.served.aborted + t.edge.client_aborted, 0);
	scene_stop(&t);
}

static void test_observe_in_flight_and_hang_up(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	uint64_t began = clock_mono_ns();
	assert_int_equal(load_connect(&t.client, 9, false), 0);
	assert_int_equal(load_ask(&t.client, "GET /0/0"), 0);
	scene_look_until(&t, 9);
	assert_int_equal(t.edge.client_in_flight, 9);
	assert_true(t.served.oldest_ns > 0 && t.served.oldest_ns <= clock_mono_ns() - began);
	assert_true(t.edge.client_oldest_ns >= t.served.oldest_ns);
	uint64_t older = t.served.oldest_ns;
	scene_look(&t);
	assert_true(t.served.oldest_ns > older);
	assert_int_equal(t.served.aborted, 0);

	/* The client's time-out: it goes away first; the server closes when it sees that. */
	assert_int_equal(load_hang_up(&t.client), 0);
	scene_look_until(&t, 0);
	scene_look(&t);
	assert_int_equal(t.edge.client_aborted, 9);
	assert_int_equal(t.edge.client_in_flight, 0);
	assert_int_equal(t.served.aborted, 9);
	assert_int_equal(t.served.requests, 0);
	assert_int_equal(t.served.oldest_ns, 0);
	scene_stop(&t);
}

static void test_observe_server_dies(void **state)
{
	(void)state;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 6, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	assert_int_equal(load_run(&t.client, SCENE_MIX, 1, 6), 0);
	assert_int_equal(load_ask(&t.client, "GET /0/0"), 0);
	scene_look_until(&t, 6);
	httpd_stop(&t.server);
	scene_look_until(&t, 0);
	scene_look(&t);
	assert_int_equal(t.served.requests, 6);
	assert_int_equal(t.served.aborted, 6);
	assert_int_equal(t.edge.client_aborted, 6);
	assert_int_equal(t.edge.client_in_flight, 0);
	scene_stop(&t);
}

static void test_observe_neighbours_are_nobodys(void **state)
{
	(void)state;
	struct httpd neighbour;
	struct load other;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 3, false);
	scene_attach_server(&t);
	scene_scan(&t);
	assert_int_equal(httpd_start(&neighbour, 0, false), 0);
	assert_int_equal(load_start(&other, neighbour.port), 0);
	assert_int_equal(load_connect(&other, 3, false), 0);
	assert_int_equal(load_run(&other, SCENE_MIX, 1, SCENE_NR_MIX * 3), 0);
	scene_look(&t);
	assert_int_equal(t.served.requests, 0);
	assert_int_equal(t.last.nr_edges, 0);

	/* From the outside world: an edge from 0. */
	assert_int_equal(load_run(&t.client, SCENE_MIX, 1, SCENE_NR_MIX * 3), 0);
	scene_look(&t);
	assert_int_equal(t.served.requests, SCENE_NR_MIX * 3);
	assert_int_equal(t.last.nr_edges, 1);
	assert_int_equal(t.last.edges[0].client, 0);
	load_stop(&other);
	httpd_stop(&neighbour);
	scene_stop(&t);
}

struct heard_requests {
	unsigned int failed[2], aborted[2], others;
};

static void hear_request(void *ctx, const struct abi_request *r)
{
	struct heard_requests *h = ctx;

	assert_true(r->side <= ABI_SIDE_CLIENT);
	if (r->flags & ABI_REQUEST_FAILED) {
		h->failed[r->side]++;
		assert_int_equal(r->status, 500);
		assert_int_equal(r->method, ABI_METHOD_POST);
		assert_int_equal(r->path_len, strlen("/500/7"));
		assert_memory_equal(r->path, "/500/7", r->path_len);
		assert_int_equal(r->trace_len, 36);
		assert_memory_equal(r->trace, "550e8400-e29b-41d4-a716-446655440000", 36);
		assert_true(r->start_ns > 0 && r->duration_ns > 0 && r->ttfb_ns <= r->duration_ns);
	} else if (r->flags & ABI_REQUEST_ABORTED) {
		h->aborted[r->side]++;
	} else {
		h->others++;
	}
}

static void test_observe_failed_requests_are_told(void **state)
{
	(void)state;
	static const char *const lines[] = { "POST /500/7", "GET /200/5", NULL };
	struct heard_requests h = { 0 };
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 4, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	assert_int_equal(load_run(&t.client, lines, 1, 40), 0);
	assert_int_equal(load_ask(&t.client, "GET /0/0"), 0);
	scene_look_until(&t, 4);
	assert_int_equal(load_hang_up(&t.client), 0);
	scene_look_until(&t, 0);
	assert_true(observer_requests(t.observer, hear_request, &h) >= 40);
	assert_int_equal(h.failed[ABI_SIDE_SERVER], 20);
	assert_int_equal(h.failed[ABI_SIDE_CLIENT], 20);
	assert_int_equal(h.aborted[ABI_SIDE_SERVER], 4);
	assert_int_equal(h.aborted[ABI_SIDE_CLIENT], 4);
	assert_int_equal(h.others, 0);
	scene_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_body_until_close),
		cmocka_unit_test(test_observe_in_flight_and_hang_up),
		cmocka_unit_test(test_observe_server_dies),
		cmocka_unit_test(test_observe_neighbours_are_nobodys),
		cmocka_unit_test(test_observe_failed_requests_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
