// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "incident/incident.h"

/* Outside text must not become markup of ours: what has a meaning in Markdown or HTML is escaped, lines are joined. */
static int add_plain(struct buf *to, const char *s)
{
	int err = 0;

	for (; !err && s && *s; s++) {
		if (strchr("\\`*_{}[]<>#|~", *s))
			err = buf_add(to, "\\", 1);
		if (!err)
			err = buf_add(to, *s == '\n' || *s == '\r' ? " " : s, 1);
	}
	return err;
}

static int add_line(struct buf *to, const char *label, const char *text)
{
	int err = buf_addf(to, "- %s: ", label);

	if (!err)
		err = add_plain(to, text && *text ? text : "-");
	return err ? err : buf_addstr(to, "\n");
}

static int add_root(const cJSON *i, struct buf *to)
{
	const cJSON *root = cJSON_GetObjectItemCaseSensitive(i, "root_cause"), *r;
	int err = buf_addstr(to, "\n## Root cause\n\n");

	if (!err && !cJSON_IsObject(root))
		return buf_addstr(to, "Not known: the evidence did not carry.\n");
	if (!err)
		err = buf_addf(to, "**%s**, %s, confidence %.2f.\n\n", json_str(root, "service"),
			       json_str(root, "resource"), json_num(root, "confidence", 0));
	cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(root, "reasons")) {
		if (!err)
			err = buf_addstr(to, "- ");
		if (!err)
			err = add_plain(to, cJSON_GetStringValue(r));
		if (!err)
			err = buf_addstr(to, "\n");
	}
	return err;
}

static int add_victims(const cJSON *i, struct buf *to)
{
	const cJSON *v;
	int err = buf_addstr(to, "\n## Victims\n\n");
	bool any = false;

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(i, "victims")) {
		if (!err)
			err = buf_addf(to, "- %s\n",
				       cJSON_GetStringValue(v) ? cJSON_GetStringValue(v) : "?");
		any = true;
	}
	return err || any ? err : buf_addstr(to, "None seen.\n");
}

static int add_plan(const cJSON *i, struct buf *to)
{
	const cJSON *plan = cJSON_GetObjectItemCaseSensitive(i, "plan"), *a;
	const cJSON *guard = cJSON_GetObjectItemCaseSensitive(i, "guard");
	int err = buf_addstr(to, "\n## What was done\n\n");

	if (!err && cJSON_IsObject(plan)) {
		err = add_line(to, "Plan by", json_str(plan, "by"));
		if (!err)
			err = add_line(to, "Why", json_str(plan, "why"));
		if (!err && json_str(plan, "fell_back_because"))
			err = add_line(to, "Fell back because",
				       json_str(plan, "fell_back_because"));
	}
	if (!err && cJSON_IsObject(guard))
		err = add_line(to, "Guard", json_str(guard, "why"));
	cJSON_ArrayForEach(a, cJSON_GetObjectItemCaseSensitive(i, "actions")) {
		if (!err)
			err = buf_addf(to, "- %s of %s: ", json_str(a, "kind"),
				       json_str(a, "target"));
		if (!err)
			err = add_plain(to, json_str(a, "result"));
		if (!err)
			err = buf_addstr(to, "\n");
	}
	return err;
}

static int add_timeline(const cJSON *i, struct buf *to)
{
	const cJSON *e;
	int err = buf_addstr(
		to,
		"\n## Timeline\n\n| time | s since onset | event | what |\n| --- | ---: | --- | --- |\n");

	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(i, "timeline")) {
		if (!err)
			err = buf_addf(to, "| %s | %.1f | %s | ", json_str(e, "at"),
				       json_num(e, "since_onset_s", 0), json_str(e, "event"));
		if (!err)
			err = add_plain(to, json_str(e, "text"));
		if (!err)
			err = buf_addstr(to, " |\n");
	}
	return err;
}

int incident_report_markdown(const cJSON *i, struct buf *to)
{
	const char *id = json_str(i, "id");
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(i, "verification");
	if (!id)
		return -EINVAL;

	int err = buf_addf(to, "# Incident %s\n\n", id);
	if (!err)
		err = add_line(to, "State", json_str(i, "state"));
	if (!err)
		err = add_line(to, "Opened", json_str(i, "opened_at"));
	if (!err)
		err = add_line(to, "Closed", json_str(i, "closed_at"));
	if (!err)
		err = add_line(to, "Verification",
			       cJSON_IsObject(v) ? json_str(v, "result") : NULL);
	if (!err)
		err = add_root(i, to);
	if (!err)
		err = add_victims(i, to);
	if (!err)
		err = add_plan(i, to);
	return err ? err : add_timeline(i, to);
}
