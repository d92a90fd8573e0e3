/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_bpf.h - the BPF objects of one fault: loaded, set, attached, closed.
 *
 * One object a fault: its maps are its own, and fault_bpf_close() is all there
 * is to take down, but for clsact filters (kernel/tc.h), which the caller
 * journals. Everything is held by file descriptors.
 *
 * The control block (struct fault_ctl) is mapped: the heartbeat is a store to
 * ctl->lease_end_ns, counters are plain loads.
 * Not thread-safe, but the control block may be read and its lease written from
 * any thread until fault_bpf_close().
 */
#ifndef ARCHAIC_FAULT_BPF_H
#define ARCHAIC_FAULT_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/fault_abi.h"

struct fault_bpf;

struct fault_bpf_spec {
	uint32_t type;         /* FAULT_ABI_* */
	const uint16_t *ports; /* host byte order, up to FAULT_ABI_PORTS; borrowed */
	size_t nr_ports;
	uint32_t netns_ino;
	double probability; /* 0..1 */
	uint64_t seed;
	uint64_t delay_ns;
	uint32_t status;
	double percent;          /* loss: of packets; cpu: of each tick */
	const char *const *keys; /* bad_data; borrowed */
	size_t nr_keys;
	bool match_health;
	bool use_edt;
	uint64_t lease_end_ns, deadline_ns; /* CLOCK_BOOTTIME */
};

/** fault_bpf_open() - load what @spec's type needs; attaches nothing. 0 or -errno (as the kernel's). */
int fault_bpf_open(const struct fault_bpf_spec *spec, struct fault_bpf **ret);

/** fault_bpf_close() - detach everything and free. NULL is allowed. */
void fault_bpf_close(struct fault_bpf *b);

static inline void fault_bpf_closep(struct fault_bpf **b)
{
	fault_bpf_close(*b);
}

/** fault_bpf_ctl() - the mapped control block; valid until close. */
struct fault_ctl *fault_bpf_ctl(struct fault_bpf *b);

/** fault_bpf_conns_fd() - the table of connections (struct fault_tuple to a value whose head is struct fault_conn_head), or -1. */
int fault_bpf_conns_fd(const struct fault_bpf *b);

/** fault_bpf_conns_value_size() - bytes of a value of that table. */
size_t fault_bpf_conns_value_size(const struct fault_bpf *b);

/** fault_bpf_payload_fd() - the tc program, or -1 where the type has none. */
int fault_bpf_payload_fd(const struct fault_bpf *b);

/** fault_bpf_program_fds() - the cgroup programs (ingress, read, egress; -1: not loaded) for tests by BPF_PROG_TEST_RUN. */
void fault_bpf_program_fds(const struct fault_bpf *b, int ret[static 3]);

/** fault_bpf_attach_cgroup() - the programs of the type on cgroup @fd. 0 or -errno. */
int fault_bpf_attach_cgroup(struct fault_bpf *b, int cgroup_fd);

/** fault_bpf_attach_tcx() - the tc program on a device, by link. 0 or -errno (-ENOSPC: too many). */
int fault_bpf_attach_tcx(struct fault_bpf *b, int ifindex);

#define FAULT_BPF_TASKS_MAX 1024

/**
 * fault_bpf_attach_tasks() - cpu: every thread of process @tgid that is not attached yet.
 * Threads made later are found by calling it again; those of attached threads inherit.
 * Returns the number newly attached, or -errno when there are threads and none could be. Gone ones are let go.
 */
int fault_bpf_attach_tasks(struct fault_bpf *b, pid_t tgid);

/** fault_bpf_events() - wait up to @timeout_ms for crash draws. Returns their number, or -errno. One thread at a time. */
int fault_bpf_events(struct fault_bpf *b, int timeout_ms);

/** fault_bpf_hash() - FNV-1a, 32 bits, as the scanner of bodies computes it. */
uint32_t fault_bpf_hash(const char *text, size_t len);

/** fault_bpf_threshold() - a share (0..1) as a threshold for 32-bit draws. */
uint64_t fault_bpf_threshold(double share);

#endif
