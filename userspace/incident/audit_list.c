// SPDX-License-Identifier: GPL-2.0-or-later
#include "incident/audit_list.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"

static const char *sentence_of(const cJSON *data, const char *event)
{
	static const char *const members[] = { "says", "why", "text", "order", "expected", "undo" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *s = json_str(data, members[i]);
		if (s && *s)
			return s;
	}
	return event;
}

cJSON *audit_entry_json(int64_t seq, int64_t at_ms, const char *actor, const char *event,
			const char *json)
{
	char text[CLOCK_TEXT_SIZE];
	const char *why;
	cJSON *data = NULL, *o = cJSON_CreateObject();

	if (seq)
		cJSON_AddNumberToObject(o, "seq", (double)seq);
	cJSON_AddStringToObject(o, "at", clock_format(at_ms, text));
	cJSON_AddStringToObject(o, "actor", actor);
	cJSON_AddStringToObject(o, "event", event);
	if (json_parse(json, strlen(json), &data, &why) == 0 && cJSON_IsObject(data)) {
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(data, "status");
		cJSON_AddItemToObject(o, "status",
				      cJSON_IsNumber(status) ?
					      cJSON_CreateNumber(status->valuedouble) :
					      cJSON_CreateNull());
		cJSON_AddStringToObject(o, "says", sentence_of(data, event));
		cJSON_AddItemToObject(o, "data", TAKE_PTR(data));
	} else {
		cJSON_AddStringToObject(o, "says", event);
	}
	cJSON_Delete(data);
	return o;
}

static int add_row(const struct store_row *row, void *ctx)
{
	cJSON *items = ctx;

	cJSON_AddItemToArray(items,
			     audit_entry_json(store_int(row, 0), store_int(row, 1),
					      store_text(row, 2), store_text(row, 3),
					      store_text(row, 4)));
	return 0;
}

int audit_list(struct store *s, size_t limit, cJSON *items)
{
	return store_query(
		s, "SELECT seq, at, actor, event, json FROM audit ORDER BY seq DESC LIMIT ?1",
		add_row, items, "i", (int64_t)MIN(limit, (size_t)AUDIT_LIST_MAX));
}
