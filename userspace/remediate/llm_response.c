// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/llm.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "base/util.h"

/* Server texts may echo what we sent: of an error only its number and its status word are kept. */

static int fail(struct llm_failure *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int fail(struct llm_failure *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->because, sizeof(f->because), fmt, ap);
	va_end(ap);
	return -EPROTO;
}

/* A constant's name of the protocol (MAX_TOKENS, content_filter): anything else is not repeated. */
static const char *word(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	for (size_t i = 0; i < len; i++)
		if (!isalpha((unsigned char)s[i]) && s[i] != '_')
			return "a word that is not known";
	return len && len <= 40 ? s : "a word that is not known";
}

static const char *status_words(int status)
{
	switch (status) {
	case 400:
		return "the request was refused";
	case 401:
	case 403:
		return "the key was refused, or may not use this model";
	case 404:
		return "there is no such model or address";
	case 408:
	case 504:
		return "the endpoint's own time ran out";
	case 413:
		return "the request was too large";
	case 429:
		return "too many requests";
	case 503:
		return "the endpoint is overloaded";
	default:
		return status >= 500 ? "the endpoint failed" :
				       "the endpoint did not answer as agreed";
	}
}

uint64_t llm_retry_after(const char *value, size_t len)
{
	char text[24];

	while (len && isspace((unsigned char)value[len - 1]))
		len--;
	if (len && value[len - 1] == 's')
		len--;
	if (!len || len >= sizeof(text))
		return 0;
	memcpy(text, value, len);
	text[len] = '\0';
	double s = 0;
	return text_to_double(text, 0, 86400, &s) ? 0 : (uint64_t)(s * 1e9);
}

static bool type_ends_with(const cJSON *detail, const char *name)
{
	const char *type = json_str(detail, "@type");
	size_t n = strlen(name), len = type ? strlen(type) : 0;

	return len >= n && !strcmp(type + len - n, name);
}

struct google_details {
	bool per_day, bad_key;
	uint64_t retry_after_ns;
};

static struct google_details google_details(const cJSON *error)
{
	const cJSON *d, *v;
	struct google_details r = { 0 };

	cJSON_ArrayForEach(d, cJSON_GetObjectItemCaseSensitive(error, "details")) {
		const char *delay = json_str(d, "retryDelay"), *reason = json_str(d, "reason");

		if (type_ends_with(d, "RetryInfo") && delay)
			r.retry_after_ns = llm_retry_after(delay, strlen(delay));
		if (reason && !strcmp(reason, "API_KEY_INVALID"))
			r.bad_key = true;
		cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(d, "violations")) {
			const char *quota = json_str(v, "quotaId");
			r.per_day |= quota && strstr(quota, "PerDay");
		}
	}
	return r;
}

static bool worth_a_retry(int status)
{
	return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
		status == 504;
}

/* These statuses are how servers say that they do not know response_format: 500 is llama-cpp-python's way. */
static bool may_be_the_schema(enum llm_format format, int status, const cJSON *error)
{
	const char *type = json_str(error, "type"), *code = json_str(error, "code");

	if (format != LLM_OPENAI ||
	    (status != 400 && status != 422 && status != 500 && status != 501))
		return false;
	return !(type && strstr(type, "context_size")) &&
		!(code && strstr(code, "context_length")) &&
		!(code && strstr(code, "model_not_found"));
}

static int extract_error(enum llm_format format, int status, const cJSON *root,
			 struct llm_failure *f)
{
	const cJSON *first = cJSON_IsArray(root) ? cJSON_GetArrayItem(root, 0) : root;
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(first, "error");
	struct google_details d = google_details(error);
	const char *name = json_str(error, "status");

	if (status == 200)
		status = (int)json_num(error, "code", 500);
	f->retry = worth_a_retry(status) && !d.per_day;
	f->retry_after_ns = d.retry_after_ns;
	f->schema = may_be_the_schema(format, status, error);
	if (d.bad_key)
		return fail(f, "the key is not valid (HTTP %d)", status);
	if (d.per_day)
		return fail(f, "the endpoint's quota for the day is used up (HTTP %d)", status);
	return fail(f, "%s (HTTP %d%s%s)", status_words(status), status, name ? ", " : "",
		    name ? word(name) : "");
}

static void count_tokens(const cJSON *root, const char *usage, const char *prompt,
			 const char *answer, unsigned tokens[2])
{
	const cJSON *u = cJSON_GetObjectItemCaseSensitive(root, usage);
	double p = json_num(u, prompt, 0), a = json_num(u, answer, 0);

	tokens[0] = p > 0 && p < 1e9 ? (unsigned)p : 0;
	tokens[1] = a > 0 && a < 1e9 ? (unsigned)a : 0;
}

static void take_model(const char *name, char model[static PLAN_MODEL_MAX])
{
	if (!name || !*name)
		return;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._:/-", *p))
			return;
	snprintf(model, PLAN_MODEL_MAX, "%s", name);
}

static int extract_gemini(const cJSON *root, struct buf *text, struct llm_failure *f)
{
	const cJSON *candidates = cJSON_GetObjectItemCaseSensitive(root, "candidates");
	const cJSON *first = cJSON_GetArrayItem(candidates, 0), *part;

	if (!first) {
		const char *block = json_str(
			cJSON_GetObjectItemCaseSensitive(root, "promptFeedback"), "blockReason");
		return block ? fail(f, "the prompt was blocked (%s)", word(block)) :
			       fail(f, "the answer holds no candidate");
	}
	const char *reason = json_str(first, "finishReason");
	if (!reason || strcmp(reason, "STOP") != 0)
		return fail(f, "the answer is not complete (%s)",
			    reason ? word(reason) : "no finish reason");

	cJSON_ArrayForEach(part,
			   cJSON_GetObjectItemCaseSensitive(
				   cJSON_GetObjectItemCaseSensitive(first, "content"), "parts")) {
		const char *t = json_str(part, "text");
		if (t && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(part, "thought")) &&
		    buf_addstr(text, t))
			return fail(f, "the answer is too long");
	}
	return text->len ? 0 : fail(f, "the answer holds no text");
}

static int extract_openai(const cJSON *root, struct buf *text, struct llm_failure *f)
{
	const cJSON *first =
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(root, "choices"), 0);
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(first, "message");
	const char *reason = json_str(first, "finish_reason"),
		   *content = json_str(message, "content");

	if (!first)
		return fail(f, "the answer holds no choice");
	if (json_str(message, "refusal"))
		return fail(f, "the model refused to answer");
	if (!reason || strcmp(reason, "stop") != 0)
		return fail(f, "the answer is not complete (%s)",
			    reason ? word(reason) : "no finish reason");
	if (!content || !*content)
		return fail(f, "the answer holds no text");
	return buf_addstr(text, content) ? fail(f, "the answer is too long") : 0;
}

int llm_extract(enum llm_format format, int status, const char *body, size_t len, struct buf *text,
		char model[static PLAN_MODEL_MAX], unsigned tokens[2], struct llm_failure *f)
{
	const char *why = NULL;
	CLEANUP(json_freep) cJSON *root = NULL;

	*f = (struct llm_failure){ 0 };
	tokens[0] = tokens[1] = 0;
	int err = len ? json_parse(body, len, &root, &why) : -EINVAL;
	if (status != 200)
		return extract_error(format, status, root, f);
	if (err)
		return fail(f, "the endpoint's answer is not JSON that can be used (%s)",
			    why ? why : "it is empty");
	if (cJSON_IsArray(root) || cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(root, "error")))
		return extract_error(format, status, root, f);

	if (format == LLM_GEMINI) {
		count_tokens(root, "usageMetadata", "promptTokenCount", "candidatesTokenCount",
			     tokens);
		take_model(json_str(root, "modelVersion"), model);
		return extract_gemini(root, text, f);
	}
	count_tokens(root, "usage", "prompt_tokens", "completion_tokens", tokens);
	take_model(json_str(root, "model"), model);
	return extract_openai(root, text, f);
}
