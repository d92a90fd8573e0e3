// SPDX-License-Identifier: GPL-2.0-or-later
#include "run.h"

#include "base/config.h"
#include "cmd/cmd.h"

/* Too large for a stack that somebody made small. */
static struct config config;

int cmd_run(struct cli *c)
{
	struct problem why = { 0 };

	if (config_load(c->nr_rest, c->rest, c->env, &config, &why) < 0)
		return cli_complain(c, CLI_USAGE, "%s", why.detail);
	return run_main(&config, &(struct run_words){ c->nr_rest, c->rest, c->env });
}
