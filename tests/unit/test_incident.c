// SPDX-License-Identifier: GPL-2.0-or-later
/* The record as people and the store see it: JSON, report, archive, audit chain, and a daemon's next life. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../lib/remediate_world.h"
#include "base/json.h"
#include "base/util.h"
#include "incident/archive.h"

static struct world w;

static int setup(void **state)
{
	world_init(&w);
	*state = &w;
	return store_open(":memory:", &w.store, NULL);
}

static int teardown(void **state)
{
	(void)state;
	struct store *s = w.store;
	if (w.e)
		world_release(&w);
	store_close(s);
	return 0;
}

static void repair_db(void)
{
	w.armed = 1;
	world_sick(&w, DB, SCORER_FOREST);
	world_sick(&w, PRODUCT, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, PRODUCT);
	world_tick(&w, 3);
	world_well(&w, DB);
	world_well(&w, PRODUCT);
	w.diagnosed = false;
	world_tick(&w, 12);
}

static const cJSON *member(const cJSON *j, const char *name)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(j, name);

	if (!m)
		fail_msg("\"%s\" is missing", name);
	return m;
}

static void only(const cJSON *j, const char *const *names)
{
	const char *unknown = json_unknown(j, names);

	if (unknown)
		fail_msg("\"%s\" is not in the interface", unknown);
	for (; *names; names++)
		member(j, *names);
}

static void test_incident_json_is_the_interface(void **state)
{
	static const char *const top[] = { "id",         "state",  "opened_at", "closed_at",
					   "root_cause", "causes", "victims",   "evidence",
					   "plan",       "guard",  "actions",   "verification",
					   "timeline",   NULL };
	static const char *const cause[] = { "service", "resource", "confidence", "reasons", NULL };
	static const char *const plan[] = { "by", "model", "action", "why", "fell_back_because",
					    NULL };
	static const char *const guard[] = { "allowed", "why", NULL };
	static const char *const action[] = {
		"kind", "target", "started_at", "result", "undo", NULL
	};
	static const char *const verification[] = { "result", "after_s", NULL };
	static const char *const event[] = { "at", "since_onset_s", "event", "text", NULL };

	(void)state;
	world_start(&w);
	repair_db();
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(engine_incident_json(w.e, "i-0001", &j), 0);
	only(j, top);
	only(member(j, "root_cause"), cause);
	only(member(j, "plan"), plan);
	only(member(j, "guard"), guard);
	only(member(j, "actions")->child, action);
	only(member(j, "verification"), verification);
	const cJSON *e;
	cJSON_ArrayForEach(e, member(j, "timeline"))
		only(e, event);
	assert_string_equal(json_str(j, "state"), "repaired");
	assert_string_equal(json_str(j, "opened_at"), "2024-01-15T10:06:41.000Z");
	assert_string_equal(json_str(member(j, "root_cause"), "service"), "db");
	assert_string_equal(cJSON_GetStringValue(member(j, "victims")->child), "product");
	assert_string_equal(json_str(member(j, "plan"), "by"), "playbook");
	assert_true(cJSON_IsNull(member(member(j, "plan"), "model")));
	assert_string_equal(json_str(member(j, "verification"), "result"), "verified");
	assert_true(json_num(member(j, "verification"), "after_s", -1) == 10);
	assert_true(json_num(member(j, "timeline")->child, "since_onset_s", -1) == 0);
	assert_string_equal(json_str(member(j, "timeline")->child, "event"), "onset");
	assert_string_equal(json_str(member(j, "evidence")->child, "scorer"), "forest");
	assert_string_equal(json_str(member(j, "evidence")->child, "feature"), "p99");
}

static void test_incident_json_while_nothing_is_known(void **state)
{
	static struct incident i;

	(void)state;
	incident_init(&i, 7, NSEC_PER_SEC, 1000);
	CLEANUP(json_freep) cJSON *j = incident_to_json(&i);
	assert_non_null(j);
	assert_string_equal(json_str(j, "id"), "i-0007");
	static const char *const null[] = { "closed_at", "root_cause", "plan", "guard",
					    "verification" };
	for (size_t k = 0; k < ARRAY_SIZE(null); k++)
		assert_true(cJSON_IsNull(member(j, null[k])));
	static const char *const empty[] = { "causes", "victims", "evidence", "actions",
					     "timeline" };
	for (size_t k = 0; k < ARRAY_SIZE(empty); k++)
		assert_int_equal(cJSON_GetArraySize(member(j, empty[k])), 0);
}

static void test_incident_lists_are_bounded(void **state)
{
	static struct incident i;

	(void)state;
	incident_init(&i, 1, NSEC_PER_SEC, 0);
	for (unsigned k = 0; k < INCIDENT_TIMELINE_MAX + 3; k++)
		incident_note(&i, k, "note", "%u", k);
	for (unsigned k = 0; k < INCIDENT_EVIDENCE_MAX + 2; k++)
		incident_add_evidence(&i);
	for (uint32_t k = 1; k <= INCIDENT_MEMBERS_MAX + 1; k++)
		incident_add_member(&i, k);
	assert_int_equal(i.nr_timeline, INCIDENT_TIMELINE_MAX);
	assert_int_equal(i.dropped, 3 + 2 + 1);
	assert_null(incident_add_evidence(&i));
}

static void test_report_tells_the_story_and_escapes(void **state)
{
	CLEANUP(buf_release) struct buf b;

	(void)state;
	buf_init(&b, 65536);
	world_start(&w);
	snprintf(w.diagnosis.why, sizeof(w.diagnosis.why), "x");
	world_sick(&w, DB, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, PRODUCT);
	snprintf(w.diagnosis.causes[0].reasons[0], 160,
		 "<script>alert(1)</script> | [x](http://evil)");
	world_tick(&w, 4);
	assert_int_equal(engine_report(w.e, "i-0001", &b), 0);
	assert_non_null(strstr(b.data, "# Incident i-0001"));
	assert_non_null(strstr(b.data, "**db**, latency, confidence 0.82"));
	assert_non_null(strstr(b.data, "- product\n"));
	assert_non_null(strstr(b.data, "| onset |"));
	assert_null(strstr(b.data, "<script>"));
	assert_non_null(strstr(b.data, "\\<script\\>"));
	assert_null(strstr(b.data, " [x]("));
	assert_int_equal(engine_report(w.e, "i-0099", &b), -ENOENT);
}

/* ---- the archive */

static char *column(const char *sql, char *to, size_t size);

static int take_text(const struct store_row *row, void *ctx)
{
	snprintf(ctx, 256, "%s", store_text(row, 0));
	return 0;
}

static char *column(const char *sql, char *to, size_t size)
{
	assert_true(size >= 256);
	to[0] = '\0';
	assert_int_equal(store_query(w.store, sql, take_text, to, ""), 0);
	return to;
}

static void test_archive_keeps_incident_and_audit(void **state)
{
	char text[256];
	uint64_t nr;
	int64_t bad;

	(void)state;
	world_start(&w);
	repair_db();
	assert_string_equal(column("SELECT state FROM incidents WHERE id = 'i-0001'", text,
				   sizeof(text)),
			    "repaired");
	assert_string_equal(column("SELECT root FROM incidents", text, sizeof(text)), "db");
	assert_string_equal(
		column("SELECT group_concat(event, ' ') FROM (SELECT event FROM audit ORDER BY seq)",
		       text, sizeof(text)),
		"opened plan action outcome closed");
	assert_non_null(
		strstr(column("SELECT json FROM audit WHERE event = 'action'", text, sizeof(text)),
		       "\"undo\":"));
	assert_int_equal(audit_verify(w.store, &nr, &bad), 0);
	assert_int_equal(nr, 5);
	assert_int_equal(engine_stats(w.e)->records_dropped + engine_stats(w.e)->records_failed, 0);
}

static void test_audit_shows_every_tampering(void **state)
{
	static const struct {
		const char *sql;
		int64_t bad;
	} tampering[] = {
		{ "UPDATE audit SET json = '{}' WHERE seq = 3", 3 },
		{ "UPDATE audit SET actor = 'nobody' WHERE seq = 2", 2 },
		{ "UPDATE audit SET at = at + 1 WHERE seq = 4", 4 },
		{ "DELETE FROM audit WHERE seq = 2", 3 },
		{ "DELETE FROM audit WHERE seq = 1", 2 },
		{ "UPDATE audit SET seq = 9 WHERE seq = 5", 9 },
		{ "UPDATE audit SET actor = actor || 'x', event = substr(event, 2) WHERE seq = 1",
		  1 },
	};
	uint64_t nr;
	int64_t bad;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(audit_append(w.store, 1000 + i, "engine", "test", "{\"a\":1}"), 0);
	assert_int_equal(audit_verify(w.store, &nr, &bad), 0);
	assert_int_equal(bad, 0);
	for (size_t i = 0; i < ARRAY_SIZE(tampering); i++) {
		assert_int_equal(store_begin(w.store), 0);
		assert_int_equal(store_run(w.store, tampering[i].sql, ""), 0);
		assert_int_equal(store_changes(w.store), 1);
		assert_int_equal(audit_verify(w.store, &nr, &bad), -EBADMSG);
		assert_int_equal(bad, tampering[i].bad);
		store_rollback(w.store);
	}
	assert_int_equal(audit_verify(w.store, &nr, &bad), 0);
}

static void test_archive_next_life_goes_on(void **state)
{
	char text[256];

	(void)state;
	world_start(&w);
	repair_db();
	w.config.mode = GUARD_SUGGEST;
	world_sick(&w, AUTH, SCORER_FOREST);
	world_diagnose(&w, AUTH, FAULT_CLASS_ERRORS, 0);
	world_tick(&w, 2);
	assert_string_equal(column("SELECT state FROM incidents WHERE id = 'i-0002'", text,
				   sizeof(text)),
			    "open");

	struct store *s = w.store;
	world_release(&w);
	world_init(&w);
	w.store = s;
	world_start(&w);
	assert_string_equal(column("SELECT state FROM incidents WHERE id = 'i-0002'", text,
				   sizeof(text)),
			    "closed");
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(engine_incident_json(w.e, "i-0002", &j), 0);
	assert_true(cJSON_IsString(member(j, "closed_at")));
	const cJSON *t = member(j, "timeline");
	const cJSON *last = cJSON_GetArrayItem(t, cJSON_GetArraySize(t) - 1);
	assert_non_null(strstr(json_str(last, "text"), "the daemon that watched it has ended"));
	assert_string_equal(column("SELECT state FROM incidents WHERE id = 'i-0001'", text,
				   sizeof(text)),
			    "repaired");
	/* The history is learned again, and numbers go on. */
	world_sick(&w, DB, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, 0);
	world_tick(&w, 3);
	assert_string_equal(world_incident(&w)->id, "i-0003");
	assert_non_null(strstr(world_incident(&w)->plan.why, "as it helped here the last time"));
}

static void test_archive_writes_what_is_queued_at_the_end(void **state)
{
	char text[256];

	(void)state;
	world_start(&w);
	w.hold_jobs = true;
	w.config.mode = GUARD_SUGGEST;
	world_sick(&w, DB, SCORER_FOREST);
	world_tick(&w, 2);
	engine_set_mode(w.e, GUARD_OBSERVE, "anna", w.now_ns);
	struct store *s = w.store;
	world_jobs(&w); /* as run.c does: what was handed over is run first */
	world_release(&w);
	w.store = s;
	assert_string_equal(
		column("SELECT count(*) FROM audit WHERE event = 'mode' AND actor = 'anna'", text,
		       sizeof(text)),
		"1");
	assert_string_equal(column("SELECT count(*) FROM incidents", text, sizeof(text)), "1");
}

static void test_engine_does_nothing_that_cannot_be_written_down(void **state)
{
	(void)state;
	world_start(&w);
	w.armed = 1;
	world_sick(&w, DB, SCORER_FOREST);
	world_diagnose(&w, DB, FAULT_CLASS_LATENCY, 0);
	world_tick(&w, 1);
	assert_int_equal(store_run(w.store, "DROP TABLE audit", ""), 0);
	world_tick(&w, 3);
	assert_int_equal(w.resets, 0);
	const struct incident *i = world_incident(&w);
	assert_true(world_find(i, "action_done", "the undo record could not be written") > 0);
	assert_false(i->actions[0].acted);
	assert_true(engine_stats(w.e)->records_failed > 0);
}

static void test_list_joins_memory_and_archive(void **state)
{
	(void)state;
	for (int k = 1; k <= 5; k++) {
		char id[16], json[128];
		snprintf(id, sizeof(id), "i-%04d", k);
		snprintf(json, sizeof(json),
			 "{\"id\":\"%s\",\"state\":\"closed\",\"closed_at\":\"x\",\"timeline\":[]}",
			 id);
		assert_int_equal(archive_save(w.store, id, "closed", k, NULL, json), 0);
	}
	world_start(&w);
	repair_db();
	CLEANUP(json_freep) cJSON *all = NULL, *page = NULL, *rest = NULL, *some = NULL;
	assert_int_equal(engine_list_json(w.e, NULL, NULL, 50, &all), 0);
	assert_int_equal(cJSON_GetArraySize(member(all, "items")), 6);
	assert_null(json_str(all, "next"));
	assert_string_equal(json_str(member(all, "items")->child, "id"), "i-0006");
	assert_int_equal(engine_list_json(w.e, NULL, NULL, 4, &page), 0);
	assert_int_equal(cJSON_GetArraySize(member(page, "items")), 4);
	assert_string_equal(json_str(page, "next"), "i-0003");
	assert_int_equal(engine_list_json(w.e, "i-0003", NULL, 4, &rest), 0);
	assert_int_equal(cJSON_GetArraySize(member(rest, "items")), 2);
	assert_int_equal(engine_list_json(w.e, NULL, "repaired", 4, &some), 0);
	assert_int_equal(cJSON_GetArraySize(member(some, "items")), 1);
	cJSON *untouched = NULL;
	assert_int_equal(engine_list_json(w.e, "nonsense", NULL, 4, &untouched), -EINVAL);
	assert_null(untouched);
}

static void test_table_forgets_finished_ones_only(void **state)
{
	(void)state;
	w.config.guard.cooldown_ns = 0;
	w.config.mode = GUARD_OBSERVE;
	world_start(&w);
	world_sick(&w, AUTH, SCORER_FOREST); /* i-0001 lives on */
	world_tick(&w, 1);
	for (int k = 0; k < ENGINE_LIVE_MAX + ENGINE_RECENT_MAX + 5; k++) {
		world_sick(&w, DB, SCORER_FOREST);
		world_tick(&w, 1);
		world_well(&w, DB);
		world_tick(&w, 5);
	}
	assert_non_null(engine_find(w.e, "i-0001"));
	assert_null(engine_find(w.e, "i-0002"));
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(engine_incident_json(w.e, "i-0002", &j), 0); /* from the store */
	struct problem p = { 0 };
	assert_int_equal(engine_approve(w.e, w.now_ns, "i-0002", NULL, "anna", &p), -EEXIST);
	assert_non_null(strstr(p.detail, "has ended"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_incident_json_is_the_interface),
		T(test_incident_json_while_nothing_is_known),
		T(test_incident_lists_are_bounded),
		T(test_report_tells_the_story_and_escapes),
		T(test_archive_keeps_incident_and_audit),
		T(test_audit_shows_every_tampering),
		T(test_archive_next_life_goes_on),
		T(test_archive_writes_what_is_queued_at_the_end),
		T(test_engine_does_nothing_that_cannot_be_written_down),
		T(test_list_joins_memory_and_archive),
		T(test_table_forgets_finished_ones_only),
	};

	return cmocka_run_group_tests_name("incident", tests, NULL, NULL);
}
