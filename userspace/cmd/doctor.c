// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/json.h"
#include "cmd/cmd.h"
#include "serve/doctor.h"

static void print_items(struct cli *c, const cJSON *items, size_t *nr_bad)
{
	const cJSON *i;
	const char *area = "";

	cJSON_ArrayForEach(i, items) {
		bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(i, "ok"));
		const char *backend = json_str(i, "backend"), *advice = json_str(i, "advice");
		const char *now = json_str(i, "area") ?: "";
		if (strcmp(area, now) != 0)
			cli_say(c, "%s\n", now);
		area = now;
		cli_say(c, "  %-4s %-12s %s%s%s%s\n", ok ? "ok" : "NO", json_str(i, "name") ?: "?",
			json_str(i, "says") ?: "", backend ? " [" : "", backend ?: "",
			backend ? "]" : "");
		if (advice)
			cli_say(c, "       %-12s → %s\n", "", advice);
		*nr_bad += !ok;
	}
}

int cmd_doctor(struct cli *c)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	size_t nr_bad = 0;
	bool daemon = cli_daemon_there(c);
	int status = CLI_DONE;

	/* A daemon knows what it really got; without one the kernel is asked from here. */
	if (daemon)
		status = cli_call(c, "GET", "/v1/doctor", NULL, &json);
	else if (doctor_probe(&json))
		status =
			cli_complain(c, CLI_FAILED, "the kernel could not be asked: out of memory");
	if (status || cli_show(c, json))
		return status;
	if (!daemon)
		cli_say(c, "no daemon answers on %s: asked the kernel directly\n", c->socket);
	print_items(c, cJSON_GetObjectItemCaseSensitive(json, "items"), &nr_bad);
	if (nr_bad)
		cli_say(c, "%zu of these do not work here; everything else does\n", nr_bad);
	return CLI_DONE;
}
