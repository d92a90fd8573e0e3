// SPDX-License-Identifier: GPL-2.0-or-later
/* One option of two configurations: is it the same, and how it would be written. */
#include <inttypes.h>
#include <string.h>

#include "base/config.h"

static const void *field_of(const struct config_option *o, const struct config *c)
{
	return (const char *)c + o->offset;
}

static bool lists_differ(const struct config_list *a, const struct config_list *b)
{
	if (a->nr != b->nr)
		return true;
	for (size_t i = 0; i < a->nr; i++)
		if (strcmp(a->item[i], b->item[i]) != 0)
			return true;
	return false;
}

bool config_differs(const struct config_option *o, const struct config *a, const struct config *b)
{
	const void *x = field_of(o, a), *y = field_of(o, b);

	/* Behind a text's end and a list's last name may be what was there before. */
	if (o->type == CONFIG_TYPE_TEXT || o->type == CONFIG_TYPE_PATH)
		return strcmp(x, y) != 0;
	if (o->type == CONFIG_TYPE_LIST)
		return lists_differ(x, y);
	return memcmp(x, y, o->size) != 0;
}

void config_copy_option(const struct config_option *o, struct config *to, const struct config *from)
{
	memcpy((char *)to + o->offset, field_of(o, from), o->size);
}

/* The largest unit that leaves no fraction, so that it reads back as the same time. */
static void duration(uint64_t ns, char *to, size_t size)
{
	static const struct {
		uint64_t ns;
		const char *unit;
	} units[] = { { 3600 * NSEC_PER_SEC, "h" },
		      { 60 * NSEC_PER_SEC, "m" },
		      { NSEC_PER_SEC, "s" },
		      { NSEC_PER_MSEC, "ms" } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (ns && ns % units[i].ns == 0) {
			snprintf(to, size, "%" PRIu64 "%s", ns / units[i].ns, units[i].unit);
			return;
		}
	snprintf(to, size, ns ? "%.6fms" : "0s", (double)ns / (double)NSEC_PER_MSEC);
}

static void choice(const char *choices, int nr, char *to, size_t size)
{
	for (; nr > 0 && choices; nr--) {
		choices = strchr(choices, '|');
		choices += choices ? 1 : 0;
	}
	snprintf(to, size, "%.*s", choices ? (int)strcspn(choices, "|") : 0, choices ?: "");
}

static void list(const struct config_list *l, char *to, size_t size)
{
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < l->nr && len < size; i++)
		len += (size_t)snprintf(to + len, size - len, "%s%s", i ? " " : "", l->item[i]);
}

const char *config_value(const struct config_option *o, const struct config *c, char *to,
			 size_t size)
{
	const void *f = field_of(o, c);

	switch (o->type) {
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
		snprintf(to, size, "%s", (const char *)f);
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(to, size, "%s", *(const bool *)f ? "yes" : "no");
		break;
	case CONFIG_TYPE_U16:
		snprintf(to, size, "%u", *(const uint16_t *)f);
		break;
	case CONFIG_TYPE_U32:
		snprintf(to, size, "%" PRIu32, *(const uint32_t *)f);
		break;
	case CONFIG_TYPE_U64:
		snprintf(to, size, "%" PRIu64, *(const uint64_t *)f);
		break;
	case CONFIG_TYPE_RATIO:
		snprintf(to, size, "%.10g", *(const double *)f);
		break;
	case CONFIG_TYPE_DURATION:
		duration(*(const uint64_t *)f, to, size);
		break;
	case CONFIG_TYPE_CHOICE:
		choice(o->choices, *(const int *)f, to, size);
		break;
	case CONFIG_TYPE_LIST:
		list(f, to, size);
		break;
	}
	return to;
}
