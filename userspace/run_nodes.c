// SPDX-License-Identifier: GPL-2.0-or-later
/* The detector's source: what agents push, merged; and what an operator asks of it. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "run_ops.h"
#include "run_roles.h"

int nodes_open(struct daemon *d)
{
	return merge_new((uint64_t)MAX(clock_wall_ms(), (int64_t)1), &d->merge);
}

void nodes_close(struct daemon *d)
{
	merge_free(d->merge);
	d->merge = NULL;
}

/* ---- the tick */

static void put_service(struct daemon *d, const struct merge_service *m)
{
	struct service s = { .id = m->id,
			     .source = SERVICE_BY_PORT,
			     .nr_ports = m->what.nr_ports,
			     .supervised = m->what.supervised,
			     /* How many, not which: they are on another machine. */
			     .nr_pids = MIN(m->what.processes, (uint32_t)SERVICE_PIDS_MAX) };

	memcpy(s.name, m->name, sizeof(s.name));
	memcpy(s.ports, m->what.ports, sizeof(s.ports));
	memcpy(s.namespace, m->what.namespace, sizeof(s.namespace));
	memcpy(s.pod, m->what.pod, sizeof(s.pod));
	int err = registry_put(d->registry, &s);
	if (err)
		log_error("service %s of node %s cannot be listed: %s", m->name, m->node,
			  strerror(-err));
}

static void on_change(void *ctx, const struct merge_service *m, bool gone)
{
	struct daemon *d = ctx;

	if (gone) {
		log_info("service %s of node %s is gone", m->name, m->node);
		registry_take_out(d->registry, m->id);
		daemon_drop_service(d, m->id, true);
	} else {
		put_service(d, m);
	}
}

struct told {
	struct daemon *d;
	size_t nr;
};

/* Each change of a node's state, and of what its clock says, is logged once. */
static void tell_node(void *ctx, const struct merge_node *n)
{
	struct told *t = ctx;
	struct node_told *was = &t->d->nodes_told[t->nr++];

	if (strcmp(was->node, n->node) != 0) {
		*was = (struct node_told){ .state = NODE_LIVE };
		memcpy(was->node, n->node, sizeof(was->node));
		log_info("node %s is here, with %zu services", n->node, n->nr_services);
	}
	if (was->state != (int)n->state)
		log_as(n->node, n->state == NODE_LIVE ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, NULL,
		       n->state == NODE_LIVE ?
			       "node is live again" :
			       "node is %s: nothing was heard of it for %.0f s; nothing is blamed on its services",
		       node_state_name(n->state), (double)n->silent_ns / 1e9);
	was->state = (int)n->state;
	if (n->clock_lies && !was->lies)
		log_as(n->node, LOG_LEVEL_WARNING, NULL, "%s; our own clock decides",
		       n->clock_says);
	was->lies = n->clock_lies;
}

void nodes_tick(struct daemon *d, uint64_t now_ns, struct tick *ret)
{
	struct told t = { .d = d };

	*ret = (struct tick){ .at_ns = now_ns, .span_ns = d->tick_ns };
	if (merge_tick(d->merge, now_ns, ret) < 0)
		d->failed_reads++;
	merge_changes(d->merge, on_change, d);
	merge_each_node(d->merge, now_ns, tell_node, &t);
}

bool nodes_know(const struct daemon *d, uint32_t service)
{
	const struct merge_service *s = d->merge ? merge_service(d->merge, service) : NULL;

	return !d->merge || (s && s->state == NODE_LIVE);
}

void nodes_silence(struct daemon *d, struct diagnosis *g)
{
	struct cause silenced = { 0 };
	size_t nr = 0;

	if (!d->merge)
		return;
	for (size_t i = 0; i < g->nr_causes; i++) {
		if (nodes_know(d, g->causes[i].service))
			g->causes[nr++] = g->causes[i];
		else if (i == 0)
			silenced = g->causes[i];
	}
	g->nr_causes = nr;
	nr = 0;
	for (size_t i = 0; i < g->nr_victims; i++)
		if (nodes_know(d, g->victims[i].service))
			g->victims[nr++] = g->victims[i];
	g->nr_victims = nr;
	if (!silenced.service)
		return;
	g->known = false;
	snprintf(g->why, sizeof(g->why),
		 "what is seen points to %s, but nothing is heard of its node: nobody is blamed",
		 silenced.name);
}

void nodes_view(const struct daemon *d, uint32_t service, cJSON *j)
{
	const struct merge_service *s = d->merge ? merge_service(d->merge, service) : NULL;

	if (!s)
		return;
	cJSON_AddStringToObject(j, "node", s->node);
	cJSON_AddStringToObject(j, "node_state", node_state_name(s->state));
}

/* ---- calls */

int op_sample(void *ctx, const struct caller *who, const cJSON *body, cJSON **ret,
	      struct problem *p)
{
	struct daemon *d = ctx;
	CLEANUP(wire_release) struct wire_sample s = { 0 };
	CLEANUP(wire_answer_release) struct wire_answer a = { 0 };
	char node[NODE_NAME_MAX], why[200] = "";

	/* The text is read without the lock: a large one takes longer than a tick may wait. */
	int err = wire_decode(body, &s, why, sizeof(why));
	if (err == -ENOMEM)
		return err;
	if (err)
		return problem_set(p, 400, "%s", why);
	memcpy(node, s.node, sizeof(node));
	uint64_t known = s.peers_version;

	pthread_mutex_lock(&d->lock);
	err = merge_push(d->merge, &s, who->address, clock_mono_ns(), clock_wall_ms(), p);
	err = err ?: merge_answer(d->merge, node, known, &a);
	pthread_mutex_unlock(&d->lock);
	return err ?: ops_give(wire_answer_json(&a), ret);
}

static void add_node(void *ctx, const struct merge_node *n)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "node", n->node);
	cJSON_AddStringToObject(j, "state", node_state_name(n->state));
	cJSON_AddNumberToObject(j, "silent_s", (double)(n->silent_ns / NSEC_PER_MSEC) / 1e3);
	cJSON_AddStringToObject(j, "address", n->from);
	cJSON_AddNumberToObject(j, "control_port", n->control_port);
	cJSON_AddStringToObject(j, "lacks", n->lacks);
	cJSON_AddBoolToObject(j, "clock_lies", n->clock_lies);
	cJSON_AddNumberToObject(j, "clock_off_s", (double)n->clock_off_ms / 1e3);
	cJSON_AddStringToObject(j, "clock_says", n->clock_says);
	cJSON_AddNumberToObject(j, "services", (double)n->nr_services);
	cJSON_AddNumberToObject(j, "samples", (double)n->samples);
	cJSON_AddNumberToObject(j, "repeated", (double)n->repeated);
	cJSON_AddNumberToObject(j, "old", (double)n->old);
	cJSON_AddNumberToObject(j, "stale", (double)n->stale);
	cJSON_AddNumberToObject(j, "overrun", (double)n->overrun);
	cJSON_AddNumberToObject(j, "clock_jumps", (double)n->clock_jumps);
	cJSON_AddItemToArray(ctx, j);
}

int op_nodes(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	cJSON *items, *j = ops_list(&items);
	LOCKED(d);

	(void)p;
	if (d->merge)
		merge_each_node(d->merge, clock_mono_ns(), add_node, items);
	return ops_give(j, ret);
}

struct where {
	struct daemon *d;
	struct judgement *j;
};

/* The address that a node's samples come from is where its agent is: it cannot name another's. */
static void add_places(void *ctx, const struct merge_node *n)
{
	struct where *w = ctx;
	const struct service *s;

	for (size_t i = 0; (s = registry_at(w->d->registry, i)); i++) {
		const struct merge_service *m = merge_service(w->d->merge, s->id);
		struct judgement_place *p = &w->j->places[w->j->nr_places];

		if (!m || strcmp(m->node, n->node) != 0 || w->j->nr_places == SERVICE_MAX)
			continue;
		*p = (struct judgement_place){ .service = m->id };
		memcpy(p->name, m->name, sizeof(p->name));
		memcpy(p->local, m->local, sizeof(p->local));
		memcpy(p->node, m->node, sizeof(p->node));
		if (n->control_port)
			memcpy(p->address, n->from, sizeof(p->address));
		p->port = n->control_port;
		w->j->nr_places++;
	}
}

static void fill(struct daemon *d, struct judgement *j, uint64_t now_ns)
{
	struct where w = { d, j };
	size_t nr;
	const struct service_facts *facts = facts_list(d->facts, &nr);

	j->life = d->started_wall_ms;
	j->tick = d->judged.tick;
	j->at_ns = d->judged.at_ns;
	j->age_ns = j->at_ns && now_ns > j->at_ns ? now_ns - j->at_ns : 0;
	j->nr_verdicts = d->nr_verdicts;
	memcpy(j->verdicts, d->verdicts, d->nr_verdicts * sizeof(*j->verdicts));
	j->has_diagnosis = d->judged.has_diagnosis;
	j->diagnosis = d->judged.diagnosis;
	j->nr_facts = nr;
	memcpy(j->facts, facts, nr * sizeof(*facts));
	if (d->merge)
		merge_each_node(d->merge, now_ns, add_places, &w);
}

int op_judgement(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	CLEANUP(freep) struct judgement *j = calloc(1, sizeof(*j));

	(void)p;
	if (!j)
		return -ENOMEM;
	pthread_mutex_lock(&d->lock);
	fill(d, j, clock_mono_ns());
	pthread_mutex_unlock(&d->lock);
	return ops_give(judgement_json(j), ret);
}
