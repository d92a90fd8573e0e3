// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lines first: each that says something, with its indentation. Then a descent over them. A dash is
 * taken off its line, which then stands two columns deeper: "- name: x" is a mapping that begins
 * where "name" does, so that its next key, on a line of its own, has the same indentation.
 */
#include "kube/kube_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "base/util.h"

struct line {
	char *text; /* into the copy; terminated, without indentation */
	size_t indent;
	unsigned nr;
};

struct parser {
	struct line *lines;
	size_t nr, at;
	int depth;
	char *why;
	size_t why_size;
};

static int fail(struct parser *p, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(struct parser *p, int err, const char *fmt, ...)
{
	size_t at = MIN(p->at, p->nr ? p->nr - 1 : 0);
	va_list ap;
	int n = 0;

	if (p->nr)
		n = snprintf(p->why, p->why_size, "line %u: ", p->lines[at].nr);
	va_start(ap, fmt);
	if (n >= 0 && (size_t)n < p->why_size)
		vsnprintf(p->why + n, p->why_size - (size_t)n, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- lines */

static int add_line(struct parser *p, char *text, unsigned nr)
{
	size_t indent = strspn(text, " ");

	for (size_t n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\r'); n--)
		text[n - 1] = '\0';
	if (strlen(text) <= indent || text[indent] == '#')
		return 0;
	if (p->nr == KUBE_YAML_LINES_MAX)
		return fail(p, -EMSGSIZE, "more than %d lines", KUBE_YAML_LINES_MAX);
	p->lines[p->nr++] = (struct line){ text + indent, indent, nr };
	p->at = p->nr - 1;
	if (strchr(text, '\t'))
		return fail(p, -EINVAL, "a tab: only spaces are accepted");
	if (!strcmp(text, "---") && p->nr == 1)
		p->nr = 0;
	else if (!strncmp(text, "---", 3) || !strcmp(text, "...") || text[0] == '%')
		return fail(p, -EINVAL, "only one document without directives is accepted");
	return 0;
}

static int split(struct parser *p, char *text)
{
	unsigned nr = 1;
	int err = 0;

	for (char *rest = text, *line; !err && (line = strsep(&rest, "\n")); nr++)
		err = add_line(p, line, nr);
	p->at = 0;
	return err;
}

/* ---- scalars */

static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case 'r':
		return '\r';
	case '"':
	case '\\':
	case '/':
		return c;
	default:
		return '\0';
	}
}

/* The quoted text at @s, unquoted in place; @end: what follows. NULL: not one that we take. */
static char *unquote(char *s, char **end)
{
	char quote = *s, *to = s, *from = s + 1;

	for (;; from++) {
		char c = *from;
		if (!c)
			return NULL;
		if (c == quote && !(quote == '\'' && from[1] == '\''))
			break;
		if (c == quote)
			from++;
		else if (quote == '"' && c == '\\' && !(c = unescape(*++from)))
			return NULL;
		*to++ = c;
	}
	*end = from + 1;
	*to = '\0';
	return s;
}

static bool only_comment(const char *s)
{
	size_t blanks = strspn(s, " ");

	return !s[blanks] || (blanks && s[blanks] == '#');
}

static int scalar(struct parser *p, char *s, cJSON **ret)
{
	char *end = s + strlen(s);
	bool quoted = *s == '"' || *s == '\'';

	if (quoted && (!(s = unquote(s, &end)) || !only_comment(end)))
		return fail(p, -EINVAL, "a quoted text that does not end well on its line");
	if (quoted) {
		*ret = cJSON_CreateString(s);
		return *ret ? 0 : -ENOMEM;
	}
	char *comment = strstr(s, " #");
	if (comment)
		*comment = '\0';
	for (size_t n = strlen(s); n && s[n - 1] == ' '; n--)
		s[n - 1] = '\0';
	if (!strcmp(s, "{}"))
		*ret = cJSON_CreateObject();
	else if (!strcmp(s, "[]"))
		*ret = cJSON_CreateArray();
	else if (!strcmp(s, "null") || !strcmp(s, "~"))
		*ret = cJSON_CreateNull();
	else if (!strcmp(s, "true") || !strcmp(s, "false"))
		*ret = cJSON_CreateBool(*s == 't');
	else if (strchr("{[]}|>&*!%@`,?", *s) || strstr(s, ": "))
		return fail(p, -EINVAL, "this form of YAML is not accepted");
	else
		*ret = cJSON_CreateString(s);
	return *ret ? 0 : -ENOMEM;
}

/* ---- collections */

static int node(struct parser *p, size_t indent, cJSON **ret);

static bool is_item(const char *s)
{
	return s[0] == '-' && (!s[1] || s[1] == ' ');
}

/* The key at the line's beginning, cut out in place, and what follows its colon. NULL: it is no "key:". */
static char *key_of(char *s, char **value)
{
	char *end = NULL;

	if (*s == '"' || *s == '\'') {
		char copy[256], *rest;
		snprintf(copy, sizeof(copy), "%s", s);
		if (!unquote(copy, &rest) || *rest != ':' || (rest[1] && rest[1] != ' '))
			return NULL;
		s = unquote(s, &end);
	} else {
		end = strstr(s, ": ");
		size_t len = strlen(s);
		const char *comment = strstr(s, " #");
		if ((!end || (comment && comment < end)) && len && s[len - 1] == ':' && !comment)
			end = s + len - 1;
		if (!end || (comment && comment < end))
			return NULL;
		*end = '\0';
	}
	*value = end + 1 + strspn(end + 1, " ");
	return s;
}

/* What stands behind a key or a dash: on its own line, or deeper on the next ones; or nothing. */
static int value_of(struct parser *p, char *rest, size_t indent, bool in_mapping, cJSON **ret)
{
	if (*rest && *rest != '#') {
		int err = scalar(p, rest, ret);
		p->at++;
		return err;
	}
	const struct line *next = ++p->at < p->nr ? &p->lines[p->at] : NULL;
	if (next &&
	    (next->indent > indent ||
	     (in_mapping && next->indent == indent && is_item(next->text))))
		return node(p, next->indent, ret);
	*ret = cJSON_CreateNull();
	return *ret ? 0 : -ENOMEM;
}

static int mapping(struct parser *p, size_t indent, cJSON *to)
{
	while (p->at < p->nr && p->lines[p->at].indent == indent &&
	       !is_item(p->lines[p->at].text)) {
		CLEANUP(json_freep) cJSON *v = NULL;
		char *rest = NULL, *key = key_of(p->lines[p->at].text, &rest);
		if (!key || !*key)
			return fail(p, -EINVAL, "a line that is no \"key: value\"");
		if (cJSON_GetObjectItemCaseSensitive(to, key))
			return fail(p, -EINVAL, "the key %.40s stands there twice", key);
		int err = value_of(p, rest, indent, true, &v);
		if (err)
			return err;
		if (!cJSON_AddItemToObject(to, key, v))
			return -ENOMEM;
		TAKE_PTR(v);
	}
	return 0;
}

static int sequence(struct parser *p, size_t indent, cJSON *to)
{
	while (p->at < p->nr && p->lines[p->at].indent == indent && is_item(p->lines[p->at].text)) {
		CLEANUP(json_freep) cJSON *v = NULL;
		struct line *l = &p->lines[p->at];
		size_t skip = 1 + strspn(l->text + 1, " ");
		int err;

		l->text += skip;
		if (*l->text && *l->text != '#') {
			l->indent += skip;
			err = node(p, l->indent, &v);
		} else {
			err = value_of(p, l->text, indent, false, &v);
		}
		if (err)
			return err;
		if (!cJSON_AddItemToArray(to, v))
			return -ENOMEM;
		TAKE_PTR(v);
	}
	return 0;
}

static int node(struct parser *p, size_t indent, cJSON **ret)
{
	CLEANUP(json_freep) cJSON *v = NULL;
	struct line *l = &p->lines[p->at];
	char copy[256], *rest;
	int err;

	if (++p->depth > KUBE_YAML_DEPTH_MAX)
		return fail(p, -EINVAL, "nested deeper than %d levels", KUBE_YAML_DEPTH_MAX);
	snprintf(copy, sizeof(copy), "%s", l->text);
	if (is_item(l->text)) {
		v = cJSON_CreateArray();
		err = v ? sequence(p, indent, v) : -ENOMEM;
	} else if (key_of(copy, &rest)) {
		v = cJSON_CreateObject();
		err = v ? mapping(p, indent, v) : -ENOMEM;
	} else {
		err = scalar(p, l->text, &v);
		p->at++;
	}
	p->depth--;
	if (err)
		return err;
	/* Deeper than what it would belong to, or between two levels. */
	if (p->at < p->nr && p->lines[p->at].indent > indent)
		return fail(p, -EINVAL, "an indentation that fits nothing above it");
	*ret = TAKE_PTR(v);
	return 0;
}

static int parse_json(const char *text, size_t len, cJSON **ret, char *why, size_t why_size)
{
	const char *said = NULL;
	int err = json_parse(text, len, ret, &said);

	if (err)
		snprintf(why, why_size, "%s", said);
	return err;
}

int kube_yaml_parse(const char *text, size_t len, cJSON **ret, char *why, size_t why_size)
{
	CLEANUP(freep) char *copy = NULL;
	CLEANUP(freep) struct line *lines = NULL;
	CLEANUP(json_freep) cJSON *v = NULL;
	struct parser p = { .why = why, .why_size = why_size };

	if (len > KUBE_YAML_MAX)
		return fail(&p, -EMSGSIZE, "it is larger than %u bytes", KUBE_YAML_MAX);
	if (!text_is_utf8(text, len) || memchr(text, '\0', len))
		return fail(&p, -EINVAL, "it is not UTF-8 text");
	copy = strndup(text, len);
	lines = calloc(KUBE_YAML_LINES_MAX, sizeof(*lines));
	if (!copy || !lines)
		return fail(&p, -ENOMEM, "out of memory");
	if (copy[strspn(copy, " \r\n\t")] == '{')
		return parse_json(copy, len, ret, why, why_size);
	p.lines = lines;
	int err = split(&p, copy);
	if (err)
		return err;
	if (!p.nr)
		return fail(&p, -EINVAL, "it is empty");
	err = node(&p, p.lines[0].indent, &v);
	if (err == -ENOMEM)
		return fail(&p, err, "out of memory");
	if (err)
		return err;
	if (p.at < p.nr)
		return fail(&p, -EINVAL, "an indentation that fits nothing above it");
	*ret = TAKE_PTR(v);
	return 0;
}
