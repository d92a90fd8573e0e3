// SPDX-License-Identifier: GPL-2.0-or-later
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "kube/fault_watch.h"

static atomic_bool cancel;

static void on_signal(int signal)
{
	(void)signal;
	atomic_store(&cancel, true);
}

static void on_say(void *ctx, bool failed, const char *text)
{
	(void)ctx;
	if (failed)
		log_warning("%s", text);
	else
		log_info("%s", text);
}

int cmd_watch_faults(struct cli *c)
{
	struct fault_watch_config config = {
		.kubeconfig = cli_option(c, "kubeconfig"),
		.socket = c->socket,
		.node = cli_option(c, "node")      ?:
			cli_env(c, "ARCHAIC_NODE") ?:
						     "",
		.say = on_say,
	};
	char why[256] = "";

	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_signal }, NULL);
	log_init("archaic-ebpf", 2, LOG_LEVEL_INFO);
	if (!*config.node)
		return cli_complain(c, CLI_USAGE, "--node is missing, and ARCHAIC_NODE is not set");
	log_info("carrying out faults of the cluster on %s", config.node);
	if (fault_watch_run(&config, &cancel, why, sizeof(why)))
		return cli_complain(c, CLI_FAILED, "%s", why);
	return CLI_DONE;
}
