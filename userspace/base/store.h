/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h - the one SQLite file: incidents, audit and models, with a schema version.
 *
 * Tables (see store.c for the columns' own words):
 *	incidents(id TEXT PRIMARY KEY, state TEXT, opened_at INTEGER ms, root TEXT, json TEXT)
 *	audit(seq INTEGER PRIMARY KEY, at INTEGER ms, actor TEXT, event TEXT, json TEXT, hash TEXT)
 *	meta(key TEXT PRIMARY KEY, value TEXT)
 *	models(name TEXT PRIMARY KEY, at INTEGER ms, data BLOB)
 *
 * An older schema is migrated, each step in a transaction of its own; a newer
 * one is refused with a sentence and not written to; a file that is somebody
 * else's database is refused too. A damaged file is moved aside (never deleted)
 * and an empty one is started: store_notice() says so.
 * Write-ahead log, busy time-out of 2 s, synchronous=NORMAL: a crash of the
 * machine can lose the last commits but not the file.
 *
 * Thread-safe: one lock per store, held during each call, and from
 * store_begin() to store_commit() or store_rollback() by the same thread.
 * Calls wait for the disk: not from the sampling thread.
 */
#ifndef ARCHAIC_STORE_H
#define ARCHAIC_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/problem.h"

#define STORE_SCHEMA_VERSION 2
#define STORE_BUSY_MS 2000

struct store;
struct store_row;

/**
 * store_open() - open or make the database, and bring it to STORE_SCHEMA_VERSION.
 * @path: a file whose folder exists, or ":memory:".
 * @why: filled on failure; may be NULL.
 * 0, -ENOTSUP (newer schema, or not ours), or -EIO.
 */
int store_open(const char *path, struct store **ret, struct problem *why);
void store_close(struct store *s);

/** store_notice() - what store_open() had to do about a damaged file, one sentence; NULL: nothing. */
const char *store_notice(const struct store *s);

/** store_error() - SQLite's words for the last failure; for the log. Borrowed until the next call. */
const char *store_error(struct store *s);

/**
 * store_run() - execute one statement that returns no rows.
 * @types: one letter an argument for ?1, ?2 …: 't' const char * (NULL is NULL), 'i' int64_t
 * (cast it), 'd' double, 'b' const void * and size_t (bytes; a length of 0 is an empty one).
 * 0, -EINVAL (bad SQL or arguments), -EEXIST (constraint), -EBUSY, -ENOSPC or -EIO.
 */
int store_run(struct store *s, const char *sql, const char *types, ...);

/** A row handler: 0 to go on, anything else ends the query and is its result. */
typedef int store_row_fn(const struct store_row *row, void *ctx);

/**
 * store_query() - execute one statement and hand each row to @fn. Arguments as in store_run().
 * @fn must not call the store but to read @row. 0, store_run()'s errors, or @fn's result.
 */
int store_query(struct store *s, const char *sql, store_row_fn *fn, void *ctx, const char *types,
		...);

/** store_text() - column @i (from 0), borrowed for the row; "" for NULL. */
const char *store_text(const struct store_row *row, int i);
int64_t store_int(const struct store_row *row, int i);
double store_double(const struct store_row *row, int i);

/** store_blob() - column @i's bytes, borrowed for the row; NULL with *@len 0 where there are none. */
const void *store_blob(const struct store_row *row, int i, size_t *len);

/** store_changes() - rows that the last store_run() touched. */
int64_t store_changes(struct store *s);

/** store_begin() - start a transaction and take the store for this thread; each ends with exactly one of the two below. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

static inline void store_closep(struct store **s)
{
	store_close(*s);
}

#endif
