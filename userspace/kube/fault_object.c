// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/fault_object.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"
#include "kube/kube.h"

/* Of the spec, and how the control interface calls it. */
static const struct {
	const char *spec, *body;
} members[] = {
	{ "service", "service" },
	{ "type", "type" },
	{ "intensity", "intensity" },
	{ "delayMilliseconds", "delay_ms" },
	{ "status", "status" },
	{ "percent", "percent" },
	{ "keys", "keys" },
	{ "seed", "seed" },
	{ "probability", "probability" },
	{ "durationSeconds", "duration_s" },
};

bool fault_object_node_valid(const char *node)
{
	return strlen(node) < FAULT_OBJECT_NODE_MAX && kube_name_valid(node);
}

static const cJSON *part_of(const cJSON *object, const char *node)
{
	return kube_at(object, "status", "nodes", node, NULL);
}

static bool has_finalizer(const cJSON *object, const char *node)
{
	const cJSON *list = kube_at(object, "metadata", "finalizers", NULL), *f;
	size_t domain = strlen(FAULT_OBJECT_DOMAIN);

	cJSON_ArrayForEach(f, list)
		if (cJSON_IsString(f) && !strncmp(f->valuestring, FAULT_OBJECT_DOMAIN, domain) &&
		    !strcmp(f->valuestring + domain, node))
			return true;
	return false;
}

enum fault_object_step fault_object_step(const cJSON *object, const char *node)
{
	const char *state = json_str(part_of(object, node), "state");

	if (kube_at(object, "metadata", "deletionTimestamp", NULL))
		return has_finalizer(object, node) ? FAULT_OBJECT_DISARM : FAULT_OBJECT_NOTHING;
	if (!state)
		return FAULT_OBJECT_ARM;
	return strcmp(state, "armed") ? FAULT_OBJECT_NOTHING : FAULT_OBJECT_LOOK;
}

const char *fault_object_service(const cJSON *object)
{
	return json_str(cJSON_GetObjectItemCaseSensitive(object, "spec"), "service");
}

const char *fault_object_id(const cJSON *object, const char *node)
{
	return json_str(part_of(object, node), "id");
}

/* "k" and 30 of a uid's 32 hex digits: what a slot has room for. */
static int slot_of(const cJSON *object, char slot[static 32])
{
	size_t n = 0;

	slot[n++] = 'k';
	for (const char *u = kube_meta(object, "uid"); *u && n < 31; u++)
		if (isxdigit((unsigned char)*u))
			slot[n++] = *u;
	slot[n] = '\0';
	return n > 8 ? 0 : -EINVAL;
}

int fault_object_arm(const cJSON *object, cJSON **ret)
{
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(object, "spec"), *health;
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	char slot[32];

	if (!body)
		return -ENOMEM;
	if (!spec || slot_of(object, slot))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const cJSON *m = cJSON_GetObjectItemCaseSensitive(spec, members[i].spec);
		if (m && !cJSON_AddItemToObject(body, members[i].body, cJSON_Duplicate(m, true)))
			return -ENOMEM;
	}
	health = cJSON_GetObjectItemCaseSensitive(spec, "includeHealthChecks");
	if (cJSON_IsTrue(health) &&
	    !cJSON_AddBoolToObject(cJSON_AddObjectToObject(body, "match"), "health", true))
		return -ENOMEM;
	if (!cJSON_AddStringToObject(body, "slot", slot))
		return -ENOMEM;
	*ret = TAKE_PTR(body);
	return 0;
}

int fault_object_finalizer(const cJSON *object, const char *node, bool want, cJSON **ret)
{
	CLEANUP(json_freep) cJSON *patch = cJSON_CreateObject();
	cJSON *to =
		cJSON_AddArrayToObject(cJSON_AddObjectToObject(patch, "metadata"), "finalizers");
	const cJSON *f;
	char ours[sizeof(FAULT_OBJECT_DOMAIN) + FAULT_OBJECT_NODE_MAX];

	if (has_finalizer(object, node) == want)
		return -EALREADY;
	if (!to)
		return -ENOMEM;
	snprintf(ours, sizeof(ours), "%s%s", FAULT_OBJECT_DOMAIN, node);
	cJSON_ArrayForEach(f, kube_at(object, "metadata", "finalizers", NULL))
		if (cJSON_IsString(f) && strcmp(f->valuestring, ours) != 0 &&
		    !cJSON_AddItemToArray(to, cJSON_Duplicate(f, true)))
			return -ENOMEM;
	if (want && !cJSON_AddItemToArray(to, cJSON_CreateString(ours)))
		return -ENOMEM;
	*ret = TAKE_PTR(patch);
	return 0;
}

/* ---- status */

static void add_text(cJSON *to, const char *name, const char *text)
{
	if (text && *text)
		cJSON_AddStringToObject(to, name, text);
}

static cJSON *part_from(const struct fault_report *r)
{
	cJSON *part = cJSON_CreateObject();

	cJSON_AddStringToObject(part, "state", r->state);
	add_text(part, "id", r->id);
	add_text(part, "says", r->says);
	add_text(part, "armedAt", r->armed_at);
	add_text(part, "endsAt", r->ends_at);
	cJSON_AddNumberToObject(part, "touchedRequests", (double)r->touched_requests);
	return part;
}

/* The sum: armed anywhere is armed; its words and times are those of the part that made it so. */
static void add_sum(cJSON *status, const cJSON *object, const char *node, const cJSON *own)
{
	const cJSON *others = kube_at(object, "status", "nodes", NULL), *part, *leads = own;
	double touched = json_num(own, "touchedRequests", 0);

	cJSON_ArrayForEach(part, others) {
		const char *state = json_str(part, "state");
		if (!strcmp(part->string, node))
			continue;
		touched += json_num(part, "touchedRequests", 0);
		if (state && !strcmp(state, "armed") &&
		    strcmp(json_str(leads, "state"), "armed") != 0)
			leads = part;
	}
	static const char *const texts[] = { "state", "says", "armedAt", "endsAt" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		add_text(status, texts[i], json_str(leads, texts[i]));
	cJSON_AddNumberToObject(status, "touchedRequests", touched);
}

int fault_object_status(const cJSON *object, const char *node, const struct fault_report *r,
			cJSON **ret)
{
	CLEANUP(json_freep) cJSON *patch = cJSON_CreateObject();
	CLEANUP(json_freep) cJSON *part = part_from(r);
	cJSON *status = cJSON_AddObjectToObject(patch, "status");
	cJSON *nodes = cJSON_AddObjectToObject(status, "nodes");

	if (cJSON_Compare(part, part_of(object, node), true))
		return -EALREADY;
	add_sum(status, object, node, part);
	if (!nodes || !cJSON_AddItemToObject(nodes, node, part))
		return -ENOMEM;
	(void)TAKE_PTR(part);
	*ret = TAKE_PTR(patch);
	return 0;
}

/* ---- reports */

static void copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ?: "");
}

int fault_report_of(const cJSON *fault, struct fault_report *ret)
{
	struct fault_report r = { 0 };
	const char *id = json_str(fault, "id"), *state = json_str(fault, "state");

	if (!id || strlen(id) >= sizeof(r.id) || !state || strlen(state) >= sizeof(r.state))
		return -EPROTO;
	copy_text(r.state, sizeof(r.state), state);
	copy_text(r.id, sizeof(r.id), id);
	copy_text(r.says, sizeof(r.says), json_str(fault, "says"));
	copy_text(r.armed_at, sizeof(r.armed_at), json_str(fault, "armed_at"));
	copy_text(r.ends_at, sizeof(r.ends_at), json_str(fault, "ends_at"));
	double touched =
		json_num(cJSON_GetObjectItemCaseSensitive(fault, "touched"), "requests", 0);
	r.touched_requests = touched > 0 && touched < 1e15 ? (uint64_t)touched : 0;
	*ret = r;
	return 0;
}

void fault_report_refusal(const cJSON *problem, int status, struct fault_report *ret)
{
	const char *detail = json_str(problem, "detail");

	*ret = (struct fault_report){ .state = "refused" };
	if (detail)
		copy_text(ret->says, sizeof(ret->says), detail);
	else
		snprintf(ret->says, sizeof(ret->says), "the agent answered %d", status);
}

void fault_report_lost(const cJSON *object, const char *node, struct fault_report *ret)
{
	const cJSON *part = part_of(object, node);
	double touched = json_num(part, "touchedRequests", 0);

	*ret = (struct fault_report){ .state = "lost" };
	copy_text(ret->id, sizeof(ret->id), json_str(part, "id"));
	copy_text(ret->armed_at, sizeof(ret->armed_at), json_str(part, "armedAt"));
	copy_text(
		ret->says, sizeof(ret->says),
		"the agent that had armed it ended, and the fault with it: nothing is armed here");
	ret->touched_requests = touched > 0 && touched < 1e15 ? (uint64_t)touched : 0;
}
