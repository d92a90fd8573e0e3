// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A completion for bash, made from the tables: commands and their options, the configuration's
 * options and what each may be, the fault types. Only the names of services are asked for when
 * they are wanted. Nothing in it comes from outside, so nothing has to be quoted.
 */
#include <ctype.h>
#include <string.h>

#include "base/config.h"
#include "cmd/cmd.h"
#include "fault/fault.h"

/* Those whose first argument is a service's name. */
static const char *const of_services[] = { "inject", "reset", "services", "detach", NULL };

static bool among(const char *const *list, const char *word)
{
	for (; *list; list++)
		if (!strcmp(*list, word))
			return true;
	return false;
}

/* In an argument's description what is to be typed as it stands is in lower case: "[NAME [accept]]". */
static void print_literals(FILE *to, const char *args)
{
	for (const char *p = args; *p;) {
		size_t n = 0;
		while (islower((unsigned char)p[n]) || (n && p[n] == '-'))
			n++;
		if (n)
			fprintf(to, " %.*s", (int)n, p);
		p += n;
		/* Over the rest of a word that is not one of ours. */
		while (*p && (isalnum((unsigned char)*p) || *p == '-'))
			p++;
		while (*p && !isalnum((unsigned char)*p))
			p++;
	}
}

static void print_words(FILE *to, const char *choices)
{
	for (; *choices; choices++)
		fputc(*choices == '|' ? ' ' : *choices, to);
}

static const char *mode_choices(void)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	for (size_t i = 0; i < nr; i++)
		if (!strcmp(o[i].flag, "mode"))
			return o[i].choices;
	return "";
}

/* A command's own words, then its options; both for compgen -W. */
static void print_command(FILE *to, const struct cli_command *c)
{
	const struct cli_option *o;
	size_t nr;
	const struct config_option *config = config_options(&nr);

	fprintf(to, "\t%s)\n\t\twords=\"", c->name);
	if (!strcmp(c->name, "mode"))
		print_words(to, mode_choices());
	else
		print_literals(to, c->args);
	fputs("\"\n\t\toptions=\"--help", to);
	if (c->own_options) {
		fputs(" --config", to);
		for (size_t i = 0; i < nr; i++)
			fprintf(to, " --%s", config[i].flag);
	}
	for (size_t i = 0; !c->own_options && (o = cli_option_at(c, i)); i++)
		if (strcmp(o->name, "help") != 0)
			fprintf(to, " --%s", o->name);
	fputs("\"\n", to);
	if (among(of_services, c->name))
		fputs("\t\t((at == 2)) && services=yes\n", to);
	if (!strcmp(c->name, "inject")) {
		fputs("\t\t((at == 3)) && words=\"", to);
		for (int t = 0; t < NR_FAULT_TYPES; t++)
			fprintf(to, "%s%s", t ? " " : "", fault_types()[t].name);
		fputs("\"\n", to);
	}
	fputs("\t\t;;\n", to);
}

/* What stands behind an option: one of a few words, a file, or anything. */
static void print_values(FILE *to)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	for (size_t i = 0; i < nr; i++) {
		const char *words = o[i].type == CONFIG_TYPE_BOOL ? "yes|no" : o[i].choices;
		if (!words)
			continue;
		fprintf(to, "\t--%s)\n\t\tvalues=\"", o[i].flag);
		print_words(to, words);
		fputs("\"\n\t\t;;\n", to);
	}
	fputs("\t--config | --run-dir | --socket", to);
	for (size_t i = 0; i < nr; i++)
		if (o[i].type == CONFIG_TYPE_PATH && strcmp(o[i].flag, "run-dir") != 0 &&
		    strcmp(o[i].flag, "socket") != 0)
			fprintf(to, " | --%s", o[i].flag);
	fputs(")\n\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n\t\treturn\n\t\t;;\n"
	      "\t--service)\n\t\tservices=yes\n\t\t;;\n",
	      to);
}

int cmd_completion(struct cli *c)
{
	size_t nr;
	const struct cli_command *commands = cli_commands(&nr);

	if (strcmp(c->args[0], "bash") != 0)
		return cli_complain(c, CLI_USAGE, "%s is not known here; there is bash",
				    c->args[0]);
	fputs("# Completion of archaic-ebpf for bash; made by archaic-ebpf completion bash.\n"
	      "# shellcheck shell=bash\n"
	      "_archaic_ebpf() {\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i\n"
	      "\tlocal words='' options='' values='' services=no at=0\n"
	      "\tCOMPREPLY=()\n"
	      "\tif ((COMP_CWORD == 1)); then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"",
	      c->out);
	for (size_t i = 0; i < nr; i++)
		fprintf(c->out, "%s ", commands[i].name);
	fputs("--help --version\" -- \"$cur\")\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\t# How many words stand before, the command counted and options not.\n"
	      "\tfor ((i = 1; i <= COMP_CWORD; i++)); do\n"
	      "\t\t[[ ${COMP_WORDS[i]} == -* ]] || ((++at))\n"
	      "\tdone\n"
	      "\tcase $prev in\n",
	      c->out);
	print_values(c->out);
	fputs("\tesac\n"
	      "\tcase ${COMP_WORDS[1]} in\n",
	      c->out);
	for (size_t i = 0; i < nr; i++)
		print_command(c->out, &commands[i]);
	fputs("\tesac\n"
	      "\tif [[ -n $values ]]; then\n"
	      "\t\twords=$values options=\n"
	      "\telif [[ $cur == -* ]]; then\n"
	      "\t\twords=$options\n"
	      "\telif [[ $services == yes ]]; then\n"
	      "\t\twords+=\" $(archaic-ebpf services 2>/dev/null | awk 'NR > 1 { print $1 }')\"\n"
	      "\tfi\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	      "}\n"
	      "complete -F _archaic_ebpf archaic-ebpf\n",
	      c->out);
	return CLI_DONE;
}
