// SPDX-License-Identifier: GPL-2.0-or-later
#include <unistd.h>

#include "base/clock.h"
#include "run_export.h"
#include "run_live.h"
#include "run_roles.h"

#define SCAN_NS NSEC_PER_SEC
#define STILL_OPEN_NS (30 * NSEC_PER_SEC)
#define STILL_OPEN_MAX_NS (16 * STILL_OPEN_NS)

void daemon_sync_service(struct daemon *d, const struct service *s)
{
	if (d->observer)
		observer_set_service(d->observer, s);
	faults_service(d->faults, s);
}

void daemon_drop_service(struct daemon *d, uint32_t id, bool may_return)
{
	if (d->faults)
		faults_drop_service(d->faults, id);
	if (d->observer)
		observer_drop_service(d->observer, id);
	if (d->detector && may_return) {
		detector_shelve(d->detector, id);
		diagnoser_shelve(d->diagnoser, id);
	} else if (d->detector) {
		detector_forget(d->detector, id);
		diagnoser_forget(d->diagnoser, id);
	}
	recent_forget(d->recent, id);
}

static void on_change(void *ctx, const struct service *s, bool gone)
{
	struct daemon *d = ctx;

	if (gone) {
		log_info("service %s is gone", s->name);
		daemon_drop_service(d, s->id, s->instance && s->found);
	} else {
		daemon_sync_service(d, s);
	}
}

void daemon_scan(struct daemon *d, uint64_t now_ns)
{
	d->next_scan_ns = now_ns + SCAN_NS;
	registry_scan(d->registry, now_ns);
	registry_changes(d->registry, on_change, d);
}

static void on_request(void *ctx, const struct abi_request *r)
{
	struct daemon *d = ctx;

	requests_add(d->requests, r);
	trace_export_request(d);
}

/* The counters of one tick; an empty tick where this kernel gives none. */
static void read_tick(struct daemon *d, uint64_t now_ns, struct tick *t)
{
	*t = (struct tick){ .at_ns = now_ns, .span_ns = d->tick_ns };
	if (!d->observer)
		return;
	/* On failure the next read covers both spans: nothing is lost, this tick stays empty. */
	if (observer_read(d->observer, now_ns, d->registry, t) < 0)
		d->failed_reads++;
	observer_requests(d->observer, on_request, d);
}

static void gather_facts(struct daemon *d, const struct tick *t)
{
	const struct service *s;

	facts_begin(d->facts, t);
	for (size_t i = 0; (s = registry_at(d->registry, i)); i++)
		if (nodes_know(d, s->id))
			facts_add(d->facts, t, s);
}

static bool any_anomalous(const struct daemon *d)
{
	for (size_t i = 0; i < d->nr_verdicts; i++)
		if (d->verdicts[i].anomalous)
			return true;
	return false;
}

/* An anomaly that does not end says why, each time it has lasted twice as long, and every eight minutes. */
static bool still_open_is_news(const struct verdict *v, uint64_t tick_ns)
{
	uint64_t open_ns = v->at_ns - v->opened_ns, mark_ns = STILL_OPEN_NS;

	while (mark_ns < STILL_OPEN_MAX_NS && mark_ns * 2 <= open_ns)
		mark_ns *= 2;
	return open_ns >= mark_ns && open_ns % mark_ns < tick_ns;
}

static void log_verdicts(const struct daemon *d, uint64_t span_ns)
{
	for (size_t i = 0; i < d->nr_verdicts; i++) {
		const struct verdict *v = &d->verdicts[i];
		if (v->opened)
			log_as(v->name, LOG_LEVEL_WARNING, NULL,
			       "anomaly (%s, score %.3f over %.3f): %s", scorer_name(v->scorer),
			       v->score, v->threshold, v->why);
		else if (v->closed)
			log_as(v->name, LOG_LEVEL_INFO, NULL,
			       v->accepted ?
				       "anomaly over: what it has done since then is its normal from here on" :
				       "anomaly over");
		else if (v->anomalous && still_open_is_news(v, span_ns))
			log_as(v->name, LOG_LEVEL_WARNING, NULL,
			       "still an anomaly after %.0f s; %.1f s ago: %s; %u of %u calm ticks since",
			       (double)(v->at_ns - v->opened_ns) / 1e9,
			       (double)(v->at_ns - v->suspect_ns) / 1e9, v->open_why, v->calm,
			       v->calm_needed);
		if (v->suspect)
			log_as(v->name, LOG_LEVEL_DEBUG, NULL, "suspect (%s): %s",
			       scorer_name(v->scorer), v->why);
	}
}

static void judge(struct daemon *d, const struct tick *t)
{
	struct diagnosis *diagnosis = &d->judged.diagnosis;
	bool anomalous;
	size_t nr_facts;

	detector_tick(d->detector, t, d->verdicts, SERVICE_MAX, &d->nr_verdicts);
	log_verdicts(d, t->span_ns);
	live_verdicts(d);
	diagnoser_feed(d->diagnoser, t, d->verdicts, d->nr_verdicts);
	anomalous = any_anomalous(d);
	if (anomalous) {
		diagnoser_run(d->diagnoser, diagnosis);
		nodes_silence(d, diagnosis);
	}
	d->judged.has_diagnosis = anomalous;
	d->judged.at_ns = t->at_ns;
	d->judged.tick++;
	gather_facts(d, t);

	const char *kill_switch = d->config->remediate.kill_switch;
	const struct service_facts *facts = facts_list(d->facts, &nr_facts);
	engine_tick(d->engine,
		    &(struct engine_input){
			    .now_ns = t->at_ns,
			    .verdicts = d->verdicts,
			    .nr_verdicts = d->nr_verdicts,
			    .diagnosis = anomalous ? diagnosis : NULL,
			    .facts = facts,
			    .nr_facts = nr_facts,
			    .kill_switch = *kill_switch && access(kill_switch, F_OK) == 0,
		    });
}

static void on_fault_ended(const struct fault *f, void *ctx)
{
	live_fault(ctx, f);
	log_as(f->req.service, f->state == FAULT_FAILED ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, NULL,
	       "fault %s (%s) %s: %s", f->id, fault_types()[f->req.type].name,
	       fault_state_name(f->state), f->says);
}

static void tick_faults(struct daemon *d)
{
	const struct service *s;

	for (size_t i = 0; d->observer && (s = registry_at(d->registry, i)); i++)
		faults_observed(d->faults, s->id, observer_served(d->observer, s->id));
	faults_tick(d->faults, clock_boot_ns(), on_fault_ended, d);
	if (d->observer)
		observer_both_ends(d->observer, faults_rewrite(d->faults));
}

void daemon_tick(struct daemon *d, uint64_t now_ns)
{
	struct tick t;

	pthread_mutex_lock(&d->lock);
	if (role_watches(d) && now_ns >= d->next_scan_ns)
		daemon_scan(d, now_ns);
	if (d->merge)
		nodes_tick(d, now_ns, &t);
	else
		read_tick(d, now_ns, &t);
	if (d->detector)
		judge(d, &t);
	if (d->follow)
		follow_tick(d, now_ns);
	if (d->faults)
		tick_faults(d);
	if (d->push)
		push_tick(d, &t);
	live_tick(d, &t);
	recent_push(d->recent, &t);

	/* Short ticks only until it is known what is usual: then a second is enough, and costs a tenth. */
	if (!d->warm && d->detector && detector_warm(d->detector) && diagnoser_warm(d->diagnoser)) {
		d->warm = true;
		d->tick_ns = d->config->observe.tick_ns;
		log_info(
			"every baseline is full (%u samples): the forest decides from here on, one tick is %.1f s",
			d->config->detect.baseline, (double)d->tick_ns / 1e9);
	}
	pthread_mutex_unlock(&d->lock);
}
