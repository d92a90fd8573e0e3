// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

#ifndef TCP_NEW_SYN_RECV
#define TCP_NEW_SYN_RECV 12
#endif
#define ALL_STATES ((1U << 13) - 1)
#define LISTENING (1U << TCP_LISTEN)
#define CONNECTED (ALL_STATES & ~(LISTENING | 1U << TCP_TIME_WAIT | 1U << TCP_NEW_SYN_RECV))

/* Debian 12's headers have it; the number is the kernel's (5.9). */
#define DIAG_CGROUP_ID 21

struct dump {
	int (*cb)(void *ctx, const struct socket_entry *s);
	void *ctx;
	int result; /* of the callback */
};

static void set_addresses(struct socket_entry *s, const struct inet_diag_sockid *id, uint8_t family)
{
	const struct in6_addr *src = (const struct in6_addr *)id->idiag_src;
	const struct in6_addr *dst = (const struct in6_addr *)id->idiag_dst;

	s->family = family;
	if (family == AF_INET) {
		memcpy(s->local, id->idiag_src, 4);
		memcpy(s->remote, id->idiag_dst, 4);
	} else if (IN6_IS_ADDR_V4MAPPED(src) || IN6_IS_ADDR_V4MAPPED(dst)) {
		s->family = AF_INET;
		memcpy(s->local, &src->s6_addr[12], 4);
		memcpy(s->remote, &dst->s6_addr[12], 4);
	} else {
		memcpy(s->local, src, 16);
		memcpy(s->remote, dst, 16);
	}
}

static int on_attr(const struct nlattr *a, void *ctx)
{
	struct socket_entry *s = ctx;

	if (mnl_attr_get_type(a) == DIAG_CGROUP_ID &&
	    mnl_attr_get_payload_len(a) >= sizeof(uint64_t))
		s->cgroup_id = mnl_attr_get_u64(a);
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *h, void *ctx)
{
	struct dump *d = ctx;
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m))
		return MNL_CB_OK;
	struct socket_entry s = {
		.state = m->idiag_state,
		.local_port = ntohs(m->id.idiag_sport),
		.remote_port = ntohs(m->id.idiag_dport),
		.inode = m->idiag_inode,
		.cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
	};
	set_addresses(&s, &m->id, m->idiag_family);
	mnl_attr_parse(h, sizeof(*m), on_attr, &s);
	d->result = d->cb(d->ctx, &s);
	return d->result ? MNL_CB_STOP : MNL_CB_OK;
}

static void close_socket(struct mnl_socket **s)
{
	if (*s)
		mnl_socket_close(*s);
}

static int dump_family(uint8_t family, uint32_t states, struct dump *d)
{
	char data[16384];
	CLEANUP(close_socket) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;

	struct nlmsghdr *h = mnl_nlmsg_put_header(data);
	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(h, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = states;
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -errno;

	for (int more = MNL_CB_OK; more == MNL_CB_OK && !d->result;) {
		ssize_t len = mnl_socket_recvfrom(nl, data, sizeof(data));
		if (len < 0)
			return -errno;
		more = mnl_cb_run(data, (size_t)len, 0, mnl_socket_get_portid(nl), on_message, d);
		if (more < 0)
			return -errno;
	}
	return d->result;
}

int sockets_each(bool listening, int (*cb)(void *ctx, const struct socket_entry *s), void *ctx)
{
	struct dump d = { .cb = cb, .ctx = ctx };
	uint32_t states = listening ? LISTENING : CONNECTED;

	int err = dump_family(AF_INET, states, &d);
	return err ?: dump_family(AF_INET6, states, &d);
}

/* ---- of other namespaces */

static int listeners_in(pid_t pid, const char *table, uint8_t family,
			int (*cb)(void *ctx, const struct socket_entry *s), void *ctx)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	/* A line of heads first. */
	if (!fgets(line, sizeof(line), f))
		return ferror(f) ? -EIO : 0;
	while (fgets(line, sizeof(line), f)) {
		struct socket_entry s = { .family = family };
		unsigned int port, state;
		unsigned long long inode;

		if (sscanf(line,
			   "%*u: %*32[0-9A-F]:%4X %*32[0-9A-F]:%*4X %2X %*s %*s %*s %*u %*d %llu",
			   &port, &state, &inode) != 3)
			continue;
		/* The kernel lists them first: the rest is as long as its traffic. */
		if (state != TCP_LISTEN)
			break;
		s.state = TCP_LISTEN;
		s.local_port = (uint16_t)port;
		s.inode = inode;
		int err = cb(ctx, &s);
		if (err)
			return err;
	}
	return 0;
}

int sockets_listeners_of(pid_t pid, int (*cb)(void *ctx, const struct socket_entry *s), void *ctx)
{
	int err = listeners_in(pid, "tcp", AF_INET, cb, ctx);

	if (err)
		return err;
	err = listeners_in(pid, "tcp6", AF_INET6, cb, ctx);
	/* A kernel without IPv6 has no such table. */
	return err == -ENOENT ? 0 : err;
}
