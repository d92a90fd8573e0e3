/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tc.h - a BPF program on the egress of every device of this network namespace.
 *
 * Two back ends. tcx (6.6+): a link held by a file descriptor, so that the
 * kernel lets go when we die. clsact with a filter of our own handle and
 * priority: outlives us, so the caller journals it before tc_attach_clsact().
 * Priority 1 is contested by container networks; ours is TC_PRIORITY and it is
 * looked at before it is taken. The clsact qdisc is only deleted if we made it
 * and no filter of others hangs on it.
 */
#ifndef ARCHAIC_TC_H
#define ARCHAIC_TC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TC_DEVICES_MAX 32
#define TC_DEVICE_NAME 16
#define TC_PRIORITY 49173u       /* ours: nobody's by convention */
#define TC_HANDLE_BASE 0xae0000u /* filter handles: base + fault number, 1..0xffff */
#define TC_HANDLE_MASK 0xffff0000u

struct tc_device {
	int ifindex;
	char name[TC_DEVICE_NAME];
};

/**
 * tc_devices() - devices of this netns that are up and can send TCP. @ret: TC_DEVICES_MAX of them.
 * Returns the number, -E2BIG when there are more (the answer to "full": refuse), or -errno.
 */
int tc_devices(struct tc_device *ret);

/** tc_device_exists() - is (@ifindex, @name) still one and the same device here? */
bool tc_device_exists(int ifindex, const char *name);

/** tc_tcx_available() - does this kernel take tcx links? Tried with @prog_fd on lo, and undone. */
bool tc_tcx_available(int prog_fd);

/** tc_attach_tcx() - a link; closing @ret detaches. 0 or -errno. */
int tc_attach_tcx(int prog_fd, int ifindex, int *ret);

/** tc_has_clsact() - is there a clsact (or ingress-clsact) qdisc already? */
bool tc_has_clsact(int ifindex);

/**
 * tc_attach_clsact() - make the qdisc where missing, and our filter.
 * @handle: TC_HANDLE_BASE + n. -EEXIST: the handle is taken at our priority.
 */
int tc_attach_clsact(int prog_fd, int ifindex, uint32_t handle);

/** tc_detach_clsact() - remove the filter; @and_qdisc: the qdisc too, if nothing else hangs on it. 1 removed, 0 it was gone, or -errno. */
int tc_detach_clsact(int ifindex, uint32_t handle, bool and_qdisc);

/**
 * tc_sweep() - remove every filter that has our priority and a handle of ours, on all devices, and the clsact
 * qdiscs that they leave empty where @qdiscs. Returns how many, or -errno.
 */
int tc_sweep(bool qdiscs);

#endif
