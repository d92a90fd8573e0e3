// SPDX-License-Identifier: GPL-2.0-or-later
#include "discover/workload.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define ID_LEN (WORKLOAD_CONTAINER_MAX - 1)

static bool ends_with(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);

	return len > n && !memcmp(s + len - n, end, n);
}

/* "docker-<id>.scope", "cri-containerd-<id>.scope", "<id>": the 64 hex digits, or NULL. */
static const char *container_id(const char *part, size_t len)
{
	static const char *const prefixes[] = { "docker-", "cri-containerd-", "crio-", "libpod-",
						"nerdctl-" };

	if (ends_with(part, len, ".scope")) {
		len -= strlen(".scope");
		for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
			size_t n = strlen(prefixes[i]);
			if (len == n + ID_LEN && !memcmp(part, prefixes[i], n)) {
				part += n;
				len = ID_LEN;
				break;
			}
		}
	}
	return len == ID_LEN && strspn(part, "0123456789abcdef") == ID_LEN ? part : NULL;
}

void workload_of_cgroup(const char *path, struct workload *ret)
{
	*ret = (struct workload){ 0 };
	for (size_t len; *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		const char *id = container_id(path, len);

		/* Inside a container its own systemd may run: the innermost of each is meant. */
		if (id)
			snprintf(ret->container_id, sizeof(ret->container_id), "%s", id);
		else if (ends_with(path, len, ".service") || ends_with(path, len, ".scope"))
			snprintf(ret->systemd_unit, sizeof(ret->systemd_unit), "%.*s", (int)len,
				 path);
	}
}
