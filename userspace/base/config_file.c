// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The file's syntax is libinih's; what is strict about it is here. Lines come
 * to libinih through our own reader, for three reasons: Debian's build does
 * not tell the handler the line, cuts long names and splits long lines in
 * silence, and says nothing of a section without keys. Leading blanks are
 * taken off, so that no line is a continuation of the one before.
 */
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <string.h>

#include "base/config.h"
#include "base/text.h"

#define SECTION_MAX 96
#define OPTIONS_MAX 128

struct reader {
	struct config *c;
	const char *name;
	const char *at, *end;
	int line;
	char section[SECTION_MAX];
	struct config_service *service; /* of a [service NAME] section */
	bool seen[OPTIONS_MAX];
	int err; /* the first; nothing is applied after it */
	struct problem *why;
};

static int complain(struct reader *r, const char *what, const char *value)
{
	if (!r->err)
		r->err = problem_set(r->why, 400, "%s:%d: %s%s", r->name, r->line, what, value);
	return r->err;
}

static bool section_known(const char *section)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	for (size_t i = 0; i < nr; i++)
		if (strcmp(o[i].section, section) == 0)
			return true;
	return false;
}

static void enter_service(struct reader *r, const char *name)
{
	struct config *c = r->c;

	if (!service_name_valid(name)) {
		complain(r, "not a service name: ", name);
		return;
	}
	for (size_t i = 0; i < c->nr_services; i++)
		if (strcmp(c->services[i].name, name) == 0) {
			complain(r, "this service has a section already: ", name);
			return;
		}
	if (c->nr_services == CONFIG_SERVICES_MAX) {
		complain(r, "too many [service] sections at ", name);
		return;
	}
	r->service = &c->services[c->nr_services++];
	snprintf(r->service->name, sizeof(r->service->name), "%s", name);
}

static void enter_section(struct reader *r, const char *line, size_t len)
{
	const char *close = memchr(line, ']', len);
	size_t n = close ? (size_t)(close - line - 1) : 0;

	r->service = NULL;
	if (!close || n >= sizeof(r->section)) {
		complain(r, "not a section", "");
		return;
	}
	memcpy(r->section, line + 1, n);
	r->section[n] = '\0';
	if (strncmp(r->section, "service ", 8) == 0)
		enter_service(r, r->section + 8 + strspn(r->section + 8, " "));
	else if (!section_known(r->section))
		complain(r, "unknown section ", r->section);
}

/* fgets() over memory, a whole line at a time; NULL at the end and after an error. */
static char *read_line(char *to, int size, void *ctx)
{
	struct reader *r = ctx;

	if (r->err || r->at == r->end)
		return NULL;
	r->line++;
	const char *line = r->at, *newline = memchr(line, '\n', (size_t)(r->end - line));
	const char *end = newline ?: r->end;
	r->at = newline ? newline + 1 : r->end;
	if (r->line == 1 && end - line >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3;
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;

	size_t len = (size_t)(end - line);
	if (len + 2 > (size_t)size) {
		char most[48];
		snprintf(most, sizeof(most), "%d bytes", size - 2);
		complain(r, "the line is longer than ", most);
		return NULL;
	}
	if (memchr(line, '\0', len) || !text_is_utf8(line, len)) {
		complain(r, "the line is not UTF-8 text", "");
		return NULL;
	}
	if (len && line[0] == '[')
		enter_section(r, line, len);
	memcpy(to, line, len);
	to[len] = '\n';
	to[len + 1] = '\0';
	return to;
}

/* What it means is the registry's to say; empty or too long it means nothing. */
static int set_target(struct reader *r, const char *where, const char *value,
		      char to[static CONFIG_TARGET_MAX])
{
	if (!*value || strlen(value) >= CONFIG_TARGET_MAX)
		return problem_parameter(r->why, 400, where, value, "a name of at most 317 bytes");
	snprintf(to, CONFIG_TARGET_MAX, "%s", value);
	return 0;
}

static int set_service(struct reader *r, const char *where, const char *key, const char *value)
{
	struct config_service *s = r->service;
	uint64_t v;

	if (strcmp(key, "port") == 0 && !s->port) {
		if (text_to_u64(value, 1, 65535, &v))
			return problem_parameter(r->why, 400, where, value,
						 "a port from 1 to 65535");
		s->port = (uint16_t)v;
	} else if (strcmp(key, "pid") == 0 && !s->pid) {
		if (text_to_u64(value, 1, INT_MAX, &v))
			return problem_parameter(r->why, 400, where, value, "a process id");
		s->pid = (pid_t)v;
	} else if (strcmp(key, "cgroup") == 0 && !s->cgroup[0]) {
		if (value[0] != '/' || strlen(value) >= sizeof(s->cgroup))
			return problem_parameter(
				r->why, 400, where, value,
				"a path below the cgroup v2 mount that begins with /");
		snprintf(s->cgroup, sizeof(s->cgroup), "%s", value);
	} else if (strcmp(key, "container") == 0 && !s->container[0]) {
		return set_target(r, where, value, s->container);
	} else if (strcmp(key, "pod") == 0 && !s->pod[0]) {
		return set_target(r, where, value, s->pod);
	} else if (strcmp(key, "unit") == 0 && !s->unit[0]) {
		return set_target(r, where, value, s->unit);
	} else if (strcmp(key, "supervised") == 0) {
		static const struct config_option yes_no = {
			.type = CONFIG_TYPE_BOOL,
			.offset = offsetof(struct config_service, supervised),
			.size = sizeof(bool),
		};
		return config_set((struct config *)(void *)s, &yes_no, where, value, r->why);
	} else {
		return problem_set(
			r->why, 400,
			"%s is unknown or given twice; a service has port, pid, cgroup, container, pod, unit, supervised",
			where);
	}
	return 0;
}

static const struct config_option *find(const char *section, const char *key, size_t *i)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	for (*i = 0; *i < nr; ++*i)
		if (strcmp(o[*i].section, section) == 0 && strcmp(o[*i].key, key) == 0)
			return &o[*i];
	return NULL;
}

static int on_key(void *ctx, const char *section, const char *key, const char *value)
{
	struct reader *r = ctx;
	char where[CONFIG_PATH_MAX + 96];
	size_t i;

	(void)section; /* cut at 50 bytes; ours is whole */
	if (r->err)
		return 0;
	snprintf(where, sizeof(where), "%s:%d: %.64s", r->name, r->line, key);
	if (r->service) {
		r->err = set_service(r, where, key, value);
		return !r->err;
	}
	const struct config_option *o = find(r->section, key, &i);
	if (!o)
		complain(r,
			 r->section[0] ? "unknown option " : "an option before the first section: ",
			 key);
	else if (i < OPTIONS_MAX && r->seen[i])
		complain(r, "given twice: ", key);
	else
		r->err = config_set(r->c, o, where, value, r->why);
	if (i < OPTIONS_MAX)
		r->seen[i] = true;
	return !r->err;
}

int config_parse_file_text(struct config *c, const char *name, const char *text, size_t len,
			   struct problem *why)
{
	struct reader r = { .c = c, .name = name, .at = text, .end = text + len, .why = why };
	int line = ini_parse_stream(read_line, &r, on_key, &r);

	if (r.err)
		return r.err;
	if (line < 0)
		return -ENOMEM;
	if (line > 0)
		return problem_set(why, 400,
				   "%s:%d: neither a section, nor KEY = VALUE, nor a comment", name,
				   line);
	return 0;
}
