// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/pages.h"

#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/util.h"

static const char no_pages[] =
	"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>archaic-ebpf</title>\n"
	"<p>This binary was built without its web pages: the bundler was not at hand. "
	"The interface itself is here, see <a href=\"/v1/openapi.json\">/v1/openapi.json</a>. "
	"To get the pages, say <code>tools/setup.sh build</code> and <code>make</code>.</p></html>\n";

/* Does the weight after @params, ";q=0.5", say no? */
static bool weight_is_zero(const char *params, size_t len)
{
	for (const char *p = params; p < params + len; p++) {
		if (*p != 'q' && *p != 'Q')
			continue;
		for (p++; p < params + len && (*p == ' ' || *p == '='); p++)
			;
		if (p == params + len || *p != '0')
			return false;
		for (p++; p < params + len && (*p == '.' || *p == '0'); p++)
			;
		return p == params + len || *p == ' ';
	}
	return false;
}

bool page_accepts_gzip(const char *accept_encoding)
{
	bool any = false;

	for (const char *p = accept_encoding; p && *p;) {
		p += strspn(p, ", \t");
		size_t len = strcspn(p, ","), name = strcspn(p, ";, \t");
		bool yes = !weight_is_zero(p + name, len - name);
		if (name == 4 && !strncasecmp(p, "gzip", 4))
			return yes;
		if (name == 1 && *p == '*')
			any = yes;
		p += len;
	}
	return any;
}

static void *inflate_whole(const struct web_asset *a)
{
	z_stream z = { 0 };
	CLEANUP(freep) unsigned char *to = a->size <= PAGE_SIZE_MAX ? malloc(a->size + 1) : NULL;

	/* 16: a gzip wrapper. */
	if (!to || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return NULL;
	z.next_in = (unsigned char *)a->gz;
	z.avail_in = (uInt)a->gz_size;
	z.next_out = to;
	z.avail_out = (uInt)a->size + 1;
	int end = inflate(&z, Z_FINISH);
	bool whole = end == Z_STREAM_END && z.total_out == a->size;
	inflateEnd(&z);
	return whole ? TAKE_PTR(to) : NULL;
}

/* If-None-Match: a list of tags, weak ones compared as strong ones (RFC 9110, 13.1.2). */
static bool has_tag(const char *list, const char *etag)
{
	size_t len = strlen(etag);

	for (const char *p = list; p && *p;) {
		p += strspn(p, ", \t");
		if (*p == '*')
			return true;
		if (!strncmp(p, "W/", 2))
			p += 2;
		if (!strncmp(p, etag, len))
			return true;
		p += strcspn(p, ",");
	}
	return false;
}

static void answer(const struct web_asset *a, const struct page_request *req,
		   struct page_answer *ret)
{
	*ret = (struct page_answer){
		.status = 200,
		.type = a->type,
		.etag = a->etag,
		.cache = a->immutable ? "public, max-age=31536000, immutable" : "no-cache",
	};
	if (has_tag(req->if_none_match, a->etag)) {
		ret->status = 304;
		return;
	}
	if (page_accepts_gzip(req->accept_encoding)) {
		ret->gzip = true;
		ret->data = a->gz;
		ret->len = a->gz_size;
		return;
	}
	ret->owned = inflate_whole(a);
	ret->data = ret->owned;
	ret->len = ret->owned ? a->size : 0;
	ret->status = ret->owned ? 200 : 503;
}

bool page_find(const struct web_asset *assets, size_t nr, const struct page_request *req,
	       struct page_answer *ret)
{
	const char *page = req->part == SERVER_DASHBOARD ? "dashboard" : "chaos";
	size_t len = strcspn(req->target, "?");
	const char *path = len == 1 && *req->target == '/' ? "/index.html" : req->target;

	if (!(req->part & SERVER_PAGES) ||
	    (strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0))
		return false;
	if (path != req->target)
		len = strlen(path);
	for (size_t i = 0; i < nr; i++) {
		const struct web_asset *a = &assets[i];
		if (!strcmp(a->page, page) && strlen(a->path) == len &&
		    !strncmp(a->path, path, len)) {
			answer(a, req, ret);
			return true;
		}
	}
	if (nr || path == req->target)
		return false;
	*ret = (struct page_answer){
		.status = 200,
		.type = "text/html; charset=utf-8",
		.etag = "\"none\"",
		.cache = "no-cache",
		.data = no_pages,
		.len = sizeof(no_pages) - 1,
	};
	return true;
}
