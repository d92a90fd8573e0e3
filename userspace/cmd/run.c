// SPDX-License-Identifier: GPL-2.0-or-later
/* run, and the three roles that it is made of. */
#include "run.h"

#include "base/config.h"
#include "cmd/cmd.h"

/* Too large for a stack that somebody made small. */
static struct config config;

static int run_as(struct cli *c, enum role role)
{
	struct problem why = { 0 };

	if (config_load(c->nr_rest, c->rest, c->env, &config, &why) < 0)
		return cli_complain(c, CLI_USAGE, "%s", why.detail);
	return run_main(&config, role, &(struct run_words){ c->nr_rest, c->rest, c->env });
}

int cmd_run(struct cli *c)
{
	return run_as(c, ROLE_RUN);
}

int cmd_agent(struct cli *c)
{
	return run_as(c, ROLE_AGENT);
}

int cmd_detector(struct cli *c)
{
	return run_as(c, ROLE_DETECTOR);
}

int cmd_operator(struct cli *c)
{
	return run_as(c, ROLE_OPERATOR);
}
