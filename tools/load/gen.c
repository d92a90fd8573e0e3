// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/gen.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/util.h"

#define CHECK_NS (50 * NSEC_PER_MSEC)

struct slot {
	struct conn conn;
	struct gen *gen;
	struct slot *next; /* in the queue of those that have room */
	bool queued;
	uint64_t retry_ns; /* when to open it again; 0: now or never */
};

struct gen {
	const struct gen_options *o;
	struct tally *t;
	struct loop loop;
	struct slot *slots;
	struct slot *ready, **ready_end; /* open loop: first in, first out */
	struct buf batch;                /* @depth requests in a row */
	uint64_t start_ns, end_ns;       /* end_ns: the last instant for sending */
	uint64_t issued, limit;
	unsigned int in_flight;
	bool ended;
};

static bool header_ok(const char *h)
{
	size_t name = strcspn(h, ":");

	if (!name || h[name] != ':' || strcspn(h, " \t") < name)
		return false;
	for (; *h; h++)
		if ((unsigned char)*h < 0x20 && *h != '\t')
			return false;
	return true;
}

static bool named(const char *header, const char *name)
{
	size_t len = strlen(name);

	return !strncasecmp(header, name, len) && header[len] == ':';
}

int gen_build(const struct target *t, const struct gen_request *rq, struct buf *ret)
{
	bool host = false, agent = false;

	for (const char *const *h = rq->headers; h && *h; h++) {
		if (!header_ok(*h) || named(*h, "Content-Length") || named(*h, "Transfer-Encoding"))
			return -EINVAL;
		host |= named(*h, "Host");
		agent |= named(*h, "User-Agent");
	}
	int err = buf_addf(ret, "%s %s HTTP/1.1\r\n", rq->method, t->path);
	if (!err && !host)
		err = buf_addf(ret, "Host: %s\r\n", t->authority);
	if (!err && !agent)
		err = buf_addf(ret, "User-Agent: archaic-load/%s\r\n", ARCHAIC_VERSION);
	for (const char *const *h = rq->headers; !err && h && *h; h++)
		err = buf_addf(ret, "%s\r\n", *h);
	if (!err && rq->body)
		err = buf_addf(ret, "Content-Length: %zu\r\n", rq->body_len);
	if (!err && rq->close)
		err = buf_addstr(ret, "Connection: close\r\n");
	return err                      ?:
		buf_addstr(ret, "\r\n") ?:
					  (rq->body ? buf_add(ret, rq->body, rq->body_len) : 0);
}

static double due_ns(const struct gen *g, uint64_t i)
{
	return (double)g->start_ns + (double)i * 1e9 / g->o->rate_per_s;
}

/* How many requests the schedule has had by @now_ns; those of the last instant too, however late we wake. */
static uint64_t due_by(const struct gen *g, uint64_t now_ns)
{
	uint64_t elapsed_ns = MIN(now_ns, g->end_ns - 1) - g->start_ns;
	double due = floor((double)elapsed_ns * g->o->rate_per_s / 1e9) + 1;

	return due < (double)g->limit ? (uint64_t)due : g->limit;
}

/* How many requests may be sent now. */
static uint64_t allowed(const struct gen *g, uint64_t now_ns)
{
	if (g->ended)
		return 0;
	if (!g->o->rate_per_s)
		return now_ns < g->end_ns ? g->limit - g->issued : 0;
	uint64_t due = due_by(g, now_ns);
	return due > g->issued ? due - g->issued : 0;
}

static void give(struct gen *g, struct slot *s, uint64_t most, uint64_t now_ns)
{
	uint64_t due[CONN_DEPTH_MAX];
	unsigned int nr = (unsigned int)MIN((uint64_t)conn_room(&s->conn, g->o->depth), most);

	if (!nr)
		return;
	for (unsigned int i = 0; i < nr; i++)
		due[i] = g->o->rate_per_s ? (uint64_t)due_ns(g, g->issued + i) : now_ns;
	g->issued += nr;
	g->in_flight += nr;
	conn_send(&s->conn, g->batch.data, nr * g->o->text_len, due, nr, now_ns);
}

static void enqueue(struct gen *g, struct slot *s)
{
	if (s->queued || !conn_room(&s->conn, g->o->depth))
		return;
	s->queued = true;
	s->next = NULL;
	*g->ready_end = s;
	g->ready_end = &s->next;
}

static struct slot *dequeue(struct gen *g)
{
	struct slot *s = g->ready;

	g->ready = s->next;
	if (!g->ready)
		g->ready_end = &g->ready;
	s->queued = false;
	return s;
}

/* What is due goes to who has room, one each, so that they take turns. */
static void dispatch(struct gen *g, uint64_t now_ns)
{
	uint64_t nr = g->ready ? allowed(g, now_ns) : 0;

	while (nr && g->ready) {
		struct slot *s = dequeue(g);

		if (!conn_room(&s->conn, g->o->depth))
			continue;
		give(g, s, 1, now_ns);
		nr--;
		enqueue(g, s);
	}
}

static void refill(struct conn *c, uint64_t now_ns)
{
	struct slot *s = c->ctx;
	struct gen *g = s->gen;

	if (g->o->rate_per_s) {
		enqueue(g, s);
		dispatch(g, now_ns);
	} else {
		give(g, s, allowed(g, now_ns), now_ns);
	}
}

static void on_opened(struct conn *c, uint64_t now_ns)
{
	struct slot *s = c->ctx;

	s->gen->t->connects++;
	if (s->gen->start_ns)
		refill(c, now_ns);
}

static void on_answered(struct conn *c, const struct conn_request *rq, uint64_t now_ns)
{
	struct slot *s = c->ctx;

	s->gen->in_flight--;
	tally_answer(s->gen->t, rq, c->response.status, now_ns);
}

static void on_failed(struct conn *c, const struct conn_request *rq, enum failure why,
		      uint64_t now_ns)
{
	struct slot *s = c->ctx;

	s->gen->in_flight--;
	tally_failure(s->gen->t, rq, why, now_ns);
}

static void open_slot(struct slot *s, uint64_t now_ns);

/* An attempt for nothing: the request that it was made for has failed. */
static void connect_failed(struct slot *s, uint64_t now_ns)
{
	struct gen *g = s->gen;
	struct conn_request rq = { .due_ns = s->conn.opened_ns, .sent_ns = s->conn.opened_ns };

	s->retry_ns = now_ns + GEN_RETRY_NS;
	if (!g->start_ns || !allowed(g, now_ns))
		return;
	if (g->o->rate_per_s)
		rq.due_ns = (uint64_t)due_ns(g, g->issued);
	g->issued++;
	tally_failure(g->t, &rq, FAIL_CONNECT, now_ns);
}

static void on_closed(struct conn *c, enum failure why, uint64_t now_ns)
{
	struct slot *s = c->ctx;

	if (why == FAIL_CONNECT)
		connect_failed(s, now_ns);
	else if (!s->gen->ended && s->gen->issued < s->gen->limit)
		open_slot(s, now_ns);
}

static void open_slot(struct slot *s, uint64_t now_ns)
{
	s->retry_ns = 0;
	s->conn.opened_ns = now_ns;
	if (conn_open(&s->conn, s->gen->o->target, now_ns))
		connect_failed(s, now_ns);
}

static const struct conn_owner owner = { .opened = on_opened,
					 .answered = on_answered,
					 .failed = on_failed,
					 .drained = refill,
					 .closed = on_closed };

/* Time-outs, and connections that are to be opened again. */
static void check(struct gen *g, uint64_t now_ns)
{
	for (unsigned int i = 0; i < g->o->connections; i++) {
		struct slot *s = &g->slots[i];

		if (s->conn.state != CONN_CLOSED)
			conn_check(&s->conn, g->o->timeout_ns, now_ns);
		else if (!g->ended && s->retry_ns && now_ns >= s->retry_ns)
			open_slot(s, now_ns);
	}
}

/* Before the clock starts: everybody who can be connected is. */
static int connect_all(struct gen *g)
{
	uint64_t now_ns = clock_mono_ns(), until_ns = now_ns + g->o->timeout_ns;
	unsigned int open = 0, opening = 1;
	int err = 0, last = 0;

	for (unsigned int i = 0; i < g->o->connections; i++)
		open_slot(&g->slots[i], now_ns);
	while (!err && opening && now_ns < until_ns && !g->loop.signal) {
		err = loop_wait(&g->loop, MIN(until_ns, now_ns + CHECK_NS));
		now_ns = clock_mono_ns();
		open = opening = 0;
		for (unsigned int i = 0; i < g->o->connections; i++) {
			open += g->slots[i].conn.state == CONN_OPEN;
			opening += g->slots[i].conn.state == CONN_OPENING;
			last = g->slots[i].conn.err ?: last;
		}
	}
	if (err || open || g->loop.signal)
		return err;
	return last ? -last : -ETIMEDOUT;
}

static uint64_t next_wake(const struct gen *g, uint64_t check_ns)
{
	if (!g->o->rate_per_s || !g->ready || g->ended || g->issued >= g->limit)
		return check_ns;
	/* Rounded up: woken a nanosecond early, nothing would be due. */
	return MIN(check_ns, MAX((uint64_t)ceil(due_ns(g, g->issued)) + 1, g->start_ns));
}

static void end_sending(struct gen *g, uint64_t now_ns)
{
	uint64_t late = g->o->rate_per_s ? allowed(g, now_ns) : 0;

	g->ended = true;
	if (late)
		tally_unsent(g->t, due_ns(g, g->issued), 1e9 / g->o->rate_per_s, late, now_ns);
}

static int run(struct gen *g)
{
	uint64_t now_ns = clock_mono_ns(), check_ns = now_ns + CHECK_NS, second_ns;
	int err = 0;

	g->start_ns = g->t->start_ns = now_ns;
	g->end_ns = g->o->duration_ns ? now_ns + g->o->duration_ns : UINT64_MAX;
	second_ns = now_ns + NSEC_PER_SEC;
	for (unsigned int i = 0; i < g->o->connections; i++)
		if (g->slots[i].conn.state == CONN_OPEN)
			refill(&g->slots[i].conn, now_ns);
	while (!err) {
		err = loop_wait(&g->loop, next_wake(g, MIN(check_ns, second_ns)));
		now_ns = clock_mono_ns();
		if (g->o->rate_per_s)
			dispatch(g, now_ns);
		if (!g->ended && (now_ns >= g->end_ns || g->issued >= g->limit || g->loop.signal))
			end_sending(g, now_ns);
		if (now_ns >= check_ns) {
			check(g, now_ns);
			check_ns = now_ns + CHECK_NS;
		}
		if (now_ns >= second_ns) {
			if (!err && g->o->second)
				err = g->o->second(g->o->ctx, g->t, now_ns);
			tally_second(g->t);
			second_ns += NSEC_PER_SEC;
		}
		if (g->ended && !g->in_flight)
			break;
	}
	g->t->end_ns = clock_mono_ns();
	return err;
}

static int prepare(struct gen *g)
{
	int err = 0;

	buf_init(&g->batch, (size_t)GEN_REQUEST_MAX * CONN_DEPTH_MAX);
	g->ready_end = &g->ready;
	g->limit = g->o->requests ?: UINT64_MAX;
	g->slots = calloc(g->o->connections, sizeof(*g->slots));
	if (!g->slots)
		return -ENOMEM;
	for (unsigned int i = 0; !err && i < g->o->depth; i++)
		err = buf_add(&g->batch, g->o->text, g->o->text_len);
	for (unsigned int i = 0; i < g->o->connections; i++) {
		g->slots[i].gen = g;
		conn_init(&g->slots[i].conn, &g->loop, &owner, &g->slots[i]);
		g->slots[i].conn.head_only = g->o->head_only;
	}
	return err;
}

static void release(struct gen *g)
{
	g->ended = true;
	for (unsigned int i = 0; g->slots && i < g->o->connections; i++) {
		struct conn *c = &g->slots[i].conn;

		g->t->bytes_in += c->bytes_in;
		g->t->bytes_out += c->bytes_out;
		closep(&c->fd);
	}
	free(g->slots);
	buf_release(&g->batch);
	loop_release(&g->loop);
}

int gen_run(const struct gen_options *o, struct tally *t, int *signal)
{
	struct gen g = { .o = o, .t = t };

	if (!o->connections || o->connections > GEN_CONNECTIONS_MAX || !o->depth ||
	    o->depth > CONN_DEPTH_MAX || (!o->duration_ns && !o->requests) || !o->text_len ||
	    !(o->rate_per_s >= 0 && o->rate_per_s <= GEN_RATE_MAX))
		return -EINVAL;
	/* Wake-ups of an open loop are not to be rounded for saving power. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	int err = loop_init(&g.loop);
	if (err)
		return err;
	err = prepare(&g) ?: connect_all(&g);
	if (!err && !g.loop.signal)
		err = run(&g);
	*signal = g.loop.signal;
	release(&g);
	return err ?: *signal ? -EINTR : 0;
}
