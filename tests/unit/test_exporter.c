// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The exporter with a clock of the test's own and a receiver that says what it
 * is told to: batches, the full queue, retries, giving up; and its thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "export/exporter.h"

#define SECOND NSEC_PER_SEC

/* A receiver. */
struct receiver {
	struct otlp_answer answer;
	atomic_size_t requests, spans;
	size_t last; /* spans of the last request */
	int told;    /* 1: works again, -1: does not; the last word */
	size_t tellings;
	char why[160];
	bool stuck; /* answers only when it is cancelled */
	char *body; /* of the last request; owned */
};

static struct receiver receiver;
static struct exporter *e;

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void on_send(void *ctx, const char *body, size_t len, const atomic_bool *cancel,
		    struct otlp_answer *ret)
{
	struct receiver *r = ctx;

	assert_int_equal(strlen(body), len);
	r->requests++;
	r->last = count(body, "\"spanId\"");
	r->spans += r->last;
	free(r->body);
	r->body = strdup(body);
	while (r->stuck && !atomic_load(cancel))
		usleep(1000);
	*ret = r->answer;
	if (r->stuck)
		ret->status = 0;
}

static void on_changed(void *ctx, bool works, const char *why)
{
	struct receiver *r = ctx;

	r->told = works ? 1 : -1;
	r->tellings++;
	snprintf(r->why, sizeof(r->why), "%s", why);
}

static int setup(void **state)
{
	const struct exporter_config c = { .namespace = "shop",
					   .host = "node-1",
					   .send = on_send,
					   .ctx = &receiver,
					   .changed = on_changed };

	(void)state;
	receiver = (struct receiver){ .answer = { .status = 200 } };
	return exporter_new(&c, &e);
}

static int teardown(void **state)
{
	(void)state;
	exporter_free(e);
	free(receiver.body);
	return 0;
}

static void push(size_t nr, uint64_t now_ns)
{
	static uint64_t seq;

	for (size_t i = 0; i < nr; i++) {
		struct request r = { .seq = ++seq, .server = 1, .status = 200 };
		struct span s;
		span_make(&r, 0, 42, &s);
		snprintf(s.server, sizeof(s.server), "db");
		exporter_push(e, &s, now_ns);
	}
}

static struct exporter_stats stats(void)
{
	struct exporter_stats s;

	exporter_stats(e, &s);
	return s;
}

static void test_exporter_waits_for_company(void **state)
{
	(void)state;
	assert_true(exporter_step(e, SECOND) == UINT64_MAX);
	push(1, 10 * SECOND);
	push(2, 10 * SECOND + SECOND / 2);
	assert_true(exporter_step(e, 10 * SECOND) == 11 * SECOND);
	assert_true(exporter_step(e, 11 * SECOND - 1) == 11 * SECOND);
	assert_int_equal(receiver.requests, 0);
	assert_true(exporter_step(e, 11 * SECOND) == 11 * SECOND);
	assert_int_equal(receiver.requests, 1);
	assert_int_equal(receiver.spans, 3);
	assert_true(exporter_step(e, 11 * SECOND) == UINT64_MAX);
	assert_int_equal(stats().sent, 3);
	assert_int_equal(stats().queued, 0);
}

static void test_exporter_full_batch_goes_at_once(void **state)
{
	(void)state;
	push(EXPORT_BATCH_MAX + 5, 10 * SECOND);
	exporter_step(e, 10 * SECOND);
	assert_int_equal(receiver.last, EXPORT_BATCH_MAX);
	/* The rest is no batch: it waits its second. */
	assert_true(exporter_step(e, 10 * SECOND) == 11 * SECOND);
	assert_int_equal(stats().queued, 5);
	exporter_step(e, 11 * SECOND);
	assert_int_equal(receiver.last, 5);
	assert_int_equal(stats().requests_ok, 2);
}

static void test_exporter_full_queue_drops_and_counts(void **state)
{
	(void)state;
	push(EXPORT_QUEUE_MAX + 7, SECOND);
	assert_int_equal(stats().queued, EXPORT_QUEUE_MAX);
	assert_int_equal(stats().dropped_full, 7);
	for (int i = 0; i < 4; i++)
		exporter_step(e, 3 * SECOND);
	assert_int_equal(stats().sent, EXPORT_QUEUE_MAX);
	push(1, 4 * SECOND);
	assert_int_equal(stats().dropped_full, 7);
}

static void test_exporter_tries_again_with_the_same(void **state)
{
	(void)state;
	receiver.answer = (struct otlp_answer){ .status = 503, .why = "it is tired" };
	push(2, 10 * SECOND);
	uint64_t due_ns = exporter_step(e, 11 * SECOND);
	assert_int_equal(receiver.requests, 1);
	assert_true(due_ns >= 11 * SECOND + SECOND / 2 && due_ns <= 12 * SECOND);
	assert_int_equal(receiver.told, -1);
	assert_string_equal(receiver.why, "it is tired");
	CLEANUP(freep) char *first = TAKE_PTR(receiver.body);

	/* What comes meanwhile waits, and moves nothing forward. */
	push(1, 11 * SECOND);
	assert_true(exporter_step(e, due_ns - 1) == due_ns);
	assert_int_equal(receiver.requests, 1);
	assert_int_equal(stats().queued, 3);
	uint64_t later_ns = exporter_step(e, due_ns);
	assert_int_equal(receiver.requests, 2);
	assert_string_equal(receiver.body, first);
	assert_true(later_ns >= due_ns + SECOND && later_ns <= due_ns + 2 * SECOND);

	receiver.answer = (struct otlp_answer){ .status = 200 };
	exporter_step(e, later_ns);
	assert_string_equal(receiver.body, first);
	exporter_step(e, later_ns);
	assert_int_equal(receiver.last, 1);
	assert_int_equal(receiver.told, 1);
	assert_int_equal(receiver.tellings, 2);
	assert_int_equal(stats().sent, 3);
	assert_int_equal(stats().requests_later, 2);
	assert_int_equal(stats().requests_ok, 2);
}

static void test_exporter_waits_as_long_as_it_is_told(void **state)
{
	(void)state;
	receiver.answer = (struct otlp_answer){ .status = 429, .retry_after_ns = 60 * SECOND };
	push(1, 10 * SECOND);
	assert_true(exporter_step(e, 11 * SECOND) == 71 * SECOND);
}

static void test_exporter_gives_up(void **state)
{
	uint64_t now_ns = 11 * SECOND, due_ns;

	(void)state;
	receiver.answer = (struct otlp_answer){ .status = 0, .why = "refused" };
	push(2, 10 * SECOND);
	while ((due_ns = exporter_step(e, now_ns)) > now_ns && due_ns != UINT64_MAX)
		now_ns = due_ns;
	assert_int_equal(stats().dropped_late, 2);
	assert_int_equal(stats().queued, 0);
	assert_true(now_ns <= 11 * SECOND + EXPORT_GIVE_UP_NS);
	assert_true(now_ns >= 11 * SECOND + EXPORT_GIVE_UP_NS - 31 * SECOND);
	assert_in_range(receiver.requests, 10, 30);
	/* The next batch begins with patience of its own. */
	receiver.answer.status = 200;
	push(1, now_ns);
	exporter_step(e, now_ns + SECOND);
	assert_int_equal(stats().sent, 1);
}

static void test_exporter_does_not_insist(void **state)
{
	(void)state;
	receiver.answer = (struct otlp_answer){ .status = 400 };
	push(2, 10 * SECOND);
	exporter_step(e, 11 * SECOND);
	assert_true(exporter_step(e, 12 * SECOND) == UINT64_MAX);
	assert_int_equal(receiver.requests, 1);
	assert_int_equal(stats().rejected, 2);
	assert_int_equal(stats().requests_refused, 1);
}

static void test_exporter_counts_a_partial_success(void **state)
{
	(void)state;
	receiver.answer = (struct otlp_answer){ .status = 200, .rejected = 2 };
	push(5, 10 * SECOND);
	exporter_step(e, 11 * SECOND);
	assert_int_equal(stats().sent, 3);
	assert_int_equal(stats().rejected, 2);
	/* More than there were: it cannot count, and we do not believe it. */
	receiver.answer.rejected = 1000;
	push(1, 12 * SECOND);
	exporter_step(e, 13 * SECOND);
	assert_int_equal(stats().sent, 3);
	assert_int_equal(stats().rejected, 3);
}

/* ---- the thread */

static void test_exporter_thread_sends_what_is_left(void **state)
{
	(void)state;
	assert_int_equal(exporter_start(e), 0);
	push(EXPORT_BATCH_MAX + 1, clock_mono_ns());
	exporter_free(TAKE_PTR(e));
	assert_int_equal(receiver.spans, EXPORT_BATCH_MAX + 1);
	assert_int_equal(receiver.requests, 2);
}

/* A receiver that never answers neither holds up whoever pushes nor the end. */
static void test_exporter_thread_ends_beside_a_dead_receiver(void **state)
{
	(void)state;
	receiver.stuck = true;
	assert_int_equal(exporter_start(e), 0);
	push(EXPORT_BATCH_MAX, clock_mono_ns());
	while (!receiver.requests)
		usleep(1000);
	uint64_t begin_ns = clock_mono_ns();
	push(EXPORT_QUEUE_MAX + 3, begin_ns);
	assert_int_equal(stats().dropped_full, 3);
	exporter_free(TAKE_PTR(e));
	/* One cancelled call, and a last one that is cancelled in its turn. */
	assert_true(clock_mono_ns() - begin_ns < EXPORT_LAST_NS + 2 * SECOND);
	assert_int_equal(receiver.tellings, 0);
}

int main(void)
{
#define ONE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONE(test_exporter_waits_for_company),
		ONE(test_exporter_full_batch_goes_at_once),
		ONE(test_exporter_full_queue_drops_and_counts),
		ONE(test_exporter_tries_again_with_the_same),
		ONE(test_exporter_waits_as_long_as_it_is_told),
		ONE(test_exporter_gives_up),
		ONE(test_exporter_does_not_insist),
		ONE(test_exporter_counts_a_partial_success),
		ONE(test_exporter_thread_sends_what_is_left),
		ONE(test_exporter_thread_ends_beside_a_dead_receiver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
