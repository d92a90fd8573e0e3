// SPDX-License-Identifier: GPL-2.0-or-later
/* Which parts of the daemon each role has, and what it says of the other processes. */
#include "run_roles.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

const char *role_name(enum role r)
{
	static const char *const names[] = { "run", "agent", "detector", "operator" };

	return names[r];
}

bool role_watches(const struct daemon *d)
{
	return d->role == ROLE_RUN || d->role == ROLE_AGENT;
}

bool role_judges(const struct daemon *d)
{
	return d->role == ROLE_RUN || d->role == ROLE_DETECTOR;
}

bool role_acts(const struct daemon *d)
{
	return d->role == ROLE_RUN || d->role == ROLE_OPERATOR;
}

/* ---- the interface */

static void no_faults(struct control_ops *o)
{
	o->attach = NULL;
	o->detach = NULL;
	o->caller_service = NULL;
	o->faults = NULL;
	o->fault = NULL;
	o->fault_types = NULL;
	o->arm = NULL;
	o->disarm = NULL;
	o->disarm_all = NULL;
	o->doctor = NULL;
}

static void no_judgement(struct control_ops *o)
{
	o->accept = NULL;
	o->scores = NULL;
	o->judgement = NULL;
}

static void no_incidents(struct control_ops *o)
{
	o->incidents = NULL;
	o->incident = NULL;
	o->approve = NULL;
	o->reject = NULL;
	o->report = NULL;
	o->analyze = NULL;
	o->mode = NULL;
	o->set_mode = NULL;
}

const struct control_ops *role_ops(struct daemon *d)
{
	struct control_ops *o = &d->ops;

	*o = daemon_ops;
	if (!d->merge)
		o->sample = NULL;
	if (d->review)
		o->vouched = op_vouched;
	if (!role_watches(d))
		no_faults(o);
	if (!role_judges(d))
		no_judgement(o);
	if (!d->engine)
		no_incidents(o);
	/* Its incidents are a record: only an operator is asked to act. */
	if (!role_acts(d)) {
		o->approve = NULL;
		o->reject = NULL;
		o->set_mode = NULL;
	}
	return o;
}

int role_server(struct daemon *d, struct server_config *s, char **samples_token)
{
	const struct config *c = d->config;
	struct problem p = { 0 };

	if (d->role == ROLE_AGENT || d->role == ROLE_DETECTOR)
		s->port_operator = -1;
	if (d->role == ROLE_OPERATOR)
		s->port_detector = -1;
	if (!role_judges(d))
		s->port_dashboard = -1;
	if (!role_watches(d))
		s->port_chaos = -1;
	if (d->role != ROLE_DETECTOR || !*c->roles.samples_token_file)
		return 0;
	if (server_read_token(c->roles.samples_token_file, samples_token, &p) < 0) {
		log_error("%s", p.detail);
		return -EINVAL;
	}
	s->samples_token = *samples_token;
	return 0;
}

/* ---- life */

int role_open(struct daemon *d)
{
	int err = 0;

	if (d->role == ROLE_AGENT)
		err = push_open(d);
	else if (d->role == ROLE_DETECTOR)
		err = nodes_open(d) ?: review_open(d);
	else if (d->role == ROLE_OPERATOR)
		err = follow_open(d);
	return err;
}

void role_close(struct daemon *d)
{
	push_close(d);
	follow_close(d);
	nodes_close(d);
	review_close(d);
}

/* ---- what it says */

struct count {
	struct daemon *d;
	cJSON *lacks;
	struct metrics *m;
	size_t nr, live;
};

static void say_node(void *ctx, const struct merge_node *n)
{
	struct count *c = ctx;
	char text[400];

	c->nr++;
	c->live += n->state == NODE_LIVE;
	if (!c->lacks)
		return;
	if (n->state != NODE_LIVE) {
		snprintf(
			text, sizeof(text),
			"node %s is %s: nothing was heard of it for %.0f s; its %zu services are blamed for nothing",
			n->node, node_state_name(n->state), (double)n->silent_ns / 1e9,
			n->nr_services);
		cJSON_AddItemToArray(c->lacks, cJSON_CreateString(text));
	}
	if (n->clock_lies)
		cJSON_AddItemToArray(c->lacks, cJSON_CreateString(n->clock_says));
	if (*n->lacks) {
		snprintf(text, sizeof(text), "node %s sees nothing: %s", n->node, n->lacks);
		cJSON_AddItemToArray(c->lacks, cJSON_CreateString(text));
	}
}

static void say_push(struct daemon *d, cJSON *lacks)
{
	struct push_stats s;
	char text[400];

	push_stats(d, &s);
	if (s.reached || !*s.why)
		return;
	snprintf(text, sizeof(text), "%s; %zu ticks wait, %llu found no room", s.why, s.waiting,
		 (unsigned long long)s.overrun);
	cJSON_AddItemToArray(lacks, cJSON_CreateString(text));
}

void role_lacks(struct daemon *d, cJSON *lacks)
{
	struct count c = { .d = d, .lacks = lacks };

	if (d->push)
		say_push(d, lacks);
	if (d->merge) {
		merge_each_node(d->merge, clock_mono_ns(), say_node, &c);
		if (!c.nr)
			cJSON_AddItemToArray(
				lacks, cJSON_CreateString("no agent has pushed anything yet"));
	}
	if (d->follow) {
		char says[2][400];
		follow_lacks(d, says);
		for (size_t i = 0; i < 2; i++)
			if (*says[i])
				cJSON_AddItemToArray(lacks, cJSON_CreateString(says[i]));
	}
}

int role_degradation(const struct daemon *d)
{
	struct count c = { 0 };

	if (d->merge) {
		merge_each_node(d->merge, clock_mono_ns(), say_node, &c);
		return !c.live ? 3 : c.live < c.nr ? 2 : !d->store ? 1 : 0;
	}
	return d->follow && follow_hears(d) ? !d->store : 3;
}

static void count_node(void *ctx, const struct merge_node *n)
{
	struct count *c = ctx;
	static const char *const states[] = { "live", "late", "gone" };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		metrics_add(c->m, METRIC_NODE_STATE, METRIC_LABELS(n->node, states[i]),
			    i == (size_t)n->state);
	metrics_add(c->m, METRIC_NODE_CLOCK, METRIC_LABELS(n->node), (double)n->clock_off_ms / 1e3);
	metrics_add(c->m, METRIC_NODE_CLOCK_LIES, METRIC_LABELS(n->node), n->clock_lies);
}

int role_metrics(struct daemon *d, struct metrics *m)
{
	struct count c = { .d = d, .m = m };

	if (d->merge) {
		struct merge_stats s;
		merge_stats(d->merge, &s);
		merge_each_node(d->merge, clock_mono_ns(), count_node, &c);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("taken"), (double)s.samples);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("repeated"), (double)s.repeated);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("old"), (double)s.old);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("stale"), (double)s.stale);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("overrun"), (double)s.overrun);
		metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("nodes"), (double)s.nodes_refused);
		metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("node_services"),
			    (double)s.services_refused);
		metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("node_edges"),
			    (double)s.edges_lost);
		metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("node_endpoints"),
			    (double)s.endpoints_lost);
	}
	if (d->push) {
		struct push_stats s;
		push_stats(d, &s);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("pushed"), (double)s.pushed);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("retried"), (double)s.retried);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("refused"), (double)s.refused);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("overrun"), (double)s.overrun);
		metrics_add(m, METRIC_SAMPLES, METRIC_LABELS("too_big"), (double)s.too_big);
		metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("node_edges"),
			    (double)s.edges_lost);
		metrics_add(m, METRIC_EVENTS_LOST, METRIC_LABELS("node_peers"),
			    (double)s.peers_lost);
	}
	return 0;
}
