// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/store.h"

static char folder[64];
static char path[128];
static struct problem p;

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/test_store.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/archaic.db", folder);
	p = (struct problem){ 0 };
	return 0;
}

/* Removes the folder; returns how many files began with "archaic.db.damaged". */
static int sweep(void)
{
	DIR *d = opendir(folder);
	int damaged = 0;

	for (struct dirent *e; d && (e = readdir(d));) {
		char file[512];
		snprintf(file, sizeof(file), "%s/%s", folder, e->d_name);
		damaged += strncmp(e->d_name, "archaic.db.damaged-", 19) == 0;
		if (e->d_name[0] != '.')
			unlink(file);
	}
	closedir(d);
	rmdir(folder);
	return damaged;
}

static int teardown(void **state)
{
	(void)state;
	sweep();
	return 0;
}

static struct store *open_good(void)
{
	struct store *s = NULL;

	if (store_open(path, &s, &p))
		fail_msg("%s", p.detail);
	return s;
}

static void raw(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int take_int(const struct store_row *row, void *ctx)
{
	*(int64_t *)ctx = store_int(row, 0);
	return 0;
}

static int64_t ask(struct store *s, const char *sql)
{
	int64_t v = -1;

	assert_int_equal(store_query(s, sql, take_int, &v, ""), 0);
	return v;
}

static void test_store_keeps_what_it_was_given(void **state)
{
	struct store *s = open_good();

	(void)state;
	assert_null(store_notice(s));
	assert_int_equal(store_run(s, "INSERT INTO incidents VALUES(?,?,?,?,?)", "ttitt", "i-0001",
				   "open", (int64_t)1700000000123, NULL,
				   "{\"x\":\"'); DROP TABLE incidents;--\"}"),
			 0);
	assert_int_equal(store_changes(s), 1);
	store_close(s);

	s = open_good();
	assert_int_equal(ask(s,
			     "SELECT opened_at FROM incidents WHERE id='i-0001' AND root IS NULL"),
			 1700000000123);
	assert_int_equal(ask(s, "SELECT count(*) FROM audit"), 0);
	store_close(s);
}

static int check_row(const struct store_row *row, void *ctx)
{
	int *nr = ctx;

	assert_string_equal(store_text(row, 0), *nr == 0 ? "a" : "b");
	assert_string_equal(store_text(row, 1), "");
	assert_true(store_double(row, 2) == 0.5);
	return ++*nr == 2 ? 42 : 0;
}

static void test_store_hands_out_rows_until_told_to_stop(void **state)
{
	struct store *s = open_good();
	int nr = 0;

	(void)state;
	for (const char *id = "a\0b\0c\0"; *id; id += 2)
		assert_int_equal(store_run(s, "INSERT INTO meta VALUES(?,?)", "tt", id, "0.5"), 0);
	assert_int_equal(
		store_query(
			s,
			"SELECT key, NULL, CAST(value AS REAL) FROM meta WHERE key >= ?1 ORDER BY key",
			check_row, &nr, "t", "a"),
		42);
	assert_int_equal(nr, 2);
	store_close(s);
}

static void test_store_refuses_bad_statements(void **state)
{
	struct store *s = open_good();

	(void)state;
	assert_int_equal(store_run(s, "SELEKT 1", ""), -EINVAL);
	assert_int_equal(store_run(s, "INSERT INTO nowhere VALUES(1)", ""), -EINVAL);
	assert_true(strstr(store_error(s), "nowhere") != NULL);
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES(?,?)", "t", "a"), -EINVAL);
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES(?,?)", "tx", "a", 1), -EINVAL);
	assert_int_equal(store_run(s, "DELETE FROM meta; DELETE FROM audit", ""), -EINVAL);
	assert_int_equal(store_run(s, "", ""), -EINVAL);
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('k','v')", ""), 0);
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('k','v')", ""), -EEXIST);
	store_close(s);
}

static void test_store_transactions(void **state)
{
	struct store *s = open_good();

	(void)state;
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('k','v')", ""), 0);
	store_rollback(s);
	assert_int_equal(ask(s, "SELECT count(*) FROM meta"), 0);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('k','v')", ""), 0);
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(ask(s, "SELECT count(*) FROM meta"), 1);
	store_close(s);
}

static void *add_lines(void *ctx)
{
	struct store *s = ctx;
	long failures = 0;

	for (int i = 0; i < 50; i++) {
		failures += store_begin(s) != 0;
		failures += store_run(s, "UPDATE meta SET value = value + 1 WHERE key = 'n'", "") !=
			0;
		failures += store_commit(s) != 0;
	}
	return (void *)failures;
}

static void test_store_is_shared_by_threads(void **state)
{
	struct store *s = open_good();
	pthread_t threads[4];

	(void)state;
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('n',0)", ""), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_lines, s), 0);
	for (int i = 0; i < 4; i++) {
		void *failures;
		pthread_join(threads[i], &failures);
		assert_null(failures);
	}
	assert_int_equal(ask(s, "SELECT value FROM meta WHERE key = 'n'"), 200);
	store_close(s);
}

static void test_store_migrates_an_empty_old_file(void **state)
{
	(void)state;
	/* Version 0 is what an interrupted first start leaves: our mark, no tables. */
	raw("PRAGMA application_id = 1634886472; PRAGMA user_version = 0");
	struct store *s = open_good();
	assert_int_equal(ask(s, "PRAGMA user_version"), STORE_SCHEMA_VERSION);
	assert_int_equal(ask(s, "SELECT count(*) FROM incidents"), 0);
	store_close(s);
}

struct bytes {
	unsigned char data[64];
	size_t len;
	int rows;
};

static int take_bytes(const struct store_row *row, void *ctx)
{
	struct bytes *b = ctx;
	const void *data = store_blob(row, 0, &b->len);

	assert_true(b->len <= sizeof(b->data));
	if (b->len)
		memcpy(b->data, data, b->len);
	b->rows++;
	return 0;
}

static void test_store_keeps_bytes(void **state)
{
	static const char bytes[] = "a\0b'\xff";
	struct store *s = open_good();
	struct bytes b = { 0 };

	(void)state;
	assert_int_equal(store_run(s, "INSERT INTO models VALUES('m', 7, ?1)", "b",
				   (const void *)bytes, sizeof(bytes)),
			 0);
	assert_int_equal(store_run(s, "INSERT INTO models VALUES('empty', 7, ?1)", "b",
				   (const void *)NULL, (size_t)0),
			 0);
	store_close(s);
	s = open_good();
	assert_int_equal(store_query(s, "SELECT data FROM models WHERE name = ?1", take_bytes, &b,
				     "t", "m"),
			 0);
	assert_int_equal(b.len, sizeof(bytes));
	assert_memory_equal(b.data, bytes, sizeof(bytes));
	assert_int_equal(store_query(s, "SELECT data FROM models WHERE name = ?1", take_bytes, &b,
				     "t", "empty"),
			 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.rows, 2);
	store_close(s);
}

/* What the first schema kept is there after the second one's step. */
static void test_store_migrates_from_the_first_schema(void **state)
{
	(void)state;
	struct store *s = open_good();
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('k','12')", ""), 0);
	store_close(s);
	raw("DROP TABLE models; PRAGMA user_version = 1");
	s = open_good();
	assert_null(store_notice(s));
	assert_int_equal(ask(s, "PRAGMA user_version"), 2);
	assert_int_equal(ask(s, "SELECT value FROM meta WHERE key = 'k'"), 12);
	assert_int_equal(ask(s, "SELECT count(*) FROM models"), 0);
	store_close(s);
}

static void test_store_refuses_a_newer_schema_and_leaves_it(void **state)
{
	struct store *s = open_good();
	struct stat before, after;

	(void)state;
	assert_int_equal(store_run(s, "INSERT INTO meta VALUES('k','v')", ""), 0);
	store_close(s);
	raw("CREATE TABLE future(x); PRAGMA user_version = 99; PRAGMA journal_mode = DELETE");
	assert_int_equal(stat(path, &before), 0);

	s = NULL;
	assert_int_equal(store_open(path, &s, &p), -ENOTSUP);
	assert_null(s);
	assert_non_null(strstr(p.detail, "has schema version 99 and this program knows 2"));
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_mtim.tv_sec == after.st_mtim.tv_sec);
	assert_true(before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	assert_true(before.st_size == after.st_size);
}

static void test_store_refuses_another_programs_database(void **state)
{
	struct store *s = NULL;

	(void)state;
	raw("CREATE TABLE bookmarks(url)");
	assert_int_equal(store_open(path, &s, &p), -ENOTSUP);
	assert_null(s);
	assert_non_null(strstr(p.detail, "is another program's database"));
	raw("INSERT INTO bookmarks VALUES('still here')");
}

static void overwrite(off_t at, const char *what, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, what, len, at), len);
	close(fd);
}

static void check_set_aside(void)
{
	struct store *s = open_good();

	assert_non_null(store_notice(s));
	assert_non_null(strstr(store_notice(s), "archaic.db.damaged-"));
	assert_int_equal(ask(s, "SELECT count(*) FROM incidents"), 0);
	store_close(s);
	assert_int_equal(sweep(), 1);
}

static void test_store_sets_garbage_aside(void **state)
{
	static char junk[8192];

	(void)state;
	memset(junk, 'x', sizeof(junk));
	overwrite(0, junk, sizeof(junk));
	check_set_aside();
}

static void test_store_sets_a_damaged_file_aside(void **state)
{
	static char junk[4096];
	struct store *s = open_good();

	(void)state;
	for (int64_t i = 0; i < 500; i++)
		assert_int_equal(store_run(s,
					   "INSERT INTO audit VALUES(NULL,?,'me','did','{}','h')",
					   "i", i),
				 0);
	store_close(s);
	/* The header stays good: only looking inside finds it. */
	memset(junk, 0xa5, sizeof(junk));
	overwrite(4096, junk, sizeof(junk));
	check_set_aside();
}

static void test_store_says_why_it_cannot_open(void **state)
{
	struct store *s = NULL;

	(void)state;
	assert_int_equal(store_open("/nonexistent/folder/archaic.db", &s, &p), -EIO);
	assert_null(s);
	assert_non_null(strstr(p.detail, "cannot open /nonexistent/folder/archaic.db"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_store_keeps_what_it_was_given, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_hands_out_rows_until_told_to_stop, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_refuses_bad_statements, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_transactions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_is_shared_by_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_migrates_an_empty_old_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_keeps_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_migrates_from_the_first_schema, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_store_refuses_a_newer_schema_and_leaves_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_store_refuses_another_programs_database, setup,
						teardown),
		cmocka_unit_test_setup(test_store_sets_garbage_aside, setup),
		cmocka_unit_test_setup(test_store_sets_a_damaged_file_aside, setup),
		cmocka_unit_test_setup_teardown(test_store_says_why_it_cannot_open, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
