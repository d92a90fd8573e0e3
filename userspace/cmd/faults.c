// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cmd/cmd.h"

static const cJSON *items_of(const cJSON *list)
{
	return cJSON_GetObjectItemCaseSensitive(list, "items");
}

static void print_faults(struct cli *c, const cJSON *list)
{
	static const char *const heads[] = { "ID",      "SERVICE",      "TYPE",
					     "STATE",   ">LEFT",        ">TOUCHED",
					     ">SPARED", "WHAT IT DOES", NULL };
	const cJSON *f;
	bool all = cli_option(c, "all");
	struct cli_table *t = NULL;

	cJSON_ArrayForEach(f, items_of(list)) {
		const char *state = json_str(f, "state");
		bool armed = state && !strcmp(state, "armed");
		if (!armed && !all)
			continue;
		t = t ?: table_new(heads);
		table_add(t, "%s", json_str(f, "id") ?: "-");
		table_add(t, "%s", json_str(f, "service") ?: "-");
		table_add(t, "%s", json_str(f, "type") ?: "-");
		table_add(t, "%s", state ?: "-");
		if (armed)
			table_num(t, f, "remaining_s", "%.0f s");
		else
			table_add(t, "-");
		table_num(t, cJSON_GetObjectItemCaseSensitive(f, "touched"), "requests", "%.0f");
		table_num(t, cJSON_GetObjectItemCaseSensitive(f, "spared"), "requests", "%.0f");
		table_add(t, "%s", json_str(f, "says") ?: "-");
	}
	if (t)
		table_print(t, c->out, cli_colour(c));
	else
		cli_say(c,
			all ? "there was no fault yet\n" :
			      "nothing is armed; --all shows faults that have ended\n");
}

static void add_names(struct cli_table *t, const cJSON *list, const char *member)
{
	CLEANUP(buf_release) struct buf b;
	const cJSON *p;

	buf_init(&b, 1024);
	cJSON_ArrayForEach(p, list)
		buf_addf(&b, "%s%s", b.len ? ", " : "", json_str(p, member) ?: "?");
	table_add(t, "%s", buf_str(&b));
}

/* Why the first back end that does not work does not. */
static const char *why_not(const cJSON *backends)
{
	const cJSON *b;

	cJSON_ArrayForEach(b, backends)
		if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(b, "available")))
			return json_str(b, "why") ?: "this kernel cannot";
	return "this kernel cannot";
}

static void print_types(struct cli *c, const cJSON *list)
{
	static const char *const heads[] = { "TYPE", "HOW", "PARAMETERS", "WHAT IT DOES", NULL };
	struct cli_table *t = table_new(heads);
	const cJSON *f;

	cJSON_ArrayForEach(f, items_of(list)) {
		const cJSON *backends = cJSON_GetObjectItemCaseSensitive(f, "backends");
		const char *backend = json_str(f, "backend");
		table_add(t, "%s", json_str(f, "type") ?: "-");
		table_add(t, "%s", backend ?: "not here");
		add_names(t, cJSON_GetObjectItemCaseSensitive(f, "params"), "name");
		if (backend)
			table_add(t, "%s", json_str(f, "says") ?: "-");
		else
			table_add(t, "%s", why_not(backends));
	}
	table_print(t, c->out, cli_colour(c));
}

int cmd_faults(struct cli *c)
{
	CLEANUP(json_freep) cJSON *list = NULL;
	const char *service = cli_option(c, "service");
	char name[256], target[300] = "/v1/faults";
	bool types = c->nr_args && !strcmp(c->args[0], "types");

	if (c->nr_args && !types)
		return cli_complain(c, CLI_USAGE, "%s is not known here; say nothing, or types",
				    c->args[0]);
	if (types)
		snprintf(target, sizeof(target), "/v1/faults/types");
	else if (service)
		snprintf(target, sizeof(target), "/v1/faults?service=%s",
			 cli_escape(service, name, sizeof(name)));
	int status = cli_call(c, "GET", target, NULL, &list);
	if (status || cli_show(c, list))
		return status;
	if (types)
		print_types(c, list);
	else
		print_faults(c, list);
	return CLI_DONE;
}
