// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/response.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/util.h"

static int bad(struct response *r, const char *why)
{
	r->state = RESPONSE_BAD;
	r->why = why;
	return -EPROTO;
}

/* All but the line's text and what the caller set. */
static void begin_head(struct response *r)
{
	r->state = RESPONSE_STATUS_LINE;
	r->status = 0;
	r->keep_alive = false;
	r->body_bytes = r->left = 0;
	r->chunked = r->has_length = r->has_encoding = false;
	r->head_len = r->line_len = 0;
	r->why = NULL;
}

void response_begin(struct response *r, bool head_only)
{
	begin_head(r);
	r->head_only = head_only;
	if (r->body)
		buf_reset(r->body);
}

bool response_begun(const struct response *r)
{
	return r->state != RESPONSE_STATUS_LINE || r->line_len;
}

static bool is_token(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_text(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int status_line(struct response *r, const char *s, size_t len)
{
	if (len < 12 || memcmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') ||
	    s[8] != ' ' || !is_digit(s[9]) || !is_digit(s[10]) || !is_digit(s[11]) ||
	    (len > 12 && s[12] != ' ') || !is_text(s, len))
		return bad(r, "its first line is no HTTP/1.x status line");
	r->minor = (unsigned int)(s[7] - '0');
	r->status = (s[9] - '0') * 100 + (s[10] - '0') * 10 + (s[11] - '0');
	r->keep_alive = r->minor == 1;
	if (r->status < 100 || r->status > 599)
		return bad(r, "its status is not within 100 to 599");
	if (r->status == 101)
		return bad(r, "it changes to another protocol, which nobody asked for");
	r->state = RESPONSE_HEADERS;
	return 0;
}

static int content_length(struct response *r, const char *s, size_t len)
{
	uint64_t n = 0;

	if (!len)
		return bad(r, "its Content-Length is empty");
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(s[i]))
			return bad(r, "its Content-Length is no whole number");
		n = n * 10 + (uint64_t)(s[i] - '0');
		if (n > RESPONSE_BODY_MAX)
			return bad(r, "its Content-Length is over 1 TiB");
	}
	if (r->has_length && n != r->left)
		return bad(r, "it has two Content-Lengths that differ");
	r->has_length = true;
	r->left = n;
	return 0;
}

static int transfer_encoding(struct response *r, const char *s, size_t len)
{
	if (r->has_encoding || len != 7 || strncasecmp(s, "chunked", 7) != 0)
		return bad(r, "its Transfer-Encoding is not \"chunked\" alone");
	if (r->minor == 0)
		return bad(r, "it is HTTP/1.0 with a Transfer-Encoding");
	r->has_encoding = r->chunked = true;
	return 0;
}

static void connection(struct response *r, const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end) {
		size_t n = 0;

		while (s < end && (*s == ' ' || *s == '\t' || *s == ','))
			s++;
		while (s + n < end && s[n] != ',' && s[n] != ' ' && s[n] != '\t')
			n++;
		if (n == 5 && !strncasecmp(s, "close", 5))
			r->keep_alive = false;
		else if (n == 10 && !strncasecmp(s, "keep-alive", 10) && r->minor == 0)
			r->keep_alive = true;
		s += n;
	}
}

static int header(struct response *r, const char *s, size_t len)
{
	size_t name = 0;

	while (name < len && is_token((unsigned char)s[name]))
		name++;
	if (!name || name == len || s[name] != ':')
		return bad(r,
			   s[0] == ' ' || s[0] == '\t' ? "a header of it is folded" :
							 "a header of it has no proper name");
	const char *value = s + name + 1, *end = s + len;

	if (!is_text(value, (size_t)(end - value)))
		return bad(r, "a header of it has a control character");
	if (r->state == RESPONSE_TRAILERS)
		return 0;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	size_t n = (size_t)(end - value);

	if (name == 14 && !strncasecmp(s, "Content-Length", 14))
		return content_length(r, value, n);
	if (name == 17 && !strncasecmp(s, "Transfer-Encoding", 17))
		return transfer_encoding(r, value, n);
	if (name == 10 && !strncasecmp(s, "Connection", 10))
		connection(r, value, n);
	return 0;
}

static int head_done(struct response *r)
{
	if (r->has_length && r->has_encoding)
		return bad(r, "it has both a Content-Length and a Transfer-Encoding");
	if (r->status < 200) {
		if (r->has_length || r->has_encoding)
			return bad(r, "it is a 1xx with a body");
		begin_head(r);
		return 0;
	}
	r->head_len = 0;
	if (r->head_only || r->status == 204 || r->status == 304) {
		r->state = RESPONSE_DONE;
	} else if (r->chunked) {
		r->state = RESPONSE_CHUNK_SIZE;
	} else if (r->has_length) {
		r->state = r->left ? RESPONSE_LENGTH : RESPONSE_DONE;
	} else {
		r->state = RESPONSE_UNTIL_CLOSE;
		r->keep_alive = false;
	}
	return 0;
}

static int hex(char c)
{
	return is_digit(c)           ? c - '0' :
		c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		c >= 'A' && c <= 'F' ? c - 'A' + 10 :
				       -1;
}

static int chunk_size(struct response *r, const char *s, size_t len)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < len && hex(s[i]) >= 0; i++) {
		n = n * 16 + (uint64_t)hex(s[i]);
		if (n > RESPONSE_BODY_MAX)
			return bad(r, "a chunk of it is over 1 TiB");
	}
	/* Extensions are allowed, and mean nothing to us. */
	if (!i || (i < len && s[i] != ';' && s[i] != ' ' && s[i] != '\t') || !is_text(s, len))
		return bad(r, "a chunk's size is no hexadecimal number");
	r->left = n;
	r->head_len = 0;
	r->state = n ? RESPONSE_CHUNK : RESPONSE_TRAILERS;
	return 0;
}

static int take_line(struct response *r, const char *s, size_t len)
{
	r->head_len += len + 2;
	if (r->head_len > RESPONSE_HEAD_MAX)
		return bad(r, "its head is over 64 KiB");
	switch (r->state) {
	case RESPONSE_STATUS_LINE:
		return status_line(r, s, len);
	case RESPONSE_HEADERS:
		return len ? header(r, s, len) : head_done(r);
	case RESPONSE_CHUNK_SIZE:
		return chunk_size(r, s, len);
	case RESPONSE_CHUNK_END:
		if (len)
			return bad(r, "a chunk of it is longer than it says");
		r->state = RESPONSE_CHUNK_SIZE;
		return 0;
	default: /* RESPONSE_TRAILERS */
		if (len)
			return header(r, s, len);
		r->state = RESPONSE_DONE;
		return 0;
	}
}

/* One line, or the beginning of one, which is kept until the rest comes. Bytes taken, or -EPROTO. */
static ssize_t feed_line(struct response *r, const char *data, size_t len)
{
	const char *nl = memchr(data, '\n', len), *s = data;
	size_t n = nl ? (size_t)(nl - data) + 1 : len, line_len = n;

	if (r->line_len + n > sizeof(r->line))
		return bad(r, "a line of it is over 8 KiB");
	if (r->line_len || !nl) {
		memcpy(r->line + r->line_len, data, n);
		r->line_len += n;
		if (!nl)
			return (ssize_t)n;
		s = r->line;
		line_len = r->line_len;
	}
	r->line_len = 0;
	if (line_len < 2 || s[line_len - 2] != '\r')
		return bad(r, "a line of it does not end in CR LF");
	int err = take_line(r, s, line_len - 2);
	return err ? err : (ssize_t)n;
}

static size_t feed_body(struct response *r, const char *data, size_t len)
{
	size_t n = r->state == RESPONSE_UNTIL_CLOSE ? len : (size_t)MIN((uint64_t)len, r->left);

	if (r->body)
		buf_add(r->body, data, n);
	r->body_bytes += n;
	if (r->state == RESPONSE_UNTIL_CLOSE)
		return n;
	r->left -= n;
	if (!r->left)
		r->state = r->state == RESPONSE_CHUNK ? RESPONSE_CHUNK_END : RESPONSE_DONE;
	return n;
}

ssize_t response_feed(struct response *r, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && r->state != RESPONSE_DONE) {
		switch (r->state) {
		case RESPONSE_BAD:
			return -EPROTO;
		case RESPONSE_LENGTH:
		case RESPONSE_CHUNK:
		case RESPONSE_UNTIL_CLOSE:
			at += feed_body(r, data + at, len - at);
			break;
		default: {
			ssize_t n = feed_line(r, data + at, len - at);
			if (n < 0)
				return n;
			at += (size_t)n;
		}
		}
	}
	return (ssize_t)at;
}

int response_eof(struct response *r)
{
	if (r->state != RESPONSE_UNTIL_CLOSE)
		return -EPIPE;
	r->state = RESPONSE_DONE;
	return 0;
}
