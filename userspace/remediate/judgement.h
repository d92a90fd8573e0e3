/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * judgement.h - what an operator acts on, as JSON: verdicts, diagnosis and facts of one tick.
 *
 * A detector writes it, an operator in another process reads it (GET /v1/judgement) and
 * hands it to its engine as run's own stages would. Times are ages against the tick's end: the
 * two have no clock in common. What is read is checked in shape and bounds: names, ids,
 * words of closed lists, finite numbers; texts are cut. Processes are not in it: an operator
 * signals none on another machine. Pure.
 */
#ifndef ARCHAIC_JUDGEMENT_H
#define ARCHAIC_JUDGEMENT_H

#include <cjson/cJSON.h>
#include <netinet/in.h>

#include "detect/anomaly.h"
#include "diagnose/diagnosis.h"
#include "remediate/facts.h"

#define JUDGEMENT_VERSION 1
#define JUDGEMENT_TEXT_MAX ((size_t)4 << 20)

/* Where a service is, and where its node's agent answers /v1. */
struct judgement_place {
	uint32_t service;
	char name[SERVICE_NAME_MAX];  /* as verdicts and facts call it */
	char local[SERVICE_NAME_MAX]; /* as its node does */
	char node[SERVICE_NAME_MAX];
	char address[INET6_ADDRSTRLEN]; /* "": its agent cannot be asked */
	uint16_t port;
};

struct judgement {
	uint64_t life; /* of the detector: ms since 1970 when it started; services' ids are of this life */
	uint64_t tick;
	uint64_t age_ns; /* of the tick when it was written; read: of its own clock, 0 else */
	uint64_t at_ns;  /* the tick's end, by the reader's clock; the writer's when written */
	struct verdict verdicts[SERVICE_MAX];
	size_t nr_verdicts;
	bool has_diagnosis; /* false: nothing is anomalous */
	struct diagnosis diagnosis;
	struct service_facts facts[SERVICE_MAX];
	size_t nr_facts;
	struct judgement_place places[SERVICE_MAX];
	size_t nr_places;
};

/** judgement_json() - NULL: no memory. */
cJSON *judgement_json(const struct judgement *j);

/**
 * judgement_read() - from untrusted JSON.
 * @now_ns: the reader's CLOCK_MONOTONIC when the answer came: the tick ended its age before.
 * @ret: undefined on failure (it is large: the caller's, on the heap). @why: a sentence, @size bytes.
 * 0 or -EINVAL.
 */
int judgement_read(const cJSON *json, uint64_t now_ns, struct judgement *ret, char *why,
		   size_t size);

/** judgement_place() - of a service; NULL: unknown. */
const struct judgement_place *judgement_place(const struct judgement *j, uint32_t service);

#endif
