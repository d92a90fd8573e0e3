// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fault_task.bpf.c - take CPU from the service's own threads.
 *
 * A perf_event program on a software cpu-clock that is opened on each thread
 * of the target: it fires once in FAULT_ABI_TICK_NS of the thread's own
 * running, and spins for spin_ns of it. The time is charged to the thread;
 * nobody else's is taken, and a thread that sleeps is not touched.
 *
 * The spin runs in the timer interrupt, so it is bounded twice: by the clock, and by
 * SPINS x SPIN_READS reads of it (one costs some 20 ns, more under a hypervisor).
 * Linux 5.10 has no bpf_loop: a plain bounded loop, whose way out the verifier
 * remembers once a turn, 8,192 times at most; hence several reads a turn.
 *
 * Probability is the share of the time: drawn once per tick.
 */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "fault_abi.h"

char LICENSE[] SEC("license") = "GPL";

#define SPINS 7500
#define SPIN_READS 8

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fault_ctl);
} ctl SEC(".maps");

SEC("perf_event")
int fault_burn(void *ctx)
{
	__u32 zero = 0;
	struct fault_ctl *c = bpf_map_lookup_elem(&ctl, &zero);

	if (!c)
		return 0;
	__u64 now = bpf_ktime_get_boot_ns();

	if (now >= c->lease_end_ns || now >= c->deadline_ns)
		return 0;
	__sync_fetch_and_add(&c->seen_packets, 1);
	if (c->threshold < FAULT_ABI_ALWAYS && bpf_get_prandom_u32() >= c->threshold)
		return 0;
	__sync_fetch_and_add(&c->touched_packets, 1);

	__u64 until = bpf_ktime_get_ns() + c->spin_ns;

	for (__u32 i = 0; i < SPINS; i++) {
		__u64 t = 0;

#pragma clang loop unroll(full)
		for (int k = 0; k < SPIN_READS; k++)
			t = bpf_ktime_get_ns();
		if (t >= until)
			break;
	}
	return 0;
}
