// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/trace.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* x: a hexadecimal digit; anything else: itself. */
static bool has_shape(const char *s, const char *shape, const char *digits)
{
	size_t i = 0;

	for (; shape[i]; i++)
		if (!s[i] || (shape[i] == 'x' ? !strchr(digits, s[i]) : s[i] != shape[i]))
			return false;
	return !s[i];
}

static bool all_zero(const char *s, size_t len)
{
	return strspn(s, "0-") >= len;
}

bool trace_id_valid(const char *s)
{
	return s &&
		has_shape(s, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "0123456789abcdefABCDEF") &&
		!all_zero(s, TRACE_ID_SIZE - 1);
}

void trace_id_make(char ret[static TRACE_ID_SIZE])
{
	unsigned char b[16];

	randombytes_buf(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(ret, TRACE_ID_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

bool traceparent_valid(const char *s)
{
	return s &&
		has_shape(s, "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx",
			  "0123456789abcdef") &&
		!all_zero(s + 3, 32) && !all_zero(s + 36, 16);
}
