/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.h - a file that names several children.
 *
 *	[auth-service]
 *	command = build/bin/auth-service --port 8001
 *
 * A command is words between blanks: no quotes, no shell. Unknown keys, names
 * that stand twice and sections without a command are errors with their line.
 */
#ifndef ARCHAIC_SUPERVISE_CONFIG_H
#define ARCHAIC_SUPERVISE_CONFIG_H

#include <stddef.h>

#include "tools/supervise/child.h"

/**
 * children_load() - read @path into @children (CHILDREN_MAX of them).
 * @words: set to the memory that argv points into; the caller's to keep while the children are used, and to free().
 * @why: filled on failure. 0, -EINVAL or -errno.
 */
int children_load(const char *path, struct child *children, size_t *nr, char **words, char *why,
		  size_t size);

#endif
