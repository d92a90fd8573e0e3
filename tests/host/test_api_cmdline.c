// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line against the real server with a daemon that does nothing, over a real socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/util.h"
#include "cmd/cmd.h"
#include "fake_control.h"
#include "netns.h"
#include "serve/server.h"

static struct server *server;
static char folder[] = "/tmp/archaic-cli-XXXXXX", path[64];
static char *out, *err;
static size_t out_len, err_len;

static int group_setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/control.sock", folder);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	free(out);
	free(err);
	rmdir(folder);
	return 0;
}

static int setup(void **state)
{
	const struct server_config c = { .socket_path = path,
					 .port_operator = -1,
					 .port_detector = -1 };
	struct problem p;

	(void)state;
	fake_control_init(&fake);
	if (!server_start(&c, &fake_control_ops, &fake, &server, &p))
		return 0;
	fprintf(stderr, "%s\n", p.detail);
	return -1;
}

static int teardown(void **state)
{
	(void)state;
	server_stop(server);
	server = NULL;
	return 0;
}

/* Words after "archaic-ebpf", ended by NULL. @more: of the environment, "NAME=value", or NULL. */
static int run_to(const char *const *words, const char *more, FILE *o, FILE *e)
{
	char *argv[24] = { (char *)"archaic-ebpf" };
	char env[96], *const envs[] = { env, (char *)more, NULL };
	int argc = 1;

	while (words[argc - 1])
		argv[argc] = (char *)words[argc - 1], argc++;
	snprintf(env, sizeof(env), "ARCHAIC_RUN_DIR=%s", folder);
	return cli_main(argc, argv, envs, o, e);
}

static int run(const char *const *words)
{
	free(out);
	free(err);
	FILE *o = open_memstream(&out, &out_len), *e = open_memstream(&err, &err_len);
	int status = run_to(words, NULL, o, e);
	fclose(o);
	fclose(e);
	return status;
}

#define CLI(...) run((const char *const[]){ __VA_ARGS__, NULL })

#define assert_says(text, part)                                 \
	do {                                                    \
		if (!strstr(text, part))                        \
			fail_msg("no '%s' in: %s", part, text); \
	} while (0)

static void test_cmdline_prints_tables(void **state)
{
	(void)state;
	assert_int_equal(CLI("services"), CLI_DONE);
	assert_says(out, "SERVICE  PORTS  REQ/S  ERRORS");
	assert_says(out, "\ndb       8002       -       -");
	assert_string_equal(err, "");
	assert_int_equal(CLI("services", "db"), CLI_DONE);
	assert_int_equal(CLI("faults"), CLI_DONE);
	assert_says(out, "f-db  db       timeout  armed");
	assert_says(out, "db answers late\n");
	assert_int_equal(CLI("incidents"), CLI_DONE);
	assert_says(out, "i-0001  awaiting_approval");
	assert_int_equal(CLI("incidents", "i-0001"), CLI_DONE);
	assert_says(out, "archaic-ebpf incidents approve i-0001");
	assert_int_equal(CLI("incidents", "report", "i-0001"), CLI_DONE);
	assert_string_equal(out, "# i-0001\n");
	assert_int_equal(CLI("mode"), CLI_DONE);
	assert_string_equal(out, "suggest\n");
	assert_int_equal(CLI("doctor"), CLI_DONE);
	assert_int_equal(CLI("version"), CLI_DONE);
	assert_says(out, ARCHAIC_VERSION);
	/* No terminal: no colours. */
	assert_null(strchr(out, '\033'));
}

static void test_cmdline_prints_the_interfaces_own_objects(void **state)
{
	static const char *const what[] = { "services", "faults", "incidents",
					    "mode",     "doctor", "version" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(what); i++) {
		assert_int_equal(CLI(what[i], "--json"), CLI_DONE);
		CLEANUP(json_freep) cJSON *j = cJSON_Parse(out);
		if (!cJSON_IsObject(j))
			fail_msg("%s --json: %s", what[i], out);
	}
	assert_int_equal(CLI("inject", "db", "timeout", "--json"), CLI_DONE);
	CLEANUP(json_freep) cJSON *fault = cJSON_Parse(out);
	assert_string_equal(json_str(fault, "id"), "f-db");
}

/* One document, whatever there is to say. */
static void test_cmdline_json_is_one_document(void **state)
{
	static const char *const changes[][8] = {
		{ "attach", "x", "--port", "1", "--json" },
		{ "inject", "db", "timeout", "--dry-run", "--json" },
		{ "reset", "db", "--json" },
		{ "reset", "f-db", "--json" },
		{ "reset", "db", "--dry-run", "--json" },
		{ "faults", "types", "--json" },
		{ "faults", "--all", "--json" },
		{ "services", "db", "--json" },
		{ "incidents", "i-0001", "--json" },
		{ "incidents", "approve", "i-0001", "--json" },
		{ "incidents", "reject", "i-0001", "--json" },
		{ "mode", "observe", "--json" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const char *end = NULL;
		if (run(changes[i]))
			fail_msg("%s %s: %s", changes[i][0], changes[i][1], err);
		CLEANUP(json_freep) cJSON *j = cJSON_ParseWithOpts(out, &end, false);
		if (!cJSON_IsObject(j) || strcmp(end, "\n") != 0)
			fail_msg("%s %s --json: %s", changes[i][0], changes[i][1], out);
	}
	/* Nothing to show, and no words in its place. */
	assert_int_equal(CLI("detach", "db", "--json"), CLI_DONE);
	assert_string_equal(out, "");
	assert_int_equal(CLI("incidents", "report", "i-0001", "--json"), CLI_USAGE);
	assert_says(err, "incidents i-0001 --json");
}

static void test_cmdline_tells_a_script_why(void **state)
{
	static const struct {
		int http, status;
	} cases[] = {
		{ 400, CLI_USAGE },  { 401, CLI_FAILED },  { 403, CLI_FAILED }, { 404, CLI_FAILED },
		{ 409, CLI_FAILED }, { 422, CLI_REFUSED }, { 500, CLI_FAILED }, { 503, CLI_UNABLE },
	};
	char said[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake.refuse = cases[i].http;
		assert_int_equal(CLI("inject", "db", "timeout"), cases[i].status);
		snprintf(said, sizeof(said), "refused with %d", cases[i].http);
		assert_says(err, said);
		assert_string_equal(out, "");
	}
}

/* What a terminal gets; @more as for run_to(). */
static void run_on_terminal(const char *more, char *text, size_t size)
{
	static const char *const words[] = { "services", NULL };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	FILE *slave = fopen(ptsname(master), "r+e");
	assert_non_null(slave);
	assert_int_equal(run_to(words, more, slave, slave), CLI_DONE);
	ssize_t n = read(master, text, size - 1);
	assert_true(n > 0);
	text[n] = '\0';
	fclose(slave);
	close(master);
}

static void test_cmdline_colours_only_where_wanted(void **state)
{
	char text[4096];

	(void)state;
	run_on_terminal(NULL, text, sizeof(text));
	assert_says(text, "\033[1mSERVICE");
	run_on_terminal("NO_COLOR=1", text, sizeof(text));
	assert_says(text, "SERVICE");
	assert_null(strchr(text, '\033'));
	/* Set to nothing is not set. */
	run_on_terminal("NO_COLOR=", text, sizeof(text));
	assert_says(text, "\033[1m");
}

static void test_cmdline_fails_where_its_words_are_lost(void **state)
{
	static const char *const words[] = { "services", "--json", NULL };
	CLEANUP(fclosep) FILE *full = fopen("/dev/full", "we");

	(void)state;
	assert_non_null(full);
	assert_int_equal(run_to(words, NULL, full, stderr), CLI_FAILED);
}

static void test_cmdline_changes_things(void **state)
{
	(void)state;
	assert_int_equal(CLI("attach", "shop", "--port", "9000", "--supervised"), CLI_DONE);
	assert_string_equal(fake.attach.name, "shop");
	assert_int_equal(fake.attach.port, 9000);
	assert_true(fake.attach.supervised);
	assert_int_equal(CLI("attach", "worker", "--cgroup=/a b/c"), CLI_DONE);
	assert_string_equal(fake.attach.cgroup, "/a b/c");
	assert_int_equal(CLI("attach", "--container", "shop-db-1"), CLI_DONE);
	assert_string_equal(fake.attach.container, "shop-db-1");
	assert_string_equal(fake.attach.name, "");
	assert_int_equal(CLI("attach", "store", "--pod", "shop/app=db"), CLI_DONE);
	assert_string_equal(fake.attach.pod, "shop/app=db");
	assert_string_equal(fake.attach.name, "store");
	assert_int_equal(CLI("attach", "--unit", "nginx.service"), CLI_DONE);
	assert_string_equal(fake.attach.unit, "nginx.service");
	assert_int_equal(CLI("detach", "db"), CLI_DONE);
	assert_string_equal(fake.service, "db");
	assert_int_equal(CLI("inject", "db", "timeout", "--duration", "1m", "--probability", "0.3",
			     "--delay-ms=300"),
			 CLI_DONE);
	assert_says(out, "f-db armed: db answers late\nend it with: archaic-ebpf reset f-db\n");
	assert_false(fake.dry_run);
	assert_int_equal(CLI("inject", "db", "timeout", "--dry-run"), CLI_DONE);
	assert_true(fake.dry_run);
	assert_says(out, "nothing is armed");
	assert_int_equal(CLI("reset", "db"), CLI_DONE);
	assert_string_equal(fake.service, "db");
	assert_int_equal(CLI("reset", "f-db"), CLI_DONE);
	assert_string_equal(fake.id, "f-db");
	assert_int_equal(CLI("incidents", "approve", "i-0001", "--action", "a1"), CLI_DONE);
	assert_string_equal(fake.action, "a1");
	assert_int_equal(CLI("incidents", "reject", "i-0001", "--why", "I do it"), CLI_DONE);
	assert_string_equal(fake.why, "I do it");
	assert_int_equal(CLI("mode", "observe"), CLI_DONE);
	assert_string_equal(fake.mode, "observe");
	unsigned calls = fake.calls;
	assert_int_equal(CLI("reset", "db", "--dry-run"), CLI_DONE);
	assert_says(out, "would end f-db: timeout on db");
	assert_int_equal(fake.calls, calls);
}

static void test_cmdline_says_what_is_wrong(void **state)
{
	static const struct {
		const char *words[8];
		int status;
		const char *says;
	} cases[] = {
		{ { "servces" }, CLI_USAGE, "did you mean services?" },
		{ { "xyzzy" }, CLI_USAGE, "archaic-ebpf --help lists them" },
		{ { "services", "--jsn" }, CLI_USAGE, "did you mean --json?" },
		{ { "services", "-j" }, CLI_USAGE, "options begin with --" },
		{ { "services", "a", "b" }, CLI_USAGE, "it must be accept" },
		{ { "services", "a", "accept", "c" }, CLI_USAGE, "one word too many" },
		{ { "services", "nobody", "accept" }, CLI_FAILED, "no service nobody" },
		{ { "services", "--json=yes" }, CLI_USAGE, "takes no value" },
		{ { "services", "--socket" }, CLI_USAGE, "needs a value" },
		{ { "inject", "db" }, CLI_USAGE, "SERVICE TYPE" },
		{ { "inject", "db", "sunshine" },
		  CLI_USAGE,
		  "type is sunshine; it must be timeout" },
		{ { "inject", "db", "timeout", "--probability", "2" }, CLI_USAGE, "0 to 1" },
		{ { "inject", "db", "timeout", "--probability", "x" },
		  CLI_USAGE,
		  "--probability is x" },
		{ { "inject", "db", "timeout", "--duration", "soon" }, CLI_USAGE, "30s" },
		{ { "inject", "db", "timeout", "--duration", "0" }, CLI_USAGE, "--duration is 0" },
		{ { "inject", "nobody", "timeout" }, CLI_FAILED, "there is no service nobody" },
		{ { "attach", "x" }, CLI_USAGE, "--container, --pod and --unit" },
		{ { "attach", "--port", "1" }, CLI_USAGE, "give the service a name" },
		{ { "attach", "x", "--port", "1", "--pid", "1" }, CLI_USAGE, "exactly one" },
		{ { "attach", "x", "--port", "70000" }, CLI_USAGE, "1 to 65535" },
		{ { "attach", "x", "--port", "1", "--port", "2" }, CLI_USAGE, "given twice" },
		{ { "attach", "a b", "--port", "1" }, CLI_USAGE, "no name for a service" },
		{ { "attach", "db", "--port", "1" }, CLI_FAILED, "the name db is taken" },
		{ { "detach", "nobody" }, CLI_FAILED, "no service nobody" },
		{ { "reset" }, CLI_USAGE, "--all" },
		{ { "reset", "db", "--all" }, CLI_USAGE, "--all" },
		{ { "reset", "f-none" }, CLI_FAILED, "no fault f-none" },
		{ { "reset", "../../v1/mode" }, CLI_FAILED, "no service of this name" },
		{ { "faults", "typs" }, CLI_USAGE, "types" },
		{ { "incidents", "approve" }, CLI_USAGE, "which incident?" },
		{ { "incidents", "praise", "i-0001" }, CLI_USAGE, "approve, reject or report" },
		{ { "incidents", "i-9999" }, CLI_FAILED, "no incident i-9999" },
		{ { "incidents", "--state", "happy" }, CLI_USAGE, "state is happy" },
		{ { "incidents", "--limit", "0" }, CLI_USAGE, "limit is 0" },
		{ { "mode", "panic" }, CLI_USAGE, "observe, suggest, auto-safe or auto" },
		{ { "services", "--socket", "/nowhere/x.sock" }, CLI_NO_DAEMON, "archaic-ebpf run" },
		{ { "services", "--run-dir", "/nowhere" }, CLI_NO_DAEMON, "/nowhere/control.sock" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = run(cases[i].words);
		if (status != cases[i].status || !strstr(err, cases[i].says) ||
		    strncmp(err, "archaic-ebpf", 12) != 0)
			fail_msg("%s %s: status %d: %s", cases[i].words[0], cases[i].words[1] ?: "",
				 status, err);
		assert_string_equal(out, "");
	}
}

static void test_cmdline_help_ends_with_examples(void **state)
{
	size_t nr;
	const struct cli_command *commands = cli_commands(&nr);

	(void)state;
	assert_int_equal(nr, 18);
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(CLI(commands[i].name, "--help"), CLI_DONE);
		const char *examples = strstr(out, "\nEXAMPLES\n");
		if (!examples || !strstr(examples, "archaic-ebpf"))
			fail_msg("%s --help: %s", commands[i].name, out);
		for (const struct cli_option *o = commands[i].options; o && o->name; o++)
			assert_says(out, o->name);
	}
	assert_int_equal(CLI("--help"), CLI_DONE);
	for (size_t i = 0; i < nr; i++)
		assert_says(out, commands[i].name);
	assert_int_equal(CLI("help", "reset"), CLI_DONE);
	assert_says(out, "usage: archaic-ebpf reset");
	assert_int_equal(run((const char *const[]){ NULL }), CLI_USAGE);
	assert_says(err, "COMMANDS");
	assert_int_equal(CLI("--version"), CLI_DONE);
}

static void test_cmdline_neutralises_what_would_move_the_cursor(void **state)
{
	(void)state;
	assert_int_equal(CLI("detach",
			     "a\033[2Jb\xe2\x80\xae"
			     "c\n"),
			 CLI_FAILED);
	assert_null(strchr(err, '\033'));
	assert_null(strstr(err, "\xe2\x80\xae"));
	struct cli_table *t = table_new((const char *const[]){ "A", ">B", NULL });
	free(out);
	FILE *f = open_memstream(&out, &out_len);
	table_add(t, "%s", "x\033[31m\r\n\xc2\x9b\xff");
	table_add(t, "%s", "caf\xc3\xa9");
	table_add(t, NULL);
	table_add(t, "%d", 1);
	table_print(t, f, false);
	fclose(f);
	assert_string_equal(out, "A              B\nx?[31m????  caf\xc3\xa9\n-              1\n");
}

static void test_cmdline_finds_the_nearest_word(void **state)
{
	static const char *const words[] = { "services", "faults", "reset", NULL };

	(void)state;
	assert_string_equal(cli_nearest("service", words), "services");
	assert_string_equal(cli_nearest("fautls", words), "faults");
	assert_string_equal(cli_nearest("rest", words), "reset");
	assert_null(cli_nearest("zzz", words));
	assert_null(cli_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				words));
}

static void test_cmdline_checks_the_configuration(void **state)
{
	(void)state;
	assert_int_equal(CLI("check-config", "--mode", "sometimes"), CLI_USAGE);
	assert_says(err, "sometimes");
	assert_int_equal(CLI("check-config", "--defaults"), CLI_DONE);
	assert_says(out, "[daemon]");
	assert_int_equal(CLI("check-config", "--mode", "observe"), CLI_DONE);
	assert_says(out, "in order");
}

static void test_cmdline_says_where_the_pages_are(void **state)
{
	char file[] = "/tmp/archaic-token-XXXXXX";
	CLEANUP(closep) int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "0123456789abcdef/%%\n"), 19);
	assert_int_equal(CLI("pages", "--port-chaos", "9080"), CLI_DONE);
	assert_says(out, "http://127.0.0.1:7000/\n");
	assert_says(out, "http://127.0.0.1:9080/\n");
	assert_null(strstr(out, "█"));
	/* A token that nobody asks for is not shown; one that is goes behind the #, escaped. */
	assert_int_equal(CLI("pages", "--token-file", file), CLI_DONE);
	assert_null(strstr(out, "token"));
	assert_int_equal(CLI("pages", "--qr", "--pages-listen", "192.0.2.7", "--token-file", file),
			 CLI_DONE);
	assert_says(out, "http://192.0.2.7:8080/#token=0123456789abcdef%2F%25\n");
	assert_says(out, "█");
	assert_null(strstr(out, "\033")); /* no terminal: no colours */
	assert_int_equal(CLI("pages", "--pages-listen", "::1", "--tls-cert", "/nowhere",
			     "--tls-key", "/nowhere"),
			 CLI_FAILED);
	assert_says(err, "/nowhere cannot be read");
	unlink(file);
}

/* Alone: no daemon, no configuration, nothing left of a dead one. In a network namespace where there is nothing of ours. */
static void test_cmdline_resets_all_without_a_daemon(void **state)
{
	(void)state;
	if (geteuid() || netns_enter()) {
		printf("SKIP test_cmdline_resets_all_without_a_daemon: no network namespace of its own\n");
		skip();
	}
	server_stop(server);
	server = NULL;
	assert_int_equal(CLI("reset", "--all"), CLI_DONE);
	assert_says(out, "no daemon answers on");
	assert_int_equal(CLI("reset", "--all", "--json"), CLI_DONE);
	CLEANUP(json_freep) cJSON *j = cJSON_Parse(out);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(j, "items")), 0);
	assert_true(cJSON_IsArray(cJSON_GetObjectItem(j, "recovered")));
	assert_int_equal(CLI("reset", "db"), CLI_NO_DAEMON);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_cmdline_prints_tables),
		CASE(test_cmdline_prints_the_interfaces_own_objects),
		CASE(test_cmdline_json_is_one_document),
		CASE(test_cmdline_tells_a_script_why),
		CASE(test_cmdline_colours_only_where_wanted),
		CASE(test_cmdline_fails_where_its_words_are_lost),
		CASE(test_cmdline_changes_things),
		CASE(test_cmdline_says_what_is_wrong),
		CASE(test_cmdline_help_ends_with_examples),
		CASE(test_cmdline_neutralises_what_would_move_the_cursor),
		CASE(test_cmdline_finds_the_nearest_word),
		CASE(test_cmdline_checks_the_configuration),
		CASE(test_cmdline_says_where_the_pages_are),
		CASE(test_cmdline_resets_all_without_a_daemon),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
