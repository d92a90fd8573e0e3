/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http_line.bpf.h - what one line of an HTTP/1.x head, or of a chunked body, says.
 *
 * Pure: a line stands in the window from @cur to @end (its line end left out);
 * answers are events, and fields of the stream. Names and numbers are compared
 * and read eight bytes at a time. Included by http.bpf.h alone.
 */
#ifndef ARCHAIC_HTTP_LINE_BPF_H
#define ARCHAIC_HTTP_LINE_BPF_H

#include "http_stream.bpf.h"

/* Method of the start line @w, and the length of its name with the space; 0: no known one. */
static __always_inline __u32 http_method(struct stream *s, __u64 w)
{
#define HTTP_METHOD(n, name, ...)                                            \
	if ((w & HTTP_BYTES(n)) == (HTTP_W8(__VA_ARGS__) & HTTP_BYTES(n))) { \
		s->method = ABI_METHOD_##name;                               \
		return n;                                                    \
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
		if (end < cur + n + 9 || !http_is_version(http_word(s, end - 8)) ||
		    http_byte(s, end - 9) != ' ')
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

static __always_inline __u32 http_start_line(struct stream *s, __u32 cur, __u32 end, bool response,
					     bool cut, __u64 now)
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

static const __u64 http_pow10[16] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000
};

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
		((v >> 16) & 0x000000ff000000ffULL) * 0x0000271000000001ULL) >>
		32;
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
	return ((http_word(s, end - 8) | HTTP_LOWER) >> 8) ==
		(HTTP_W8('c', 'h', 'u', 'n', 'k', 'e', 'd', 0));
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
		    ((http_word(s, cur + 16) | HTTP_LOWER) & HTTP_BYTES(2)) ==
			    HTTP_W8('g', ':', 0, 0, 0, 0, 0, 0)) {
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

#endif
