// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A node's clocks against ours. Three questions: does its wall clock tell our time; do its clocks
 * go on by as much as the tick that it tells of; how old is a sample?
 *
 * Age without a common clock: (node's monotonic - ours at arrival) is a constant less the way. The
 * largest of the last minute or two is the fastest way; what lies below it is the delay of
 * this one sample. Clocks that drift apart slowly move the window along; one that jumps
 * starts it anew.
 */
#include <stdlib.h>

#include "observe/merge_internal.h"

static int64_t ms(int64_t ns)
{
	return ns / (int64_t)NSEC_PER_MSEC;
}

static void note_jump(struct node *n, int64_t by_ms, uint64_t now_ns)
{
	n->jumped_ns = now_ns;
	n->jump_ms = by_ms;
	n->n.clock_jumps++;
}

/* Between two ticks in a row: what the monotonic clock went on by is the span, and the wall clock's way too. */
static bool check_steps(struct node *n, const struct wire_sample *s, uint64_t now_ns)
{
	int64_t mono = (int64_t)s->tick.at_ns - n->mono_ns;
	int64_t off_mono = ms(mono - (int64_t)s->tick.span_ns);
	int64_t off_wall = s->wall_ms - n->wall_ms - ms(mono);

	if (llabs(off_mono) > MERGE_CLOCK_JUMP_MS) {
		note_jump(n, off_mono, now_ns);
		return false;
	}
	if (llabs(off_wall) > MERGE_CLOCK_JUMP_MS)
		note_jump(n, off_wall, now_ns);
	return true;
}

static void begin(struct node *n, int64_t lead, uint64_t now_ns)
{
	n->lead_now = n->lead_before = lead;
	n->lead_since_ns = now_ns;
}

uint64_t merge_clock(struct node *n, const struct wire_sample *s, bool continues, uint64_t now_ns,
		     int64_t wall_ms)
{
	int64_t lead = (int64_t)s->tick.at_ns - (int64_t)now_ns;
	bool steady = continues && check_steps(n, s, now_ns);

	n->mono_ns = (int64_t)s->tick.at_ns;
	n->wall_ms = s->wall_ms;
	n->clock_off_ms = s->wall_ms - wall_ms;
	/* Ahead of the fastest way by more than a way can vary: its clock runs fast, or the first one was slow. */
	if (!steady || !n->lead_since_ns) {
		begin(n, lead, now_ns);
		return 0;
	}
	if (now_ns - n->lead_since_ns >= MERGE_ANCHOR_NS) {
		n->lead_before = n->lead_now;
		n->lead_now = lead;
		n->lead_since_ns = now_ns;
	}
	n->lead_now = MAX(n->lead_now, lead);
	int64_t best = MAX(n->lead_now, n->lead_before);
	return (uint64_t)(best - lead);
}
