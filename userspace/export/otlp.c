// SPDX-License-Identifier: GPL-2.0-or-later
#include "export/otlp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define KIND_SERVER 2
#define KIND_CLIENT 3
#define STATUS_ERROR 2
#define BACKOFF_FIRST_NS NSEC_PER_SEC
#define BACKOFF_MAX_NS (30 * NSEC_PER_SEC)
#define RETRY_AFTER_MAX_NS (300 * NSEC_PER_SEC)

int otlp_url(const char *endpoint, char ret[static OTLP_URL_MAX])
{
	size_t len = strlen(endpoint), tail = strlen(OTLP_PATH);
	char url[OTLP_URL_MAX];

	while (len && endpoint[len - 1] == '/')
		len--;
	if (len >= tail && !strncmp(endpoint + len - tail, OTLP_PATH, tail))
		len -= tail;
	int n = snprintf(url, sizeof(url), "%.*s%s", (int)len, endpoint, OTLP_PATH);
	if (n < 0 || (size_t)n >= sizeof(url))
		return -EINVAL;
	memcpy(ret, url, sizeof(url));
	return 0;
}

/* ---- writing. A list that has begun needs a comma before the next. */

struct list {
	struct buf *b;
	size_t nr;
};

static int next(struct list *l)
{
	return l->nr++ ? buf_addstr(l->b, ",") : 0;
}

static int add_key(struct list *l, const char *key)
{
	return next(l) ?: buf_addf(l->b, "{\"key\":\"%s\",\"value\":", key);
}

/* "" is left out. */
static int add_text(struct list *l, const char *key, const char *value)
{
	if (!*value)
		return 0;
	return add_key(l, key)                        ?:
		buf_addstr(l->b, "{\"stringValue\":") ?:
		text_json(l->b, value)                ?:
							buf_addstr(l->b, "}}");
}

static int add_int(struct list *l, const char *key, uint64_t value)
{
	return add_key(l, key) ?:
		buf_addf(l->b, "{\"intValue\":\"%llu\"}}", (unsigned long long)value);
}

/* Texts up to the first that is "". */
static int add_texts(struct list *l, const char *key, const char *const *values, size_t nr)
{
	struct list array = { l->b, 0 };
	int err = add_key(l, key) ?: buf_addstr(l->b, "{\"arrayValue\":{\"values\":[");

	for (size_t i = 0; i < nr && *values[i] && !err; i++)
		err = next(&array)                            ?:
			buf_addstr(l->b, "{\"stringValue\":") ?:
			text_json(l->b, values[i])            ?:
								buf_addstr(l->b, "}");
	return err ?: buf_addstr(l->b, "]}}}");
}

static int add_id(struct buf *b, const char *key, const uint8_t *id, size_t len)
{
	int err = buf_addf(b, "\"%s\":\"", key);

	for (size_t i = 0; i < len && !err; i++)
		err = buf_addf(b, "%02x", id[i]);
	return err ?: buf_addstr(b, "\",");
}

/* Why it is here at all: the answer to "is this a sample of all, or was it picked out?". */
static int add_reasons(struct list *l, uint8_t flags)
{
	const char *reasons[4];
	size_t n = 0;

	if (flags & ABI_REQUEST_SAMPLED)
		reasons[n++] = "sampled";
	if (flags & ABI_REQUEST_SLOW)
		reasons[n++] = "slow";
	if (flags & ABI_REQUEST_FAILED)
		reasons[n++] = "failed";
	if (flags & ABI_REQUEST_ABORTED)
		reasons[n++] = "aborted";
	return n ? add_texts(l, "archaic.kept_because", reasons, n) : 0;
}

static int add_error(struct list *l, const struct span *s)
{
	char status[8];

	if (!span_failed(s))
		return 0;
	snprintf(status, sizeof(status), "%u", s->status);
	return add_text(l, "error.type",
			(s->flags & ABI_REQUEST_ABORTED) || !s->status ? "aborted" : status);
}

static int add_attributes(const struct span *s, struct buf *b)
{
	struct list l = { b, 0 };
	bool is_client = s->side == ABI_SIDE_CLIENT;
	int err = add_text(&l, "http.request.method", request_method(s->method)) ?:
		add_text(&l, "url.path", s->path)                                ?:
		add_text(&l, "url.scheme", "http")                               ?:
		add_text(&l, "network.protocol.name", "http")                    ?:
		add_text(&l, "server.address", s->server);

	if (!err && s->server_port)
		err = add_int(&l, "server.port", s->server_port);
	if (!err && s->status)
		err = add_int(&l, "http.response.status_code", s->status);
	err = err ?: add_error(&l, s);
	if (!err)
		err = add_text(&l, is_client ? "service.peer.name" : "archaic.client.service",
			       is_client ? s->server : s->client);
	err = err ?: add_reasons(&l, s->flags);
	if (!err && *s->faults[0]) {
		const char *ids[SPAN_FAULTS_MAX];
		for (size_t i = 0; i < SPAN_FAULTS_MAX; i++)
			ids[i] = s->faults[i];
		err = add_texts(&l, "archaic.faults.armed", ids, SPAN_FAULTS_MAX);
	}
	return err;
}

/* By the conventions the name is the method alone where no route is known: a path is none. */
static int add_span(const struct span *s, struct buf *b)
{
	static const uint8_t none[sizeof(s->parent_id)];
	const char *method = request_method(s->method);
	int err = buf_addstr(b, "{")                                   ?:
		add_id(b, "traceId", s->trace_id, sizeof(s->trace_id)) ?:
		add_id(b, "spanId", s->span_id, sizeof(s->span_id));

	if (!err && memcmp(s->parent_id, none, sizeof(none)) != 0)
		err = add_id(b, "parentSpanId", s->parent_id, sizeof(s->parent_id));
	err = err ?:
		buf_addf(b,
			 "\"name\":\"%s\",\"kind\":%d,\"startTimeUnixNano\":\"%llu\","
			 "\"endTimeUnixNano\":\"%llu\",\"attributes\":[",
			 *method == '_' ? "HTTP" : method,
			 s->side == ABI_SIDE_CLIENT ? KIND_CLIENT : KIND_SERVER,
			 (unsigned long long)s->start_ns, (unsigned long long)s->end_ns) ?:
		add_attributes(s, b) ?:
		buf_addstr(b, "]");
	if (!err && s->first_byte_ns)
		err = buf_addf(
			b,
			",\"events\":[{\"timeUnixNano\":\"%llu\",\"name\":\"archaic.response.first_byte\"}]",
			(unsigned long long)s->first_byte_ns);
	if (!err && span_failed(s))
		err = buf_addf(b, ",\"status\":{\"code\":%d}", STATUS_ERROR);
	return err ?: buf_addstr(b, "}");
}

/* All spans of the service that owns span @first. */
static int add_service(const struct span *spans, size_t nr, size_t first,
		       const struct otlp_resource *r, struct buf *b)
{
	const char *owner = span_owner(&spans[first]);
	struct list attributes = { b, 0 }, list = { b, 0 };
	int err = buf_addstr(b, "{\"resource\":{\"attributes\":[")       ?:
		add_text(&attributes, "service.name", owner)             ?:
		add_text(&attributes, "service.namespace", r->namespace) ?:
		add_text(&attributes, "host.name", r->host)              ?:
									   buf_addstr(b,
										      "]},\"scopeSpans\":[{\"scope\":{\"name\":\"archaic-ebpf\","
																		 "\"version\":\"" ARCHAIC_VERSION "\"},\"spans\":[");

	for (size_t i = first; i < nr && !err; i++)
		if (!strcmp(span_owner(&spans[i]), owner))
			err = next(&list) ?: add_span(&spans[i], b);
	return err ?: buf_addstr(b, "]}]}");
}

static bool is_first_of_service(const struct span *spans, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(span_owner(&spans[k]), span_owner(&spans[i])))
			return false;
	return true;
}

int otlp_encode(const struct span *spans, size_t nr, const struct otlp_resource *r, struct buf *out)
{
	struct list services = { out, 0 };
	int err = buf_addstr(out, "{\"resourceSpans\":[");

	for (size_t i = 0; i < nr && !err; i++)
		if (is_first_of_service(spans, i))
			err = next(&services) ?: add_service(spans, nr, i, r, out);
	return err ?: buf_addstr(out, "]}");
}

/* ---- the answer */

enum otlp_verdict otlp_judge(const struct otlp_answer *a)
{
	switch (a->status) {
	case 200 ... 299:
		return OTLP_TAKEN;
	case 0:
	case 429:
	case 502:
	case 503:
	case 504:
		return OTLP_LATER;
	default:
		return OTLP_REFUSED;
	}
}

/* The number is an int64, which JSON has as text; some write it as a number all the same. */
static uint64_t read_count(const cJSON *object, const char *name)
{
	const char *text = json_str(object, name);
	double number = json_num(object, name, 0);
	uint64_t n = 0;

	if (text && text_to_u64(text, 0, INT64_MAX, &n) < 0)
		return 0;
	return text ? n : number > 0 && number < 1e9 ? (uint64_t)number : 0;
}

void otlp_read_body(const char *body, size_t len, struct otlp_answer *a)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why;

	if (!len || json_parse(body, len, &j, &why) < 0)
		return;
	const cJSON *partial = cJSON_GetObjectItemCaseSensitive(j, "partialSuccess");
	a->rejected = read_count(partial, "rejectedSpans");
	if (a->rejected)
		request_printable(json_str(partial, "errorMessage") ?: "", a->why, sizeof(a->why));
}

uint64_t otlp_backoff_ns(uint32_t attempt, uint64_t retry_after_ns, uint32_t draw)
{
	uint64_t ns = BACKOFF_FIRST_NS;

	for (uint32_t i = 1; i < attempt && ns < BACKOFF_MAX_NS; i++)
		ns *= 2;
	ns = MIN(ns, BACKOFF_MAX_NS);
	ns -= (uint64_t)((double)(ns / 2) * ((double)draw / UINT32_MAX));
	return MAX(ns, MIN(retry_after_ns, RETRY_AFTER_MAX_NS));
}
