// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/tally.h"

#include <stdio.h>
#include <string.h>

static struct tally_count *find(struct tally *t, const char *service, const char *action,
				const char *result)
{
	for (size_t i = 0; i < t->nr; i++) {
		struct tally_count *c = &t->counts[i];
		if (!strcmp(c->service, service) && !strcmp(c->action, action) &&
		    !strcmp(c->result, result))
			return c;
	}
	return NULL;
}

void tally_add(struct tally *t, const char *service, const char *action, const char *result)
{
	struct tally_count *c;

	service = service ? service : "";
	c = find(t, service, action, result);
	if (!c && *service && t->nr >= TALLY_MAX) {
		t->unnamed++;
		service = "";
		c = find(t, service, action, result);
	}
	if (!c && t->nr == TALLY_MAX + TALLY_UNNAMED_MAX) {
		t->dropped++;
		return;
	}
	if (!c) {
		c = &t->counts[t->nr++];
		*c = (struct tally_count){ .action = action, .result = result };
		snprintf(c->service, sizeof(c->service), "%s", service);
	}
	c->n++;
}
