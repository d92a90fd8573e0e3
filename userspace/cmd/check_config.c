// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/config.h"
#include "cmd/cmd.h"

static struct config config;

/* What is made from the table of options, each alone on its line: for installing and for the curious. */
static bool print_instead(struct cli *c)
{
	const char *word = c->nr_rest == 1 ? c->rest[0] : "";

	if (!strcmp(word, "--defaults"))
		config_print_defaults(c->out, false);
	else if (!strcmp(word, "--template"))
		config_print_defaults(c->out, true);
	else if (!strcmp(word, "--man"))
		config_print_man(c->out);
	else
		return false;
	return true;
}

int cmd_check_config(struct cli *c)
{
	struct problem why = { 0 };

	if (print_instead(c))
		return CLI_DONE;
	if (config_load(c->nr_rest, c->rest, c->env, &config, &why) < 0)
		return cli_complain(c, CLI_USAGE, "%s", why.detail);
	cli_say(c, "%s is in order\n",
		*config.file ? config.file : "the configuration (no file was read)");
	return CLI_DONE;
}
