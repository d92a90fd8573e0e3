/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd.h - the command line: one table drives parsing and --help; one file a subcommand.
 *
 * Everything that came from elsewhere (names, paths, sentences of the daemon)
 * is made fit for a terminal before it is printed. Results go to c->out,
 * complaints to c->err: what was given, what is allowed, what to do.
 * Single-threaded.
 */
#ifndef ARCHAIC_CMD_H
#define ARCHAIC_CMD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/util.h"

#define CLI_OPTIONS_MAX 20 /* of one command, common ones included */
#define CLI_ARGS_MAX 4
#define CLI_WORDS_MAX 128 /* that pages passes on to the configuration */

/* Exit status, as API.md has it. */
enum cli_status { CLI_DONE, CLI_FAILED, CLI_USAGE, CLI_NO_DAEMON, CLI_REFUSED, CLI_UNABLE };

struct cli_option {
	const char *name;  /* without "--" */
	const char *value; /* how help calls the value; NULL: a flag */
	const char *help;
};

struct cli;

struct cli_command {
	const char *name;
	const char *args;    /* for the usage line: "SERVICE TYPE"; "" for none */
	const char *summary; /* one line */
	size_t min_args, max_args;
	bool own_options;                 /* parses c->rest itself (run, check-config) */
	bool local;                       /* asks no daemon: no --socket */
	const struct cli_option *options; /* ended by a NULL name; NULL: none */
	int (*run)(struct cli *c);        /* an exit status */
	void (*more_help)(FILE *to);      /* NULL: none */
	const char *examples;             /* lines */
};

struct cli {
	FILE *out, *err;
	char *const *env;
	const struct cli_command *command;
	const char *args[CLI_ARGS_MAX];
	size_t nr_args;
	const char *values[CLI_OPTIONS_MAX]; /* by the option's place, see cli_option() */
	char *const *rest;                   /* the words after the command */
	int nr_rest;
	bool json;
	char socket[108];
	char run_dir[256];
};

/** cli_main() - parse, run, and return the exit status. @env: NULL-ended, like environ. */
int cli_main(int argc, char *const argv[], char *const env[], FILE *out, FILE *err);

/** cli_commands() - the table; @nr its length. Static. */
const struct cli_command *cli_commands(size_t *nr);

/** cli_option() - the option's value ("" for a flag that was given), NULL when it was not. */
const char *cli_option(const struct cli *c, const char *name);

/** cli_env() - a variable of the environment that cli_main() got; NULL where it is missing or empty. */
const char *cli_env(const struct cli *c, const char *name);

/** cli_complain() - "archaic-ebpf COMMAND: text" on stderr. Returns @status, so that "return cli_complain(…)" reads well. */
int cli_complain(struct cli *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** cli_say() - text on stdout, made fit for a terminal; newlines at its end stay. */
void cli_say(struct cli *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** cli_parse() - words into c->args and c->values, by c->command's options. 0, or CLI_USAGE having complained. */
int cli_parse(struct cli *c);

/** cli_option_at() - the command's @i-th option, its own and then the common ones; NULL from the end on. Not for own_options. */
const struct cli_option *cli_option_at(const struct cli_command *command, size_t i);

/** cli_help() - what `archaic-ebpf COMMAND --help` prints; NULL @command: the list of commands. */
void cli_help(FILE *to, const struct cli_command *command);

/** cli_nearest() - the word of @list (NULL-ended) that @given may have meant; NULL: none is near. Edit distance, at most a third of its letters. */
const char *cli_nearest(const char *given, const char *const *list);

/* ---- asking the daemon (client.c) */

/**
 * cli_call() - one request to the daemon.
 * @body: NULL: none. Borrowed.
 * @ret: the answer's JSON, owned by the caller; NULL where it has none. NULL @ret: not wanted.
 * Returns CLI_DONE, or an exit status having complained.
 */
int cli_call(struct cli *c, const char *method, const char *target, const cJSON *body, cJSON **ret);

/** cli_call_text() - the same for an answer that is text; *ret is free()d. */
int cli_call_text(struct cli *c, const char *target, char **ret);

/** cli_daemon_there() - does somebody answer on the control socket? */
bool cli_daemon_there(struct cli *c);

/** cli_escape() - @text as one path segment or query value, into @to (cut when it does not fit). Returns @to. */
const char *cli_escape(const char *text, char *to, size_t size);

/** cli_show() - print @json as it came when --json was given. False: it was not, print for people. */
bool cli_show(struct cli *c, const cJSON *json);

/* ---- tables (table.c) */

struct cli_table;

/** table_new() - @heads: NULL-ended; one that begins with '>' is aligned to the right. NULL: out of memory. */
struct cli_table *table_new(const char *const *heads);

/** table_add() - the next cell, row by row; NULL is "-". Cut at 200 bytes. */
void table_add(struct cli_table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** table_num() - member @name of @object through @fmt (one double); "-" where it is no number. */
void table_num(struct cli_table *t, const cJSON *object, const char *name, const char *fmt);

/** table_print() - print and free. @colour: bold heads. */
void table_print(struct cli_table *t, FILE *to, bool colour);

/** cli_colour() - is the output a terminal, and NO_COLOR not set (https://no-color.org)? */
bool cli_colour(const struct cli *c);

/* ---- the commands */
int cmd_run(struct cli *c);
int cmd_agent(struct cli *c);
int cmd_detector(struct cli *c);
int cmd_operator(struct cli *c);
int cmd_check_config(struct cli *c);
int cmd_completion(struct cli *c);
int cmd_pages(struct cli *c);
int cmd_attach(struct cli *c);
int cmd_detach(struct cli *c);
int cmd_inject(struct cli *c);
int cmd_reset(struct cli *c);
int cmd_faults(struct cli *c);
int cmd_services(struct cli *c);
int cmd_incidents(struct cli *c);
int cmd_mode(struct cli *c);
int cmd_doctor(struct cli *c);
int cmd_version(struct cli *c);
int cmd_watch_faults(struct cli *c);

#endif
