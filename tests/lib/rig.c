// SPDX-License-Identifier: GPL-2.0-or-later
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"

void rig_init(struct rig *r, uint64_t seed, const struct detector_config *cfg)
{
	*r = (struct rig){ 0 };
	synth_demo(&r->synth, seed);
	assert_int_equal(detector_new(cfg, &r->detector), 0);
	assert_int_equal(diagnoser_new(&r->diagnoser), 0);
}

void rig_release(struct rig *r)
{
	detector_free(r->detector);
	diagnoser_free(r->diagnoser);
	synth_release(&r->synth);
}

void rig_tick(struct rig *r)
{
	struct tick t;

	synth_tick(&r->synth, &t);
	assert_int_equal(
		detector_tick(r->detector, &t, r->verdicts, ARRAY_SIZE(r->verdicts), &r->nr), 0);
	assert_int_equal(diagnoser_feed(r->diagnoser, &t, r->verdicts, r->nr), 0);
	tick_release(&t);
	r->ticks++;
	for (size_t i = 0; i < r->nr; i++) {
		r->opened += r->verdicts[i].opened;
		r->suspects += r->verdicts[i].suspect;
	}
}

void rig_warm(struct rig *r)
{
	r->synth.tick_ns = 100 * NSEC_PER_MSEC;
	for (size_t i = 0; i < 3000 && !detector_warm(r->detector); i++)
		rig_tick(r);
	assert_true(detector_warm(r->detector));
	r->synth.tick_ns = NSEC_PER_SEC;
	for (size_t i = 0; i < 60; i++)
		rig_tick(r);
}

const struct verdict *rig_verdict(const struct rig *r, uint32_t service)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->verdicts[i].service == service)
			return &r->verdicts[i];
	fail_msg("no verdict on service %u", service);
	return NULL;
}

size_t rig_wait(struct rig *r, uint32_t service, size_t max)
{
	for (size_t i = 1; i <= max; i++) {
		rig_tick(r);
		if (rig_verdict(r, service)->anomalous)
			return i;
	}
	return 0;
}

void rig_hurt(struct rig *r, enum rig_fault f, uint32_t service)
{
	struct synth_service *s = synth_of(&r->synth, service);

	switch (f) {
	case RIG_LATENCY:
		s->extra_ms = 2000;
		break;
	case RIG_ERRORS:
		s->error_share = .4;
		break;
	case RIG_STOPPED:
		s->stopped = true;
		break;
	case RIG_HOGGED:
		s->cpu_factor = 40;
		break;
	case RIG_DEAD:
		s->dead = true;
		break;
	case RIG_NETWORK:
		s->network_ms = 100;
		break;
	case NR_RIG_FAULTS:
		fail();
	}
}

bool rig_any_anomalous(const struct rig *r)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->verdicts[i].anomalous)
			return true;
	return false;
}

size_t rig_find(struct rig *r, size_t max, struct diagnosis *d)
{
	for (size_t i = 1; i <= max; i++) {
		rig_tick(r);
		if (!rig_any_anomalous(r))
			continue;
		diagnoser_run(r->diagnoser, d);
		for (int more = 0; more < 3 && !d->known; more++) {
			rig_tick(r);
			diagnoser_run(r->diagnoser, d);
		}
		return i;
	}
	return 0;
}

bool rig_is_victim(const struct diagnosis *d, uint32_t service)
{
	for (size_t i = 0; i < d->nr_victims; i++)
		if (d->victims[i].service == service)
			return true;
	return false;
}
