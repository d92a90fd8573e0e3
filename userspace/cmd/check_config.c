// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/config.h"
#include "cmd/cmd.h"

static struct config config;

int cmd_check_config(struct cli *c)
{
	struct problem why = { 0 };

	if (c->nr_rest == 1 && !strcmp(c->rest[0], "--defaults")) {
		config_print_defaults(c->out, false);
		return CLI_DONE;
	}
	if (config_load(c->nr_rest, c->rest, c->env, &config, &why) < 0)
		return cli_complain(c, CLI_USAGE, "%s", why.detail);
	cli_say(c, "%s is in order\n",
		*config.file ? config.file : "the configuration (no file was read)");
	return CLI_DONE;
}
