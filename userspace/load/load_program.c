// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the load generator is. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/load_internal.h"

static bool beside_us(const char *folder, char path[static PATH_MAX])
{
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (n <= 0)
		return false;
	own[n] = '\0';
	char *slash = strrchr(own, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return snprintf(path, PATH_MAX, "%s%s/" LOAD_PROGRAM, own, folder) < PATH_MAX &&
		access(path, X_OK) == 0;
}

static bool in_path(char path[static PATH_MAX])
{
	const char *folders = getenv("PATH");

	for (const char *p = folders; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		int len = (int)strcspn(p, ":");
		/* Only absolute ones: our working folder is nobody's business. */
		if (*p == '/' &&
		    snprintf(path, PATH_MAX, "%.*s/" LOAD_PROGRAM, len, p) < PATH_MAX &&
		    access(path, X_OK) == 0)
			return true;
	}
	return false;
}

bool load_program(const char *given, char path[static PATH_MAX])
{
	if (given)
		return snprintf(path, PATH_MAX, "%s", given) < PATH_MAX && access(path, X_OK) == 0;
	return beside_us("", path) || beside_us("/../libexec/archaic-ebpf", path) || in_path(path);
}
