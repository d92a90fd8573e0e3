/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diagnosis.h - what diagnosis hands to remediation: plain data.
 */
#ifndef ARCHAIC_DIAGNOSIS_H
#define ARCHAIC_DIAGNOSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "discover/service.h"

#define DIAGNOSIS_CAUSES_MAX 8
#define DIAGNOSIS_REASONS_MAX 6
#define DIAGNOSIS_VICTIMS_MAX 32

enum fault_class {
	FAULT_CLASS_UNKNOWN,
	FAULT_CLASS_LATENCY,
	FAULT_CLASS_ERRORS,
	FAULT_CLASS_UNRESPONSIVE,
	FAULT_CLASS_CPU,
	FAULT_CLASS_NETWORK,
	FAULT_CLASS_DOWN
};

/** fault_class_name() - "unknown", "latency", "errors", "unresponsive", "cpu", "network", "down". */
const char *fault_class_name(enum fault_class c);

struct cause {
	uint32_t service;
	char name[SERVICE_NAME_MAX];
	enum fault_class resource;
	double confidence;                        /* 0..1 */
	char reasons[DIAGNOSIS_REASONS_MAX][160]; /* sentences, numbers with units */
	size_t nr_reasons;
};

struct diagnosis {
	uint64_t at_ns;
	bool known; /* false: the evidence does not carry; causes may still be listed */
	struct cause causes
		[DIAGNOSIS_CAUSES_MAX]; /* ranked, best first; causes[0] is the root when known */
	size_t nr_causes;
	struct {
		uint32_t service;
		char name[SERVICE_NAME_MAX];
	} victims[DIAGNOSIS_VICTIMS_MAX]; /* anomalous or failing because of the root */
	size_t nr_victims;
	char why[200]; /* one sentence: the answer, or why it is unknown */
};

#endif
