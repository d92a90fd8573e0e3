// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "incident/archive.h"
#include "remediate/engine_internal.h"

#define LIST_LIMIT_MAX 200U

int engine_incident_json(struct engine *e, const char *id, cJSON **ret)
{
	const struct incident *i = engine_find(e, id);

	if (!i)
		return e->store ? archive_load(e->store, id, ret) : -ENOENT;
	cJSON *j = incident_to_json(i);
	if (!j)
		return -ENOMEM;
	*ret = j;
	return 0;
}

int engine_report(struct engine *e, const char *id, struct buf *to)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	int err = engine_incident_json(e, id, &j);

	return err ? err : incident_report_markdown(j, to);
}

static uint32_t number_of(const char *id)
{
	return id && !strncmp(id, "i-", 2) ? (uint32_t)strtoul(id + 2, NULL, 10) : 0;
}

static bool in_memory(const struct engine *e, uint32_t nr)
{
	for (size_t k = 0; k < e->nr; k++)
		if (e->table[k]->nr == nr)
			return true;
	return false;
}

/* Newest first, one source after the other would be wrong: a long-lived incident may be older than archived ones. */
static int insert_sorted(cJSON *items, cJSON *j)
{
	uint32_t nr = number_of(json_str(j, "id"));
	int at = 0;
	const cJSON *c;

	cJSON_ArrayForEach(c, items) {
		if (number_of(json_str(c, "id")) < nr)
			break;
		at++;
	}
	if (cJSON_InsertItemInArray(items, at, j))
		return 0;
	cJSON_Delete(j);
	return -ENOMEM;
}

static int add_from_memory(const struct engine *e, uint32_t before, const char *state, cJSON *items)
{
	for (size_t k = e->nr; k > 0; k--) {
		const struct incident *i = e->table[k - 1];
		if ((before && i->nr >= before) ||
		    (state && strcmp(incident_state_name(i->state), state) != 0))
			continue;
		cJSON *j = incident_to_json(i);
		if (!j || !cJSON_AddItemToArray(items, j)) {
			cJSON_Delete(j);
			return -ENOMEM;
		}
	}
	return 0;
}

static int add_from_store(const struct engine *e, uint32_t before, const char *state,
			  unsigned limit, cJSON *items)
{
	CLEANUP(json_freep) cJSON *stored = NULL;
	/* As many more as may stand in memory too and are passed over. */
	int err = archive_list(e->store, before, state,
			       MIN(limit + 1 + (unsigned)e->nr, (unsigned)ARCHIVE_LIST_MAX),
			       &stored);
	if (err)
		return err;
	while (stored->child) {
		cJSON *j = cJSON_DetachItemFromArray(stored, 0);
		if (in_memory(e, number_of(json_str(j, "id")))) {
			cJSON_Delete(j);
			continue;
		}
		err = insert_sorted(items, j);
		if (err)
			return err;
	}
	return 0;
}

int engine_list_json(struct engine *e, const char *before, const char *state, unsigned limit,
		     cJSON **ret)
{
	CLEANUP(json_freep) cJSON *o = cJSON_CreateObject();
	cJSON *items = cJSON_AddArrayToObject(o, "items");
	uint32_t below = before ? number_of(before) : 0;
	if (!items)
		return -ENOMEM;
	if (before && !below)
		return -EINVAL;

	limit = limit < 1 ? 1 : MIN(limit, LIST_LIMIT_MAX);
	int err = add_from_memory(e, below, state, items);
	if (!err && e->store)
		err = add_from_store(e, below, state, limit, items);
	if (err)
		return err;
	bool more = false;
	while (cJSON_GetArraySize(items) > (int)limit) {
		cJSON_DeleteItemFromArray(items, cJSON_GetArraySize(items) - 1);
		more = true;
	}
	if (more)
		cJSON_AddStringToObject(o, "next",
					json_str(cJSON_GetArrayItem(items, (int)limit - 1), "id"));
	*ret = TAKE_PTR(o);
	return 0;
}
