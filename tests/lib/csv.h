/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * csv.h - the measurement files that tests read: where they are, and plain CSV into cells.
 *
 * The files are not part of the repository. They are looked for in $ARCHAIC_TEST_DATA, else in
 * ../shared/data beside the checkout (tests run from its root). Where neither is, or with
 * ARCHAIC_TEST_DATA=skip, tests skip and say so (a failure where tests/required names them and
 * CI=true). A file that is missing in the directory is a failure.
 */
#ifndef ARCHAIC_TEST_CSV_H
#define ARCHAIC_TEST_CSV_H

#include <stdbool.h>
#include <stddef.h>

struct csv {
	char *text;   /* owned: the file, cells terminated in place */
	char **cells; /* owned: nr_rows * nr_columns, header rows included */
	size_t nr_rows, nr_columns;
};

/** test_data_skipped() - is there no such data, or was skipping asked for? Prints the reason under @test's name. */
bool test_data_skipped(const char *test);

/** test_data_path() - path of @name below the data directory into @path. */
const char *test_data_path(const char *name, char *path, size_t size);

/** test_read_file() - the whole file, terminated, owned by the caller; NULL and a line on stderr on failure. */
char *test_read_file(const char *path);

/**
 * csv_read() - no quoting, as many cells in each row as in the first (further ones are an error).
 * 0 or -1 with a line on stderr.
 */
int csv_read(const char *path, struct csv *ret);
void csv_release(struct csv *c);

static inline const char *csv_cell(const struct csv *c, size_t row, size_t column)
{
	return c->cells[row * c->nr_columns + column];
}

/** csv_number() - a cell as a number; NaN where it is empty or none. */
double csv_number(const struct csv *c, size_t row, size_t column);

#endif
