// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The agent's way to the detector. The tick becomes text on the main thread, which never
 * waits; a thread of its own sends it, and tries again where that fails. What has no room in the
 * queue by then is the oldest: the detector would not use it any more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/json.h"
#include "kernel/proc_address.h"
#include "kernel/procs.h"
#include "kube/kube_config.h"
#include "run_roles.h"

#define QUEUE_MAX 8 /* ticks, about as many seconds */
#define RETRY_NS (250 * NSEC_PER_MSEC)
#define RETRY_MAX_NS (4 * NSEC_PER_SEC)
#define CONNECT_MS 1000
#define TIMEOUT_MS 3000
#define TOKEN_MAX (16U << 10)

/* A service's own address, and of which process it was read. */
struct home {
	uint32_t id, netns_ino;
	pid_t pid;
	char address[INET_ADDRSTRLEN];
};

struct push {
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of all down to the stats; a leaf */
	pthread_cond_t wake;
	bool stop;
	char *queue[QUEUE_MAX]; /* oldest first; owned */
	size_t len[QUEUE_MAX], nr;
	struct push_stats stats;
	atomic_bool cancel;

	/* The daemon's lock. */
	char node[NODE_NAME_MAX];
	uint64_t boot, seq, peers_version;
	struct wire_peer
		peers[WIRE_PEERS_MAX]; /* who was ever told of; the id is WIRE_PEER and the place */
	size_t nr_peers;
	struct home homes[SERVICE_MAX];
	uint32_t netns_ino; /* ours */

	/* The thread's own. */
	struct http_client *http;
	char url[CONFIG_TEXT_MAX + 16];
};

/* ---- a tick into text, on the main thread */

/* Where a service is that has a network namespace of its own; /proc is read when its main process is another. */
static void find_home(struct push *p, const struct service *from, struct wire_service *to)
{
	struct home *h = &p->homes[from->id % SERVICE_MAX];
	pid_t pid = from->nr_pids ? from->pids[0] : 0;

	if (!pid || !from->netns_ino || from->netns_ino == p->netns_ino)
		return;
	if (h->id != from->id || h->pid != pid || h->netns_ino != from->netns_ino) {
		*h = (struct home){ .id = from->id, .pid = pid, .netns_ino = from->netns_ino };
		if (proc_address(pid, h->address) < 0)
			h->address[0] = '\0';
	}
	memcpy(to->address, h->address, sizeof(h->address));
}

static void describe(struct daemon *d, struct wire_sample *s)
{
	for (size_t i = 0; i < s->tick.nr_services; i++) {
		const struct service *from = registry_by_id(d->registry, s->tick.services[i].id);
		struct wire_service *to = &s->services[i];

		if (!from)
			continue;
		to->nr_ports = from->nr_ports;
		memcpy(to->ports, from->ports, from->nr_ports * sizeof(*to->ports));
		to->supervised = from->supervised;
		to->processes = (uint32_t)from->nr_pids;
		find_home(d->push, from, to);
		memcpy(to->namespace, from->namespace, sizeof(to->namespace));
		memcpy(to->pod, from->pod, sizeof(to->pod));
	}
}

static void list_peer(struct wire_sample *s, const struct push *p, uint32_t id)
{
	for (size_t i = 0; i < s->nr_peers; i++)
		if (s->peers[i].id == id)
			return;
	s->peers[s->nr_peers++] = p->peers[id - WIRE_PEER];
}

/* Who is not in the sample is nobody: one that went while its connections go on. */
static uint32_t end_of(struct wire_sample *s, const struct push *p, uint32_t id)
{
	if (id >= WIRE_PEER && id - WIRE_PEER < p->nr_peers) {
		list_peer(s, p, id);
		return id;
	}
	return id < WIRE_PEER && tick_service(&s->tick, id) ? id : 0;
}

/* Edges whose ends can be named, each pair once. */
static void take_edges(struct wire_sample *s, const struct push *p, const struct tick *t,
		       uint64_t *lost)
{
	for (size_t i = 0; i < t->nr_edges; i++) {
		struct edge_sample e = t->edges[i];
		bool again = false;

		e.client = end_of(s, p, e.client);
		e.server = end_of(s, p, e.server);
		if (!tick_service(t, e.client) && !tick_service(t, e.server))
			continue;
		for (size_t k = 0; k < s->tick.nr_edges; k++)
			again |= s->tick.edges[k].client == e.client &&
				s->tick.edges[k].server == e.server;
		if (again || s->tick.nr_edges == WIRE_EDGES_MAX)
			(*lost)++;
		else
			s->tick.edges[s->tick.nr_edges++] = e;
	}
}

static int encode(struct daemon *d, const struct tick *t, struct buf *to, uint64_t *lost)
{
	struct push *p = d->push;
	struct wire_sample s = { .boot = p->boot,
				 .seq = ++p->seq,
				 .wall_ms = clock_wall_ms(),
				 .control_port = d->config->ports.chaos_port,
				 .peers_version = p->peers_version };
	CLEANUP(freep) struct wire_service *services =
		calloc(t->nr_services + 1, sizeof(*services));
	CLEANUP(freep) struct wire_peer *peers = calloc(WIRE_PEERS_MAX, sizeof(*peers));
	CLEANUP(freep) struct edge_sample *edges = calloc(WIRE_EDGES_MAX, sizeof(*edges));

	if (!services || !peers || !edges)
		return -ENOMEM;
	memcpy(s.node, p->node, sizeof(s.node));
	s.tick = *t;
	s.tick.edges = edges;
	s.tick.nr_edges = 0;
	s.services = services;
	s.peers = peers;
	if (!d->observer)
		snprintf(s.lacks, sizeof(s.lacks), "%.*s", WIRE_LACKS_MAX - 1, d->observer_lack);
	s.nr_addresses = own_addresses(s.addresses, WIRE_ADDRESSES_MAX);
	describe(d, &s);
	take_edges(&s, p, t, lost);
	return wire_encode(&s, to);
}

static void enqueue(struct push *p, char *text, size_t len)
{
	if (p->nr == QUEUE_MAX) {
		free(p->queue[0]);
		p->nr--;
		memmove(&p->queue[0], &p->queue[1], p->nr * sizeof(*p->queue));
		memmove(&p->len[0], &p->len[1], p->nr * sizeof(*p->len));
		p->stats.overrun++;
	}
	p->queue[p->nr] = text;
	p->len[p->nr++] = len;
	pthread_cond_signal(&p->wake);
}

void push_tick(struct daemon *d, const struct tick *t)
{
	CLEANUP(buf_release) struct buf b;
	struct push *p = d->push;
	uint64_t lost = 0;

	buf_init(&b, WIRE_TEXT_MAX);
	int err = encode(d, t, &b, &lost);
	size_t len = b.len;
	char *text = err ? NULL : buf_take(&b);
	pthread_mutex_lock(&p->lock);
	p->stats.edges_lost += lost;
	if (text)
		enqueue(p, text, len);
	else
		p->stats.too_big++;
	pthread_mutex_unlock(&p->lock);
}

/* ---- the answer: who is elsewhere */

/* The place of (node, service), a new one where it is needed; WIRE_PEERS_MAX: full. */
static size_t peer_place(struct push *p, const struct wire_endpoint *e)
{
	size_t i = 0;

	while (i < p->nr_peers &&
	       (strcmp(p->peers[i].node, e->node) != 0 ||
		strcmp(p->peers[i].service, e->service) != 0))
		i++;
	if (i < p->nr_peers || i == WIRE_PEERS_MAX)
		return i;
	p->peers[i].id = WIRE_PEER + (uint32_t)i;
	memcpy(p->peers[i].node, e->node, sizeof(e->node));
	memcpy(p->peers[i].service, e->service, sizeof(e->service));
	p->nr_peers++;
	return i;
}

static uint32_t id_of(struct daemon *d, const struct wire_endpoint *e)
{
	if (!strcmp(e->node, d->push->node)) {
		const struct service *s = registry_by_name(d->registry, e->service);
		return s ? s->id : 0;
	}
	size_t i = peer_place(d->push, e);
	return i < WIRE_PEERS_MAX ? WIRE_PEER + (uint32_t)i : 0;
}

static void key_of(const struct wire_endpoint *e, struct abi_remote_key *ret)
{
	struct in_addr v4;

	*ret = (struct abi_remote_key){ .port = e->port };
	if (inet_pton(AF_INET, e->address, &v4) == 1) {
		ret->addr[2] = htonl(0xffff);
		ret->addr[3] = v4.s_addr;
	} else {
		inet_pton(AF_INET6, e->address, ret->addr);
	}
}

static void take_list(struct daemon *d, const struct wire_answer *a)
{
	CLEANUP(freep) struct observer_remote *list = calloc(a->nr_endpoints + 1, sizeof(*list));
	uint64_t lost = 0;
	size_t nr = 0;

	if (!list)
		return;
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < a->nr_endpoints; i++) {
		list[nr].id = id_of(d, &a->endpoints[i]);
		key_of(&a->endpoints[i], &list[nr].key);
		lost += !list[nr].id;
		nr += !!list[nr].id;
	}
	if (d->observer && observer_set_remotes(d->observer, list, nr) < 0)
		lost++;
	d->push->peers_version = a->version;
	pthread_mutex_unlock(&d->lock);
	pthread_mutex_lock(&d->push->lock);
	d->push->stats.peers_lost += lost;
	pthread_mutex_unlock(&d->push->lock);
}

static void take_answer(struct daemon *d, const struct buf *body)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	CLEANUP(wire_answer_release) struct wire_answer a = { 0 };
	const char *flaw;
	char why[200];

	if (json_parse(buf_str(body), body->len, &j, &flaw) ||
	    wire_answer_decode(j, &a, why, sizeof(why)))
		return;
	if (a.has_list)
		take_list(d, &a);
}

/* ---- the thread */

/* Read anew for each call: Kubernetes changes it. 0, or -errno with @why. */
static int bearer(const struct config *c, char *line, size_t size, char *why, size_t why_size)
{
	CLEANUP(freep) char *token = NULL;

	*line = '\0';
	if (!*c->roles.samples_token_file)
		return 0;
	int err = kube_read_file(c->roles.samples_token_file, TOKEN_MAX, &token);
	if (err) {
		snprintf(why, why_size, "the token file %.100s cannot be read: %s",
			 c->roles.samples_token_file, strerror(-err));
		return err;
	}
	token[strcspn(token, "\r\n")] = '\0';
	snprintf(line, size, "Authorization: Bearer %s", token);
	explicit_bzero(token, strlen(token));
	return 0;
}

enum outcome { TAKEN, REFUSED, FAILED };

static enum outcome send_one(struct daemon *d, const char *text, size_t len, char *why, size_t size)
{
	struct push *p = d->push;
	char auth[TOKEN_MAX + 32];
	struct http_client_response r;
	const char *headers[] = { "Content-Type: application/json", auth, NULL };
	enum outcome ret = FAILED;

	if (bearer(d->config, auth, sizeof(auth), why, size))
		return FAILED;
	if (!*auth)
		headers[1] = NULL;
	int err = http_client_do(p->http,
				 &(struct http_client_request){ .url = p->url,
								.headers = headers,
								.body = text,
								.body_len = len,
								.connect_timeout_ms = CONNECT_MS,
								.timeout_ms = TIMEOUT_MS,
								.cancel = &p->cancel },
				 &r);
	explicit_bzero(auth, sizeof(auth));
	if (err) {
		snprintf(why, size, "the detector at %.60s cannot be reached: %.100s", p->url,
			 r.why);
	} else if (r.status == 200) {
		take_answer(d, &r.body);
		ret = TAKEN;
	} else {
		/* What this tick is refused for holds for it alone; no token or no detector holds for the next, too. */
		bool its_own = r.status == 400 || r.status == 409 || r.status == 413;
		snprintf(why, size, "the detector at %.60s says %d: %.100s", p->url, r.status,
			 buf_str(&r.body));
		ret = its_own ? REFUSED : FAILED;
	}
	http_client_response_release(&r);
	return ret;
}

/* What came of it: counted, and logged where it is news. */
static void note(struct push *p, enum outcome o, const char *why)
{
	bool news = p->stats.reached != (o != FAILED) || (o == FAILED && !*p->stats.why);

	p->stats.pushed += o == TAKEN;
	p->stats.refused += o == REFUSED;
	p->stats.retried += o == FAILED;
	p->stats.reached = o != FAILED;
	if (news && o == FAILED)
		log_warning("%s; %d ticks are kept meanwhile", why, QUEUE_MAX);
	else if (news)
		log_info("the detector takes our ticks; %llu found no room so far",
			 (unsigned long long)p->stats.overrun);
	else if (o == REFUSED && strcmp(p->stats.why, why) != 0)
		log_warning("%s", why);
	snprintf(p->stats.why, sizeof(p->stats.why), "%s", o == TAKEN ? "" : why);
}

/* Under p->lock. */
static void wait_until(struct push *p, uint64_t until_ns)
{
	const struct timespec at = { .tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
				     .tv_nsec = (long)(until_ns % NSEC_PER_SEC) };

	while (!p->stop && clock_mono_ns() < until_ns)
		pthread_cond_timedwait(&p->wake, &p->lock, &at);
}

/* The oldest goes out of the queue to be sent, and back to its head where that failed and there is room. */
static void put_back(struct push *p, char *text, size_t len)
{
	if (p->nr == QUEUE_MAX || p->stop) {
		p->stats.overrun++;
		free(text);
		return;
	}
	memmove(&p->queue[1], &p->queue[0], p->nr * sizeof(*p->queue));
	memmove(&p->len[1], &p->len[0], p->nr * sizeof(*p->len));
	p->queue[0] = text;
	p->len[0] = len;
	p->nr++;
}

static void send_oldest(struct daemon *d, uint64_t *retry_ns)
{
	struct push *p = d->push;
	char *text = p->queue[0], why[200] = "";
	size_t len = p->len[0];

	p->nr--;
	memmove(&p->queue[0], &p->queue[1], p->nr * sizeof(*p->queue));
	memmove(&p->len[0], &p->len[1], p->nr * sizeof(*p->len));
	pthread_mutex_unlock(&p->lock);
	enum outcome o = send_one(d, text, len, why, sizeof(why));
	pthread_mutex_lock(&p->lock);
	note(p, o, why);
	if (o != FAILED) {
		free(text);
		*retry_ns = RETRY_NS;
		return;
	}
	put_back(p, text, len);
	wait_until(p, clock_mono_ns() + *retry_ns);
	*retry_ns = MIN(*retry_ns * 2, (uint64_t)RETRY_MAX_NS);
}

static void *work(void *ctx)
{
	struct daemon *d = ctx;
	struct push *p = d->push;
	uint64_t retry_ns = RETRY_NS;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (p->nr)
			send_oldest(d, &retry_ns);
		else
			pthread_cond_wait(&p->wake, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- life */

/* A host's name may hold what a node's may not. */
static void name_node(const struct config *c, char to[static NODE_NAME_MAX])
{
	char host[NODE_NAME_MAX] = "";

	snprintf(to, NODE_NAME_MAX, "%s", c->roles.node);
	if (*to)
		return;
	gethostname(host, sizeof(host) - 1);
	snprintf(to, NODE_NAME_MAX, "%s", service_name_valid(host) ? host : "node");
}

int push_open(struct daemon *d)
{
	pthread_condattr_t attr;
	struct push *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);
	d->push = p;
	name_node(d->config, p->node);
	proc_netns(getpid(), &p->netns_ino);
	p->boot = d->started_wall_ms;
	snprintf(p->url, sizeof(p->url), "%s/v1/samples", d->config->roles.detector_url);
	int err = http_client_new(&p->http);
	err = err ?: -pthread_create(&p->thread, NULL, work, d);
	p->running = !err;
	log_info("this is node %s; its ticks go to %s", p->node, p->url);
	return err;
}

void push_close(struct daemon *d)
{
	struct push *p = d->push;

	if (!p)
		return;
	atomic_store(&p->cancel, true);
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->thread, NULL);
	for (size_t i = 0; i < p->nr; i++)
		free(p->queue[i]);
	http_client_free(p->http);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	d->push = NULL;
}

void push_stats(struct daemon *d, struct push_stats *ret)
{
	pthread_mutex_lock(&d->push->lock);
	*ret = d->push->stats;
	ret->waiting = d->push->nr;
	pthread_mutex_unlock(&d->push->lock);
}
