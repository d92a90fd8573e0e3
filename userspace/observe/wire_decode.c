// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "observe/wire_fields.h"
#include "observe/wire_read.h"

/* ---- figures */

static int read_hist(const struct wire_reader *r, const cJSON *j, const char *name,
		     struct hist *ret)
{
	const cJSON *c = j->child;
	uint64_t bucket, n, next = 0;

	if (!cJSON_IsArray(j))
		return wire_wrong(r, "%s must be a list", name);
	for (; c; c = c->next->next) {
		if (!c->next)
			return wire_wrong(r, "%s must be pairs of bucket and count", name);
		if (wire_take_number(r, c, name, ABI_HIST_BUCKETS - 1, &bucket) ||
		    wire_take_number(r, c->next, name, WIRE_COUNT_MAX, &n))
			return -EINVAL;
		if (bucket < next)
			return wire_wrong(r, "the buckets of %s must ascend", name);
		next = bucket + 1;
		ret->n[bucket] = n;
	}
	return 0;
}

static int read_classes(const struct wire_reader *r, const cJSON *j, const char *name,
			uint64_t *ret)
{
	const cJSON *c;
	size_t i = 0;

	if (!cJSON_IsArray(j) || cJSON_GetArraySize(j) != 6)
		return wire_wrong(r, "%s must be a list of six counts", name);
	cJSON_ArrayForEach(c, j)
		if (wire_take_number(r, c, name, WIRE_COUNT_MAX, &ret[i++]))
			return -EINVAL;
	return 0;
}

static int read_field(const struct wire_reader *r, const struct wire_field *f, const cJSON *j,
		      void *to)
{
	uint64_t n = 0;
	int err = 0;

	switch (f->kind) {
	case WIRE_U64:
		err = wire_take_number(r, j, f->name, WIRE_COUNT_MAX, &n);
		*(uint64_t *)to = n;
		break;
	case WIRE_U32:
		err = wire_take_number(r, j, f->name, UINT32_MAX, &n);
		*(uint32_t *)to = (uint32_t)n;
		break;
	case WIRE_HIST:
		err = read_hist(r, j, f->name, to);
		break;
	case WIRE_CLASSES:
		err = read_classes(r, j, f->name, to);
		break;
	}
	return err;
}

/* Every member is a figure of @fields or one of the others. */
static int read_fields(const struct wire_reader *r, const cJSON *o, const struct wire_field *fields,
		       const char *const *others, void *to)
{
	if (!cJSON_IsObject(o))
		return wire_wrong(r, "services and edges must be objects");
	for (const cJSON *j = o->child; j; j = j->next) {
		const struct wire_field *f = fields;
		size_t i = 0;

		while (f->name && strcmp(f->name, j->string) != 0)
			f++;
		if (f->name) {
			if (read_field(r, f, j, (char *)to + f->offset))
				return -EINVAL;
			continue;
		}
		while (others[i] && strcmp(others[i], j->string) != 0)
			i++;
		if (!others[i])
			return wire_wrong(r, "a figure of a sample is not known to version %d",
					  WIRE_VERSION);
	}
	return 0;
}

/* ---- services, peers, edges */

static int read_ports(const struct wire_reader *r, const cJSON *o, struct wire_service *w)
{
	const cJSON *j;
	uint64_t port;

	if (wire_length(r, o, "ports", SERVICE_PORTS_MAX, &w->nr_ports))
		return -EINVAL;
	w->nr_ports = 0;
	cJSON_ArrayForEach(j, wire_member(o, "ports")) {
		if (wire_take_number(r, j, "ports", UINT16_MAX, &port) || !port)
			return wire_wrong(r, "a port must be from 1 to 65535");
		w->ports[w->nr_ports++] = (uint16_t)port;
	}
	return 0;
}

static int check_service(const struct wire_reader *r, const struct service_sample *s)
{
	uint64_t classes = 0;

	for (size_t i = 0; i < ARRAY_SIZE(s->status_class); i++)
		classes += s->status_class[i];
	/* Not so the histograms: they are read while they are written, and may be a request ahead. */
	if (classes != s->requests)
		return wire_wrong(r, "the requests of %s do not add up", s->name);
	return 0;
}

/* A name that Kubernetes may have given; "" where there is none. */
static int read_label(const struct wire_reader *r, const cJSON *o, const char *name, char *ret,
		      size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	const cJSON *j = wire_member(o, name);

	ret[0] = '\0';
	if (!j)
		return 0;
	if (!cJSON_IsString(j) || !*j->valuestring || strlen(j->valuestring) >= size ||
	    strspn(j->valuestring, letters) != strlen(j->valuestring))
		return wire_wrong(r, "%s must be a name that Kubernetes gives", name);
	memcpy(ret, j->valuestring, strlen(j->valuestring) + 1);
	return 0;
}

static int read_service(const struct wire_reader *r, const cJSON *o, struct service_sample *s,
			struct wire_service *w)
{
	static const char *const others[] = { "id",        "name",       "ports",
					      "address",   "supervised", "processes",
					      "namespace", "pod",        NULL };
	const cJSON *address = wire_member(o, "address");
	uint64_t id = 0, processes = 0;
	int err = read_fields(r, o, wire_service_fields, others, s);

	err = err ?: wire_number(r, o, "id", WIRE_PEER - 1, &id);
	err = err ?: wire_name(r, o, "name", true, s->name);
	err = err ?: read_ports(r, o, w);
	err = err ?: wire_bool(r, o, "supervised", &w->supervised);
	err = err ?: read_label(r, o, "namespace", w->namespace, sizeof(w->namespace));
	err = err ?: read_label(r, o, "pod", w->pod, sizeof(w->pod));
	err = err ?: wire_number(r, o, "processes", UINT32_MAX, &processes);
	if (!err && address)
		err = wire_take_address(r, address, w->address);
	if (!err && !id)
		err = wire_wrong(r, "the id of %s must be 1 or more", s->name);
	s->id = (uint32_t)id;
	w->processes = (uint32_t)processes;
	return err ?: check_service(r, s);
}

static int read_services(const struct wire_reader *r, const cJSON *j, struct wire_sample *s)
{
	struct tick *t = &s->tick;
	const cJSON *o;
	size_t nr;

	if (wire_length(r, j, "services", SERVICE_MAX, &nr))
		return -EINVAL;
	t->services = calloc(nr ?: 1, sizeof(*t->services));
	s->services = calloc(nr ?: 1, sizeof(*s->services));
	if (!t->services || !s->services)
		return -ENOMEM;
	cJSON_ArrayForEach(o, wire_member(j, "services")) {
		struct service_sample *to = &t->services[t->nr_services];
		if (read_service(r, o, to, &s->services[t->nr_services]))
			return -EINVAL;
		for (size_t i = 0; i < t->nr_services; i++)
			if (t->services[i].id == to->id || !strcmp(t->services[i].name, to->name))
				return wire_wrong(r, "service %s stands twice, by name or id",
						  to->name);
		t->nr_services++;
	}
	return 0;
}

static int read_peers(const struct wire_reader *r, const cJSON *j, struct wire_sample *s)
{
	static const char *const known[] = { "id", "node", "service", NULL };
	const cJSON *o;
	size_t nr;

	if (wire_length(r, j, "peers", WIRE_PEERS_MAX, &nr))
		return -EINVAL;
	s->peers = calloc(nr ?: 1, sizeof(*s->peers));
	if (!s->peers)
		return -ENOMEM;
	cJSON_ArrayForEach(o, wire_member(j, "peers")) {
		struct wire_peer *p = &s->peers[s->nr_peers];
		uint64_t id = 0;

		if (!cJSON_IsObject(o) || json_unknown(o, known))
			return wire_wrong(r, "a peer must be an object of id, node and service");
		if (wire_number(r, o, "id", UINT32_MAX - 1, &id) ||
		    wire_name(r, o, "node", true, p->node) ||
		    wire_name(r, o, "service", false, p->service))
			return -EINVAL;
		if (id < WIRE_PEER)
			return wire_wrong(r, "the id of a peer must be %u or more", WIRE_PEER);
		p->id = (uint32_t)id;
		for (size_t i = 0; i < s->nr_peers; i++)
			if (s->peers[i].id == p->id)
				return wire_wrong(r, "peer %u stands twice", p->id);
		s->nr_peers++;
	}
	return 0;
}

static bool is_somebody(const struct wire_sample *s, uint64_t id)
{
	if (id < WIRE_PEER)
		return !id || tick_service(&s->tick, (uint32_t)id);
	for (size_t i = 0; i < s->nr_peers; i++)
		if (s->peers[i].id == id)
			return true;
	return false;
}

static int check_edge(const struct wire_reader *r, const struct wire_sample *s,
		      const struct edge_sample *e)
{
	const struct tick *t = &s->tick;

	if (!is_somebody(s, e->client) || !is_somebody(s, e->server))
		return wire_wrong(r, "the edge from %u to %u has an end that is nobody", e->client,
				  e->server);
	if (!tick_service(t, e->client) && !tick_service(t, e->server))
		return wire_wrong(r, "the edge from %u to %u is not this node's", e->client,
				  e->server);
	if (e->server_failed > e->server_requests || e->client_failed > e->client_requests)
		return wire_wrong(r, "the requests from %u to %u do not add up", e->client,
				  e->server);
	for (size_t i = 0; i < t->nr_edges; i++)
		if (t->edges[i].client == e->client && t->edges[i].server == e->server)
			return wire_wrong(r, "the edge from %u to %u stands twice", e->client,
					  e->server);
	return 0;
}

static int read_edges(const struct wire_reader *r, const cJSON *j, struct wire_sample *s)
{
	static const char *const others[] = { "client", "server", NULL };
	struct tick *t = &s->tick;
	const cJSON *o;
	size_t nr;

	if (wire_length(r, j, "edges", WIRE_EDGES_MAX, &nr))
		return -EINVAL;
	t->edges = calloc(nr ?: 1, sizeof(*t->edges));
	if (!t->edges)
		return -ENOMEM;
	cJSON_ArrayForEach(o, wire_member(j, "edges")) {
		struct edge_sample *e = &t->edges[t->nr_edges];
		uint64_t client = 0, server = 0;

		if (read_fields(r, o, wire_edge_fields, others, e) ||
		    wire_number(r, o, "client", UINT32_MAX - 1, &client) ||
		    wire_number(r, o, "server", UINT32_MAX - 1, &server))
			return -EINVAL;
		e->client = (uint32_t)client;
		e->server = (uint32_t)server;
		if (check_edge(r, s, e))
			return -EINVAL;
		t->nr_edges++;
	}
	return 0;
}

/* ---- the whole */

static int read_addresses(const struct wire_reader *r, const cJSON *j, struct wire_sample *s)
{
	const cJSON *a;
	size_t nr;

	if (wire_length(r, j, "addresses", WIRE_ADDRESSES_MAX, &nr))
		return -EINVAL;
	cJSON_ArrayForEach(a, wire_member(j, "addresses"))
		if (wire_take_address(r, a, s->addresses[s->nr_addresses++]))
			return -EINVAL;
	return 0;
}

static int read_head(const struct wire_reader *r, const cJSON *j, struct wire_sample *s)
{
	uint64_t wall = 0, mono = 0, span = 0, port = 0;
	const cJSON *lacks = wire_member(j, "lacks");
	int err = wire_name(r, j, "node", true, s->node);

	err = err ?: wire_number(r, j, "boot", WIRE_COUNT_MAX, &s->boot);
	err = err ?: wire_number(r, j, "seq", WIRE_COUNT_MAX, &s->seq);
	err = err ?: wire_number(r, j, "wall_ms", WIRE_COUNT_MAX, &wall);
	err = err ?: wire_number(r, j, "mono_us", WIRE_COUNT_MAX, &mono);
	err = err ?: wire_number(r, j, "span_us", 3600 * 1000000ULL, &span);
	err = err ?: wire_number(r, j, "control_port", UINT16_MAX, &port);
	err = err ?: wire_number(r, j, "peers_version", WIRE_COUNT_MAX, &s->peers_version);
	if (!err && lacks &&
	    (!cJSON_IsString(lacks) || strlen(lacks->valuestring) >= WIRE_LACKS_MAX))
		err = wire_wrong(r, "lacks must be text of at most %d bytes", WIRE_LACKS_MAX - 1);
	if (err)
		return err;
	if (!s->boot || !s->seq)
		return wire_wrong(r, "boot and seq must be 1 or more");
	if (lacks)
		snprintf(s->lacks, sizeof(s->lacks), "%s", lacks->valuestring);
	s->wall_ms = (int64_t)wall;
	s->tick.at_ns = mono * NSEC_PER_USEC;
	s->tick.span_ns = span * NSEC_PER_USEC;
	s->control_port = (uint16_t)port;
	return 0;
}

int wire_decode(const cJSON *j, struct wire_sample *ret, char *why, size_t size)
{
	static const char *const known[] = { "version",  "node",         "boot",
					     "seq",      "wall_ms",      "mono_us",
					     "span_us",  "control_port", "peers_version",
					     "lacks",    "addresses",    "peers",
					     "services", "edges",        NULL };
	CLEANUP(wire_release) struct wire_sample s = { 0 };
	const struct wire_reader r = { why, size };
	uint64_t version = 0;

	if (!cJSON_IsObject(j))
		return wire_wrong(&r, "a sample must be one JSON object");
	if (!wire_is_whole(wire_member(j, "version"), INT32_MAX))
		return wire_wrong(&r, "version must be a whole number");
	version = (uint64_t)wire_member(j, "version")->valuedouble;
	if (version != WIRE_VERSION) {
		wire_wrong(&r, "samples of version %llu are not understood here; version %d is",
			   (unsigned long long)version, WIRE_VERSION);
		return -EPROTONOSUPPORT;
	}
	if (json_unknown(j, known))
		return wire_wrong(&r, "a member of a sample is not known to version %d",
				  WIRE_VERSION);
	int err = read_head(&r, j, &s);
	err = err ?: read_addresses(&r, j, &s) ?: read_services(&r, j, &s);
	err = err ?: read_peers(&r, j, &s) ?: read_edges(&r, j, &s);
	if (err)
		return err;
	*ret = s;
	s = (struct wire_sample){ 0 };
	return 0;
}
