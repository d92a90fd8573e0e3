/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netfilter.h - our NFQUEUE rules: made, found again and removed by their comment.
 *
 * A rule stands at the END of mangle OUTPUT, never in filter: the verdict
 * ACCEPT skips the rest of its chain, and a user's own filter rules must still
 * be asked. It matches the service's local ports and, where xt_cgroup works,
 * its cgroup; --queue-bypass lets packets pass while nobody listens.
 * Every rule carries the comment "archaic-ebpf:<fault id>": that, and nothing
 * else, makes it ours. Removal reads the rules back (…-save) and deletes the
 * exact specification that was read, so a foreign rule cannot be hit.
 *
 * Works with iptables on either of its back ends; both are searched for
 * leftovers. IPv4 and IPv6 get a rule each (a mapped socket sends IPv4).
 */
#ifndef ARCHAIC_NETFILTER_H
#define ARCHAIC_NETFILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETFILTER_COMMENT "archaic-ebpf:"

struct netfilter_rule {
	const char *id;        /* the fault's, [a-z0-9-]; borrowed */
	const uint16_t *ports; /* local, host byte order; 1..8 */
	size_t nr_ports;
	const char *cgroup; /* v2 path, "" or NULL: match by port alone */
	uint16_t queue;
};

/** netfilter_available() - is there an iptables that can make such a rule? @why: a static sentence when not. Tries it once, in a network namespace of its own. */
bool netfilter_available(const char **why);

/** netfilter_cgroup_match() - does -m cgroup --path work? Tried once, as netfilter_available(). */
bool netfilter_cgroup_match(void);

/**
 * netfilter_add() - add the rule for IPv4 and, where IPv6 is there, for IPv6, in the caller's netns.
 * All or nothing. 0, -ENOTSUP (no iptables), -EIO (it refused; @why has its own words, cut).
 */
int netfilter_add(const struct netfilter_rule *r, char *why, size_t why_len);

/**
 * netfilter_remove() - remove every rule of fault @id; NULL: every rule of ours, whosever.
 * Returns how many were removed, or -errno when some of them could not be. Any process, any time, no lock
 * but the tool's own (-w).
 */
int netfilter_remove(const char *id);

/** netfilter_count() - rules of fault @id (NULL: any of ours) that stand now; -errno when they cannot be read. */
int netfilter_count(const char *id);

/** netfilter_others() - rules of others in this netns (iptables-save "-A" lines), for doctor; -errno. */
int netfilter_others(void);

/**
 * netfilter_managers() - who manages the firewall of this netns, by the names of chains and nftables tables.
 * @names: "ufw, Docker"; "" where nobody known does. @len > 0.
 * Returns the number of nftables tables that are neither of those nor of iptables.
 */
int netfilter_managers(char *names, size_t len);

#endif
