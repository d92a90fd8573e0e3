// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is made from the table of options for people to read: the default file
 * and the list in archaic-ebpf.conf(5).
 */
#include <string.h>

#include "base/config.h"

static void print_option(FILE *to, const struct config_option *o, bool commented)
{
	fprintf(to, "\n# %s", o->doc);
	if (o->choices)
		fprintf(to, " One of %s.", o->choices);
	if (!o->live)
		fputs(" Needs a restart.", to);
	fprintf(to, "\n%s%s = %s\n", commented ? "#" : "", o->key, o->fallback);
}

void config_print_defaults(FILE *to, bool commented)
{
	const char *section = "";
	size_t nr;
	const struct config_option *o = config_options(&nr);

	fputs("# archaic-ebpf.conf: every option with its default; see archaic-ebpf.conf(5).\n"
	      "# The command line wins over the environment (ARCHAIC_…), that over this file.\n"
	      "# archaic-ebpf check-config says what is wrong, with its line. A reload (SIGHUP)\n"
	      "# takes over whatever is not said to need a restart.\n",
	      to);
	for (size_t i = 0; i < nr; i++) {
		if (strcmp(section, o[i].section) != 0)
			fprintf(to, "\n[%s]\n", section = o[i].section);
		print_option(to, &o[i], commented);
	}
	fputs("\n# A service that is known from the start; one of port, pid, cgroup, container, pod, unit:\n"
	      "# [service db]\n"
	      "# port = 8002\n"
	      "# supervised = yes\n",
	      to);
}

/* What roff would take for its own: a backslash, a hyphen that is to stay one, a dot or quote that begins a line. */
static void print_roff(FILE *to, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", to);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", to);
		else if (*text == '-')
			fputs("\\-", to);
		else
			fputc(*text, to);
	}
}

void config_print_man(FILE *to)
{
	const char *section = "";
	size_t nr;
	const struct config_option *o = config_options(&nr);

	for (size_t i = 0; i < nr; i++) {
		if (strcmp(section, o[i].section) != 0)
			fprintf(to, ".SH [%s]\n", section = o[i].section);
		fprintf(to, ".TP\n.BR %s \" = ", o[i].key);
		print_roff(to, o[i].fallback);
		fputs("\"\n", to);
		print_roff(to, o[i].doc);
		if (o[i].choices) {
			fputs(" One of ", to);
			print_roff(to, o[i].choices);
			fputc('.', to);
		}
		fputs(o[i].live ? "\n" : " Needs a restart.\n", to);
	}
}
