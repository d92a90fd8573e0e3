// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"
#include "tools/load/commands.h"
#include "tools/load/options.h"
#include "tools/load/slow.h"

struct serve {
	struct slow_options slow;
	uint64_t port;
};

static int take_port(void *ctx, const char *value, const char **allowed)
{
	*allowed = "0 to 65535";
	return text_to_u64(value, 0, 65535, &((struct serve *)ctx)->port);
}

static int take_takes(void *ctx, const char *value, const char **allowed)
{
	*allowed = "a time: 20ms, 0, 1s";
	return text_to_duration_ns(value, &((struct serve *)ctx)->slow.takes_ns);
}

static int take_after(void *ctx, const char *value, const char **allowed)
{
	*allowed = "a time: 500ms, 2s";
	return text_to_duration_ns(value, &((struct serve *)ctx)->slow.stall_after_ns);
}

static int take_for(void *ctx, const char *value, const char **allowed)
{
	*allowed = "a time: 500ms, 2s";
	return text_to_duration_ns(value, &((struct serve *)ctx)->slow.stall_for_ns);
}

int command_serve(int argc, char **argv)
{
	static const struct options_entry entries[] = {
		{ 0, "port", "N", "of 127.0.0.1; default 0: any, and it says which", take_port },
		{ 0, "takes", "TIME", "what each request takes; default 20ms", take_takes },
		{ 0, "stall-for", "TIME", "do nothing for so long, once", take_for },
		{ 0, "stall-after", "TIME", "after the first request", take_after },
	};
	static const struct options_command command = {
		.usage = "usage: archaic-load serve [OPTION...]",
		.says = "A server to hold a load generator to: it answers every GET a known time after it came,\n"
			"and tells at /count how many there were. Runs until killed.",
		.ends = "EXAMPLES\n  archaic-load serve --port 9900 --takes 20ms\n",
		.entries = entries,
		.nr = ARRAY_SIZE(entries),
	};
	struct serve s = { .slow.takes_ns = 20 * NSEC_PER_MSEC };
	const char *word;

	int err = options_read(&command, argc, argv, &s, &word);
	if (err)
		return err > 0 ? 0 : LOAD_USAGE;
	if (word) {
		fprintf(stderr, "unknown argument %.200s; see --help\n", word);
		return LOAD_USAGE;
	}
	uint16_t port = (uint16_t)s.port;
	int fd = slow_listen(&port);
	if (fd < 0) {
		fprintf(stderr, "archaic-load: port %u: %s\n", port, strerror(-fd));
		return LOAD_COULD_NOT;
	}
	printf("http://127.0.0.1:%u/\n", port);
	fflush(stdout);
	err = slow_serve(fd, &s.slow);
	close(fd);
	fprintf(stderr, "archaic-load: %s\n", strerror(-err));
	return LOAD_COULD_NOT;
}
