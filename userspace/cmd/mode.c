// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/json.h"
#include "cmd/cmd.h"

int cmd_mode(struct cli *c)
{
	CLEANUP(json_freep) cJSON *body = c->nr_args ? cJSON_CreateObject() : NULL;
	CLEANUP(json_freep) cJSON *json = NULL;

	if (body)
		cJSON_AddStringToObject(body, "mode", c->args[0]);
	int status = cli_call(c, body ? "POST" : "GET", "/v1/mode", body, &json);
	if (!status && !cli_show(c, json))
		cli_say(c, "%s\n", json_str(json, "mode") ?: "?");
	return status;
}
