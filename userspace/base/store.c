// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/store.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"

/* "arcH": tells our file from another program's database. */
#define STORE_APPLICATION_ID 0x61726348

struct store {
	sqlite3 *db;
	pthread_mutex_t lock; /* recursive: a transaction's owner calls the rest under it */
	int64_t changes;
	char notice[320];
};

struct store_row {
	sqlite3_stmt *stmt;
};

/* Step i takes schema i to i + 1. A step that was released is never edited: add another. */
static const char *const migrations[STORE_SCHEMA_VERSION] = {
	/* incidents.json is the whole record as GET /v1/incidents/{id} shows it; state, opened_at
	 * (ms since the epoch) and root (service name, NULL while unknown) are copies to search by.
	 * audit.hash chains each line to the one before: what was taken out or changed shows. */
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE incidents(id TEXT PRIMARY KEY, state TEXT NOT NULL, opened_at INTEGER NOT NULL,"
	" root TEXT, json TEXT NOT NULL);"
	"CREATE INDEX incidents_opened ON incidents(opened_at);"
	"CREATE TABLE audit(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
	" actor TEXT NOT NULL, event TEXT NOT NULL, json TEXT NOT NULL, hash TEXT NOT NULL);",
	/* models.data is opaque here: whoever wrote it put a version and a checksum into it. */
	"CREATE TABLE models(name TEXT PRIMARY KEY, at INTEGER NOT NULL, data BLOB NOT NULL);",
};

static void unlockp(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

static void finalizep(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}

static pthread_mutex_t *store_lock(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	return &s->lock;
}

#define LOCKED(s) CLEANUP(unlockp) pthread_mutex_t *_locked __attribute__((unused)) = store_lock(s)

/* The only place that knows what an SQLite code means. */
static int translate(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_ERROR:
	case SQLITE_RANGE:
	case SQLITE_MISUSE:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int exec(struct store *s, const char *sql)
{
	return translate(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

/* The one number that @sql answers with. */
static int pragma(struct store *s, const char *sql, int *ret)
{
	CLEANUP(finalizep) sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code == SQLITE_DONE)
		return -EIO;
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	return translate(code);
}

/* -EUCLEAN where SQLite finds damage. Reads the whole file, which retention keeps small. */
static int check_sound(struct store *s)
{
	CLEANUP(finalizep) sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	if (code != SQLITE_ROW)
		return translate(code) ?: -EUCLEAN;
	const char *word = (const char *)sqlite3_column_text(stmt, 0);
	return word && strcmp(word, "ok") == 0 ? 0 : -EUCLEAN;
}

static int migrate_step(struct store *s, int version)
{
	char bump[96];
	snprintf(bump, sizeof(bump), "PRAGMA application_id=%d; PRAGMA user_version=%d",
		 STORE_APPLICATION_ID, version + 1);

	int err = exec(s, "BEGIN IMMEDIATE");
	if (err)
		return err;
	/* Another process may have done the step while this one waited for the lock. */
	int now;
	err = pragma(s, "PRAGMA user_version", &now);
	if (!err && now == version)
		err = exec(s, migrations[version]);
	if (!err && now == version)
		err = exec(s, bump);
	if (!err)
		err = exec(s, "COMMIT");
	if (err)
		exec(s, "ROLLBACK");
	return err;
}

/* Nothing is written before the file is known to be ours and not newer. */
static int adopt(struct store *s, const char *path, struct problem *why)
{
	int version = 0, app = 0, tables = 0;
	int err = pragma(s, "PRAGMA application_id", &app);

	if (!err)
		err = pragma(s, "PRAGMA user_version", &version);
	if (!err)
		err = pragma(s, "SELECT count(*) FROM sqlite_master", &tables);
	if (!err)
		err = check_sound(s);
	if (err)
		return err;
	if (tables && app != STORE_APPLICATION_ID)
		return problem_set(why, 503,
				   "%s is another program's database; choose another state_dir",
				   path);
	if (version > STORE_SCHEMA_VERSION)
		return problem_set(why, 503,
				   "%s has schema version %d and this program knows %d; "
				   "start the newer program, or move the file away",
				   path, version, STORE_SCHEMA_VERSION);

	err = exec(s, "PRAGMA journal_mode=WAL");
	if (!err)
		err = exec(s, "PRAGMA synchronous=NORMAL");
	for (int v = version; !err && v < STORE_SCHEMA_VERSION; v++)
		err = migrate_step(s, v);
	return err;
}

static void store_freep(struct store **s)
{
	store_close(*s);
}

static int open_once(const char *path, struct store **ret, struct problem *why)
{
	CLEANUP(store_freep) struct store *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;

	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&s->lock, &attr);
	pthread_mutexattr_destroy(&attr);

	int err = translate(sqlite3_open_v2(
		path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		NULL));
	if (err)
		return problem_set(why, 500, "cannot open %s: %s", path,
				   s->db ? sqlite3_errmsg(s->db) : "out of memory");
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, STORE_BUSY_MS);
	err = adopt(s, path, why);
	if (err && err != -EUCLEAN && err != -ENOTSUP)
		return problem_set(why, 500, "cannot use %s: %s", path, sqlite3_errmsg(s->db));
	if (err)
		return err;
	*ret = TAKE_PTR(s);
	return 0;
}

/* The log belongs to the damaged file: left behind, it would be replayed into the new one. */
static int set_aside(const char *path, char *aside, size_t size)
{
	static const char *const parts[] = { "", "-wal", "-shm" };
	int64_t at = clock_wall_ms();

	snprintf(aside, size, "%s.damaged-%lld", path, (long long)at);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		char from[4096], to[4096];
		snprintf(from, sizeof(from), "%s%s", path, parts[i]);
		snprintf(to, sizeof(to), "%s%s", aside, parts[i]);
		if (rename(from, to) != 0 && (errno != ENOENT || i == 0))
			return -errno;
	}
	return 0;
}

int store_open(const char *path, struct store **ret, struct problem *why)
{
	char aside[4096];
	int err = open_once(path, ret, why);

	if (err != -EUCLEAN)
		return err;
	err = set_aside(path, aside, sizeof(aside));
	if (err)
		return problem_set(why, 500, "%s is damaged and cannot be moved aside: %s", path,
				   strerror(-err));
	err = open_once(path, ret, why);
	if (err)
		return err == -EUCLEAN ?
			problem_set(why, 500, "cannot make a sound file at %s", path) :
			err;
	snprintf((*ret)->notice, sizeof((*ret)->notice),
		 "the database was damaged; it is kept as %.200s and an empty one was started",
		 aside);
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	sqlite3_close_v2(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const char *store_notice(const struct store *s)
{
	return s->notice[0] ? s->notice : NULL;
}

const char *store_error(struct store *s)
{
	LOCKED(s);
	return sqlite3_errmsg(s->db);
}

static int bind_bytes(sqlite3_stmt *stmt, int i, const void *data, size_t len)
{
	/* NULL would be bound as NULL, and a length of 0 is a value. */
	return sqlite3_bind_blob64(stmt, i, data ?: "", len, SQLITE_TRANSIENT);
}

static int bind_all(sqlite3_stmt *stmt, const char *types, va_list *ap)
{
	if (sqlite3_bind_parameter_count(stmt) != (int)strlen(types))
		return -EINVAL;
	for (int i = 1; *types; types++, i++) {
		int code;
		if (*types == 't')
			code = sqlite3_bind_text(stmt, i, va_arg(*ap, const char *), -1,
						 SQLITE_TRANSIENT);
		else if (*types == 'i')
			code = sqlite3_bind_int64(stmt, i, va_arg(*ap, int64_t));
		else if (*types == 'd')
			code = sqlite3_bind_double(stmt, i, va_arg(*ap, double));
		else if (*types == 'b') {
			const void *data = va_arg(*ap, const void *);
			code = bind_bytes(stmt, i, data, va_arg(*ap, size_t));
		} else
			return -EINVAL;
		if (code != SQLITE_OK)
			return translate(code);
	}
	return 0;
}

static int query(struct store *s, const char *sql, store_row_fn *fn, void *ctx, const char *types,
		 va_list *ap)
{
	CLEANUP(finalizep) sqlite3_stmt *stmt = NULL;
	const char *rest = NULL;
	int err = translate(sqlite3_prepare_v2(s->db, sql, -1, &stmt, &rest));

	if (err)
		return err;
	/* One statement a call: a second one would be left out in silence. */
	if (!stmt || rest[strspn(rest, " ;\n\t")])
		return -EINVAL;
	err = bind_all(stmt, types ?: "", ap);
	if (err)
		return err;

	for (;;) {
		int code = sqlite3_step(stmt);
		if (code != SQLITE_ROW) {
			s->changes = sqlite3_changes64(s->db);
			return translate(code);
		}
		struct store_row row = { stmt };
		err = fn ? fn(&row, ctx) : -EINVAL;
		if (err)
			return err;
	}
}

int store_run(struct store *s, const char *sql, const char *types, ...)
{
	LOCKED(s);
	va_list ap;

	va_start(ap, types);
	int err = query(s, sql, NULL, NULL, types, &ap);
	va_end(ap);
	return err;
}

int store_query(struct store *s, const char *sql, store_row_fn *fn, void *ctx, const char *types,
		...)
{
	LOCKED(s);
	va_list ap;

	va_start(ap, types);
	int err = query(s, sql, fn, ctx, types, &ap);
	va_end(ap);
	return err;
}

const char *store_text(const struct store_row *row, int i)
{
	return (const char *)sqlite3_column_text(row->stmt, i) ?: "";
}

int64_t store_int(const struct store_row *row, int i)
{
	return sqlite3_column_int64(row->stmt, i);
}

double store_double(const struct store_row *row, int i)
{
	return sqlite3_column_double(row->stmt, i);
}

const void *store_blob(const struct store_row *row, int i, size_t *len)
{
	const void *data = sqlite3_column_blob(row->stmt, i);

	*len = (size_t)sqlite3_column_bytes(row->stmt, i);
	return data;
}

int64_t store_changes(struct store *s)
{
	LOCKED(s);
	return s->changes;
}

int store_begin(struct store *s)
{
	pthread_mutex_lock(&s->lock);
	int err = exec(s, "BEGIN IMMEDIATE");
	if (err)
		pthread_mutex_unlock(&s->lock);
	return err;
}

int store_commit(struct store *s)
{
	int err = exec(s, "COMMIT");
	if (err)
		exec(s, "ROLLBACK");
	pthread_mutex_unlock(&s->lock);
	return err;
}

void store_rollback(struct store *s)
{
	exec(s, "ROLLBACK");
	pthread_mutex_unlock(&s->lock);
}
