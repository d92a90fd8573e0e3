/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.h - untrusted text into known shapes: UTF-8, JSON strings, numbers.
 *
 * Nothing here trusts a length or an encoding. Parsers take the whole string
 * or refuse it; @ret is untouched on failure.
 */
#ifndef ARCHAIC_TEXT_H
#define ARCHAIC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/** text_is_utf8() - RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF. NUL bytes count as valid. */
bool text_is_utf8(const char *s, size_t len);

/** text_json() - append @s as a JSON string with its quotes; bad UTF-8 becomes U+FFFD, control characters \u00XX. 0 or buf's error. */
int text_json(struct buf *b, const char *s);

/** text_to_u64() - a whole decimal number in [min, max]. 0, -EINVAL (not a number) or -ERANGE. */
int text_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/** text_to_double() - a finite decimal number in [min, max]; no hex, no inf, no nan. 0, -EINVAL or -ERANGE. */
int text_to_double(const char *s, double min, double max, double *ret);

/** text_to_duration_ns() - "10", "10s", "250ms", "5m", "1h"; a bare number is seconds. 0, -EINVAL or -ERANGE (> 366 days). */
int text_to_duration_ns(const char *s, uint64_t *ret);

#endif
