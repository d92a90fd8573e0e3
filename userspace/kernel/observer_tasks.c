// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "kernel/observer_internal.h"
#include "skel/observe_sched.skel.h"

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

/* Load one of the two trios and attach it. */
static int try_back_end(struct observer *o, bool btf)
{
	struct observe_sched_bpf *s = observe_sched_bpf__open();

	if (!s)
		return -errno;
	struct bpf_program *trio[2][3] = {
		{ s->progs.raw_wakeup, s->progs.raw_wakeup_new, s->progs.raw_switch },
		{ s->progs.btf_wakeup, s->progs.btf_wakeup_new, s->progs.btf_switch },
	};
	for (int i = 0; i < 3; i++)
		bpf_program__set_autoload(trio[!btf][i], false);
	int err = observe_sched_bpf__load(s);
	for (int i = 0; i < 3 && !err; i++) {
		o->tasks[i] = bpf_program__attach(trio[btf][i]);
		if (!o->tasks[i])
			err = -errno;
	}
	o->sched = s;
	if (err)
		observer_tasks_close(o);
	return err;
}

void observer_tasks_open(struct observer *o)
{
	libbpf_print_fn_t printed = libbpf_set_print(quiet);

	if (try_back_end(o, true) == 0)
		o->can.tasks_by = "tp_btf";
	else if (try_back_end(o, false) == 0)
		o->can.tasks_by = "raw_tp";
	else
		o->can.tasks =
			"CPU time and run-queue latency are not known: neither tp_btf nor raw_tp programs can be "
			"attached to the scheduler's tracepoints";
	libbpf_set_print(printed);
}

void observer_tasks_close(struct observer *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(o->tasks); i++) {
		bpf_link__destroy(o->tasks[i]);
		o->tasks[i] = NULL;
	}
	observe_sched_bpf__destroy(o->sched);
	o->sched = NULL;
}

void observer_tasks_watch(struct observer *o, const struct service *before,
			  const struct service *now)
{
	if (!o->sched)
		return;
	if (now) {
		/* Before anybody charges to it; what is there stays. `values` holds a larger struct of every CPU. */
		memset(o->values, 0, sizeof(struct abi_tasks) * (size_t)o->nr_cpus);
		bpf_map_update_elem(bpf_map__fd(o->sched->maps.tasks), &now->id, o->values,
				    BPF_NOEXIST);
	}
	if (now && now->own_cgroup)
		o->sched->bss->cgroups_watched = 1;
	observer_watch_tasks(bpf_map__fd(o->sched->maps.task_tgids),
			     bpf_map__fd(o->sched->maps.task_cgroups), before, now);
}

const struct tasks_node *observer_tasks_find(const struct observer *o, uint32_t service)
{
	const struct tasks_node *n;

	HASH_FIND(hh, o->tasks_seen, &service, sizeof(service), n);
	return n;
}

static bool on_tasks(void *ctx, const void *key, const void *values)
{
	struct observer *o = ctx;
	const struct abi_tasks *cpus = values;
	uint32_t service = *(const uint32_t *)key;
	struct watched *known;
	struct tasks_node *n;

	HASH_FIND(hh, o->tasks_seen, &service, sizeof(service), n);
	HASH_FIND(hh, o->services, &service, sizeof(service), known);
	if (!known) {
		if (n)
			HASH_DEL(o->tasks_seen, n);
		free(n);
		return true;
	}
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return false;
		n->service = n->total.service = service;
		HASH_ADD(hh, o->tasks_seen, service, sizeof(n->service), n);
	}

	uint64_t cpu_ns = 0, runq_ns = 0;
	uint32_t runq[ABI_HIST_BUCKETS] = { 0 };
	for (int c = 0; c < o->nr_cpus; c++) {
		cpu_ns += cpus[c].cpu_ns;
		runq_ns += cpus[c].runq_ns;
		for (int i = 0; i < ABI_HIST_BUCKETS; i++)
			runq[i] += cpus[c].runq[i];
	}
	n->total.cpu_ns = cpu_ns; /* slices that run now are added by add_running() */
	n->runq_ns_delta += runq_ns - n->runq_ns_before;
	n->runq_ns_before = n->total.runq_ns = runq_ns;
	for (int i = 0; i < ABI_HIST_BUCKETS; i++) {
		uint32_t more = runq[i] - n->runq_before[i];

		n->runq_delta[i] += more;
		n->runq_before[i] = runq[i];
		n->total.runq.n[i] += more;
	}
	return false;
}

static void add_running(struct observer *o)
{
	struct abi_oncpu *cpus = o->values;
	uint32_t zero = 0;
	uint64_t now = clock_mono_ns();

	if (bpf_map_lookup_elem(bpf_map__fd(o->sched->maps.oncpu), &zero, cpus) < 0)
		return;
	for (int c = 0; c < o->nr_cpus; c++) {
		struct tasks_node *n;
		uint32_t service = cpus[c].service;

		HASH_FIND(hh, o->tasks_seen, &service, sizeof(service), n);
		if (n && now > cpus[c].since_ns)
			n->total.cpu_ns += now - cpus[c].since_ns;
	}
}

int observer_tasks_read(struct observer *o)
{
	uint32_t key, next;

	if (!o->sched)
		return 0;
	int err = observer_map_each(bpf_map__fd(o->sched->maps.tasks), &key, &next, sizeof(key),
				    o->values, on_tasks, o);
	if (err)
		return err;
	add_running(o);
	for (struct tasks_node *n = o->tasks_seen; n; n = n->hh.next) {
		/* A slice may end between the two look-ups and be seen in neither: never backwards. */
		n->total.cpu_ns = MAX(n->total.cpu_ns, n->cpu_ns_before);
		n->cpu_ns_delta += n->total.cpu_ns - n->cpu_ns_before;
		n->cpu_ns_before = n->total.cpu_ns;
	}
	return 0;
}

void observer_tasks_taken(struct observer *o)
{
	for (struct tasks_node *n = o->tasks_seen; n; n = n->hh.next) {
		n->cpu_ns_delta = n->runq_ns_delta = 0;
		memset(n->runq_delta, 0, sizeof(n->runq_delta));
	}
}

void observer_tasks(const struct observer *o, void (*cb)(void *ctx, const struct observer_tasks *t),
		    void *ctx)
{
	for (const struct tasks_node *n = o->tasks_seen; n; n = n->hh.next)
		cb(ctx, &n->total);
}

void observer_tasks_self(const struct observer *o, struct observer_self *self)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, o->sched->obj)
		observer_add_program(self, p);
	self->stats.wakeups_dropped = o->sched->bss->wakeups_dropped;
	observer_add_map(self, o->sched->maps.tasks, HASH_COUNT(o->tasks_seen));
}
