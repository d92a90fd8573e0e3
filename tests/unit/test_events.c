// SPDX-License-Identifier: GPL-2.0-or-later
/* One rendering for all; who comes back catches up; who is slow holds nobody. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "serve/events.h"

#define FIRST 1000

static struct events *events;

static int setup(void **state)
{
	(void)state;
	return events_new(FIRST, &events);
}

static int teardown(void **state)
{
	(void)state;
	events_free(events);
	events = NULL;
	return 0;
}

static struct events_listener *listen_from(bool has_last, uint64_t last, uint64_t now_ns)
{
	struct events_listener *l = NULL;

	assert_int_equal(events_open(events, has_last, last, now_ns, &l), 0);
	return l;
}

static void shutp(struct events_listener **l)
{
	events_shut(*l, false, 1);
}

/* The next frame as it is written; only where one is at hand, else this waits. */
static const char *next_frame(struct events_listener *l)
{
	static char text[4096];
	size_t len = 0;

	do {
		ssize_t n = events_read(l, text + len, 7); /* in small pieces */
		assert_true(n > 0);
		len += (size_t)n;
		assert_true(len < sizeof(text) - 8);
		text[len] = '\0';
	} while (len < 2 || strcmp(text + len - 2, "\n\n") != 0);
	return text;
}

static void test_events_are_frames_with_rising_ids(void **state)
{
	CLEANUP(shutp) struct events_listener *l = listen_from(false, 0, 1);

	(void)state;
	assert_int_equal(events_publish(events, "fault", "{\"id\":\"f-1\"}"), 0);
	assert_int_equal(events_publish(events, "sample", "{\"t\":1}"), 0);
	assert_string_equal(next_frame(l), "id: 1000\nevent: fault\ndata: {\"id\":\"f-1\"}\n\n");
	assert_string_equal(next_frame(l), "id: 1001\nevent: sample\ndata: {\"t\":1}\n\n");
}

static void test_events_catch_up_from_the_last_id(void **state)
{
	CLEANUP(shutp) struct events_listener *first = listen_from(false, 0, 1);

	(void)state;
	for (int i = 0; i < 5; i++)
		events_publish(events, "fault", "{}");
	CLEANUP(shutp) struct events_listener *l = listen_from(true, 1001, 2);
	assert_non_null(strstr(next_frame(l), "id: 1002\n"));
	assert_non_null(strstr(next_frame(l), "id: 1003\n"));
	assert_non_null(strstr(next_frame(l), "id: 1004\n"));
	/* Nothing was missed: what comes next is the next. */
	events_publish(events, "load", "{}");
	assert_non_null(strstr(next_frame(l), "id: 1005\nevent: load\n"));
	assert_non_null(strstr(next_frame(first), "id: 1000\n"));
}

static void test_events_say_when_the_past_is_gone(void **state)
{
	struct events_stats stats;
	CLEANUP(shutp) struct events_listener *first = listen_from(false, 0, 1);

	(void)state;
	for (int i = 0; i < EVENTS_RING_MAX + 10; i++)
		events_publish(events, "fault", "{}");
	/* The oldest that is kept is 1010: after 1009 nothing is missing, after 1008 something is. */
	CLEANUP(shutp) struct events_listener *whole = listen_from(true, 1009, 2);
	assert_non_null(strstr(next_frame(whole), "id: 1010\n"));
	CLEANUP(shutp) struct events_listener *late = listen_from(true, 1008, 2);
	assert_non_null(strstr(next_frame(late), "id: 1609\nevent: reset\ndata: {\"why\":"));
	/* An id of no event yet: another daemon's life, with its clock ahead of ours. */
	CLEANUP(shutp) struct events_listener *strange = listen_from(true, 99999, 2);
	assert_non_null(strstr(next_frame(strange), "event: reset\n"));
	/* After a reset the stream goes on; its id catches up without another. */
	events_publish(events, "fault", "{}");
	assert_non_null(strstr(next_frame(late), "id: 1610\nevent: fault\n"));
	CLEANUP(shutp) struct events_listener *again = listen_from(true, 1609, 2);
	assert_non_null(strstr(next_frame(again), "id: 1610\nevent: fault\n"));
	events_stats(events, &stats);
	assert_int_equal(stats.resets, 2);
}

static void test_events_begin_with_the_newest_sample(void **state)
{
	CLEANUP(shutp) struct events_listener *first = listen_from(false, 0, 1);

	(void)state;
	events_publish(events, "sample", "{\"t\":1}");
	events_publish(events, "sample", "{\"t\":2}");
	events_publish(events, "fault", "{}");
	CLEANUP(shutp) struct events_listener *l = listen_from(false, 0, 2);
	assert_non_null(strstr(next_frame(l), "{\"t\":2}"));
	assert_non_null(strstr(next_frame(l), "event: fault"));
}

/* While nobody listens no samples are made: who comes back after that has missed some. */
static void test_events_do_not_hide_a_pause(void **state)
{
	uint64_t now = 10 * EVENTS_LINGER_NS;

	(void)state;
	assert_false(events_wanted(events, now));
	struct events_listener *l = listen_from(false, 0, now);
	assert_true(events_wanted(events, now));
	events_publish(events, "sample", "{}");
	events_shut(l, false, now);
	assert_true(events_wanted(events, now + EVENTS_LINGER_NS - 1));
	assert_false(events_wanted(events, now + EVENTS_LINGER_NS));
	l = listen_from(true, FIRST, now + EVENTS_LINGER_NS - 1);
	events_publish(events, "fault", "{}");
	assert_non_null(strstr(next_frame(l), "event: fault"));
	events_shut(l, false, now);
	l = listen_from(true, FIRST + 1, now + EVENTS_LINGER_NS);
	assert_true(events_wanted(events, now + EVENTS_LINGER_NS));
	events_shut(l, false, now);
	l = listen_from(true, FIRST, now + 3 * EVENTS_LINGER_NS);
	assert_non_null(strstr(next_frame(l), "event: reset"));
	events_shut(l, false, now);
}

static void test_events_drop_the_slow(void **state)
{
	char byte[8];
	struct events_stats stats;
	CLEANUP(shutp) struct events_listener *slow = listen_from(false, 0, 1);
	CLEANUP(shutp) struct events_listener *fast = listen_from(false, 0, 1);

	(void)state;
	events_publish(events, "fault", "{}");
	assert_int_equal(events_read(slow, byte, 1), 1);
	for (int i = 0; i < EVENTS_RING_MAX + 1; i++) {
		assert_non_null(strstr(next_frame(fast), "fault"));
		events_publish(events, "fault", "{}");
	}
	/* The frame that it has begun is whole, though the ring has let go of it; then it is over. */
	while (events_read(slow, byte, 1) == 1)
		;
	assert_int_equal(events_read(slow, byte, 1), -EPIPE);
	events_stats(events, &stats);
	assert_true(stats.dropped_slow >= 1);
	assert_non_null(strstr(next_frame(fast), "fault"));
}

static void test_events_bound_listeners_and_bytes(void **state)
{
	struct events_listener *all[EVENTS_LISTENERS_MAX], *more;
	struct events_stats stats;
	CLEANUP(freep) char *large = malloc(EVENTS_FRAME_MAX + 2);

	(void)state;
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++)
		all[i] = listen_from(false, 0, 1);
	assert_int_equal(events_open(events, false, 0, 1, &more), -EBUSY);
	events_shut(all[0], true, 1);
	all[0] = listen_from(false, 0, 1);
	for (size_t i = 0; i < EVENTS_LISTENERS_MAX; i++)
		events_shut(all[i], false, 1);

	assert_non_null(large);
	memset(large, 'x', EVENTS_FRAME_MAX + 1);
	large[EVENTS_FRAME_MAX + 1] = '\0';
	assert_int_equal(events_publish(events, "sample", large), -EMSGSIZE);
	large[EVENTS_FRAME_MAX] = '\0';
	for (int i = 0; i < 40; i++)
		assert_int_equal(events_publish(events, "sample", large), 0);
	events_stats(events, &stats);
	assert_true(stats.ring_bytes <= EVENTS_RING_BYTES);
	assert_true(stats.ring_bytes > EVENTS_RING_BYTES - 2 * EVENTS_FRAME_MAX);
	assert_int_equal(stats.turned_away, 1);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.dropped_slow, 1);
	assert_int_equal(stats.listeners, 0);
}

/* A line break in the data would make an event of a stranger's text. */
static void test_events_refuse_line_breaks(void **state)
{
	(void)state;
	assert_int_equal(events_publish(events, "fault", "{}\n\nevent: sample\ndata: {}"),
			 -EMSGSIZE);
	assert_int_equal(events_publish(events, "fault", "{}\r"), -EMSGSIZE);
}

static void *read_to_the_end(void *arg)
{
	char bytes[64];
	ssize_t n;

	while ((n = events_read(arg, bytes, sizeof(bytes))) > 0)
		;
	return (void *)(intptr_t)n;
}

static void test_events_close_wakes_whoever_waits(void **state)
{
	struct events_listener *l = listen_from(false, 0, 1), *late;
	pthread_t thread;
	void *end;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, read_to_the_end, l), 0);
	events_close(events);
	assert_int_equal(pthread_join(thread, &end), 0);
	assert_int_equal((intptr_t)end, -EPIPE);
	events_shut(l, false, 1);
	assert_int_equal(events_open(events, false, 0, 1, &late), -ESHUTDOWN);
}

/* Publishers and listeners at once: each listener sees every id, once, in order. */
static void *follow(void *arg)
{
	char text[256];
	uint64_t id, last = FIRST - 1;
	size_t len = 0;

	while (last < FIRST + 499) {
		ssize_t n = events_read(arg, text + len, 1);
		if (n <= 0)
			return (void *)1;
		len += (size_t)n;
		text[len] = '\0';
		if (len < 2 || strcmp(text + len - 2, "\n\n") != 0)
			continue;
		if (sscanf(text, "id: %" SCNu64, &id) != 1 || id != last + 1)
			return (void *)2;
		last = id;
		len = 0;
	}
	return NULL;
}

static void test_events_reach_everybody_in_order(void **state)
{
	struct events_listener *l[8];
	pthread_t threads[8];
	void *end;

	(void)state;
	for (int i = 0; i < 8; i++) {
		l[i] = listen_from(true, FIRST - 1, 1);
		assert_int_equal(pthread_create(&threads[i], NULL, follow, l[i]), 0);
	}
	for (int i = 0; i < 500; i++)
		events_publish(events, "fault", "{\"some\":\"thing\"}");
	for (int i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], &end), 0);
		assert_null(end);
		events_shut(l[i], false, 1);
	}
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_events_are_frames_with_rising_ids),
		CASE(test_events_catch_up_from_the_last_id),
		CASE(test_events_say_when_the_past_is_gone),
		CASE(test_events_begin_with_the_newest_sample),
		CASE(test_events_do_not_hide_a_pause),
		CASE(test_events_drop_the_slow),
		CASE(test_events_bound_listeners_and_bytes),
		CASE(test_events_refuse_line_breaks),
		CASE(test_events_close_wakes_whoever_waits),
		CASE(test_events_reach_everybody_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
