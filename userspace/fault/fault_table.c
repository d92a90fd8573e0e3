// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/util.h"
#include "fault/fault.h"

#define INTENSITY(what)                   \
	{ FAULT_P_INTENSITY,              \
	  "intensity",                    \
	  "",                             \
	  1,                              \
	  100,                            \
	  true,                           \
	  false,                          \
	  "a whole number from 1 to 100", \
	  what }
#define SEED                                           \
	{ FAULT_P_SEED,                                \
	  "seed",                                      \
	  "",                                          \
	  0,                                           \
	  9007199254740991.0,                          \
	  true,                                        \
	  false,                                       \
	  "a whole number from 0 to 9007199254740991", \
	  "the same seed draws the same requests again" }

static const struct fault_param_desc timeout_params[] = {
	INTENSITY("the response leaves 2 x intensity seconds late"),
	{ FAULT_P_DELAY_MS, "delay_ms", "ms", 1, 600000, false, false, "a number from 1 to 600000",
	  "how late the response leaves; instead of intensity" },
	SEED,
};

static const struct fault_param_desc error_params[] = {
	INTENSITY("of no meaning here: the status is 500"),
	{ FAULT_P_STATUS, "status", "", 400, 599, true, false, "a whole number from 400 to 599",
	  "what the client gets; instead of intensity" },
	SEED,
};

static const struct fault_param_desc bad_data_params[] = {
	INTENSITY("of no meaning here"),
	{ FAULT_P_KEYS, "keys", "", 1, FAULT_KEYS_MAX, false, true,
	  "1 to 8 names of up to 23 letters, digits, _ or -",
	  "whose values are spoiled; name and price unless given" },
	SEED,
};

static const struct fault_param_desc cpu_params[] = {
	INTENSITY("min(95, 20 x intensity) % of the CPU is taken"),
	{ FAULT_P_PERCENT, "percent", "%", 1, 95, false, false, "a number from 1 to 95",
	  "of the CPU is taken; instead of intensity" },
};

static const struct fault_param_desc crash_params[] = {
	INTENSITY("of no meaning here"),
	SEED,
};

static const struct fault_param_desc loss_params[] = {
	{ FAULT_P_PERCENT, "percent", "%", 0.1, 100, false, false, "a number from 0.1 to 100",
	  "of the packets of a drawn request's connection are dropped; required" },
	SEED,
};

#define PARAMS(p) p, ARRAY_SIZE(p)

static const struct fault_type_desc types[NR_FAULT_TYPES] = {
	{ FAULT_TIMEOUT,
	  "timeout",
	  "The response leaves late.",
	  PARAMS(timeout_params),
	  { { "fq",
	      "BPF stamps the departure time (EDT) and the fq qdisc of the device holds the packet" },
	    { "nfqueue",
	      "a netfilter rule hands the packet to a process of ours, which holds it" } } },
	{ FAULT_ERROR,
	  "error",
	  "The client gets another status; the handler has run and its body is sent.",
	  PARAMS(error_params),
	  { { "tcx",
	      "BPF at the devices' egress rewrites the digits of the status line; held by file descriptors" },
	    { "clsact", "the same as a filter below a clsact qdisc; the guardian removes it" } } },
	{ FAULT_BAD_DATA,
	  "bad_data",
	  "JSON still parses, and its values are wrong.",
	  PARAMS(bad_data_params),
	  { { "tcx",
	      "BPF at the devices' egress rewrites values in place; held by file descriptors" },
	    { "clsact", "the same as a filter below a clsact qdisc; the guardian removes it" } } },
	{ FAULT_CPU,
	  "cpu",
	  "The service's own threads lose part of their CPU; nobody else pays.",
	  PARAMS(cpu_params),
	  { { "perf_event",
	      "BPF spins in a clock tick of the service's own threads; a burner keeps a cgroup of its "
	      "own busy" } } },
	{ FAULT_CRASH,
	  "crash",
	  "The process dies at once (SIGKILL).",
	  PARAMS(crash_params),
	  { { "pidfd", "SIGKILL through a pidfd, when arming or when a request draws it" } } },
	{ FAULT_LOSS,
	  "loss",
	  "Packets of responses are dropped as a network would.",
	  PARAMS(loss_params),
	  { { "cgroup_skb", "BPF on the service's cgroup drops its outgoing packets" } } },
};

const struct fault_type_desc *fault_types(void)
{
	return types;
}

const struct fault_type_desc *fault_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].name, name))
			return &types[i];
	return NULL;
}

const char *fault_state_name(enum fault_state s)
{
	static const char *const names[] = {
		[FAULT_ARMED] = "armed", [FAULT_EXPIRED] = "expired", [FAULT_RESET] = "reset",
		[FAULT_SPENT] = "spent", [FAULT_FAILED] = "failed",
	};

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : "failed";
}
