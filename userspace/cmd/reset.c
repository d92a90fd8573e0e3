// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/json.h"
#include "cmd/cmd.h"
#include "fault/fault.h"
#include "serve/repair.h"

#define SAYS_MAX 4096

static void say_ended(struct cli *c, const cJSON *list)
{
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(list, "items"), *f;

	cJSON_ArrayForEach(f, items)
		cli_say(c, "ended %s: %s on %s\n", json_str(f, "id") ?: "?",
			json_str(f, "type") ?: "?", json_str(f, "service") ?: "?");
	if (!cJSON_GetArraySize(items))
		cli_say(c, "nothing was armed\n");
}

/* What a daemon that is dead, stopped or deaf left: by the journal and by our own marks, with no daemon's help. */
static int recover(struct cli *c, cJSON *sentences)
{
	char says[SAYS_MAX] = "", *rest = says;
	int undone;

	if (geteuid() != 0)
		return cli_complain(c, CLI_FAILED,
				    "only root can undo what a dead daemon left; say it with sudo");
	undone = faults_recover(c->run_dir, says, sizeof(says));
	for (char *line; (line = strsep(&rest, "\n"));) {
		if (!*line)
			continue;
		text_repair_terminal(line);
		cJSON_AddItemToArray(sentences, cJSON_CreateString(line));
		if (!c->json)
			cli_say(c, "%s\n", line);
	}
	if (undone < 0)
		return cli_complain(c, CLI_FAILED, "something could not be undone: %s",
				    strerror(-undone));
	if (!undone && !c->json)
		cli_say(c, "nothing of a dead daemon was left\n");
	return CLI_DONE;
}

/* --json: the daemon's list of the faults that were ended (empty without one), and what was "recovered" beside it. */
static int reset_all(struct cli *c)
{
	CLEANUP(json_freep) cJSON *list = NULL;
	int status = CLI_DONE;

	if (cli_daemon_there(c)) {
		status = cli_call(c, "DELETE", "/v1/faults", NULL, &list);
		if (!status && !c->json)
			say_ended(c, list);
	} else if (!c->json) {
		cli_say(c, "no daemon answers on %s\n", c->socket);
	}
	if (!list) {
		list = cJSON_CreateObject();
		cJSON_AddArrayToObject(list, "items");
	}
	/* Whatever the daemon said, and above all when it said nothing. */
	int recovered = recover(c, cJSON_AddArrayToObject(list, "recovered"));
	cli_show(c, list);
	return recovered ?: status;
}

static int preview(struct cli *c, const char *target)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	const cJSON *f;
	int status = cli_call(c, "GET", target, NULL, &json);

	if (status || cli_show(c, json))
		return status;
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(json, "items");
	cJSON_ArrayForEach(f, items)
		if (!strcmp(json_str(f, "state") ?: "", "armed"))
			cli_say(c, "would end %s: %s on %s\n", json_str(f, "id") ?: "?",
				json_str(f, "type") ?: "?", json_str(f, "service") ?: "?");
	if (!items)
		cli_say(c, "would end %s: %s\n", json_str(json, "id") ?: "?",
			json_str(json, "says") ?: "");
	return CLI_DONE;
}

/* "f-" begins an id; a service may be called so too, then --service says it. */
static bool is_id(const char *word)
{
	return !strncmp(word, "f-", 2);
}

int cmd_reset(struct cli *c)
{
	CLEANUP(json_freep) cJSON *json = NULL;
	const char *service = cli_option(c, "service");
	const char *word = c->nr_args ? c->args[0] : NULL;
	char escaped[256], target[300] = "/v1/faults";

	if (!!cli_option(c, "all") + !!word + !!service != 1)
		return cli_complain(c, CLI_USAGE,
				    "say what to end: a service, a fault's id, or --all");
	if (word && is_id(word))
		snprintf(target, sizeof(target), "/v1/faults/%s",
			 cli_escape(word, escaped, sizeof(escaped)));
	else if (word || service)
		snprintf(target, sizeof(target), "/v1/faults?service=%s",
			 cli_escape(word ?: service, escaped, sizeof(escaped)));
	if (cli_option(c, "dry-run"))
		return preview(c, target);
	if (cli_option(c, "all"))
		return reset_all(c);

	int status = cli_call(c, "DELETE", target, NULL, &json);
	if (status || cli_show(c, json))
		return status;
	if (word && is_id(word))
		cli_say(c, "ended %s: %s on %s\n", json_str(json, "id") ?: word,
			json_str(json, "type") ?: "?", json_str(json, "service") ?: "?");
	else
		say_ended(c, json);
	return CLI_DONE;
}
