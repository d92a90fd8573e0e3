/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_edit.bpf.h - change bytes of a response in place, and remember which.
 *
 * Lengths stay. An edit is kept by TCP sequence number, since the packet at
 * egress is a clone and a retransmission brings the original bytes again; an
 * edit that a retransmission cuts in two is left out.
 * Locally made packets are CHECKSUM_PARTIAL: stores need no mending.
 */
#ifndef ARCHAIC_FAULT_EDIT_BPF_H
#define ARCHAIC_FAULT_EDIT_BPF_H

#include "fault_common.bpf.h"

#define NULL_MAX 256 /* longest string that is blanked */
#define NULL_BLOCK 64
#define NUMBER_MAX 16

/*
 * A length that a helper takes must be known to be 1 at least. Linux 6.1's
 * verifier learns nothing from "n != 0", which is what clang makes of n < 1:
 * so lengths are kept as one less, tested from above alone, and added to.
 */
#define AT_LEAST_ONE(less, max, otherwise) \
	do {                               \
		barrier_var(less);         \
		if ((less) >= (max))       \
			otherwise;         \
	} while (0)

static __always_inline bool put_status(struct __sk_buff *skb, const struct fault_ctl *c, __u32 off)
{
	__u32 status = c->status;
	char digits[3] = { '0' + status / 100 % 10, '0' + status / 10 % 10, '0' + status % 10 };

	return !bpf_skb_store_bytes(skb, off, digits, sizeof(digits), 0);
}

static __always_inline bool put_null(struct __sk_buff *skb, __u32 off, __u32 len)
{
	char text[NULL_BLOCK];

	__builtin_memset(text, ' ', sizeof(text));
	for (int i = 0; i < NULL_MAX / NULL_BLOCK; i++) {
		__u32 less = len > NULL_BLOCK ? NULL_BLOCK - 1 : len - 1;

		AT_LEAST_ONE(less, NULL_BLOCK, return true);
		__u32 n = less + 1;

		if (i == 0) {
			text[0] = 'n';
			text[1] = 'u';
			text[2] = text[3] = 'l';
		} else {
			text[0] = text[1] = text[2] = text[3] = ' ';
		}
		if (bpf_skb_store_bytes(skb, off, text, n, 0))
			return false;
		off += n;
		len -= n;
	}
	return true;
}

static __always_inline bool put_minus(struct __sk_buff *skb, __u32 off, __u32 len)
{
	char text[NUMBER_MAX + 1] = "-";

	if (len < 2 || len > NUMBER_MAX)
		return false;
	/* One byte less than the number has: its last is given up. */
	__u32 less = len - 2;

	AT_LEAST_ONE(less, NUMBER_MAX - 1, return false);
	if (bpf_skb_load_bytes(skb, off, text + 1, less + 1))
		return false;
	if (text[(less + 1) & 15] == '.')
		text[(less + 1) & 15] = ' ';
	AT_LEAST_ONE(less, NUMBER_MAX - 1, return false);
	return !bpf_skb_store_bytes(skb, off, text, less + 2, 0);
}

static __always_inline bool put(struct __sk_buff *skb, const struct fault_ctl *c, __u32 off,
				__u32 len, __u16 kind)
{
	if (kind == FAULT_EDIT_STATUS)
		return put_status(skb, c, off);
	if (kind == FAULT_EDIT_NULL)
		return len >= 4 && len <= NULL_MAX && put_null(skb, off, len);
	return put_minus(skb, off, len);
}

/* Change bytes of the packet that is being read, and remember it. */
static __always_inline bool edit(struct __sk_buff *skb, const struct fault_ctl *c,
				 struct fault_conn *conn, __u32 off, __u32 len, __u16 kind)
{
	if (!put(skb, c, off, len, kind))
		return false;
	struct fault_edit *e = &conn->edits[conn->nr_edits & (FAULT_EDITS - 1)];

	e->seq = conn->out_seq + (off - conn->out_off);
	e->len = len;
	e->kind = kind;
	conn->nr_edits++;
	return true;
}

/* The same changes for bytes that were sent before. */
static __always_inline void repeat(struct __sk_buff *skb, const struct fault_ctl *c,
				   const struct fault_conn *conn, const struct fault_packet *p)
{
	for (int i = 0; i < FAULT_EDITS; i++) {
		const struct fault_edit *e = &conn->edits[i];
		__u32 at = e->seq - p->seq;
		__u32 len = e->len;

		if (e->kind && at < p->len && len <= p->len - at)
			put(skb, c, p->off + at, len, e->kind);
	}
}

#endif
