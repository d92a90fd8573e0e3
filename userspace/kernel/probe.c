// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/probe.h"

#include <limits.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "kernel/cgroup.h"
#include "kernel/netfilter.h"
#include "kernel/nfqueue.h"
#include "kernel/qdisc.h"
#include "kernel/tc.h"

/* "return 1" (cgroup_skb: pass) or "return -1" (tc: next): the smallest program of a type. */
static int tiny_program(enum bpf_prog_type type, int value)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = type,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uint64_t)(uintptr_t)"GPL",
	};

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static const char *try_cgroup_skb(void)
{
	char root[PATH_MAX];

	if (cgroup_root(root) < 0)
		return "no cgroup v2 hierarchy is mounted";
	CLEANUP(closep) int fd = tiny_program(BPF_PROG_TYPE_CGROUP_SKB, 1);
	return fd < 0 ? "this kernel, or our rights, allow no cgroup_skb programs" : NULL;
}

static const char *try_tcx(void)
{
	CLEANUP(closep) int fd = tiny_program(BPF_PROG_TYPE_SCHED_CLS, -1);

	if (fd < 0)
		return "this kernel, or our rights, allow no tc programs";
	return tc_tcx_available(fd) ? NULL : "tcx links need Linux 6.6";
}

static const char *try_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000,
		.disabled = 1,
	};
	CLEANUP(closep) int fd =
		(int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	CLEANUP(closep) int prog = tiny_program(BPF_PROG_TYPE_PERF_EVENT, 0);

	if (fd < 0)
		return "perf_event_open is refused (kernel.perf_event_paranoid, or no perf events in this kernel)";
	return prog < 0 ? "this kernel, or our rights, allow no perf_event programs" : NULL;
}

static const char *try_pidfd(void)
{
	CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return fd < 0 ? "pidfd_open needs Linux 5.3" : NULL;
}

static const char *try_nfqueue(void)
{
	const char *why = NULL;

	if (!netfilter_available(&why) || !nfqueue_available(&why))
		return why;
	return NULL;
}

__attribute__((format(printf, 2, 3))) static void conflict(struct probe *p, const char *fmt, ...)
{
	va_list ap;

	if (p->nr_conflicts == PROBE_CONFLICTS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(p->conflicts[p->nr_conflicts++], sizeof(p->conflicts[0]), fmt, ap);
	va_end(ap);
}

static void look_at_qdiscs(struct probe *p)
{
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);

	for (int i = 0; i < n; i++) {
		struct qdisc_info info;

		if (qdisc_look(dev[i].ifindex, &info) == 0 && info.root == QDISC_ROOT_FOREIGN)
			conflict(
				p,
				"%s has a root qdisc of somebody else (%s): fq cannot be put there, timeout uses nfqueue",
				dev[i].name, info.kind);
	}
}

/* Before 5.15, a v1 net_cls or net_prio in use takes new sockets out of their v2 cgroup. */
static void look_at_cgroup_v1(struct probe *p)
{
	char line[256];

	CLEANUP(fclosep) FILE *f = fopen("/proc/cgroups", "re");
	while (f && fgets(line, sizeof(line), f)) {
		char name[32];
		int hierarchy, groups;

		if (sscanf(line, "%31s %d %d", name, &hierarchy, &groups) == 3 && hierarchy > 0 &&
		    groups > 1 && (!strcmp(name, "net_cls") || !strcmp(name, "net_prio")))
			conflict(
				p,
				"cgroup v1 %s is in use (%d groups): before Linux 5.15 new sockets then leave their v2 "
				"cgroup and faults touch nothing",
				name, groups);
	}
}

void probe_run(struct probe *ret)
{
	struct probe p = {
		.items = {
			{ "cgroup_skb", try_cgroup_skb() },
			{ "fq", qdisc_kind_available("fq") ? NULL : "this kernel has no fq qdisc (sch_fq)" },
			{ "nfqueue", try_nfqueue() },
			{ "tcx", try_tcx() },
			{ "clsact", qdisc_kind_available("clsact") ? NULL : "this kernel has no clsact qdisc (sch_ingress)" },
			{ "perf_event", try_perf() },
			{ "pidfd", try_pidfd() },
		},
		.cgroup_match = netfilter_cgroup_match(),
	};
	int others = netfilter_others();

	if (others > 0)
		conflict(
			&p,
			"%d netfilter rules of others are in this network namespace: ours stand at the end of mangle "
			"OUTPUT, and are lost when a firewall manager reloads",
			others);
	look_at_qdiscs(&p);
	look_at_cgroup_v1(&p);
	*ret = p;
}

const struct probe *probe_cached(void)
{
	static struct probe p;
	static bool done;

	if (!done)
		probe_run(&p);
	done = true;
	return &p;
}

const char *probe_why(const struct probe *p, const char *name)
{
	for (size_t i = 0; i < PROBE_ITEMS; i++)
		if (!strcmp(p->items[i].name, name))
			return p->items[i].why;
	return "unknown";
}
