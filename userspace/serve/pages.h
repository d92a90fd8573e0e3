/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pages.h - a path in, one of a page's embedded files out.
 *
 * Pure. Files are kept compressed; who does not accept gzip gets them inflated.
 * Everything outside the table is the router's.
 */
#ifndef ARCHAIC_PAGES_H
#define ARCHAIC_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "serve/assets.h"
#include "serve/server.h"

#define PAGE_SIZE_MAX ((size_t)8 << 20) /* of an inflated file: more is not served */

struct page_request {
	enum server_part part;
	const char *method;
	const char *target; /* path and query, as sent; the query is the page's own business */
	const char *accept_encoding; /* NULL: none; so for the next */
	const char *if_none_match;
};

struct page_answer {
	int status;       /* 200, 304, or 503: no memory */
	const char *type; /* static, as all texts here */
	const char *etag;
	const char *cache; /* Cache-Control */
	bool gzip;         /* Content-Encoding */
	const void *data;
	size_t len;
	void *owned; /* data where it was inflated: free() */
};

/**
 * page_find() - answer @req from a table of files.
 * False: it is no page's file (or not GET or HEAD), and *ret is untouched.
 * With an empty table "/" still answers: that this binary has no pages.
 */
bool page_find(const struct web_asset *assets, size_t nr, const struct page_request *req,
	       struct page_answer *ret);

/** page_accepts_gzip() - RFC 9110, 12.5.3: does @accept_encoding allow gzip? */
bool page_accepts_gzip(const char *accept_encoding);

#endif
