// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/wire.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "observe/wire_fields.h"

void wire_release(struct wire_sample *s)
{
	tick_release(&s->tick);
	free(s->services);
	free(s->peers);
	s->services = NULL;
	s->peers = NULL;
	s->nr_peers = 0;
}

/* ---- figures */

#define COUNT(s, f) { #f, WIRE_U64, offsetof(struct s, f) }
#define GAUGE(s, f) { #f, WIRE_U32, offsetof(struct s, f) }
#define HIST(s, f) { #f, WIRE_HIST, offsetof(struct s, f) }

const struct wire_field wire_service_fields[] = {
	COUNT(service_sample, requests),
	{ "status_class", WIRE_CLASSES, offsetof(struct service_sample, status_class) },
	HIST(service_sample, ttfb),
	HIST(service_sample, duration),
	COUNT(service_sample, ttfb_ns),
	COUNT(service_sample, duration_ns),
	COUNT(service_sample, rx_bytes),
	COUNT(service_sample, tx_bytes),
	COUNT(service_sample, aborted),
	COUNT(service_sample, unparsed),
	GAUGE(service_sample, in_flight),
	COUNT(service_sample, oldest_ns),
	COUNT(service_sample, cpu_ns),
	HIST(service_sample, runq),
	COUNT(service_sample, runq_ns),
	{ 0 },
};

const struct wire_field wire_edge_fields[] = {
	COUNT(edge_sample, server_requests),  COUNT(edge_sample, server_failed),
	HIST(edge_sample, server_duration),   COUNT(edge_sample, server_duration_ns),
	COUNT(edge_sample, client_requests),  COUNT(edge_sample, client_failed),
	HIST(edge_sample, client_duration),   COUNT(edge_sample, client_duration_ns),
	COUNT(edge_sample, client_aborted),   GAUGE(edge_sample, client_in_flight),
	COUNT(edge_sample, client_oldest_ns), { 0 },
};

/* ---- out */

static unsigned long long capped(uint64_t n)
{
	return MIN(n, (uint64_t)WIRE_COUNT_MAX);
}

static int add_count(struct buf *b, const char *name, uint64_t n)
{
	return n ? buf_addf(b, ",\"%s\":%llu", name, capped(n)) : 0;
}

/* [bucket, count, bucket, count, …], those that hold something. */
static int add_hist(struct buf *b, const char *name, const struct hist *h)
{
	const char *before = "";
	int err = 0;

	if (!hist_count(h))
		return 0;
	err = buf_addf(b, ",\"%s\":[", name);
	for (size_t i = 0; i < ABI_HIST_BUCKETS && !err; i++) {
		if (!h->n[i])
			continue;
		err = buf_addf(b, "%s%zu,%llu", before, i, capped(h->n[i]));
		before = ",";
	}
	return err ?: buf_addstr(b, "]");
}

static int add_classes(struct buf *b, const char *name, const uint64_t *n)
{
	if (!(n[0] | n[1] | n[2] | n[3] | n[4] | n[5]))
		return 0;
	return buf_addf(b, ",\"%s\":[%llu,%llu,%llu,%llu,%llu,%llu]", name, capped(n[0]),
			capped(n[1]), capped(n[2]), capped(n[3]), capped(n[4]), capped(n[5]));
}

static int add_fields(struct buf *b, const struct wire_field *f, const void *from)
{
	int err = 0;

	for (; f->name && !err; f++) {
		const void *at = (const char *)from + f->offset;

		switch (f->kind) {
		case WIRE_U64:
			err = add_count(b, f->name, *(const uint64_t *)at);
			break;
		case WIRE_U32:
			err = add_count(b, f->name, *(const uint32_t *)at);
			break;
		case WIRE_HIST:
			err = add_hist(b, f->name, at);
			break;
		case WIRE_CLASSES:
			err = add_classes(b, f->name, at);
			break;
		}
	}
	return err;
}

static int add_text(struct buf *b, const char *name, const char *text)
{
	if (!*text)
		return 0;
	return buf_addf(b, ",\"%s\":", name) ?: text_json(b, text);
}

static int add_service(struct buf *b, const struct service_sample *s, const struct wire_service *w)
{
	int err = buf_addf(b, "{\"id\":%u", s->id) ?: add_text(b, "name", s->name);

	if (!err && w->nr_ports)
		err = buf_addstr(b, ",\"ports\":[");
	for (size_t i = 0; i < w->nr_ports && !err; i++)
		err = buf_addf(b, "%s%u%s", i ? "," : "", w->ports[i],
			       i + 1 == w->nr_ports ? "]" : "");
	err = err ?: add_text(b, "address", w->address);
	err = err ?: add_text(b, "namespace", w->namespace);
	err = err ?: add_text(b, "pod", w->pod);
	if (!err && w->supervised)
		err = buf_addstr(b, ",\"supervised\":true");
	return err                                      ?:
		add_count(b, "processes", w->processes) ?:
		add_fields(b, wire_service_fields, s)   ?:
							  buf_addstr(b, "}");
}

static int add_edge(struct buf *b, const struct edge_sample *e)
{
	return buf_addf(b, "{\"client\":%u,\"server\":%u", e->client, e->server) ?:
		add_fields(b, wire_edge_fields, e)                               ?:
										   buf_addstr(b, "}");
}

static int add_head(struct buf *b, const struct wire_sample *s)
{
	int err = buf_addf(b, "{\"version\":%d", WIRE_VERSION) ?: add_text(b, "node", s->node);

	err = err ?: add_count(b, "boot", s->boot) ?: add_count(b, "seq", s->seq);
	err = err ?: add_count(b, "wall_ms", s->wall_ms > 0 ? (uint64_t)s->wall_ms : 0);
	err = err ?: add_count(b, "mono_us", s->tick.at_ns / NSEC_PER_USEC);
	err = err ?: add_count(b, "span_us", s->tick.span_ns / NSEC_PER_USEC);
	err = err ?: add_count(b, "control_port", s->control_port);
	err = err ?: add_count(b, "peers_version", s->peers_version);
	err = err ?: add_text(b, "lacks", s->lacks) ?: buf_addstr(b, ",\"addresses\":[");
	for (size_t i = 0; i < s->nr_addresses && !err; i++)
		err = buf_addstr(b, i ? "," : "") ?: text_json(b, s->addresses[i]);
	return err ?: buf_addstr(b, "]");
}

static int add_peer(struct buf *b, const struct wire_peer *p)
{
	return buf_addf(b, "{\"id\":%u", p->id)    ?:
		add_text(b, "node", p->node)       ?:
		add_text(b, "service", p->service) ?:
						     buf_addstr(b, "}");
}

int wire_encode(const struct wire_sample *s, struct buf *to)
{
	const struct tick *t = &s->tick;

	if (t->nr_services > SERVICE_MAX || t->nr_edges > WIRE_EDGES_MAX ||
	    s->nr_peers > WIRE_PEERS_MAX || s->nr_addresses > WIRE_ADDRESSES_MAX)
		return -EMSGSIZE;
	int err = add_head(to, s) ?: buf_addstr(to, ",\"peers\":[");
	for (size_t i = 0; i < s->nr_peers && !err; i++)
		err = buf_addstr(to, i ? "," : "") ?: add_peer(to, &s->peers[i]);
	err = err ?: buf_addstr(to, "],\"services\":[");
	for (size_t i = 0; i < t->nr_services && !err; i++)
		err = buf_addstr(to, i ? "," : "") ?:
			add_service(to, &t->services[i], &s->services[i]);
	err = err ?: buf_addstr(to, "],\"edges\":[");
	for (size_t i = 0; i < t->nr_edges && !err; i++)
		err = buf_addstr(to, i ? "," : "") ?: add_edge(to, &t->edges[i]);
	return err ?: buf_addstr(to, "]}");
}
