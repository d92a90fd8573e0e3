/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * response.h - bytes from a server into HTTP/1.x responses, in pieces of any size.
 *
 * Strict, as RFC 9112 allows a client to be: a generator that guesses where an
 * answer ends counts wrong. Refused (-EPROTO, with a sentence): lines without
 * CR, folded or nameless headers, control characters, a Content-Length that is
 * no plain number or comes twice with two values, one beside a
 * Transfer-Encoding, an encoding other than "chunked", bad chunk sizes, 101.
 * 1xx are skipped, trailers are read and dropped. A body without either ends
 * with the connection. Nothing is allocated; bodies are counted and dropped
 * unless @body is set. One thread a parser.
 */
#ifndef ARCHAIC_LOAD_RESPONSE_H
#define ARCHAIC_LOAD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RESPONSE_LINE_MAX 8192         /* bytes of one line of the head, or of a chunk's size */
#define RESPONSE_HEAD_MAX 65536        /* bytes of a head with all its lines, and of trailers */
#define RESPONSE_BODY_MAX (1ULL << 40) /* bytes */

struct buf;

enum response_state {
	RESPONSE_STATUS_LINE,
	RESPONSE_HEADERS,
	RESPONSE_LENGTH, /* a body of so many bytes more */
	RESPONSE_CHUNK_SIZE,
	RESPONSE_CHUNK,
	RESPONSE_CHUNK_END,
	RESPONSE_TRAILERS,
	RESPONSE_UNTIL_CLOSE,
	RESPONSE_DONE,
	RESPONSE_BAD,
};

struct response {
	enum response_state state;
	int status;      /* 200 .. 599, once the head is read */
	bool keep_alive; /* may the connection be used again? Once the head is read */
	uint64_t body_bytes;
	const char *why;  /* static; once it is bad */
	struct buf *body; /* borrowed; NULL: not kept. What goes over its cap is dropped */

	/* The parser's own. */
	bool head_only, chunked, has_length, has_encoding;
	unsigned int minor;
	uint64_t left; /* bytes of the body or chunk that are to come */
	size_t head_len, line_len;
	char line[RESPONSE_LINE_MAX];
};

/** response_begin() - be ready for a response. @head_only: to HEAD. Keeps @body, and empties it. */
void response_begin(struct response *r, bool head_only);

/** response_begun() - has any byte of it come? */
bool response_begun(const struct response *r);

/**
 * response_feed() - take what belongs to this response from @data.
 * The number of bytes taken: less than @len only when state is RESPONSE_DONE
 * (the rest is the next response's). -EPROTO with @why set.
 */
ssize_t response_feed(struct response *r, const char *data, size_t len);

/** response_eof() - the server has closed. 0: and so the response is done; -EPIPE: it is cut off, or never began. */
int response_eof(struct response *r);

#endif
