// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/requests.h"

#include <string.h>

#include "base/util.h"

struct requests {
	size_t max;
	uint64_t added; /* ever; the newest one's seq */
	struct request ring[];
};

struct requests *requests_new(size_t max)
{
	struct requests *q = max ? calloc(1, sizeof(*q) + max * sizeof(q->ring[0])) : NULL;

	if (q)
		q->max = max;
	return q;
}

void requests_free(struct requests *q)
{
	free(q);
}

void requests_freep(struct requests **q)
{
	requests_free(*q);
}

static bool is_hex(const char *s, size_t len)
{
	return strspn(s, "0123456789abcdef") >= len;
}

/* "00-<32 hex>-<16 hex>-01" gives its trace id and its span id; anything else is a trace id as it is. */
static void copy_trace(const char *raw, size_t len, struct request *r)
{
	char *to = r->trace_id;

	memcpy(to, raw, len);
	to[len] = '\0';
	if (len == 55 && to[2] == '-' && to[35] == '-' && is_hex(to + 3, 32)) {
		if (is_hex(to + 36, 16))
			memcpy(r->parent_id, to + 36, 16);
		memmove(to, to + 3, 32);
		to[32] = '\0';
	}
}

void requests_add(struct requests *q, const struct abi_request *r)
{
	struct request *to = &q->ring[q->added++ % q->max];
	size_t path_len = MIN((size_t)r->path_len, (size_t)ABI_PATH_MAX);

	*to = (struct request){
		.seq = q->added,
		.start_ns = r->start_ns,
		.ttfb_ns = r->ttfb_ns,
		.duration_ns = r->duration_ns,
		.server = r->server,
		.client = r->client,
		.status = r->status,
		.method = r->method,
		.side = r->side,
		.flags = r->flags,
	};
	memcpy(to->path, r->path, path_len);
	copy_trace(r->trace, MIN((size_t)r->trace_len, (size_t)ABI_TRACE_MAX), to);
}

const struct request *requests_newest(const struct requests *q)
{
	return q->added ? &q->ring[(q->added - 1) % q->max] : NULL;
}

static bool matches(const struct request *r, const struct requests_filter *f)
{
	bool slow = r->flags & ABI_REQUEST_SLOW;
	bool failed = r->flags & (ABI_REQUEST_FAILED | ABI_REQUEST_ABORTED);

	if (f->service && r->server != f->service && r->client != f->service)
		return false;
	return (!f->slow && !f->failed) || (f->slow && slow) || (f->failed && failed);
}

size_t requests_each(const struct requests *q, const struct requests_filter *f, size_t max,
		     bool (*cb)(void *ctx, const struct request *r), void *ctx)
{
	size_t given = 0;

	for (uint64_t seq = q->added; seq > f->after_seq && q->added - seq < q->max && given < max;
	     seq--) {
		const struct request *r = &q->ring[(seq - 1) % q->max];

		if (!matches(r, f))
			continue;
		given++;
		if (!cb(ctx, r))
			break;
	}
	return given;
}

const char *request_method(uint8_t method)
{
	static const char *const names[ABI_METHODS] = {
		[ABI_METHOD_NONE] = "_OTHER",     [ABI_METHOD_GET] = "GET",
		[ABI_METHOD_HEAD] = "HEAD",       [ABI_METHOD_POST] = "POST",
		[ABI_METHOD_PUT] = "PUT",         [ABI_METHOD_DELETE] = "DELETE",
		[ABI_METHOD_PATCH] = "PATCH",     [ABI_METHOD_OPTIONS] = "OPTIONS",
		[ABI_METHOD_CONNECT] = "CONNECT", [ABI_METHOD_TRACE] = "TRACE",
		[ABI_METHOD_OTHER] = "_OTHER",
	};

	return method < ABI_METHODS ? names[method] : "_OTHER";
}

const char *request_printable(const char *s, char *to, size_t size)
{
	size_t len = 0;

	/* ASCII only: a request target may hold nothing else (RFC 9112), so what is not, is hostile or broken. */
	for (; s[len] && len + 1 < size; len++)
		to[len] = s[len] >= 0x20 && s[len] < 0x7f ? s[len] : '?';
	to[len] = '\0';
	return to;
}
