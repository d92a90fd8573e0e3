/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * audit_list.h - the audit's newest entries, for people.
 */
#ifndef ARCHAIC_AUDIT_LIST_H
#define ARCHAIC_AUDIT_LIST_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "base/store.h"

#define AUDIT_LIST_MAX 500

/**
 * audit_entry_json() - one entry as the interface has it.
 * @seq: 0: not on disk. @json: the entry's own object as text; one that is none is left out.
 * "says" is the object's own sentence (says, why, order or undo), else the event's name.
 * NULL: no memory.
 */
cJSON *audit_entry_json(int64_t seq, int64_t at_ms, const char *actor, const char *event,
			const char *json);

/** audit_list() - up to @limit (<= AUDIT_LIST_MAX) entries, newest first, added to @items. Waits for the disk. 0 or the store's error. */
int audit_list(struct store *s, size_t limit, cJSON *items);

#endif
