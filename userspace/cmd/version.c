// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/json.h"
#include "cmd/cmd.h"

int cmd_version(struct cli *c)
{
	CLEANUP(json_freep) cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "version", ARCHAIC_VERSION);
	if (!cli_show(c, json))
		cli_say(c, "archaic-ebpf %s\n", ARCHAIC_VERSION);
	return CLI_DONE;
}
