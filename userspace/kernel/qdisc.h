/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qdisc.h - the root qdisc of a device: looked at, borrowed for fq, given back.
 *
 * A default root (handle 0:) is nobody's: ours may take its place, and deleting
 * ours brings it back. Any other root is foreign and never touched. Ours is fq
 * with handle QDISC_HANDLE; removal checks kind and handle first.
 */
#ifndef ARCHAIC_QDISC_H
#define ARCHAIC_QDISC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QDISC_HANDLE 0xae3e0000u /* "ae3e:" */
#define QDISC_KIND_MAX 16

enum qdisc_root {
	QDISC_ROOT_DEFAULT, /* nobody's */
	QDISC_ROOT_FQ,      /* somebody's fq: it honours our stamps as it is */
	QDISC_ROOT_OURS,
	QDISC_ROOT_FOREIGN,
};

struct qdisc_info {
	enum qdisc_root root;
	uint32_t handle;
	char kind[QDISC_KIND_MAX];
	bool clsact;
};

/** qdisc_look() - what stands at the root of @ifindex. 0 or -errno. */
int qdisc_look(int ifindex, struct qdisc_info *ret);

/** qdisc_kind_available() - can this kernel make a qdisc of this kind? Tried in a netns of its own, in a child. */
bool qdisc_kind_available(const char *kind);

/**
 * qdisc_add_fq() - fq with our handle at the root of @ifindex, its horizon >= @horizon_ns, limits set high enough
 * that waiting is not loss. Only over a default root: -EBUSY over any other. The caller has journaled it.
 */
int qdisc_add_fq(int ifindex, uint64_t horizon_ns);

/** qdisc_remove_fq() - remove ours; 0 also where none of ours stands. */
int qdisc_remove_fq(int ifindex);

/** qdisc_add_clsact() / qdisc_remove_clsact() - -EEXIST, -ENOENT as the kernel says. */
int qdisc_add_clsact(int ifindex);
int qdisc_remove_clsact(int ifindex);

struct qdisc_filter {
	uint32_t parent, handle, priority, protocol;
	char kind[QDISC_KIND_MAX];
};

/** qdisc_filters() - call @cb for each filter below @parent of @ifindex; non-zero from it stops and is returned. */
int qdisc_filters(int ifindex, uint32_t parent, int (*cb)(const struct qdisc_filter *f, void *ctx),
		  void *ctx);

/** qdisc_delete_filter() - 0 or -errno (-ENOENT: no such filter). */
int qdisc_delete_filter(int ifindex, const struct qdisc_filter *f);

#endif
