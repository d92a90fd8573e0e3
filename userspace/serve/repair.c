// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/repair.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"

static size_t length_by_lead(unsigned char c)
{
	return c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
}

/* Length of the valid sequence at @s; 0 for none. */
static size_t valid(const char *s)
{
	size_t n = length_by_lead((unsigned char)*s);

	return strnlen(s, n) == n && text_is_utf8(s, n) ? n : 0;
}

void text_repair(char *s)
{
	while (*s) {
		size_t n = valid(s);
		if (!n)
			*s = '?';
		s += n ?: 1;
	}
}

static uint32_t code_point(const char *s, size_t n)
{
	static const unsigned char lead_mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)s[0] & lead_mask[n];

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	return c;
}

static bool acts_on_terminal(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {
		{ 0x00, 0x1f },     { 0x7f, 0x9f },       { 0xad, 0xad },     { 0x61c, 0x61c },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e },   { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
		{ 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return true;
	return false;
}

void text_repair_terminal(char *s)
{
	char *to = s;

	while (*s) {
		size_t n = valid(s);
		if (!n || acts_on_terminal(code_point(s, n))) {
			*to++ = '?';
		} else {
			memmove(to, s, n);
			to += n;
		}
		s += n ?: 1;
	}
	*to = '\0';
}
