/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.h - what this kernel can do for the faults, tried and not looked up, and what is in the way.
 *
 * Attaches to nothing of the user's: trials are made in a network namespace of
 * a child's own, or on lo with a program that does nothing for a moment.
 * Sentences are static or in the struct.
 */
#ifndef ARCHAIC_PROBE_H
#define ARCHAIC_PROBE_H

#include <stdbool.h>
#include <stddef.h>

struct probe_item {
	const char *name; /* "nfqueue", "fq", "tcx", "clsact", "perf_event", "pidfd", "cgroup_skb" */
	const char *why;  /* NULL: works; else what is missing, a static sentence */
	const char *fix;  /* what to do about it, a static sentence */
};

struct probe_conflict {
	char says[240];
	const char *advice; /* static */
};

#define PROBE_ITEMS 7
#define PROBE_CONFLICTS_MAX 8

struct probe {
	struct probe_item items[PROBE_ITEMS];
	bool cgroup_match; /* netfilter can match a v2 cgroup */
};

/** probe_run() - try everything. Takes up to a second. */
void probe_run(struct probe *ret);

/** probe_cached() - the first call tries; later ones return the same. Not thread-safe before the first has returned. */
const struct probe *probe_cached(void);

/**
 * probe_conflicts() - who else is at work in the caller's network namespace, now: firewall managers and rules of
 * others, root qdiscs of others, users of cgroup v1. Runs iptables-save; up to PROBE_CONFLICTS_MAX. Thread-safe.
 */
size_t probe_conflicts(struct probe_conflict ret[static PROBE_CONFLICTS_MAX]);

/** probe_why() - NULL where back end @name works, else the sentence; "unknown" for a name that is none. */
const char *probe_why(const struct probe *p, const char *name);

/** probe_fix() - what to do where back end @name is missing; NULL for a name that is none. Static. */
const char *probe_fix(const struct probe *p, const char *name);

#endif
