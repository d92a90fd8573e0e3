/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_common.bpf.h - maps, packets and the draw of the programs of one fault.
 *
 * fault_request.bpf.c (cgroup_skb) makes the maps and draws; fault_payload.bpf.c
 * (tc) is given the same maps by file descriptor.
 *
 * Connections are keyed by their addresses, not kept in socket storage: the
 * first request may land on the listener (it rides on the handshake's ACK),
 * a tc program on lo sees packets of both ends, and the holder of delayed
 * packets in userspace knows nothing but addresses. A SYN forgets what the
 * tuple was before.
 *
 * Who guards a struct fault_conn: `in`, `hits` and the fields of the request
 * side are the ingress program's, `out` and those of the response side the
 * egress program's (see http.bpf.h why one direction does not race with
 * itself). Egress reads `hits` of a request whose bytes the service has
 * already read: the write is long past.
 */
#ifndef ARCHAIC_FAULT_COMMON_BPF_H
#define ARCHAIC_FAULT_COMMON_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fault_abi.h"
#include "http.bpf.h"

/* Turns of a program's loop over a packet's lines; more go on in a tail call (33 of them). */
#define FAULT_STEPS 16

#define FAULT_EDIT_STATUS 1 /* three digits of ctl.status */
#define FAULT_EDIT_NULL 2   /* null, padded with blanks */
#define FAULT_EDIT_MINUS 3  /* a minus in front, the last character given up for it */
#define FAULT_EDITS \
	32 /* remembered per connection for retransmissions; older ones leave unchanged */

/* Bytes of a response that were changed. */
struct fault_edit {
	__u32 seq; /* TCP sequence number of the first */
	__u16 len;
	__u16 kind; /* 0: unused */
};

/* Where the scanner of a JSON body is; see fault_payload.bpf.c. */
struct fault_json {
	__u32 left; /* bytes of body still to scan; 0: not scanning */
	__u32 pos;  /* offset of the next in this skb */
	__u32 hash; /* of the string being read */
	__u32 len;
	__u32 value_at; /* offset of the value in this skb; HTTP_NONE: it began in an earlier one */
	__u8 mode;
	__u8 escaped;
	__u8 json;     /* Content-Type said so */
	__u8 encoded;  /* Content-Encoding: hands off */
	__u8 spoiled;  /* something was changed in this response */
	__u8 exponent; /* the number has one: a digit given up would break it */
	__u8 turns;    /* programs that scanned this packet */
	__u8 kind;     /* of the edit that the last block called for; 0: none */
	__u32 scanned; /* bytes of the last block */
};

struct fault_conn {
	struct fault_conn_head head;
	__u64 hits;  /* bit per request, modulo 64: drawn? */
	__u64 heads; /* bit per request: HEAD, its answer has no body */
	__u32 nr_requests;
	__u32 nr_responses; /* finished ones */
	__u32 lossy;        /* the current request was drawn: its packets may be lost */
	__u32 lost;         /* and one was */
	__u32 out_seq;      /* of the packet that `out` is in */
	__u32 out_off;      /* and where its payload begins */
	__u32 nr_edits;
	__u32 pad;
	struct fault_edit edits[FAULT_EDITS];
	struct fault_json json;
	struct stream in;
	struct stream out;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fault_ctl);
} ctl SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FAULT_ABI_CONNS);
	__type(key, struct fault_tuple);
	__type(value, struct fault_conn);
} conns SEC(".maps");

static __always_inline struct fault_ctl *fault_ctl(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ctl, &zero);
}

/* Past the deadline or the lease, every program of the fault is a no-op, whoever still holds it. */
static __always_inline bool fault_active(const struct fault_ctl *c)
{
	__u64 now = bpf_ktime_get_boot_ns();

	return now < c->lease_end_ns && now < c->deadline_ns;
}

/* splitmix64 (Steele, Lea, Flood 2014): the n-th draw of a seed is a function of both, so a run can be replayed. */
static __always_inline __u32 fault_mix(__u64 seed, __u64 n)
{
	__u64 z = seed + (n + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31)) >> 32;
}

/*
 * Two CPUs may take the same number: their draws are then equal, which changes
 * no share. An atomic add with a result would ask for Linux 5.12.
 */
static __always_inline bool fault_draw(struct fault_ctl *c)
{
	__u64 n = c->draws;

	__sync_fetch_and_add(&c->draws, 1);
	return fault_mix(c->seed, n) < c->threshold;
}

struct fault_packet {
	struct fault_tuple tuple; /* from the service's end */
	__u32 seq;
	__u32 off; /* payload in the skb */
	__u32 len;
	__u8 flags; /* TCP's */
};

#define FAULT_TCP_FIN 1
#define FAULT_TCP_SYN 2
#define FAULT_ETH_P_IP 0x0800
#define FAULT_ETH_P_IPV6 0x86dd

/* Headers as they are on the wire: only what is read of them, to leave vmlinux.h out of it. */
struct fault_ip4 {
	__u8 ihl_version, tos;
	__u16 len_be, id, frag_be;
	__u8 ttl, protocol;
	__u16 check;
	__u32 saddr, daddr;
};

struct fault_ip6 {
	__u32 flow;
	__u16 payload_len_be;
	__u8 next, hops;
	__u32 saddr[4], daddr[4];
};

struct fault_tcp {
	__u16 source_be, dest_be;
	__u32 seq_be, ack_be;
	__u8 doff, flags;
	__u16 window, check, urgent;
};

static __always_inline void fault_copy_addr(__u32 to[4], const __u32 from[4])
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static __always_inline void fault_map_addr(__u32 to[4], __u32 v4)
{
	to[0] = to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = v4;
}

/* Read now, by a load of its own: the compiler would add offsets to the context pointer, which the verifier refuses. */
static __always_inline __u32 fault_protocol(struct __sk_buff *skb)
{
	__u32 protocol = *(volatile __u32 *)&skb->protocol;

	return protocol;
}

static __always_inline __u32 fault_length(struct __sk_buff *skb)
{
	__u32 len = *(volatile __u32 *)&skb->len;

	return len;
}

/*
 * Take a TCP packet apart. @net: where its IP header begins in the skb.
 * Fragments and IPv6 extension headers are passed over: TCP to a service has none
 * in practice, and a packet that is not understood is not touched.
 */
static __always_inline bool fault_dissect(struct __sk_buff *skb, __u32 net, bool egress,
					  struct fault_packet *p)
{
	struct fault_tcp tcp;
	__u32 tcp_off, src[4], dst[4];
	__u32 total = fault_length(skb);
	__u32 protocol = fault_protocol(skb);

	if (protocol == bpf_htons(FAULT_ETH_P_IP)) {
		struct fault_ip4 ip;

		if (bpf_skb_load_bytes(skb, net, &ip, sizeof(ip)) || ip.protocol != IPPROTO_TCP ||
		    (ip.frag_be & bpf_htons(0x3fff)))
			return false;
		tcp_off = net + (ip.ihl_version & 15) * 4;
		fault_map_addr(src, ip.saddr);
		fault_map_addr(dst, ip.daddr);
	} else if (protocol == bpf_htons(FAULT_ETH_P_IPV6)) {
		struct fault_ip6 ip;

		if (bpf_skb_load_bytes(skb, net, &ip, sizeof(ip)) || ip.next != IPPROTO_TCP)
			return false;
		tcp_off = net + sizeof(ip);
		fault_copy_addr(src, ip.saddr);
		fault_copy_addr(dst, ip.daddr);
	} else {
		return false;
	}
	if (bpf_skb_load_bytes(skb, tcp_off, &tcp, sizeof(tcp)))
		return false;

	fault_copy_addr(p->tuple.local, egress ? src : dst);
	fault_copy_addr(p->tuple.peer, egress ? dst : src);
	p->tuple.local_port_be = egress ? tcp.source_be : tcp.dest_be;
	p->tuple.peer_port_be = egress ? tcp.dest_be : tcp.source_be;
	p->tuple.pad = 0;
	p->seq = bpf_ntohl(tcp.seq_be);
	p->flags = tcp.flags;
	p->off = tcp_off + (tcp.doff >> 4) * 4;
	/* The skb's own length, not the header's: a GSO packet over 64 KiB has none there. */
	p->len = total > p->off ? total - p->off : 0;
	return true;
}

static __always_inline bool fault_is_port(const struct fault_ctl *c, __u16 port_be)
{
	__u16 port = bpf_ntohs(port_be);

	for (__u32 i = 0; i < FAULT_ABI_PORTS; i++)
		if (i < c->nr_ports && c->ports[i] == port)
			return true;
	return false;
}

#endif
