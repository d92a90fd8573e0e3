/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * buf.h - a growing byte string with a hard cap.
 *
 * Invariants: data[len] is always NUL once anything was added; len never
 * exceeds max. An addition that would is refused whole (-EMSGSIZE) and leaves
 * the buffer as it was; so does a failed allocation (-ENOMEM).
 * Not thread-safe. buf_init() allocates nothing; buf_release() may be said twice.
 */
#ifndef ARCHAIC_BUF_H
#define ARCHAIC_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/util.h"

struct buf {
	char *data; /* owned; NULL while empty */
	size_t len; /* bytes, without the final NUL */
	size_t cap;
	size_t max; /* bytes, without the final NUL */
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);

/** buf_add() - append @len bytes. 0, -EMSGSIZE or -ENOMEM. */
int buf_add(struct buf *b, const void *data, size_t len);

/** buf_addstr() - append a string without its NUL. */
int buf_addstr(struct buf *b, const char *s);

/** buf_addf() - append formatted text. */
int buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** buf_reset() - empty, keeping the memory. */
void buf_reset(struct buf *b);

/** buf_take() - the text, owned by the caller (free()); the buffer is empty afterwards. Never NULL but for -ENOMEM. */
char *buf_take(struct buf *b);

/** buf_str() - the text, borrowed; "" while empty. */
static inline const char *buf_str(const struct buf *b)
{
	return b->data ? b->data : "";
}

#endif
