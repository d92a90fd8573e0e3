// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two wire formats against counterparts that are not ours: Google's own client asks our test
 * server, and our client asks llama.cpp's server with a small real model. Both come from the Python
 * package index and are kept in build/partner; where they cannot be had, the tests say so and skip.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "remediate/llm.h"
#include "tests/lib/llm_questions.h"
#include "tests/lib/partner.h"

#define START_MS 60000    /* loading the model, on a busy machine */
#define QUESTION_MS 90000 /* 135M parameters on two cores that others use too */

/* false: told why, and to be skipped. */
static bool python_of(const char *name, const char *test, char *path, size_t size)
{
	char lack[512];

	if (partner_get(name, path, size, lack, sizeof(lack)))
		return true;
	print_message("SKIP %s: %s\n", test, lack);
	return false;
}

static void test_partner_google_client_reads_our_server(void **state)
{
	char python[512], text[8192];
	struct child c;

	(void)state;
	if (!python_of("google", "test_partner_google_client_reads_our_server", python,
		       sizeof(python)))
		skip();
	const char *const argv[] = { python, "tests/llm/check_google_genai.py", NULL };
	child_start(&c, argv, true);
	child_read(&c, text, sizeof(text));
	print_message("%s", text);
	assert_int_equal(child_end(&c), 0);
	assert_non_null(strstr(text, "\n0 checks failed"));
}

/* ---- a real model */

/* Polled and read by bytes: stdio would read ahead and hide what poll() is asked for. */
static unsigned read_port(struct child *c)
{
	char line[64];
	size_t used = 0;
	struct pollfd p = { .fd = c->out, .events = POLLIN };

	while (poll(&p, 1, START_MS) == 1 && used + 1 < sizeof(line) &&
	       read(c->out, line + used, 1) == 1) {
		if (line[used++] != '\n')
			continue;
		line[used] = '\0';
		unsigned port = 0;
		if (sscanf(line, "PORT %u", &port) == 1)
			return port;
		used = 0;
	}
	return 0;
}

static bool ask(unsigned port, struct llm_answer *a, enum llm_schema_mode *mode)
{
	CLEANUP(llm_freep) struct llm *l = NULL;
	struct llm_question q = llm_question_plain();
	struct llm_config c;

	llm_config_default(&c);
	c.format = LLM_OPENAI;
	c.timeout_ms = QUESTION_MS;
	c.answer_tokens_max = 256;
	snprintf(c.base, sizeof(c.base), "http://127.0.0.1:%u", port);
	snprintf(c.model, sizeof(c.model), "smollm2");
	assert_int_equal(llm_new(&c, &l), 0);
	bool ok = llm_ask(l, &q, NULL, a) == 0;
	*mode = llm_schema_mode(l);
	print_message(
		"a real model: %s, %u + %u tokens, action %s, confidence %.2f, why \"%s\"%s%s\n",
		a->model, a->prompt_tokens, a->answer_tokens, ok ? a->action_id : "-",
		a->confidence, a->why, ok ? "" : "; not used: ", a->because);
	return ok;
}

/*
 * What is asserted is the protocol: the schema is accepted, the answer arrives, and it is either
 * within every range or refused for one. How well so small a model chooses is not.
 */
static void test_partner_llama_answers_in_our_schema(void **state)
{
	char python[512];
	struct child c;
	struct llm_answer a;
	enum llm_schema_mode mode = LLM_PROMPT_ONLY;

	(void)state;
	if (!python_of("llama", "test_partner_llama_answers_in_our_schema", python, sizeof(python)))
		skip();
	const char *const argv[] = { python, "tests/llm/llama_server.py", "2048", NULL };
	child_start(&c, argv, false);
	unsigned port = read_port(&c);
	bool ok = port && ask(port, &a, &mode);
	child_end(&c);
	assert_true(port > 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(mode, LLM_SCHEMA);
	assert_true(a.prompt_tokens > 100 && a.prompt_tokens <= 900);
	assert_true(a.answer_tokens > 0);
	if (ok)
		assert_true(a.confidence >= 0 && a.confidence <= 1 && a.action_id[0] == 'a' &&
			    a.root == 12);
	else /* the grammar enforces the form; numbers' ranges and cited evidence it does not */
		assert_true(strstr(a.because, "confidence") || strstr(a.because, "evidence") ||
			    strstr(a.because, "(length)"));
}

static void test_partner_llama_overflow_is_told_and_not_retried(void **state)
{
	char python[512];
	struct child c;
	struct llm_answer a;
	enum llm_schema_mode mode;

	(void)state;
	if (!python_of("llama", "test_partner_llama_overflow_is_told_and_not_retried", python,
		       sizeof(python)))
		skip();
	const char *const argv[] = { python, "tests/llm/llama_server.py", "256", NULL };
	child_start(&c, argv, false);
	unsigned port = read_port(&c);
	bool ok = port && ask(port, &a, &mode);
	child_end(&c);
	assert_true(port > 0);
	assert_false(ok);
	assert_non_null(strstr(a.because, "HTTP 400"));
	assert_int_equal(a.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partner_google_client_reads_our_server),
		cmocka_unit_test(test_partner_llama_answers_in_our_schema),
		cmocka_unit_test(test_partner_llama_overflow_is_told_and_not_retried),
	};

	return cmocka_run_group_tests_name("llm_partners", tests, NULL, NULL);
}
