// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/load/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define FIRST_LONG 256

static void help(const struct options_command *cmd)
{
	printf("%s\n\n%s\n\n", cmd->usage, cmd->says);
	for (size_t i = 0; i < cmd->nr; i++) {
		const struct options_entry *e = &cmd->entries[i];
		char left[64], letter[8] = "    ";

		if (e->letter)
			snprintf(letter, sizeof(letter), "-%c, ", e->letter);
		snprintf(left, sizeof(left), "%s--%s %s", letter, e->name, e->argument ?: "");
		printf("  %-24s %s\n", left, e->help);
	}
	printf("  %-24s %s\n\n%s", "-h, --help", "this", cmd->ends);
}

static size_t prepare(const struct options_command *cmd, struct option *longs, char *letters)
{
	size_t at = 0;

	letters[at++] = 'h';
	for (size_t i = 0; i < cmd->nr; i++) {
		const struct options_entry *e = &cmd->entries[i];

		longs[i] = (struct option){ e->name, e->argument ? required_argument : no_argument,
					    NULL, FIRST_LONG + (int)i };
		if (!e->letter)
			continue;
		letters[at++] = e->letter;
		if (e->argument)
			letters[at++] = ':';
	}
	letters[at] = '\0';
	longs[cmd->nr] = (struct option){ "help", no_argument, NULL, 'h' };
	return cmd->nr;
}

static const struct options_entry *entry_of(const struct options_command *cmd, int c)
{
	for (size_t i = 0; i < cmd->nr; i++)
		if (c == FIRST_LONG + (int)i || (c > 0 && c == cmd->entries[i].letter))
			return &cmd->entries[i];
	return NULL;
}

int options_read(const struct options_command *cmd, int argc, char **argv, void *ctx,
		 const char **word)
{
	struct option longs[OPTIONS_MAX + 1] = { 0 };
	char letters[2 * OPTIONS_MAX + 2];
	int c;

	if (cmd->nr >= OPTIONS_MAX)
		return -EINVAL;
	prepare(cmd, longs, letters);
	*word = NULL;
	optind = 0; /* glibc: begin anew */
	while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct options_entry *e = entry_of(cmd, c);
		const char *allowed = "another value";

		if (c == 'h' && !e) {
			help(cmd);
			return 1;
		}
		if (!e)
			return -EINVAL; /* getopt has said it */
		if (!e->take(ctx, optarg, &allowed))
			continue;
		fprintf(stderr, "--%s is %.200s; it must be %s\n", e->name, optarg ?: "given",
			allowed);
		return -EINVAL;
	}
	if (optind < argc)
		*word = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "unknown argument %.200s; see --help\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}
