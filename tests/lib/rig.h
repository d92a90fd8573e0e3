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

enum rig_fault {
	RIG_LATENCY,
	RIG_ERRORS,
	RIG_STOPPED,
	RIG_HOGGED,
	RIG_DEAD,
	RIG_NETWORK,
	NR_RIG_FAULTS
};

/** rig_hurt() - 2 s late; 40 % errors; SIGSTOP; CPU times 40; refused; 100 ms between it and its clients. */
void rig_hurt(struct rig *r, enum rig_fault f, uint32_t service);

bool rig_any_anomalous(const struct rig *r);

/**
 * rig_find() - ticks until something is anomalous, 0: nothing was within @max; then up to three more
 * until the diagnosis is known.
 */
size_t rig_find(struct rig *r, size_t max, struct diagnosis *d);

bool rig_is_victim(const struct diagnosis *d, uint32_t service);

#endif
