/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run.h - agent, detector and operator in one process.
 */
#ifndef ARCHAIC_RUN_H
#define ARCHAIC_RUN_H

struct config;

/**
 * run_main() - serve until SIGTERM or SIGINT, then disarm everything and leave nothing.
 * @config: borrowed for the call.
 * Returns the process's exit status (API.md); what went wrong was logged.
 */
int run_main(const struct config *config);

#endif
