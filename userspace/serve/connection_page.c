// SPDX-License-Identifier: GPL-2.0-or-later
/* What the two pages' listeners do besides: files, browsers' headers, and streams without end. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/connection.h"
#include "serve/pages.h"

#define STREAM_BLOCK 32768 /* bytes handed to the socket at a time */

/* ---- who may */

/* A name of somebody else's that resolves to us is what DNS rebinding needs; an address is none. */
static bool host_is_ours(const struct server *s, const char *host)
{
	char own[256] = "";
	const char *names[] = { own, NULL };
	char address[INET6_ADDRSTRLEN] = "";
	struct in6_addr a;

	if (gate_host_ok(host, (const char *const *)s->names))
		return true;
	if (gethostname(own, sizeof(own) - 1) == 0 && gate_host_ok(host, names))
		return true;
	if (!host)
		return false;
	bool bracket = *host == '[';
	size_t len = strcspn(host + bracket, bracket ? "]" : ":");
	if (len >= sizeof(address))
		return false;
	memcpy(address, host + bracket, len);
	return inet_pton(bracket ? AF_INET6 : AF_INET, address, &a) == 1;
}

static bool changes_something(const char *method)
{
	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
}

static int count(struct server *s, uint64_t *counter)
{
	pthread_mutex_lock(&s->lock);
	(*counter)++;
	pthread_mutex_unlock(&s->lock);
	return -EACCES;
}

int connection_guard(const struct listener *l, struct MHD_Connection *connection,
		     const char *method, struct problem *p)
{
	struct server *s = l->server;
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	const char *ours =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Archaic-Request");

	if (!host_is_ours(s, host)) {
		problem_set(p, 403,
			    "this Host is not ours; use the address, or name it in host_names");
		return count(s, &s->stats.refused_origin);
	}
	if (!changes_something(method))
		return 0;
	if (s->read_only) {
		problem_set(p, 403, "this page is read-only (read_only = yes): it changes nothing");
		return count(s, &s->stats.refused_read_only);
	}
	/* Another site's form cannot send it, and its script may not without asking us first, which we never grant. */
	if (!ours || strcmp(ours, "1") != 0) {
		problem_set(
			p, 403,
			"what changes something must carry the header X-Archaic-Request: 1 on this port");
		return count(s, &s->stats.refused_forged);
	}
	return 0;
}

void connection_page_headers(struct MHD_Response *r)
{
	static const char *const headers[][2] = {
		{ "Content-Security-Policy",
		  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		  "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
		  "frame-ancestors 'none'" },
		{ "X-Frame-Options", "DENY" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Permissions-Policy", "camera=(), geolocation=(), microphone=()" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		MHD_add_response_header(r, headers[i][0], headers[i][1]);
}

/* ---- files */

static struct MHD_Response *response_of(struct page_answer *a)
{
	if (a->owned)
		return MHD_create_response_from_buffer(a->len, a->owned, MHD_RESPMEM_MUST_FREE);
	return MHD_create_response_from_buffer(a->len, (void *)(a->len ? a->data : ""),
					       MHD_RESPMEM_PERSISTENT);
}

bool connection_page(const struct listener *l, struct MHD_Connection *connection,
		     const struct conn *c, const char *method, enum MHD_Result *ret)
{
	const struct page_request req = {
		.part = l->part,
		.method = method,
		.target = c->target,
		.accept_encoding =
			MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept-Encoding"),
		.if_none_match =
			MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-None-Match"),
	};
	struct page_answer a;

	if (!page_find(web_assets, nr_web_assets, &req, &a))
		return false;
	struct MHD_Response *r = response_of(&a);
	*ret = MHD_NO;
	if (!r) {
		free(a.owned);
		return true;
	}
	connection_page_headers(r);
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "Cache-Control", a.cache);
	MHD_add_response_header(r, "ETag", a.etag);
	MHD_add_response_header(r, "Vary", "Accept-Encoding");
	if (a.status != 304)
		MHD_add_response_header(r, "Content-Type", a.type);
	if (a.gzip)
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	*ret = MHD_queue_response(connection, (unsigned)a.status, r);
	MHD_destroy_response(r);
	return true;
}

/* ---- streams */

struct stream {
	struct server *server;
	struct conn *conn;
	struct events_listener *events;
};

/* Called when all that was given before is written: whoever takes nothing never gets here, and is cut by the sweeper. */
static ssize_t stream_read(void *cls, uint64_t pos, char *to, size_t max)
{
	struct stream *s = cls;

	(void)pos;
	connection_deadline(s->server, s->conn, 2 * EVENTS_KEEPALIVE_NS);
	ssize_t n = events_read(s->events, to, max);
	/* From here on it is the other end's turn. */
	connection_deadline(s->server, s->conn, s->server->stall_ns);
	return n > 0 ? n : MHD_CONTENT_READER_END_OF_STREAM;
}

static void stream_free(void *cls)
{
	struct stream *s = cls;

	pthread_mutex_lock(&s->server->lock);
	bool cut = s->conn->cut;
	pthread_mutex_unlock(&s->server->lock);
	events_shut(s->events, cut, clock_mono_ns());
	free(s);
}

struct MHD_Response *connection_stream(struct server *s, struct conn *c,
				       struct events_listener *events)
{
	struct stream *st = malloc(sizeof(*st));
	struct MHD_Response *r = NULL;

	if (st) {
		*st = (struct stream){ .server = s, .conn = c, .events = events };
		r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read,
						      st, stream_free);
	}
	if (!r) {
		events_shut(events, false, clock_mono_ns());
		free(st);
	}
	return r;
}
