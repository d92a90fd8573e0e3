// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/llm.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"

/* What the model's text must hold. Whatever it writes, the worst it can do is to pick another offered action. */

static bool refuse(struct llm_answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool refuse(struct llm_answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(a->because, sizeof(a->because), fmt, ap);
	va_end(ap);
	a->usable = false;
	return false;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void trim(const char **text, size_t *len)
{
	while (*len && blank(**text)) {
		++*text;
		--*len;
	}
	while (*len && blank((*text)[*len - 1]))
		--*len;
}

static void strip_fence(const char **text, size_t *len)
{
	trim(text, len);
	if (*len < 7 || strncmp(*text, "```", 3) != 0 || strncmp(*text + *len - 3, "```", 3) != 0)
		return;
	const char *end = *text + *len - 3, *line = memchr(*text, '\n', *len);
	if (!line || line >= end)
		return;
	*text = line + 1;
	*len = (size_t)(end - *text);
	trim(text, len);
}

/* The code point at @s and its length; @s is valid UTF-8. */
static uint32_t code_point(const char *s, size_t *len)
{
	const unsigned char *u = (const unsigned char *)s;

	*len = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	uint32_t c = *len == 1 ? u[0] : u[0] & (0x7fU >> *len);
	for (size_t i = 1; i < *len; i++)
		c = c << 6 | (u[i] & 0x3f);
	return c;
}

/* Control characters, and those that make text read otherwise than it is written. */
static bool deceives(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
		c == 0x061c || (c >= 0xe0000 && c <= 0xe007f);
}

void llm_clean_why(const char *in, char out[static PLAN_WHY_MAX])
{
	size_t used = 0, chars = 0, len;

	for (; *in && chars < LLM_WHY_CHARS; in += len) {
		uint32_t c = code_point(in, &len);
		if (c == '\n' || c == '\t') {
			if (used + 1 >= PLAN_WHY_MAX)
				break;
			out[used++] = ' ';
			chars++;
		} else if (!deceives(c)) {
			if (used + len >= PLAN_WHY_MAX)
				break;
			memcpy(out + used, in, len);
			used += len;
			chars++;
		}
	}
	out[used] = '\0';
}

static const char *name_of(const struct llm_question *q, uint32_t service)
{
	const struct diagnosis *d = &q->diagnosis;

	for (size_t i = 0; i < d->nr_causes; i++)
		if (d->causes[i].service == service)
			return d->causes[i].name;
	for (size_t i = 0; i < d->nr_victims; i++)
		if (d->victims[i].service == service)
			return d->victims[i].name;
	return NULL;
}

/* The service whose opaque id stands at @s; @len: the id's bytes. 0: none. */
static uint32_t service_at(const struct llm_question *q, const char *s, size_t *len)
{
	const struct diagnosis *d = &q->diagnosis;
	unsigned n = 0;
	size_t i = 4;

	if (strncmp(s, "svc_", 4) != 0)
		return 0;
	for (; i < 7 && s[i] >= '0' && s[i] <= '9'; i++)
		n = n * 10 + (unsigned)(s[i] - '0');
	*len = i;
	if (n < 1 || n > d->nr_causes + d->nr_victims)
		return 0;
	return n <= d->nr_causes ? d->causes[n - 1].service :
				   d->victims[n - 1 - d->nr_causes].service;
}

static void put_names_back(const struct llm_question *q, const char *in,
			   char out[static PLAN_WHY_MAX])
{
	char wide[PLAN_WHY_MAX + SERVICE_NAME_MAX * 8];
	size_t used = 0, len = 1;

	for (; *in && used + SERVICE_NAME_MAX < sizeof(wide); in += len) {
		uint32_t service = service_at(q, in, &len);
		const char *name = service ? name_of(q, service) : NULL;
		if (name) {
			used += (size_t)snprintf(wide + used, sizeof(wide) - used, "%s", name);
		} else {
			len = 1;
			wide[used++] = *in;
		}
	}
	/* Cut in the middle of a character? The end is taken back to a whole one. */
	while (*in && used && ((unsigned char)wide[used - 1] & 0x80))
		used--;
	wide[used] = '\0';
	llm_clean_why(wide, out);
}

static bool take_root(const struct llm_question *q, const cJSON *root, struct llm_answer *a)
{
	const char *id = json_str(root, "root_cause_service"),
		   *class = json_str(root, "fault_class");
	size_t len = 0;

	a->root = id ? service_at(q, id, &len) : 0;
	if (!a->root || id[len])
		return refuse(
			a,
			"the model named a root cause that is not among the services asked about");
	for (int c = 0; class && c <= FAULT_CLASS_DOWN; c++)
		if (!strcmp(class, fault_class_name((enum fault_class)c))) {
			a->resource = (enum fault_class)c;
			return true;
		}
	return refuse(a, "the model named a fault class that does not exist");
}

static bool take_evidence(const struct llm_question *q, const cJSON *root, struct llm_answer *a)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "evidence_ids"), *e;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > LLM_EVIDENCE_MAX)
		return refuse(a, "the model's list of evidence is missing or too long");
	cJSON_ArrayForEach(e, list) {
		const char *id = cJSON_GetStringValue(e);
		size_t i = 0;
		while (id && i < q->nr_evidence && strcmp(q->evidence[i].id, id) != 0)
			i++;
		if (!id || i == q->nr_evidence)
			return refuse(a, "the model cites evidence that it was not given");
	}
	return true;
}

static bool take_action(const struct llm_question *q, const cJSON *root, struct llm_answer *a)
{
	const char *incident = json_str(root, "incident_id"), *id = json_str(root, "action_id");
	double confidence = json_num(root, "confidence", NAN);

	if (!incident || strcmp(incident, q->incident) != 0)
		return refuse(a, "the model answered about another incident");
	if (!id || !action_find(q->actions, q->nr_actions, id))
		return refuse(a, "the model chose an action that was not offered");
	if (!(confidence >= 0 && confidence <= 1))
		return refuse(a, "the model's confidence is not a number from 0 to 1");
	snprintf(a->action_id, sizeof(a->action_id), "%s", id);
	a->confidence = confidence;
	return true;
}

bool llm_validate(const struct llm_question *q, const char *text, size_t len, struct llm_answer *a)
{
	const char *flaw = NULL;
	CLEANUP(json_freep) cJSON *root = NULL;

	a->usable = false;
	strip_fence(&text, &len);
	if (!len || json_parse(text, len, &root, &flaw) || !cJSON_IsObject(root))
		return refuse(a, "the model's answer is not one JSON object");
	if (!take_action(q, root, a) || !take_root(q, root, a) || !take_evidence(q, root, a))
		return false;
	const char *why = json_str(root, "why");
	if (!why)
		return refuse(a, "the model gave no reason");
	put_names_back(q, why, a->why);
	a->because[0] = '\0';
	a->usable = true;
	return true;
}
