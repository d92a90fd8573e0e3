// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lib/scrape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "tests/lib/shop.h"

char *scrape(bool openmetrics)
{
	static const char *const accept[] = { "Accept: application/openmetrics-text", NULL };
	struct http_answer a;

	http("GET", SCRAPE_URL, NULL, openmetrics ? accept : NULL, &a);
	assert_int_equal(a.status, 200);
	char *text = TAKE_PTR(a.body);
	cJSON_Delete(a.json);
	return text;
}

static bool is_line_of(const char *line, size_t len, const char *name, const char *const *parts)
{
	size_t n = strlen(name);

	if (len <= n || strncmp(line, name, n) != 0 || (line[n] != '{' && line[n] != ' '))
		return false;
	for (; *parts; parts++)
		if (!memmem(line, len, *parts, strlen(*parts)))
			return false;
	return true;
}

/* Behind the labels; an exemplar may follow. */
static double value_of(const char *line, size_t len)
{
	const char *exemplar = memmem(line, len, " # {", 4);
	const char *end = exemplar ? exemplar : line + len;

	while (end > line && end[-1] != ' ')
		end--;
	return strtod(end, NULL);
}

struct scraped scrape_find(const char *text, const char *name, const char *const *parts)
{
	struct scraped f = { 0 };

	for (const char *line = text, *end; *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		if (!is_line_of(line, (size_t)(end - line), name, parts))
			continue;
		f.lines++;
		f.sum += value_of(line, (size_t)(end - line));
	}
	return f;
}
