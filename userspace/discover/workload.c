// SPDX-License-Identifier: GPL-2.0-or-later
#include "discover/workload.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define ID_LEN (WORKLOAD_CONTAINER_MAX - 1)
#define HEX "0123456789abcdef"

static bool begins_with(const char *s, size_t len, const char *begin)
{
	size_t n = strlen(begin);

	return len > n && !memcmp(s, begin, n);
}

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
	return len == ID_LEN && strspn(part, HEX) == ID_LEN ? part : NULL;
}

/* A UID as the API server makes it, or the hash that a static pod has for one. */
static bool is_uid(const char *s, size_t len)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (len == 32)
		return strspn(s, HEX) == len;
	if (len != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < len; i++)
		if (form[i] == '-' ? s[i] != '-' : !strchr(HEX, s[i]))
			return false;
	return true;
}

/* "pod<uid>" of the cgroupfs driver, "kubepods-burstable-pod<uid with _>.slice" of systemd's. */
static bool pod_uid(const char *part, size_t len, char ret[static WORKLOAD_POD_UID_MAX])
{
	char uid[WORKLOAD_POD_UID_MAX];
	static const char *const prefixes[] = { "pod", "kubepods-pod", "kubepods-burstable-pod",
						"kubepods-besteffort-pod" };

	if (ends_with(part, len, ".slice"))
		len -= strlen(".slice");
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (!begins_with(part, len, prefixes[i]) || len - n >= sizeof(uid))
			continue;
		memcpy(uid, part + n, len - n);
		uid[len - n] = '\0';
		for (char *c = uid; *c; c++)
			if (*c == '_')
				*c = '-';
		if (!is_uid(uid, len - n))
			continue;
		memcpy(ret, uid, len - n + 1);
		return true;
	}
	return false;
}

void workload_of_cgroup(const char *path, struct workload *ret)
{
	const char *begin = path;

	*ret = (struct workload){ 0 };
	for (size_t len; *path; path += len) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		const char *id = container_id(path, len);
		int down_to = (int)(path + len - begin);

		ret->is_unit = false;
		/* Inside a container its own systemd may run: the innermost of each is meant. */
		if (id) {
			snprintf(ret->container_id, sizeof(ret->container_id), "%s", id);
			snprintf(ret->container_cgroup, sizeof(ret->container_cgroup), "%.*s",
				 down_to, begin);
		} else if (pod_uid(path, len, ret->pod_uid)) {
			snprintf(ret->pod_cgroup, sizeof(ret->pod_cgroup), "%.*s", down_to, begin);
		} else if (ends_with(path, len, ".service") || ends_with(path, len, ".scope")) {
			snprintf(ret->systemd_unit, sizeof(ret->systemd_unit), "%.*s", (int)len,
				 path);
			/* A user may name his own units after anybody's: only the system's are taken by their name. */
			ret->is_unit = ends_with(path, len, ".service") &&
				!begins_with(begin, strlen(begin), "/user.slice/") &&
				len < SERVICE_WORKLOAD_MAX;
		}
	}
}
