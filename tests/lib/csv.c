// SPDX-License-Identifier: GPL-2.0-or-later
#include "csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

#define BESIDE "../shared/data"

bool test_data_skipped(const char *test)
{
	const char *dir = getenv("ARCHAIC_TEST_DATA");

	if (dir && !strcmp(dir, "skip"))
		printf("SKIP %s: ARCHAIC_TEST_DATA=skip, the reference measurements are not read\n",
		       test);
	else if (!dir && access(BESIDE, F_OK) < 0)
		printf("SKIP %s: no " BESIDE
		       " beside the checkout, and ARCHAIC_TEST_DATA does not say where the reference measurements are\n",
		       test);
	else
		return false;
	return true;
}

const char *test_data_path(const char *name, char *path, size_t size)
{
	const char *dir = getenv("ARCHAIC_TEST_DATA");

	snprintf(path, size, "%s/%s", dir ? dir : BESIDE, name);
	return path;
}

char *test_read_file(const char *path)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return NULL;
	}

	size_t len = 0, cap = 1 << 16;
	CLEANUP(freep) char *text = malloc(cap + 1);
	while (text) {
		len += fread(text + len, 1, cap - len, f);
		if (len < cap)
			break;
		cap *= 2;
		char *more = realloc(text, cap + 1);
		if (!more)
			return NULL;
		text = more;
	}
	if (!text || ferror(f))
		return NULL;
	text[len] = '\0';
	return TAKE_PTR(text);
}

static size_t count(const char *s, const char *end, char c)
{
	size_t n = 0;

	for (; s < end; s++)
		n += *s == c;
	return n;
}

int csv_read(const char *path, struct csv *ret)
{
	CLEANUP(freep) char *text = test_read_file(path);
	if (!text)
		return -1;

	const char *end = text + strlen(text);
	size_t columns = count(text, text + strcspn(text, "\n"), ',') + 1;
	size_t rows = count(text, end, '\n') + (end > text && end[-1] != '\n'), k = 0;
	CLEANUP(freep) char **cells = calloc(rows * columns, sizeof(*cells));
	if (!cells)
		return -1;

	char *line = text;
	for (size_t r = 0; r < rows; r++) {
		char *next = line + strcspn(line, "\n"), *cell = line;
		if (*next)
			*next++ = '\0';
		if (count(line, line + strlen(line), ',') + 1 != columns) {
			fprintf(stderr, "%s:%zu: not %zu cells\n", path, r + 1, columns);
			return -1;
		}
		for (size_t c = 0; c < columns; c++) {
			char *stop = cell + strcspn(cell, ",\r");
			char *after = *stop == ',' ? stop + 1 : stop;
			*stop = '\0';
			cells[k++] = cell;
			cell = after;
		}
		line = next;
	}
	*ret = (struct csv){ .text = TAKE_PTR(text),
			     .cells = TAKE_PTR(cells),
			     .nr_rows = rows,
			     .nr_columns = columns };
	return 0;
}

void csv_release(struct csv *c)
{
	free(c->text);
	free(c->cells);
	*c = (struct csv){ 0 };
}

double csv_number(const struct csv *c, size_t row, size_t column)
{
	const char *s = csv_cell(c, row, column);
	char *end;
	double v = strtod(s, &end);

	return end == s || *end ? NAN : v;
}
