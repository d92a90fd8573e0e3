// SPDX-License-Identifier: GPL-2.0-or-later
/* Words into arguments and options; what was meant when they do not fit. */
#include <stdarg.h>
#include <string.h>

#include "cmd/cmd.h"
#include "serve/repair.h"

#define WORD_MAX 32

/* What every command takes that asks the daemon; --json also where there is none. */
static const struct cli_option common[] = {
	{ "json", NULL, "print the interface's own objects" },
	{ "socket", "PATH",
	  "control socket; default control.sock in the run dir, or ARCHAIC_SOCKET" },
	{ "run-dir", "DIR", "the daemon's folder; default /run/archaic-ebpf, or ARCHAIC_RUN_DIR" },
	{ "help", NULL, "this text" },
};

static size_t own_count(const struct cli_command *command)
{
	size_t n = 0;

	while (command->options && command->options[n].name)
		n++;
	return n;
}

const struct cli_option *cli_option_at(const struct cli_command *command, size_t i)
{
	size_t own = own_count(command);

	if (i < own)
		return &command->options[i];
	return i - own < ARRAY_SIZE(common) ? &common[i - own] : NULL;
}

static bool find_option(const struct cli_command *command, const char *name, size_t len,
			size_t *ret)
{
	const struct cli_option *o;

	for (size_t i = 0; (o = cli_option_at(command, i)); i++)
		if (!strncmp(o->name, name, len) && !o->name[len]) {
			*ret = i;
			return true;
		}
	return false;
}

const char *cli_option(const struct cli *c, const char *name)
{
	size_t i;

	return find_option(c->command, name, strlen(name), &i) ? c->values[i] : NULL;
}

/* ---- did you mean */

/* Levenshtein's distance; words over WORD_MAX are far from everything. */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), row[WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t above = row[j];
			size_t change = diagonal + (a[i - 1] != b[j - 1]),
			       insert = MIN(above, row[j - 1]) + 1;
			row[j] = MIN(insert, change);
			diagonal = above;
		}
	}
	return row[lb];
}

const char *cli_nearest(const char *given, const char *const *list)
{
	const char *best = NULL;
	size_t least = WORD_MAX;

	for (; *list; list++) {
		size_t d = distance(given, *list);
		if (d < least && d <= MAX(strlen(*list) / 3, (size_t)1)) {
			least = d;
			best = *list;
		}
	}
	return best;
}

/* ---- words */

static int unknown_option(struct cli *c, const char *word)
{
	const char *names[CLI_OPTIONS_MAX + 1] = { 0 }, *near;
	const struct cli_option *o;
	char given[WORD_MAX + 1];

	snprintf(given, sizeof(given), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	for (size_t i = 0; i < CLI_OPTIONS_MAX && (o = cli_option_at(c->command, i)); i++)
		names[i] = o->name;
	near = cli_nearest(given, names);
	if (near)
		return cli_complain(c, CLI_USAGE, "there is no option %s; did you mean --%s?", word,
				    near);
	return cli_complain(c, CLI_USAGE,
			    "there is no option %s; archaic-ebpf %s --help lists them", word,
			    c->command->name);
}

/* @word begins with "--". *taken: how many words it used. */
static int take_option(struct cli *c, const char *word, const char *next, int *taken)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word - 2) : strlen(word + 2), i;

	if (!find_option(c->command, word + 2, len, &i))
		return unknown_option(c, word);
	const struct cli_option *o = cli_option_at(c->command, i);
	*taken = 1;
	if (!o->value) {
		if (equals)
			return cli_complain(c, CLI_USAGE, "--%s takes no value", o->name);
		c->values[i] = "";
		return 0;
	}
	if (!equals && !next)
		return cli_complain(c, CLI_USAGE, "--%s needs a value: --%s %s", o->name, o->name,
				    o->value);
	if (c->values[i])
		return cli_complain(c, CLI_USAGE, "--%s is given twice", o->name);
	c->values[i] = equals ? equals + 1 : next;
	*taken = equals ? 1 : 2;
	return 0;
}

int cli_parse(struct cli *c)
{
	const struct cli_command *command = c->command;
	bool options = true;

	for (int i = 0, taken; i < c->nr_rest; i += taken) {
		const char *word = c->rest[i];
		taken = 1;
		if (options && !strcmp(word, "--")) {
			options = false;
		} else if (options && !strncmp(word, "--", 2)) {
			int status = take_option(
				c, word, i + 1 < c->nr_rest ? c->rest[i + 1] : NULL, &taken);
			if (status)
				return status;
		} else if (options && word[0] == '-' && word[1]) {
			return cli_complain(c, CLI_USAGE,
					    "there is no option %s; options begin with --", word);
		} else if (c->nr_args == command->max_args) {
			return cli_complain(c, CLI_USAGE,
					    "%s is one word too many; usage: archaic-ebpf %s %s",
					    word, command->name, command->args);
		} else {
			c->args[c->nr_args++] = word;
		}
	}
	if (!cli_option(c, "help") && c->nr_args < command->min_args)
		return cli_complain(c, CLI_USAGE, "something is missing; usage: archaic-ebpf %s %s",
				    command->name, command->args);
	return 0;
}

/* ---- help */

static void print_option(FILE *to, const struct cli_option *o)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "", o->value ?: "");
	fprintf(to, "  %-24s %s\n", left, o->help);
}

static void help_command(FILE *to, const struct cli_command *command)
{
	const struct cli_option *o;

	fprintf(to, "usage: archaic-ebpf %s%s%s [OPTION]…\n\n%s\n\nOPTIONS\n", command->name,
		*command->args ? " " : "", command->args, command->summary);
	if (!command->own_options)
		for (size_t i = 0; (o = cli_option_at(command, i)); i++)
			print_option(to, o);
	if (command->more_help)
		command->more_help(to);
	fprintf(to, "\nEXAMPLES\n%s", command->examples);
}

void cli_help(FILE *to, const struct cli_command *command)
{
	size_t nr;
	const struct cli_command *commands = cli_commands(&nr);

	if (command) {
		help_command(to, command);
		return;
	}
	fprintf(to,
		"usage: archaic-ebpf COMMAND [OPTION]…\n\n"
		"Watch services through BPF, hurt them, notice, diagnose and repair.\n\nCOMMANDS\n");
	for (size_t i = 0; i < nr; i++)
		fprintf(to, "  %-14s %s\n", commands[i].name, commands[i].summary);
	fprintf(to,
		"\narchaic-ebpf COMMAND --help says more.\n\n"
		"EXIT STATUS\n"
		"  0 done  1 failed  2 usage  3 no daemon  4 refused by a limit or the guard  5 this kernel cannot\n\n"
		"EXAMPLES\n"
		"  archaic-ebpf run &\n"
		"  archaic-ebpf attach shop --port 9000\n"
		"  archaic-ebpf inject shop timeout --delay-ms 300 --probability 0.3 --duration 60s\n"
		"  archaic-ebpf incidents\n"
		"  archaic-ebpf reset --all\n");
}

/* ---- words to people */

__attribute__((format(printf, 3, 0))) static void print_safely(FILE *to, const char *prefix,
							       const char *fmt, va_list ap)
{
	char text[4096];
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	size_t len = MIN((size_t)MAX(n, 0), sizeof(text) - 1), end = len;

	/* A newline at the end is ours; one within came from somebody else. */
	while (end && text[end - 1] == '\n')
		end--;
	text[end] = '\0';
	text_repair_terminal(text);
	fprintf(to, "%s%s%.*s", prefix, text, (int)(len - end), "\n\n\n\n");
}

int cli_complain(struct cli *c, int status, const char *fmt, ...)
{
	char prefix[64];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "archaic-ebpf%s%s: ", c->command ? " " : "",
		 c->command ? c->command->name : "");
	va_start(ap, fmt);
	print_safely(c->err, prefix, fmt, ap);
	va_end(ap);
	fputc('\n', c->err);
	return status;
}

void cli_say(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_safely(c->out, "", fmt, ap);
	va_end(ap);
}
