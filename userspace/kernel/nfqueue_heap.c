// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A binary heap by (release, arrival), and an open-addressed table of the
 * flows that have packets in it: a flow's packets leave in the order they came,
 * so each waits at least for the one before.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/util.h"
#include "kernel/nfqueue.h"

#define FLOWS 16384 /* a power of two; filled to three quarters at most */

struct flow {
	struct fault_tuple tuple;
	uint64_t last_ns; /* release of its latest packet */
	uint32_t held;    /* 0: the slot is a tombstone or was never used */
	bool used;
};

struct nfqueue_heap {
	struct nfqueue_item *items;
	size_t nr, max;
	uint64_t arrivals;
	size_t nr_used; /* flow slots, tombstones too */
	struct flow flows[FLOWS];
};

struct nfqueue_heap *nfqueue_heap_new(size_t max)
{
	struct nfqueue_heap *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->items = calloc(max, sizeof(*h->items));
	h->max = max;
	if (!h->items) {
		free(h);
		return NULL;
	}
	return h;
}

void nfqueue_heap_free(struct nfqueue_heap *h)
{
	if (!h)
		return;
	free(h->items);
	free(h);
}

static uint32_t slot_of(const struct fault_tuple *t)
{
	uint32_t words[sizeof(*t) / 4], hash = FAULT_FNV_BASIS;

	memcpy(words, t, sizeof(*t));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		hash = (hash ^ words[i]) * FAULT_FNV_PRIME;
	return (hash ^ hash >> 15) & (FLOWS - 1);
}

static struct flow *find(const struct nfqueue_heap *h, const struct fault_tuple *t)
{
	for (uint32_t i = slot_of(t), n = 0; n < FLOWS && h->flows[i].used;
	     i = (i + 1) & (FLOWS - 1), n++)
		if (h->flows[i].held && !memcmp(&h->flows[i].tuple, t, sizeof(*t)))
			return (struct flow *)&h->flows[i];
	return NULL;
}

/* A free slot for a flow that has none; tombstones are used again. */
static struct flow *claim(struct nfqueue_heap *h, const struct fault_tuple *t)
{
	/* Nothing is held: the table is empty, whatever tombstones say. */
	if (!h->nr && h->nr_used > FLOWS / 2) {
		memset(h->flows, 0, sizeof(h->flows));
		h->nr_used = 0;
	}
	for (uint32_t i = slot_of(t), n = 0; n < FLOWS; i = (i + 1) & (FLOWS - 1), n++) {
		struct flow *f = &h->flows[i];

		if (f->held)
			continue;
		if (!f->used) {
			if (h->nr_used >= FLOWS / 4 * 3)
				return NULL;
			h->nr_used++;
		}
		f->used = true;
		f->tuple = *t;
		f->last_ns = 0;
		return f;
	}
	return NULL;
}

static bool before(const struct nfqueue_item *a, const struct nfqueue_item *b)
{
	return a->release_ns != b->release_ns ? a->release_ns < b->release_ns :
						a->arrival < b->arrival;
}

static void swap(struct nfqueue_heap *h, size_t a, size_t b)
{
	struct nfqueue_item t = h->items[a];

	h->items[a] = h->items[b];
	h->items[b] = t;
}

bool nfqueue_heap_add(struct nfqueue_heap *h, const struct fault_tuple *tuple, uint64_t release_ns,
		      uint32_t packet_id)
{
	if (h->nr == h->max)
		return false;
	struct flow *f = find(h, tuple);
	if (!f)
		f = claim(h, tuple);
	if (!f)
		return false;

	f->last_ns = MAX(f->last_ns, release_ns);
	f->held++;
	size_t i = h->nr++;
	h->items[i] = (struct nfqueue_item){
		.release_ns = f->last_ns,
		.arrival = h->arrivals++,
		.packet_id = packet_id,
		.flow = (uint32_t)(f - h->flows),
	};
	for (; i && before(&h->items[i], &h->items[(i - 1) / 2]); i = (i - 1) / 2)
		swap(h, i, (i - 1) / 2);
	return true;
}

bool nfqueue_heap_holds(const struct nfqueue_heap *h, const struct fault_tuple *flow)
{
	return h->nr && find(h, flow);
}

uint64_t nfqueue_heap_first(const struct nfqueue_heap *h)
{
	return h->nr ? h->items[0].release_ns : UINT64_MAX;
}

bool nfqueue_heap_take(struct nfqueue_heap *h, uint64_t now_ns, uint32_t *packet_id)
{
	if (!h->nr || h->items[0].release_ns > now_ns)
		return false;
	*packet_id = h->items[0].packet_id;
	h->flows[h->items[0].flow].held--;
	h->items[0] = h->items[--h->nr];
	for (size_t i = 0;;) {
		size_t child = 2 * i + 1;

		if (child >= h->nr)
			return true;
		if (child + 1 < h->nr && before(&h->items[child + 1], &h->items[child]))
			child++;
		if (!before(&h->items[child], &h->items[i]))
			return true;
		swap(h, i, child);
		i = child;
	}
}

size_t nfqueue_heap_size(const struct nfqueue_heap *h)
{
	return h->nr;
}

/* ---- packets */

static uint16_t u16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static bool tcp(const uint8_t *data, size_t len, size_t at, size_t total, struct fault_tuple *t,
		bool *payload)
{
	if (at + 20 > len)
		return false;
	size_t header = (size_t)(data[at + 12] >> 4) * 4;

	memcpy(&t->local_port_be, data + at, 2);
	memcpy(&t->peer_port_be, data + at + 2, 2);
	/* No length at all: a packet over 64 KiB, which is payload for sure. SYN is never delayed. */
	*payload = !(data[at + 13] & 2) &&
		(total == 0 || total > at + header || (data[at + 13] & 1));
	return true;
}

bool nfqueue_dissect(const uint8_t *data, size_t len, struct fault_tuple *ret, bool *payload)
{
	struct fault_tuple t = { .pad = 0 };

	if (len < 20)
		return false;
	if (data[0] >> 4 == 4) {
		size_t header = (size_t)(data[0] & 15) * 4;

		if (data[9] != IPPROTO_TCP || (u16_at(data + 6) & 0x3fff))
			return false;
		t.local[2] = t.peer[2] = htonl(0xffff);
		memcpy(&t.local[3], data + 12, 4);
		memcpy(&t.peer[3], data + 16, 4);
		if (!tcp(data, len, header, u16_at(data + 2), &t, payload))
			return false;
	} else if (data[0] >> 4 == 6 && len >= 40) {
		uint16_t rest = u16_at(data + 4);

		if (data[6] != IPPROTO_TCP)
			return false;
		memcpy(t.local, data + 8, 16);
		memcpy(t.peer, data + 24, 16);
		if (!tcp(data, len, 40, rest ? 40 + (size_t)rest : 0, &t, payload))
			return false;
	} else {
		return false;
	}
	*ret = t;
	return true;
}
