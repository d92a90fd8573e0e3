// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/supervise/config.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define WORDS_MAX (64 << 10) /* bytes of all commands */

struct reading {
	struct child *children;
	size_t nr;
	char *words;
	size_t used;
	const char *flaw;
};

static const char *split_command(struct reading *r, struct child *c, const char *command)
{
	size_t len = strlen(command) + 1, nr = 0;

	if (c->argv[0])
		return "command stands twice";
	if (len > WORDS_MAX - r->used)
		return "the commands are too long";
	char *rest = memcpy(r->words + r->used, command, len);
	r->used += len;
	for (char *word; (word = strsep(&rest, " \t"));) {
		if (!*word)
			continue;
		if (nr == CHILD_ARGS_MAX)
			return "a command has too many words (64)";
		c->argv[nr++] = word;
	}
	return nr ? NULL : "the command is empty";
}

static struct child *section(struct reading *r, const char *name)
{
	for (size_t i = 0; i < r->nr; i++)
		if (!strcmp(r->children[i].name, name))
			return &r->children[i];
	if (r->nr == CHILDREN_MAX || !child_name_valid(name))
		return NULL;
	struct child *c = &r->children[r->nr++];
	*c = (struct child){ 0 };
	snprintf(c->name, sizeof(c->name), "%s", name);
	return c;
}

static int on_entry(void *ctx, const char *name, const char *key, const char *value)
{
	struct reading *r = ctx;
	struct child *c = section(r, name);

	if (!c)
		r->flaw =
			"a section is a name ([A-Za-z0-9._-], shorter than 64), and at most 32 fit";
	else if (strcmp(key, "command") != 0)
		r->flaw = "the only key is command";
	else
		r->flaw = split_command(r, c, value);
	return !r->flaw;
}

int children_load(const char *path, struct child *children, size_t *nr, char **words, char *why,
		  size_t size)
{
	CLEANUP(freep) char *text = malloc(WORDS_MAX);
	struct reading r = { .children = children, .words = text };

	if (!text) {
		snprintf(why, size, "no memory");
		return -ENOMEM;
	}
	int line = ini_parse(path, on_entry, &r);
	if (line < 0) {
		snprintf(why, size, "cannot read %.200s", path);
		return -ENOENT;
	}
	if (line > 0 || !r.nr) {
		snprintf(why, size, "%.200s line %d: %s", path, line,
			 r.flaw       ?:
				 r.nr ? "this is not [NAME] or command = PROGRAM ARGS" :
					"no [NAME] section");
		return -EINVAL;
	}
	*nr = r.nr;
	*words = TAKE_PTR(text);
	return 0;
}
