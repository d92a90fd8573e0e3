// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/tc.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/util.h"
#include "kernel/qdisc.h"

/* By number: libbpf 1.1 does not name it yet (BPF_TCX_EGRESS, Linux 6.6). */
#define ATTACH_TCX_EGRESS 47

#define EGRESS_PARENT TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)

static void nameindexp(struct if_nameindex **list)
{
	if (*list)
		if_freenameindex(*list);
}

static bool is_up(int sock, const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%.15s", name);
	return ioctl(sock, SIOCGIFFLAGS, &r) == 0 && (r.ifr_flags & IFF_UP);
}

int tc_devices(struct tc_device *ret)
{
	int nr = 0;

	CLEANUP(nameindexp) struct if_nameindex *list = if_nameindex();
	if (!list)
		return -errno;
	CLEANUP(closep) int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	for (struct if_nameindex *i = list; i->if_index; i++) {
		if (!is_up(sock, i->if_name))
			continue;
		if (nr == TC_DEVICES_MAX)
			return -E2BIG;
		ret[nr].ifindex = (int)i->if_index;
		snprintf(ret[nr].name, TC_DEVICE_NAME, "%.15s", i->if_name);
		nr++;
	}
	return nr;
}

bool tc_device_exists(int ifindex, const char *name)
{
	return ifindex > 0 && if_nametoindex(name) == (unsigned int)ifindex;
}

int tc_attach_tcx(int prog_fd, int ifindex, int *ret)
{
	int fd = bpf_link_create(prog_fd, ifindex, (enum bpf_attach_type)ATTACH_TCX_EGRESS, NULL);

	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

bool tc_tcx_available(int prog_fd)
{
	int fd, lo = (int)if_nametoindex("lo");

	if (lo <= 0 || tc_attach_tcx(prog_fd, lo, &fd) < 0)
		return false;
	close(fd);
	return true;
}

bool tc_has_clsact(int ifindex)
{
	struct qdisc_info info;

	return qdisc_look(ifindex, &info) == 0 && info.clsact;
}

int tc_attach_clsact(int prog_fd, int ifindex, uint32_t handle)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = TC_PRIORITY,
			    .prog_fd = prog_fd);

	int err = qdisc_add_clsact(ifindex);
	if (err && err != -EEXIST)
		return err;
	return bpf_tc_attach(&hook, &opts);
}

static int count_one(const struct qdisc_filter *f, void *ctx)
{
	(void)f;
	++*(int *)ctx;
	return 0;
}

/* Nothing on either side of it: then the qdisc serves nobody. */
static bool clsact_is_empty(int ifindex)
{
	int nr = 0;

	return qdisc_filters(ifindex, EGRESS_PARENT, count_one, &nr) == 0 &&
		qdisc_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), count_one, &nr) ==
		0 &&
		nr == 0;
}

int tc_detach_clsact(int ifindex, uint32_t handle, bool and_qdisc)
{
	struct qdisc_filter f = {
		.parent = EGRESS_PARENT,
		.handle = handle,
		.priority = TC_PRIORITY,
		.protocol = htons(0x0003), /* ETH_P_ALL, as libbpf makes it */
		.kind = "bpf",
	};

	if (!tc_has_clsact(ifindex))
		return 0;
	int err = qdisc_delete_filter(ifindex, &f);
	if (err && err != -ENOENT && err != -EINVAL)
		return err;
	if (and_qdisc && clsact_is_empty(ifindex))
		qdisc_remove_clsact(ifindex);
	return !err;
}

struct sweep {
	struct qdisc_filter found[64];
	size_t nr;
};

static int collect(const struct qdisc_filter *f, void *ctx)
{
	struct sweep *s = ctx;

	if (f->priority == TC_PRIORITY && (f->handle & TC_HANDLE_MASK) == TC_HANDLE_BASE &&
	    !strcmp(f->kind, "bpf") && s->nr < ARRAY_SIZE(s->found))
		s->found[s->nr++] = *f;
	return 0;
}

int tc_sweep(bool qdiscs)
{
	int nr = 0, first_err = 0;

	CLEANUP(nameindexp) struct if_nameindex *list = if_nameindex();
	if (!list)
		return -errno;
	for (struct if_nameindex *i = list; i->if_index; i++) {
		int ifindex = (int)i->if_index;
		struct sweep s = { .nr = 0 };

		if (!tc_has_clsact(ifindex) ||
		    qdisc_filters(ifindex, EGRESS_PARENT, collect, &s) < 0)
			continue;
		for (size_t k = 0; k < s.nr; k++) {
			s.found[k].parent = EGRESS_PARENT;
			int err = qdisc_delete_filter(ifindex, &s.found[k]);

			nr += !err;
			first_err = first_err ? first_err : err;
		}
		if (s.nr && qdiscs && clsact_is_empty(ifindex))
			qdisc_remove_clsact(ifindex);
	}
	return first_err ? first_err : nr;
}
