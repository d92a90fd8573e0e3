// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every fault on a real server: what is hurt, by how much, and what is not.
 * test_fault_share.c has who is drawn, test_fault_ends.c when it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "fault_rig.h"

static int setup(void **state)
{
	struct fault_rig *r = fault_rig_set_up(state, "test_fault_inject", AF_INET);

	if (r)
		fault_rig_faults(r);
	return 0;
}

static void test_fault_error_spares_what_is_exempt(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	int fd = fault_rig_connect(r->port, false);

	assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 200);
	struct fault f = fault_rig_arm(r, "{\"type\":\"error\",\"duration_s\":60}");
	assert_string_equal(f.log, "Injected VICTIM error — answering 500");
	assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 500);
	assert_int_equal(faults_disarm_all(r->faults), 1);

	/* The neighbour on the same cgroup, exempt paths and 204 are whole. */
	f = fault_rig_arm(r, "{\"type\":\"error\",\"params\":{\"status\":503},\"duration_s\":60}");
	assert_int_equal(fault_rig_once(r->other_port, "/", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fd, "/inject-failure?type=x", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fd, "/reset", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fd, "/health", 2000, &a), 200);
	assert_int_equal(fault_rig_get(fd, "/none", 2000, &a), 204);
	assert_int_equal(fault_rig_get(fd, "/healthy", 2000, &a), 503);
	assert_int_equal(fault_rig_get(fd, "/resets", 2000, &a), 503);
	assert_string_equal(a.body, "hello, this is text\n");
	assert_int_equal(faults_disarm_all(r->faults), 1);
	assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 200);
	close(fd);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_error_on_a_pipeline(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
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
	struct fault_rig *r = fault_rig_need(state);
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

static uint64_t quantile(uint64_t *v, size_t n, size_t percent)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[MIN(n * percent / 100, n - 1)];
}

/*
 * A late answer that its neighbour, asked in between, shares is the machine's
 * doing; what the neighbour does not share is ours.
 */
static void assert_accuracy(const char *what, uint64_t *late, uint64_t *control, size_t n)
{
	uint64_t late50 = quantile(late, n, 50), late90 = quantile(late, n, 90);
	uint64_t control50 = quantile(control, n, 50), control90 = quantile(control, n, 90);

	print_message(
		"%s: error p50 %.3f p90 %.3f p99 %.3f ms; the neighbour takes p50 %.3f p90 %.3f max %.3f ms (n=%zu)\n",
		what, (double)late50 / 1e6, (double)late90 / 1e6,
		(double)quantile(late, n, 99) / 1e6, (double)control50 / 1e6,
		(double)control90 / 1e6, (double)control[n - 1] / 1e6, n);
	/* make bench has the figures. These see a holder that looks once a turn only, or sleeps too long. */
	assert_true(late50 < 20 * NSEC_PER_MSEC + 4 * control50);
	assert_true(late90 < 60 * NSEC_PER_MSEC + 4 * control90);
}

/* As fast as it would be, and no program and no queue of the fault's has seen it. */
static void assert_neighbour_untouched(struct fault_rig *r, const struct fault *f)
{
	struct fault_answer a;
	int fd = fault_rig_connect(r->other_port, false);

	fault_rig_sleep_ms(
		100); /* acknowledgements that are on their way are the service's packets too */
	struct fault before = fault_rig_look(r, f->id);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(fault_rig_get(fd, "/", 5000, &a), 200);
		assert_true(f->delay_ns < NSEC_PER_SEC || a.ns < f->delay_ns);
	}
	struct fault after = fault_rig_look(r, f->id);
	assert_int_equal(after.seen_packets, before.seen_packets);
	assert_int_equal(after.touched_packets, before.touched_packets);
	assert_int_equal(after.spared_requests, before.spared_requests);
	close(fd);
}

static void delay_accuracy(struct fault_rig *r, int delay_ms, size_t n)
{
	struct fault_answer a;
	uint64_t late[128], control[128];
	char text[160];
	uint64_t delay_ns = (uint64_t)delay_ms * NSEC_PER_MSEC;
	int fd = fault_rig_connect(r->port, false), other = fault_rig_connect(r->other_port, false);

	assert_int_equal(fault_rig_get(fd, "/", 2000, &a), 200);
	snprintf(text, sizeof(text),
		 "{\"type\":\"timeout\",\"params\":{\"delay_ms\":%d},\"duration_s\":600}",
		 delay_ms);
	struct fault f = fault_rig_arm(r, text);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fault_rig_get(fd, "/", 20000, &a), 200);
		if (a.ns < delay_ns)
			fail_msg("%.3f ms early", (double)(delay_ns - a.ns) / 1e6);
		late[i] = a.ns - delay_ns;
		assert_int_equal(fault_rig_get(other, "/", 20000, &a), 200);
		control[i] = a.ns;
		/* A single hurt neighbour is noticed where no busy machine is that late. */
		assert_true(delay_ns < NSEC_PER_SEC || a.ns < delay_ns);
	}
	snprintf(text, sizeof(text), "%d ms asked, by %s", delay_ms, f.backend);
	assert_accuracy(text, late, control, n);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.state, FAULT_ARMED);
	assert_int_equal(f.touched_requests, n);
	assert_int_equal(f.spared_requests, 0);
	/* Not n: where a machine is so slow that an answer is late by itself, its packet is left alone. */
	assert_true(f.touched_packets > 0);
	assert_neighbour_untouched(r, &f);
	close(other);
	faults_disarm_all(r->faults);
	assert_int_equal(fault_rig_get(fd, "/", 20000, &a), 200);
	assert_true(delay_ns < NSEC_PER_SEC || a.ns < delay_ns);
	close(fd);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_timeout_is_late_by_what_was_asked(void **state)
{
	struct fault_rig *r = fault_rig_need(state);

	delay_accuracy(r, 50, 100);
	delay_accuracy(r, 10, 100);
	delay_accuracy(r, 1000, 5);
}

/*
 * A large answer waits once and then flows: delayed packet by packet, or with packets lost
 * to a queue that is too short, it would take many times as long.
 */
static void test_fault_timeout_lets_a_large_answer_flow(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	uint64_t free_ns = 0, late_ns = UINT64_MAX, delay_ns = 200 * NSEC_PER_MSEC;
	int fd = fault_rig_connect(r->port, false), other = fault_rig_connect(r->other_port, false);
	struct fault f = fault_rig_arm(
		r, "{\"type\":\"timeout\",\"params\":{\"delay_ms\":200},\"duration_s\":600}");

	/* The slowest without and the fastest with it, in turn: the machine's business is in both. */
	for (int i = 0; i < 5; i++) {
		uint64_t without = fault_rig_get_big(other, 60000);
		uint64_t with = fault_rig_get_big(fd, 60000);

		assert_true(without > 0 && with >= delay_ns);
		free_ns = MAX(free_ns, without);
		late_ns = MIN(late_ns, with);
	}
	print_message("%d MiB: %.0f ms without, %.0f ms with 200 ms by %s\n", FAULT_RIG_BIG >> 20,
		      (double)free_ns / 1e6, (double)late_ns / 1e6, f.backend);
	assert_true(late_ns < delay_ns + 4 * free_ns + 100 * NSEC_PER_MSEC);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.touched_requests, 5);
	faults_disarm_all(r->faults);
	close(fd);
	close(other);
	assert_true(fault_rig_nothing_left(r));
}

/* Hundreds wait side by side, not one after the other, and none is lost. */
static void test_fault_timeout_holds_many_at_once(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct faults_stats stats;
	struct fault_answer a;
	static char left[300][65536];
	size_t nr_left[300] = { 0 };
	uint64_t sent[300], delay_ns = NSEC_PER_SEC, last = 0;
	int fds[300];
	struct fault f = fault_rig_arm(
		r, "{\"type\":\"timeout\",\"params\":{\"delay_ms\":1000},\"duration_s\":600}");

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		assert_true((fds[i] = fault_rig_connect(r->port, false)) >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		sent[i] = clock_mono_ns();
		assert_int_equal(send(fds[i], request, strlen(request), MSG_NOSIGNAL),
				 (int)strlen(request));
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		assert_int_equal(fault_rig_hear(fds[i], 60000, left[i], &nr_left[i], &a), 200);
		last = clock_mono_ns();
		assert_true(last - sent[i] >= delay_ns);
		close(fds[i]);
	}
	print_message("%zu at once: the last came %.0f ms after it was asked\n", ARRAY_SIZE(fds),
		      (double)(last - sent[ARRAY_SIZE(fds) - 1]) / 1e6);
	/* One after the other would be five minutes; in emulation this process alone takes some 8 s. */
	assert_true(last - sent[ARRAY_SIZE(fds) - 1] < 30 * delay_ns);
	f = fault_rig_look(r, f.id);
	assert_int_equal(f.touched_requests, ARRAY_SIZE(fds));
	faults_stats(r->faults, &stats);
	assert_int_equal(stats.nfqueue_full_total, 0);
	faults_disarm_all(r->faults);
	assert_true(fault_rig_nothing_left(r));
}

static void test_fault_loss_drops_and_the_service_goes_on(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
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

static void test_fault_crash_kills_at_once(void **state)
{
	struct fault_rig *r = fault_rig_need(state);
	struct fault_answer a;
	int status;

	struct fault f = fault_rig_arm(r, "{\"type\":\"crash\"}");
	assert_int_equal(f.state, FAULT_SPENT);
	assert_int_equal(waitpid(r->server, &status, 0), r->server);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	r->server = 0;
	fault_rig_restart(r);

	assert_int_equal(fault_rig_once(r->port, "/", 2000, &a), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_error_spares_what_is_exempt),
		cmocka_unit_test(test_fault_error_on_a_pipeline),
		cmocka_unit_test(test_fault_bad_data_parses_and_is_wrong),
		cmocka_unit_test(test_fault_timeout_is_late_by_what_was_asked),
		cmocka_unit_test(test_fault_timeout_lets_a_large_answer_flow),
		cmocka_unit_test(test_fault_timeout_holds_many_at_once),
		cmocka_unit_test(test_fault_loss_drops_and_the_service_goes_on),
		cmocka_unit_test(test_fault_crash_kills_at_once),
	};

	return cmocka_run_group_tests(tests, setup, fault_rig_tear_down);
}
