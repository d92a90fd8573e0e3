/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * identity.bpf.h - packets into addresses and lengths, sockets into namespaces.
 *
 * For cgroup_skb programs, whose packets begin at the IP header; with @l3 for
 * others. IPv4, IPv6 (a hop-by-hop header, which BIG TCP adds, is stepped
 * over; other extension headers are not), IPv4-mapped sockets send IPv4.
 */
#ifndef ARCHAIC_IDENTITY_BPF_H
#define ARCHAIC_IDENTITY_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IPPROTO_HOPOPTS 0
#define TCP_FLAG_FIN 1
#define TCP_FLAG_SYN 2
#define TCP_FLAG_RST 4

struct packet {
	__u32 seq;    /* of the first payload byte, host order (TFO: behind the SYN) */
	__u32 off;    /* of the payload in the skb */
	__u32 len;    /* of the payload; 0: none */
	__u16 source; /* ports, host order */
	__u16 dest;
	__u8 flags; /* TCP_FLAG_* */
	__u8 v6;
};

/* One end's view of a connection, addresses as in IPv6 (v4-mapped where IPv4). */
struct tuple {
	__u32 saddr[4]; /* network order */
	__u32 daddr[4];
};

/** packet_tcp() - is it TCP, and if so, what? Reads headers by direct access: they are linear in every TCP packet of Linux'. */
static __always_inline bool packet_tcp(struct __sk_buff *skb, __u32 l3, struct packet *p)
{
	void *data = (void *)(long)skb->data + l3;
	void *end = (void *)(long)skb->data_end;
	struct tcphdr *tcp;
	__u32 l4;

	if (data + sizeof(struct iphdr) > end)
		return false;

	__u8 first = *(__u8 *)data;

	if (first >> 4 == 4) {
		struct iphdr *ip = data;

		if (ip->protocol != IPPROTO_TCP || (ip->frag_off & bpf_htons(0x1fff)))
			return false;
		l4 = (first & 15) * 4;
		p->v6 = 0;
	} else {
		struct ipv6hdr *ip6 = data;

		if (data + sizeof(*ip6) + 8 > end)
			return false;
		l4 = sizeof(*ip6);
		if (ip6->nexthdr == IPPROTO_HOPOPTS) {
			__u8 *hop = (__u8 *)(ip6 + 1);

			if (hop[0] != IPPROTO_TCP || hop[1])
				return false;
			l4 += 8;
		} else if (ip6->nexthdr != IPPROTO_TCP) {
			return false;
		}
		p->v6 = 1;
	}
	tcp = data + l4;
	if ((void *)(tcp + 1) > end)
		return false;
	p->off = l3 + l4 + (((__u8 *)tcp)[12] >> 4) * 4;
	p->len = skb->len > p->off ? skb->len - p->off : 0;
	p->flags = ((__u8 *)tcp)[13];
	p->seq = bpf_ntohl(tcp->seq) + ((p->flags & TCP_FLAG_SYN) >> 1);
	p->source = bpf_ntohs(tcp->source);
	p->dest = bpf_ntohs(tcp->dest);
	return true;
}

/** packet_addresses() - the addresses of a packet that packet_tcp() knew. */
static __always_inline void packet_addresses(struct __sk_buff *skb, __u32 l3,
					     const struct packet *p, struct tuple *t)
{
	if (p->v6) {
		bpf_skb_load_bytes(skb, l3 + offsetof(struct ipv6hdr, saddr), t, sizeof(*t));
		return;
	}
	__builtin_memset(t, 0, sizeof(*t));
	t->saddr[2] = t->daddr[2] = bpf_htonl(0xffff);
	bpf_skb_load_bytes(skb, l3 + offsetof(struct iphdr, saddr), &t->saddr[3], 4);
	bpf_skb_load_bytes(skb, l3 + offsetof(struct iphdr, daddr), &t->daddr[3], 4);
}

/** tuple_local() - do both ends live on this host? A loopback address, or one address talking to itself. */
static __always_inline bool tuple_local(const struct tuple *t)
{
	bool same = t->saddr[0] == t->daddr[0] && t->saddr[1] == t->daddr[1] &&
		t->saddr[2] == t->daddr[2] && t->saddr[3] == t->daddr[3];

	return same ||
		(t->daddr[2] == bpf_htonl(0xffff) &&
		 (t->daddr[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000));
}

/** sock_netns() - inode of a socket's network namespace; 0: unknown. @sk: a TCP socket of any state. */
static __always_inline __u32 sock_netns(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return 0;
	return BPF_CORE_READ((struct sock *)tp, __sk_common.skc_net.net, ns.inum);
}

#endif
