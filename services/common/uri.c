// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/uri.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"
#include "base/util.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place: the result is never longer. */
static const char *decode(char *s, bool plus_is_blank)
{
	char *out = s;
	const char *start = s;

	for (; *s; s++, out++) {
		if (*s == '+' && plus_is_blank) {
			*out = ' ';
		} else if (*s == '%') {
			int high = hex(s[1]), low = high < 0 ? -1 : hex(s[2]);
			if (low < 0)
				return "the address contains a % that is not followed by two hexadecimal digits";
			*out = (char)(high << 4 | low);
			s += 2;
		} else {
			*out = *s;
		}
		if ((unsigned char)*out < 0x20 || *out == 0x7f)
			return "the address contains a control character";
	}
	*out = '\0';
	return text_is_utf8(start, (size_t)(out - start)) ? NULL : "the address is not valid UTF-8";
}

static const char *split_path(struct uri *u, char *path)
{
	char *save = path;

	if (*save++ != '/')
		return "the address must begin with /";
	while (save && *save) {
		char *segment = strsep(&save, "/");
		if (u->nr_segments == URI_SEGMENTS_MAX)
			return "the address has too many parts";
		const char *why = decode(segment, false);
		if (why)
			return why;
		u->segments[u->nr_segments++] = segment;
		/* "/cart/" is not "/cart": an empty last segment counts. */
		if (save && !*save && u->nr_segments < URI_SEGMENTS_MAX)
			u->segments[u->nr_segments++] = save;
	}
	return NULL;
}

static const char *split_query(struct uri *u, char *query)
{
	while (query && *query) {
		char *pair = strsep(&query, "&");
		if (!*pair)
			continue;
		if (u->nr_query == URI_QUERY_MAX)
			return "the query has too many parameters";

		char *value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		const char *why = decode(pair, true);
		if (!why && value)
			why = decode(value, true);
		if (!why && uri_query(u, pair))
			why = "a query parameter stands twice";
		if (why)
			return why;
		u->query[u->nr_query].name = pair;
		u->query[u->nr_query++].value = value ?: "";
	}
	return NULL;
}

int uri_parse(const char *target, struct uri *ret, const char **why)
{
	CLEANUP(uri_release) struct uri u = { .text = strdup(target) };
	if (!u.text)
		return -ENOMEM;
	if (strchr(u.text, '#')) {
		*why = "the address contains a #";
		return -EINVAL;
	}

	char *query = strchr(u.text, '?');
	if (query)
		*query++ = '\0';
	const char *flaw = split_path(&u, u.text) ?: split_query(&u, query);
	if (flaw) {
		*why = flaw;
		return -EINVAL;
	}
	*ret = u;
	u.text = NULL;
	return 0;
}

void uri_release(struct uri *u)
{
	free(u->text);
	u->text = NULL;
	u->nr_segments = u->nr_query = 0;
}

const char *uri_query(const struct uri *u, const char *name)
{
	for (size_t i = 0; i < u->nr_query; i++)
		if (!strcmp(u->query[i].name, name))
			return u->query[i].value;
	return NULL;
}

bool uri_match(const struct uri *u, const char *pattern, const char **param)
{
	const char *found = NULL;
	size_t i = 0;

	for (const char *p = pattern + 1; *p; i++) {
		size_t len = strcspn(p, "/");
		if (i == u->nr_segments)
			return false;
		if (*p == '{' && *u->segments[i])
			found = u->segments[i];
		else if (strlen(u->segments[i]) != len || memcmp(u->segments[i], p, len) != 0)
			return false;
		p += len + (p[len] == '/');
	}
	if (i != u->nr_segments)
		return false;
	if (found)
		*param = found;
	return true;
}

char *uri_encode(const char *s)
{
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, strlen(s) * 3);

	for (; *s; s++) {
		bool plain = isalnum((unsigned char)*s) || strchr("-._~", *s);
		int err = plain ? buf_add(&b, s, 1) : buf_addf(&b, "%%%02X", (unsigned char)*s);
		if (err)
			return NULL;
	}
	return buf_take(&b);
}
