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
 * under the socket's lock; ingress does not, see order.bpf.h. The window is in the
 * struct and not in a per-CPU scratch because egress in process context can be
 * interrupted by ingress, and preempted by another egress, on the same CPU.
 *
 * Verifier: values that steer loads are read back from the struct (the verifier
 * forgets what it knew of them), so that the states of a loop's turns merge.
 * No helper newer than Linux 5.1, no bpf_loop, no atomics with a result.
 */
#ifndef ARCHAIC_HTTP_BPF_H
#define ARCHAIC_HTTP_BPF_H

#include "http_line.bpf.h"
#include "http_stream.bpf.h"

/*
 * The window holds no newline: get more. Sets *cut where the line fills it and
 * has to be judged by its beginning.
 */
static __always_inline __u32 http_refill(struct stream *s, const struct http_bytes *b,
					 bool response, __u64 now, bool *cut)
{
	__u32 keep = s->fill - s->cur;
	bool more = s->pos != s->end;

	*cut = false;
	if (!keep) {
		if (more)
			return http_load(s, b);
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
		__u32 ev = http_load(s, b);

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
	if (last >= HTTP_APPEND || http_read(b, s->pos, s->buf + fill, last + 1))
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

	_Pragma("clang loop unroll(disable)") for (int i = 0; i <= HTTP_WINDOW / 8; i++)
	{
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

/** http_step_in() - one line or one piece of body. @response: a constant. Returns events. */
static __always_inline __u32 http_step_in(struct stream *s, const struct http_bytes *b,
					  bool response, __u64 now)
{
	if (http_reload(s->state) >= HTTP_BODY)
		return http_skip(s);

	bool cut = false;

	if (!http_newline(s)) {
		__u32 ev = http_refill(s, b, response, now, &cut);

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

/** http_step() - the same of a packet. */
static __always_inline __u32 http_step(struct stream *s, struct __sk_buff *skb, bool response,
				       __u64 now)
{
	const struct http_bytes b = { .skb = skb };

	return http_step_in(s, &b, response, now);
}

/* Copy s->at_len bytes of the window from s->at on, and no more than @words words; what lies behind it reads as zero. */
static __always_inline void http_copy(const struct stream *s, __u64 *to, int words)
{
	__u32 at = s->at;
	__u32 len = s->at_len;

	_Pragma("clang loop unroll(disable)") for (int i = 0; i < words; i++)
	{
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
