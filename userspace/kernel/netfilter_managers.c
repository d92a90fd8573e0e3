// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who else has rules here, by the marks that firewall managers leave: names of
 * chains (iptables-save) and of nftables tables (netlink). Only looks.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "kernel/fault_spawn.h"
#include "kernel/netfilter.h"

#define TOOL_TIMEOUT_NS (10ULL * NSEC_PER_SEC)

/* A chain, or a table of nftables, whose name begins so belongs to @manager. */
static const struct {
	const char *begins, *manager;
} marks[] = {
	{ "ufw-", "ufw" },
	{ "ufw6-", "ufw" },
	{ "firewalld", "firewalld" },
	{ "INPUT_ZONES", "firewalld" },
	{ "f2b-", "fail2ban" },
	{ "DOCKER", "Docker" },
	{ "docker-", "Docker" },
	{ "KUBE-", "kube-proxy" },
	{ "kube-proxy", "kube-proxy" },
	{ "cali-", "Calico" },
	{ "CILIUM_", "Cilium" },
	{ "LIBVIRT_", "libvirt" },
	{ "libvirt_", "libvirt" },
};
_Static_assert(ARRAY_SIZE(marks) <= 32, "a bit each");

/* Bit of the first mark of whoever has this name; 0: nobody known. */
static uint32_t manager_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (strncmp(name, marks[i].begins, strlen(marks[i].begins)) != 0)
			continue;
		size_t first = 0;
		while (strcmp(marks[first].manager, marks[i].manager) != 0)
			first++;
		return 1u << first;
	}
	return 0;
}

static uint32_t managers_by_chain(const char *save)
{
	char path[FAULT_SPAWN_PATH_MAX], name[32];
	uint32_t found = 0;
	struct buf out;

	if (!fault_spawn_find(save, path))
		return 0;
	buf_init(&out, FAULT_SPAWN_OUTPUT_MAX);
	if (fault_spawn((const char *const[]){ path, NULL }, TOOL_TIMEOUT_NS, &out) == 0)
		for (const char *line = buf_str(&out); line && *line; line = strchr(line, '\n')) {
			line += *line == '\n';
			if (sscanf(line, ":%31s", name) == 1)
				found |= manager_of(name);
		}
	buf_release(&out);
	return found;
}

/* ---- nftables */

struct tables {
	uint32_t managers;
	int others; /* of nobody known */
};

/* iptables over nft keeps its rules in tables of these names: counted as rules. */
static bool is_of_iptables(uint8_t family, const char *name)
{
	static const char *const names[] = {
		"filter", "nat", "mangle", "raw", "security", "broute"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (family != NFPROTO_INET && family != NFPROTO_NETDEV && !strcmp(name, names[i]))
			return true;
	return false;
}

static int see_table(const struct nlmsghdr *nlh, void *ctx)
{
	struct tables *t = ctx;
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(*nfg))
	{
		if (mnl_attr_get_type(a) != NFTA_TABLE_NAME ||
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
			continue;
		uint32_t manager = manager_of(mnl_attr_get_str(a));

		t->managers |= manager;
		t->others += !manager && !is_of_iptables(nfg->nfgen_family, mnl_attr_get_str(a));
	}
	return MNL_CB_OK;
}

static void mnl_closep(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

/* A kernel without nf_tables has none: that is no error. */
static void look_at_tables(struct tables *t)
{
	char buf[256], answer[16384];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	CLEANUP(mnl_closep) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return;
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = NFPROTO_UNSPEC;
	nfg->version = NFNETLINK_V0;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return;
	for (int r = MNL_CB_OK; r > MNL_CB_STOP;) {
		ssize_t n = mnl_socket_recvfrom(nl, answer, sizeof(answer));

		r = n <= 0 ?
			MNL_CB_ERROR :
			mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(nl), see_table, t);
	}
}

int netfilter_managers(char *names, size_t len)
{
	struct tables t = { .managers = managers_by_chain("iptables-save") |
				    managers_by_chain("ip6tables-save") };
	size_t n = 0;

	look_at_tables(&t);
	names[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(marks) && n < len; i++)
		if (t.managers & 1u << i)
			n += (size_t)snprintf(names + n, len - n, "%s%s", n ? ", " : "",
					      marks[i].manager);
	return t.others;
}
