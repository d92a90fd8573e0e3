// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/util.h"
#include "netns.h"
#include "observe_scene.h"

const char *const SCENE_MIX[] = {
	"GET /200/5",
	"GET /200/300",
	"POST /201/20",
	"GET /204/0",
	"GET /404/9",
	"HEAD /200/1000",
	"GET /304/50",
	"POST /500/7",
	"GET /503/0",
	"GET /200/0",
	"PUT /200/1",
	"DELETE /204/0",
	"GET /200/77/chunked",
	"PATCH /409/12",
	"OPTIONS /200/0",
	"GET /302/3",
	NULL,
};
_Static_assert(sizeof(SCENE_MIX) / sizeof(*SCENE_MIX) == SCENE_NR_MIX + 1, "mix");

bool scene_available(const char *name)
{
	struct observer *o = NULL;
	struct problem p = { 0 };

	static bool tried, in_netns;

	if (!tried)
		in_netns = netns_enter() == 0;
	tried = true;
	if (!in_netns) {
		printf("SKIP %s: needs root, for a network namespace of its own\n", name);
		return false;
	}
	if (observer_open(&(struct observer_options){ 0 }, &o, &p)) {
		printf("SKIP %s: %s\n", name, p.detail);
		return false;
	}
	observer_close(o);
	return true;
}

static void on_change(void *ctx, const struct service *s, bool gone)
{
	struct scene *t = ctx;

	if (!t->observer)
		return;
	if (gone)
		observer_drop_service(t->observer, s->id);
	else
		assert_int_equal(observer_set_service(t->observer, s), 0);
}

void scene_changes(struct scene *t)
{
	registry_changes(t->registry, on_change, t);
}

/* What run.c does once a second. */
void scene_scan(struct scene *t)
{
	t->now += NSEC_PER_SEC;
	assert_int_equal(registry_scan(t->registry, t->now), 0);
	scene_changes(t);
}

void scene_attach_server(struct scene *t)
{
	struct service s;

	assert_int_equal(registry_attach(t->registry,
					 &(struct registry_attach){ .name = "server",
								    .port = t->server.port },
					 t->now, &s, NULL),
			 0);
	t->server_id = s.id;
}

void scene_attach_client(struct scene *t)
{
	struct service s;

	assert_int_equal(
		registry_attach(t->registry,
				&(struct registry_attach){ .name = "client", .pid = t->client.pid },
				t->now, &s, NULL),
		0);
	t->client_id = s.id;
}

/* Server and client run, the client has @early connections and has asked on each; then the observer opens. */
void scene_start(struct scene *t, unsigned int early, bool defer)
{
	static const char *const hello[] = { "GET /200/5", NULL };
	struct problem p = { 0 };

	memset(t, 0, sizeof(*t));
	t->now = clock_mono_ns();
	assert_int_equal(httpd_start(&t->server, 0, defer), 0);
	assert_int_equal(load_start(&t->client, t->server.port), 0);
	if (early) {
		assert_int_equal(load_connect(&t->client, early, false), 0);
		assert_int_equal(load_run(&t->client, hello, 1, early * 2), 0);
		memset(t->client.count, 0, sizeof(*t->client.count));
	}
	assert_int_equal(registry_new(&(struct registry_options){ 0 }, &t->registry), 0);
	const struct observer_options o = { .sample_every = 0,
					    .slow_ns = NSEC_PER_SEC,
					    .run_stats = true };
	if (observer_open(&o, &t->observer, &p))
		fail_msg("%s", p.detail);
}

void scene_stop(struct scene *t)
{
	observer_close(t->observer);
	registry_free(t->registry);
	load_stop(&t->client);
	httpd_stop(&t->server);
	tick_release(&t->last);
}

static void add_edge(struct edge_sample *sum, const struct edge_sample *e)
{
	sum->server_requests += e->server_requests;
	sum->server_failed += e->server_failed;
	sum->client_requests += e->client_requests;
	sum->client_failed += e->client_failed;
	sum->client_aborted += e->client_aborted;
	sum->server_duration_ns += e->server_duration_ns;
	sum->client_duration_ns += e->client_duration_ns;
	hist_add(&sum->server_duration, &e->server_duration);
	hist_add(&sum->client_duration, &e->client_duration);
	sum->client_in_flight = e->client_in_flight;
	sum->client_oldest_ns = e->client_oldest_ns;
}

static void add_service(struct service_sample *sum, const struct service_sample *s)
{
	sum->requests += s->requests;
	sum->duration_ns += s->duration_ns;
	sum->ttfb_ns += s->ttfb_ns;
	sum->rx_bytes += s->rx_bytes;
	sum->tx_bytes += s->tx_bytes;
	sum->aborted += s->aborted;
	sum->unparsed += s->unparsed;
	hist_add(&sum->duration, &s->duration);
	hist_add(&sum->ttfb, &s->ttfb);
	for (size_t i = 0; i < ARRAY_SIZE(sum->status_class); i++)
		sum->status_class[i] += s->status_class[i];
	sum->in_flight = s->in_flight;
	sum->oldest_ns = s->oldest_ns;
}

/* One tick, added to the sums. The server is that of the edge, whoever called. */
void scene_look(struct scene *t)
{
	struct tick tick = { 0 };

	t->edge.client_in_flight = 0;
	t->edge.client_oldest_ns = 0;
	assert_int_equal(observer_read(t->observer, clock_mono_ns(), t->registry, &tick), 0);
	const struct service_sample *s = tick_service(&tick, t->server_id);
	if (s)
		add_service(&t->served, s);
	for (size_t i = 0; i < tick.nr_edges; i++)
		if (tick.edges[i].server == t->server_id && tick.edges[i].client == t->client_id)
			add_edge(&t->edge, &tick.edges[i]);
	tick_release(&t->last);
	t->last = tick;
}

struct by_status {
	uint32_t server;
	uint8_t side;
	uint64_t n[LOAD_STATUS_MAX], untimed, timed;
};

static void add_series(void *ctx, const struct observer_series *s)
{
	struct by_status *b = ctx;

	if (s->key.server != b->server || s->key.side != b->side || !s->requests)
		return;
	assert_true(s->key.status < LOAD_STATUS_MAX);
	b->n[s->key.status] += s->requests;
	b->untimed += s->untimed;
	b->timed += hist_count(&s->duration);
	assert_int_equal(hist_count(&s->duration), hist_count(&s->ttfb));
}

/* Each status as often as the client counted it, at one end. */
static void assert_statuses(struct scene *t, uint8_t side)
{
	struct by_status b = { .server = t->server_id, .side = side };
	uint64_t sum = 0;

	observer_series(t->observer, add_series, &b);
	for (unsigned int i = 0; i < LOAD_STATUS_MAX; i++) {
		if (b.n[i] != t->client.count->status[i])
			fail_msg("status %u: %llu seen, %llu counted by the client", i,
				 (unsigned long long)b.n[i],
				 (unsigned long long)t->client.count->status[i]);
		sum += b.n[i];
	}
	assert_int_equal(b.timed + b.untimed, sum);
	assert_int_equal(b.untimed, 0);
}

static void assert_nothing_lost(struct scene *t)
{
	struct observer_self self;

	assert_int_equal(observer_self(t->observer, &self), 0);
	assert_int_equal(self.stats.storage_nomem, 0);
	assert_int_equal(self.stats.series_overflow + self.stats.series_dropped, 0);
	assert_int_equal(self.stats.pipeline_overflow, 0);
	assert_int_equal(
		self.stats.streams_lost + self.stats.streams_opaque + self.stats.streams_budget, 0);
	assert_int_equal(self.stats.orphan_responses, 0);
}

/* Both ends saw all that the client counted, and nothing is left over. */
void scene_assert_exact(struct scene *t)
{
	const struct load_count *c = t->client.count;
	uint64_t failed = 0;

	for (unsigned int i = 500; i < LOAD_STATUS_MAX; i++)
		failed += c->status[i];
	assert_int_equal(c->broken, 0);
	assert_int_equal(t->served.requests, c->requests);
	assert_int_equal(t->edge.server_requests, c->requests);
	assert_int_equal(t->edge.client_requests, c->requests);
	assert_int_equal(t->served.status_class[5], failed);
	assert_int_equal(t->edge.server_failed, failed);
	assert_int_equal(t->edge.client_failed, failed);
	assert_int_equal(t->served.rx_bytes, c->sent_bytes);
	assert_int_equal(t->served.tx_bytes, c->read_bytes);
	assert_int_equal(hist_count(&t->served.duration), c->requests);
	assert_int_equal(hist_count(&t->edge.client_duration), c->requests);
	assert_int_equal(t->served.aborted + t->edge.client_aborted, 0);
	assert_int_equal(t->served.unparsed, 0);
	assert_int_equal(t->served.in_flight + t->edge.client_in_flight, 0);
	/* A request is on its way before it arrives, and its answer arrives after it left. */
	assert_true(t->edge.client_duration_ns >= t->served.duration_ns);
	assert_true(t->served.duration_ns >= t->served.ttfb_ns);
	assert_statuses(t, ABI_SIDE_SERVER);
	assert_statuses(t, ABI_SIDE_CLIENT);
	assert_nothing_lost(t);
}

/* Ask the kernel again until @n requests wait at the server's end. */
void scene_look_until(struct scene *t, uint32_t n)
{
	uint64_t end = clock_mono_ns() + 5 * NSEC_PER_SEC;

	do
		scene_look(t);
	while (t->served.in_flight != n && clock_mono_ns() < end);
	assert_int_equal(t->served.in_flight, n);
}

/* ---- by hand */

int scene_call(uint16_t port, uint16_t *from)
{
	const struct timeval patience = { .tv_sec = 20 };
	const int one = 1;
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(*from) };
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t len = sizeof(here);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	here.sin_addr.s_addr = there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof(there)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &len), 0);
	*from = ntohs(here.sin_port);
	return fd;
}

void scene_ask(int fd, const char *line)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n\r\n", line);

	assert_int_equal(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

void scene_hear(int fd, size_t body)
{
	static char in[1 << 16];
	size_t head = 0, got = 0;

	while (!head || got < head + body) {
		ssize_t n = recv(fd, in, sizeof(in), 0);
		assert_true(n > 0);
		if (!head) {
			const char *end = memmem(in, (size_t)n, "\r\n\r\n", 4);
			assert_non_null(end);
			head = (size_t)(end + 4 - in);
		}
		got += (size_t)n;
	}
	assert_int_equal(got, head + body);
}
