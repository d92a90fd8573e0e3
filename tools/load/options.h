/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.h - one table for reading a command's options and for its help.
 *
 * What is wrong is said on stderr: what was given, what is allowed.
 */
#ifndef ARCHAIC_LOAD_OPTIONS_H
#define ARCHAIC_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_MAX 32

struct options_entry {
	char letter;          /* 0: none */
	const char *name;     /* without the dashes */
	const char *argument; /* as help names it; NULL: takes none */
	const char *help;
	/* 0, or not 0 with @allowed set: what the value must be. */
	int (*take)(void *ctx, const char *value, const char **allowed);
};

struct options_command {
	const char *usage, *says, *ends; /* first line, what it does, exit status and examples */
	const struct options_entry *entries;
	size_t nr;
};

/** options_read() - all options before, between and behind the words. @word: the one word that may be given; NULL where none was. 0; 1: help was asked for and printed; -EINVAL: said what is wrong. */
int options_read(const struct options_command *cmd, int argc, char **argv, void *ctx,
		 const char **word);

#endif
