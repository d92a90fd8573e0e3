// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fault/journal.h"

static struct journal_entry entry(int i)
{
	struct journal_entry e = {
		.kind = JOURNAL_FILTER,
		.ifindex = 3 + i,
		.name = "eth0",
		.arg = 0xae0001,
		.arg2 = 1,
		.deadline_ns = 12345678901234ULL,
		.netns_ino = 4026531840ULL,
		.boot = "550e8400-e29b-41d4-a716-446655440000",
	};

	snprintf(e.id, sizeof(e.id), "f-%03d", i);
	return e;
}

static size_t write_entries(char *text, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		struct journal_entry e = entry(i);
		char line[JOURNAL_LINE_MAX];
		int got = journal_format('+', &e, line);

		assert_true(got > 0);
		memcpy(text + len, line, (size_t)got);
		len += (size_t)got;
	}
	return len;
}

static void test_journal_line_comes_back(void **state)
{
	char line[JOURNAL_LINE_MAX], sign;
	struct journal_entry e = entry(1), back;

	(void)state;
	int n = journal_format('-', &e, line);
	assert_true(n > 0 && line[n - 1] == '\n');
	assert_int_equal(journal_parse(line, (size_t)n - 1, &sign, &back), 0);
	assert_int_equal(sign, '-');
	assert_string_equal(back.id, e.id);
	assert_string_equal(back.boot, e.boot);
	assert_int_equal(back.deadline_ns, e.deadline_ns);
	assert_int_equal(back.ifindex, e.ifindex);
	assert_int_equal(back.arg, e.arg);
}

static void test_journal_refuses_what_would_not_come_back(void **state)
{
	char line[JOURNAL_LINE_MAX];
	struct journal_entry e = entry(1);

	(void)state;
	snprintf(e.name, sizeof(e.name), "two words");
	assert_int_equal(journal_format('+', &e, line), -EINVAL);
	e = entry(1);
	e.id[0] = '\0';
	assert_int_equal(journal_format('+', &e, line), -EINVAL);
	e = entry(1);
	assert_int_equal(journal_format('*', &e, line), -EINVAL);
	memset(e.boot, 'x', sizeof(e.boot));
	assert_int_equal(journal_format('+', &e, line), -EINVAL);
}

/* Cut at every byte: what was whole before the cut is there, and nothing else. */
static void test_journal_survives_a_torn_tail_at_every_byte(void **state)
{
	static char text[3 * JOURNAL_LINE_MAX];
	size_t len = write_entries(text, 3), ends[3], nr_ends = 0;

	(void)state;
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\n')
			ends[nr_ends++] = i;
	for (size_t cut = 0; cut <= len; cut++) {
		struct journal j;
		size_t whole = 0;

		for (size_t i = 0; i < 3; i++)
			whole += cut >= ends[i];
		assert_int_equal(journal_replay(text, cut, &j), 0);
		assert_int_equal(j.nr, whole);
		journal_release(&j);
	}
}

/* Flip every bit: the line is dropped or unchanged, its neighbours stay. */
static void test_journal_believes_no_damaged_line(void **state)
{
	static char text[3 * JOURNAL_LINE_MAX];
	size_t len = write_entries(text, 3);

	(void)state;
	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit++) {
			struct journal j;

			text[i] = (char)(text[i] ^ 1 << bit);
			assert_int_equal(journal_replay(text, len, &j), 0);
			assert_true(j.nr <= 3);
			for (size_t k = 0; k < j.nr; k++) {
				assert_string_equal(j.entries[k].name, "eth0");
				assert_int_equal(j.entries[k].arg, 0xae0001);
			}
			assert_true(j.nr >= 1);
			journal_release(&j);
			text[i] = (char)(text[i] ^ 1 << bit);
		}
}

static void test_journal_file_goes_on_behind_a_torn_line(void **state)
{
	char path[] = "/tmp/archaic-journal-XXXXXX";
	struct journal_entry a = entry(1), b = entry(2);
	struct journal j;
	struct stat st;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(journal_append(path, '+', &a), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 5), 0);
	assert_int_equal(journal_append(path, '+', &b), 0);
	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 1);
	assert_int_equal(j.bad_lines, 1);
	assert_string_equal(j.entries[0].id, b.id);
	journal_release(&j);

	assert_int_equal(journal_append(path, '-', &b), 0);
	assert_int_equal(journal_append(path, '-', &a), 0);
	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 0);
	journal_release(&j);
	unlink(path);

	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 0);
	journal_release(&j);
}

static void write_text(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

/* Before there were versions a journal had no first line of its own: it is read, and gone on with. */
static void test_journal_reads_the_version_before(void **state)
{
	char path[] = "/tmp/archaic-journal-XXXXXX";
	static char text[3 * JOURNAL_LINE_MAX];
	size_t len = write_entries(text, 2);
	struct journal_entry e = entry(5), first = entry(0);
	struct journal j;

	(void)state;
	close(mkstemp(path));
	write_text(path, text, len);
	assert_int_equal(journal_append(path, '+', &e), 0);
	assert_int_equal(journal_append(path, '-', &first), 0);
	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 2);
	assert_int_equal(j.bad_lines, 0);
	journal_release(&j);
	unlink(path);
}

/* A newer one is neither believed nor changed, and can be put aside as it is. */
static void test_journal_refuses_a_newer_version_and_leaves_it(void **state)
{
	char path[] = "/tmp/archaic-journal-XXXXXX", aside[sizeof(path) + 16];
	static char text[3 * JOURNAL_LINE_MAX], back[sizeof(text)];
	size_t len =
		(size_t)snprintf(text, sizeof(text), JOURNAL_HEADER "%d\n", JOURNAL_VERSION + 1);
	struct journal_entry e = entry(5);
	struct journal j = { .nr = 77 };

	(void)state;
	len += write_entries(text + len, 2);
	close(mkstemp(path));
	write_text(path, text, len);
	assert_int_equal(journal_load(path, &j), -ENOTSUP);
	assert_int_equal(j.nr, 77);
	assert_int_equal(journal_set_aside(path), 0);
	snprintf(aside, sizeof(aside), "%s.refused", path);
	int fd = open(aside, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, back, sizeof(back)), len);
	assert_memory_equal(back, text, len);
	close(fd);

	/* A new one says its version, and nothing is counted as torn. */
	assert_int_equal(journal_append(path, '+', &e), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	memset(back, 0, sizeof(back));
	assert_true(read(fd, back, sizeof(back) - 1) > 0);
	close(fd);
	assert_non_null(strstr(back, JOURNAL_HEADER "1\n"));
	assert_ptr_equal(strstr(back, JOURNAL_HEADER), back);
	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 1);
	assert_int_equal(j.bad_lines, 0);
	journal_release(&j);
	unlink(path);
	unlink(aside);
}

static void test_journal_is_bounded(void **state)
{
	char *text = malloc((JOURNAL_MAX + 1) * JOURNAL_LINE_MAX);
	struct journal j;

	(void)state;
	assert_non_null(text);
	size_t len = write_entries(text, JOURNAL_MAX);
	assert_int_equal(journal_replay(text, len, &j), 0);
	assert_int_equal(j.nr, JOURNAL_MAX);
	journal_release(&j);
	len = write_entries(text, JOURNAL_MAX + 1);
	assert_int_equal(journal_replay(text, len, &j), -E2BIG);
	free(text);
}

/* Thousands of faults later the file is short again, and says what it said. */
static void test_journal_is_trimmed(void **state)
{
	char path[] = "/tmp/archaic-journal-XXXXXX", fresh[sizeof(path) + 4],
	     line[JOURNAL_LINE_MAX];
	struct journal_entry kept = entry(1), gone = entry(2), old = entry(3);
	struct journal j;
	struct stat st;

	(void)state;
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	int fd = mkstemp(path);
	assert_int_equal(journal_trim(path), 0);
	journal_boot_id(kept.boot);
	journal_boot_id(gone.boot);
	assert_int_equal(journal_append(path, '+', &kept), 0);
	assert_int_equal(journal_append(path, '+', &old), 0); /* of another boot */
	assert_int_equal(stat(path, &st), 0);
	off_t two = st.st_size;
	assert_int_equal(journal_trim(path), 0); /* not worth it */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, two);

	assert_true(lseek(fd, 0, SEEK_END) > 0);
	for (int i = 0; i < JOURNAL_TRIM_BYTES / 200 * 2; i++) {
		int n = journal_format(i % 2 ? '-' : '+', &gone, line);

		assert_int_equal(write(fd, line, (size_t)n), n);
	}
	close(fd);
	assert_int_equal(journal_trim(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < two);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(access(fresh, F_OK), -1);
	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 1);
	assert_string_equal(j.entries[0].id, kept.id);
	assert_int_equal(j.entries[0].deadline_ns, kept.deadline_ns);
	journal_release(&j);
	assert_int_equal(journal_append(path, '-', &kept), 0);
	assert_int_equal(journal_load(path, &j), 0);
	assert_int_equal(j.nr, 0);
	journal_release(&j);
	unlink(path);
	assert_int_equal(journal_trim(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_journal_line_comes_back),
		cmocka_unit_test(test_journal_refuses_what_would_not_come_back),
		cmocka_unit_test(test_journal_survives_a_torn_tail_at_every_byte),
		cmocka_unit_test(test_journal_believes_no_damaged_line),
		cmocka_unit_test(test_journal_file_goes_on_behind_a_torn_line),
		cmocka_unit_test(test_journal_reads_the_version_before),
		cmocka_unit_test(test_journal_refuses_a_newer_version_and_leaves_it),
		cmocka_unit_test(test_journal_is_bounded),
		cmocka_unit_test(test_journal_is_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
