// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "fault/fault.h"
#include "kernel/netns.h"
#include "kernel/observer.h"
#include "kernel/probe.h"

static void add(cJSON *items, const char *area, const char *name, bool ok, const char *backend,
		const char *says, const char *advice)
{
	cJSON *i = cJSON_CreateObject();

	cJSON_AddStringToObject(i, "area", area);
	cJSON_AddStringToObject(i, "name", name);
	cJSON_AddBoolToObject(i, "ok", ok);
	cJSON_AddItemToObject(i, "backend",
			      backend ? cJSON_CreateString(backend) : cJSON_CreateNull());
	cJSON_AddStringToObject(i, "says", says);
	cJSON_AddItemToObject(i, "advice",
			      advice ? cJSON_CreateString(advice) : cJSON_CreateNull());
	if (!cJSON_AddItemToArray(items, i))
		cJSON_Delete(i);
}

/* ---- the machine */

static void look_at_kernel(cJSON *items)
{
	struct utsname u;
	char says[256];

	if (!uname(&u)) {
		snprintf(says, sizeof(says), "%s %s on %s", u.sysname, u.release, u.machine);
		add(items, "machine", "kernel", true, NULL, says, NULL);
	}
	bool btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	add(items, "machine", "BTF", btf, NULL,
	    btf ? "The kernel describes its own types." :
		  "/sys/kernel/btf/vmlinux is missing: no BPF program of ours can load.",
	    btf ? NULL :
		  "Use a kernel built with CONFIG_DEBUG_INFO_BTF; every current distribution kernel is.");
	bool root = geteuid() == 0;
	add(items, "machine", "rights", root, NULL,
	    root ? "This runs as root." :
		   "This does not run as root: most probes below fail for that reason alone.",
	    root ? NULL : "Say it again with sudo.");
}

/* Field 5 is the mount point, the type follows " - ". */
static bool find_mount(const char *type, char *where, size_t size)
{
	CLEANUP(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[4096], point[256], kind[64];

	while (f && fgets(line, sizeof(line), f)) {
		const char *rest = strstr(line, " - ");
		if (!rest || sscanf(line, "%*s %*s %*s %*s %255s", point) != 1 ||
		    sscanf(rest, " - %63s", kind) != 1)
			continue;
		if (strcmp(kind, type) != 0)
			continue;
		snprintf(where, size, "%s", point);
		return true;
	}
	return false;
}

static void look_at_cgroups(cJSON *items)
{
	char v2[256], says[512];

	if (!find_mount("cgroup2", v2, sizeof(v2))) {
		add(items, "machine", "cgroup v2", false, NULL,
		    "cgroup v2 is not mounted: nothing can be attached.",
		    "mount -t cgroup2 none /sys/fs/cgroup/unified");
		return;
	}
	snprintf(says, sizeof(says), "cgroup v2 is mounted at %s.", v2);
	add(items, "machine", "cgroup v2", true, NULL, says, NULL);
}

static void look_for_conflicts(cJSON *items)
{
	struct probe_conflict list[PROBE_CONFLICTS_MAX];
	size_t nr = probe_conflicts(list);

	for (size_t i = 0; i < nr; i++)
		add(items, "conflicts", "in the way", true, NULL, list[i].says, list[i].advice);
	if (!nr)
		add(items, "conflicts", "none", true, NULL,
		    "No firewall manager, foreign qdisc or cgroup v1 user is in the way.", NULL);
}

/* ---- what we make of it */

static void look_at_metrics(cJSON *items, const struct observer_can *can, const char *lack)
{
	if (!can) {
		add(items, "metrics", "all", false, NULL,
		    lack && *lack ? lack : "The observer could not be opened.",
		    "Run as root, on Linux 5.10 or newer with BTF and cgroup v2; without it nothing is measured, faults can still be armed.");
		return;
	}
	const struct {
		const char *name, *why_not, *says, *backend, *fix;
	} parts[] = {
		{ "requests", can->requests,
		  "Requests, statuses, latencies and bytes of every service.", "cgroup_skb",
		  "Run as root, on a kernel with CONFIG_CGROUP_BPF and with cgroup v2 mounted." },
		{ "clients", can->clients,
		  "Clients in a shared cgroup are known from connect() on.", "cgroup/connect",
		  "Give each service a cgroup of its own: then clients are told apart without it." },
		{ "in flight", can->in_flight,
		  "Requests that are not answered yet, and the age of the oldest.", "iterator",
		  "Linux 5.10 or newer; without it total loss is only seen when clients give up." },
		{ "aborted", can->aborted, "Connections that vanish without a packet.",
		  "inet_sock_set_state",
		  "A kernel with CONFIG_FTRACE; without it such requests stay in flight until their socket is gone." },
		{ "tasks", can->tasks, "CPU time and run-queue latency.", can->tasks_by,
		  "A kernel with CONFIG_BPF_EVENTS and BTF; without it a service is never blamed for want of CPU." },
	};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		add(items, "metrics", parts[i].name, !parts[i].why_not,
		    parts[i].why_not ? NULL : parts[i].backend, parts[i].why_not ?: parts[i].says,
		    parts[i].why_not ? parts[i].fix : NULL);
}

/*
 * What the fault does, which back ends come before the one that is used, and why they are
 * not; then what to do about the first of them. "The response leaves late. Not by fq:
 * this kernel has no fq qdisc (sch_fq)."
 */
static void add_fault(cJSON *items, const cJSON *type)
{
	const char *backend = json_str(type, "backend"), *advice = NULL;
	char says[512];
	size_t n;
	const cJSON *b;

	n = (size_t)snprintf(says, sizeof(says), "%s", json_str(type, "says") ?: "");
	cJSON_ArrayForEach(b, cJSON_GetObjectItemCaseSensitive(type, "backends")) {
		const char *why = json_str(b, "why"), *name = json_str(b, "name") ?: "?";

		/* What comes after it is of no interest. */
		if (!why || !*why)
			break;
		if (n < sizeof(says))
			n += (size_t)snprintf(says + n, sizeof(says) - n, " Not by %s: %s.", name,
					      why);
		advice = advice ?: probe_fix(probe_cached(), name);
	}
	bool allowed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(type, "allowed"));
	if (!allowed && n < sizeof(says))
		snprintf(says + n, sizeof(says) - n, " The configuration does not allow it.");
	add(items, "faults", json_str(type, "type") ?: "?", backend, backend, says,
	    allowed ? advice : "Name it in types in [faults], and start the daemon again.");
}

static void look_at_namespaces(cJSON *items)
{
	bool can = netns_can_enter();

	add(items, "machine", "network namespaces", can, NULL,
	    can ? "Faults reach into the network namespaces of containers." :
		  "No network namespace may be entered: containers are found and measured, and cpu, crash and loss hurt "
		  "them; timeout, error and bad_data are refused where a container has its own.",
	    can ? NULL : "Give the daemon CAP_SYS_ADMIN, if containers are to be hurt so.");
}

static void look_at_faults(cJSON *items, const struct faults_config *faults)
{
	CLEANUP(json_freep) cJSON *types = faults_types_json(faults);
	const cJSON *t;

	cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(types, "items"))
		add_fault(items, t);
}

int doctor_report(const struct observer_can *can, const char *lack,
		  const struct faults_config *faults, const char *model, const char *traces,
		  cJSON **ret)
{
	CLEANUP(json_freep) cJSON *report = cJSON_CreateObject();
	cJSON *items = report ? cJSON_AddArrayToObject(report, "items") : NULL;

	if (!items)
		return -ENOMEM;
	look_at_kernel(items);
	look_at_cgroups(items);
	look_at_metrics(items, can, lack);
	look_at_namespaces(items);
	look_at_faults(items, faults);
	look_for_conflicts(items);
	if (model)
		add(items, "model", "planner", true, NULL, model, NULL);
	if (traces)
		add(items, "export", "traces", true, NULL, traces, NULL);
	*ret = TAKE_PTR(report);
	return 0;
}

int doctor_probe(cJSON **ret)
{
	const struct observer_options options = { 0 };
	CLEANUP(observer_closep) struct observer *o = NULL;
	struct problem p = { 0 };
	int err = observer_open(&options, &o, &p);

	return doctor_report(err ? NULL : observer_can(o), p.detail, NULL, NULL, NULL, ret);
}
