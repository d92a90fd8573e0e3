// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/llm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/util.h"

#define CLASS_LAST FAULT_CLASS_DOWN

void llm_config_default(struct llm_config *c)
{
	*c = (struct llm_config){ .format = LLM_OFF,
				  .connect_timeout_ms = 2000,
				  .timeout_ms = 15000,
				  .retries = 2,
				  .daily_cap = 200,
				  .prompt_tokens_max = 600,
				  .answer_tokens_max = 2048,
				  .thinking_budget = -1 };
}

static bool is_loopback(const char *host)
{
	size_t len = strcspn(host, ":/");

	if (!strncmp(host, "[::1]", 5))
		return host[5] == '\0' || host[5] == ':' || host[5] == '/';
	if (len == 9 && !strncmp(host, "localhost", 9))
		return true;
	/* 127.0.0.0/8 in figures only: "127.evil.example" is a name. */
	return !strncmp(host, "127.", 4) && strspn(host, "0123456789.") == len;
}

static const char *flaw_in_base(const char *base)
{
	bool plain = !strncmp(base, "http://", 7);

	if (!plain && strncmp(base, "https://", 8) != 0)
		return "the model's address must begin with https:// (or http:// for a local one)";
	const char *host = base + (plain ? 7 : 8);
	if (!*host || *host == '/' || strpbrk(host, "@?#\\ \t\r\n"))
		return "the model's address must be a host, a port and a path only";
	for (const char *p = host; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return "the model's address must be plain ASCII";
	if (plain && !is_loopback(host))
		return "http:// is for a model on this host only: elsewhere the key would cross the network in clear";
	return NULL;
}

static bool model_valid(const struct llm_config *c)
{
	const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:/";
	size_t len = strlen(c->model);

	if (!len || strspn(c->model, letters) != len || strstr(c->model, ".."))
		return false;
	return c->format != LLM_GEMINI || !strpbrk(c->model, ":/");
}

bool llm_config_check(const struct llm_config *c, const char **why)
{
	*why = NULL;
	if (c->format == LLM_OFF)
		*why = "the model is off";
	else if (c->format != LLM_GEMINI && c->format != LLM_OPENAI)
		*why = "the model's wire format is not known";
	else
		*why = flaw_in_base(c->base);
	if (!*why && !model_valid(c))
		*why = "the model's name has characters that no model's name has";
	for (const char *p = c->key; !*why && *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			*why = "the key has characters that no key has (a line end of its file?)";
	if (!*why && (c->timeout_ms == 0 || c->connect_timeout_ms == 0))
		*why = "the model's time-outs must be over 0";
	return !*why;
}

int llm_url(const struct llm_config *c, char url[static LLM_URL_MAX])
{
	size_t len = strlen(c->base);
	int n;

	while (len && c->base[len - 1] == '/')
		len--;
	if (c->format == LLM_GEMINI)
		n = snprintf(url, LLM_URL_MAX, "%.*s/v1beta/models/%s:generateContent", (int)len,
			     c->base, c->model);
	else
		n = snprintf(url, LLM_URL_MAX, "%.*s/v1/chat/completions", (int)len, c->base);
	return n < 0 || n >= LLM_URL_MAX ? -EINVAL : 0;
}

/* ---- the answer's schema; Gemini writes types in capitals and takes no additionalProperties */

static cJSON *property(cJSON *properties, const char *name, const char *type)
{
	cJSON *p = cJSON_AddObjectToObject(properties, name);

	cJSON_AddStringToObject(p, "type", type);
	return p;
}

static void enum_services(cJSON *p, const struct llm_question *q)
{
	cJSON *list = cJSON_AddArrayToObject(p, "enum");
	char id[16];

	for (size_t i = 0; i < q->diagnosis.nr_causes; i++)
		cJSON_AddItemToArray(
			list,
			cJSON_CreateString(llm_service_id(q, q->diagnosis.causes[i].service, id)));
}

static cJSON *schema(const struct llm_question *q, bool gemini)
{
	static const char *const names[] = { "incident_id", "root_cause_service", "fault_class",
					     "action_id",   "confidence",         "evidence_ids",
					     "why" };
	const char *string = gemini ? "STRING" : "string";
	cJSON *s = cJSON_CreateObject();

	cJSON_AddStringToObject(s, "type", gemini ? "OBJECT" : "object");
	cJSON *p = cJSON_AddObjectToObject(s, "properties");
	cJSON *ids = cJSON_AddArrayToObject(property(p, names[0], string), "enum");
	cJSON_AddItemToArray(ids, cJSON_CreateString(q->incident));
	enum_services(property(p, names[1], string), q);
	cJSON *classes = cJSON_AddArrayToObject(property(p, names[2], string), "enum");
	for (int c = 0; c <= CLASS_LAST; c++)
		cJSON_AddItemToArray(classes,
				     cJSON_CreateString(fault_class_name((enum fault_class)c)));
	cJSON *actions = cJSON_AddArrayToObject(property(p, names[3], string), "enum");
	for (size_t i = 0; i < q->nr_actions; i++)
		cJSON_AddItemToArray(actions, cJSON_CreateString(q->actions[i].id));
	cJSON *confidence = property(p, names[4], gemini ? "NUMBER" : "number");
	cJSON_AddNumberToObject(confidence, "minimum", 0);
	cJSON_AddNumberToObject(confidence, "maximum", 1);
	cJSON *evidence = property(p, names[5], gemini ? "ARRAY" : "array");
	cJSON *item = cJSON_AddObjectToObject(evidence, "items");
	cJSON_AddStringToObject(item, "type", string);
	cJSON *cited = q->nr_evidence ? cJSON_AddArrayToObject(item, "enum") : NULL;
	for (size_t i = 0; i < q->nr_evidence; i++)
		cJSON_AddItemToArray(cited, cJSON_CreateString(q->evidence[i].id));
	cJSON_AddNumberToObject(evidence, "maxItems", LLM_EVIDENCE_MAX);
	cJSON_AddNumberToObject(property(p, names[6], string), "maxLength", LLM_WHY_CHARS);
	cJSON_AddItemToObject(s, "required", cJSON_CreateStringArray(names, ARRAY_SIZE(names)));
	if (gemini)
		cJSON_AddItemToObject(s, "propertyOrdering",
				      cJSON_CreateStringArray(names, ARRAY_SIZE(names)));
	else
		cJSON_AddFalseToObject(s, "additionalProperties");
	return s;
}

/* ---- the two bodies. cJSON's Add functions take NULL for what could not be made: the print tells */

static void add_gemini_text(cJSON *content, const char *text)
{
	cJSON *part = cJSON_CreateObject();

	cJSON_AddStringToObject(part, "text", text);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(content, "parts"), part);
}

static cJSON *gemini_body(const struct llm_config *c, const struct llm_question *q,
			  enum llm_schema_mode mode, const char *system, const char *user)
{
	cJSON *b = cJSON_CreateObject();

	add_gemini_text(cJSON_AddObjectToObject(b, "systemInstruction"), system);
	cJSON *content = cJSON_CreateObject();
	cJSON_AddStringToObject(content, "role", "user");
	add_gemini_text(content, user);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(b, "contents"), content);
	cJSON *g = cJSON_AddObjectToObject(b, "generationConfig");
	cJSON_AddNumberToObject(g, "temperature", 0);
	cJSON_AddNumberToObject(g, "seed", 7);
	cJSON_AddNumberToObject(g, "candidateCount", 1);
	cJSON_AddNumberToObject(g, "maxOutputTokens", c->answer_tokens_max);
	if (mode != LLM_PROMPT_ONLY)
		cJSON_AddStringToObject(g, "responseMimeType", "application/json");
	if (mode == LLM_SCHEMA)
		cJSON_AddItemToObject(g, "responseSchema", schema(q, true));
	if (c->thinking_budget >= 0)
		cJSON_AddNumberToObject(cJSON_AddObjectToObject(g, "thinkingConfig"),
					"thinkingBudget", c->thinking_budget);
	return b;
}

static void add_message(cJSON *messages, const char *role, const char *text)
{
	cJSON *m = cJSON_CreateObject();

	cJSON_AddStringToObject(m, "role", role);
	cJSON_AddStringToObject(m, "content", text);
	cJSON_AddItemToArray(messages, m);
}

static cJSON *openai_body(const struct llm_config *c, const struct llm_question *q,
			  enum llm_schema_mode mode, const char *system, const char *user)
{
	cJSON *b = cJSON_CreateObject();

	cJSON_AddStringToObject(b, "model", c->model);
	cJSON *messages = cJSON_AddArrayToObject(b, "messages");
	add_message(messages, "system", system);
	add_message(messages, "user", user);
	cJSON_AddNumberToObject(b, "temperature", 0);
	cJSON_AddNumberToObject(b, "max_tokens", c->answer_tokens_max);
	if (mode == LLM_PROMPT_ONLY)
		return b;
	cJSON *f = cJSON_AddObjectToObject(b, "response_format");
	cJSON_AddStringToObject(f, "type", mode == LLM_SCHEMA ? "json_schema" : "json_object");
	if (mode == LLM_SCHEMA) {
		cJSON *js = cJSON_AddObjectToObject(f, "json_schema");
		cJSON_AddStringToObject(js, "name", "plan");
		cJSON_AddTrueToObject(js, "strict");
		cJSON_AddItemToObject(js, "schema", schema(q, false));
	}
	return b;
}

int llm_request(const struct llm_config *c, const struct llm_question *q, enum llm_schema_mode mode,
		struct buf *body)
{
	CLEANUP(buf_release) struct buf system, user;
	buf_init(&system, LLM_REQUEST_MAX / 2);
	buf_init(&user, LLM_REQUEST_MAX / 2);
	int err = llm_prompt(q, c->prompt_tokens_max, &system, &user);
	if (err)
		return err;

	CLEANUP(json_freep) cJSON *b = c->format == LLM_GEMINI ?
		gemini_body(c, q, mode, buf_str(&system), buf_str(&user)) :
		openai_body(c, q, mode, buf_str(&system), buf_str(&user));
	CLEANUP(json_textp) char *text = b ? cJSON_PrintUnformatted(b) : NULL;
	return text ? buf_addstr(body, text) : -ENOMEM;
}
