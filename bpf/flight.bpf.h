/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flight.bpf.h - what is in flight: a walk over the connections, when userspace reads.
 *
 * Included by observe_request.bpf.c alone, whose program it is.
 */
#ifndef ARCHAIC_FLIGHT_BPF_H
#define ARCHAIC_FLIGHT_BPF_H

#include "conn.bpf.h"

struct bpf_iter_meta___archaic {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta___archaic *meta;
	struct bpf_map *map;
	struct sock *sk;
	struct conn *value;
};

/* What is in flight: one record for each connection with unanswered requests, when userspace reads. */
SEC("iter/bpf_sk_storage_map")
int in_flight(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct conn *c = ctx->value;

	if (!c || c->role == ROLE_NONE || c->dead)
		return 0;

	/* In this order: the other way round, an answer in between would leave less than nothing. */
	__u32 tail = *(volatile __u32 *)&c->tail;
	__u32 head = *(volatile __u32 *)&c->head;

	if ((__s32)(head - tail) <= 0)
		return 0;

	/* The iterator's buffer takes constant offsets only: every slot is read, one is kept. */
	__u32 slot = tail % ABI_PIPELINE;
	__u64 oldest = 0;

	_Pragma("clang loop unroll(full)") for (int i = 0; i < ABI_PIPELINE; i++)
	{
		__u64 start = http_reload(c->starts[i]);

		if (slot == (__u32)i)
			oldest = start;
	}

	struct abi_flight f = {
		.oldest_ns = oldest & ~START_METHOD,
		.server = c->server,
		.client = c->client,
		.requests = head - tail,
		.side = c->role == ROLE_CLIENT ? ABI_SIDE_CLIENT : ABI_SIDE_SERVER,
	};

	bpf_seq_write(ctx->meta->seq, &f, sizeof(f));
	return 0;
}

#endif
