// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The operator's source: the detector's judgement, fetched once a second by a thread of its
 * own and handed to the engine by the tick, each once. While the detector does not answer, the engine
 * stands still: no news is not good news. Services have ids of our own by (node, name), so that
 * a detector that is started again does not mix them up.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/json.h"
#include "kube/kube_lease.h"
#include "run_roles.h"

#define FETCH_NS NSEC_PER_SEC
#define FETCH_TIMEOUT_MS 3000
#define RESET_TIMEOUT_MS 5000
#define STALE_NS (5 * NSEC_PER_SEC)

struct known {
	char node[SERVICE_NAME_MAX], local[SERVICE_NAME_MAX];
};

struct follow {
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of stop; a leaf */
	pthread_cond_t wake;
	bool stop;
	atomic_bool cancel;
	struct hold *hold;
	struct http_client *http, *agents; /* the thread's own; the worker's own */
	char url[CONFIG_TEXT_MAX + 32];
	char *token, *agents_token; /* NULL: none */
	bool kubernetes;            /* pods may be repaired through it */
	/* The executor's own, before ours stand in front of them; NULL: none. */
	int (*change)(void *ctx, const struct change *c, char *says, size_t size);
	int (*undo)(void *ctx, const struct change *c, char *says, size_t size);

	/* The daemon's lock. */
	struct judgement *newest; /* NULL: none yet */
	uint64_t fetched_ns;      /* when it came */
	uint64_t given_life, given_tick;
	bool acted_before; /* it was ours when we looked last */
	bool began;        /* the engine has had a judgement since it is ours */
	bool others[SERVICE_MAX +
		    1]; /* by id: on its way back when we began; whoever acted before us has seen to it */
	struct known known[SERVICE_MAX]; /* the id is the place and one */
	size_t nr_known;
	uint64_t fetched, failed, unknown_full;
	char why[300]; /* "": it answers */
};

/* ---- ids of our own */

static uint32_t own_id(struct follow *f, const struct judgement_place *p)
{
	size_t i = 0;

	while (i < f->nr_known &&
	       (strcmp(f->known[i].node, p->node) != 0 || strcmp(f->known[i].local, p->local) != 0))
		i++;
	if (i == SERVICE_MAX) {
		f->unknown_full++;
		return 0;
	}
	if (i == f->nr_known) {
		memcpy(f->known[i].node, p->node, sizeof(p->node));
		memcpy(f->known[i].local, p->local, sizeof(p->local));
		f->nr_known++;
	}
	return (uint32_t)i + 1;
}

/* 0: nobody that has a place, so nobody that could be acted on. */
static uint32_t translate(struct follow *f, const struct judgement *j, uint32_t id)
{
	const struct judgement_place *p = judgement_place(j, id);

	return p ? own_id(f, p) : 0;
}

static void translate_diagnosis(struct follow *f, const struct judgement *j, struct diagnosis *d)
{
	size_t nr = 0;
	bool root_known = d->nr_causes && translate(f, j, d->causes[0].service);

	for (size_t i = 0; i < d->nr_causes; i++) {
		d->causes[nr] = d->causes[i];
		d->causes[nr].service = translate(f, j, d->causes[i].service);
		nr += d->causes[nr].service != 0;
	}
	d->nr_causes = nr;
	d->known = d->known && root_known;
	for (size_t i = nr = 0; i < d->nr_victims; i++) {
		d->victims[nr] = d->victims[i];
		d->victims[nr].service = translate(f, j, d->victims[i].service);
		nr += d->victims[nr].service != 0;
	}
	d->nr_victims = nr;
}

static void translate_all(struct follow *f, struct judgement *j)
{
	size_t nr = 0;

	for (size_t i = 0; i < j->nr_verdicts; i++) {
		j->verdicts[nr] = j->verdicts[i];
		j->verdicts[nr].service = translate(f, j, j->verdicts[i].service);
		nr += j->verdicts[nr].service != 0;
	}
	j->nr_verdicts = nr;
	for (size_t i = nr = 0; i < j->nr_facts; i++) {
		j->facts[nr] = j->facts[i];
		j->facts[nr].service = translate(f, j, j->facts[i].service);
		/* Nobody here can kill a process of another machine. */
		j->facts[nr].supervised = false;
		if (!f->kubernetes)
			facts_workload(&j->facts[nr], 0, "", "", "", "");
		nr += j->facts[nr].service != 0;
	}
	j->nr_facts = nr;
	if (j->has_diagnosis)
		translate_diagnosis(f, j, &j->diagnosis);
	/* Last: the others are looked up by what they were called there. */
	for (size_t i = 0; i < j->nr_places; i++)
		j->places[i].service = own_id(f, &j->places[i]);
}

/* ---- fetching */

/* "Authorization: Bearer …"; NULL where there is no token. @to holds it. */
static const char *bearer(const char *token, char *to, size_t size)
{
	if (!token)
		return NULL;
	snprintf(to, size, "Authorization: Bearer %s", token);
	return to;
}

static int fetch(struct follow *f, struct judgement *to, char *why, size_t size)
{
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	CLEANUP(json_freep) cJSON *j = NULL;
	char auth[SERVER_TOKEN_MAX + 32];
	const char *headers[] = { bearer(f->token, auth, sizeof(auth)), NULL }, *flaw = "";
	int err = http_client_do(f->http,
				 &(struct http_client_request){ .url = f->url,
								.headers = headers,
								.timeout_ms = FETCH_TIMEOUT_MS,
								.connect_timeout_ms = 1000,
								.body_max = JUDGEMENT_TEXT_MAX,
								.cancel = &f->cancel },
				 &r);

	explicit_bzero(auth, sizeof(auth));
	if (err) {
		snprintf(why, size, "the detector cannot be reached: %.200s", r.why);
		return err;
	}
	if (r.status != 200) {
		snprintf(why, size, "the detector says %d: %.200s", r.status, buf_str(&r.body));
		return -EIO;
	}
	if (json_parse(buf_str(&r.body), r.body.len, &j, &flaw)) {
		snprintf(why, size, "the detector's judgement cannot be read: %s", flaw);
		return -EPROTO;
	}
	return judgement_read(j, clock_mono_ns(), to, why, size);
}

static void take(struct daemon *d, struct judgement **fresh, int err, const char *why)
{
	struct follow *f = d->follow;

	pthread_mutex_lock(&d->lock);
	if (!!*f->why != !!err)
		log_as("detector", err ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, NULL, "%s",
		       err ? why : "its judgement is followed");
	snprintf(f->why, sizeof(f->why), "%s", err ? why : "");
	if (err) {
		f->failed++;
	} else {
		f->fetched++;
		f->fetched_ns = clock_mono_ns();
		translate_all(f, *fresh);
		struct judgement *old = f->newest;
		f->newest = *fresh;
		*fresh = old;
	}
	pthread_mutex_unlock(&d->lock);
}

static bool wait_next(struct follow *f, uint64_t until_ns)
{
	const struct timespec at = { .tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
				     .tv_nsec = (long)(until_ns % NSEC_PER_SEC) };

	pthread_mutex_lock(&f->lock);
	while (!f->stop && clock_mono_ns() < until_ns)
		pthread_cond_timedwait(&f->wake, &f->lock, &at);
	bool goes_on = !f->stop;
	pthread_mutex_unlock(&f->lock);
	return goes_on;
}

static void *work(void *ctx)
{
	struct daemon *d = ctx;
	struct follow *f = d->follow;
	struct judgement *spare = NULL;
	uint64_t next_ns = clock_mono_ns(), hold_ns = 0;

	while (wait_next(f, next_ns)) {
		char why[300] = "";

		next_ns = clock_mono_ns() + FETCH_NS;
		if (clock_mono_ns() >= hold_ns) {
			hold_step(f->hold, clock_mono_ns());
			hold_ns = clock_mono_ns() + KUBE_LEASE_RETRY_NS;
		}
		spare = spare ?: calloc(1, sizeof(*spare));
		if (spare)
			take(d, &spare, fetch(f, spare, why, sizeof(why)), why);
	}
	free(spare);
	return NULL;
}

/* ---- the tick */

/* What was anomalous and has calmed when we begin is another's incident, until it shows itself again. */
static void leave_to_others(struct follow *f, struct judgement *j, bool begins)
{
	bool any = false;

	for (size_t i = 0; i < j->nr_verdicts; i++) {
		struct verdict *v = &j->verdicts[i];
		bool *others = &f->others[v->service];

		*others = v->anomalous && !v->suspect && (begins || *others);
		v->anomalous = v->anomalous && !*others;
		any |= v->anomalous;
	}
	j->has_diagnosis = j->has_diagnosis && any;
}

static void tell_hold(struct follow *f, bool ours)
{
	char says[400];

	if (f->acted_before == ours)
		return;
	f->acted_before = ours;
	hold_says(f->hold, says, sizeof(says));
	log_info("%s", ours ? "this operator acts from here on" : says);
}

void follow_tick(struct daemon *d, uint64_t now_ns)
{
	struct follow *f = d->follow;
	struct judgement *j = f->newest;
	bool ours = hold_is_ours(f->hold, now_ns);
	const char *kill_switch = d->config->remediate.kill_switch;

	tell_hold(f, ours);
	if (!ours)
		f->began = false;
	if (!j || !ours || now_ns - f->fetched_ns >= STALE_NS ||
	    (j->life == f->given_life && j->tick == f->given_tick))
		return;
	f->given_life = j->life;
	f->given_tick = j->tick;
	leave_to_others(f, j, !f->began);
	f->began = true;
	engine_tick(d->engine,
		    &(struct engine_input){
			    .now_ns = now_ns,
			    .verdicts = j->verdicts,
			    .nr_verdicts = j->nr_verdicts,
			    .diagnosis = j->has_diagnosis ? &j->diagnosis : NULL,
			    .facts = j->facts,
			    .nr_facts = j->nr_facts,
			    .kill_switch = *kill_switch && access(kill_switch, F_OK) == 0,
		    });
}

/* ---- acting: the worker's thread, no lock held */

static int may_act(struct follow *f, char *says, size_t size)
{
	if (hold_is_ours(f->hold, clock_mono_ns()))
		return 0;
	snprintf(says, size, "nothing was done: another operator may be acting by now");
	return -EPERM;
}

static int find_agent(struct daemon *d, uint32_t service, struct judgement_place *ret, char *says,
		      size_t size)
{
	pthread_mutex_lock(&d->lock);
	const struct judgement *j = d->follow->newest;
	const struct judgement_place *p = j ? judgement_place(j, service) : NULL;
	if (p)
		*ret = *p;
	pthread_mutex_unlock(&d->lock);
	if (p && *p->address && p->port)
		return 0;
	snprintf(says, size, "the agent of its node cannot be asked: %s",
		 p ? "it has no port for that" : "the service is gone");
	return -EHOSTUNREACH;
}

static int count_ended(const struct http_client_response *r)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *flaw;

	if (json_parse(buf_str(&r->body), r->body.len, &j, &flaw))
		return -EPROTO;
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(j, "items");
	return cJSON_IsArray(items) ? cJSON_GetArraySize(items) : -EPROTO;
}

static int reset_fault(void *ctx, uint32_t service, const char *name, char *says, size_t size)
{
	struct daemon *d = ctx;
	struct follow *f = d->follow;
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	struct judgement_place p;
	char url[320], auth[SERVER_TOKEN_MAX + 32];
	const char *headers[] = { "X-Archaic-Request: 1",
				  bearer(f->agents_token, auth, sizeof(auth)), NULL };

	int err = may_act(f, says, size) ?: find_agent(d, service, &p, says, size);
	if (err)
		return err;
	/* Names and addresses were checked when they came: nothing in them needs an escape. */
	snprintf(url, sizeof(url),
		 strchr(p.address, ':') ? "http://[%s]:%u/v1/faults?service=%s" :
					  "http://%s:%u/v1/faults?service=%s",
		 p.address, p.port, p.local);
	err = http_client_do(f->agents,
			     &(struct http_client_request){ .url = url,
							    .method = "DELETE",
							    .headers = headers,
							    .timeout_ms = RESET_TIMEOUT_MS,
							    .cancel = &f->cancel },
			     &r);
	explicit_bzero(auth, sizeof(auth));
	if (err) {
		snprintf(says, size, "the agent of node %.63s cannot be reached: %.100s", p.node,
			 r.why);
		return err;
	}
	if (r.status != 200) {
		snprintf(says, size, "the agent of node %.63s says %d: %.120s", p.node, r.status,
			 buf_str(&r.body));
		return r.status == 404 ? -ENOENT : -EACCES;
	}
	int nr = count_ended(&r);
	if (nr >= 0)
		snprintf(says, size,
			 nr ? "disarmed %d fault(s) on %.63s, node %.63s" :
			      "%d faults were armed on %.63s, node %.63s",
			 nr, name, p.node);
	return nr;
}

static int restart(void *ctx, const struct service_facts *target, char *says, size_t size)
{
	(void)ctx;
	snprintf(says, size, "%.63s runs on another machine: no process there is killed from here",
		 target->name);
	return -ENOTSUP;
}

static int change(void *ctx, const struct change *c, char *says, size_t size)
{
	struct follow *f = ((struct daemon *)ctx)->follow;

	return may_act(f, says, size) ?: f->change(ctx, c, says, size);
}

static int undo(void *ctx, const struct change *c, char *says, size_t size)
{
	struct follow *f = ((struct daemon *)ctx)->follow;

	return may_act(f, says, size) ?: f->undo(ctx, c, says, size);
}

/* ---- life */

static int read_token(const char *path, char **ret)
{
	struct problem p = { 0 };

	if (!*path)
		return 0;
	int err = server_read_token(path, ret, &p);
	if (err)
		log_error("%s", p.detail);
	return err;
}

int follow_open(struct daemon *d)
{
	const struct config *c = d->config;
	pthread_condattr_t attr;
	struct follow *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	snprintf(f->url, sizeof(f->url), "%s/v1/judgement", c->roles.detector_url);
	snprintf(f->why, sizeof(f->why), "the detector has not answered yet");
	d->follow = f;
	d->executor.reset_fault = reset_fault;
	d->executor.restart = restart;
	f->kubernetes = *c->remediate.kubernetes != '\0';
	f->change = d->executor.change;
	f->undo = d->executor.undo;
	if (f->change)
		d->executor.change = change;
	if (f->undo)
		d->executor.undo = undo;
	int err = read_token(c->roles.detector_token_file, &f->token) ?:
		read_token(c->roles.agents_token_file, &f->agents_token);
	err = err ?: hold_open(c, &f->hold);
	err = err ?: http_client_new(&f->http);
	err = err ?: http_client_new(&f->agents);
	err = err ?: -pthread_create(&f->thread, NULL, work, d);
	f->running = !err;
	return err;
}

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* The worker is gone by now. */
void follow_close(struct daemon *d)
{
	struct follow *f = d->follow;

	if (!f)
		return;
	atomic_store(&f->cancel, true);
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (f->running)
		pthread_join(f->thread, NULL);
	hold_close(f->hold);
	http_client_free(f->http);
	http_client_free(f->agents);
	wipe(f->token);
	wipe(f->agents_token);
	free(f->newest);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f);
	d->follow = NULL;
}

bool follow_hears(const struct daemon *d)
{
	return !*d->follow->why;
}

void follow_lacks(struct daemon *d, char says[2][400])
{
	snprintf(says[0], 400, "%s", d->follow->why);
	hold_says(d->follow->hold, says[1], 400);
}
