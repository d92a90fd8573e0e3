// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/merge_internal.h"

#include <errno.h>
#include <string.h>

const char *node_state_name(enum node_state s)
{
	static const char *const names[] = { "live", "late", "gone" };

	return s <= NODE_GONE ? names[s] : "unknown";
}

int merge_new(uint64_t version, struct merge **ret)
{
	struct merge *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->version = version;
	*ret = m;
	return 0;
}

static void forget_queue(struct node *n)
{
	for (size_t i = 0; i < n->nr_queue; i++)
		wire_release(&n->queue[i]);
	n->nr_queue = 0;
}

void merge_free(struct merge *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < MERGE_NODES_MAX; i++)
		forget_queue(&m->nodes[i]);
	free(m);
}

/* ---- services */

struct known_service *merge_find(struct merge *m, const char *node, const char *local)
{
	for (size_t i = 0; i < SERVICE_MAX; i++) {
		struct known_service *k = &m->services[i];
		if (k->used && !strcmp(k->s.local, local) && !strcmp(k->s.node, node))
			return k;
	}
	return NULL;
}

static bool shown(const struct merge *m, const char *name)
{
	for (size_t i = 0; i < SERVICE_MAX; i++)
		if (m->services[i].used && !strcmp(m->services[i].s.name, name))
			return true;
	return false;
}

static void choose_name(const struct merge *m, struct merge_service *s)
{
	char name[2 * SERVICE_NAME_MAX];

	snprintf(name, sizeof(name), "%s", s->local);
	if (shown(m, name))
		snprintf(name, sizeof(name), "%s.%s", s->local, s->node);
	if (strlen(name) >= SERVICE_NAME_MAX || shown(m, name))
		snprintf(name, sizeof(name), "%.50s.%u", s->local, s->id);
	memcpy(s->name, name, strlen(name) + 1);
}

static struct known_service *add_service(struct merge *m, struct node *n, const char *local)
{
	for (size_t i = 0; i < SERVICE_MAX; i++) {
		struct known_service *k = &m->services[i];
		if (k->used)
			continue;
		*k = (struct known_service){ .changed = true, .s.id = ++m->next_id };
		memcpy(k->s.local, local, sizeof(k->s.local));
		memcpy(k->s.node, n->name, sizeof(k->s.node));
		choose_name(m, &k->s);
		k->used = true;
		m->stats.nr_services++;
		return k;
	}
	m->stats.services_refused++;
	n->n.services_refused++;
	return NULL;
}

static void drop_service(struct merge *m, struct known_service *k)
{
	if (m->nr_gone < SERVICE_MAX)
		m->gone[m->nr_gone++] = k->s;
	k->used = false;
	m->stats.nr_services--;
	m->version++;
}

/* What its node tells of a service; whoever calls it has to know where it is. */
static void note_services(struct merge *m, struct node *n, const struct wire_sample *s,
			  uint64_t now_ns)
{
	for (size_t i = 0; i < s->tick.nr_services; i++) {
		const struct wire_service *w = &s->services[i];
		struct known_service *k = merge_find(m, n->name, s->tick.services[i].name);

		k = k ?: add_service(m, n, s->tick.services[i].name);
		if (!k)
			continue;
		k->s.seen_ns = now_ns;
		if (!k->changed && !memcmp(&k->s.what, w, sizeof(*w)))
			continue;
		memcpy(&k->s.what, w, sizeof(*w));
		k->changed = true;
		m->version++;
	}
}

void merge_changes(struct merge *m, void (*cb)(void *ctx, const struct merge_service *s, bool gone),
		   void *ctx)
{
	for (size_t i = 0; i < m->nr_gone; i++)
		cb(ctx, &m->gone[i], true);
	m->nr_gone = 0;
	for (size_t i = 0; i < SERVICE_MAX; i++) {
		struct known_service *k = &m->services[i];
		if (k->used && k->changed)
			cb(ctx, &k->s, false);
		k->changed = false;
	}
}

const struct merge_service *merge_service(const struct merge *m, uint32_t id)
{
	for (size_t i = 0; id && i < SERVICE_MAX; i++)
		if (m->services[i].used && m->services[i].s.id == id)
			return &m->services[i].s;
	return NULL;
}

/* ---- nodes */

/* The one of this name, else a new one, else one that was gone for long. NULL: full. */
static struct node *node_of(struct merge *m, const char *name)
{
	struct node *room = NULL;

	for (size_t i = 0; i < MERGE_NODES_MAX; i++) {
		struct node *n = &m->nodes[i];
		if (n->used && !strcmp(n->name, name))
			return n;
		if (!n->used && !room)
			room = n;
	}
	if (!room)
		return NULL;
	*room = (struct node){ .used = true, .state = NODE_GONE };
	snprintf(room->name, sizeof(room->name), "%s", name);
	m->stats.nr_nodes++;
	return room;
}

static int check_order(struct merge *m, struct node *n, const struct wire_sample *s,
		       struct problem *p)
{
	if (s->boot == n->boot && s->seq == n->seq) {
		m->stats.repeated++;
		n->n.repeated++;
		return problem_set(p, 409, "tick %llu of node %s is here already",
				   (unsigned long long)s->seq, n->name);
	}
	/* Of an earlier life while the newer one lives: a late copy, or a second agent. After a clock that was set back, the newer one is gone. */
	bool older = s->boot == n->boot ? s->seq < n->seq :
					  s->boot < n->boot && n->state != NODE_GONE;
	if (!older)
		return 0;
	m->stats.old++;
	n->n.old++;
	return problem_set(p, 409,
			   s->boot == n->boot ?
				   "a later tick of node %s is here already" :
				   "an agent of node %s that was started later is at work",
			   n->name);
}

static void note_node(struct merge *m, struct node *n, const struct wire_sample *s,
		      const char *from)
{
	if (n->nr_addresses != s->nr_addresses ||
	    memcmp(n->addresses, s->addresses, sizeof(n->addresses)) != 0) {
		memcpy(n->addresses, s->addresses, sizeof(n->addresses));
		n->nr_addresses = s->nr_addresses;
		m->version++;
	}
	n->boot = s->boot;
	n->seq = s->seq;
	n->control_port = s->control_port;
	snprintf(n->from, sizeof(n->from), "%s", from);
	snprintf(n->lacks, sizeof(n->lacks), "%s", s->lacks);
}

static void enqueue(struct merge *m, struct node *n, struct wire_sample *s)
{
	if (n->nr_queue == MERGE_QUEUE_MAX) {
		wire_release(&n->queue[0]);
		memmove(&n->queue[0], &n->queue[1], sizeof(n->queue[0]) * --n->nr_queue);
		m->stats.overrun++;
		n->n.overrun++;
	}
	n->queue[n->nr_queue++] = *s;
	*s = (struct wire_sample){ 0 };
}

int merge_push(struct merge *m, struct wire_sample *s, const char *from, uint64_t now_ns,
	       int64_t wall_ms, struct problem *p)
{
	struct node *n = node_of(m, s->node);

	if (!n) {
		m->stats.nodes_refused++;
		problem_set(p, 422, "%d nodes are here already", MERGE_NODES_MAX);
		return -ENOSPC;
	}
	int err = check_order(m, n, s, p);
	if (err)
		return err;
	bool continues = s->boot == n->boot && s->seq == n->seq + 1;
	uint64_t jumps = n->n.clock_jumps;
	uint64_t delay = merge_clock(n, s, continues, now_ns, wall_ms);

	m->stats.clock_jumps += n->n.clock_jumps - jumps;
	note_node(m, n, s, from);
	m->stats.samples++;
	n->n.samples++;
	if (delay > MERGE_STALE_NS) {
		m->stats.stale++;
		n->n.stale++;
		wire_release(s);
		return 0;
	}
	n->fresh_ns = now_ns;
	n->state = NODE_LIVE;
	note_services(m, n, s, now_ns);
	enqueue(m, n, s);
	return 0;
}

static void clock_says(const struct node *n, uint64_t now_ns, struct merge_node *ret)
{
	bool off = ret->clock_off_ms > MERGE_CLOCK_OFF_MS ||
		ret->clock_off_ms < -MERGE_CLOCK_OFF_MS;
	bool jumped = n->jumped_ns && now_ns - n->jumped_ns < MERGE_CLOCK_TOLD_NS;

	ret->clock_lies = off || jumped;
	if (jumped)
		snprintf(ret->clock_says, sizeof(ret->clock_says),
			 "the clock of node %.63s jumped by %.1f s, %.0f s ago", n->name,
			 (double)n->jump_ms / 1e3, (double)(now_ns - n->jumped_ns) / 1e9);
	else if (off)
		snprintf(ret->clock_says, sizeof(ret->clock_says),
			 "the clock of node %.63s is %.1f s %s ours", n->name,
			 (double)llabs(ret->clock_off_ms) / 1e3,
			 ret->clock_off_ms > 0 ? "ahead of" : "behind");
}

void merge_each_node(const struct merge *m, uint64_t now_ns,
		     void (*cb)(void *ctx, const struct merge_node *n), void *ctx)
{
	for (size_t i = 0; i < MERGE_NODES_MAX; i++) {
		const struct node *n = &m->nodes[i];
		struct merge_node out = { .state = n->state,
					  .silent_ns = now_ns - n->fresh_ns,
					  .control_port = n->control_port,
					  .clock_off_ms = n->clock_off_ms,
					  .samples = n->n.samples,
					  .repeated = n->n.repeated,
					  .old = n->n.old,
					  .stale = n->n.stale,
					  .overrun = n->n.overrun,
					  .clock_jumps = n->n.clock_jumps,
					  .services_refused = n->n.services_refused };
		if (!n->used)
			continue;
		memcpy(out.node, n->name, sizeof(out.node));
		memcpy(out.from, n->from, sizeof(out.from));
		memcpy(out.lacks, n->lacks, sizeof(out.lacks));
		for (size_t k = 0; k < SERVICE_MAX; k++)
			out.nr_services += m->services[k].used &&
				!strcmp(m->services[k].s.node, n->name);
		clock_says(n, now_ns, &out);
		cb(ctx, &out);
	}
}

void merge_stats(const struct merge *m, struct merge_stats *ret)
{
	*ret = m->stats;
}

/* ---- the tick */

static void forget_node(struct merge *m, struct node *n)
{
	forget_queue(n);
	n->used = false;
	m->stats.nr_nodes--;
	m->version++;
}

static void age_node(struct merge *m, struct node *n, uint64_t now_ns)
{
	uint64_t silent = now_ns - n->fresh_ns;

	n->state = silent < MERGE_LATE_NS ? NODE_LIVE :
		silent < MERGE_GONE_NS    ? NODE_LATE :
					    NODE_GONE;
	for (size_t i = 0; i < SERVICE_MAX; i++) {
		struct known_service *k = &m->services[i];
		if (!k->used || strcmp(k->s.node, n->name) != 0)
			continue;
		if (silent >= MERGE_FORGET_NS ||
		    (n->state == NODE_LIVE && now_ns - k->s.seen_ns >= MERGE_ABSENT_NS)) {
			drop_service(m, k);
			continue;
		}
		k->changed |= k->s.state != n->state;
		k->s.state = n->state;
	}
	if (silent >= MERGE_FORGET_NS)
		forget_node(m, n);
}

static struct service_sample *sample_of(struct tick *t, uint32_t id)
{
	for (size_t i = 0; i < t->nr_services; i++)
		if (t->services[i].id == id)
			return &t->services[i];
	return NULL;
}

/* Counts add up; gauges are the newest's. */
static void add_sample(struct service_sample *to, const struct service_sample *from)
{
	for (size_t i = 0; i < ARRAY_SIZE(to->status_class); i++)
		to->status_class[i] += from->status_class[i];
	hist_add(&to->ttfb, &from->ttfb);
	hist_add(&to->duration, &from->duration);
	hist_add(&to->runq, &from->runq);
	to->requests += from->requests;
	to->ttfb_ns += from->ttfb_ns;
	to->duration_ns += from->duration_ns;
	to->rx_bytes += from->rx_bytes;
	to->tx_bytes += from->tx_bytes;
	to->aborted += from->aborted;
	to->unparsed += from->unparsed;
	to->cpu_ns += from->cpu_ns;
	to->runq_ns += from->runq_ns;
	to->in_flight = from->in_flight;
	to->oldest_ns = from->oldest_ns;
}

static void take_services(struct merge *m, const struct wire_sample *s, struct tick *t)
{
	for (size_t i = 0; i < s->tick.nr_services; i++) {
		const struct service_sample *from = &s->tick.services[i];
		const struct known_service *k = merge_find(m, s->node, from->name);
		struct service_sample *to = k ? sample_of(t, k->s.id) : NULL;

		if (!k)
			continue;
		if (to) {
			add_sample(to, from);
			continue;
		}
		to = &t->services[t->nr_services++];
		*to = *from;
		to->id = k->s.id;
		memcpy(to->name, k->s.name, sizeof(to->name));
	}
}

/* One of each node; where more than one would still wait, those too: a node that was held up catches up. */
static size_t take_from(const struct node *n)
{
	return n->nr_queue > 2 ? n->nr_queue - 1 : MIN(n->nr_queue, (size_t)1);
}

static void drop_taken(struct node *n)
{
	size_t nr = take_from(n);

	for (size_t i = 0; i < nr; i++)
		wire_release(&n->queue[i]);
	n->nr_queue -= nr;
	memmove(&n->queue[0], &n->queue[nr], sizeof(n->queue[0]) * n->nr_queue);
}

int merge_tick(struct merge *m, uint64_t now_ns, struct tick *ret)
{
	CLEANUP(tick_release) struct tick t = { .at_ns = now_ns };
	const struct wire_sample *samples[MERGE_NODES_MAX * MERGE_QUEUE_MAX];
	size_t nr = 0;

	for (size_t i = 0; i < MERGE_NODES_MAX; i++)
		if (m->nodes[i].used)
			age_node(m, &m->nodes[i], now_ns);
	t.services = calloc(SERVICE_MAX, sizeof(*t.services));
	if (!t.services)
		return -ENOMEM;
	for (size_t i = 0; i < MERGE_NODES_MAX; i++)
		for (size_t k = 0; k < take_from(&m->nodes[i]); k++)
			samples[nr++] = &m->nodes[i].queue[k];
	for (size_t i = 0; i < nr; i++)
		take_services(m, samples[i], &t);
	int err = merge_edges(m, samples, nr, &t);
	if (err)
		return err;
	for (size_t i = 0; i < MERGE_NODES_MAX; i++)
		drop_taken(&m->nodes[i]);
	t.span_ns = m->last_tick_ns ? now_ns - m->last_tick_ns : 0;
	m->last_tick_ns = now_ns;
	*ret = t;
	t = (struct tick){ 0 };
	return 0;
}
