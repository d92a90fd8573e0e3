/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json.h - untrusted bytes into cJSON trees, strictly, and typed look-ups.
 *
 * cJSON accepts invalid UTF-8, trailing text and deep nesting: this does not.
 * Numbers must be finite. Duplicate keys are refused (two readers could
 * disagree on which one counts).
 */
#ifndef ARCHAIC_JSON_H
#define ARCHAIC_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 16
#define JSON_KEYS_MAX 256 /* of one object */

/**
 * json_parse() - parse one whole JSON text.
 * @data: @len bytes, need not be terminated. @ret: owned by the caller, cJSON_Delete() (or json_freep).
 * @why: set on failure to a static sentence.
 * 0, -EINVAL (not JSON, not UTF-8, too deep, too many or duplicate keys) or -ENOMEM.
 */
int json_parse(const char *data, size_t len, cJSON **ret, const char **why);

/** json_parse_deep() - json_parse() with another limit of nesting, at most 64: for peers whose own objects are deep. */
int json_parse_deep(const char *data, size_t len, int depth_max, cJSON **ret, const char **why);

/** json_str() - member @name as text, borrowed; NULL where missing or not text. */
const char *json_str(const cJSON *object, const char *name);

/** json_num() - member @name as a number; @fallback where missing or not a number. */
double json_num(const cJSON *object, const char *name, double fallback);

/** json_unknown() - the first member of @object that is not in the NULL-ended list; NULL where all are known. */
const char *json_unknown(const cJSON *object, const char *const *known);

static inline void json_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

static inline void json_textp(char **s)
{
	cJSON_free(*s);
}

#endif
