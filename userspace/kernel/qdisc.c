// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/qdisc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#include "base/util.h"

#define MESSAGE_MAX 1024
#define ASK_HANDLE 0xae3f0000u /* of a qdisc that is never made */

static void mnl_closep(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

/* Send one request; every answer but the acknowledgement goes to @cb. */
static int transact(struct nlmsghdr *nlh, mnl_cb_t cb, void *ctx)
{
	char answer[16384];

	CLEANUP(mnl_closep) struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;

	nlh->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(nl, answer, sizeof(answer));

		if (n < 0)
			return -errno;
		int r = mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(nl), cb, ctx);
		if (r == MNL_CB_ERROR)
			return -errno;
		if (r == MNL_CB_STOP)
			return 0;
	}
}

static struct nlmsghdr *request(char *buf, uint16_t type, uint16_t flags, int ifindex,
				uint32_t parent, uint32_t handle)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(nlh, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = ifindex;
	tc->tcm_parent = parent;
	tc->tcm_handle = handle;
	return nlh;
}

static void take_kind(const struct nlmsghdr *nlh, char kind[static QDISC_KIND_MAX])
{
	const struct nlattr *a;

	kind[0] = '\0';
	mnl_attr_for_each(a, nlh,
			  sizeof(struct tcmsg)) if (mnl_attr_get_type(a) == TCA_KIND &&
						    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(kind, QDISC_KIND_MAX, "%.15s", mnl_attr_get_str(a));
}

struct look {
	int ifindex;
	struct qdisc_info *info;
};

static int see_qdisc(const struct nlmsghdr *nlh, void *ctx)
{
	struct look *l = ctx;
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	char kind[QDISC_KIND_MAX];

	if (nlh->nlmsg_type != RTM_NEWQDISC || tc->tcm_ifindex != l->ifindex)
		return MNL_CB_OK;
	take_kind(nlh, kind);
	if (!strcmp(kind, "clsact"))
		l->info->clsact = true;
	if (tc->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	memcpy(l->info->kind, kind, sizeof(kind));
	l->info->handle = tc->tcm_handle;
	if (tc->tcm_handle == 0)
		l->info->root = QDISC_ROOT_DEFAULT;
	else if (!strcmp(kind, "fq"))
		l->info->root = tc->tcm_handle == QDISC_HANDLE ? QDISC_ROOT_OURS : QDISC_ROOT_FQ;
	else
		l->info->root = QDISC_ROOT_FOREIGN;
	return MNL_CB_OK;
}

int qdisc_look(int ifindex, struct qdisc_info *ret)
{
	char buf[MESSAGE_MAX];
	struct qdisc_info info = { .root = QDISC_ROOT_DEFAULT };
	struct look l = { .ifindex = ifindex, .info = &info };

	int err = transact(request(buf, RTM_GETQDISC, NLM_F_DUMP, 0, 0, 0), see_qdisc, &l);
	if (!err)
		*ret = info;
	return err;
}

int qdisc_add_fq(int ifindex, uint64_t horizon_ns)
{
	char buf[MESSAGE_MAX];
	struct qdisc_info info;

	int err = qdisc_look(ifindex, &info);
	if (err)
		return err;
	if (info.root != QDISC_ROOT_DEFAULT)
		return -EBUSY;

	struct nlmsghdr *nlh = request(buf, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
				       ifindex, TC_H_ROOT, QDISC_HANDLE);
	mnl_attr_put_strz(nlh, TCA_KIND, "fq");
	struct nlattr *opt = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put_u32(nlh, TCA_FQ_PLIMIT, 1000000);
	mnl_attr_put_u32(nlh, TCA_FQ_FLOW_PLIMIT, 100000);
	mnl_attr_put_u32(nlh, TCA_FQ_HORIZON,
			 (uint32_t)MIN(horizon_ns / NSEC_PER_USEC, 4000000000ULL));
	/* Not drop but cap: a stamp past the horizon is late, it must not be lost. */
	mnl_attr_put_u8(nlh, TCA_FQ_HORIZON_DROP, 0);
	mnl_attr_nest_end(nlh, opt);
	return transact(nlh, NULL, NULL);
}

int qdisc_remove_fq(int ifindex)
{
	char buf[MESSAGE_MAX];
	struct qdisc_info info;

	int err = qdisc_look(ifindex, &info);
	if (err)
		return err;
	if (info.root != QDISC_ROOT_OURS)
		return 0;
	return transact(request(buf, RTM_DELQDISC, NLM_F_ACK, ifindex, TC_H_ROOT, QDISC_HANDLE),
			NULL, NULL);
}

int qdisc_add_clsact(int ifindex)
{
	char buf[MESSAGE_MAX];
	struct nlmsghdr *nlh = request(buf, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
				       ifindex, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0));

	mnl_attr_put_strz(nlh, TCA_KIND, "clsact");
	return transact(nlh, NULL, NULL);
}

int qdisc_remove_clsact(int ifindex)
{
	char buf[MESSAGE_MAX];

	return transact(request(buf, RTM_DELQDISC, NLM_F_ACK, ifindex, TC_H_CLSACT,
				TC_H_MAKE(TC_H_CLSACT, 0)),
			NULL, NULL);
}

struct walk {
	int (*cb)(const struct qdisc_filter *f, void *ctx);
	void *ctx;
	int ret;
};

static int see_filter(const struct nlmsghdr *nlh, void *ctx)
{
	struct walk *w = ctx;
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	struct qdisc_filter f = {
		.parent = tc->tcm_parent,
		.handle = tc->tcm_handle,
		.priority = TC_H_MAJ(tc->tcm_info) >> 16,
		.protocol = TC_H_MIN(tc->tcm_info),
	};

	/* Handle 0 is the head of a priority, not a filter. */
	if (nlh->nlmsg_type != RTM_NEWTFILTER || f.handle == 0 || w->ret)
		return MNL_CB_OK;
	take_kind(nlh, f.kind);
	w->ret = w->cb(&f, w->ctx);
	return MNL_CB_OK;
}

int qdisc_filters(int ifindex, uint32_t parent, int (*cb)(const struct qdisc_filter *f, void *ctx),
		  void *ctx)
{
	char buf[MESSAGE_MAX];
	struct walk w = { .cb = cb, .ctx = ctx };

	int err = transact(request(buf, RTM_GETTFILTER, NLM_F_DUMP, ifindex, parent, 0), see_filter,
			   &w);
	return err ? err : w.ret;
}

int qdisc_delete_filter(int ifindex, const struct qdisc_filter *f)
{
	char buf[MESSAGE_MAX];
	struct nlmsghdr *nlh =
		request(buf, RTM_DELTFILTER, NLM_F_ACK, ifindex, f->parent, f->handle);
	struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);

	tc->tcm_info = TC_H_MAKE(f->priority << 16, f->protocol);
	mnl_attr_put_strz(nlh, TCA_KIND, f->kind);
	return transact(nlh, NULL, NULL);
}

/*
 * Without CAP_SYS_ADMIN there is no namespace to try it in. A kind is looked up (and its module
 * loaded) before an ingress block of 0 is refused, on every kernel since 4.16: EINVAL means that the
 * kind is there and ENOENT that it is not, and nothing is made either way. One that stands there
 * already is found as it is (0).
 */
static int ask_kind(const char *kind)
{
	char buf[MESSAGE_MAX];
	bool clsact = !strcmp(kind, "clsact");
	struct nlmsghdr *nlh = request(buf, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
				       (int)if_nametoindex("lo"), clsact ? TC_H_CLSACT : TC_H_ROOT,
				       clsact ? TC_H_MAKE(TC_H_CLSACT, 0) : ASK_HANDLE);

	mnl_attr_put_strz(nlh, TCA_KIND, kind);
	mnl_attr_put_u32(nlh, TCA_INGRESS_BLOCK, 0);
	int err = transact(nlh, NULL, NULL);
	return err == 0 || err == -EINVAL ? 0 : 1;
}

/* In a child and a netns of its own: nobody's lo is touched by a question. */
static int try_kind(const char *kind)
{
	char buf[MESSAGE_MAX];

	if (unshare(CLONE_NEWNET) < 0)
		return ask_kind(kind);
	int ifindex = (int)if_nametoindex("lo");
	bool clsact = !strcmp(kind, "clsact");
	struct nlmsghdr *nlh = request(buf, RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
				       ifindex, clsact ? TC_H_CLSACT : TC_H_ROOT,
				       clsact ? TC_H_MAKE(TC_H_CLSACT, 0) : QDISC_HANDLE);

	mnl_attr_put_strz(nlh, TCA_KIND, kind);
	return transact(nlh, NULL, NULL) ? 1 : 0;
}

bool qdisc_kind_available(const char *kind)
{
	pid_t pid = fork();

	if (pid < 0)
		return false;
	if (pid == 0)
		_exit(try_kind(kind));

	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
