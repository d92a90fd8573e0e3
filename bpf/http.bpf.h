/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http.bpf.h - HTTP/1.x framing of one direction of a TCP connection.
 *
 * Packets in, events out: a message starts, its head is over, it ends. The
 * state is a struct stream, which lives in the caller's socket storage and
 * carries over packets, so that a header may be split at any byte, one packet
 * may hold many messages, and one message may span many packets:
 *
 *	left = http_begin(s, seq, off, len);
 *	if (left)
 *		for (i = 0; i < HTTP_STEPS; i++) {
 *			ev = http_step(s, skb, is_response, now);
 *			if (ev & HTTP_EV_START) ...		s->method, s->status, http_path()
 *			if (ev & HTTP_EV_STOP) break;
 *		}
 *
 * A caller whose loop ran out calls http_lose(), or goes on in a tail call:
 * everything is in the struct.
 *
 * How it reads: lines are looked for eight bytes at a time in a window that is
 * filled by bpf_skb_load_bytes(); of header lines only the first bytes are
 * compared, with four names; bodies are skipped by arithmetic and never loaded.
 * A line that a packet's end has cut is loaded to the window's front and
 * waits there. Lines over the window are cut: what is known of them counts.
 *
 * TCP: a segment that was seen is ignored, an overlap is trimmed, a hole in a
 * body that is being skipped is jumped over; any other hole loses the place,
 * and the stream waits for a segment that begins with a message (HTTP_SYNC).
 * So does a stream that is first seen in its middle.
 *
 * Who guards a struct stream: nobody but its direction. The egress program runs
 * under the socket's lock. Ingress runs in softirq; two segments of one
 * connection are in softirq on two CPUs at once only when they were steered
 * apart, which reorders TCP and is avoided by everybody. The window is in the
 * struct and not in a per-CPU scratch because egress in process context can be
 * interrupted by ingress, and preempted by another egress, on the same CPU.
 *
 * Verifier: values that steer loads are read back from the struct (the verifier
 * forgets what it knew of them), so that the states of a loop's turns merge.
 * No helper newer than Linux 5.1, no bpf_loop, no atomics with a result.
 */
#ifndef ARCHAIC_HTTP_BPF_H
#define ARCHAIC_HTTP_BPF_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "abi.h"

#define HTTP_WINDOW 192 /* bytes; most heads fit in one load */
#define HTTP_PAD 24     /* comparisons may read past the end */
#define HTTP_CARRY 136  /* a cut line this long is given up waiting for: a method and ABI_PATH_MAX */
#define HTTP_APPEND 56  /* bytes that are added to a cut line at a time */
#define HTTP_STEPS 24   /* turns of a caller's loop: lines and pieces of body in one packet */
#define HTTP_SYNC_MAX 32 /* segments that begin no message until we believe that it is not HTTP */

/* States. From HTTP_BODY on, bytes are skipped without a look. */
#define HTTP_NEW 0        /* nothing seen yet */
#define HTTP_SYNC 1       /* place unknown: waits for a segment that begins a message */
#define HTTP_START 2      /* a start line is next */
#define HTTP_HEAD 3       /* in the header lines */
#define HTTP_LONG_LINE 4  /* in the rest of a header line that was cut */
#define HTTP_CHUNK_SIZE 5
#define HTTP_TRAILER 6
#define HTTP_BODY 7       /* s->body bytes to skip */
#define HTTP_CHUNK 8      /* the same, then HTTP_CHUNK_SIZE */
#define HTTP_UNTIL_CLOSE 9
#define HTTP_OPAQUE 10    /* not HTTP/1.x, or a tunnel (101, CONNECT) */

/* Flags of a stream. */
#define HTTP_F_BEGUN 1    /* first_ns is that of the message that comes */
#define HTTP_F_TRY 2      /* a failed start line means HTTP_SYNC, not HTTP_OPAQUE */
#define HTTP_F_CHUNKED 4
#define HTTP_F_BAD 8      /* framing that nobody can trust */
#define HTTP_F_NO_BODY 16 /* set by the caller at HTTP_EV_START of a response to HEAD */
#define HTTP_F_CONNECT 32 /* set by the caller at HTTP_EV_START of a response to CONNECT */

/* Events: bits; 0 means "go on". Details stand in the stream until the next step. */
#define HTTP_EV_START 1   /* start line read: method and http_path(), or status. 1xx but 101 is not an answer */
#define HTTP_EV_HEAD 2    /* blank line read; s->length is known */
#define HTTP_EV_END 4     /* last byte of the message */
#define HTTP_EV_TRACE 8   /* X-Trace-ID's value is in the window, see http_trace() */
#define HTTP_EV_LOST 16   /* place lost; comes with STOP */
#define HTTP_EV_OPAQUE 32 /* not HTTP; comes with STOP */
#define HTTP_EV_STOP 64   /* the packet is used up */
#define HTTP_EV_PARENT 128 /* the same for traceparent's */

#define HTTP_LENGTH_NONE (~0ULL)
#define HTTP_NONE 0xffffffffU

struct stream {
	__u64 first_ns;  /* when the first byte of the current message was seen */
	__u64 body;      /* bytes still to skip */
	__u64 length;    /* Content-Length; HTTP_LENGTH_NONE without */
	__u64 bytes;     /* of the stream, ever: every byte once */
	__u32 next_seq;
	__u32 from;      /* offsets in this packet's skb: where its new bytes begin, */
	__u32 pos;       /* the next byte to load into the window, */
	__u32 end;       /* where they end */
	__u32 start_at;  /* where the start line began; HTTP_NONE: in an earlier packet */
	__u16 fill;      /* bytes in the window */
	__u16 cur;       /* start of the current line in it */
	__u16 nl;        /* its newline */
	__u16 at;        /* at HTTP_EV_START the path, at HTTP_EV_TRACE the trace id, in the window */
	__u16 at_len;    /* bytes */
	__u16 status;    /* responses */
	__u8 method;     /* requests: ABI_METHOD_* */
	__u8 state;
	__u8 flags;
	__u8 tries;      /* segments in HTTP_SYNC so far, up to HTTP_SYNC_MAX */
	char buf[HTTP_WINDOW + HTTP_PAD];
};
_Static_assert(sizeof(struct stream) == 68 + 4 + HTTP_WINDOW + HTTP_PAD, "stream");

/* Text as the little-endian word that a load gives; BPF objects are bpfel. */
#define HTTP_W8(a, b, c, d, e, f, g, h)                                                             \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |     \
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

/**
 * http_begin() - place a segment in the stream.
 * @seq: of its first payload byte. @off, @len: the payload in the skb.
 * @fresh: the connection was seen from its start: what is not HTTP now never will be.
 * @lost: set where a hole cost the place.
 * Returns the bytes that are new; 0: nothing to do.
 */
static __always_inline __u32 http_begin(struct stream *s, __u32 seq, __u32 off, __u32 len, bool fresh,
					bool *lost)
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
		} else if (ahead > 0) {
			if ((s->state == HTTP_BODY || s->state == HTTP_CHUNK) && s->body >= (__u32)ahead) {
				s->body -= (__u32)ahead;
				s->bytes += (__u32)ahead;
			} else if (s->state != HTTP_SYNC && s->state < HTTP_UNTIL_CLOSE) {
				http_lose(s);
				*lost = true;
			}
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

/* Load up to a window at s->pos to its front. */
static __always_inline __u32 http_load(struct stream *s, struct __sk_buff *skb)
{
	__u32 n = s->end - s->pos;

	if (n > HTTP_WINDOW)
		n = HTTP_WINDOW;
	/* In this form every verifier since 5.10 sees 1 to HTTP_WINDOW. */
	__u32 last = n - 1;

	http_hide(last);
	if (last >= HTTP_WINDOW || bpf_skb_load_bytes(skb, s->pos, s->buf, last + 1))
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

/*
 * The window holds no newline: get more. Sets *cut where the line fills it and
 * has to be judged by its beginning.
 */
static __always_inline __u32 http_refill(struct stream *s, struct __sk_buff *skb, bool response, __u64 now,
					 bool *cut)
{
	__u32 keep = s->fill - s->cur;
	bool more = s->pos != s->end;

	*cut = false;
	if (!keep) {
		if (more)
			return http_load(s, skb);
		s->fill = s->cur = 0;
		return HTTP_EV_STOP;
	}
	if (s->state == HTTP_LONG_LINE) {
		s->cur = s->fill;
		return 0;
	}
	if (s->state == HTTP_START) {
		if (!(s->flags & HTTP_F_BEGUN)) {
			s->flags |= HTTP_F_BEGUN;
			s->first_ns = now;
		}
		if (keep >= 8 && !http_plausible(http_word(s, s->cur), response))
			return http_no_start(s);
	}
	if (s->cur) {
		/* The line began in this packet, after another one: load it again from its beginning. */
		s->pos -= keep;
		__u32 ev = http_load(s, skb);

		return ev ? ev : more ? 0 : HTTP_EV_STOP;
	}
	if (!more)
		return HTTP_EV_STOP;

	__u32 fill = s->fill;

	if (fill >= HTTP_CARRY) {
		*cut = true;
		return 0;
	}
	__u32 n = s->end - s->pos;

	if (n > HTTP_APPEND)
		n = HTTP_APPEND;
	__u32 last = n - 1;

	http_hide(last);
	if (last >= HTTP_APPEND || bpf_skb_load_bytes(skb, s->pos, s->buf + fill, last + 1))
		return http_lose(s);
	s->pos += n;
	s->fill = fill + n;
	return 0;
}

/* Find the line's end; false: not in the window. */
static __always_inline bool http_newline(struct stream *s)
{
	__u32 at = http_reload(s->cur);
	__u32 fill = http_reload(s->fill);

	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i <= HTTP_WINDOW / 8; i++) {
		http_hide(at);
		if (at >= fill || at >= HTTP_WINDOW)
			return false;
		__u64 t = http_match(*(const __u64 *)(s->buf + at), 0x0a0a0a0a0a0a0a0aULL);

		if (t) {
			at += http_first(t);
			s->nl = at;
			return at < fill;
		}
		at += 8;
	}
	return false;
}

/* Method of the start line @w, and the length of its name with the space; 0: no known one. */
static __always_inline __u32 http_method(struct stream *s, __u64 w)
{
#define HTTP_METHOD(n, name, ...)                                   \
	if ((w & HTTP_BYTES(n)) == (HTTP_W8(__VA_ARGS__) & HTTP_BYTES(n))) { \
		s->method = ABI_METHOD_##name;                      \
		return n;                                           \
	}
	HTTP_METHOD(4, GET, 'G', 'E', 'T', ' ', 0, 0, 0, 0)
	HTTP_METHOD(5, POST, 'P', 'O', 'S', 'T', ' ', 0, 0, 0)
	HTTP_METHOD(4, PUT, 'P', 'U', 'T', ' ', 0, 0, 0, 0)
	HTTP_METHOD(5, HEAD, 'H', 'E', 'A', 'D', ' ', 0, 0, 0)
	HTTP_METHOD(7, DELETE, 'D', 'E', 'L', 'E', 'T', 'E', ' ', 0)
	HTTP_METHOD(6, PATCH, 'P', 'A', 'T', 'C', 'H', ' ', 0, 0)
	HTTP_METHOD(8, OPTIONS, 'O', 'P', 'T', 'I', 'O', 'N', 'S', ' ')
	HTTP_METHOD(8, CONNECT, 'C', 'O', 'N', 'N', 'E', 'C', 'T', ' ')
	HTTP_METHOD(6, TRACE, 'T', 'R', 'A', 'C', 'E', ' ', 0, 0)
#undef HTTP_METHOD
	return 0;
}

static __always_inline bool http_is_version(__u64 w)
{
	return (w & ~(1ULL << 56)) == HTTP_W8('H', 'T', 'T', 'P', '/', '1', '.', '0');
}

static __always_inline __u32 http_request_line(struct stream *s, __u32 cur, __u32 end, bool cut)
{
	__u64 w = http_word(s, cur);
	__u32 n = http_method(s, w);

	if (!n) {
		/* WebDAV and friends: a word in capitals, believed only with the version at the end. */
		__u32 k = http_index(w, HTTP_LOWER);

		if (k == 8)
			k += http_index(http_word(s, cur + 8), HTTP_LOWER);
		if (k < 3 || k > 15 || !http_plausible(w, false) || cut || (s->flags & HTTP_F_TRY))
			return http_no_start(s);
		s->method = ABI_METHOD_OTHER;
		n = k + 1;
	}
	__u32 path_end = end;

	if (!cut) {
		if (end < cur + n + 9 || !http_is_version(http_word(s, end - 8)) || http_byte(s, end - 9) != ' ')
			return http_no_start(s);
		path_end = end - 9;
	}
	s->at = cur + n;
	s->at_len = path_end - (cur + n);
	return 0;
}

static __always_inline __u32 http_status_line(struct stream *s, __u32 cur)
{
	__u64 w = http_word(s, cur + 8);
	__u32 a = (__u8)(w >> 8) - '0', b = (__u8)(w >> 16) - '0', c = (__u8)(w >> 24) - '0';
	__u8 after = w >> 32;

	if (!http_is_version(http_word(s, cur)) || (__u8)w != ' ' || a - 1 > 8 || b > 9 || c > 9 ||
	    (after != ' ' && after != '\r' && after != '\n'))
		return http_no_start(s);
	s->status = a * 100 + b * 10 + c;
	return 0;
}

static __always_inline __u32 http_start_line(struct stream *s, __u32 cur, __u32 end, bool response, bool cut,
					     __u64 now)
{
	if (end == cur && !cut)
		/* RFC 9112, 2.2: blank lines before a message are ignored. */
		return s->flags & HTTP_F_TRY ? http_no_start(s) : 0;

	__u32 ev = response ? http_status_line(s, cur) : http_request_line(s, cur, end, cut);

	if (ev)
		return ev;
	if (!(s->flags & HTTP_F_BEGUN))
		s->first_ns = now;

	/* Wraps, and is not below pos, where the line began in an earlier packet. */
	__u32 at = s->pos - s->fill + cur;

	s->start_at = at - s->from < s->end - s->from ? at : HTTP_NONE;
	s->length = HTTP_LENGTH_NONE;
	s->flags = 0;
	s->tries = 0;
	s->state = cut ? HTTP_LONG_LINE : HTTP_HEAD;
	return HTTP_EV_START;
}

static const __u64 http_pow10[16] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

/* Value of the decimal digits that @w begins with, and their number (0..8). Lemire, "Quickly parsing eight digits", 2018. */
static __always_inline __u64 http_digits(__u64 w, __u32 *nr)
{
	__u64 v = w ^ 0x3030303030303030ULL;
	__u64 t = ((v + 0x7676767676767676ULL) | v) & 0x8080808080808080ULL;
	__u32 k = t ? http_first(t) : 8;

	*nr = k;
	if (!k)
		return 0;
	v <<= 64 - 8 * k;
	v = v * 10 + (v >> 8);
	return ((v & 0x000000ff000000ffULL) * 0x000f424000000064ULL +
		((v >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >> 32;
}

static __always_inline bool http_blank(__u8 c)
{
	return c == ' ' || c == '\t';
}

/* Content-Length: up to 16 digits, and the same where it stands twice; RFC 9112, 6.3. */
static __always_inline void http_content_length(struct stream *s, __u32 at, __u32 end)
{
	__u32 more = 0, k;

	if (http_blank(http_byte(s, at)))
		at++;
	if (http_blank(http_byte(s, at)))
		at++;

	__u64 n = http_digits(http_word(s, at), &k);

	at += k;
	if (k == 8) {
		__u64 low = http_digits(http_word(s, at), &more);

		n = n * http_pow10[more & 15] + low;
		at += more;
	}
	if (!k || at > end || (at < end && !http_blank(http_byte(s, at))) ||
	    (s->length != HTTP_LENGTH_NONE && s->length != n))
		s->flags |= HTTP_F_BAD;
	s->length = n;
}

/* Is "chunked" the last coding? */
static __always_inline bool http_ends_chunked(const struct stream *s, __u32 end)
{
	return ((http_word(s, end - 8) | HTTP_LOWER) >> 8) == (HTTP_W8('c', 'h', 'u', 'n', 'k', 'e', 'd', 0));
}

static __always_inline __u32 http_trace_at(struct stream *s, __u32 at, __u32 end, __u32 ev)
{
	if (http_byte(s, at) == ' ')
		at++;
	if (end <= at)
		return 0;
	s->at = at;
	s->at_len = end - at;
	return ev;
}

static __always_inline __u32 http_header_line(struct stream *s, __u32 cur, __u32 end, bool response)
{
	__u64 w = http_word(s, cur) | HTTP_LOWER;
	__u64 v = http_word(s, cur + 8) | HTTP_LOWER;

	if (w == HTTP_W8('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
		if ((v & HTTP_BYTES(7)) == HTTP_W8('l', 'e', 'n', 'g', 't', 'h', ':', 0))
			http_content_length(s, cur + 15, end);
	} else if (w == HTTP_W8('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
		if (v == HTTP_W8('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') &&
		    ((http_word(s, cur + 16) | HTTP_LOWER) & HTTP_BYTES(2)) == HTTP_W8('g', ':', 0, 0, 0, 0, 0, 0)) {
			if (http_ends_chunked(s, end))
				s->flags |= HTTP_F_CHUNKED;
			else if (!response)
				s->flags |= HTTP_F_BAD;
		}
	} else if (!response) {
		if (w == HTTP_W8('x', '-', 't', 'r', 'a', 'c', 'e', '-') &&
		    (v & HTTP_BYTES(3)) == HTTP_W8('i', 'd', ':', 0, 0, 0, 0, 0))
			return http_trace_at(s, cur + 11, end, HTTP_EV_TRACE);
		if (w == HTTP_W8('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r') &&
		    (v & HTTP_BYTES(4)) == HTTP_W8('e', 'n', 't', ':', 0, 0, 0, 0))
			return http_trace_at(s, cur + 12, end, HTTP_EV_PARENT);
	}
	return 0;
}

static __always_inline __u32 http_message_end(struct stream *s)
{
	s->state = HTTP_START;
	s->flags = 0;
	return HTTP_EV_END;
}

/* The head is over: what follows? RFC 9112, 6.3. */
static __always_inline __u32 http_head_end(struct stream *s, bool response)
{
	__u16 status = s->status;

	if (response) {
		if (status == 101 || ((s->flags & HTTP_F_CONNECT) && status / 100 == 2)) {
			s->state = HTTP_OPAQUE;
			return HTTP_EV_HEAD | HTTP_EV_END;
		}
		if (status < 200) {
			s->state = HTTP_START;
			s->flags = 0;
			return HTTP_EV_HEAD;
		}
		if (status == 204 || status == 304 || (s->flags & HTTP_F_NO_BODY))
			return HTTP_EV_HEAD | http_message_end(s);
	}
	if (s->flags & HTTP_F_CHUNKED) {
		s->state = HTTP_CHUNK_SIZE;
		return HTTP_EV_HEAD;
	}
	if (s->flags & HTTP_F_BAD)
		return http_lose(s);
	if (s->length == HTTP_LENGTH_NONE && response) {
		s->state = HTTP_UNTIL_CLOSE;
		return HTTP_EV_HEAD;
	}
	if (s->length == HTTP_LENGTH_NONE || !s->length)
		return HTTP_EV_HEAD | http_message_end(s);
	s->body = s->length;
	s->state = HTTP_BODY;
	return HTTP_EV_HEAD;
}

/* The same as http_digits() for hexadecimal ones. */
static __always_inline __u64 http_hex(__u64 w, __u32 *nr)
{
	__u64 v = w ^ 0x3030303030303030ULL;
	__u64 no_digit = (v + 0x7676767676767676ULL) | v;
	__u64 l = (w | HTTP_LOWER) ^ 0x6060606060606060ULL; /* a to f: 1 to 6 */
	__u64 no_letter = (l + 0x7979797979797979ULL) | l | http_match(l, 0);
	__u64 t = no_digit & no_letter & 0x8080808080808080ULL;
	__u32 k = t ? http_first(t) : 8;

	*nr = k;
	if (!k)
		return 0;
	v = (w & 0x0f0f0f0f0f0f0f0fULL) + 9 * ((w >> 6) & 0x0101010101010101ULL);
	v <<= 64 - 8 * k;
	v = ((v << 4) + (v >> 8)) & 0x00ff00ff00ff00ffULL;
	v = ((v << 8) + (v >> 16)) & 0x0000ffff0000ffffULL;
	return ((v << 16) + (v >> 32)) & 0xffffffffULL;
}

/* A chunk's size in hex, then perhaps an extension. Chunks of 4 GiB and more are refused. */
static __always_inline __u32 http_chunk_size(struct stream *s, __u32 at, __u32 end)
{
	__u32 k;
	__u64 n = http_hex(http_word(s, at), &k);

	at += k;
	if (k < 1 || at > end)
		return http_lose(s);
	if (at < end) {
		__u8 c = http_byte(s, at);

		if (c != ';' && !http_blank(c))
			return http_lose(s);
	}
	s->body = n + 2; /* with the line end that follows the data */
	s->state = n ? HTTP_CHUNK : HTTP_TRAILER;
	return 0;
}

/* States that take bytes without a look. */
static __always_inline __u32 http_skip(struct stream *s)
{
	__u64 held = s->fill - s->cur;
	__u64 have = held + (s->end - s->pos);

	if (s->state >= HTTP_UNTIL_CLOSE || s->body > have) {
		s->body -= have; /* of no meaning where the end is not counted */
		s->fill = s->cur = 0;
		s->pos = s->end;
		return HTTP_EV_STOP;
	}
	if (s->body <= held) {
		s->cur += s->body;
	} else {
		s->pos += s->body - held;
		s->fill = s->cur = 0;
	}
	s->body = 0;
	if (s->state == HTTP_BODY)
		return http_message_end(s);
	s->state = HTTP_CHUNK_SIZE;
	return 0;
}

/** http_step() - one line or one piece of body. @response: a constant. Returns events. */
static __always_inline __u32 http_step(struct stream *s, struct __sk_buff *skb, bool response, __u64 now)
{
	if (http_reload(s->state) >= HTTP_BODY)
		return http_skip(s);

	bool cut = false;

	if (!http_newline(s)) {
		__u32 ev = http_refill(s, skb, response, now, &cut);

		if (ev || !cut)
			return ev;
		s->nl = s->fill;
	}

	__u32 cur = http_reload(s->cur);
	__u32 nl = http_reload(s->nl);
	__u32 end = nl;

	if (!cut && nl > cur && http_byte(s, nl - 1) == '\r')
		end--;
	s->cur = cut ? nl : nl + 1;

	switch (http_reload(s->state)) {
	case HTTP_START:
		return http_start_line(s, cur, end, response, cut, now);
	case HTTP_HEAD:
		if (end == cur && !cut)
			return http_head_end(s, response);
		if (cut)
			s->state = HTTP_LONG_LINE;
		return http_header_line(s, cur, end, response);
	case HTTP_LONG_LINE:
		s->state = HTTP_HEAD;
		return 0;
	case HTTP_CHUNK_SIZE:
		if (cut)
			return http_lose(s);
		return http_chunk_size(s, cur, end);
	case HTTP_TRAILER:
		if (cut)
			return http_lose(s);
		return end == cur ? http_message_end(s) : 0;
	}
	return http_lose(s);
}

/* Copy s->at_len bytes of the window from s->at on, and no more than @words words; what lies behind it reads as zero. */
static __always_inline void http_copy(const struct stream *s, __u64 *to, int words)
{
	__u32 at = s->at;
	__u32 len = s->at_len;

	_Pragma("clang loop unroll(disable)")
	for (int i = 0; i < words; i++) {
		if (len <= 8U * i)
			break;
		to[i] = http_word(s, at + 8 * i);
	}
}

/**
 * http_path() - copy the request target at HTTP_EV_START, at most ABI_PATH_MAX bytes (up to 7 behind the path are noise).
 * Returns its length there. @to: aligned to 8.
 */
static __always_inline __u8 http_path(const struct stream *s, char *to)
{
	http_copy(s, (__u64 *)to, ABI_PATH_MAX / 8);
	return s->at_len < ABI_PATH_MAX ? s->at_len : ABI_PATH_MAX;
}

/** http_trace() - the same for the trace id at HTTP_EV_TRACE or _PARENT, at most ABI_TRACE_MAX bytes. */
static __always_inline __u8 http_trace(const struct stream *s, char *to)
{
	http_copy(s, (__u64 *)to, ABI_TRACE_MAX / 8);
	return s->at_len < ABI_TRACE_MAX ? s->at_len : ABI_TRACE_MAX;
}

#endif
