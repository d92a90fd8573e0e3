// SPDX-License-Identifier: GPL-2.0-or-later
#include "discover/target.h"

#include <string.h>

#include "base/util.h"

#define HEX "0123456789abcdef"
#define ID_LEN (SERVICE_CONTAINER_MAX - 1)
#define ID_BEGINNING 12
#define NAME_ROOM 52 /* of a service's name: the rest is for what tells two apart */

#define GENERATED "bcdfghjklmnpqrstvwxz2456789"
#define SUFFIX_LEN 5
#define HASH_MIN 6
#define HASH_MAX 10

/* ---- what a person asks for */

static bool is_plain(const char *s, const char *more)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	for (; *s; s++)
		if (!strchr(plain, *s) && !strchr(more, *s))
			return false;
	return true;
}

static int parse_pod(const char *text, struct target_selector *s, struct problem *p)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : "";
	size_t len = slash ? (size_t)(slash - text) : 0;

	s->label = !strncmp(name, "app=", 4);
	if (s->label)
		name += 4;
	if (!len || len >= sizeof(s->namespace) || !*name || strlen(name) >= sizeof(s->name))
		return problem_parameter(
			p, 400, "pod", text,
			"NAMESPACE/NAME, the pod's name or its Deployment's, or NAMESPACE/app=VALUE");
	memcpy(s->namespace, text, len);
	snprintf(s->name, sizeof(s->name), "%s", name);
	if (!is_plain(s->namespace, "") || !is_plain(s->name, ""))
		return problem_parameter(p, 400, "pod", text, "letters, digits, '.', '_' and '-'");
	return 0;
}

int target_selector_parse(enum target_kind kind, const char *text, struct target_selector *ret,
			  struct problem *p)
{
	static const char *const fields[] = { "", "container", "pod", "unit" };
	struct target_selector s = { .kind = kind };

	if (kind == TARGET_POD) {
		int err = parse_pod(text, &s, p);
		if (!err)
			*ret = s;
		return err;
	}
	bool suffix = kind == TARGET_UNIT && !strchr(text, '.');
	int len = snprintf(s.name, sizeof(s.name), "%s%s", text, suffix ? ".service" : "");
	/* "\x2d" and "@" are a unit's own. */
	if (!*text || *text == '.' || *text == '-' || len >= (int)sizeof(s.name) ||
	    !is_plain(text, kind == TARGET_UNIT ? "@:\\" : ""))
		return problem_parameter(p, 400, fields[kind], text,
					 kind == TARGET_UNIT ?
						 "a unit's name, like nginx.service" :
						 "a container's name, its id, or 12 digits of it");
	*ret = s;
	return 0;
}

static bool is_id(const struct target_selector *s, const struct target *t)
{
	size_t len = strlen(s->name);

	return len >= ID_BEGINNING && len <= ID_LEN && strspn(s->name, HEX) == len &&
		!strncmp(s->name, t->id, len);
}

bool target_matches(const struct target_selector *s, const struct target *t)
{
	char workload[SERVICE_WORKLOAD_MAX];

	if (s->kind == TARGET_CONTAINER)
		return !strcmp(s->name, t->container) || is_id(s, t);
	if (s->kind != TARGET_POD || !*t->pod || strcmp(s->namespace, t->namespace) != 0)
		return false;
	if (s->label)
		return !strcmp(s->name, t->app);
	target_workload(t->pod, workload);
	return !strcmp(s->name, t->pod) || !strcmp(s->name, workload);
}

/* ---- who takes whose place */

/* Where the last part of @name begins, if that was generated and has @min to @max bytes; else @len. */
static size_t before_generated(const char *name, size_t len, size_t min, size_t max)
{
	size_t at = len;

	while (at && strchr(GENERATED, name[at - 1]))
		at--;
	if (at < 2 || name[at - 1] != '-' || len - at < min || len - at > max)
		return len;
	return at - 1;
}

void target_workload(const char *pod, char ret[static SERVICE_WORKLOAD_MAX])
{
	size_t len = strnlen(pod, SERVICE_WORKLOAD_MAX - 1);
	size_t stem = before_generated(pod, len, SUFFIX_LEN, SUFFIX_LEN);

	if (stem < len)
		stem = before_generated(pod, stem, HASH_MIN, HASH_MAX);
	memcpy(ret, pod, stem);
	ret[stem] = '\0';
}

void target_key(const struct target *t, char ret[static TARGET_KEY_MAX])
{
	char workload[SERVICE_WORKLOAD_MAX];

	if (*t->pod) {
		target_workload(t->pod, workload);
		snprintf(ret, TARGET_KEY_MAX, "pod/%s/%s/%s", t->namespace, workload, t->container);
	} else if (*t->container) {
		snprintf(ret, TARGET_KEY_MAX, "container/%s", t->container);
	} else {
		snprintf(ret, TARGET_KEY_MAX, "id/%s", t->id);
	}
}

/* ---- names */

void target_name_clean(const char *text, size_t max, char ret[static SERVICE_NAME_MAX])
{
	size_t len = 0;

	for (; *text && len < MIN(max, (size_t)SERVICE_NAME_MAX - 1); text++) {
		char c[2] = { *text, '\0' };

		if (!len && (*text == '.' || *text == '-'))
			continue;
		ret[len++] = is_plain(c, "") ? *text : '_';
	}
	ret[len] = '\0';
}

static size_t add_name(char ret[static TARGET_NAMES_MAX][SERVICE_NAME_MAX], size_t nr,
		       const char *text)
{
	char name[SERVICE_NAME_MAX];

	target_name_clean(text, NAME_ROOM, name);
	if (!*name || nr == TARGET_NAMES_MAX || !strcmp(name, "self") || !strcmp(name, "outside"))
		return nr;
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(ret[i], name))
			return nr;
	memcpy(ret[nr], name, sizeof(name));
	return nr + 1;
}

size_t target_names(const struct target *t, char ret[static TARGET_NAMES_MAX][SERVICE_NAME_MAX])
{
	char workload[SERVICE_WORKLOAD_MAX] = "", text[TARGET_KEY_MAX];
	size_t nr = 0;

	if (*t->pod)
		target_workload(t->pod, workload);
	const char *best = *t->app ? t->app :
		*t->compose        ? t->compose :
		*workload          ? workload :
				     t->container;
	nr = add_name(ret, nr, best);
	if (*t->namespace) {
		snprintf(text, sizeof(text), "%.40s.%s", best, t->namespace);
		nr = add_name(ret, nr, text);
	}
	if (*t->pod && *t->container) {
		snprintf(text, sizeof(text), "%.30s-%s", best, t->container);
		nr = add_name(ret, nr, text);
	}
	return add_name(ret, nr, t->container);
}
