// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The scripts around load and chaos. k6 and kubectl are played by shell scripts that write down how they were
 * called; what is played against the real daemon is in test_load_failures.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <curl/curl.h>
#include <cmocka.h>

#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/partner.h"
#include "tests/lib/shop.h"

#define SCRIPT_MS 60000

static char dir[] = "/tmp/test-scripts-XXXXXX", path_env[4096], notes[64], runtime[64];
static char ps_python[4096], lack[512];
static const char *out;
static bool alone;

static void put_program(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n%s\n", text);
	fchmod(fileno(f), 0755);
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	if (!partner_get("powershell-grammar", ps_python, sizeof(ps_python), lack, sizeof(lack)))
		*ps_python = '\0';
	alone = !netns_enter();
	curl_global_init(CURL_GLOBAL_ALL);
	if (!mkdtemp(dir))
		return -1;
	snprintf(path_env, sizeof(path_env), "PATH=%s:%s", dir, getenv("PATH") ?: "/usr/bin:/bin");
	snprintf(notes, sizeof(notes), "%s/notes", dir);
	snprintf(runtime, sizeof(runtime), "XDG_RUNTIME_DIR=%s", dir);
	return 0;
}

static int tear_down(void **state)
{
	static const char *const files[] = { "k6", "kubectl", "notes" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static int run(const char *const *env, const char *const *argv)
{
	return proc_run(argv, env, SCRIPT_MS, &out);
}

#define RUN(env, ...) run(env, (const char *const[]){ __VA_ARGS__, NULL })

static void test_scripts_explain_themselves(void **state)
{
	static const char *const scripts[] = { "tools/load/run-test.sh", "tools/generate_errors.sh",
					       "tools/chaos-help.sh", "tools/port-forward.sh",
					       "tools/serve-control.sh" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (RUN(NULL, scripts[i], "--help") || !strstr(out, "usage: tools/"))
			fail_msg("%s --help: %s", scripts[i], out);
		if (RUN(NULL, scripts[i], "--wrong") != 2)
			fail_msg("%s --wrong: %s", scripts[i], out);
	}
	assert_int_equal(RUN(NULL, "tools/load/run-test.sh"), 2);
	assert_int_equal(RUN(NULL, "tools/load/run-test.sh", "normal", "spike"), 2);
	assert_int_equal(RUN(NULL, "tools/load/run-test.sh", "normal", "--squeeze", "long"), 2);
	assert_int_equal(RUN(NULL, "tools/generate_errors.sh", "--timeout", "0"), 2);
	assert_int_equal(RUN(NULL, "tools/port-forward.sh", "--namespace", "a b"), 2);
	assert_int_equal(RUN(NULL, "tools/serve-control.sh", "--listen", "example.org"), 2);
	assert_int_equal(RUN(NULL, "tools/serve-control.sh", "--local", "--listen", "10.0.0.1"), 2);
}

/* The reference fits a terminal of 24 lines, and names what there is. */
static void test_scripts_chaos_help_is_one_screen(void **state)
{
	static const char *const words[] = { "timeout",  "error",  "cpu",   "crash",
					     "bad_data", "/reset", "8080",  "run-test.sh",
					     "7000",     "8006",   "doctor" };
	unsigned int lines = 0;

	(void)state;
	assert_int_equal(RUN(NULL, "tools/chaos-help.sh"), 0);
	for (const char *c = out; *c; c++)
		lines += *c == '\n';
	assert_true(lines <= 24);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		assert_non_null(strstr(out, words[i]));
}

static void test_scripts_use_k6_where_it_is(void **state)
{
	const char *env[] = { path_env, "ARCHAIC_BIN=/nonexistent", NULL };

	(void)state;
	put_program("k6",
		    "echo \"$WITH_FAILURES|$SQUEEZE_S|$*\" >\"$(dirname \"$0\")/notes\"; exit 99");
	assert_int_equal(RUN(env, "tools/load/run-test.sh", "spike", "--squeeze", "5"), 99);
	assert_true(file_has(notes, "|5|run --quiet "));
	assert_true(file_has(notes, "tools/load/spike.js"));
	/* Whatever else k6 ends with: it could not run. */
	put_program("k6", "exit 107");
	assert_int_equal(RUN(env, "tools/load/run-test.sh", "normal"), 1);
}

static void test_scripts_reset_after_k6(void **state)
{
	const char *env[] = { path_env, "DB_SERVICE_URL=http://127.0.0.1:9907",
			      "AUTH_SERVICE_URL=http://127.0.0.1:9908", NULL };
	struct stub *db, *auth;

	(void)state;
	if (!alone) {
		printf("SKIP test_scripts_reset_after_k6: a network namespace needs root\n");
		skip();
	}
	db = stub_start(9907, NULL);
	auth = stub_start(9908, NULL);
	stub_say_json(db, 200, "{}");
	stub_say_json(auth, 200, "{}");
	put_program("k6", "echo \"$WITH_FAILURES\" >\"$(dirname \"$0\")/notes\"; kill -9 $$");
	assert_int_equal(RUN(env, "tools/load/run-test.sh", "normal", "--with-failures"), 1);
	assert_true(file_has(notes, "1"));
	assert_non_null(strstr(stub_heard(db), "POST /reset "));
	assert_non_null(strstr(stub_heard(auth), "POST /reset "));
	stub_stop(db);
	stub_stop(auth);
}

static void test_scripts_use_archaic_load_else(void **state)
{
	const char *env[] = { "LOAD_WITH=archaic-load", "AUTH_SERVICE_URL=http://127.0.0.1:9",
			      NULL };
	const char *wrong[] = { "LOAD_WITH=hey", NULL };

	(void)state;
	assert_int_equal(RUN(env, "tools/load/run-test.sh", "normal"), 1);
	assert_non_null(strstr(out, "auth cannot be reached"));
	assert_int_equal(RUN(wrong, "tools/load/run-test.sh", "normal"), 2);
	assert_non_null(strstr(out, "it must be k6 or archaic-load"));
}

static unsigned int forwards(const char *const *env, unsigned int *status)
{
	unsigned int nr = 0;

	*status = (unsigned int)RUN(env, "tools/port-forward.sh", "status");
	for (const char *at = out; (at = strstr(at, "http://127.0.0.1:")); at++)
		nr++;
	return nr;
}

static bool noted_six(void *unused)
{
	CLEANUP(fclosep) FILE *f = fopen(notes, "re");
	unsigned int nr = 0;
	char line[256];

	(void)unused;
	while (f && fgets(line, sizeof(line), f))
		nr += strstr(line,
			     "--context test --namespace shop port-forward --address 127.0.0.1 service/") !=
			NULL;
	return nr >= 6;
}

static void test_scripts_forward_six_and_stop(void **state)
{
	const char *env[] = { path_env, runtime, NULL };
	unsigned int status;

	(void)state;
	unlink(notes);
	put_program("kubectl", "echo \"$*\" >>\"$(dirname \"$0\")/notes\"; exec sleep 300");
	assert_int_equal(
		RUN(env, "tools/port-forward.sh", "--namespace", "shop", "--context", "test"), 0);
	assert_true(wait_true(noted_six, NULL, 20000));
	assert_true(file_has(notes, "service/ai-operator 8005:8005"));
	assert_true(file_has(notes, "service/anomaly-detector 8006:8006"));
	assert_int_equal(forwards(env, &status), 6);
	assert_int_equal(status, 0);
	/* Said again it starts nothing. */
	assert_int_equal(RUN(env, "tools/port-forward.sh", "start"), 0);
	assert_non_null(strstr(out, "forwarded already"));

	assert_int_equal(RUN(env, "tools/port-forward.sh", "stop"), 0);
	assert_non_null(strstr(out, "payment-service: stopped"));
	assert_int_equal(RUN(env, "tools/port-forward.sh", "stop"), 0);
	assert_int_equal(forwards(env, &status), 0);
	assert_int_equal(status, 1);
}

static void test_scripts_for_powershell_parse(void **state)
{
	const char *good[] = { ps_python, "tests/powershell.py", "tools/generate_errors.ps1",
			       "tools/port-forward.ps1", NULL };
	const char *pwsh[] = {
		"/usr/bin/env",
		"pwsh",
		"-NoProfile",
		"-Command",
		"foreach ($f in 'tools/generate_errors.ps1', 'tools/port-forward.ps1') { $e = $null; "
		"$null = [System.Management.Automation.Language.Parser]::ParseFile("
		"(Resolve-Path $f), [ref] $null, [ref] $e); if ($e) { $e; exit 1 } }",
		NULL
	};
	char bad[96];

	(void)state;
	int status = proc_run(pwsh, NULL, SCRIPT_MS, &out);
	if (status != 127) {
		assert_int_equal(status, 0); /* PowerShell itself */
		return;
	}
	if (!*ps_python) {
		printf("SKIP test_scripts_for_powershell_parse: no PowerShell here, and no grammar of it: %s\n",
		       lack);
		skip();
	}
	printf("no PowerShell here: its grammar by tree-sitter is asked instead, which is not PowerShell's own parser\n");
	if (proc_run(good, NULL, SCRIPT_MS, &out))
		fail_msg("%s", out);
	snprintf(bad, sizeof(bad), "%s/notes", dir);
	FILE *f = fopen(bad, "we");
	assert_non_null(f);
	fputs("if ($x { Write-Output 'no'\n", f);
	fclose(f);
	const char *argv[] = { ps_python, "tests/powershell.py", bad, NULL };
	assert_int_equal(proc_run(argv, NULL, SCRIPT_MS, &out), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts_explain_themselves),
		cmocka_unit_test(test_scripts_chaos_help_is_one_screen),
		cmocka_unit_test(test_scripts_use_k6_where_it_is),
		cmocka_unit_test(test_scripts_reset_after_k6),
		cmocka_unit_test(test_scripts_use_archaic_load_else),
		cmocka_unit_test(test_scripts_forward_six_and_stop),
		cmocka_unit_test(test_scripts_for_powershell_parse),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
