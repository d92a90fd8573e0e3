// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pure halves: the guardian's decisions, the lease that never revives, the
 * order of verdicts, the packets that the holder takes apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "base/util.h"
#include "fault/heartbeat.h"
#include "guardian.h"
#include "kernel/fault_bpf.h"
#include "kernel/nfqueue.h"

#define S NSEC_PER_SEC

static void test_guardian_decides(void **state)
{
	static const struct {
		struct guardian_view v;
		enum guardian_act want;
	} cases[] = {
		/* pipe, now, lease, deadline, outstanding */
		{ { false, 10 * S, 12 * S, UINT64_MAX, 0 }, GUARDIAN_WAIT },
		{ { false, 10 * S, 5 * S, 1 * S, 0 }, GUARDIAN_WAIT }, /* nothing to undo */
		{ { true, 10 * S, 12 * S, UINT64_MAX, 0 }, GUARDIAN_EXIT },
		{ { true, 10 * S, 12 * S, 60 * S, 1 }, GUARDIAN_UNDO_ALL_AND_EXIT },
		{ { true, 10 * S, 5 * S, 1 * S, 1 }, GUARDIAN_UNDO_ALL_AND_EXIT },
		{ { false, 10 * S, 12 * S, 60 * S, 1 }, GUARDIAN_WAIT },
		{ { false, 12 * S, 12 * S, 60 * S, 1 }, GUARDIAN_WAIT },
		{ { false, 12 * S + 1, 12 * S, 60 * S, 1 }, GUARDIAN_UNDO_ALL },
		{ { false, 10 * S, 12 * S, 9 * S, 1 },
		  GUARDIAN_WAIT }, /* the daemon has a grace to do it itself */
		{ { false, 10 * S, 12 * S, 7 * S, 1 }, GUARDIAN_UNDO_DUE },
		{ { false, 10 * S, 12 * S, UINT64_MAX, 1 }, GUARDIAN_WAIT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (guardian_decide(&cases[i].v) != cases[i].want)
			fail_msg("case %zu", i);
}

static uint64_t fake_now;

static uint64_t now(void)
{
	return fake_now;
}

static void test_lease_never_revives(void **state)
{
	__u64 lease = 12 * S;

	(void)state;
	fake_now = 10 * S;
	assert_true(heartbeat_renew(&lease, fake_now + 2 * S, now));
	fake_now = 11 * S;
	assert_true(heartbeat_renew(&lease, fake_now + 2 * S, now));
	assert_int_equal(lease, 13 * S);

	/* Stopped for 5 s between computing the new end and checking. */
	uint64_t new_end = fake_now + 2 * S;
	fake_now = 16 * S;
	assert_false(heartbeat_renew(&lease, new_end, now));
	assert_int_equal(lease, 13 * S);

	/* Stopped between check and store: what is stored is over by then. */
	lease = 18 * S;
	new_end = fake_now + 2 * S;
	assert_true(heartbeat_renew(&lease, new_end, now));
	fake_now = 30 * S;
	assert_true(lease < fake_now);
	assert_false(heartbeat_renew(&lease, fake_now + 2 * S, now));
}

static struct fault_tuple flow(uint16_t port)
{
	return (struct fault_tuple){ .local = { 1, 2, 3, 4 }, .peer_port_be = port };
}

static void test_verdicts_keep_the_order_of_a_flow(void **state)
{
	struct nfqueue_heap *h = nfqueue_heap_new(16);
	struct fault_tuple a = flow(1), b = flow(2);
	uint32_t id;

	(void)state;
	assert_non_null(h);
	assert_int_equal(nfqueue_heap_first(h), UINT64_MAX);
	assert_true(nfqueue_heap_add(h, &a, 100, 1));
	assert_true(nfqueue_heap_add(h, &a, 0, 2)); /* may go earlier, must not */
	assert_true(nfqueue_heap_add(h, &b, 50, 3));
	assert_true(nfqueue_heap_add(h, &a, 120, 4));
	assert_true(nfqueue_heap_holds(h, &a));
	assert_int_equal(nfqueue_heap_first(h), 50);
	assert_false(nfqueue_heap_take(h, 49, &id));
	assert_true(nfqueue_heap_take(h, 50, &id) && id == 3);
	assert_false(nfqueue_heap_holds(h, &b));
	assert_true(nfqueue_heap_take(h, 100, &id) && id == 1);
	assert_true(nfqueue_heap_take(h, 100, &id) && id == 2);
	assert_false(nfqueue_heap_take(h, 100, &id));
	assert_true(nfqueue_heap_take(h, UINT64_MAX, &id) && id == 4);
	assert_int_equal(nfqueue_heap_size(h), 0);
	assert_false(nfqueue_heap_holds(h, &a));
	/* A flow that is empty again starts afresh. */
	assert_true(nfqueue_heap_add(h, &a, 10, 5));
	assert_int_equal(nfqueue_heap_first(h), 10);
	nfqueue_heap_free(h);
}

static void test_verdicts_are_bounded_and_sorted(void **state)
{
	struct nfqueue_heap *h = nfqueue_heap_new(5000);
	uint64_t seed = 1, last = 0;
	uint32_t id, n = 0;

	(void)state;
	for (uint32_t round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			struct fault_tuple t = flow((uint16_t)(round * 5000 + i));

			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			assert_true(nfqueue_heap_add(h, &t, seed >> 40, i));
		}
		struct fault_tuple more = flow(60000);
		assert_false(nfqueue_heap_add(h, &more, 1, 1));
		for (last = 0, n = 0; nfqueue_heap_first(h) != UINT64_MAX; n++) {
			uint64_t first = nfqueue_heap_first(h);

			assert_true(first >= last);
			last = first;
			assert_true(nfqueue_heap_take(h, first, &id));
		}
		assert_int_equal(n, 5000);
	}
	nfqueue_heap_free(h);
}

static void test_holder_takes_packets_apart(void **state)
{
	uint8_t v4[41] = { 0x45, 0, 0, 41, 0,  0, 0, 0, 64,   6,    0,    0,
			   127,  0, 0, 1,  10, 0, 0, 2, 0x1f, 0x42, 0x9c, 0x40 };
	uint8_t v6[60] = { 0x60, 0, 0, 0, 0, 20, 6, 64 };
	struct fault_tuple t;
	bool payload;

	(void)state;
	v4[32] = 0x50;
	assert_true(nfqueue_dissect(v4, sizeof(v4), &t, &payload) && payload);
	assert_int_equal(ntohs(t.local_port_be), 8002);
	assert_int_equal(ntohs(t.peer_port_be), 40000);
	assert_int_equal(t.local[2], htonl(0xffff));
	assert_int_equal(t.local[3], htonl(0x7f000001));
	v4[3] = 40; /* no payload: an acknowledgement */
	assert_true(nfqueue_dissect(v4, sizeof(v4), &t, &payload) && !payload);
	v4[33] = 1; /* FIN must not overtake */
	assert_true(nfqueue_dissect(v4, sizeof(v4), &t, &payload) && payload);
	v4[33] = 2; /* SYN is never late */
	assert_true(nfqueue_dissect(v4, sizeof(v4), &t, &payload) && !payload);
	v4[33] = 0;
	v4[3] = 0; /* over 64 KiB: no length */
	assert_true(nfqueue_dissect(v4, sizeof(v4), &t, &payload) && payload);
	v4[6] = 0x20; /* a fragment */
	assert_false(nfqueue_dissect(v4, sizeof(v4), &t, &payload));
	v4[6] = 0;
	v4[9] = 17;
	assert_false(nfqueue_dissect(v4, sizeof(v4), &t, &payload));
	v4[9] = 6;
	for (size_t len = 0; len < 40; len++)
		assert_false(nfqueue_dissect(v4, len, &t, &payload));

	v6[40 + 12] = 0x50;
	v6[8] = 0xfd;
	assert_true(nfqueue_dissect(v6, sizeof(v6), &t, &payload) && !payload);
	assert_int_equal(((uint8_t *)t.local)[0], 0xfd);
	v6[5] = 21;
	assert_true(nfqueue_dissect(v6, sizeof(v6), &t, &payload) && payload);
	for (size_t len = 0; len < 60; len++)
		assert_false(nfqueue_dissect(v6, len, &t, &payload));
}

static void test_shares_become_thresholds(void **state)
{
	(void)state;
	assert_int_equal(fault_bpf_threshold(0), 0);
	assert_int_equal(fault_bpf_threshold(-1), 0);
	assert_int_equal(fault_bpf_threshold(1), FAULT_ABI_ALWAYS);
	assert_int_equal(fault_bpf_threshold(7), FAULT_ABI_ALWAYS);
	assert_int_equal(fault_bpf_threshold(0.5), 1ULL << 31);
	assert_int_equal(fault_bpf_hash("a", 1), 0xe40c292c); /* from the FNV page */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guardian_decides),
		cmocka_unit_test(test_lease_never_revives),
		cmocka_unit_test(test_verdicts_keep_the_order_of_a_flow),
		cmocka_unit_test(test_verdicts_are_bounded_and_sorted),
		cmocka_unit_test(test_holder_takes_packets_apart),
		cmocka_unit_test(test_shares_become_thresholds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
