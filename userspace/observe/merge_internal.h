/* SPDX-License-Identifier: GPL-2.0-or-later */
/* merge_internal.h - the merger's own state; for merge*.c alone. */
#ifndef ARCHAIC_MERGE_INTERNAL_H
#define ARCHAIC_MERGE_INTERNAL_H

#include "observe/merge.h"

#define MERGE_EDGES_MAX 2048
#define MERGE_SHARES_MAX 1024
#define MERGE_ANCHOR_NS (60 * NSEC_PER_SEC)

struct node {
	bool used;
	char name[NODE_NAME_MAX];
	uint64_t boot, seq;
	uint64_t fresh_ns; /* when its last fresh sample came */
	enum node_state state;
	char from[INET6_ADDRSTRLEN];
	uint16_t control_port;
	char lacks[WIRE_LACKS_MAX];
	char addresses[WIRE_ADDRESSES_MAX][INET6_ADDRSTRLEN];
	size_t nr_addresses;
	struct wire_sample queue[MERGE_QUEUE_MAX]; /* oldest first */
	size_t nr_queue;

	/* Its clocks. lead: its monotonic less ours; the largest is the fastest way here. */
	int64_t wall_ms, mono_ns;
	int64_t lead_now, lead_before;
	uint64_t lead_since_ns; /* 0: nothing known */
	int64_t clock_off_ms;
	uint64_t jumped_ns; /* 0: never */
	int64_t jump_ms;

	struct merge_stats n; /* its own share */
};

struct known_service {
	bool used, changed;
	struct merge_service s;
};

/* How much of what @server gets from @client's node is @client's: by the last tick in which both ends spoke. */
struct edge_share {
	uint32_t client, server;
	uint64_t calls, at_ns;
};

struct merge {
	struct node nodes[MERGE_NODES_MAX];
	struct known_service services[SERVICE_MAX];
	struct merge_service gone[SERVICE_MAX];
	size_t nr_gone;
	uint32_t next_id;
	uint64_t version;
	uint64_t last_tick_ns;
	struct edge_share shares[MERGE_SHARES_MAX];
	size_t nr_shares;
	struct merge_stats stats;
};

/** merge_clock() - compare @s's clocks with ours. How much later than the fastest way it came, in ns. */
uint64_t merge_clock(struct node *n, const struct wire_sample *s, bool continues, uint64_t now_ns,
		     int64_t wall_ms);

/** merge_find() - the service @local of @node; NULL: unknown. */
struct known_service *merge_find(struct merge *m, const char *node, const char *local);

/** merge_edges() - add the edges of @nr samples, joined, to @t. 0 or -ENOMEM. */
int merge_edges(struct merge *m, const struct wire_sample *const *samples, size_t nr,
		struct tick *t);

#endif
