/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.h - archaic-load's commands: main()'s only callees. Each says on stderr what went wrong.
 */
#ifndef ARCHAIC_LOAD_COMMANDS_H
#define ARCHAIC_LOAD_COMMANDS_H

enum load_exit {
	LOAD_PASSED = 0,
	LOAD_COULD_NOT = 1, /* nothing could be measured */
	LOAD_USAGE = 2,
	LOAD_BROKEN = 99, /* a threshold does not hold: k6's status for it */
	LOAD_SIGNAL = 128 /* and the signal's number: stopped by it */
};

/* argv[0] is the command's own name. */
int command_http(int argc, char **argv);
int command_run(int argc, char **argv);
int command_shapes(int argc, char **argv);
int command_serve(int argc, char **argv);

#endif
