/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * incident.h - one record of all of it: what was seen, thought, allowed, done and proved.
 *
 * Plain data with bounded lists; a full list counts what it turned away. The
 * engine (remediate/engine.h) writes it, serve/ renders it by incident_to_json().
 * States: open -> planned -> (awaiting_approval ->) acting -> verifying ->
 * repaired | escalated | closed. closed is also where an incident ends that
 * healed by itself: verification.result then says "healed", so that success is
 * not over-claimed. An escalated incident stays live (it takes its members'
 * further anomalies) until its members are calm. Not thread-safe.
 */
#ifndef ARCHAIC_INCIDENT_H
#define ARCHAIC_INCIDENT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "detect/anomaly.h"
#include "diagnose/diagnosis.h"
#include "remediate/change.h"
#include "remediate/guard.h"
#include "remediate/plan.h"
#include "remediate/verify.h"

#define INCIDENT_ID_SIZE 16
#define INCIDENT_EVIDENCE_MAX 32
#define INCIDENT_MEMBERS_MAX 40
#define INCIDENT_ACTIONS_MAX 8
#define INCIDENT_TIMELINE_MAX 64
#define INCIDENT_EXTERNAL_MAX 16
#define INCIDENT_TEXT_MAX 240

enum incident_state {
	INCIDENT_OPEN,
	INCIDENT_PLANNED,
	INCIDENT_AWAITING_APPROVAL,
	INCIDENT_ACTING,
	INCIDENT_VERIFYING,
	INCIDENT_REPAIRED,
	INCIDENT_ESCALATED,
	INCIDENT_CLOSED,
	NR_INCIDENT_STATES,
};

/** incident_state_name() - as in the interface: "open", "planned", "awaiting_approval", … */
const char *incident_state_name(enum incident_state s);

/* How it ended, for verification.result beyond what verify.h says. */
enum incident_result {
	INCIDENT_RESULT_NONE, /* JSON null */
	INCIDENT_RESULT_PENDING,
	INCIDENT_RESULT_VERIFIED,
	INCIDENT_RESULT_FAILED,
	INCIDENT_RESULT_UNVERIFIED, /* nobody called: not proved */
	INCIDENT_RESULT_HEALED,     /* calm again with no action of ours */
};

const char *incident_result_name(enum incident_result r);

struct incident_evidence {
	char id[8]; /* "e1" … */
	uint32_t service;
	char service_name[SERVICE_NAME_MAX];
	uint64_t at_ns;
	char source[24]; /* "detector", "alertmanager", "analyze" */
	enum scorer scorer;
	double score, classic_score, threshold;
	bool has_feature;
	struct feature_credit top;
	char text[INCIDENT_TEXT_MAX];
};

struct incident_action {
	char id[8];
	enum action_kind kind;
	uint32_t target;
	char target_name[SERVICE_NAME_MAX];
	uint64_t started_ns, done_ns;
	bool done, acted; /* acted: something was changed */
	int err;
	char result[INCIDENT_TEXT_MAX];
	char undo[128];
};

struct incident_event {
	uint64_t at_ns;
	const char *
		event; /* static: "onset" "anomaly" "joined" "diagnosis" "plan" "guard" "approved" "rejected"
				     * "action_started" "action_done" "undone" "recovered" "verified" "failed" "unverified"
				     * "healed" "escalated" "closed" "note" */
	char text[INCIDENT_TEXT_MAX];
};

/* An alert of somebody else's that is firing. */
struct incident_external {
	char key[72];      /* its fingerprint or service name */
	uint64_t until_ns; /* dropped then, when it was neither repeated nor resolved */
};

struct incident {
	uint32_t nr;
	char id[INCIDENT_ID_SIZE]; /* "i-0004" */
	enum incident_state state;
	bool live;              /* still driven; a finished incident is only a record */
	int64_t wall_offset_ms; /* wall time = at_ns / 1e6 + this; fixed at opening */
	uint64_t opened_ns, closed_ns, onset_ns;

	struct diagnosis diagnosis; /* the one in force; known: causes[0] is the root */
	bool has_diagnosis;
	bool external_diagnosis; /* it only repeats what an outside alert says */
	uint32_t settled_root;   /* that the plan was made for; 0: none */
	unsigned root_streak;    /* ticks in a row with the same root */
	uint32_t rival_root; /* another root that a later diagnosis names while we act; noted once */

	uint32_t members[INCIDENT_MEMBERS_MAX]; /* services whose anomalies belong here */
	size_t nr_members;
	struct incident_evidence evidence[INCIDENT_EVIDENCE_MAX];
	size_t nr_evidence;
	struct incident_external external[INCIDENT_EXTERNAL_MAX];
	size_t nr_external;

	bool has_plan;
	struct plan plan;
	bool has_guard;
	struct guard_verdict guard;         /* its last word; sentences are static */
	char guard_text[INCIDENT_TEXT_MAX]; /* the sentence with figures, as in the timeline */
	bool approved;                      /* the candidate whose turn it is */

	struct incident_action actions[INCIDENT_ACTIONS_MAX];
	size_t nr_actions;
	struct verify verify;
	enum incident_result result;
	uint64_t recovered_ns; /* first good tick of the run that verified it */
	uint64_t verified_ns;

	struct incident_event timeline[INCIDENT_TIMELINE_MAX];
	size_t nr_timeline;
	unsigned dropped; /* entries that no list had room for */

	/* The engine's own book-keeping. */
	bool dirty;             /* changed since ops.changed() was told */
	bool unsaved;           /* changed since it was handed to the store */
	bool planning;          /* a model is being asked */
	uint64_t job;           /* the job it waits for; 0: none */
	bool undo_wanted;       /* the last action did not help, and is to be taken back */
	struct change change;   /* that one, see remediate/change.h */
	uint64_t wait_since_ns; /* asking the guard for this candidate since */
	uint64_t calm_since_ns; /* all members calm since; 0: not */
};

/** incident_trim() - takes a character that a length limit has cut in two off the end of @text. */
void incident_trim(char *text);

/** incident_note() - add to the timeline; marks it dirty. @event must be static. */
void incident_note(struct incident *i, uint64_t at_ns, const char *event, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/** incident_has_member() - does @service belong to it? */
bool incident_has_member(const struct incident *i, uint32_t service);

/** incident_add_member() - 0 is ignored; full: counted in dropped. */
void incident_add_member(struct incident *i, uint32_t service);

/** incident_add_evidence() - a zeroed entry with its id set; NULL when full (counted). */
struct incident_evidence *incident_add_evidence(struct incident *i);

/** incident_init() - number and times set; @wall_ms: the wall time of @now_ns. */
void incident_init(struct incident *i, uint32_t nr, uint64_t now_ns, int64_t wall_ms);

/** incident_acted() - did an action of ours change something? */
bool incident_acted(const struct incident *i);

/** incident_root() - the root cause; NULL while unknown. Borrowed. */
const struct cause *incident_root(const struct incident *i);

/** incident_to_json() - API.md's incident object; owned by the caller, NULL for no memory. */
cJSON *incident_to_json(const struct incident *i);

/** incident_report_markdown() - a post-mortem from the same record. 0 or buf's error. */
int incident_report_markdown(const cJSON *incident, struct buf *to);

#endif
