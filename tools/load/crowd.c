// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/crowd.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/util.h"

#define CHECK_NS (50 * NSEC_PER_MSEC)
#define SIGNAL_GRACE_NS (500 * NSEC_PER_MSEC)
#define REQUEST_MAX 8192 /* bytes: a token and its headers */

struct user {
	struct crowd *crowd;
	struct customer customer;
	struct conn conns[NR_PARTS];
	bool active; /* on a journey, or resting before the next */
	bool resting;
	bool asking;      /* a request is under way, or waits for its connection */
	uint64_t wake_ns; /* when the next step begins; of no meaning while asking */
	uint64_t due_ns;
	struct buf request, body;
	char trace_id[JOURNEY_TRACE_SIZE];
};

struct crowd {
	const struct crowd_options *o;
	struct tally *t;
	struct loop loop;
	struct user *users;
	unsigned int nr_users;
	uint64_t start_ns, end_ns, stop_ns; /* stop_ns: grace is over */
	uint64_t random, slot_ns;
	bool stopped; /* what ends now is broken off, and counts no more */
};

/* xorshift64* (S. Vigna, 2016): half to one and a half of @ns. */
static uint64_t about(struct crowd *w, uint64_t ns)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	uint64_t r = (w->random * 0x2545f4914f6cdd1dULL) >> 54; /* 10 bits */

	return ns / 2 + ns / 1024 * r;
}

static void make_trace(char ret[static JOURNEY_TRACE_SIZE])
{
	unsigned char b[16] = { 0 };

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		b[0] = 1;
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562, version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	for (size_t i = 0, at = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			ret[at++] = '-';
		ret[at++] = "0123456789abcdef"[b[i] >> 4];
		ret[at++] = "0123456789abcdef"[b[i] & 15];
	}
	ret[JOURNEY_TRACE_SIZE - 1] = '\0';
}

/* When a request may leave: now, or in its slot. */
static uint64_t slot(struct crowd *w, uint64_t now_ns)
{
	if (!w->o->rate_per_s)
		return now_ns;
	uint64_t taken_ns = w->slot_ns = MAX(w->slot_ns, now_ns);

	w->slot_ns += (uint64_t)(1e9 / w->o->rate_per_s);
	return taken_ns;
}

/* Another journey lies ahead, @pause_ns from now or in its slot. */
static void rest(struct user *u, uint64_t pause_ns, uint64_t now_ns)
{
	u->resting = true;
	u->wake_ns = slot(u->crowd, now_ns + (u->crowd->o->rate_per_s ? 0 : pause_ns));
	journey_begin(&u->customer, u->crowd->o->per_login);
}

static void tell(struct user *u, const struct step_info *step, const struct conn_request *rq,
		 int status, enum failure why, uint64_t now_ns)
{
	struct crowd *w = u->crowd;
	const struct crowd_request e = {
		.service = journey_part_name(step->part),
		.method = step->method,
		.path = step->path,
		.trace_id = u->trace_id,
		.status = status,
		.failed = !status || status >= 400,
		.why = why,
		.started_ns = rq->due_ns,
		.ended_ns = now_ns,
	};

	if (w->o->ended)
		w->o->ended(w->o->ctx, &e);
}

/* The step's end, however it came about. */
static void step_ended(struct user *u, const struct conn_request *rq, int status, enum failure why,
		       uint64_t now_ns)
{
	struct crowd *w = u->crowd;
	enum step was = u->customer.step;

	if (w->stopped || !u->asking)
		return;
	u->asking = false;
	if (status)
		tally_answer(w->t, rq, status, now_ns);
	else
		tally_failure(w->t, rq, why, now_ns);
	tell(u, journey_step(was), rq, status, why, now_ns);
	bool ok = journey_answer(&u->customer, status, buf_str(&u->body), u->body.len);
	struct tally_check *check = &w->t->checks[was];

	check->ok += ok;
	check->fails += !ok;
	if (u->customer.step == NR_STEPS) {
		w->t->iterations++;
		rest(u, about(w, w->o->shape->pause_ns), now_ns);
	} else {
		uint64_t pause_ns = w->o->rate_per_s ? 0 : about(w, w->o->shape->step_pause_ns);

		u->wake_ns = slot(w, now_ns + pause_ns);
	}
}

static void send_request(struct user *u, struct conn *c, uint64_t now_ns)
{
	/* Latency counts from when the step began: a connection that had to be made is in it. */
	conn_send(c, u->request.data, u->request.len, &u->due_ns, 1, now_ns);
}

/* No connection, or no memory: the step has failed before it was sent. */
static void not_sent(struct user *u, uint64_t now_ns)
{
	struct conn_request rq = { .due_ns = u->due_ns, .sent_ns = u->due_ns };

	buf_reset(&u->body);
	step_ended(u, &rq, 0, FAIL_CONNECT, now_ns);
}

static void begin_step(struct user *u, uint64_t now_ns)
{
	struct crowd *w = u->crowd;
	enum part part = journey_step(u->customer.step)->part;
	struct conn *c = &u->conns[part];

	u->resting = false;
	u->asking = true;
	u->due_ns = w->o->rate_per_s ? u->wake_ns : now_ns;
	make_trace(u->trace_id);
	buf_reset(&u->request);
	if (journey_request(&u->customer, &w->o->targets[part], u->trace_id, &u->request) ||
	    (c->state == CONN_CLOSED && conn_open(c, &w->o->targets[part], now_ns)))
		not_sent(u, now_ns);
	else if (c->state == CONN_OPEN)
		send_request(u, c, now_ns);
}

static void on_opened(struct conn *c, uint64_t now_ns)
{
	struct user *u = c->ctx;

	u->crowd->t->connects++;
	if (u->asking)
		send_request(u, c, now_ns);
}

static void on_answered(struct conn *c, const struct conn_request *rq, uint64_t now_ns)
{
	step_ended(c->ctx, rq, c->response.status, NR_FAILURES, now_ns);
}

static void on_failed(struct conn *c, const struct conn_request *rq, enum failure why,
		      uint64_t now_ns)
{
	struct user *u = c->ctx;

	buf_reset(&u->body);
	step_ended(u, rq, 0, why, now_ns);
}

static void on_closed(struct conn *c, enum failure why, uint64_t now_ns)
{
	if (why == FAIL_CONNECT)
		not_sent(c->ctx, now_ns);
}

static void on_drained(struct conn *c, uint64_t now_ns)
{
	(void)c, (void)now_ns;
}

static const struct conn_owner owner = { .opened = on_opened,
					 .answered = on_answered,
					 .failed = on_failed,
					 .drained = on_drained,
					 .closed = on_closed };

/* Begins what is due, and sends home who is too many. The next instant at which something will be due. */
static uint64_t advance(struct crowd *w, unsigned int wanted, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (unsigned int i = 0; i < w->nr_users; i++) {
		struct user *u = &w->users[i];

		if (!u->active && i < wanted) {
			u->active = true;
			rest(u, 0, now_ns);
		} else if (u->resting && i >= wanted) {
			u->active = u->resting = false;
		}
		if (!u->active || u->asking)
			continue;
		if (u->wake_ns <= now_ns)
			begin_step(u, now_ns);
		if (u->active && !u->asking)
			next_ns = MIN(next_ns, u->wake_ns);
	}
	return next_ns;
}

static void check(struct crowd *w, uint64_t now_ns)
{
	for (unsigned int i = 0; i < w->nr_users; i++)
		for (int k = 0; k < NR_PARTS; k++)
			conn_check(&w->users[i].conns[k], w->o->timeout_ns, now_ns);
}

static unsigned int nr_active(const struct crowd *w)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < w->nr_users; i++)
		nr += w->users[i].active;
	return nr;
}

static int loop(struct crowd *w)
{
	uint64_t now_ns = w->start_ns, check_ns = now_ns, second_ns = now_ns + NSEC_PER_SEC;
	int err = 0;

	while (!err) {
		unsigned int wanted =
			now_ns < w->end_ns ? shape_users(w->o->shape, now_ns - w->start_ns) : 0;
		uint64_t next_ns = advance(w, wanted, now_ns);

		if (now_ns >= w->end_ns && (!nr_active(w) || now_ns >= w->stop_ns))
			break;
		next_ns = MIN(next_ns, now_ns + CHECK_NS);
		err = loop_wait(&w->loop, MIN(next_ns, second_ns));
		now_ns = clock_mono_ns();
		if (w->loop.signal && now_ns < w->end_ns) {
			w->end_ns = now_ns;
			w->stop_ns = now_ns + SIGNAL_GRACE_NS;
		}
		if (now_ns >= check_ns) {
			check(w, now_ns);
			check_ns = now_ns + CHECK_NS;
		}
		if (now_ns >= second_ns) {
			if (!err && w->o->second)
				err = w->o->second(w->o->ctx, w->t, nr_active(w), now_ns);
			tally_second(w->t);
			second_ns += NSEC_PER_SEC;
		}
	}
	return err;
}

static int prepare(struct crowd *w)
{
	w->nr_users = shape_users_max(w->o->shape);
	w->users = calloc(w->nr_users, sizeof(*w->users));
	if (!w->users)
		return -ENOMEM;
	for (unsigned int i = 0; i < w->nr_users; i++) {
		struct user *u = &w->users[i];

		u->crowd = w;
		u->customer.nr = i;
		memcpy(u->customer.run, w->o->run, sizeof(u->customer.run));
		buf_init(&u->request, REQUEST_MAX);
		buf_init(&u->body, JOURNEY_ANSWER_MAX);
		for (int k = 0; k < NR_PARTS; k++) {
			conn_init(&u->conns[k], &w->loop, &owner, u);
			u->conns[k].response.body = &u->body;
		}
	}
	w->t->nr_checks = NR_STEPS;
	for (int i = 0; i < NR_STEPS; i++)
		w->t->checks[i].name = journey_step((enum step)i)->check;
	return 0;
}

static void release(struct crowd *w)
{
	w->stopped = true;
	for (unsigned int i = 0; w->users && i < w->nr_users; i++) {
		struct user *u = &w->users[i];

		w->t->interrupted += u->active;
		for (int k = 0; k < NR_PARTS; k++) {
			w->t->bytes_in += u->conns[k].bytes_in;
			w->t->bytes_out += u->conns[k].bytes_out;
			closep(&u->conns[k].fd);
		}
		buf_release(&u->request);
		buf_release(&u->body);
	}
	free(w->users);
	loop_release(&w->loop);
}

_Static_assert(NR_STEPS <= TALLY_CHECKS_MAX, "a check for each step");

int crowd_run(const struct crowd_options *o, struct tally *t, int *signal)
{
	struct crowd w = { .o = o, .t = t, .random = o->seed };

	if (!o->seed || !o->per_login || !shape_users_max(o->shape))
		return -EINVAL;
	int err = loop_init(&w.loop);
	if (err)
		return err;
	err = prepare(&w);
	w.start_ns = w.slot_ns = t->start_ns = clock_mono_ns();
	w.end_ns = w.start_ns + shape_duration_ns(o->shape);
	w.stop_ns = w.end_ns + o->shape->grace_ns;
	if (!err)
		err = loop(&w);
	t->end_ns = clock_mono_ns();
	*signal = w.loop.signal;
	release(&w);
	return err ?: *signal ? -EINTR : 0;
}
