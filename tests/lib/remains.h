/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remains.h - what a daemon of ours has made in this network namespace, and whether it is gone.
 *
 * To be used in a namespace of the test's own: every netfilter rule and queue there is the daemon's.
 * BPF programs and links are known by the ids that the daemon's descriptors had: ids are not given
 * out again, and other people's daemons do not matter.
 */
#ifndef ARCHAIC_TEST_REMAINS_H
#define ARCHAIC_TEST_REMAINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REMAINS_IDS_MAX 256

struct remains {
	uint32_t progs[REMAINS_IDS_MAX], links[REMAINS_IDS_MAX];
	size_t nr_progs, nr_links;
	char text[4096]; /* remains_left()'s findings, a line each */
};

/** remains_note() - add the programs and links that @pid holds now. Asserts that there is room. */
void remains_note(struct remains *r, pid_t pid);

/**
 * remains_left() - is anything left? r->text says what: -A lines of iptables-save and ip6tables-save, queues and
 * filters of lo, noted programs and links that the kernel still has, helper and daemon processes of this namespace.
 * @daemon: one that may live on, with its guardian, programs and links (and, while it is stopped, its holder of
 * packets); 0: none.
 */
bool remains_left(struct remains *r, pid_t daemon);

/** remains_wait() - wait up to @ms until nothing is left; prints what is, and returns false, where it stays. */
bool remains_wait(struct remains *r, pid_t daemon, unsigned ms);

/** remains_child() - the child of @parent with this name; 0: none. */
pid_t remains_child(pid_t parent, const char *name);

#endif
