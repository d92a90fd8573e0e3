// SPDX-License-Identifier: GPL-2.0-or-later
#include "docker/docker_read.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

static const char *const state_names[] = {
	[DOCKER_UNKNOWN] = "unknown",       [DOCKER_CREATED] = "created",
	[DOCKER_RUNNING] = "running",       [DOCKER_PAUSED] = "paused",
	[DOCKER_RESTARTING] = "restarting", [DOCKER_REMOVING] = "removing",
	[DOCKER_EXITED] = "exited",         [DOCKER_DEAD] = "dead",
};

const char *docker_state_name(enum docker_state s)
{
	return (size_t)s < ARRAY_SIZE(state_names) ? state_names[s] : "unknown";
}

static enum docker_state state_parse(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(state_names); i++)
		if (!strcmp(state_names[i], name))
			return (enum docker_state)i;
	return DOCKER_UNKNOWN;
}

bool docker_id_valid(const char *id)
{
	return strlen(id) == DOCKER_ID_MAX - 1 &&
		strspn(id, "0123456789abcdef") == DOCKER_ID_MAX - 1;
}

bool docker_name_valid(const char *name)
{
	static const char first[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = strlen(name);

	return len && len < DOCKER_NAME_MAX && strspn(name, first) && strspn(name, all) == len;
}

/* JSON text is valid UTF-8 already; what moves a terminal's cursor is no label. */
static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

/* Whole or not at all: half an id or half a value would be another one. */
static bool copy(char *to, size_t size, const char *from)
{
	if (!from || strlen(from) >= size || !printable(from))
		return false;
	memcpy(to, from, strlen(from) + 1);
	return true;
}

static void read_labels(const cJSON *labels, struct docker_container *ret)
{
	const cJSON *l;

	cJSON_ArrayForEach(l, labels) {
		struct docker_label *to = &ret->labels[ret->nr_labels];

		if (ret->nr_labels < DOCKER_LABELS_MAX && cJSON_IsString(l) &&
		    copy(to->key, sizeof(to->key), l->string) &&
		    copy(to->value, sizeof(to->value), l->valuestring))
			ret->nr_labels++;
		else
			ret->labels_dropped++;
	}
}

/* "/web": the Engine's names begin with a slash. Those of links ("/web/db") are no names of ours. */
static void read_name(const char *name, struct docker_container *ret)
{
	if (name && *name == '/')
		name++;
	if (name && docker_name_valid(name))
		copy(ret->name, sizeof(ret->name), name);
}

static bool read_id(const cJSON *c, struct docker_container *ret)
{
	const char *id = json_str(c, "Id");

	return id && docker_id_valid(id) && copy(ret->id, sizeof(ret->id), id);
}

static bool read_item(const cJSON *c, struct docker_container *ret)
{
	const cJSON *name;

	*ret = (struct docker_container){ 0 };
	if (!read_id(c, ret))
		return false;
	cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(c, "Names")) {
		if (!ret->name[0])
			read_name(cJSON_GetStringValue(name), ret);
	}
	copy(ret->image, sizeof(ret->image), json_str(c, "Image"));
	ret->state = state_parse(json_str(c, "State"));
	read_labels(cJSON_GetObjectItemCaseSensitive(c, "Labels"), ret);
	return true;
}

int docker_read_list(const char *text, size_t len, struct docker_list *ret, const char **why)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	CLEANUP(docker_list_release) struct docker_list l = { 0 };
	const cJSON *c;
	int err = json_parse(text, len, &j, why);

	if (err)
		return err == -EINVAL ? -EPROTO : err;
	if (!cJSON_IsArray(j)) {
		*why = "it is no list";
		return -EPROTO;
	}
	size_t room = MIN((size_t)cJSON_GetArraySize(j), (size_t)DOCKER_CONTAINERS_MAX);
	l.items = calloc(MAX(room, (size_t)1), sizeof(*l.items));
	if (!l.items) {
		*why = "out of memory";
		return -ENOMEM;
	}
	cJSON_ArrayForEach(c, j) {
		if (l.nr < room && read_item(c, &l.items[l.nr]))
			l.nr++;
		else
			l.dropped++;
	}
	*ret = l;
	l = (struct docker_list){ 0 };
	return 0;
}

static enum docker_health health_parse(const char *name)
{
	if (name && !strcmp(name, "starting"))
		return DOCKER_STARTING;
	if (name && !strcmp(name, "healthy"))
		return DOCKER_HEALTHY;
	if (name && !strcmp(name, "unhealthy"))
		return DOCKER_UNHEALTHY;
	return DOCKER_NO_HEALTH;
}

static void read_state(const cJSON *state, struct docker_container *ret)
{
	double pid = json_num(state, "Pid", 0);

	ret->state = state_parse(json_str(state, "Status"));
	/* The kernel's own limit; a fraction is no pid. */
	if (pid >= 1 && pid <= (1 << 22) && pid == (double)(pid_t)pid)
		ret->pid = (pid_t)pid;
	copy(ret->started_at, sizeof(ret->started_at), json_str(state, "StartedAt"));
	ret->health =
		health_parse(json_str(cJSON_GetObjectItemCaseSensitive(state, "Health"), "Status"));
}

int docker_read_inspect(const char *text, size_t len, struct docker_container *ret,
			const char **why)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	int err = json_parse(text, len, &j, why);

	*ret = (struct docker_container){ 0 };
	if (err)
		return err == -EINVAL ? -EPROTO : err;
	if (!cJSON_IsObject(j) || !read_id(j, ret)) {
		*why = "it has no proper id";
		return -EPROTO;
	}
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(j, "Config");
	const cJSON *host = cJSON_GetObjectItemCaseSensitive(j, "HostConfig");
	const cJSON *policy = cJSON_GetObjectItemCaseSensitive(host, "RestartPolicy");
	const char *restart = json_str(policy, "Name");

	read_name(json_str(j, "Name"), ret);
	copy(ret->image, sizeof(ret->image), json_str(config, "Image"));
	read_labels(cJSON_GetObjectItemCaseSensitive(config, "Labels"), ret);
	read_state(cJSON_GetObjectItemCaseSensitive(j, "State"), ret);
	ret->restarts = restart &&
		(!strcmp(restart, "always") || !strcmp(restart, "unless-stopped") ||
		 !strcmp(restart, "on-failure"));
	return 0;
}

void docker_read_message(const char *text, size_t len, char *ret, size_t size)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const char *why, *said = NULL;

	*ret = '\0';
	if (!json_parse(text, len, &j, &why))
		said = json_str(j, "message");
	if (said && printable(said))
		snprintf(ret, size, "%.*s", (int)MIN(size - 1, (size_t)150), said);
}
