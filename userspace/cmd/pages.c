// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/config.h"
#include "cmd/cmd.h"
#include "run_pages.h"

static struct config config;

/* "--qr" is ours, all else is run's. */
static bool take_qr(struct cli *c, char *words[static CLI_WORDS_MAX], int *nr)
{
	bool qr = false;

	*nr = 0;
	for (int i = 0; i < c->nr_rest && *nr < CLI_WORDS_MAX; i++)
		if (!strcmp(c->rest[i], "--qr"))
			qr = true;
		else
			words[(*nr)++] = c->rest[i];
	return qr;
}

static void wipe(char **secret)
{
	if (*secret)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
}

int cmd_pages(struct cli *c)
{
	CLEANUP(run_pages_release) struct run_pages keep = { 0 };
	CLEANUP(wipe) char *token = NULL;
	struct server_config unused = { 0 };
	struct problem why = { 0 };
	char *words[CLI_WORDS_MAX];
	int nr;
	bool qr = take_qr(c, words, &nr);

	if (config_load(nr, words, c->env, &config, &why) < 0)
		return cli_complain(c, CLI_USAGE, "%s", why.detail);
	if (run_pages_config(&config, &keep, &unused, &why) ||
	    (*config.daemon.token_file &&
	     server_read_token(config.daemon.token_file, &token, &why)))
		return cli_complain(c, CLI_FAILED, "%s", why.detail);
	/* On loopback nobody asks for the daemon's token: it stays out of sight. */
	bool away = run_pages_away(&config);
	run_pages_print(&config, away ? token : NULL,
			keep.chaos_token ?:
				away     ? token :
					   NULL,
			qr, cli_colour(c), c->out);
	return CLI_DONE;
}
