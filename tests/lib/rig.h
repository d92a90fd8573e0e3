/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rig.h - the simulated services, the detector and the diagnoser in one row, a step at a time.
 * Asserts (cmocka) that nothing in the row fails.
 */
#ifndef ARCHAIC_TEST_RIG_H
#define ARCHAIC_TEST_RIG_H

#include "detect/detector.h"
#include "diagnose/diagnose.h"
#include "synth.h"

struct rig {
	struct synth synth;
	struct detector *detector;
	struct diagnoser *diagnoser;
	struct verdict verdicts[SERVICE_MAX]; /* of the last tick */
	size_t nr;
	size_t ticks, opened, suspects;
};

/** rig_init() - the demo's four services; NULL @cfg: defaults. */
void rig_init(struct rig *r, uint64_t seed, const struct detector_config *cfg);
void rig_release(struct rig *r);

/** rig_tick() - let one tick pass through all three. */
void rig_tick(struct rig *r);

/** rig_warm() - tick at 100 ms until warm, then a minute at 1 s; ticks are 1 s afterwards. */
void rig_warm(struct rig *r);

const struct verdict *rig_verdict(const struct rig *r, uint32_t service);

/** rig_wait() - tick until @service is anomalous; the number of ticks that took, or 0 after @max. */
size_t rig_wait(struct rig *r, uint32_t service, size_t max);

#endif
