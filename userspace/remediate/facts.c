// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/facts.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "discover/workload.h"
#include "kernel/procs.h"

#define SLOT_NS (FACTS_WINDOW_NS / FACTS_WINDOW_SLOTS)
#define LOOK_AT_PROCESS_NS \
	(500 * NSEC_PER_MSEC) /* a request that waits so long is worth a look into /proc */

struct slot {
	uint64_t index;
	uint64_t answered, failed, timeouts;
};

struct window {
	uint32_t service; /* 0: free */
	uint64_t used_ns, last_answer_ns;
	struct slot slots[FACTS_WINDOW_SLOTS];
};

struct facts {
	facts_process_state_fn *state;
	struct window windows[SERVICE_MAX];
	struct service_facts list[SERVICE_MAX];
	size_t nr;
	uint64_t dropped;
	unsigned reach;
};

char facts_process_state(pid_t pid, uint64_t start_ticks)
{
	struct proc_stat st;

	if (proc_stat(pid, &st) < 0)
		return 0;
	return start_ticks && st.start_ticks != start_ticks ? 0 : st.state;
}

int facts_new(facts_process_state_fn *state, struct facts **ret)
{
	struct facts *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->state = state ? state : facts_process_state;
	*ret = f;
	return 0;
}

void facts_free(struct facts *f)
{
	free(f);
}

void facts_reach(struct facts *f, unsigned reach)
{
	f->reach = reach;
}

/* Whole or not at all: half an id may be another's. */
static bool take(char *to, size_t size, const char *from)
{
	if (!from || !*from || strlen(from) >= size)
		return false;
	memcpy(to, from, strlen(from) + 1);
	return true;
}

void facts_workload(struct service_facts *f, unsigned reach, const char *pod_namespace,
		    const char *pod, const char *container_id, const char *unit)
{
	f->pod[0] = f->pod_namespace[0] = f->container_id[0] = f->unit[0] = '\0';
	if (reach & FACTS_REACH_KUBE && take(f->pod, sizeof(f->pod), pod)) {
		if (take(f->pod_namespace, sizeof(f->pod_namespace), pod_namespace))
			return;
		f->pod[0] = '\0';
	}
	/* A pod's container is its kubelet's: an Engine that restarted it would work against that. */
	if (pod && *pod)
		return;
	if (reach & FACTS_REACH_DOCKER &&
	    take(f->container_id, sizeof(f->container_id), container_id))
		return;
	if (reach & FACTS_REACH_SYSTEMD && !(container_id && *container_id))
		(void)take(f->unit, sizeof(f->unit), unit);
}

void facts_begin(struct facts *f, const struct tick *t)
{
	(void)t;
	f->nr = 0;
}

/* The one of @service, else a free one, else the one unused for longest: its service has gone. */
static struct window *window_of(struct facts *f, uint32_t service, uint64_t now_ns)
{
	struct window *oldest = &f->windows[0];

	for (size_t i = 0; i < SERVICE_MAX; i++) {
		if (f->windows[i].service == service)
			return &f->windows[i];
		if (f->windows[i].used_ns < oldest->used_ns)
			oldest = &f->windows[i];
	}
	memset(oldest, 0, sizeof(*oldest));
	oldest->service = service;
	oldest->last_answer_ns = now_ns;
	oldest->used_ns = now_ns;
	return oldest;
}

static uint64_t caller_timeouts(const struct tick *t, const struct service_sample *sample)
{
	uint64_t n = 0;

	for (size_t i = 0; i < t->nr_edges; i++)
		if (t->edges[i].server == sample->id)
			n += t->edges[i].client_aborted;
	return MAX(n, sample->aborted);
}

static void window_take(struct window *w, const struct tick *t, const struct service_sample *sample)
{
	uint64_t index = t->at_ns / SLOT_NS;
	struct slot *s = &w->slots[index % FACTS_WINDOW_SLOTS];

	if (s->index != index)
		*s = (struct slot){ .index = index };
	s->answered += sample->requests;
	s->failed += sample->status_class[5];
	s->timeouts += caller_timeouts(t, sample);
	if (sample->requests)
		w->last_answer_ns = t->at_ns;
}

static void window_sum(const struct window *w, uint64_t now_ns, struct service_facts *ret)
{
	uint64_t index = now_ns / SLOT_NS;

	for (size_t i = 0; i < FACTS_WINDOW_SLOTS; i++) {
		const struct slot *s = &w->slots[i];
		if (s->index + FACTS_WINDOW_SLOTS <= index)
			continue;
		ret->window_answered += s->answered;
		ret->window_failed += s->failed;
		ret->window_caller_timeouts += s->timeouts;
	}
}

static void fill_identity(struct service_facts *f, const struct service *s)
{
	f->service = s->id;
	memcpy(f->name, s->name, sizeof(f->name));
	f->supervised = s->supervised;
	f->nr_pids = s->nr_pids;
	/* Several processes behind one listener are workers of one server: one restart takes all. */
	f->replicas = 1;
	f->main_pid = s->nr_pids ? s->pids[0] : 0;
	f->main_start_ticks = s->main_start_ticks;
	f->nr_ports = MIN(s->nr_ports, (size_t)SERVICE_PORTS_MAX);
	memcpy(f->ports, s->ports, sizeof(f->ports));
	f->netns_ino = s->netns_ino;
}

/*
 * What it runs as, where restarting that restarts this service alone. A kubelet's containers are its
 * own: without the pod's name nobody else is asked.
 */
static void fill_workload(const struct facts *f, struct service_facts *r, const struct service *s)
{
	struct workload w;

	if (!f->reach)
		return;
	if (*s->pod || *s->container_id || *s->unit) {
		facts_workload(r, f->reach, s->namespace, s->pod, s->container_id, s->unit);
		return;
	}
	workload_of_cgroup(s->cgroup, &w);
	if (s->own_cgroup && !*w.pod_uid)
		facts_workload(r, f->reach, "", "", w.container_id,
			       w.is_unit ? w.systemd_unit : "");
}

int facts_add(struct facts *f, const struct tick *t, const struct service *s)
{
	if (f->nr == SERVICE_MAX) {
		f->dropped++;
		return -ENOSPC;
	}
	struct service_facts *r = &f->list[f->nr++];
	struct window *w = window_of(f, s->id, t->at_ns);
	const struct service_sample *sample = tick_service(t, s->id);

	*r = (struct service_facts){ .at_ns = t->at_ns };
	fill_identity(r, s);
	fill_workload(f, r, s);
	w->used_ns = t->at_ns;
	if (sample) {
		window_take(w, t, sample);
		r->answered = sample->requests;
		r->failed = sample->status_class[5];
		r->in_flight = sample->in_flight;
		r->oldest_ns = sample->oldest_ns;
		r->cpu_cores = t->span_ns ? (double)sample->cpu_ns / (double)t->span_ns : 0;
	}
	window_sum(w, t->at_ns, r);
	if (r->in_flight && !r->answered)
		r->silent_ns = MIN(r->oldest_ns, t->at_ns - w->last_answer_ns);
	if (r->nr_pids &&
	    (r->oldest_ns >= LOOK_AT_PROCESS_NS || r->failed || r->window_caller_timeouts))
		r->process_state = f->state(r->main_pid, r->main_start_ticks);
	return 0;
}

const struct service_facts *facts_list(const struct facts *f, size_t *nr)
{
	*nr = f->nr;
	return f->list;
}

uint64_t facts_dropped(const struct facts *f)
{
	return f->dropped;
}

const struct service_facts *facts_find(const struct service_facts *list, size_t nr,
				       uint32_t service)
{
	for (size_t i = 0; i < nr; i++)
		if (service && list[i].service == service)
			return &list[i];
	return NULL;
}
