// SPDX-License-Identifier: GPL-2.0-or-later
#include "incident/incident.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

const char *incident_state_name(enum incident_state s)
{
	static const char *const names[NR_INCIDENT_STATES] = {
		"open",      "planned",  "awaiting_approval", "acting",
		"verifying", "repaired", "escalated",         "closed"
	};

	return s < NR_INCIDENT_STATES ? names[s] : "unknown";
}

const char *incident_result_name(enum incident_result r)
{
	static const char *const names[] = { "none",   "pending",    "verified",
					     "failed", "unverified", "healed" };

	return r < ARRAY_SIZE(names) ? names[r] : "unknown";
}

void incident_init(struct incident *i, uint32_t nr, uint64_t now_ns, int64_t wall_ms)
{
	*i = (struct incident){ .nr = nr,
				.live = true,
				.opened_ns = now_ns,
				.onset_ns = now_ns,
				.dirty = true,
				.unsaved = true };
	i->wall_offset_ms = wall_ms - (int64_t)(now_ns / NSEC_PER_MSEC);
	snprintf(i->id, sizeof(i->id), "i-%04u", nr);
}

void incident_trim(char *text)
{
	size_t len = strlen(text), tail = 0;

	/* Back over continuation bytes to the one that leads them, and see whether it has all of them. */
	while (tail < 4 && tail < len && ((unsigned char)text[len - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == len)
		return;
	unsigned char lead = (unsigned char)text[len - 1 - tail];
	size_t wants = lead < 0xc0 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
	if (tail < wants)
		text[len - 1 - tail] = '\0';
}

void incident_note(struct incident *i, uint64_t at_ns, const char *event, const char *fmt, ...)
{
	va_list ap;

	i->dirty = i->unsaved = true;
	if (i->nr_timeline == INCIDENT_TIMELINE_MAX) {
		i->dropped++;
		return;
	}
	struct incident_event *e = &i->timeline[i->nr_timeline++];
	e->at_ns = at_ns;
	e->event = event;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	incident_trim(e->text);
}

bool incident_has_member(const struct incident *i, uint32_t service)
{
	for (size_t k = 0; k < i->nr_members; k++)
		if (i->members[k] == service)
			return true;
	return false;
}

void incident_add_member(struct incident *i, uint32_t service)
{
	if (!service || incident_has_member(i, service))
		return;
	if (i->nr_members == INCIDENT_MEMBERS_MAX)
		i->dropped++;
	else
		i->members[i->nr_members++] = service;
}

struct incident_evidence *incident_add_evidence(struct incident *i)
{
	i->dirty = i->unsaved = true;
	if (i->nr_evidence == INCIDENT_EVIDENCE_MAX) {
		i->dropped++;
		return NULL;
	}
	struct incident_evidence *e = &i->evidence[i->nr_evidence++];
	memset(e, 0, sizeof(*e));
	snprintf(e->id, sizeof(e->id), "e%zu", i->nr_evidence);
	return e;
}

bool incident_acted(const struct incident *i)
{
	for (size_t k = 0; k < i->nr_actions; k++)
		if (i->actions[k].acted)
			return true;
	return false;
}

const struct cause *incident_root(const struct incident *i)
{
	return i->has_diagnosis && i->diagnosis.known && i->diagnosis.nr_causes ?
		&i->diagnosis.causes[0] :
		NULL;
}
