// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring of requests: newest first, the oldest pushed out, filters, and what
 * becomes of paths and trace ids that strangers wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "base/util.h"
#include "observe/requests.h"

#define SEEN_MAX 64

struct seen {
	size_t nr, stop_after; /* 0: never */
	struct request r[SEEN_MAX];
};

static bool keep(void *ctx, const struct request *r)
{
	struct seen *s = ctx;

	assert_true(s->nr < SEEN_MAX);
	s->r[s->nr++] = *r;
	return s->nr != s->stop_after;
}

static size_t each(const struct requests *q, struct requests_filter f, size_t max, struct seen *s)
{
	size_t stop_after = s->stop_after;

	memset(s, 0, sizeof(*s));
	s->stop_after = stop_after;
	return requests_each(q, &f, max, keep, s);
}

static struct abi_request event(uint32_t server, uint32_t client, uint8_t flags)
{
	return (struct abi_request){
		.start_ns = 1000 + server,
		.ttfb_ns = 10,
		.duration_ns = 20,
		.server = server,
		.client = client,
		.status = flags & ABI_REQUEST_FAILED ? 503 : 200,
		.method = ABI_METHOD_GET,
		.flags = flags,
	};
}

static void add(struct requests *q, uint32_t server, uint32_t client, uint8_t flags)
{
	struct abi_request r = event(server, client, flags);

	requests_add(q, &r);
}

static void test_requests_empty(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(3);
	struct seen s = { 0 };

	assert_non_null(q);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 10, &s), 0);
	assert_int_equal(s.nr, 0);
	assert_null(requests_newest(q));
	for (uint32_t i = 1; i <= 5; i++) {
		add(q, i, 0, 0);
		assert_int_equal(requests_newest(q)->server, i);
	}
}

static void test_requests_copies_all_fields(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(3);
	struct abi_request r = event(7, 9, ABI_REQUEST_SLOW);
	struct seen s = { 0 };

	r.side = ABI_SIDE_CLIENT;
	r.path_len = 9;
	memcpy(r.path, "/productsSTALE", 14);
	r.trace_len = 3;
	memcpy(r.trace, "abcSTALE", 8);
	requests_add(q, &r);
	memset(&r, 'z', sizeof(r)); /* nothing is borrowed */
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 10, &s), 1);
	assert_int_equal(s.r[0].seq, 1);
	assert_int_equal(s.r[0].start_ns, 1007);
	assert_int_equal(s.r[0].ttfb_ns, 10);
	assert_int_equal(s.r[0].duration_ns, 20);
	assert_int_equal(s.r[0].server, 7);
	assert_int_equal(s.r[0].client, 9);
	assert_int_equal(s.r[0].status, 200);
	assert_int_equal(s.r[0].method, ABI_METHOD_GET);
	assert_int_equal(s.r[0].side, ABI_SIDE_CLIENT);
	assert_int_equal(s.r[0].flags, ABI_REQUEST_SLOW);
	assert_string_equal(s.r[0].path, "/products");
	assert_string_equal(s.r[0].trace_id, "abc");
}

static void test_requests_newest_first_and_bounded(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(4);
	struct seen s = { 0 };

	for (uint32_t i = 1; i <= 10; i++) {
		add(q, i, 0, 0);
		assert_int_equal(each(q, (struct requests_filter){ 0 }, 10, &s), MIN(i, 4u));
		for (size_t k = 0; k < s.nr; k++) {
			assert_int_equal(s.r[k].seq, i - k);
			assert_int_equal(s.r[k].server, i - k);
		}
	}
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 2, &s), 2);
	assert_int_equal(s.r[0].seq, 10);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 0, &s), 0);
}

static void test_requests_ring_of_one(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(1);
	struct seen s = { 0 };

	add(q, 1, 0, 0);
	add(q, 2, 0, 0);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 10, &s), 1);
	assert_int_equal(s.r[0].server, 2);
}

static void test_requests_filters(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(16);
	struct seen s = { 0 };

	add(q, 1, 2, ABI_REQUEST_SAMPLED);                   /* seq 1 */
	add(q, 2, 3, ABI_REQUEST_SLOW);                      /* 2 */
	add(q, 3, 0, ABI_REQUEST_FAILED);                    /* 3 */
	add(q, 1, 0, ABI_REQUEST_SLOW | ABI_REQUEST_FAILED); /* 4 */
	add(q, 3, 1, ABI_REQUEST_ABORTED);                   /* 5 */

	/* As server and as client. */
	assert_int_equal(each(q, (struct requests_filter){ .service = 1 }, 10, &s), 3);
	assert_int_equal(s.r[0].seq, 5);
	assert_int_equal(s.r[1].seq, 4);
	assert_int_equal(s.r[2].seq, 1);

	assert_int_equal(each(q, (struct requests_filter){ .slow = true }, 10, &s), 2);
	assert_int_equal(s.r[0].seq, 4);
	assert_int_equal(s.r[1].seq, 2);

	/* One that got no answer has failed too. */
	assert_int_equal(each(q, (struct requests_filter){ .failed = true }, 10, &s), 3);
	assert_int_equal(s.r[0].seq, 5);
	assert_int_equal(s.r[2].seq, 3);

	assert_int_equal(each(q, (struct requests_filter){ .slow = true, .failed = true }, 10, &s),
			 4);
	assert_int_equal(each(q, (struct requests_filter){ .service = 2, .failed = true }, 10, &s),
			 0);
	assert_int_equal(each(q, (struct requests_filter){ .service = 99 }, 10, &s), 0);

	/* The limit counts what matches, not what was looked at. */
	assert_int_equal(each(q, (struct requests_filter){ .slow = true }, 1, &s), 1);
	assert_int_equal(s.r[0].seq, 4);
}

static void test_requests_after_seq(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(4);
	struct seen s = { 0 };

	for (uint32_t i = 1; i <= 6; i++)
		add(q, i, 0, 0);
	assert_int_equal(each(q, (struct requests_filter){ .after_seq = 4 }, 10, &s), 2);
	assert_int_equal(s.r[1].seq, 5);
	assert_int_equal(each(q, (struct requests_filter){ .after_seq = 1 }, 10, &s), 4);
	assert_int_equal(each(q, (struct requests_filter){ .after_seq = 6 }, 10, &s), 0);
	assert_int_equal(each(q, (struct requests_filter){ .after_seq = UINT64_MAX }, 10, &s), 0);
}

static void test_requests_callback_may_stop(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(8);
	struct seen s = { .stop_after = 2 };

	for (uint32_t i = 1; i <= 6; i++)
		add(q, i, 0, 0);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 10, &s), 2);
	assert_int_equal(s.nr, 2);
}

static void test_requests_lengths_are_not_trusted(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(2);
	struct abi_request r = event(1, 0, 0);
	struct seen s = { 0 };

	memset(r.path, 'p', sizeof(r.path));
	memset(r.trace, 't', sizeof(r.trace));
	r.path_len = r.trace_len = 255;
	r.method = 255;
	requests_add(q, &r);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 1, &s), 1);
	assert_int_equal(strlen(s.r[0].path), ABI_PATH_MAX);
	assert_int_equal(strlen(s.r[0].trace_id), ABI_TRACE_MAX);

	/* A place in the ring that held more before: nothing of it shows. */
	r.path_len = r.trace_len = 0;
	requests_add(q, &r);
	requests_add(q, &r);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 2, &s), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(s.r[i].path, "");
		assert_string_equal(s.r[i].trace_id, "");
	}
}

static void test_requests_text_ends_at_a_nul(void **state)
{
	(void)state;
	CLEANUP(requests_freep) struct requests *q = requests_new(1);
	struct abi_request r = event(1, 0, 0);
	struct seen s = { 0 };

	memcpy(r.path, "/a\0b", 4);
	r.path_len = 4;
	requests_add(q, &r);
	assert_int_equal(each(q, (struct requests_filter){ 0 }, 1, &s), 1);
	assert_string_equal(s.r[0].path, "/a");
}

static void test_requests_traceparent(void **state)
{
	(void)state;
	static const struct {
		const char *raw, *id, *parent;
	} cases[] = {
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		  "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331" },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333X-01",
		  "0af7651916cd43dd8448eb211c80319c", NULL },
		{ "550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000",
		  NULL },
		/* As long as one, and none. */
		{ "00-0af7651916cd43dd8448eb211c80319X-b7ad6b7169203331-01",
		  "00-0af7651916cd43dd8448eb211c80319X-b7ad6b7169203331-01", NULL },
		{ "0123456789012345678901234567890123456789012345678901234",
		  "0123456789012345678901234567890123456789012345678901234", NULL },
		{ "00-0af7651916cd43dd8448eb211c80319c-", "00-0af7651916cd43dd8448eb211c80319c-",
		  NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(requests_freep) struct requests *q = requests_new(1);
		struct abi_request r = event(1, 0, 0);
		struct seen s = { 0 };

		r.trace_len = (uint8_t)strlen(cases[i].raw);
		assert_true(r.trace_len <= ABI_TRACE_MAX);
		memcpy(r.trace, cases[i].raw, r.trace_len);
		requests_add(q, &r);
		assert_int_equal(each(q, (struct requests_filter){ 0 }, 1, &s), 1);
		assert_string_equal(s.r[0].trace_id, cases[i].id);
		assert_string_equal(s.r[0].parent_id, cases[i].parent ?: "");
	}
}

static void test_requests_methods(void **state)
{
	(void)state;
	assert_string_equal(request_method(ABI_METHOD_GET), "GET");
	assert_string_equal(request_method(ABI_METHOD_TRACE), "TRACE");
	assert_string_equal(request_method(ABI_METHOD_OTHER), "_OTHER");
	assert_string_equal(request_method(ABI_METHOD_NONE), "_OTHER");
	for (unsigned int i = 0; i < 256; i++) {
		assert_non_null(request_method((uint8_t)i));
		if (i >= ABI_METHODS)
			assert_string_equal(request_method((uint8_t)i), "_OTHER");
	}
}

static void test_requests_text_is_made_safe(void **state)
{
	(void)state;
	char to[8];

	assert_string_equal(request_printable("/a b", to, sizeof(to)), "/a b");
	assert_string_equal(request_printable("/\x01\x7f\xff\xc3\n", to, sizeof(to)), "/?????");
	assert_string_equal(request_printable("/longer than it", to, sizeof(to)), "/longer");
	assert_string_equal(request_printable("/a", to, 1), "");
	assert_string_equal(request_printable("", to, sizeof(to)), "");
	assert_ptr_equal(request_printable("/", to, sizeof(to)), to);
	assert_null(requests_new(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_empty),
		cmocka_unit_test(test_requests_copies_all_fields),
		cmocka_unit_test(test_requests_newest_first_and_bounded),
		cmocka_unit_test(test_requests_ring_of_one),
		cmocka_unit_test(test_requests_filters),
		cmocka_unit_test(test_requests_after_seq),
		cmocka_unit_test(test_requests_callback_may_stop),
		cmocka_unit_test(test_requests_lengths_are_not_trusted),
		cmocka_unit_test(test_requests_text_ends_at_a_nul),
		cmocka_unit_test(test_requests_traceparent),
		cmocka_unit_test(test_requests_methods),
		cmocka_unit_test(test_requests_text_is_made_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
