/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.h - agent, detector and operator in one process.
 */
#ifndef ARCHAIC_RUN_H
#define ARCHAIC_RUN_H

struct config;

/* Which of the stages this process has. */
enum role {
	ROLE_RUN,      /* all of them */
	ROLE_AGENT,    /* watches its node, arms faults, pushes its ticks */
	ROLE_DETECTOR, /* merges nodes, judges */
	ROLE_OPERATOR, /* plans, guards, acts */
};

/* What the configuration was loaded from, to load it again on SIGHUP; borrowed for as long as run_main() runs. */
struct run_words {
	int argc;
	char *const *argv, *const *env;
};

/**
 * run_main() - serve until SIGTERM or SIGINT, then disarm everything and leave nothing.
 * @config: borrowed for the call; a reload (SIGHUP) changes the options in it that are "live".
 * @words: NULL: SIGHUP is ignored.
 * Tells systemd (sd_notify) when it is ready, reloading and stopping, and renews its watchdog.
 * Returns the process's exit status (API.md); what went wrong was logged.
 */
int run_main(struct config *config, enum role role, const struct run_words *words);

#endif
