// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cmd/cmd.h"
#include "serve/repair.h"

static const cJSON *member(const cJSON *o, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(o, name);
}

static void add_texts(struct buf *b, const cJSON *list)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, list)
		buf_addf(b, "%s%s", b->len ? ", " : "", cJSON_GetStringValue(v) ?: "?");
}

static void print_list(struct cli *c, const cJSON *items)
{
	static const char *const heads[] = { "ID",      "STATE",  "OPENED", "ROOT CAUSE",
					     "VICTIMS", "ACTION", "RESULT", NULL };
	struct cli_table *t = table_new(heads);
	const cJSON *i;

	cJSON_ArrayForEach(i, items) {
		const cJSON *root = member(i, "root_cause"), *actions = member(i, "actions");
		const cJSON *last = cJSON_GetArrayItem(actions, cJSON_GetArraySize(actions) - 1);
		CLEANUP(buf_release) struct buf victims;
		buf_init(&victims, 1024);
		add_texts(&victims, member(i, "victims"));
		table_add(t, "%s", json_str(i, "id") ?: "-");
		table_add(t, "%s", json_str(i, "state") ?: "-");
		table_add(t, "%s", json_str(i, "opened_at") ?: "-");
		if (cJSON_IsObject(root))
			table_add(t, "%s (%s)", json_str(root, "service") ?: "?",
				  json_str(root, "resource") ?: "?");
		else
			table_add(t, "unknown");
		table_add(t, "%s", buf_str(&victims));
		table_add(t, "%s %s", json_str(last, "kind") ?: "-",
			  json_str(last, "target") ?: "");
		table_add(t, "%s", json_str(member(i, "verification"), "result") ?: "-");
	}
	table_print(t, c->out, cli_colour(c));
}

static void print_cause(struct cli *c, const cJSON *cause)
{
	const cJSON *reason;

	cli_say(c, "  %s (%s), confidence %.2f\n", json_str(cause, "service") ?: "?",
		json_str(cause, "resource") ?: "?", json_num(cause, "confidence", 0));
	cJSON_ArrayForEach(reason, member(cause, "reasons"))
		cli_say(c, "    %s\n", cJSON_GetStringValue(reason) ?: "?");
}

static void print_one(struct cli *c, const cJSON *i)
{
	const cJSON *x;

	cli_say(c, "%s  %s  opened %s\n", json_str(i, "id") ?: "?", json_str(i, "state") ?: "?",
		json_str(i, "opened_at") ?: "?");
	cli_say(c, "causes, the likeliest first:\n");
	cJSON_ArrayForEach(x, member(i, "causes"))
		print_cause(c, x);
	if (!cJSON_GetArraySize(member(i, "causes")))
		cli_say(c, "  unknown\n");
	if (cJSON_IsObject(member(i, "guard")))
		cli_say(c, "guard: %s\n", json_str(member(i, "guard"), "why") ?: "?");
	cli_say(c, "timeline, seconds since the onset:\n");
	cJSON_ArrayForEach(x, member(i, "timeline"))
		cli_say(c, "  %8.1f  %-15s %s\n", json_num(x, "since_onset_s", 0),
			json_str(x, "event") ?: "?", json_str(x, "text") ?: "");
	if (!strcmp(json_str(i, "state") ?: "", "awaiting_approval"))
		cli_say(c, "it waits for you: archaic-ebpf incidents approve %s, or reject\n",
			json_str(i, "id") ?: "?");
}

static int list(struct cli *c)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	const char *state = cli_option(c, "state"), *limit = cli_option(c, "limit");
	char a[64], b[64], target[256];

	snprintf(target, sizeof(target), "/v1/incidents%s%s%s%s", state || limit ? "?" : "",
		 state ? "state=" : "", state ? cli_escape(state, a, sizeof(a)) : "",
		 state && limit ? "&" : "");
	if (limit)
		snprintf(target + strlen(target), sizeof(target) - strlen(target), "limit=%s",
			 cli_escape(limit, b, sizeof(b)));
	int status = cli_call(c, "GET", target, NULL, &json);
	if (status || cli_show(c, json))
		return status;
	if (cJSON_GetArraySize(member(json, "items")))
		print_list(c, member(json, "items"));
	else
		cli_say(c, "there are no incidents\n");
	return CLI_DONE;
}

static int decide(struct cli *c, const char *verb, const char *id, const char *option)
{
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	CLEANUP(json_freep) cJSON *json = NULL;
	const char *value = cli_option(c, option);
	char target[256];

	if (value)
		cJSON_AddStringToObject(body, option, value);
	snprintf(target, sizeof(target), "/v1/incidents/%s/%s", id, verb);
	int status = cli_call(c, "POST", target, body, &json);
	if (!status && !cli_show(c, json))
		print_one(c, json);
	return status;
}

static int report(struct cli *c, const char *id)
{
	CLEANUP(freep) char *text = NULL;
	char target[256];

	if (c->json)
		return cli_complain(
			c, CLI_USAGE,
			"a report is Markdown; the record as JSON: archaic-ebpf incidents %s --json",
			id);
	snprintf(target, sizeof(target), "/v1/incidents/%s/report", id);
	int status = cli_call_text(c, target, &text);
	if (status)
		return status;
	/* Markdown is many lines: each is made fit for a terminal on its own. */
	for (char *line, *rest = text; (line = strsep(&rest, "\n"));) {
		if (!rest && !*line)
			break;
		text_repair_terminal(line);
		fprintf(c->out, "%s\n", line);
	}
	return CLI_DONE;
}

static int show(struct cli *c, const char *id)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	char target[256];

	snprintf(target, sizeof(target), "/v1/incidents/%s", id);
	int status = cli_call(c, "GET", target, NULL, &json);
	if (!status && !cli_show(c, json))
		print_one(c, json);
	return status;
}

int cmd_incidents(struct cli *c)
{
	static const char *const verbs[] = { "approve", "reject", "report" };
	char id[128];
	size_t verb = 0;

	if (!c->nr_args)
		return list(c);
	while (verb < ARRAY_SIZE(verbs) && strcmp(verbs[verb], c->args[0]) != 0)
		verb++;
	if (verb < ARRAY_SIZE(verbs) && c->nr_args != 2)
		return cli_complain(c, CLI_USAGE,
				    "which incident? usage: archaic-ebpf incidents %s ID",
				    verbs[verb]);
	if (verb == ARRAY_SIZE(verbs) && c->nr_args != 1)
		return cli_complain(c, CLI_USAGE,
				    "%s is not known here; it must be approve, reject or report",
				    c->args[0]);

	cli_escape(c->args[c->nr_args - 1], id, sizeof(id));
	switch (verb) {
	case 0:
		return decide(c, "approve", id, "action");
	case 1:
		return decide(c, "reject", id, "why");
	case 2:
		return report(c, id);
	default:
		return show(c, id);
	}
}
