// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "cmd/cmd.h"

static void add_ports(struct cli_table *t, const cJSON *ports)
{
	CLEANUP(buf_release) struct buf b;
	const cJSON *p;

	buf_init(&b, 128);
	cJSON_ArrayForEach(p, ports)
		buf_addf(&b, "%s%d", b.len ? "," : "", p->valueint);
	table_add(t, "%s", buf_str(&b));
}

static const char *state_of(const cJSON *s)
{
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s, "anomalous")))
		return "anomalous";
	return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(s, "faults")) ? "being hurt" :
										   "well";
}

static void add_row(struct cli_table *t, const cJSON *s)
{
	const cJSON *latency = cJSON_GetObjectItemCaseSensitive(s, "latency_ms");
	const cJSON *errors = cJSON_GetObjectItemCaseSensitive(s, "error_ratio");

	table_add(t, "%s", json_str(s, "name") ?: "-");
	add_ports(t, cJSON_GetObjectItemCaseSensitive(s, "ports"));
	table_num(t, s, "rate_per_s", "%.1f");
	if (cJSON_IsNumber(errors))
		table_add(t, "%.1f %%", errors->valuedouble * 100);
	else
		table_add(t, "-");
	table_num(t, latency, "p50", "%.1f");
	table_num(t, latency, "p99", "%.1f");
	table_num(t, s, "cpu_cores", "%.2f");
	table_num(t, s, "score", "%.2f");
	table_num(t, s, "baseline_samples", "%.0f");
	table_add(t, "%s", state_of(s));
}

static void print_services(struct cli *c, const cJSON *list, bool one)
{
	static const char *const heads[] = { "SERVICE",   "PORTS",   ">REQ/S", ">ERRORS",
					     ">P50 MS",   ">P99 MS", ">CORES", ">SCORE",
					     ">BASELINE", "STATE",   NULL };
	struct cli_table *t = table_new(heads);
	const cJSON *s;

	if (one)
		add_row(t, list);
	else
		cJSON_ArrayForEach(s, list)
			add_row(t, s);
	table_print(t, c->out, cli_colour(c));
	const char *why = one ? json_str(list, "why") : NULL;
	if (why && *why)
		cli_say(c, "%s\n", why);
}

/* An operator's word: what it does now is its normal. */
static int accept_level(struct cli *c, const char *name)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	char target[300];

	if (strcmp(c->args[1], "accept") != 0)
		return cli_complain(c, CLI_USAGE, "%s is not known here; it must be accept",
				    c->args[1]);
	snprintf(target, sizeof(target), "/v1/services/%s/accept", name);
	int status = cli_call(c, "POST", target, NULL, &json);
	if (status || cli_show(c, json))
		return status;
	cli_say(c,
		"what %s does now is its normal from here on; the anomaly ends with the next tick\n",
		c->args[0]);
	return CLI_DONE;
}

int cmd_services(struct cli *c)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	char name[256], target[300] = "/v1/services";

	if (c->nr_args == 2)
		return accept_level(c, cli_escape(c->args[0], name, sizeof(name)));

	if (c->nr_args)
		snprintf(target, sizeof(target), "/v1/services/%s",
			 cli_escape(c->args[0], name, sizeof(name)));
	int status = cli_call(c, "GET", target, NULL, &json);
	if (status || cli_show(c, json))
		return status;
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(json, "items");
	if (!c->nr_args && !cJSON_GetArraySize(items))
		cli_say(c,
			"no service is known; attach one: archaic-ebpf attach NAME --port PORT\n");
	else
		print_services(c, c->nr_args ? json : items, c->nr_args);
	return CLI_DONE;
}
