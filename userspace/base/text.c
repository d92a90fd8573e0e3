// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* Length of the valid UTF-8 sequence at @s, or 0. Table 3-7 of the Unicode standard. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (n > left)
		return 0;

	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

bool text_is_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(p + i, len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

int text_json(struct buf *b, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = strlen(s);
	int err = buf_addstr(b, "\"");

	for (size_t i = 0; i < len && !err;) {
		size_t n = utf8_len(p + i, len - i);
		if (!n) {
			err = buf_addstr(b, "\xef\xbf\xbd");
			n = 1;
		} else if (p[i] == '"' || p[i] == '\\') {
			err = buf_addf(b, "\\%c", p[i]);
		} else if (p[i] == '\n') {
			err = buf_addstr(b, "\\n");
		} else if (p[i] < 0x20 || p[i] == 0x7f) {
			err = buf_addf(b, "\\u%04x", p[i]);
		} else {
			err = buf_add(b, p + i, n);
		}
		i += n;
	}
	return err ?: buf_addstr(b, "\"");
}

int text_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	if (!*s || s[strspn(s, "0123456789")])
		return -EINVAL;

	errno = 0;
	unsigned long long v = strtoull(s, NULL, 10);
	if (errno || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int text_to_double(const char *s, double min, double max, double *ret)
{
	if (!*s || s[strspn(s, "0123456789.eE+-")])
		return -EINVAL;

	char *end;
	errno = 0;
	double v = strtod(s, &end);
	if (*end || end == s)
		return -EINVAL;
	if (errno || !isfinite(v) || v < min || v > max)
		return -ERANGE;
	*ret = v;
	return 0;
}

int text_to_duration_ns(const char *s, uint64_t *ret)
{
	static const struct {
		const char *unit;
		double s;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", .001 }, { "m", 60 }, { "h", 3600 } };
	const double max_s = 366.0 * 24 * 3600;
	size_t digits = strspn(s, "0123456789.");
	char number[32];

	if (!digits || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, s, digits);
	number[digits] = '\0';

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		double v;
		if (strcmp(s + digits, units[i].unit) != 0)
			continue;
		int err = text_to_double(number, 0, max_s / units[i].s, &v);
		if (err)
			return err;
		*ret = (uint64_t)(v * units[i].s * 1e9 + .5);
		return 0;
	}
	return -EINVAL;
}
