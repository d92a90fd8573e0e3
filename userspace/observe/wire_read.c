// SPDX-License-Identifier: GPL-2.0-or-later
#include "observe/wire_read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

int wire_wrong(const struct wire_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, r->size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

const cJSON *wire_member(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

bool wire_is_whole(const cJSON *j, uint64_t max)
{
	return cJSON_IsNumber(j) && j->valuedouble >= 0 && j->valuedouble <= (double)max &&
		j->valuedouble == floor(j->valuedouble);
}

int wire_take_number(const struct wire_reader *r, const cJSON *j, const char *name, uint64_t max,
		     uint64_t *ret)
{
	if (!wire_is_whole(j, max))
		return wire_wrong(r, "%s must be a whole number from 0 to %llu", name,
				  (unsigned long long)max);
	*ret = (uint64_t)j->valuedouble;
	return 0;
}

int wire_number(const struct wire_reader *r, const cJSON *o, const char *name, uint64_t max,
		uint64_t *ret)
{
	const cJSON *j = wire_member(o, name);

	*ret = 0;
	return j ? wire_take_number(r, j, name, max, ret) : 0;
}

/* A name of a service or node; "" where it is missing and @required is not. */
int wire_name(const struct wire_reader *r, const cJSON *o, const char *name, bool required,
	      char ret[static SERVICE_NAME_MAX])
{
	const cJSON *j = wire_member(o, name);

	ret[0] = '\0';
	if (!j && !required)
		return 0;
	if (!cJSON_IsString(j) || !service_name_valid(j->valuestring))
		return wire_wrong(r, "%s must be a name: letters, digits, '.', '_' and '-'", name);
	snprintf(ret, SERVICE_NAME_MAX, "%s", j->valuestring);
	return 0;
}

/* Written anew, so that one address has one text. */
int wire_take_address(const struct wire_reader *r, const cJSON *j,
		      char ret[static INET6_ADDRSTRLEN])
{
	unsigned char raw[sizeof(struct in6_addr)];
	const char *text = cJSON_IsString(j) ? j->valuestring : "";
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, text, raw) != 1 || !inet_ntop(family, raw, ret, INET6_ADDRSTRLEN))
		return wire_wrong(r, "an address must be a numeric IPv4 or IPv6 one");
	return 0;
}

int wire_bool(const struct wire_reader *r, const cJSON *o, const char *name, bool *ret)
{
	const cJSON *j = wire_member(o, name);

	if (j && !cJSON_IsBool(j))
		return wire_wrong(r, "%s must be true or false", name);
	*ret = cJSON_IsTrue(j);
	return 0;
}

/* The length of array @name, 0 where it is missing. */
int wire_length(const struct wire_reader *r, const cJSON *o, const char *name, size_t max,
		size_t *ret)
{
	const cJSON *j = wire_member(o, name);
	size_t nr = j ? (size_t)cJSON_GetArraySize(j) : 0;

	if (j && !cJSON_IsArray(j))
		return wire_wrong(r, "%s must be a list", name);
	if (nr > max)
		return wire_wrong(r, "%s has %zu entries; %zu are allowed", name, nr, max);
	*ret = nr;
	return 0;
}
