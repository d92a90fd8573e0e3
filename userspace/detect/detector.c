// SPDX-License-Identifier: GPL-2.0-or-later
#include "detect/detector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "detect/detector_state.h"

#define FITS_A_TICK 2    /* whole fits take about 15 ms: the rest waits for the next tick */
#define REFIT_EARLY 256  /* clean vectors, while the reservoir fills after that */
#define REFIT_EVERY 1024 /* clean vectors, once the baseline is full */

void detector_config_default(struct detector_config *cfg)
{
	*cfg = (struct detector_config){
		.seed = 1,
		.shadow_samples = 256,
		.baseline_samples = 1024,
		.calm_ticks = 12,
		.tree_period_ns = 10 * NSEC_PER_SEC,
		.accept_ns = 30 * 60 * NSEC_PER_SEC,
		.limits = { .p99_ms = 1000, .errors_ratio = .1, .loss_ns = 3 * NSEC_PER_SEC },
	};
}

int detector_new(const struct detector_config *cfg, struct detector **ret)
{
	struct detector_config c;

	detector_config_default(&c);
	if (cfg)
		c = *cfg;
	if (c.shadow_samples < TAIL_SAMPLES_MIN || c.baseline_samples < c.shadow_samples ||
	    c.baseline_samples > BASELINE_MAX || !c.calm_ticks || !c.tree_period_ns ||
	    !c.accept_ns || !(c.limits.p99_ms > 0) || !(c.limits.errors_ratio >= 0) ||
	    !c.limits.loss_ns)
		return -EINVAL;

	struct detector *d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->cfg = c;
	*ret = d;
	return 0;
}

static void entry_free(struct entry *e)
{
	baseline_release(&e->baseline);
	free(e->candidates.rows);
	free(e);
}

void detector_free(struct detector *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->nr_entries; i++)
		entry_free(d->entries[i]);
	for (size_t i = 0; i < d->nr_restored; i++)
		free(d->restored[i].rows);
	free(d);
}

static struct entry *find(const struct detector *d, uint32_t id)
{
	for (size_t i = 0; i < d->nr_entries; i++)
		if (d->entries[i]->id == id)
			return d->entries[i];
	return NULL;
}

/* The entry of a service, made where it is new; NULL where the table is full or memory is out. */
static struct entry *entry_for(struct detector *d, const struct service_sample *s, int *err)
{
	struct entry *e = find(d, s->id);

	if (e) {
		/* A found service that is attached gets another name, and keeps its id and baseline. */
		memcpy(e->name, s->name, sizeof(e->name));
		return e;
	}
	if (d->nr_entries == SERVICE_MAX) {
		d->stats.services_refused++;
		return NULL;
	}
	e = calloc(1, sizeof(*e));
	if (!e || baseline_init(&e->baseline, d->cfg.seed + s->id)) {
		free(e);
		*err = -ENOMEM;
		return NULL;
	}
	e->id = s->id;
	snprintf(e->name, sizeof(e->name), "%.*s", (int)sizeof(s->name) - 1, s->name);
	e->fit_at = d->cfg.shadow_samples;
	if (detector_restore(d, e))
		*err = -ENOMEM;
	d->entries[d->nr_entries++] = e;
	return e;
}

/* ---- learning */

static void pend(struct entry *e, const struct features *f)
{
	if (e->nr_pending == PENDING_MAX) {
		/* Ticks shorter than 84 ms: the oldest has waited long enough. */
		baseline_learn(&e->baseline, e->pending[e->pending_first].v);
		e->pending_first = (e->pending_first + 1) % PENDING_MAX;
		e->nr_pending--;
	}
	struct pending *p = &e->pending[(e->pending_first + e->nr_pending++) % PENDING_MAX];
	p->at_ns = e->window.at_ns;
	memcpy(p->v, f->v, sizeof(p->v));
}

/* Vectors that waited long enough without an anomaly are clean. */
static void learn(struct detector *d, struct entry *e)
{
	while (e->nr_pending &&
	       e->window.at_ns - e->pending[e->pending_first].at_ns >= LEARN_DELAY_NS) {
		baseline_learn(&e->baseline, e->pending[e->pending_first].v);
		e->pending_first = (e->pending_first + 1) % PENDING_MAX;
		e->nr_pending--;
		d->stats.samples_learned++;
	}
}

static bool fit_due(const struct entry *e)
{
	const struct baseline *b = &e->baseline;

	return b->nr >= e->fit_at ||
		(b->fitted_nr == BASELINE_MAX && b->seen - b->fitted_seen >= REFIT_EVERY);
}

/* Fits double until the baseline is full, then come often, since a minute or two is no long look, and at
 * last with every 1,024 vectors. */
static int refit(struct detector *d, struct entry *e, size_t *budget)
{
	struct baseline *b = &e->baseline;

	if (fit_due(e)) {
		if (!*budget)
			return 0;
		(*budget)--;
		int err = baseline_fit(b);
		if (err)
			return err;
		d->stats.fits++;
		e->tree_ns = e->window.at_ns;
		size_t next = b->nr + REFIT_EARLY;
		if (b->nr < d->cfg.baseline_samples)
			next = MIN(b->nr * 2, d->cfg.baseline_samples);
		e->fit_at = b->nr == BASELINE_MAX ? SIZE_MAX : MIN(next, (size_t)BASELINE_MAX);
		return 0;
	}
	if (!entry_warm(e, &d->cfg) || e->window.at_ns - e->tree_ns < d->cfg.tree_period_ns)
		return 0;
	e->tree_ns = e->window.at_ns;
	int err = baseline_refresh_tree(b);
	d->stats.trees_replaced += !err;
	return err;
}

static void remember_candidate(struct entry *e, const struct features *f)
{
	struct candidates *c = &e->candidates;

	/* Without memory there is no new level to accept: nothing else is lost. */
	if (!c->rows)
		c->rows = calloc(CANDIDATES_MAX, sizeof(*c->rows));
	if (!c->rows)
		return;
	for (size_t i = 0; i < NR_FEATURES; i++)
		c->rows[c->next][i] = (float)f->v[i];
	c->next = (c->next + 1) % CANDIDATES_MAX;
	c->nr = MIN(c->nr + 1, (size_t)CANDIDATES_MAX);
}

static void forget_candidates(struct entry *e)
{
	free(e->candidates.rows);
	e->candidates = (struct candidates){ 0 };
}

/* What the service does now becomes its normal. */
static int accept_level(struct detector *d, struct entry *e)
{
	struct candidates *c = &e->candidates;
	bool enough = c->nr >= d->cfg.shadow_samples;
	int err = 0;

	baseline_reset(&e->baseline);
	e->nr_pending = 0;
	e->fit_at = d->cfg.shadow_samples;
	for (size_t i = 0; enough && i < c->nr; i++) {
		double v[NR_FEATURES];
		size_t at = (c->next + CANDIDATES_MAX - c->nr + i) % CANDIDATES_MAX;
		for (size_t f = 0; f < NR_FEATURES; f++)
			v[f] = c->rows[at][f];
		baseline_learn(&e->baseline, v);
	}
	if (enough) {
		size_t budget = 1;
		err = refit(d, e, &budget);
	}
	forget_candidates(e);
	e->debounce.votes = 0;
	e->debounce.calm = d->cfg.calm_ticks;
	e->accepted = true;
	d->stats.accepted++;
	return err;
}

/*
 * Keep a candidate from an anomalous tick, and forget what came just before; learn all else. A suspect
 * tick that led to nothing is the tail of what is normal: masked, it would stay suspect for ever.
 */
static int take_sample(struct detector *d, struct entry *e, const struct features *f,
		       size_t *budget)
{
	const struct verdict *v = &e->verdict;
	bool held = e->window.at_ns < e->hold_until_ns;
	bool usable = !held && !f->total_loss && !static_effects(f, &d->cfg.limits);

	if (v->anomalous || held) {
		d->stats.samples_masked += 1 + e->nr_pending;
		e->nr_pending = 0;
		if (v->anomalous && usable) {
			if (!e->candidates.calm_since_ns)
				e->candidates.calm_since_ns = e->window.at_ns;
			remember_candidate(e, f);
			if (e->window.at_ns - e->candidates.calm_since_ns >= d->cfg.accept_ns)
				return accept_level(d, e);
		} else if (v->anomalous) {
			forget_candidates(e);
		}
		return 0;
	}
	forget_candidates(e);
	if (f->traffic)
		pend(e, f);
	learn(d, e);
	return refit(d, e, budget);
}

/* ---- one tick */

/* The scorer of an anomaly is the forest where the forest was among those that opened it. */
static enum scorer latch_scorer(const struct entry *e, enum scorer now)
{
	for (size_t i = 0; i < VOTES_WINDOW; i++)
		if (e->votes[i].scorer == SCORER_FOREST)
			return SCORER_FOREST;
	return now;
}

/*
 * The deviation began with the first of the votes that opened it, or before it, in the run of ticks
 * without a gap that were unlike the baseline. One calm vote among suspect ones is part of it; across
 * more, and across any gap among ticks that are merely unlike, noise would be linked to noise, as far
 * back as one looks.
 */
static uint64_t onset(const struct entry *e)
{
	uint64_t ret = e->unlike_since_ns ?: e->window.at_ns;
	size_t calm = 0;

	for (size_t i = 0; i < VOTES_WINDOW && calm < 2; i++) {
		bool suspect = e->votes[i].scorer != SCORER_NONE;
		calm = suspect ? 0 : calm + 1;
		if (suspect)
			ret = MIN(ret, e->votes[i].since_ns);
	}
	return ret;
}

static void note_unlike(struct entry *e, const struct features *f, bool unlike)
{
	uint64_t now = e->window.at_ns;

	if (!unlike) {
		e->unlike_since_ns = 0;
		return;
	}
	if (!e->unlike_since_ns)
		e->unlike_since_ns = now;
	/* What is stuck began when its oldest request came. */
	uint64_t oldest = (uint64_t)(f->oldest_ms * 1e6);
	if (f->total_loss && now - MIN(oldest, now) < e->unlike_since_ns)
		e->unlike_since_ns = now - MIN(oldest, now);
}

/* What keeps an anomaly open is of interest in the calm ticks, too, that have not ended it yet. */
static void say_open(const struct detector *d, struct entry *e)
{
	struct verdict *v = &e->verdict;

	v->calm = v->anomalous ? e->debounce.calm : 0;
	v->calm_needed = v->anomalous ? d->cfg.calm_ticks : 0;
	if (!v->anomalous) {
		v->opened_ns = v->suspect_ns = 0;
		v->open_why[0] = '\0';
		return;
	}
	if (v->opened)
		v->opened_ns = v->at_ns;
	if (!v->suspect)
		return;
	v->suspect_ns = v->at_ns;
	memcpy(v->open_why, v->why, sizeof(v->open_why));
}

static void settle(struct detector *d, struct entry *e, const struct features *f, bool at_once)
{
	struct verdict *v = &e->verdict;
	enum debounce_vote vote = v->suspect ? VOTE_SUSPECT : f->traffic ? VOTE_CALM : VOTE_IDLE;
	uint64_t voted = e->debounce.voted_ns;
	enum debounce_change change =
		debounce_vote(&e->debounce, vote, at_once, e->window.at_ns, d->cfg.calm_ticks);

	if (e->debounce.voted_ns != voted || at_once) {
		memmove(e->votes + 1, e->votes, sizeof(e->votes) - sizeof(e->votes[0]));
		e->votes[0].scorer = v->scorer;
		e->votes[0].since_ns = e->unlike_since_ns;
	}
	v->opened = change == DEBOUNCE_OPENED;
	v->closed = change == DEBOUNCE_CLOSED;
	v->accepted = v->closed && e->accepted;
	if (v->closed || v->opened)
		e->accepted = false;
	if (v->opened) {
		e->verdict.scorer = latch_scorer(e, v->scorer);
		v->onset_ns = onset(e);
	}
	v->anomalous = e->debounce.open;
	if (!v->anomalous)
		v->onset_ns = 0;
	say_open(d, e);
}

static int tick_entry(struct detector *d, struct entry *e, const struct tick *t, size_t *budget)
{
	const struct service_sample *s = tick_service(t, e->id);
	struct verdict *v = &e->verdict;
	enum scorer latched = v->anomalous ? v->scorer : SCORER_NONE;
	bool at_once, unlike;
	struct features f;

	window_push(&e->window, e->id, s, t);
	features_take(&e->window, d->cfg.limits.loss_ns, &f);
	if (f.traffic)
		e->traffic_ns = t->at_ns;

	v->service = e->id;
	memcpy(v->name, e->name, sizeof(v->name));
	v->at_ns = t->at_ns;
	judge(e, &d->cfg, &f, v, &at_once, &unlike);
	note_unlike(e, &f, unlike);
	settle(d, e, &f, at_once);
	if (v->anomalous && latched != SCORER_NONE)
		v->scorer = latched;
	int err = take_sample(d, e, &f, budget);
	v->baseline_samples = MIN(e->baseline.nr, d->cfg.baseline_samples);
	v->warm = entry_warm(e, &d->cfg);
	return err;
}

int detector_tick(struct detector *d, const struct tick *t, struct verdict *out, size_t max,
		  size_t *nr)
{
	size_t budget = FITS_A_TICK, n = 0;
	int ret = 0;

	if (t->at_ns < d->at_ns)
		return -EINVAL;
	d->at_ns = t->at_ns;
	for (size_t i = 0; i < t->nr_services; i++)
		entry_for(d, &t->services[i], &ret);
	for (size_t i = 0; i < d->nr_entries; i++) {
		int err = tick_entry(d, d->entries[i], t, &budget);
		if (err)
			ret = err;
		if (n < max)
			out[n++] = d->entries[i]->verdict;
		else
			d->stats.verdicts_dropped++;
	}
	*nr = n;
	return ret;
}

/* ---- the rest of the interface */

void detector_hold(struct detector *d, uint32_t service, uint64_t until_ns)
{
	struct entry *e = find(d, service);

	if (e)
		e->hold_until_ns = MAX(e->hold_until_ns, until_ns);
}

void detector_release(struct detector *d, uint32_t service)
{
	struct entry *e = find(d, service);

	if (e)
		e->hold_until_ns = 0;
}

int detector_accept(struct detector *d, uint32_t service)
{
	struct entry *e = find(d, service);

	return e ? accept_level(d, e) : -ENOENT;
}

void detector_forget(struct detector *d, uint32_t service)
{
	for (size_t i = 0; i < d->nr_entries; i++) {
		if (d->entries[i]->id != service)
			continue;
		entry_free(d->entries[i]);
		memmove(&d->entries[i], &d->entries[i + 1],
			(--d->nr_entries - i) * sizeof(d->entries[0]));
		return;
	}
}

bool detector_warm(const struct detector *d)
{
	size_t busy = 0;

	for (size_t i = 0; i < d->nr_entries; i++) {
		const struct entry *e = d->entries[i];
		if (!e->traffic_ns || d->at_ns - e->traffic_ns > TRAFFIC_RECENT_NS)
			continue;
		if (!entry_warm(e, &d->cfg))
			return false;
		busy++;
	}
	return busy > 0;
}

size_t detector_scores(const struct detector *d, struct verdict *out, size_t max)
{
	size_t n = MIN(max, d->nr_entries);

	for (size_t i = 0; i < n; i++)
		out[i] = d->entries[i]->verdict;
	return n;
}

void detector_stats(const struct detector *d, struct detector_stats *ret)
{
	*ret = d->stats;
	ret->nr_services = d->nr_entries;
	for (size_t i = 0; i < d->nr_entries; i++)
		ret->nr_warm += entry_warm(d->entries[i], &d->cfg);
}
