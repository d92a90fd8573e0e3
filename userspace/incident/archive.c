// SPDX-License-Identifier: GPL-2.0-or-later
#include "incident/archive.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"

int archive_save(struct store *s, const char *id, const char *state, int64_t opened_ms,
		 const char *root, const char *json)
{
	return store_run(
		s,
		"INSERT INTO incidents(id, state, opened_at, root, json) VALUES(?1, ?2, ?3, ?4, ?5) "
		"ON CONFLICT(id) DO UPDATE SET state = excluded.state, root = excluded.root, "
		"json = excluded.json",
		"ttitt", id, state, opened_ms, root, json);
}

static int parse_row(const struct store_row *row, int column, cJSON **ret)
{
	const char *text = store_text(row, column), *why;

	return json_parse(text, strlen(text), ret, &why) ? -EBADMSG : 0;
}

static int take_one(const struct store_row *row, void *ctx)
{
	cJSON **ret = ctx;

	return *ret ? 0 : parse_row(row, 0, ret);
}

int archive_load(struct store *s, const char *id, cJSON **ret)
{
	CLEANUP(json_freep) cJSON *found = NULL;
	int err = store_query(s, "SELECT json FROM incidents WHERE id = ?1", take_one, &found, "t",
			      id);

	if (err)
		return err;
	if (!found)
		return -ENOENT;
	*ret = TAKE_PTR(found);
	return 0;
}

static int take_number(const struct store_row *row, void *ctx)
{
	*(int64_t *)ctx = store_int(row, 0);
	return 0;
}

int archive_last_nr(struct store *s, uint32_t *ret)
{
	int64_t nr = 0;
	int err = store_query(
		s, "SELECT coalesce(max(CAST(substr(id, 3) AS INTEGER)), 0) FROM incidents",
		take_number, &nr, "");

	if (err)
		return err;
	*ret = nr > 0 && nr < UINT32_MAX ? (uint32_t)nr : 0;
	return 0;
}

/* A row that is not our JSON any more is passed over: one bad row must not hide the others. */
static int take_item(const struct store_row *row, void *ctx)
{
	cJSON *j = NULL;

	if (parse_row(row, 0, &j))
		return 0;
	if (!cJSON_AddItemToArray(ctx, j)) {
		cJSON_Delete(j);
		return -ENOMEM;
	}
	return 0;
}

int archive_list(struct store *s, uint32_t before, const char *state, unsigned limit, cJSON **ret)
{
	CLEANUP(json_freep) cJSON *list = cJSON_CreateArray();
	if (!list)
		return -ENOMEM;
	int err = store_query(
		s,
		"SELECT json FROM incidents WHERE (?1 = 0 OR CAST(substr(id, 3) AS INTEGER) < ?1) "
		"AND (?2 IS NULL OR state = ?2) ORDER BY CAST(substr(id, 3) AS INTEGER) DESC LIMIT ?3",
		take_item, list, "iti", (int64_t)before, state,
		(int64_t)MIN(limit, (unsigned)ARCHIVE_LIST_MAX));
	if (err)
		return err;
	*ret = TAKE_PTR(list);
	return 0;
}

static int close_one(struct store *s, cJSON *i, int64_t now_ms)
{
	char at[CLOCK_TEXT_SIZE];
	const char *id = json_str(i, "id"), *state = json_str(i, "state");
	bool escalated = state && !strcmp(state, "escalated");
	cJSON *timeline = cJSON_GetObjectItemCaseSensitive(i, "timeline"),
	      *e = cJSON_CreateObject();

	if (!id || !cJSON_IsArray(timeline) || !e || !cJSON_AddItemToArray(timeline, e)) {
		cJSON_Delete(e);
		return -EBADMSG;
	}
	clock_format(now_ms, at);
	cJSON_AddStringToObject(e, "at", at);
	cJSON_AddNullToObject(e, "since_onset_s");
	cJSON_AddStringToObject(e, "event", "closed");
	cJSON_AddStringToObject(
		e, "text",
		"closed: the daemon that watched it has ended, and how it went on was not seen");
	cJSON_ReplaceItemInObjectCaseSensitive(i, "closed_at", cJSON_CreateString(at));
	/* That people were called stays true; everything else that had no end is simply closed. */
	if (!escalated)
		cJSON_ReplaceItemInObjectCaseSensitive(i, "state", cJSON_CreateString("closed"));
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(i);
	if (!text)
		return -ENOMEM;
	return store_run(s, "UPDATE incidents SET state = ?2, json = ?3 WHERE id = ?1", "ttt", id,
			 escalated ? "escalated" : "closed", text);
}

int archive_close_left_open(struct store *s, int64_t now_ms)
{
	CLEANUP(json_freep) cJSON *list = cJSON_CreateArray();
	int closed = 0;
	cJSON *i;

	if (!list)
		return -ENOMEM;
	int err = store_query(
		s,
		"SELECT json FROM incidents WHERE state NOT IN ('repaired', 'closed') AND "
		"json_valid(json) AND json_extract(json, '$.closed_at') IS NULL",
		take_item, list, "");
	if (err)
		return err;
	cJSON_ArrayForEach(i, list) {
		err = close_one(s, i, now_ms);
		if (err && err != -EBADMSG)
			return err;
		closed += !err;
	}
	return closed;
}

static int take_outcome(const struct store_row *row, void *ctx)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	if (parse_row(row, 0, &j))
		return 0;
	const char *service = json_str(j, "service"), *class = json_str(j, "class"),
		   *kind = json_str(j, "kind");

	for (int c = 0; service && class && kind && c <= FAULT_CLASS_DOWN; c++)
		for (int k = 0; k < NR_ACTION_KINDS; k++)
			if (!strcmp(class, fault_class_name((enum fault_class)c)) &&
			    !strcmp(kind, action_kind_name((enum action_kind)k)))
				history_add(ctx, service, (enum fault_class)c, (enum action_kind)k,
					    history_result_parse(json_str(j, "result")));
	return 0;
}

int archive_history(struct store *s, struct history *h)
{
	return store_query(
		s,
		"SELECT json FROM (SELECT seq, json FROM audit WHERE event = 'outcome' ORDER BY seq DESC "
		"LIMIT ?1) ORDER BY seq",
		take_outcome, h, "i", (int64_t)HISTORY_MAX);
}
