/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uri.h - an untrusted request target into a path, its segments and its query.
 *
 * The target is split first and decoded after, so that %2F stays inside its
 * segment. Refused: a broken %XX, a decoded NUL or control character, text that
 * is not UTF-8, more parts than fit, a name that stands twice in the query.
 * Owns one copy of the text; everything else points into it. No locks.
 */
#ifndef ARCHAIC_URI_H
#define ARCHAIC_URI_H

#include <stdbool.h>
#include <stddef.h>

#define URI_SEGMENTS_MAX 8
#define URI_QUERY_MAX 16

struct uri {
	char *text;                             /* owned */
	const char *segments[URI_SEGMENTS_MAX]; /* decoded; of "/a/b": "a", "b"; of "/": none */
	size_t nr_segments;
	struct {
		const char *name, *value; /* decoded, '+' is a blank; "?x" has value "" */
	} query[URI_QUERY_MAX];
	size_t nr_query;
};

/**
 * uri_parse() - take @target apart ("/cart/u-1?x=y"; a fragment is refused).
 * @why: set on failure to a static sentence. 0, -EINVAL or -ENOMEM; @ret needs uri_release() only after 0.
 */
int uri_parse(const char *target, struct uri *ret, const char **why);
void uri_release(struct uri *u);

/** uri_query() - the value of @name, borrowed; NULL where it is missing. */
const char *uri_query(const struct uri *u, const char *name);

/**
 * uri_match() - does the path have the shape of @pattern?
 * @pattern: "/cart/{user_id}": a segment in braces matches any one segment that is not empty.
 * @param: set to the segment that the (last) braces matched, borrowed; untouched without braces.
 */
bool uri_match(const struct uri *u, const char *pattern, const char **param);

/** uri_encode() - percent-encode all but RFC 3986's unreserved characters. Owned by the caller; NULL: no memory. */
char *uri_encode(const char *s);

#endif
