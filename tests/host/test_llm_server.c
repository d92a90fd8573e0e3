// SPDX-License-Identifier: GPL-2.0-or-later
/* The client against the hostile server of tests/llm/server.py: for each mode an outcome, and a bound in time. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/util.h"
#include "remediate/llm.h"
#include "tests/lib/llm_questions.h"

#define KEY "very-secret-key-0815"
#define BUDGET_MS 4000 /* of one question */
#define SLACK_S 2      /* forty of them at once, on a machine that may be busy */

static struct {
	pid_t pid;
	unsigned port, tls_port;
	char cert[64], key[64];
} server;

static int run(char *const argv[])
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static void make_certificate(void)
{
	snprintf(server.cert, sizeof(server.cert), "/tmp/archaic-test-%d.crt", getpid());
	snprintf(server.key, sizeof(server.key), "/tmp/archaic-test-%d.key", getpid());
	char *argv[] = { (char *)"openssl",
			 (char *)"req",
			 (char *)"-x509",
			 (char *)"-newkey",
			 (char *)"ec",
			 (char *)"-pkeyopt",
			 (char *)"ec_paramgen_curve:prime256v1",
			 (char *)"-nodes",
			 (char *)"-days",
			 (char *)"2",
			 (char *)"-subj",
			 (char *)"/CN=127.0.0.1",
			 (char *)"-out",
			 server.cert,
			 (char *)"-keyout",
			 server.key,
			 NULL };
	if (run(argv) != 0)
		server.cert[0] = '\0';
}

static int start(void **state)
{
	int out[2];
	char line[64];

	(void)state;
	make_certificate();
	if (pipe2(out, O_CLOEXEC))
		return -1;
	server.pid = fork();
	if (server.pid == 0) {
		char *argv[] = { (char *)"python3",
				 (char *)"tests/llm/server.py",
				 (char *)"--die-with-parent",
				 server.cert[0] ? (char *)"--cert" : NULL,
				 server.cert,
				 (char *)"--key",
				 server.key,
				 NULL };
		dup2(out[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");
	while (!server.port && f && fgets(line, sizeof(line), f)) {
		sscanf(line, "PORT %u", &server.port);
		sscanf(line, "TLS %u", &server.tls_port);
	}
	if (f)
		fclose(f);
	return server.port ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	kill(server.pid, SIGKILL);
	waitpid(server.pid, NULL, 0);
	if (server.cert[0]) {
		unlink(server.cert);
		unlink(server.key);
	}
	return 0;
}

static struct llm_config config(enum llm_format format, const char *mode)
{
	struct llm_config c;

	llm_config_default(&c);
	c.format = format;
	c.timeout_ms = BUDGET_MS;
	snprintf(c.base, sizeof(c.base), "http://127.0.0.1:%u/%s", server.port, mode);
	snprintf(c.model, sizeof(c.model), "test-model");
	snprintf(c.key, sizeof(c.key), KEY);
	return c;
}

struct outcome {
	int err;
	struct llm_answer a;
	double seconds;
	enum llm_schema_mode mode;
};

/* No asserts: also run in threads. */
static struct outcome ask_only(const struct llm_config *c)
{
	CLEANUP(llm_freep) struct llm *l = NULL;
	struct llm_question q = llm_question_plain();
	struct outcome o = { .err = llm_new(c, &l) };

	if (o.err)
		return o;
	uint64_t begin = clock_mono_ns();
	o.err = llm_ask(l, &q, NULL, &o.a);
	o.seconds = (double)(clock_mono_ns() - begin) / 1e9;
	o.mode = llm_schema_mode(l);
	return o;
}

static void check_always(const struct outcome *o)
{
	assert_int_equal(o->err == 0, o->a.usable);
	assert_int_equal(o->err == 0, o->a.because[0] == '\0');
	assert_null(strstr(o->a.because, KEY));
	assert_null(strstr(o->a.why, KEY));
}

static struct outcome ask(const struct llm_config *c)
{
	struct outcome o = ask_only(c);

	check_always(&o);
	return o;
}

/* BOTH, or the one format that has the case. */
enum { G = 1, O = 2, BOTH = 3 };

static const struct mode {
	const char *mode;
	int formats;
	const char *because; /* NULL: a usable answer */
	unsigned calls;
	double least_s, most_s;
} modes[] = {
	{ "good", BOTH, NULL, 1, 0, 0 },
	{ "fence", BOTH, NULL, 1, 0, 0 },
	{ "injection", BOTH, NULL, 1, 0, 0 },
	{ "chatty", BOTH, "not one JSON object", 1, 0, 0 },
	{ "cut", BOTH, "not one JSON object", 1, 0, 0 },
	{ "empty_text", BOTH, "no text", 1, 0, 0 },
	{ "enum", BOTH, "fault class", 1, 0, 0 },
	{ "unknown_action", BOTH, "not offered", 1, 0, 0 },
	{ "command", BOTH, "not offered", 1, 0, 0 },
	{ "confidence", BOTH, "confidence", 1, 0, 0 },
	{ "other_service", BOTH, "root cause", 1, 0, 0 },
	{ "none", G, "no candidate", 1, 0, 0 },
	{ "none", O, "no choice", 1, 0, 0 },
	{ "empty", BOTH, "holds no", 1, 0, 0 },
	{ "blocked", G, "blocked (SAFETY)", 1, 0, 0 },
	{ "blocked", O, "(content_filter)", 1, 0, 0 },
	{ "refusal", G, "(SAFETY)", 1, 0, 0 },
	{ "refusal", O, "refused to answer", 1, 0, 0 },
	{ "max_tokens", G, "(MAX_TOKENS)", 1, 0, 0 },
	{ "max_tokens", O, "(length)", 1, 0, 0 },
	{ "rubbish", BOTH, "not JSON", 1, 0, 0 },
	{ "huge", BOTH, "over 256 KiB", 1, 0, 0 },
	{ "close", BOTH, "broke off", 1, 0, 0 },
	{ "redirect", BOTH, "HTTP 302", 1, 0, 0 },
	{ "hang", BOTH, "in time", 1, 3.9, 4 },
	{ "drip", BOTH, "in time", 1, 3.9, 4 },
	{ "bad_key", G, "the key is not valid", 1, 0, 0 },
	{ "bad_key", O, "key was refused", 1, 0, 0 },
	{ "403", BOTH, "key was refused", 1, 0, 0 },
	{ "404", BOTH, "no such model", 1, 0, 0 },
	{ "400", G, "HTTP 400, INVALID_ARGUMENT", 1, 0, 0 },
	{ "400", O, "HTTP 400", 3, 0, 0 }, /* the three response formats, once each */
	{ "context", O, "HTTP 400", 1, 0, 0 },
	{ "408", BOTH, "HTTP 408", 3, 1.4, 1.6 }, /* .5 and 1 s between three tries */
	{ "429", BOTH, "HTTP 429", 3, 1.4, 1.6 },
	{ "500", G, "HTTP 500", 3, 1.4, 1.6 },
	{ "500", O, "HTTP 500", 5, 1.4, 1.6 },
	{ "502", BOTH, "HTTP 502", 3, 1.4, 1.6 },
	{ "503", BOTH, "HTTP 503", 3, 1.4, 1.6 },
	{ "504", BOTH, "HTTP 504", 3, 1.4, 1.6 },
	{ "error_array", G, "HTTP 503", 3, 1.4, 1.6 },
	{ "per_day", G, "quota for the day", 1, 0, 0 },
	{ "retry_info", BOTH, NULL, 2, 1, 1.1 },
	{ "retry_long", BOTH, "a retry after 26.0 s would be too late", 1, 0, 0 },
	{ "no_schema", O, NULL, 2, 0, 0 },
	{ "prompt_only", O, NULL, 3, 0, 0 },
};

/* One question in a thread of its own: most of the modes' time is waiting. */
struct asking {
	pthread_t thread;
	const struct mode *m;
	struct llm_config c;
	struct outcome o;
};

static void *ask_in_thread(void *ctx)
{
	struct asking *a = ctx;

	a->o = ask_only(&a->c);
	return NULL;
}

static void check_mode(const struct asking *a)
{
	const struct mode *m = a->m;
	const struct outcome *o = &a->o;
	const char *name = a->c.format == LLM_GEMINI ? "gemini" : "openai";

	if (m->because ? !strstr(o->a.because, m->because) : o->err != 0)
		fail_msg("%s %s: \"%s\" (%d)", name, m->mode, o->a.because, o->err);
	if (o->a.calls != m->calls)
		fail_msg("%s %s: %u calls", name, m->mode, o->a.calls);
	if (o->seconds < m->least_s - .05 || o->seconds > m->most_s + SLACK_S)
		fail_msg("%s %s: took %.2f s", name, m->mode, o->seconds);
	check_always(o);
}

static void check_modes(enum llm_format format, int which)
{
	static struct asking list[ARRAY_SIZE(modes)];
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct asking *a = &list[nr];
		if (!(modes[i].formats & which))
			continue;
		a->m = &modes[i];
		a->c = config(format, modes[i].mode);
		assert_int_equal(pthread_create(&a->thread, NULL, ask_in_thread, a), 0);
		nr++;
	}
	for (size_t i = 0; i < nr; i++)
		pthread_join(list[i].thread, NULL);
	for (size_t i = 0; i < nr; i++)
		check_mode(&list[i]);
}

static void test_llm_server_every_mode_gemini(void **state)
{
	(void)state;
	check_modes(LLM_GEMINI, G);
}

static void test_llm_server_every_mode_openai(void **state)
{
	(void)state;
	check_modes(LLM_OPENAI, O);
}

static void test_llm_server_answer_is_put_back_and_cleaned(void **state)
{
	(void)state;
	struct llm_config c = config(LLM_GEMINI, "good");
	struct outcome o = ask(&c);
	assert_string_equal(o.a.action_id, "a1");
	assert_int_equal(o.a.root, 12);
	assert_string_equal(o.a.why, "db has the largest self time");
	assert_string_equal(o.a.model, "test-model-001");
	assert_int_equal(o.a.prompt_tokens, 300);

	c = config(LLM_OPENAI, "injection");
	o = ask(&c);
	assert_string_equal(o.a.action_id,
			    "a1"); /* whatever it says, an offered action is all that it can pick */
	assert_true(strlen(o.a.why) <= 303);
	assert_null(strstr(o.a.why, "\x07"));
	assert_null(strstr(o.a.why, "\xe2\x80\xae"));
}

static void test_llm_server_fallback_is_remembered(void **state)
{
	CLEANUP(llm_freep) struct llm *l = NULL;
	struct llm_config c = config(LLM_OPENAI, "no_schema");
	struct llm_question q = llm_question_plain();
	struct llm_answer a;

	(void)state;
	assert_int_equal(llm_new(&c, &l), 0);
	assert_int_equal(llm_ask(l, &q, NULL, &a), 0);
	assert_int_equal(a.calls, 2);
	assert_int_equal(llm_schema_mode(l), LLM_JSON_OBJECT);
	assert_int_equal(llm_ask(l, &q, NULL, &a), 0);
	assert_int_equal(a.calls, 1);
	/* A sick endpoint has not said what it takes. */
	c = config(LLM_OPENAI, "500");
	assert_int_equal(ask(&c).mode, LLM_SCHEMA);
}

static void test_llm_server_daily_cap_counts_tries(void **state)
{
	CLEANUP(llm_freep) struct llm *l = NULL;
	struct llm_config c = config(LLM_GEMINI, "503");
	struct llm_question q = llm_question_plain();
	struct llm_answer a;

	(void)state;
	c.daily_cap = 2;
	assert_int_equal(llm_new(&c, &l), 0);
	assert_int_equal(llm_ask(l, &q, NULL, &a), -EDQUOT);
	assert_int_equal(a.calls, 2);
	assert_non_null(strstr(a.because, "limit of questions a day (2)"));
	assert_int_equal(llm_ask(l, &q, NULL, &a), -EDQUOT);
	assert_int_equal(a.calls, 0);
}

static void test_llm_server_key_only_in_its_header(void **state)
{
	CLEANUP(http_client_freep) struct http_client *h = NULL;
	CLEANUP(http_client_response_release) struct http_client_response r = { 0 };
	CLEANUP(json_freep) cJSON *log = NULL;
	const cJSON *one;
	const char *why;
	char url[64];
	unsigned gemini = 0, openai = 0;

	(void)state;
	struct llm_config c = config(LLM_GEMINI, "good");
	ask(&c);
	c = config(LLM_OPENAI, "good");
	ask(&c);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/log", server.port);
	assert_int_equal(http_client_new(&h), 0);
	struct http_client_request q = { .url = url, .body_max = 16 * 1024 * 1024 };
	assert_int_equal(http_client_do(h, &q, &r), 0);
	assert_int_equal(json_parse(r.body.data, r.body.len, &log, &why), 0);
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(log, "requests")) {
		CLEANUP(json_textp) char *body =
			cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(one, "body"));
		const char *key = json_str(one, "key"), *bearer = json_str(one, "authorization");
		assert_null(strstr(json_str(one, "path"), KEY));
		assert_null(strstr(body, KEY));
		gemini += key && !strcmp(key, KEY) && !bearer;
		openai += bearer && !strcmp(bearer, "Bearer " KEY) && !key;
	}
	assert_true(gemini > 0 && openai > 0);
}

static void test_llm_server_cannot_be_reached_or_trusted(void **state)
{
	(void)state;
	struct llm_config c = config(LLM_GEMINI, "good");
	snprintf(c.base, sizeof(c.base), "http://127.0.0.1:1");
	assert_non_null(strstr(ask(&c).a.because, "cannot be reached"));
	/* Plain HTTP behind https://: the handshake fails, and nothing is sent. */
	snprintf(c.base, sizeof(c.base), "https://127.0.0.1:%u", server.port);
	assert_non_null(strstr(ask(&c).a.because, "TLS"));
	if (!server.tls_port) {
		print_message(
			"SKIP test_llm_server_cannot_be_reached_or_trusted: no openssl to make a certificate with\n");
		skip();
	}
	snprintf(c.base, sizeof(c.base), "https://127.0.0.1:%u", server.tls_port);
	assert_non_null(
		strstr(ask(&c).a.because, "TLS certificate")); /* signed by nobody that we trust */
}

static void test_llm_server_cancel_ends_a_wait(void **state)
{
	CLEANUP(llm_freep) struct llm *l = NULL;
	struct llm_config c = config(LLM_GEMINI, "hang");
	struct llm_question q = llm_question_plain();
	struct llm_answer a;
	atomic_bool cancel = true;

	(void)state;
	c.timeout_ms = 30000;
	assert_int_equal(llm_new(&c, &l), 0);
	uint64_t begin = clock_mono_ns();
	assert_int_equal(llm_ask(l, &q, &cancel, &a), -ECANCELED);
	assert_true(clock_mono_ns() - begin < 5 * NSEC_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_llm_server_every_mode_gemini),
		cmocka_unit_test(test_llm_server_every_mode_openai),
		cmocka_unit_test(test_llm_server_answer_is_put_back_and_cleaned),
		cmocka_unit_test(test_llm_server_fallback_is_remembered),
		cmocka_unit_test(test_llm_server_daily_cap_counts_tries),
		cmocka_unit_test(test_llm_server_key_only_in_its_header),
		cmocka_unit_test(test_llm_server_cannot_be_reached_or_trusted),
		cmocka_unit_test(test_llm_server_cancel_ends_a_wait),
	};

	return cmocka_run_group_tests_name("llm_server", tests, start, stop);
}
