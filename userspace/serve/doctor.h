/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor.h - what this kernel and machine offer us, in sentences.
 *
 * Looks and tries, changes nothing that stays. Works in the daemon (which says
 * what it really got) and from the command line with no daemon at all.
 */
#ifndef ARCHAIC_DOCTOR_H
#define ARCHAIC_DOCTOR_H

#include <cjson/cJSON.h>

struct observer_can;
struct faults_config;

/**
 * doctor_report() - GET /v1/doctor's answer: {"items":[{area, name, ok, backend, says, advice}]}.
 * @can: what the observer got; NULL: it could not be opened. @lack: then why, in a sentence.
 * @faults: limits, NULL for the defaults.
 * @model: what is sent to which model, one sentence; NULL leaves it out.
 * @traces: the same of traces.
 * Takes as long as a few forks; not under a lock that a tick needs. 0 or -ENOMEM.
 */
int doctor_report(const struct observer_can *can, const char *lack,
		  const struct faults_config *faults, const char *model, const char *traces,
		  cJSON **ret);

/** doctor_probe() - the same with no daemon: opens an observer of its own for a moment. 0 or -ENOMEM. */
int doctor_probe(cJSON **ret);

#endif
