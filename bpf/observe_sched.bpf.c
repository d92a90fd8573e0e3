// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CPU time and run-queue latency of the services' tasks.
 *
 * The idea: a task that is woken leaves a stamp; when a CPU switches to it, the
 * time since is charged to it, the woken, never to the waker. A task that a CPU
 * switches away from is charged the slice; when it is still runnable it was
 * preempted, and waits from that moment on. A slice that is still running is
 * visible to userspace through `oncpu`, so that a tick need not wait for its end.
 *
 * It behaves well where few of the machine's tasks belong to services: the
 * others cost two hash look-ups that miss. Stamps of tasks that are gone are
 * pushed out of the LRU table.
 *
 * Each hook exists twice: tp_btf where the kernel lets us, else raw_tp. Both
 * share one body; @btf, a constant, says that fields may be loaded directly,
 * which saves a helper call each (half of a switch's cost).
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "abi.h"
#include "hist.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define TASK_RUNNING 0
#define ADD(counter, n) __sync_fetch_and_add(&(counter), n)

__u64 wakeups_dropped;
__u32 cgroups_watched; /* 0 until userspace puts an entry into task_cgroups: nobody looks there */

/*
 * None of these maps allocates while the scheduler holds its locks: all are
 * preallocated, and userspace makes the entries of `tasks`.
 */

/* Thread group -> service id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u32);
} task_tgids SEC(".maps");

/* Cgroup id -> service id, for cgroups that belong to one service alone. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} task_cgroups SEC(".maps");

/* Thread -> when it became runnable; 0: it runs, or sleeps. Entries stay: making and deleting one costs more than all else here. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} woken SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 512); /* twice SERVICE_MAX: dropped ones stay until the next read */
	__type(key, __u32);
	__type(value, struct abi_tasks);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct abi_oncpu);
} oncpu SEC(".maps");

#define READ(btf, t, field) ((btf) ? (t)->field : BPF_CORE_READ(t, field))

/* 0: nobody's. */
static __always_inline __u32 service_of(struct task_struct *t, bool btf)
{
	__u32 tgid = READ(btf, t, tgid);
	__u32 *id = bpf_map_lookup_elem(&task_tgids, &tgid);

	if (id)
		return *id;
	if (!cgroups_watched)
		return 0;

	__u64 cgroup = btf ? t->cgroups->dfl_cgrp->kn->id :
			     BPF_CORE_READ(t, cgroups, dfl_cgrp, kn, id);

	id = bpf_map_lookup_elem(&task_cgroups, &cgroup);
	return id ? *id : 0;
}

static __always_inline struct abi_tasks *tasks_get(__u32 service)
{
	return bpf_map_lookup_elem(&tasks, &service);
}

static __always_inline void stamp(struct task_struct *t, __u64 now, bool btf)
{
	__u32 pid = READ(btf, t, pid);

	__u64 *since = bpf_map_lookup_elem(&woken, &pid);

	if (since)
		*since = now;
	else if (bpf_map_update_elem(&woken, &pid, &now, BPF_ANY))
		ADD(wakeups_dropped, 1);
}

static __always_inline int on_wakeup(struct task_struct *t, bool btf)
{
	if (service_of(t, btf))
		stamp(t, bpf_ktime_get_ns(), btf);
	return 0;
}

struct task_struct___pre_5_14 {
	long state;
} __attribute__((preserve_access_index));

/* `state` became `__state` in 5.14 (2f064a59a11f). */
static __always_inline bool is_running(struct task_struct *t, bool btf)
{
	struct task_struct___pre_5_14 *old = (void *)t;

	if (bpf_core_field_exists(t->__state))
		return READ(btf, t, __state) == TASK_RUNNING;
	return READ(btf, old, state) == TASK_RUNNING;
}

static __always_inline void leave(struct abi_oncpu *cpu, struct task_struct *prev, __u64 now,
				  bool btf)
{
	if (cpu->service) {
		struct abi_tasks *v = tasks_get(cpu->service);

		if (v && now > cpu->since_ns)
			ADD(v->cpu_ns, now - cpu->since_ns);
		/* Preempted: it waits from here on. Only those that were watched when they ran. */
		if (is_running(prev, btf))
			stamp(prev, now, btf);
	}
}

static __always_inline void enter(struct abi_oncpu *cpu, struct task_struct *next, __u64 now,
				  bool btf)
{
	__u32 pid = READ(btf, next, pid);
	__u32 service = pid ? service_of(next, btf) : 0;

	cpu->service = service;
	cpu->since_ns = now;
	if (!service)
		return;

	__u64 *since = bpf_map_lookup_elem(&woken, &pid);
	__u64 came = since ? *since : 0;
	struct abi_tasks *v = came ? tasks_get(service) : NULL;

	if (v && now > came) {
		__u64 waited = now - came;

		ADD(v->runq_ns, waited);
		ADD(v->runq[bucket_of(waited)], 1);
	}
	if (since)
		*since = 0;
}

static __always_inline int on_switch(struct task_struct *prev, struct task_struct *next, bool btf)
{
	__u32 zero = 0;
	struct abi_oncpu *cpu = bpf_map_lookup_elem(&oncpu, &zero);
	__u64 now = bpf_ktime_get_ns();

	if (!cpu)
		return 0;
	leave(cpu, prev, now, btf);
	enter(cpu, next, now, btf);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(btf_wakeup, struct task_struct *t)
{
	return on_wakeup(t, true);
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(btf_wakeup_new, struct task_struct *t)
{
	return on_wakeup(t, true);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(btf_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return on_switch(prev, next, true);
}

SEC("raw_tp/sched_wakeup")
int BPF_PROG(raw_wakeup, struct task_struct *t)
{
	return on_wakeup(t, false);
}

SEC("raw_tp/sched_wakeup_new")
int BPF_PROG(raw_wakeup_new, struct task_struct *t)
{
	return on_wakeup(t, false);
}

SEC("raw_tp/sched_switch")
int BPF_PROG(raw_switch, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	return on_switch(prev, next, false);
}
