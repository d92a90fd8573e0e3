/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * archive.h - incidents and the audit log on disk, over base/store.
 *
 * The audit is a chain: each entry's hash is BLAKE2b-256 over the hash before
 * it and its own fields (each with its length before it), so that a changed,
 * missing or moved entry breaks every later link. It does not show an end that
 * was cut off: for that, keep the last hash elsewhere. Calls wait for the disk;
 * any thread (the store has its lock).
 */
#ifndef ARCHAIC_ARCHIVE_H
#define ARCHAIC_ARCHIVE_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/store.h"
#include "remediate/playbook.h"

#define AUDIT_HASH_SIZE 65 /* hex with the NUL */
#define ARCHIVE_LIST_MAX 256

/** archive_save() - insert or replace one incident. 0 or the store's error. */
int archive_save(struct store *s, const char *id, const char *state, int64_t opened_ms,
		 const char *root, const char *json);

/** archive_load() - 0, -ENOENT, -ENOMEM, -EBADMSG (not our JSON any more) or the store's error. @ret is the caller's. */
int archive_load(struct store *s, const char *id, cJSON **ret);

/** archive_last_nr() - the highest incident number ever stored; 0: none. */
int archive_last_nr(struct store *s, uint32_t *ret);

/**
 * archive_list() - up to @limit (<= ARCHIVE_LIST_MAX) incidents numbered below @before (0: all), newest first.
 * @state: NULL: any. @ret: an array of objects, the caller's.
 */
int archive_list(struct store *s, uint32_t before, const char *state, unsigned limit, cJSON **ret);

/**
 * archive_close_left_open() - what an earlier life left without an end is closed with a note.
 * Returns how many, or the store's error.
 */
int archive_close_left_open(struct store *s, int64_t now_ms);

/** archive_history() - what was tried and how it ended, from the audit's last HISTORY_MAX outcomes. */
int archive_history(struct store *s, struct history *h);

/** audit_append() - one entry more. @json: an object's text. 0 or the store's error; nothing is written then. */
int audit_append(struct store *s, int64_t at_ms, const char *actor, const char *event,
		 const char *json);

/**
 * audit_verify() - walk the chain.
 * @nr: entries read. @bad_seq: the first whose link does not hold; 0: all hold.
 * 0, -EBADMSG (broken), or the store's error.
 */
int audit_verify(struct store *s, uint64_t *nr, int64_t *bad_seq);

#endif
