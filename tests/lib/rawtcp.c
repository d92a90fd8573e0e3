// SPDX-License-Identifier: GPL-2.0-or-later
#include "rawtcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define TIMEOUT_NS (5 * NSEC_PER_SEC)
#define SYN 2
#define ACK 16

/* In network order, as on the wire. */
struct tcp_header {
	uint16_t source, dest;
	uint32_t seq, ack;
	uint8_t words, flags; /* words: of the header, in the upper half */
	uint16_t window, sum, urgent;
};
_Static_assert(sizeof(struct tcp_header) == 20, "tcp_header");

struct segment {
	uint32_t seq;
	uint16_t source, dest;
	uint8_t flags;
	size_t len;
	const uint8_t *data; /* in packet */
	uint8_t packet[65536];
};

static int add_address(int nl, int index, int family, const char *text, uint8_t bits)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg a;
		struct rtattr local;
		uint8_t address[16];
	} q = {
		.h = { .nlmsg_type = RTM_NEWADDR,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE },
		/* Nobody else lives behind the device. */
		.a = { .ifa_family = (uint8_t)family,
		       .ifa_prefixlen = bits,
		       .ifa_flags = IFA_F_NODAD,
		       .ifa_index = (uint32_t)index },
		.local = { .rta_type = IFA_LOCAL },
	};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char text[512];
	} r = { 0 };
	uint32_t size = family == AF_INET ? 4 : 16;

	inet_pton(family, text, q.address);
	q.local.rta_len = (unsigned short)(sizeof(q.local) + size);
	q.h.nlmsg_len = (uint32_t)(sizeof(q) - sizeof(q.address) + size);
	if (send(nl, &q, q.h.nlmsg_len, 0) < 0 || recv(nl, &r, sizeof(r), 0) < 0)
		return -errno;
	return r.h.nlmsg_type == NLMSG_ERROR ? r.e.error : -EPROTO;
}

static int bring_up(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };
	CLEANUP(closep) int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (nl < 0 || fd < 0 || ioctl(fd, SIOCSIFFLAGS, &r))
		return -errno;
	int index = (int)if_nametoindex(name);
	return add_address(nl, index, AF_INET, RAWTCP_HERE4, 24) ?:
		add_address(nl, index, AF_INET6, RAWTCP_HERE6, 64);
}

int rawtcp_tun(void)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	CLEANUP(closep) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &r))
		return -errno;
	int err = bring_up(r.ifr_name);
	return err ?: TAKE_FD(fd);
}

/* RFC 1071; @data begins at an even place of what is summed, which is below 64 KiB. */
static uint32_t add_sum(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t end_sum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The IP header of a packet from there to here. Its length; adds the pseudo-header to *sum. */
static size_t put_ip(uint8_t *to, bool v6, size_t len, uint32_t *sum)
{
	*sum = (uint32_t)len + IPPROTO_TCP;
	if (v6) {
		struct ip6_hdr h = { .ip6_plen = htons((uint16_t)len),
				     .ip6_nxt = IPPROTO_TCP,
				     .ip6_hlim = 64 };

		h.ip6_vfc = 6 << 4;
		inet_pton(AF_INET6, RAWTCP_THERE6, &h.ip6_src);
		inet_pton(AF_INET6, RAWTCP_HERE6, &h.ip6_dst);
		*sum = add_sum(*sum, &h.ip6_src, 32);
		memcpy(to, &h, sizeof(h));
		return sizeof(h);
	}
	struct iphdr h = { .version = 4,
			   .ihl = 5,
			   .ttl = 64,
			   .protocol = IPPROTO_TCP,
			   .tot_len = htons((uint16_t)(sizeof(h) + len)) };

	inet_pton(AF_INET, RAWTCP_THERE4, &h.saddr);
	inet_pton(AF_INET, RAWTCP_HERE4, &h.daddr);
	h.check = end_sum(add_sum(0, &h, sizeof(h)));
	*sum = add_sum(*sum, &h.saddr, 8);
	memcpy(to, &h, sizeof(h));
	return sizeof(h);
}

static int emit(const struct rawtcp *c, uint32_t seq, uint8_t flags, const void *data, size_t len)
{
	uint8_t packet[40 + sizeof(struct tcp_header) + RAWTCP_SEGMENT_MAX];
	struct tcp_header h = {
		.source = htons(c->port),
		.dest = htons(c->peer),
		.seq = htonl(seq),
		.ack = htonl(flags & ACK ? c->ack : 0),
		.words = sizeof(h) / 4 << 4,
		.flags = flags,
		.window = htons(65535),
	};
	uint32_t sum;

	if (len > RAWTCP_SEGMENT_MAX)
		return -EMSGSIZE;
	size_t at = put_ip(packet, c->v6, sizeof(h) + len, &sum);

	h.sum = end_sum(add_sum(add_sum(sum, &h, sizeof(h)), data, len));
	memcpy(packet + at, &h, sizeof(h));
	if (len)
		memcpy(packet + at + sizeof(h), data, len);
	at += sizeof(h) + len;
	ssize_t n = write(c->tun, packet, at);
	return n < 0 ? -errno : (size_t)n == at ? 0 : -EIO;
}

/* false: no whole TCP segment of this family. */
static bool dissect(struct segment *s, size_t len, bool v6)
{
	size_t at = v6 ? 40 : (s->packet[0] & 15) * 4U;
	struct tcp_header h;

	if (s->packet[0] >> 4 != (v6 ? 6 : 4) || len < at + sizeof(h) ||
	    s->packet[v6 ? 6 : 9] != IPPROTO_TCP)
		return false;
	memcpy(&h, s->packet + at, sizeof(h));
	at += (h.words >> 4) * 4U;
	if (at > len)
		return false;
	s->seq = ntohl(h.seq);
	s->source = ntohs(h.source);
	s->dest = ntohs(h.dest);
	s->flags = h.flags;
	s->data = s->packet + at;
	s->len = len - at;
	return true;
}

/* The next packet for this connection (c->peer 0: from whoever). 0 or -errno. */
static int next(const struct rawtcp *c, struct segment *s)
{
	const uint64_t end = clock_mono_ns() + TIMEOUT_NS;

	for (;;) {
		struct pollfd p = { .fd = c->tun, .events = POLLIN };
		uint64_t now = clock_mono_ns();
		ssize_t n = read(c->tun, s->packet, sizeof(s->packet));

		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n > 0 && dissect(s, (size_t)n, c->v6) && s->dest == c->port &&
		    (!c->peer || s->source == c->peer))
			return 0;
		if (now >= end)
			return -ETIMEDOUT;
		if (n < 0)
			poll(&p, 1, (int)((end - now) / NSEC_PER_MSEC) + 1);
	}
}

/* Wait for a SYN, or for the answer to ours. */
static int hear_syn(struct rawtcp *c, uint8_t flags)
{
	struct segment s;
	int err;

	do {
		err = next(c, &s);
		if (err)
			return err;
		if (s.flags & RAWTCP_RST)
			return -ECONNREFUSED;
	} while ((s.flags & (SYN | ACK)) != flags);
	c->peer = s.source;
	c->ack = s.seq + 1;
	return 0;
}

/* A little before the numbers wrap. */
static void begin(struct rawtcp *c, int tun, bool v6, uint16_t port, uint16_t peer)
{
	*c = (struct rawtcp){ .tun = tun, .v6 = v6, .port = port, .peer = peer, .first = -100U };
}

int rawtcp_connect(struct rawtcp *c, int tun, bool v6, uint16_t port, uint16_t peer)
{
	begin(c, tun, v6, port, peer);
	return emit(c, c->first - 1, SYN, NULL, 0) ?:
		hear_syn(c, SYN | ACK)             ?:
						     emit(c, c->first, ACK, NULL, 0);
}

int rawtcp_accept(struct rawtcp *c, int tun, bool v6, uint16_t port)
{
	begin(c, tun, v6, port, 0);
	return hear_syn(c, SYN) ?: emit(c, c->first - 1, SYN | ACK, NULL, 0);
}

int rawtcp_send(struct rawtcp *c, uint32_t at, const void *data, size_t len, uint8_t flags)
{
	uint32_t end = at + (uint32_t)len + (flags & RAWTCP_FIN), sent = atomic_load(&c->sent);

	while (!(flags & RAWTCP_RST) && sent < end &&
	       !atomic_compare_exchange_weak(&c->sent, &sent, end))
		;
	return emit(c, c->first + at, ACK | flags, data, len);
}

ssize_t rawtcp_read(struct rawtcp *c, void *buf, size_t size)
{
	struct segment s;

	if (c->ended)
		return 0;
	for (;;) {
		int err = next(c, &s);

		if (err)
			return err;
		if (s.flags & RAWTCP_RST)
			return -ECONNRESET;
		/* What was sent again is told once more what we have. */
		bool due = s.seq == c->ack && (s.len || (s.flags & RAWTCP_FIN));
		if (due) {
			if (s.len > size)
				return -EMSGSIZE;
			memcpy(buf, s.data, s.len);
			c->ended = s.flags & RAWTCP_FIN;
			c->ack += (uint32_t)s.len + c->ended;
		}
		if (s.len || (s.flags & RAWTCP_FIN))
			err = emit(c, c->first + atomic_load(&c->sent), ACK, NULL, 0);
		if (err || due)
			return err ?: (ssize_t)s.len;
	}
}
