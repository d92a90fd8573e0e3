// SPDX-License-Identifier: GPL-2.0-or-later
#include "export/span.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

/* Clocks of two hooks on one packet: an end that is this much later is still the same end. */
#define SAME_END_NS (2 * NSEC_PER_MSEC)

/* Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (2014). A bijection: no id comes twice. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static bool all_zero(const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (b[i])
			return false;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Exactly @len bytes of hex, dashes between them allowed, and not all zero. */
static bool read_hex(const char *text, uint8_t *to, size_t len)
{
	size_t n = 0;

	for (; *text; text++) {
		int digit = hex_digit(*text);
		if (*text == '-')
			continue;
		if (digit < 0 || n == 2 * len)
			return false;
		to[n / 2] = (uint8_t)(n % 2 ? to[n / 2] | digit : digit << 4);
		n++;
	}
	return n == 2 * len && !all_zero(to, len);
}

static void make_trace_id(const struct request *r, uint64_t seed, uint8_t to[static 16])
{
	uint64_t own[2] = { mix(seed ^ r->seq) | 1, mix(~seed ^ r->seq) };

	if (read_hex(r->trace_id, to, 16))
		return;
	if (*r->trace_id)
		crypto_generichash(to, 16, (const uint8_t *)r->trace_id, strlen(r->trace_id), NULL,
				   0);
	else
		memcpy(to, own, 16);
}

void span_make(const struct request *r, uint64_t to_epoch_ns, uint64_t seed, struct span *ret)
{
	uint64_t id = mix(seed + r->seq) ?: 1;
	uint64_t start_ns = r->start_ns + to_epoch_ns;
	char path[sizeof(r->path)];

	*ret = (struct span){
		.start_ns = start_ns,
		.first_byte_ns = r->status ? start_ns + r->ttfb_ns : 0,
		.end_ns = start_ns + r->duration_ns,
		.server_id = r->server,
		.client_id = r->client,
		.status = r->status,
		.method = r->method,
		.side = r->side,
		.flags = r->flags,
	};
	memcpy(ret->span_id, &id, sizeof(id));
	make_trace_id(r, seed, ret->trace_id);
	if (!read_hex(r->parent_id, ret->parent_id, sizeof(ret->parent_id)))
		memset(ret->parent_id, 0, sizeof(ret->parent_id));
	/* Cut first: what is not printable becomes a '?' of its own. */
	snprintf(path, sizeof(path), "%.*s", (int)strcspn(r->path, "?#"), r->path);
	request_printable(path, ret->path, sizeof(ret->path));
}

const char *span_owner(const struct span *s)
{
	return s->side == ABI_SIDE_CLIENT ? s->client : s->server;
}

bool span_failed(const struct span *s)
{
	return !s->status || (s->flags & ABI_REQUEST_ABORTED) ||
		s->status >= (s->side == ABI_SIDE_CLIENT ? 400 : 500);
}

static bool is_same_call(const struct span *client, const struct span *server)
{
	return client->side == ABI_SIDE_CLIENT && client->server_id == server->server_id &&
		client->client_id == server->client_id && client->method == server->method &&
		client->start_ns <= server->start_ns &&
		client->end_ns + SAME_END_NS >= server->end_ns &&
		!memcmp(client->trace_id, server->trace_id, sizeof(client->trace_id)) &&
		!strcmp(client->path, server->path);
}

/* The latest that began before: of two calls one after the other, the nearer one. */
static const struct span *call_of(const struct span *spans, size_t nr, const struct span *server)
{
	const struct span *best = NULL;

	for (size_t i = 0; i < nr; i++)
		if (is_same_call(&spans[i], server) &&
		    (!best || spans[i].start_ns > best->start_ns))
			best = &spans[i];
	return best;
}

void span_pair(struct span *spans, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		struct span *s = &spans[i];
		const struct span *call;

		if (s->side != ABI_SIDE_SERVER || !s->client_id)
			continue;
		call = call_of(spans, nr, s);
		if (call)
			memcpy(s->parent_id, call->span_id, sizeof(s->parent_id));
	}
}
