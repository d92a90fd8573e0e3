// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every fault on a real server: what is hurt, what is not, and that it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "fault_rig.h"

static int setup(void **state)
{
	static struct fault_rig r;

	if (!fault_rig_available("test_fault_inject")) {
		*state = NULL;
		return 0;
	}
	fault_rig_start(&r, AF_INET);
	fault_rig_faults(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	struct fault_rig *r = *state;

	if (r)
		fault_rig_stop(r);
	return 0;
}

static struct fault_rig *need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

/* |drawn - p| within 4 standard errors. */
static void assert_share(size_t hit, size_t n, double p)
{
	double error = 4 * sqrt(p * (1 - p) / (double)n), share = (double)hit / (double)n;

	print_message("drew %.4f of %zu, asked %.2f +- %.4f\n", share, n, p, error);
	assert_true(fabs(share - p) <= error);
}

static void test_fault_error_draws_the_share_on_old_connections(void **state)
{
	struct fault_rig *r = need(state);
	struct fault_answer a;
	size_t hit = 0, n = 2000;
	int fds[8];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = fault_rig_connect(r->port, false);
		assert_int_equal(fault_rig_get(fds[i], "/", 2000, &a), 200);
	}
	struct fault f = fault_rig_arm(
		r,
		"{\"type\":\"error\",\"probability\":0.3,\"duration_s\":60,\"params\":{\"seed\":7}}");
	assert_string_equal(f.log, "Injected VICTIM error — answering 500");
	for (size_t i = 0; i < n; i++) {
		int status = fault_rig_get(fds[i % ARRAY_SIZE(fds)], i % 3 ? "/" : "/json?x=1",
					   2000, &a);

		assert_true(status == 200 || status == 500);
		hit += status == 500;
	}
	f = fault_rig_look(r, f.id);
	assert_share(hit, n, 0.3);
	assert_int_equal(f.touched_requests, hit);
	assert_int_equal(f.touched_requests + f.spared_requests, n);
	assert_int_equal(f.out_of_reach, 0);

	/* The neighbour on the same cgroup, exempt paths and 204 are whole. */
	assert_int_equal(faults_disarm_all(r->faults), 1);
	f = fault_rig_arm(r, "{\"type\":\"error\",\"params\":{\"status\":503},\"duration_s\":60}");
	assert_int_equal(fault_rig_once(r->other_port, "/", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fds[0], "/inject-failure?type=x", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fds[0], "/reset", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fds[0], "/health", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fds[0], "/none", 2000, &a), 204);
	assert_int_equal(fault_rig_get(fds[0], "/healthy", 2000, &a), 503);
	assert_int_equal(fault_rig_get(fds[0], "/resets", 2000, &a), 503);
	assert_string_equal(a.body, "hello, this is text\n");
	assert_int_equal(faults_disarm_all(r->faults), 1);
	assert_int_equal(fault_rig_get(fds[0], "/", 2000, &a), 200);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_error_on_a_pipeline(void **state)
{
	struct fault_rig *r = need(state);
	struct fault_answer a;
	char request[8192] = "", left[65536];
	size_t nr_left = 0, hit = 0, n = 48;
	struct fault f =
		fault_rig_arm(r, "{\"type\":\"error\",\"probability\":0.5,\"duration_s\":60}");
	int fd = fault_rig_connect(r->port, false);

	for (size_t i = 0, at = 0; i < n; i++)
		at += (size_t)snprintf(request + at, sizeof(request) - at, "%s",
				       i % 4 == 3 ? "GET /none HTTP/1.1\r\nHost: x\r\n\r\n" :
						    "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(send(fd, request, strlen(request), 0), (int)strlen(request));
	for (size_t i = 0; i < n; i++) {
		int status = fault_rig_hear(fd, 2000, left, &nr_left, &a);

		if (i % 4 == 3)
			assert_int_equal(status, 204);
		else
			assert_true(status == 200 || status == 500);
		hit += status == 500;
	}
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.touched_requests, hit);
	assert_true(hit > 6 && hit < 30);
	close(fd);
	faults_disarm_all(r->faults);
}

static void test_fault_bad_data_parses_and_is_wrong(void **state)
{
	struct fault_rig *r = need(state);
	struct fault_answer a, before;
	const char *why;

	assert_int_equal(fault_rig_once(r->port, "/json", 2000, &before), 200);
	struct fault f = fault_rig_arm(r, "{\"type\":\"bad_data\",\"duration_s\":60}");
	assert_int_equal(fault_rig_once(r->port, "/json", 2000, &a), 200);
	print_message("%s\n", a.body);
	assert_int_equal(a.len, before.len);

	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(json_parse(a.body, a.len, &j, &why), 0);
	cJSON *items = cJSON_GetObjectItem(j, "items"), *one = cJSON_GetArrayItem(items, 0),
	      *two = cJSON_GetArrayItem(items, 1);
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(one, "name")));
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(two, "name")));
	assert_true(json_num(one, "price", 0) < 0);
	assert_true(json_num(two, "price", 0) < 0);
	assert_int_equal(json_num(one, "stock", 0), 100);
	assert_string_equal(json_str(one, "id"), "p1");

	/* Compressed and not JSON at all: as it was, and counted. */
	assert_int_equal(fault_rig_once(r->port, "/gzip", 2000, &a), 200);
	assert_string_equal(a.body, before.body);
	assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.touched_requests, 1);
	assert_int_equal(f.out_of_reach, 2);
	faults_disarm_all(r->faults);

	fault_rig_arm(
		r, "{\"type\":\"bad_data\",\"duration_s\":60,\"params\":{\"keys\":[\"stock\"]}}");
	assert_int_equal(fault_rig_once(r->port, "/json", 2000, &a), 200);
	assert_non_null(strstr(a.body, "\"stock\":-10,") ? a.body :
							   strstr(a.body, "\"stock\":-10}"));
	assert_non_null(strstr(a.body, "\"price\":9.99"));
	faults_disarm_all(r->faults);
	assert_int_equal(fault_rig_once(r->port, "/json", 2000, &a), 200);
	assert_string_equal(a.body, before.body);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* One answer may be slow by itself on a busy machine; ten are not, unless something delays them. */
static uint64_t fastest_of_ten(int fd)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 10; i++) {
		struct fault_answer a;
		assert_int_equal(fault_rig_get(fd, "/", 5000, &a), 200);
		best = MIN(best, a.ns);
	}
	return best;
}

static void delay_accuracy(struct fault_rig *r, int delay_ms, size_t n)
{
	struct fault_answer a;
	uint64_t late[256];
	char body[128];
	int fd = fault_rig_connect(r->port, false);

	assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 200);
	snprintf(body, sizeof(body),
		 "{\"type\":\"timeout\",\"params\":{\"delay_ms\":%d},\"duration_s\":60}", delay_ms);
	struct fault f = fault_rig_arm(r, body);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fault_rig_get(fd, "/", 5000, &a), 200);
		assert_true(a.ns >= (uint64_t)delay_ms * NSEC_PER_MSEC);
		late[i] = a.ns - (uint64_t)delay_ms * NSEC_PER_MSEC;
	}
	qsort(late, n, sizeof(*late), by_value);
	/* Loose, and of the median: a busy machine is late by itself. make bench has the figures. */
	assert_true(late[n / 2] < 250 * NSEC_PER_MSEC);
	print_message("%d ms asked, by %s: error p50 %.3f ms, p99 %.3f ms (n=%zu)\n", delay_ms,
		      f.backend, (double)late[n / 2] / 1e6, (double)late[n * 99 / 100] / 1e6, n);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_ARMED);
	assert_int_equal(f.touched_requests, n);
	/* Not n: where a machine is so slow that an answer is late by itself, its packet is left alone. */
	assert_true(f.touched_packets > 0);
	/* The neighbour is as fast as ever. */
	int other = fault_rig_connect(r->other_port, false);
	assert_true(fastest_of_ten(other) < (uint64_t)delay_ms * NSEC_PER_MSEC);
	close(other);
	faults_disarm_all(r->faults);
	assert_true(fastest_of_ten(fd) < (uint64_t)delay_ms * NSEC_PER_MSEC);
	close(fd);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_timeout_is_late_by_what_was_asked(void **state)
{
	struct fault_rig *r = need(state);

	delay_accuracy(r, 50, 100);
	delay_accuracy(r, 10, 100);
	delay_accuracy(r, 1000, 2);
}

static void test_fault_timeout_draws_the_share_and_ends_on_time(void **state)
{
	struct fault_rig *r = need(state);
	struct fault_answer a;
	size_t hit = 0, n = 200;
	int fd = fault_rig_connect(r->port, false);
	struct fault f = fault_rig_arm(
		r,
		"{\"type\":\"timeout\",\"params\":{\"delay_ms\":100},\"probability\":0.2,\"duration_s\":8}");
	uint64_t start = clock_mono_ns();

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 200);
		hit += a.ns >= 100 * NSEC_PER_MSEC;
	}
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.touched_requests, hit);
	assert_share(hit, n, 0.2);

	/* With nobody ticking: the program itself stops. */
	faults_disarm_all(r->faults);
	f = fault_rig_arm(r,
			  "{\"type\":\"timeout\",\"params\":{\"delay_ms\":100},\"duration_s\":1}");
	start = clock_mono_ns();
	uint64_t last_late = 0;
	while (clock_mono_ns() - start < 1500 * NSEC_PER_MSEC) {
		uint64_t at = clock_mono_ns() - start;

		assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 200);
		if (a.ns >= 99 * NSEC_PER_MSEC)
			last_late = at;
	}
	assert_true(last_late > 700 * NSEC_PER_MSEC && last_late < 1000 * NSEC_PER_MSEC);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_EXPIRED);
	close(fd);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_loss_drops_and_the_service_goes_on(void **state)
{
	struct fault_rig *r = need(state);
	struct fault_answer a;
	int fd = fault_rig_connect(r->port, false);
	struct fault f = fault_rig_arm(
		r, "{\"type\":\"loss\",\"params\":{\"percent\":100},\"duration_s\":60}");

	assert_int_equal(fault_rig_get(fd, "/", 300, &a), 0);
	assert_int_equal(fault_rig_once(r->port, "/health", 2000, &a), 200);
	assert_int_equal(fault_rig_once(r->other_port, "/", 2000, &a), 200);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.touched_requests, 1);
	assert_true(f.touched_packets >= 1);
	close(fd);
	faults_disarm_all(r->faults);

	f = fault_rig_arm(r, "{\"type\":\"loss\",\"params\":{\"percent\":20},\"duration_s\":60}");
	size_t n = 0, fast = 0;
	for (uint64_t start = clock_mono_ns(); clock_mono_ns() - start < 3 * NSEC_PER_SEC; n++)
		fast += fault_rig_once(r->port, "/", 5000, &a) == 200 && a.ns < 100 * NSEC_PER_MSEC;
	f = fault_rig_look(r, f.id);
	print_message("loss 20 %%: %zu requests, %zu fast, %llu packets dropped\n", n, fast,
		      (unsigned long long)f.touched_packets);
	assert_true(f.touched_packets > 0 && fast < n);
	faults_disarm_all(r->faults);
	assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
}

static void test_fault_crash_kills_once_or_by_draw(void **state)
{
	struct fault_rig *r = need(state);
	struct fault_answer a;
	int status;

	struct fault f = fault_rig_arm(r, "{\"type\":\"crash\"}");
	assert_int_equal(f.state, FAULT_SPENT);
	assert_int_equal(waitpid(r->server, &status, 0), r->server);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	r->server = 0;
	fault_rig_restart(r);

	f = fault_rig_arm(
		r,
		"{\"type\":\"crash\",\"probability\":0.3,\"duration_s\":30,\"params\":{\"seed\":3}}");
	size_t asked = 0;
	for (int kills = 0; kills < 2; kills++) {
		int gone = 0;

		for (int i = 0; i < 100 && !gone; i++, asked++) {
			fault_rig_once(r->port, "/", 1000, &a);
			fault_rig_sleep_ms(20);
			gone = waitpid(r->server, &status, WNOHANG) == r->server;
		}
		assert_true(gone && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		r->server = 0;
		fault_rig_restart(r);
	}
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_ARMED);
	print_message("two crashes took %zu requests at 0.3\n", asked);
	faults_disarm_all(r->faults);
	assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_error_draws_the_share_on_old_connections),
		cmocka_unit_test(test_fault_error_on_a_pipeline),
		cmocka_unit_test(test_fault_bad_data_parses_and_is_wrong),
		cmocka_unit_test(test_fault_timeout_is_late_by_what_was_asked),
		cmocka_unit_test(test_fault_timeout_draws_the_share_and_ends_on_time),
		cmocka_unit_test(test_fault_loss_drops_and_the_service_goes_on),
		cmocka_unit_test(test_fault_crash_kills_once_or_by_draw),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
