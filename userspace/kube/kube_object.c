// SPDX-License-Identifier: GPL-2.0-or-later
/* What kube.h says of names, paths and members: pure. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "kube/kube.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"

bool kube_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= KUBE_NAME_MAX || strspn(name, LOWER "-.") != len)
		return false;
	/* Each part begins and ends with a letter or digit; so ".." is none. */
	for (size_t i = 0; i < len; i++) {
		bool edge = i == 0 || i == len - 1 || name[i - 1] == '.' || name[i + 1] == '.';
		if (edge && !strchr(LOWER, name[i]) && name[i] != '.')
			return false;
		if (name[i] == '.' && (i == 0 || i == len - 1 || name[i + 1] == '.'))
			return false;
	}
	return true;
}

static bool api_valid(const char *api)
{
	size_t len = strlen(api);

	return (!strcmp(api, "/api/v1") || !strncmp(api, "/apis/", 6)) && len < 128 &&
		strspn(api, LOWER "/.-") == len && !strstr(api, "..") && !strstr(api, "//");
}

int kube_path(const struct kube_ref *ref, char *ret, size_t size)
{
	const char *ns = ref->namespace_, *name = ref->name, *sub = ref->sub;

	if (!ref->api || !api_valid(ref->api) || !ref->plural || !kube_name_valid(ref->plural) ||
	    (ns && !kube_name_valid(ns)) || (name && !kube_name_valid(name)) ||
	    (sub && (!name || !kube_name_valid(sub))))
		return -EINVAL;
	int n = snprintf(ret, size, "%s%s%s/%s%s%s%s%s", ref->api, ns ? "/namespaces/" : "",
			 ns ?: "", ref->plural, name ? "/" : "", name ?: "", sub ? "/" : "",
			 sub ?: "");
	return n < 0 || (size_t)n >= size ? -EMSGSIZE : 0;
}

const cJSON *kube_at(const cJSON *j, ...)
{
	const char *name;
	va_list ap;

	va_start(ap, j);
	while (j && (name = va_arg(ap, const char *)))
		j = cJSON_GetObjectItemCaseSensitive(j, name);
	va_end(ap);
	return j;
}

const char *kube_meta(const cJSON *object, const char *name)
{
	const char *s = json_str(cJSON_GetObjectItemCaseSensitive(object, "metadata"), name);

	return s && strlen(s) < KUBE_NAME_MAX ? s : "";
}
