// SPDX-License-Identifier: GPL-2.0-or-later
/* Services of other machines: put in by whoever knows of them, never looked for here. */
#include <errno.h>
#include <string.h>

#include "discover/registry_internal.h"

static struct entry *find(const struct registry *r, uint32_t id)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->entries[i]->s.id == id)
			return r->entries[i];
	return NULL;
}

int registry_put(struct registry *r, const struct service *s)
{
	struct entry *e = find(r, s->id);

	if (!e && s->id < r->next_id)
		return -EINVAL;
	if (!e) {
		r->next_id = s->id;
		e = registry_add(r, s->name, s->source);
	}
	if (!e)
		return -ENOSPC;
	e->s = *s;
	e->dirty = false;
	return 0;
}

void registry_take_out(struct registry *r, uint32_t id)
{
	struct entry *e = find(r, id);

	if (!e)
		return;
	registry_drop(r, e);
	r->nr_gone--;
}
