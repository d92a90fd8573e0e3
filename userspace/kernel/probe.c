// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/probe.h"

#include <bpf/bpf.h>
#include <fcntl.h>
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

/*
 * "return 1" (cgroup_skb: pass) or "return -1" (tc: next): the smallest program of a type. By libbpf, which first
 * lifts RLIMIT_MEMLOCK where the kernel (before 5.11) counts programs against it, all of root's together.
 */
static int tiny_program(enum bpf_prog_type type, int value)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = value },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(type, NULL, "GPL", insns, ARRAY_SIZE(insns), NULL);
}

static const char *try_cgroup_skb(void)
{
	char root[PATH_MAX];

	if (cgroup_root(root) < 0)
		return "no cgroup v2 hierarchy is mounted";
	CLEANUP(closep) int fd = tiny_program(BPF_PROG_TYPE_CGROUP_SKB, 1);
	CLEANUP(closep) int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__u32 flags = 0, nr = 0;
	/* Where anybody may load one, attaching still takes CAP_NET_ADMIN, and so does this question. */
	if (fd < 0 || dir < 0 ||
	    bpf_prog_query(dir, BPF_CGROUP_INET_INGRESS, 0, &flags, NULL, &nr) < 0)
		return "this kernel, or our rights, allow no cgroup_skb programs";
	return NULL;
}

static const char *try_tcx(void)
{
	CLEANUP(closep) int fd = tiny_program(BPF_PROG_TYPE_SCHED_CLS, -1);

	if (fd < 0)
		return "this kernel, or our rights, allow no tc programs";
	return tc_tcx_available(fd) ? NULL : "tcx links need Linux 6.6";
}

/* Debian's kernels know a 3, which Linux has not: perf events are then CAP_SYS_ADMIN's, whatever CAP_PERFMON says. */
static bool perf_is_kept(void)
{
	char level[16] = "";

	CLEANUP(fclosep) FILE *f = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	return f && fgets(level, sizeof(level), f) && strtol(level, NULL, 10) > 2;
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

	if (fd < 0 && perf_is_kept())
		return "this kernel keeps perf events to CAP_SYS_ADMIN (kernel.perf_event_paranoid is over 2)";
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

/* ---- who else is here */

struct found {
	struct probe_conflict *list;
	size_t nr;
};

PRINTF_LIKE(3, 4) static void conflict(struct found *f, const char *advice, const char *fmt, ...)
{
	va_list ap;

	if (f->nr == PROBE_CONFLICTS_MAX)
		return;
	f->list[f->nr].advice = advice;
	va_start(ap, fmt);
	vsnprintf(f->list[f->nr].says, sizeof(f->list[f->nr].says), fmt, ap);
	va_end(ap);
	f->nr++;
}

static void look_at_rules(struct found *f)
{
	char managers[160];
	int rules = netfilter_others();
	int tables = netfilter_managers(managers, sizeof(managers));

	if (*managers)
		conflict(
			f,
			"Arm a timeout again after it has reloaded its rules: ours go with them, and the fault says so and fails.",
			"The firewall of this network namespace is managed by %s.", managers);
	if (rules > 0)
		conflict(
			f,
			"Nothing, as long as they let the traffic pass: ours stand behind them, at the end of mangle OUTPUT.",
			"%d netfilter rules of others are in this network namespace.", rules);
	if (tables > 0)
		conflict(f,
			 "Nothing, as long as they let the traffic pass: ours are apart from them.",
			 "%d nftables tables of others are in this network namespace.", tables);
}

static void look_at_qdiscs(struct found *f)
{
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);

	for (int i = 0; i < n; i++) {
		struct qdisc_info info;

		if (qdisc_look(dev[i].ifindex, &info) == 0 && info.root == QDISC_ROOT_FOREIGN)
			conflict(
				f,
				"Take it off if nobody needs it (tc qdisc del dev DEVICE root); it is never replaced by ours.",
				"%s has a root qdisc of somebody else (%s): fq cannot be put there, timeout uses nfqueue.",
				dev[i].name, info.kind);
	}
}

/* Before 5.15, a v1 net_cls or net_prio in use takes new sockets out of their v2 cgroup. */
static void look_at_cgroup_v1(struct found *f)
{
	char line[256];

	CLEANUP(fclosep) FILE *file = fopen("/proc/cgroups", "re");
	while (file && fgets(line, sizeof(line), file)) {
		char name[32];
		int hierarchy, groups;

		if (sscanf(line, "%31s %d %d", name, &hierarchy, &groups) == 3 && hierarchy > 0 &&
		    groups > 1 && (!strcmp(name, "net_cls") || !strcmp(name, "net_prio")))
			conflict(
				f,
				"Boot with cgroup_no_v1=net_cls,net_prio; a fault that touches nothing says so and fails.",
				"cgroup v1 %s is in use (%d groups): before Linux 5.15 new sockets then leave their v2 "
				"cgroup.",
				name, groups);
	}
}

size_t probe_conflicts(struct probe_conflict ret[static PROBE_CONFLICTS_MAX])
{
	struct found f = { .list = ret };

	look_at_rules(&f);
	look_at_qdiscs(&f);
	look_at_cgroup_v1(&f);
	return f.nr;
}

/* ---- all of it */

static struct probe_item *item(const struct probe *p, const char *name)
{
	for (size_t i = 0; i < PROBE_ITEMS; i++)
		if (!strcmp(p->items[i].name, name))
			return (struct probe_item *)&p->items[i];
	return NULL;
}

/* Whatever acts on requests draws by cgroup_skb, however it acts then. */
static void need_draw(struct probe *p)
{
	const struct probe_item *draw = item(p, "cgroup_skb");
	static const char *const users[] = { "fq", "nfqueue", "tcx", "clsact" };

	for (size_t i = 0; draw->why && i < ARRAY_SIZE(users); i++) {
		struct probe_item *user = item(p, users[i]);

		user->why = draw->why;
		user->fix = draw->fix;
	}
}

void probe_run(struct probe *ret)
{
	struct probe p = {
		.items = {
			{ "cgroup_skb", try_cgroup_skb(),
			  "Run as root, on a kernel with CONFIG_CGROUP_BPF and with cgroup v2 mounted." },
			{ "fq", qdisc_kind_available("fq") ? NULL : "this kernel has no fq qdisc (sch_fq)",
			  "modprobe sch_fq, or a kernel with CONFIG_NET_SCH_FQ; nfqueue does the same with more work." },
			{ "nfqueue", try_nfqueue(),
			  "Install iptables; the kernel needs nfnetlink_queue and xt_NFQUEUE (modprobe them)." },
			{ "tcx", try_tcx(),
			  "Linux 6.6 or newer; clsact does the same, and the guardian removes it." },
			{ "clsact",
			  qdisc_kind_available("clsact") ? NULL :
							   "this kernel has no clsact qdisc (sch_ingress)",
			  "modprobe sch_ingress and cls_bpf, or a kernel with CONFIG_NET_SCH_INGRESS." },
			{ "perf_event", try_perf(),
			  "Run as root, on a kernel with CONFIG_PERF_EVENTS; in a container or a unit with CAP_PERFMON, and on "
			  "Debian's kernels sysctl kernel.perf_event_paranoid=2." },
			{ "pidfd", try_pidfd(), "Linux 5.3 or newer." },
		},
		.cgroup_match = netfilter_cgroup_match(),
	};

	need_draw(&p);
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
	const struct probe_item *i = item(p, name);

	return i ? i->why : "unknown";
}

const char *probe_fix(const struct probe *p, const char *name)
{
	const struct probe_item *i = item(p, name);

	return i ? i->fix : NULL;
}
