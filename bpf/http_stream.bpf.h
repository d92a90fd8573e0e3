/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_stream.bpf.h - the state of http.bpf.h: what a stream is, its window, its place in TCP's sequence.
 *
 * Included by http.bpf.h alone.
 */
#ifndef ARCHAIC_HTTP_STREAM_BPF_H
#define ARCHAIC_HTTP_STREAM_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "abi.h"

#define HTTP_WINDOW 192 /* bytes; most heads fit in one load */
#define HTTP_PAD 20     /* comparisons may read past the end */
#define HTTP_CARRY 136 /* a cut line this long is given up waiting for: a method and ABI_PATH_MAX */
#define HTTP_APPEND 56 /* bytes that are added to a cut line at a time */
#define HTTP_STEPS 24  /* turns of a caller's loop: lines and pieces of body in one packet */
#define HTTP_SYNC_MAX 32 /* segments that begin no message until we believe that it is not HTTP */

/* States. From HTTP_BODY on, bytes are skipped without a look. */
#define HTTP_NEW 0       /* nothing seen yet */
#define HTTP_SYNC 1      /* place unknown: waits for a segment that begins a message */
#define HTTP_START 2     /* a start line is next */
#define HTTP_HEAD 3      /* in the header lines */
#define HTTP_LONG_LINE 4 /* in the rest of a header line that was cut */
#define HTTP_CHUNK_SIZE 5
#define HTTP_TRAILER 6
#define HTTP_BODY 7  /* s->body bytes to skip */
#define HTTP_CHUNK 8 /* the same, then HTTP_CHUNK_SIZE */
#define HTTP_UNTIL_CLOSE 9
#define HTTP_OPAQUE 10 /* not HTTP/1.x, or a tunnel (101, CONNECT) */

/* Flags of a stream. */
#define HTTP_F_BEGUN 1 /* first_ns is that of the message that comes */
#define HTTP_F_TRY 2   /* a failed start line means HTTP_SYNC, not HTTP_OPAQUE */
#define HTTP_F_CHUNKED 4
#define HTTP_F_BAD 8      /* framing that nobody can trust */
#define HTTP_F_NO_BODY 16 /* set by the caller at HTTP_EV_START of a response to HEAD */
#define HTTP_F_CONNECT 32 /* set by the caller at HTTP_EV_START of a response to CONNECT */

/* Events: bits; 0 means "go on". Details stand in the stream until the next step. */
#define HTTP_EV_START \
	1 /* start line read: method and http_path(), or status. 1xx but 101 is not an answer */
#define HTTP_EV_HEAD 2     /* blank line read; s->length is known */
#define HTTP_EV_END 4      /* last byte of the message */
#define HTTP_EV_TRACE 8    /* X-Trace-ID's value is in the window, see http_trace() */
#define HTTP_EV_LOST 16    /* place lost; comes with STOP */
#define HTTP_EV_OPAQUE 32  /* not HTTP; comes with STOP */
#define HTTP_EV_STOP 64    /* the packet is used up */
#define HTTP_EV_PARENT 128 /* the same for traceparent's */

#define HTTP_LENGTH_NONE (~0ULL)
#define HTTP_NONE 0xffffffffU

struct stream {
	__u64 first_ns; /* when the first byte of the current message was seen */
	__u64 body;     /* bytes still to skip */
	__u64 length;   /* Content-Length; HTTP_LENGTH_NONE without */
	__u64 bytes;    /* of the stream, ever: every byte once */
	__u32 next_seq;
	__u32 from;     /* offsets in this packet's skb: where its new bytes begin, */
	__u32 pos;      /* the next byte to load into the window, */
	__u32 end;      /* where they end */
	__u32 start_at; /* where the start line began; HTTP_NONE: in an earlier packet */
	__u16 fill;     /* bytes in the window */
	__u16 cur;      /* start of the current line in it */
	__u16 nl;       /* its newline */
	__u16 at;     /* at HTTP_EV_START the path, at HTTP_EV_TRACE the trace id, in the window */
	__u16 at_len; /* bytes */
	__u16 status; /* responses */
	__u8 method;  /* requests: ABI_METHOD_* */
	__u8 state;
	__u8 flags;
	__u8 tries; /* segments in HTTP_SYNC so far, up to HTTP_SYNC_MAX */
	char buf[HTTP_WINDOW + HTTP_PAD];
};
_Static_assert(sizeof(struct stream) == 68 + HTTP_WINDOW + HTTP_PAD, "stream");

/* Where a segment's bytes are: in a packet, or in a copy of HTTP_COPY bytes with a window behind them. */
#define HTTP_COPY 4096

struct http_bytes {
	struct __sk_buff *skb;
	const char *copy; /* NULL: in the packet */
};

/* Text as the little-endian word that a load gives; BPF objects are bpfel. */
#define HTTP_W8(a, b, c, d, e, f, g, h)                                                          \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define HTTP_BYTES(n) (~0ULL >> (64 - 8 * (n)))
#define HTTP_LOWER 0x2020202020202020ULL

/* Read it from memory, not from the register that it was just written from: the verifier then knows nothing of it. */
#define http_reload(x) (*(volatile __typeof__(x) *)&(x))

/* Forget what the compiler knows of @x: a bound is checked on the register that the verifier looks at. */
#define http_hide(x) asm volatile("" : "+r"(x))

static __always_inline __u64 http_word(const struct stream *s, __u32 at)
{
	http_hide(at);
	if (at > HTTP_WINDOW + HTTP_PAD - 8)
		return 0;
	return *(const __u64 *)(s->buf + at);
}

static __always_inline __u8 http_byte(const struct stream *s, __u32 at)
{
	http_hide(at);
	if (at >= HTTP_WINDOW)
		return 0;
	return s->buf[at];
}

/* Where @w holds the byte @c (given eight times): its lowest set bit is in the first such byte. Hacker's Delight, 6-1. */
static __always_inline __u64 http_match(__u64 w, __u64 c)
{
	__u64 x = w ^ c;

	return (x - 0x0101010101010101ULL) & ~x & 0x8080808080808080ULL;
}

/* Index of the first byte marked in @t, which is not 0: one bit is left, at 8k, and the constant brings k to the top byte. */
static __always_inline __u32 http_first(__u64 t)
{
	return ((t & -t) >> 7) * 0x0001020304050607ULL >> 56;
}

static __always_inline __u32 http_index(__u64 w, __u64 c)
{
	__u64 t = http_match(w, c);

	return t ? http_first(t) : 8;
}

/** http_lose() - the place in the stream is unknown from here on. Returns the event. */
static __always_inline __u32 http_lose(struct stream *s)
{
	s->state = HTTP_SYNC;
	s->fill = s->cur = 0;
	s->flags = 0;
	s->tries = 0;
	return HTTP_EV_LOST | HTTP_EV_STOP;
}

static __always_inline __u32 http_opaque(struct stream *s)
{
	s->state = HTTP_OPAQUE;
	s->fill = s->cur = 0;
	return HTTP_EV_OPAQUE | HTTP_EV_STOP;
}

/* What stands where a start line should is none. */
static __always_inline __u32 http_no_start(struct stream *s)
{
	if (!(s->flags & HTTP_F_TRY) || s->tries >= HTTP_SYNC_MAX)
		return http_opaque(s);
	s->tries++;
	s->state = HTTP_SYNC;
	s->flags = 0;
	s->fill = s->cur = 0;
	return HTTP_EV_STOP;
}

/** http_misses() - does a segment at @seq leave a hole that costs the stream its place? */
static __always_inline bool http_misses(const struct stream *s, __u32 seq)
{
	__s32 ahead = seq - s->next_seq;

	if (ahead <= 0 || s->state == HTTP_NEW || s->state == HTTP_SYNC ||
	    s->state >= HTTP_UNTIL_CLOSE)
		return false;
	/* Nobody needs the bytes of a body. */
	return (s->state != HTTP_BODY && s->state != HTTP_CHUNK) || s->body < (__u32)ahead;
}

/**
 * http_begin() - place a segment in the stream.
 * @seq: of its first payload byte. @off, @len: the payload in the skb.
 * @fresh: the connection was seen from its start: what is not HTTP now never will be.
 * @lost: set where a hole cost the place.
 * Returns the bytes that are new; 0: nothing to do.
 */
static __always_inline __u32 http_begin(struct stream *s, __u32 seq, __u32 off, __u32 len,
					bool fresh, bool *lost)
{
	*lost = false;
	if (s->state == HTTP_NEW) {
		s->state = fresh ? HTTP_START : HTTP_SYNC;
	} else {
		__s32 ahead = seq - s->next_seq;

		if (ahead < 0) {
			__u32 seen = -ahead;

			if (seen >= len)
				return 0;
			off += seen;
			len -= seen;
			seq += seen;
		} else if (http_misses(s, seq)) {
			http_lose(s);
			*lost = true;
		} else if (ahead > 0 && s->state >= HTTP_BODY) {
			s->body -= (__u32)ahead;
			s->bytes += (__u32)ahead;
		}
	}
	s->next_seq = seq + len;
	s->bytes += len;
	s->from = s->pos = off;
	s->end = off + len;
	if (s->state == HTTP_SYNC) {
		s->state = HTTP_START;
		s->flags |= HTTP_F_TRY;
	}
	return len;
}

/* Read @len bytes at @off, a bounded number that is not 0. */
static __always_inline long http_read(const struct http_bytes *b, __u32 off, void *to, __u32 len)
{
	if (!b->copy)
		return bpf_skb_load_bytes(b->skb, off, to, len);
	http_hide(off);
	if (off >= HTTP_COPY || off + len > HTTP_COPY)
		return -1;
	return bpf_probe_read_kernel(to, len, b->copy + off);
}

/* Load up to a window at s->pos to its front. */
static __always_inline __u32 http_load(struct stream *s, const struct http_bytes *b)
{
	__u32 n = s->end - s->pos;

	if (n > HTTP_WINDOW)
		n = HTTP_WINDOW;
	/* In this form every verifier since 5.10 sees 1 to HTTP_WINDOW. */
	__u32 last = n - 1;

	http_hide(last);
	if (last >= HTTP_WINDOW || http_read(b, s->pos, s->buf, last + 1))
		return http_lose(s);
	s->pos += n;
	s->cur = 0;
	s->fill = n;
	return 0;
}

/* Is the word @w the beginning of a start line? */
static __always_inline bool http_plausible(__u64 w, bool response)
{
	if (response)
		return (w & HTTP_BYTES(7)) == HTTP_W8('H', 'T', 'T', 'P', '/', '1', '.', 0);
	return (__u8)(w - 'A') < 26;
}

#endif
