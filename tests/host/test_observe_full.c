// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What other agents got wrong, over real sockets: names that would explode, and
 * tables that run full, where all that is lost must be counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "observe_scene.h"

/* ---- names that would explode */

struct totals {
	size_t series, methods;
	uint64_t requests, overflow;
	bool methods_seen[ABI_METHODS];
};

static void add_totals(void *ctx, const struct observer_series *s)
{
	struct totals *sum = ctx;

	/* Those for what finds no room are there from the start. */
	sum->series += s->requests > 0;
	sum->requests += s->requests;
	if (s->key.server == ABI_SERIES_OTHER)
		sum->overflow += s->requests;
	assert_true(s->key.method < ABI_METHODS);
	if (s->requests && !sum->methods_seen[s->key.method]) {
		sum->methods_seen[s->key.method] = true;
		sum->methods++;
	}
}

static void test_observe_paths_and_methods_make_no_series(void **state)
{
	(void)state;
	static char text[30][64];
	const char *lines[31] = { 0 };
	struct totals sum = { 0 };
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	assert_int_equal(load_connect(&t.client, 1, false), 0);
	for (unsigned batch = 0; batch < 100; batch++) {
		for (unsigned i = 0; i < 30; i++) {
			unsigned n = batch * 30 + i;
			char method[16] = "GET";
			if (n % 3 == 0)
				snprintf(method, sizeof(method), "BREW%u", n);
			snprintf(text[i], sizeof(text[i]), "%s /200/5?user=%u&x=%x", method, n,
				 n * 2654435761U);
			lines[i] = text[i];
		}
		assert_int_equal(load_run(&t.client, lines, 1, 30), 0);
	}
	scene_look(&t);
	assert_int_equal(t.served.requests, 3000);
	observer_series(t.observer, add_totals, &sum);
	assert_int_equal(sum.requests, 3000);
	assert_int_equal(sum.overflow, 0);
	assert_int_equal(sum.methods, 2);
	assert_true(sum.methods_seen[ABI_METHOD_OTHER]);
	assert_true(sum.series <= 3);
	scene_stop(&t);
}

/* Each of thousands of clients has its own port and lives for one request. */
static void test_observe_brief_clients_are_one(void **state)
{
	(void)state;
	struct totals sum = { 0 };
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	for (int i = 0; i < 2000; i++) {
		uint16_t from = 0;
		int fd = scene_call(t.server.port, &from);
		scene_ask(fd, "GET /200/5");
		scene_hear(fd, 5);
		close(fd);
	}
	scene_look(&t);
	assert_int_equal(t.served.requests, 2000);
	assert_int_equal(t.last.nr_edges, 1);
	observer_series(t.observer, add_totals, &sum);
	assert_int_equal(sum.requests, 2000);
	assert_true(sum.series <= 2);
	scene_stop(&t);
}

/* ---- tables that run full */

/* More kinds of answers than the kernel's table of series holds: those over it are counted together. */
static void test_observe_full_series_lose_no_request(void **state)
{
	(void)state;
	static const char *const methods[] = { "GET",   "HEAD",    "POST",  "PUT", "DELETE",
					       "PATCH", "OPTIONS", "TRACE", "BREW" };
	static char text[25][64];
	const char *lines[26] = { 0 };
	struct observer_self self;
	struct totals sum = { 0 };
	struct scene t;
	uint64_t asked = 0;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_attach_client(&t);
	scene_scan(&t);
	assert_int_equal(load_connect(&t.client, 1, false), 0);
	for (size_t m = 0; m < ARRAY_SIZE(methods); m++)
		for (unsigned status = 200; status < 600; status += 25) {
			for (unsigned i = 0; i < 25; i++) {
				snprintf(text[i], sizeof(text[i]), "%s /%u/0", methods[m],
					 status + i);
				lines[i] = text[i];
			}
			assert_int_equal(load_run(&t.client, lines, 1, 25), 0);
			asked += 25;
		}
	scene_look(&t);
	observer_series(t.observer, add_totals, &sum);
	assert_int_equal(observer_self(t.observer, &self), 0);
	printf("  %llu kinds of requests at two ends: %zu series, %llu requests over the table\n",
	       (unsigned long long)asked, sum.series, (unsigned long long)sum.overflow);
	assert_true(2 * asked > ABI_SERIES_MAX);
	assert_int_equal(sum.requests, 2 * asked);
	assert_true(sum.series <= ABI_SERIES_MAX);
	assert_true(sum.overflow > 0);
	assert_int_equal(self.stats.series_overflow, sum.overflow);
	assert_int_equal(self.stats.series_dropped, 0);
	assert_int_equal(self.stats.parsed, 2 * asked);
	scene_stop(&t);
}

static void count_event(void *ctx, const struct abi_request *r)
{
	assert_true(r->flags & ABI_REQUEST_FAILED);
	++*(uint64_t *)ctx;
}

/* Nobody reads the ring meanwhile. */
static void test_observe_full_ring_counts_what_it_drops(void **state)
{
	(void)state;
	static const char *const line[] = { "POST /500/7", NULL };
	const uint64_t asked = 4000;
	struct observer_self self;
	uint64_t told = 0;
	struct scene t;

	if (!scene_available(__func__))
		skip();
	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	assert_int_equal(load_connect(&t.client, 4, false), 0);
	assert_int_equal(load_run(&t.client, line, 1, asked), 0);
	observer_requests(t.observer, count_event, &told);
	scene_look(&t);
	assert_int_equal(observer_self(t.observer, &self), 0);
	printf("  %llu told, %llu dropped\n", (unsigned long long)told,
	       (unsigned long long)self.stats.ring_dropped);
	assert_int_equal(t.served.requests, asked);
	assert_true(told > 900 && self.stats.ring_dropped > 0);
	assert_int_equal(told + self.stats.ring_dropped, asked);

	/* It works again once it was read. */
	told = 0;
	assert_int_equal(load_run(&t.client, line, 1, 100), 0);
	observer_requests(t.observer, count_event, &told);
	assert_int_equal(told, 100);
	scene_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_observe_paths_and_methods_make_no_series),
		cmocka_unit_test(test_observe_brief_clients_are_one),
		cmocka_unit_test(test_observe_full_series_lose_no_request),
		cmocka_unit_test(test_observe_full_ring_counts_what_it_drops),
	};

	return cmocka_run_group_tests_name("observe_full", tests, NULL, NULL);
}
