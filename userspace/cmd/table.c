// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <string.h>

#include "base/json.h"
#include "cmd/cmd.h"
#include "serve/repair.h"

#define CELL_MAX 201
#define COLUMNS_MAX 12
#define CELLS_MAX (COLUMNS_MAX * 1024) /* what is over it is counted and said */

struct cli_table {
	const char *heads[COLUMNS_MAX];
	bool right[COLUMNS_MAX];
	size_t columns;
	char **cells;
	size_t nr, cap, dropped;
};

struct cli_table *table_new(const char *const *heads)
{
	struct cli_table *t = calloc(1, sizeof(*t));

	for (; t && *heads && t->columns < COLUMNS_MAX; heads++) {
		t->right[t->columns] = **heads == '>';
		t->heads[t->columns++] = *heads + (**heads == '>');
	}
	return t;
}

static bool grow(struct cli_table *t)
{
	size_t cap = t->cap ? t->cap * 2 : 64;

	if (t->nr < t->cap)
		return true;
	if (t->nr >= CELLS_MAX)
		return false;
	char **cells = realloc(t->cells, cap * sizeof(*cells));
	if (!cells)
		return false;
	t->cells = cells;
	t->cap = cap;
	return true;
}

void table_add(struct cli_table *t, const char *fmt, ...)
{
	char text[CELL_MAX] = "-";
	va_list ap;

	if (!t)
		return;
	if (!grow(t)) {
		t->dropped++;
		return;
	}
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
	}
	text_repair_terminal(text);
	t->cells[t->nr++] = strdup(*text ? text : "-");
}

void table_num(struct cli_table *t, const cJSON *object, const char *name, const char *fmt)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(object, name);
	char text[64];

	if (!cJSON_IsNumber(j)) {
		table_add(t, "-");
		return;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), fmt, j->valuedouble);
#pragma GCC diagnostic pop
	table_add(t, "%s", text);
}

/* Columns that a terminal needs for text that is UTF-8: code points, which is near enough. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; s && *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct cli_table *t, char *const *cells, const size_t *widths, FILE *to)
{
	for (size_t i = 0; i < t->columns; i++) {
		const char *text = cells[i] ?: "-";
		int pad = (int)(widths[i] - width(text));
		bool last = i + 1 == t->columns;
		if (t->right[i])
			fprintf(to, "%*s%s%s", pad, "", text, last ? "" : "  ");
		else
			fprintf(to, "%s%*s", text, last ? 0 : pad + 2, "");
	}
	fputc('\n', to);
}

void table_print(struct cli_table *t, FILE *to, bool colour)
{
	size_t widths[COLUMNS_MAX];

	if (!t)
		return;
	size_t rows = t->nr / t->columns;
	for (size_t i = 0; i < t->columns; i++)
		widths[i] = width(t->heads[i]);
	for (size_t i = 0; i < rows * t->columns; i++)
		widths[i % t->columns] = MAX(widths[i % t->columns], width(t->cells[i]));

	fputs(colour ? "\033[1m" : "", to);
	print_row(t, (char *const *)t->heads, widths, to);
	fputs(colour ? "\033[0m" : "", to);
	for (size_t i = 0; i < rows; i++)
		print_row(t, t->cells + i * t->columns, widths, to);
	if (t->dropped)
		fprintf(to, "… and %zu more; --json shows all\n",
			(t->dropped + t->columns - 1) / t->columns);

	for (size_t i = 0; i < t->nr; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

bool cli_colour(const struct cli *c)
{
	return isatty(fileno(c->out)) && !cli_env(c, "NO_COLOR");
}
