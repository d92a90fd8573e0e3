// SPDX-License-Identifier: GPL-2.0-or-later
/* archaic-load: load for the demo shop and for any HTTP/1.1 server. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "tools/load/commands.h"
#include "tools/load/options.h"
#include "tools/load/shape.h"

static const struct {
	const char *name, *says;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", "users of the demo shop, in one of four shapes, or steady", command_run },
	{ "http", "one request, at a set rate or as fast as the server answers", command_http },
	{ "shapes", "list the shapes and their thresholds; --json", command_shapes },
	{ "serve", "a server that takes a known time, to measure against", command_serve },
};

static int take_json(void *ctx, const char *value, const char **allowed)
{
	(void)value, (void)allowed;
	*(bool *)ctx = true;
	return 0;
}

static void print_shapes(const char *json, size_t len)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *s, *t;
	const char *why;

	if (json_parse(json, len, &j, &why))
		return;
	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(j, "items")) {
		printf("%-10s %4.0f s  %s\n", json_str(s, "name"), json_num(s, "duration_s", 0),
		       json_str(s, "says"));
		cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(s, "thresholds"))
			printf("%-18s %s\n", "", t->valuestring);
	}
}

int command_shapes(int argc, char **argv)
{
	static const struct options_entry entries[] = { { 0, "json", NULL, "as JSON", take_json } };
	static const struct options_command command = {
		.usage = "usage: archaic-load shapes [--json]",
		.says = "What `archaic-load run` and the k6 scripts know: tools/load/shapes.json.",
		.ends = "EXAMPLES\n  archaic-load shapes --json | jq '.items[].name'\n",
		.entries = entries,
		.nr = ARRAY_SIZE(entries),
	};
	bool json = false;
	const char *word;
	struct buf b;

	int err = options_read(&command, argc, argv, &json, &word);
	if (err)
		return err > 0 ? 0 : LOAD_USAGE;
	if (word) {
		fprintf(stderr, "unknown argument %.200s; see --help\n", word);
		return LOAD_USAGE;
	}
	buf_init(&b, 64 << 10);
	err = shape_list(&b);
	if (err)
		fprintf(stderr, "archaic-load: %s\n", strerror(-err));
	else if (json)
		puts(buf_str(&b));
	else
		print_shapes(buf_str(&b), b.len);
	buf_release(&b);
	return err ? LOAD_COULD_NOT : 0;
}

static int help(FILE *to)
{
	fputs("usage: archaic-load COMMAND [OPTION...]\n\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].says);
	fputs("\nEach has --help. --version: print it.\n\n"
	      "EXAMPLES\n"
	      "  archaic-load run normal\n"
	      "  archaic-load http http://127.0.0.1:8002/products -r 200 -d 10s\n",
	      to);
	return to == stdout ? 0 : LOAD_USAGE;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return help(stderr);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(stdout);
	if (!strcmp(argv[1], "--version")) {
		puts("archaic-load " ARCHAIC_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "archaic-load: there is no command %.64s\n\n", argv[1]);
	return help(stderr);
}
