// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/text.h"

/*
 * What cJSON must not see: it recurses up to 1000 deep, and ends a string at
 * \\u0000, so that what follows would go unseen. NULL: nothing of the kind.
 */
static const char *flaw_before(const char *s, size_t len, int depth_max)
{
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (quoted && s[i] == '\\') {
			i++;
			if (len - i >= 5 && !memcmp(s + i, "u0000", 5))
				return "the text contains the character \\u0000";
		} else if (s[i] == '"') {
			quoted = !quoted;
		} else if (!quoted && (s[i] == '{' || s[i] == '[')) {
			if (++depth > depth_max)
				return depth_max == JSON_DEPTH_MAX ?
					"the JSON is nested too deep (16 levels are allowed)" :
					"the JSON is nested too deep";
		} else if (!quoted && (s[i] == '}' || s[i] == ']')) {
			depth--;
		}
	}
	return NULL;
}

/* At most depth_max deep: flaw_before() has seen to it. */
static const char *flaw_in(const cJSON *j)
{
	if (cJSON_IsNumber(j) && !isfinite(j->valuedouble))
		return "a number is out of range";

	/* Every key is compared with every other. */
	if (cJSON_IsObject(j) && cJSON_GetArraySize(j) > JSON_KEYS_MAX)
		return "an object has more than 256 keys";

	for (const cJSON *c = j->child; c; c = c->next) {
		if (cJSON_IsObject(j))
			for (const cJSON *d = c->next; d; d = d->next)
				if (!strcmp(c->string, d->string))
					return "a key stands twice in one object";
		const char *why = flaw_in(c);
		if (why)
			return why;
	}
	return NULL;
}

int json_parse(const char *data, size_t len, cJSON **ret, const char **why)
{
	return json_parse_deep(data, len, JSON_DEPTH_MAX, ret, why);
}

int json_parse_deep(const char *data, size_t len, int depth_max, cJSON **ret, const char **why)
{
	if (!text_is_utf8(data, len) || memchr(data, '\0', len)) {
		*why = "the text is not valid UTF-8";
		return -EINVAL;
	}
	const char *before = flaw_before(data, len, depth_max);
	if (before) {
		*why = before;
		return -EINVAL;
	}

	const char *end = NULL;
	cJSON *j = cJSON_ParseWithLengthOpts(data, len, &end, false);
	if (j)
		while (end < data + len && strchr(" \t\r\n", *end))
			end++;

	const char *flaw = !j || end != data + len ? "the body is not one JSON text" : flaw_in(j);
	if (flaw) {
		*why = flaw;
		cJSON_Delete(j);
		return -EINVAL;
	}
	*ret = j;
	return 0;
}

const char *json_str(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

double json_num(const cJSON *object, const char *name, double fallback)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(j) ? j->valuedouble : fallback;
}

const char *json_unknown(const cJSON *object, const char *const *known)
{
	for (const cJSON *c = object->child; c; c = c->next) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], c->string) != 0)
			i++;
		if (!known[i])
			return c->string;
	}
	return NULL;
}
