// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "remediate/llm.h"
#include "tests/lib/llm_questions.h"

static struct llm_config config(enum llm_format format)
{
	struct llm_config c;

	llm_config_default(&c);
	c.format = format;
	snprintf(c.base, sizeof(c.base), "https://model.example/");
	snprintf(c.model, sizeof(c.model), "test-1");
	snprintf(c.key, sizeof(c.key), "very-secret-key");
	return c;
}

/* ---- requests */

static void test_llm_prompt_holds_numbers_and_opaque_ids_only(void **state)
{
	struct llm_question q = llm_question_secret();
	CLEANUP(buf_release) struct buf system, user;

	(void)state;
	buf_init(&system, 4096);
	buf_init(&user, 4096);
	assert_int_equal(llm_prompt(&q, 600, &system, &user), 0);
	assert_null(strstr(user.data, "secret"));
	assert_null(strstr(user.data, "IGNORE"));
	assert_non_null(strstr(user.data, "svc_1 latency 0.82"));
	assert_non_null(strstr(user.data, "victims: svc_3"));
	assert_non_null(strstr(user.data, "a3 reset_fault svc_2 0"));
	assert_non_null(strstr(user.data, "e1 svc_1 p99 2011 12.5 30.0"));
	assert_non_null(strstr(user.data, "restart svc_1 3 1 2"));
	assert_true(system.len + user.len <= 1800);
	char id[16];
	assert_null(llm_service_id(&q, 99, id));
}

static void test_llm_prompt_leaves_evidence_out_to_fit(void **state)
{
	struct llm_question q = llm_question_secret();
	CLEANUP(buf_release) struct buf system, user;

	(void)state;
	buf_init(&system, 4096);
	buf_init(&user, 4096);
	q.nr_evidence = LLM_EVIDENCE_MAX;
	for (size_t i = 0; i < LLM_EVIDENCE_MAX; i++) {
		q.evidence[i] = q.evidence[0];
		snprintf(q.evidence[i].id, sizeof(q.evidence[i].id), "e%zu", i + 1);
	}
	assert_int_equal(llm_prompt(&q, 400, &system, &user), 0);
	assert_non_null(strstr(user.data, "e1 svc_1"));
	assert_null(strstr(user.data, "e16 svc_1"));
	assert_true(system.len + user.len <= 1200);
	assert_non_null(
		strstr(user.data, "a4 escalate")); /* what must be chosen from is never left out */
}

static cJSON *body_of(enum llm_format format, enum llm_schema_mode mode)
{
	struct llm_question q = llm_question_secret();
	struct llm_config c = config(format);
	CLEANUP(buf_release) struct buf b;
	const char *why;
	cJSON *j = NULL;

	buf_init(&b, LLM_REQUEST_MAX);
	assert_int_equal(llm_request(&c, &q, mode, &b), 0);
	assert_null(strstr(b.data, "very-secret-key"));
	assert_null(strstr(b.data, "db-secret"));
	assert_int_equal(json_parse(b.data, b.len, &j, &why), 0);
	return j;
}

static const cJSON *at(const cJSON *j, const char *path)
{
	char copy[200], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = strtok_r(copy, ".", &save); j && p; p = strtok_r(NULL, ".", &save))
		j = cJSON_IsArray(j) ? cJSON_GetArrayItem(j, p[0] - '0') :
				       cJSON_GetObjectItemCaseSensitive(j, p);
	return j;
}

static const char *text_at(const cJSON *j, const char *path)
{
	const char *s = cJSON_GetStringValue(at(j, path));

	return s ? s : "(missing)";
}

static void test_llm_request_gemini(void **state)
{
	(void)state;
	CLEANUP(json_freep) cJSON *j = body_of(LLM_GEMINI, LLM_SCHEMA);
	assert_string_equal(text_at(j, "contents.0.role"), "user");
	assert_non_null(strstr(text_at(j, "contents.0.parts.0.text"), "incident i-0004"));
	assert_non_null(at(j, "systemInstruction.parts.0.text"));
	assert_string_equal(text_at(j, "generationConfig.responseMimeType"), "application/json");
	assert_string_equal(text_at(j, "generationConfig.responseSchema.type"), "OBJECT");
	assert_string_equal(
		text_at(j, "generationConfig.responseSchema.properties.action_id.enum.3"), "a4");
	assert_int_equal(cJSON_GetArraySize(at(
				 j, "generationConfig.responseSchema.properties.action_id.enum")),
			 4);
	assert_string_equal(
		text_at(j, "generationConfig.responseSchema.properties.root_cause_service.enum.1"),
		"svc_2");
	assert_true(at(j, "generationConfig.responseSchema.properties.confidence.maximum")
			    ->valuedouble == 1);
	assert_string_equal(
		text_at(j, "generationConfig.responseSchema.properties.evidence_ids.items.enum.1"),
		"e2");
	assert_null(at(j, "generationConfig.responseSchema.additionalProperties"));
	assert_null(at(j, "generationConfig.thinkingConfig"));
	assert_int_equal(at(j, "generationConfig.candidateCount")->valueint, 1);
}

static void test_llm_request_openai_three_modes(void **state)
{
	(void)state;
	CLEANUP(json_freep) cJSON *a = body_of(LLM_OPENAI, LLM_SCHEMA);
	assert_string_equal(text_at(a, "model"), "test-1");
	assert_string_equal(text_at(a, "messages.0.role"), "system");
	assert_string_equal(text_at(a, "messages.1.role"), "user");
	assert_string_equal(text_at(a, "response_format.type"), "json_schema");
	assert_string_equal(text_at(a, "response_format.json_schema.schema.properties.why.type"),
			    "string");
	assert_true(
		cJSON_IsFalse(at(a, "response_format.json_schema.schema.additionalProperties")));
	CLEANUP(json_freep) cJSON *b = body_of(LLM_OPENAI, LLM_JSON_OBJECT);
	assert_string_equal(text_at(b, "response_format.type"), "json_object");
	CLEANUP(json_freep) cJSON *c = body_of(LLM_OPENAI, LLM_PROMPT_ONLY);
	assert_null(at(c, "response_format"));
}

static void test_llm_url_and_config(void **state)
{
	static const struct {
		const char *base;
		bool ok;
	} bases[] = {
		{ "https://generativelanguage.example", true },
		{ "https://host:8443/api/", true },
		{ "http://127.0.0.1:11434", true },
		{ "http://localhost:8080", true },
		{ "http://[::1]:8080", true },
		{ "http://model.example", false }, /* a key in clear */
		{ "http://127.evil.example", false },
		{ "http://localhost.evil.example", false },
		{ "https://user:pw@host", false },
		{ "https://host?key=1", false },
		{ "https://", false },
		{ "ftp://host", false },
		{ "", false },
	};
	struct llm_config c = config(LLM_GEMINI);
	char url[LLM_URL_MAX];
	const char *why;

	(void)state;
	assert_int_equal(llm_url(&c, url), 0);
	assert_string_equal(url, "https://model.example/v1beta/models/test-1:generateContent");
	c.format = LLM_OPENAI;
	assert_int_equal(llm_url(&c, url), 0);
	assert_string_equal(url, "https://model.example/v1/chat/completions");
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		snprintf(c.base, sizeof(c.base), "%s", bases[i].base);
		assert_int_equal(llm_config_check(&c, &why), bases[i].ok);
		assert_int_equal(why == NULL, bases[i].ok);
	}
	c = config(LLM_GEMINI);
	snprintf(c.model, sizeof(c.model), "../x");
	assert_false(llm_config_check(&c, &why));
	c = config(LLM_OPENAI);
	snprintf(c.model, sizeof(c.model), "org/model:7b");
	assert_true(llm_config_check(&c, &why));
	snprintf(c.key, sizeof(c.key), "key\n");
	assert_false(llm_config_check(&c, &why));
	llm_config_default(&c);
	assert_false(llm_config_check(&c, &why)); /* off unless configured */
}

/* ---- responses */

struct extracted {
	int err;
	char text[256], model[PLAN_MODEL_MAX];
	unsigned tokens[2];
	struct llm_failure f;
};

static struct extracted extract(enum llm_format format, int status, const char *body)
{
	CLEANUP(buf_release) struct buf text;
	struct extracted x = { .model = "configured" };

	buf_init(&text, 4096);
	x.err = llm_extract(format, status, body, strlen(body), &text, x.model, x.tokens, &x.f);
	snprintf(x.text, sizeof(x.text), "%s", buf_str(&text));
	return x;
}

static void test_llm_extract_good_answers(void **state)
{
	(void)state;
	struct extracted x = extract(
		LLM_GEMINI, 200,
		"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"hm\",\"thought\":true},{\"text\":\"{\\\"a\\\":\"},"
		"{\"text\":\"1}\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":812,"
		"\"candidatesTokenCount\":64},\"modelVersion\":\"gem-1\"}");
	assert_int_equal(x.err, 0);
	assert_string_equal(x.text, "{\"a\":1}");
	assert_string_equal(x.model, "gem-1");
	assert_int_equal(x.tokens[0], 812);
	assert_int_equal(x.tokens[1], 64);

	x = extract(
		LLM_OPENAI, 200,
		"{\"model\":\"m\\nx\",\"choices\":[{\"message\":{\"content\":\"{}\",\"refusal\":null},\"finish_reason\":\"stop\"}],"
		"\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":7}}");
	assert_int_equal(x.err, 0);
	assert_string_equal(x.text, "{}");
	assert_string_equal(x.model, "configured"); /* a name that no model has is not shown */
	assert_int_equal(x.tokens[0], 0);
}

#define GERR(code, status, details)                                                           \
	"{\"error\":{\"code\":" #code ",\"message\":\"very-secret-key\",\"status\":\"" status \
	"\"" details "}}"

static const struct {
	enum llm_format format;
	int status;
	const char *body, *because;
	bool retry, schema;
	unsigned after_s;
} failures[] = {
	{ LLM_GEMINI, 429,
	  GERR(429, "RESOURCE_EXHAUSTED",
	       ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"26s\"}]"),
	  "too many requests (HTTP 429, RESOURCE_EXHAUSTED)", true, false, 26 },
	{ LLM_GEMINI, 429,
	  GERR(429, "RESOURCE_EXHAUSTED",
	       ",\"details\":[{\"@type\":\"x/google.rpc.QuotaFailure\",\"violations\":[{\"quotaId\":\"GenerateRequestsPerDayPerProject\"}]}]"),
	  "quota for the day", false, false, 0 },
	{ LLM_GEMINI, 429, "[" GERR(429, "RESOURCE_EXHAUSTED", "") "]", "too many requests", true,
	  false, 0 },
	{ LLM_GEMINI, 400,
	  GERR(400, "INVALID_ARGUMENT",
	       ",\"details\":[{\"@type\":\"x/google.rpc.ErrorInfo\",\"reason\":\"API_KEY_INVALID\"}]"),
	  "the key is not valid (HTTP 400)", false, false, 0 },
	{ LLM_GEMINI, 400, GERR(400, "INVALID_ARGUMENT", ""), "refused (HTTP 400", false, false,
	  0 },
	{ LLM_GEMINI, 403, GERR(403, "PERMISSION_DENIED", ""), "key was refused", false, false, 0 },
	{ LLM_GEMINI, 404, GERR(404, "NOT_FOUND", ""), "no such model", false, false, 0 },
	{ LLM_GEMINI, 500, GERR(500, "INTERNAL", ""), "the endpoint failed", true, false, 0 },
	{ LLM_GEMINI, 502, "<html>bad gateway</html>", "the endpoint failed (HTTP 502)", true,
	  false, 0 },
	{ LLM_GEMINI, 503, GERR(503, "UNAVAILABLE", ""), "overloaded", true, false, 0 },
	{ LLM_GEMINI, 504, GERR(504, "DEADLINE_EXCEEDED", ""), "own time ran out", true, false, 0 },
	{ LLM_GEMINI, 408, "", "own time ran out", true, false, 0 },
	{ LLM_GEMINI, 302, "", "did not answer as agreed (HTTP 302)", false, false, 0 },
	{ LLM_GEMINI, 200, GERR(503, "UNAVAILABLE", ""), "overloaded", true, false, 0 },
	{ LLM_GEMINI, 200, "{}", "no candidate", false, false, 0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[]}", "no candidate", false, false, 0 },
	{ LLM_GEMINI, 200, "{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", "blocked (SAFETY)",
	  false, false, 0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[{\"finishReason\":\"MAX_TOKENS\"}]}",
	  "not complete (MAX_TOKENS)", false, false, 0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[{\"finishReason\":\"RECITATION\"}]}", "RECITATION",
	  false, false, 0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[{\"finishReason\":\"very-secret-key 1\"}]}",
	  "a word that is not known", false, false, 0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[{\"content\":{}}]}", "no finish reason", false, false,
	  0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[{\"finishReason\":\"STOP\",\"content\":{}}]}",
	  "no text", false, false, 0 },
	{ LLM_GEMINI, 200, "{\"candidates\":[{\"finishRe", "not JSON", false, false, 0 },
	{ LLM_GEMINI, 200, "", "not JSON", false, false, 0 },
	{ LLM_OPENAI, 400,
	  "{\"error\":{\"message\":\"response_format\",\"type\":\"invalid_request_error\",\"code\":null}}",
	  "refused (HTTP 400)", false, true, 0 },
	{ LLM_OPENAI, 400,
	  "{\"error\":{\"code\":400,\"type\":\"exceed_context_size_error\",\"message\":\"\"}}",
	  "refused", false, false, 0 },
	{ LLM_OPENAI, 500, "{\"error\":{\"code\":500,\"message\":\"\",\"type\":\"server_error\"}}",
	  "failed", true, true, 0 },
	{ LLM_OPENAI, 401, "{\"error\":{\"message\":\"Incorrect API key: very-secret-key\"}}",
	  "key was refused", false, false, 0 },
	{ LLM_OPENAI, 404, "{\"error\":{\"code\":\"model_not_found\"}}", "no such model", false,
	  false, 0 },
	{ LLM_OPENAI, 429, "{}", "too many requests", true, false, 0 },
	{ LLM_OPENAI, 200, "{\"choices\":[]}", "no choice", false, false, 0 },
	{ LLM_OPENAI, 200,
	  "{\"choices\":[{\"message\":{\"content\":\"{}\"},\"finish_reason\":\"length\"}]}",
	  "(length)", false, false, 0 },
	{ LLM_OPENAI, 200,
	  "{\"choices\":[{\"message\":{\"refusal\":\"no\"},\"finish_reason\":\"stop\"}]}",
	  "refused to answer", false, false, 0 },
	{ LLM_OPENAI, 200, "{\"choices\":[{\"message\":{},\"finish_reason\":\"tool_calls\"}]}",
	  "(tool_calls)", false, false, 0 },
	{ LLM_OPENAI, 200,
	  "{\"choices\":[{\"message\":{\"content\":null},\"finish_reason\":\"stop\"}]}", "no text",
	  false, false, 0 },
	{ LLM_OPENAI, 200, "[1]", "failed", true, true, 0 },
};

static void test_llm_extract_every_failure(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		struct extracted x =
			extract(failures[i].format, failures[i].status, failures[i].body);
		if (!strstr(x.f.because, failures[i].because))
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, x.f.because,
				 failures[i].because);
		assert_int_equal(x.err, -EPROTO);
		assert_int_equal(x.f.retry, failures[i].retry);
		assert_int_equal(x.f.schema, failures[i].schema);
		assert_true(x.f.retry_after_ns == failures[i].after_s * NSEC_PER_SEC);
		assert_null(strstr(x.f.because, "very-secret-key"));
	}
}

static void test_llm_retry_after_forms(void **state)
{
	(void)state;
	assert_true(llm_retry_after("26s", 3) == 26 * NSEC_PER_SEC);
	assert_true(llm_retry_after("1.5s", 4) == 1500 * NSEC_PER_MSEC);
	assert_true(llm_retry_after("3 ", 2) == 3 * NSEC_PER_SEC);
	assert_true(llm_retry_after("Wed, 21 Oct 2026 07:28:00 GMT", 29) == 0);
	assert_true(llm_retry_after("-1", 2) == 0);
	assert_true(llm_retry_after("1e99", 4) == 0);
	assert_true(llm_retry_after("", 0) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_llm_prompt_holds_numbers_and_opaque_ids_only),
		cmocka_unit_test(test_llm_prompt_leaves_evidence_out_to_fit),
		cmocka_unit_test(test_llm_request_gemini),
		cmocka_unit_test(test_llm_request_openai_three_modes),
		cmocka_unit_test(test_llm_url_and_config),
		cmocka_unit_test(test_llm_extract_good_answers),
		cmocka_unit_test(test_llm_extract_every_failure),
		cmocka_unit_test(test_llm_retry_after_forms),
	};

	return cmocka_run_group_tests_name("llm", tests, NULL, NULL);
}
