// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "services/common/server.h"

static void add_allowed(char *allow, size_t size, const char *method)
{
	size_t len = strlen(allow);

	snprintf(allow + len, size - len, "%s%s%s", len ? ", " : "", method,
		 strcmp(method, "GET") ? "" : ", HEAD");
}

int route_find(const struct route *routes, size_t nr, const char *method, const struct uri *u,
	       const struct route **ret, const char **param, char *allow, size_t size)
{
	*allow = '\0';
	for (size_t i = 0; i < nr; i++) {
		const char *found = NULL;
		if (!uri_match(u, routes[i].pattern, &found))
			continue;
		if (!strcmp(routes[i].method, method)) {
			*ret = &routes[i];
			*param = found;
			return 0;
		}
		add_allowed(allow, size, routes[i].method);
	}
	return *allow ? -ENOTSUP : -ENOENT;
}
