/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.h - the two trace headers: X-Trace-ID (a UUID) and W3C traceparent.
 *
 * Both come from outside: what does not have the exact shape is not passed on.
 */
#ifndef ARCHAIC_TRACE_H
#define ARCHAIC_TRACE_H

#include <stdbool.h>

#define TRACE_ID_SIZE 37    /* 8-4-4-4-12 and a NUL */
#define TRACEPARENT_SIZE 56 /* version 00: 2-32-16-2 and a NUL */

/** trace_id_valid() - a UUID in its usual form, either case; not the nil UUID. NULL: false. */
bool trace_id_valid(const char *s);

/** trace_id_make() - a random (version 4) UUID. After sodium_init(). */
void trace_id_make(char ret[static TRACE_ID_SIZE]);

/** traceparent_valid() - W3C Trace Context level 1, version 00, lower case, ids not all zero. NULL: false. */
bool traceparent_valid(const char *s);

#endif
