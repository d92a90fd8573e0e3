// SPDX-License-Identifier: GPL-2.0-or-later
/* A tick as JSON: what goes in comes out, and what no agent of ours writes is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "detect/random.h"
#include "observe/wire.h"

#define ROUNDS 400
#define MUTATIONS 4000

static uint64_t some_count(struct random *r)
{
	return random_below(r, 3) ? random_below(r, 1000) :
				    random_u64(r) >> (11 + random_below(r, 50));
}

static void fill_hist(struct random *r, struct hist *h)
{
	for (size_t i = random_below(r, 6); i; i--)
		h->n[random_below(r, ABI_HIST_BUCKETS)] = some_count(r);
}

static void fill_service(struct random *r, uint32_t id, struct service_sample *s,
			 struct wire_service *w)
{
	s->id = id;
	snprintf(s->name, sizeof(s->name), "service-%u", id);
	for (size_t i = 0; i < 6; i++)
		s->requests += s->status_class[i] = some_count(r) >> 3;
	fill_hist(r, &s->ttfb);
	fill_hist(r, &s->duration);
	fill_hist(r, &s->runq);
	s->duration_ns = some_count(r);
	s->rx_bytes = some_count(r);
	s->aborted = some_count(r);
	s->oldest_ns = some_count(r);
	s->in_flight = (uint32_t)some_count(r);
	s->cpu_ns = some_count(r);
	w->nr_ports = random_below(r, SERVICE_PORTS_MAX + 1);
	for (size_t i = 0; i < w->nr_ports; i++)
		w->ports[i] = (uint16_t)(1 + random_below(r, UINT16_MAX));
	w->supervised = random_below(r, 2);
	w->processes = (uint32_t)random_below(r, 9);
	if (!random_below(r, 4)) {
		snprintf(w->namespace, sizeof(w->namespace), "archaics");
		snprintf(w->pod, sizeof(w->pod), "db-service-7d4b9-%u", id);
	}
	if (!random_below(r, 3))
		snprintf(w->address, sizeof(w->address), "10.0.0.%u", id % 250);
}

static void fill_edge(struct random *r, struct edge_sample *e)
{
	e->server_requests = some_count(r);
	e->server_failed = e->server_requests / 3;
	e->client_requests = some_count(r);
	e->client_failed = e->client_requests / 2;
	fill_hist(r, &e->client_duration);
	fill_hist(r, &e->server_duration);
	e->client_duration_ns = some_count(r);
	e->client_in_flight = (uint32_t)some_count(r);
	e->client_oldest_ns = some_count(r);
}

static void make(struct random *r, struct wire_sample *s)
{
	size_t nr = random_below(r, 7);

	*s = (struct wire_sample){ .node = "node-1",
				   .boot = 1 + some_count(r),
				   .seq = 1 + some_count(r) };
	s->wall_ms = (int64_t)some_count(r);
	s->control_port = (uint16_t)random_below(r, 65536);
	s->peers_version = some_count(r);
	s->tick.at_ns = some_count(r) / 2000 * 1000;
	s->tick.span_ns = random_below(r, 2000000) * 1000;
	s->nr_addresses = random_below(r, 3);
	for (size_t i = 0; i < s->nr_addresses; i++)
		snprintf(s->addresses[i], sizeof(s->addresses[i]), i ? "fd00::%zu" : "10.1.0.%zu",
			 i + 1);
	if (!random_below(r, 4))
		snprintf(s->lacks, sizeof(s->lacks), "no \"BPF\" here\n\t\x01 ü");
	s->nr_peers = random_below(r, 3);
	s->peers = calloc(s->nr_peers + 1, sizeof(*s->peers));
	for (size_t i = 0; i < s->nr_peers; i++) {
		s->peers[i].id = WIRE_PEER + (uint32_t)i;
		snprintf(s->peers[i].node, sizeof(s->peers[i].node), "node-%zu", i + 2);
		if (i)
			snprintf(s->peers[i].service, sizeof(s->peers[i].service), "db");
	}
	s->tick.services = calloc(nr + 1, sizeof(*s->tick.services));
	s->services = calloc(nr + 1, sizeof(*s->services));
	s->tick.edges = calloc(nr * 2 + 1, sizeof(*s->tick.edges));
	for (size_t i = 0; i < nr; i++)
		fill_service(r, (uint32_t)i + 1, &s->tick.services[i], &s->services[i]);
	s->tick.nr_services = nr;
	for (size_t i = 0; i < nr; i++) {
		struct edge_sample *e = &s->tick.edges[s->tick.nr_edges++];
		e->client = (uint32_t)i + 1;
		e->server = s->nr_peers ? s->peers[random_below(r, s->nr_peers)].id : 0;
		fill_edge(r, e);
		e = &s->tick.edges[s->tick.nr_edges++];
		e->client = i ? 1 : 0;
		e->server = (uint32_t)i + 1;
		fill_edge(r, e);
	}
}

static int decode_text(const char *text, size_t len, struct wire_sample *ret, char *why,
		       size_t size)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *flaw = "";

	snprintf(why, size, "not JSON");
	return json_parse(text, len, &j, &flaw) ?: wire_decode(j, ret, why, size);
}

static void encode(const struct wire_sample *s, struct buf *b)
{
	buf_init(b, WIRE_TEXT_MAX);
	assert_int_equal(wire_encode(s, b), 0);
}

static void assert_same(const struct wire_sample *a, const struct wire_sample *b)
{
	assert_string_equal(a->node, b->node);
	assert_string_equal(a->lacks, b->lacks);
	assert_true(a->boot == b->boot && a->seq == b->seq && a->wall_ms == b->wall_ms);
	assert_true(a->control_port == b->control_port && a->peers_version == b->peers_version);
	assert_true(a->tick.at_ns == b->tick.at_ns && a->tick.span_ns == b->tick.span_ns);
	assert_int_equal(a->nr_addresses, b->nr_addresses);
	assert_memory_equal(a->addresses, b->addresses, sizeof(a->addresses));
	assert_int_equal(a->nr_peers, b->nr_peers);
	assert_memory_equal(a->peers, b->peers, a->nr_peers * sizeof(*a->peers));
	assert_int_equal(a->tick.nr_services, b->tick.nr_services);
	assert_memory_equal(a->tick.services, b->tick.services,
			    a->tick.nr_services * sizeof(*a->tick.services));
	assert_memory_equal(a->services, b->services, a->tick.nr_services * sizeof(*a->services));
	assert_int_equal(a->tick.nr_edges, b->tick.nr_edges);
	assert_memory_equal(a->tick.edges, b->tick.edges,
			    a->tick.nr_edges * sizeof(*a->tick.edges));
}

static void test_wire_round_trip_of_any_sample(void **state)
{
	struct random r;

	(void)state;
	random_seed(&r, 7);
	for (size_t n = 0; n < ROUNDS; n++) {
		CLEANUP(wire_release) struct wire_sample s = { 0 }, got = { 0 };
		CLEANUP(buf_release) struct buf b;
		char why[200];

		make(&r, &s);
		encode(&s, &b);
		if (decode_text(b.data, b.len, &got, why, sizeof(why)))
			fail_msg("round %zu: %s: %s", n, why, b.data);
		assert_same(&s, &got);
	}
}

/* Whatever is made of a good text: refused with a sentence, or a sample that means the same when written again. */
static void test_wire_takes_no_harm_from_changed_text(void **state)
{
	struct random r;
	size_t refused = 0;

	(void)state;
	random_seed(&r, 11);
	for (size_t n = 0; n < MUTATIONS; n++) {
		CLEANUP(wire_release) struct wire_sample s = { 0 }, got = { 0 }, again = { 0 };
		CLEANUP(buf_release) struct buf b, c;
		static const char bytes[] = "{}[],:\"0123456789-.eE \\untrfalse\x80\xff";
		char why[200];

		make(&r, &s);
		encode(&s, &b);
		buf_init(&c, WIRE_TEXT_MAX);
		size_t len = random_below(&r, 8) ? b.len : random_below(&r, b.len);
		for (size_t k = 1 + random_below(&r, 4); k && len; k--)
			b.data[random_below(&r, len)] = bytes[random_below(&r, sizeof(bytes) - 1)];
		if (decode_text(b.data, len, &got, why, sizeof(why))) {
			assert_true(*why);
			refused++;
			continue;
		}
		assert_int_equal(wire_encode(&got, &c), 0);
		assert_int_equal(decode_text(c.data, c.len, &again, why, sizeof(why)), 0);
		assert_same(&got, &again);
	}
	assert_true(refused > MUTATIONS / 2 && refused < MUTATIONS);
}

#define HEAD "\"version\":1,\"node\":\"n\",\"boot\":1,\"seq\":1"
#define DB "{\"id\":1,\"name\":\"db\"}"

static void test_wire_refuses_what_no_agent_writes(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "[]", "one JSON object" },
		{ "{}", "version must be" },
		{ "{\"version\":2}", "version 2 are not understood" },
		{ "{\"version\":1.5}", "whole number" },
		{ "{\"version\":1}", "node must be a name" },
		{ "{\"version\":1,\"node\":\"../x\"}", "node must be a name" },
		{ "{\"version\":1,\"node\":\"n\",\"seq\":1}", "boot and seq" },
		{ "{\"version\":1,\"node\":\"n\",\"boot\":1}", "boot and seq" },
		{ "{\"version\":1,\"node\":\"n\",\"boot\":1,\"seq\":-1}", "seq must be" },
		{ "{\"version\":1,\"node\":\"n\",\"boot\":1e300,\"seq\":1}", "boot must be" },
		{ "{" HEAD ",\"token\":\"x\"}", "not known" },
		{ "{" HEAD ",\"lacks\":7}", "lacks must be" },
		{ "{" HEAD ",\"span_us\":3600000001}", "span_us must be" },
		{ "{" HEAD ",\"control_port\":65536}", "control_port must be" },
		{ "{" HEAD ",\"addresses\":[\"localhost\"]}", "numeric" },
		{ "{" HEAD ",\"addresses\":{}}", "must be a list" },
		{ "{" HEAD ",\"services\":[7]}", "must be objects" },
		{ "{" HEAD ",\"services\":[{\"id\":1}]}", "name must be" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"pod\":\"../x\"}]}",
		  "pod must be" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"namespace\":7}]}",
		  "namespace must be" },
		{ "{" HEAD ",\"services\":[{\"id\":0,\"name\":\"db\"}]}", "must be 1 or more" },
		{ "{" HEAD ",\"services\":[{\"id\":2147483648,\"name\":\"db\"}]}", "id must be" },
		{ "{" HEAD ",\"services\":[" DB "," DB "]}", "twice" },
		{ "{" HEAD ",\"services\":[" DB ",{\"id\":2,\"name\":\"db\"}]}", "twice" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"ports\":[0]}]}",
		  "port must be" },
		{ "{" HEAD
		  ",\"services\":[{\"id\":1,\"name\":\"db\",\"ports\":[1,2,3,4,5,6,7,8,9]}]}",
		  "8 are allowed" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"root\":true}]}",
		  "not known" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"requests\":\"9\"}]}",
		  "requests" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"requests\":9}]}", "add up" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"status_class\":[1]}]}",
		  "six" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"duration\":[1]}]}",
		  "pairs" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"duration\":[81,1]}]}",
		  "duration" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"duration\":[4,1,4,1]}]}",
		  "ascend" },
		{ "{" HEAD ",\"services\":[{\"id\":1,\"name\":\"db\",\"in_flight\":4294967296}]}",
		  "in_flight" },
		{ "{" HEAD ",\"peers\":[{\"id\":7,\"node\":\"m\"}]}", "peer must be" },
		{ "{" HEAD ",\"peers\":[{\"id\":2147483648}]}", "node must be" },
		{ "{" HEAD ",\"edges\":[{\"client\":1,\"server\":0}]}", "nobody" },
		{ "{" HEAD ",\"edges\":[{\"client\":0,\"server\":0}]}", "not this node's" },
		{ "{" HEAD ",\"services\":[" DB
		  "],\"edges\":[{\"client\":1,\"server\":2147483648}]}",
		  "nobody" },
		{ "{" HEAD ",\"services\":[" DB "],\"edges\":[{\"server\":1},{\"server\":1}]}",
		  "twice" },
		{ "{" HEAD ",\"services\":[" DB "],\"edges\":[{\"server\":1,\"server_failed\":1}]}",
		  "add up" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(wire_release) struct wire_sample got = { 0 };
		char why[200];

		if (!decode_text(cases[i].text, strlen(cases[i].text), &got, why, sizeof(why)))
			fail_msg("taken: %s", cases[i].text);
		if (!strstr(why, cases[i].says))
			fail_msg("%s: says \"%s\", not \"%s\"", cases[i].text, why, cases[i].says);
	}
}

static void test_wire_is_bounded(void **state)
{
	CLEANUP(wire_release) struct wire_sample s = { .node = "n", .boot = 1, .seq = 1 },
						 got = { 0 };
	CLEANUP(buf_release) struct buf b, many;
	char why[200];

	(void)state;
	s.tick.nr_edges = WIRE_EDGES_MAX + 1;
	buf_init(&b, WIRE_TEXT_MAX);
	assert_int_equal(wire_encode(&s, &b), -EMSGSIZE);
	s.tick.nr_edges = 0;
	buf_release(&b);
	buf_init(&b, 20);
	assert_int_equal(wire_encode(&s, &b), -EMSGSIZE);

	buf_init(&many, WIRE_TEXT_MAX);
	buf_addstr(&many, "{" HEAD ",\"services\":[");
	for (int i = 1; i <= SERVICE_MAX + 1; i++)
		buf_addf(&many, "%s{\"id\":%d,\"name\":\"s%d\"}", i > 1 ? "," : "", i, i);
	buf_addstr(&many, "]}");
	assert_int_equal(decode_text(many.data, many.len, &got, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "256 are allowed"));
}

/* The largest tick that we may have still goes through: 256 services, and edges with full histograms as far as they fit. */
static void test_wire_full_house_fits(void **state)
{
	CLEANUP(wire_release) struct wire_sample s = { .node = "n", .boot = 1, .seq = 1 },
						 got = { 0 };
	CLEANUP(buf_release) struct buf b;
	char why[200];
	struct random r;

	(void)state;
	random_seed(&r, 3);
	s.tick.services = calloc(SERVICE_MAX, sizeof(*s.tick.services));
	s.services = calloc(SERVICE_MAX, sizeof(*s.services));
	s.tick.edges = calloc(WIRE_EDGES_MAX, sizeof(*s.tick.edges));
	s.tick.nr_services = SERVICE_MAX;
	s.tick.nr_edges = WIRE_EDGES_MAX;
	for (uint32_t i = 0; i < SERVICE_MAX; i++)
		fill_service(&r, i + 1, &s.tick.services[i], &s.services[i]);
	for (uint32_t i = 0; i < WIRE_EDGES_MAX; i++) {
		s.tick.edges[i].client = i / SERVICE_MAX;
		s.tick.edges[i].server = i % SERVICE_MAX + 1;
		fill_edge(&r, &s.tick.edges[i]);
	}
	encode(&s, &b);
	assert_int_equal(decode_text(b.data, b.len, &got, why, sizeof(why)), 0);
	assert_same(&s, &got);
}

static void test_wire_answer_round_trip(void **state)
{
	struct wire_endpoint endpoints[] = {
		{ .node = "b", .address = "10.0.0.2" },
		{ .node = "b", .service = "db", .address = "10.0.0.2", .port = 8002 },
	};
	struct wire_answer a = { .version = 9,
				 .has_list = true,
				 .endpoints = endpoints,
				 .nr_endpoints = ARRAY_SIZE(endpoints) };
	CLEANUP(wire_answer_release) struct wire_answer got = { 0 };
	CLEANUP(json_freep) cJSON *j = wire_answer_json(&a);
	char why[200];

	(void)state;
	assert_non_null(j);
	assert_int_equal(wire_answer_decode(j, &got, why, sizeof(why)), 0);
	assert_true(got.version == 9 && got.has_list && got.nr_endpoints == 2);
	assert_memory_equal(got.endpoints, endpoints, sizeof(endpoints));
	wire_answer_release(&got);

	cJSON_DeleteItemFromObject(j, "peers");
	assert_int_equal(wire_answer_decode(j, &got, why, sizeof(why)), 0);
	assert_false(got.has_list);
	cJSON_AddNumberToObject(j, "more", 1);
	assert_int_equal(wire_answer_decode(j, &got, why, sizeof(why)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_round_trip_of_any_sample),
		cmocka_unit_test(test_wire_takes_no_harm_from_changed_text),
		cmocka_unit_test(test_wire_refuses_what_no_agent_writes),
		cmocka_unit_test(test_wire_is_bounded),
		cmocka_unit_test(test_wire_full_house_fits),
		cmocka_unit_test(test_wire_answer_round_trip),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
