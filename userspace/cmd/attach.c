// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "discover/service.h"

/* A number that the option gives, into @to. */
static int add_whole(struct cli *c, cJSON *to, const char *name, uint64_t max)
{
	const char *value = cli_option(c, name);
	uint64_t n;

	if (!value)
		return 0;
	if (text_to_u64(value, 1, max, &n))
		return cli_complain(c, CLI_USAGE,
				    "--%s is %s; it must be a whole number from 1 to %llu", name,
				    value, (unsigned long long)max);
	cJSON_AddNumberToObject(to, name, (double)n);
	return 0;
}

int cmd_attach(struct cli *c)
{
	static const char *const texts[] = { "cgroup", "container", "pod", "unit" };
	const char *name = c->nr_args ? c->args[0] : NULL;
	bool named = cli_option(c, "container") || cli_option(c, "pod") || cli_option(c, "unit");
	int given = !!cli_option(c, "port") + !!cli_option(c, "pid");
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	CLEANUP(json_freep) cJSON *service = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = cli_option(c, texts[i]);

		if (text)
			cJSON_AddStringToObject(body, texts[i], text);
		given += !!text;
	}
	if (given != 1)
		return cli_complain(
			c, CLI_USAGE,
			"say where the service is, by exactly one of --port, --pid, --cgroup, --container, --pod and --unit");
	if (!name && !named)
		return cli_complain(c, CLI_USAGE, "give the service a name");
	if (name && !service_name_valid(name))
		return cli_complain(
			c, CLI_USAGE,
			"%s is no name for a service: letters, digits, '.', '_' and '-', at most 63, not beginning with '.' or '-'",
			name);
	if (name)
		cJSON_AddStringToObject(body, "name", name);
	if (cli_option(c, "supervised"))
		cJSON_AddTrueToObject(body, "supervised");
	int status = add_whole(c, body, "port", UINT16_MAX) ?:
		add_whole(c, body, "pid", 4U << 20)         ?:
		cli_call(c, "POST", "/v1/services", body, &service);
	if (status || cli_show(c, service))
		return status;
	const cJSON *pids = cJSON_GetObjectItemCaseSensitive(service, "pids");
	cli_say(c, "attached %s: %d processes\n", json_str(service, "name") ?: "?",
		cJSON_GetArraySize(pids));
	return CLI_DONE;
}

int cmd_detach(struct cli *c)
{
	char name[256], target[300];

	snprintf(target, sizeof(target), "/v1/services/%s",
		 cli_escape(c->args[0], name, sizeof(name)));
	int status = cli_call(c, "DELETE", target, NULL, NULL);
	if (!status && !c->json)
		cli_say(c, "detached %s\n", c->args[0]);
	return status;
}
