/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_read.h - single values out of untrusted JSON, each with a sentence where it is wrong. For wire*.c alone.
 *
 * All answer 0, or -EINVAL with the sentence written. Where a member is missing, a
 * number is 0, a text "", a truth false, unless it is required.
 */
#ifndef ARCHAIC_WIRE_READ_H
#define ARCHAIC_WIRE_READ_H

#include "observe/wire.h"

/* Where what is wrong is said. */
struct wire_reader {
	char *why;
	size_t size;
};

/** wire_wrong() - say it; always -EINVAL. */
int wire_wrong(const struct wire_reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** wire_member() - of an object by its exact name; NULL: none. */
const cJSON *wire_member(const cJSON *o, const char *name);

/** wire_is_whole() - is it a whole number from 0 to @max? NULL is none. */
bool wire_is_whole(const cJSON *j, uint64_t max);

/** wire_take_number() - @j, called @name, as a whole number from 0 to @max. */
int wire_take_number(const struct wire_reader *r, const cJSON *j, const char *name, uint64_t max,
		     uint64_t *ret);

/** wire_number() - member @name likewise. */
int wire_number(const struct wire_reader *r, const cJSON *o, const char *name, uint64_t max,
		uint64_t *ret);

/** wire_name() - member @name as the name of a service or node. */
int wire_name(const struct wire_reader *r, const cJSON *o, const char *name, bool required,
	      char ret[static SERVICE_NAME_MAX]);

/** wire_take_address() - @j as a numeric address, written anew: one address has one text. */
int wire_take_address(const struct wire_reader *r, const cJSON *j,
		      char ret[static INET6_ADDRSTRLEN]);

/** wire_bool() - member @name as a truth. */
int wire_bool(const struct wire_reader *r, const cJSON *o, const char *name, bool *ret);

/** wire_length() - how many entries the list @name has, @max at most. */
int wire_length(const struct wire_reader *r, const cJSON *o, const char *name, size_t max,
		size_t *ret);

#endif
