// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cmd/cmd.h"

/* Options that become numbers of the same name, with '_' for '-'; the daemon knows which type takes which. */
static const char *const numbers[] = { "intensity", "delay-ms", "status", "percent", "seed" };

static int add_number(struct cli *c, cJSON *to, const char *name)
{
	const char *value = cli_option(c, name);
	char field[32];
	double v;

	if (!value)
		return 0;
	if (text_to_double(value, 0, 1e15, &v))
		return cli_complain(c, CLI_USAGE, "--%s is %s; it must be a number from 0 on", name,
				    value);
	snprintf(field, sizeof(field), "%s", name);
	for (char *p = field; *p; p++)
		if (*p == '-')
			*p = '_';
	cJSON_AddNumberToObject(to, field, v);
	return 0;
}

static void add_keys(const char *list, cJSON *to)
{
	cJSON *keys = list ? cJSON_AddArrayToObject(to, "keys") : NULL;

	while (keys && *list) {
		char key[64];
		size_t len = strcspn(list, ",");
		snprintf(key, sizeof(key), "%.*s", (int)len, list);
		cJSON_AddItemToArray(keys, cJSON_CreateString(key));
		list += len + (list[len] == ',');
	}
}

static int add_duration(struct cli *c, cJSON *to)
{
	const char *value = cli_option(c, "duration");
	uint64_t ns;

	if (!value)
		return 0;
	if (text_to_duration_ns(value, &ns) || !ns)
		return cli_complain(
			c, CLI_USAGE,
			"--duration is %s; it must be a time like 30, 30s, 500ms, 5m or 1h", value);
	cJSON_AddNumberToObject(to, "duration_s", (double)ns / 1e9);
	return 0;
}

static int make_body(struct cli *c, cJSON *body)
{
	cJSON *params = cJSON_AddObjectToObject(body, "params");
	const char *slot = cli_option(c, "slot");
	int status = 0;

	cJSON_AddStringToObject(body, "service", c->args[0]);
	cJSON_AddStringToObject(body, "type", c->args[1]);
	if (slot)
		cJSON_AddStringToObject(body, "slot", slot);
	for (size_t i = 0; i < ARRAY_SIZE(numbers) && !status; i++)
		status = add_number(c, params, numbers[i]);
	add_keys(cli_option(c, "keys"), params);
	if (cli_option(c, "health"))
		cJSON_AddTrueToObject(cJSON_AddObjectToObject(body, "match"), "health");
	if (cli_option(c, "follow"))
		cJSON_AddStringToObject(body, "on_replace", "follow");
	return status ?: add_number(c, body, "probability") ?: add_duration(c, body);
}

int cmd_inject(struct cli *c)
{
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	CLEANUP(json_freep) cJSON *fault = NULL;
	bool dry = cli_option(c, "dry-run");
	int status = make_body(c, body);

	status = status ?:
		cli_call(c, "POST", dry ? "/v1/faults?dry_run=true" : "/v1/faults", body, &fault);
	if (status || cli_show(c, fault))
		return status;
	const char *says = json_str(fault, "says") ?: "", *backend = json_str(fault, "backend");
	if (dry) {
		cli_say(c, "nothing is armed. It would be: %s (%s)\n", says,
			backend ?: "no back end");
		return CLI_DONE;
	}
	cli_say(c, "%s armed: %s\n", json_str(fault, "id") ?: "?", says);
	cli_say(c, "end it with: archaic-ebpf reset %s\n", json_str(fault, "id") ?: "--all");
	return CLI_DONE;
}
