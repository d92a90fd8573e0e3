// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/config.h"
#include "base/util.h"

static struct config c;
static struct problem p;
static const char *no_env[] = { NULL };

static int reset(void **state)
{
	(void)state;
	config_init(&c);
	p = (struct problem){ 0 };
	return 0;
}

static int parse(const char *text)
{
	return config_parse_file_text(&c, "x.conf", text, strlen(text), &p);
}

/* main()'s types say char *, though nothing is written to. */
static int load_all(int argc, const char *const argv[], const char *const env[])
{
	return config_load(argc, (char *const *)argv, (char *const *)env, &c, &p);
}

/* A load without any file: the machine that tests may have one of its own. */
static int load(int argc, const char *const argv[], const char *const env[])
{
	const char *all[16] = { "--config", "/dev/null" };

	for (int i = 0; i < argc; i++)
		all[i + 2] = argv[i];
	return load_all(argc + 2, all, env);
}

static void test_config_defaults(void **state)
{
	(void)state;
	assert_int_equal(load(0, NULL, no_env), 0);
	assert_string_equal(c.daemon.listen, "127.0.0.1");
	assert_string_equal(c.daemon.socket, "/run/archaic-ebpf/control.sock");
	assert_int_equal(c.daemon.mode, CONFIG_MODE_SUGGEST);
	assert_int_equal(c.daemon.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.ports.operator_port, 8005);
	assert_int_equal(c.ports.detector_port, 8006);
	assert_true(c.observe.tick_ns == NSEC_PER_SEC);
	assert_true(c.observe.warmup_tick_ns == 100 * NSEC_PER_MSEC);
	assert_true(c.observe.discover);
	assert_true(c.detect.static_errors == 0.10);
	assert_true(c.faults.max_delay_ns == 200 * NSEC_PER_SEC);
	assert_true(c.remediate.cooldown_ns == 300 * NSEC_PER_SEC);
	assert_int_equal(c.llm.provider, CONFIG_LLM_NONE);
	assert_int_equal(c.nr_services, 0);
}

/* Every fallback must lie within its own bounds, or config_init() would leave a zero in silence. */
static void test_config_every_default_is_valid(void **state)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		if (config_set(&c, &o[i], o[i].key, o[i].fallback, &p))
			fail_msg("%s: %s", o[i].key, p.detail);
		for (size_t k = i + 1; k < nr; k++)
			if (!strcmp(o[i].flag, o[k].flag))
				fail_msg("--%s stands twice", o[i].flag);
	}
}

static void test_config_printed_defaults_parse_back(void **state)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct config before = c;

	(void)state;
	config_print_defaults(f, false);
	fclose(f);
	if (parse(text))
		fail_msg("%s", p.detail);
	assert_memory_equal(&before, &c, sizeof(c));
}

/* The file that is installed: every option is there, and each line that says one is a comment. */
static void test_config_commented_defaults_set_nothing(void **state)
{
	CLEANUP(freep) char *text = NULL;
	size_t len, nr;
	const struct config_option *o = config_options(&nr);
	FILE *f = open_memstream(&text, &len);

	(void)state;
	config_print_defaults(f, true);
	fclose(f);
	for (size_t i = 0; i < nr; i++) {
		char line[96];
		snprintf(line, sizeof(line), "\n#%s = ", o[i].key);
		if (!strstr(text, line) || !strstr(text, o[i].doc))
			fail_msg("[%s] %s is missing", o[i].section, o[i].key);
	}
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		assert_true(!*line || strchr("#[\n", *line));
	}
	if (parse(text))
		fail_msg("%s", p.detail);
	struct config defaults;
	config_init(&defaults);
	assert_memory_equal(&defaults, &c, sizeof(c));
}

/* What config_value() writes is read back as the same, for every kind of option. */
static void test_config_values_read_back(void **state)
{
	static const char *const values[][2] = {
		{ "mode", "auto-safe" },  { "listen", "127.0.0.2" }, { "cooldown", "90s" },
		{ "cooldown", "2h" },     { "tick", "1500ms" },      { "static_errors", "0.125" },
		{ "discover", "no" },     { "operator", "9005" },    { "seed", "9007199254740991" },
		{ "protected", "a b c" }, { "slow", "1.5ms" },       { "daily_cap", "0" },
	};
	size_t nr;
	const struct config_option *o = config_options(&nr);

	(void)state;
	for (size_t v = 0; v < ARRAY_SIZE(values); v++)
		for (size_t i = 0; i < nr; i++) {
			char text[CONFIG_TEXT_MAX];
			struct config other = c;
			if (strcmp(o[i].key, values[v][0]) != 0)
				continue;
			assert_int_equal(config_set(&c, &o[i], "x", values[v][1], &p), 0);
			if (!config_differs(&o[i], &c, &other))
				fail_msg("%s = %s does not differ from what was", o[i].key,
					 values[v][1]);
			config_value(&o[i], &c, text, sizeof(text));
			assert_int_equal(config_set(&other, &o[i], "x", text, &p), 0);
			if (config_differs(&o[i], &c, &other))
				fail_msg("%s = %s reads back otherwise", o[i].key, text);
			config_init(&other);
			config_copy_option(&o[i], &other, &c);
			assert_false(config_differs(&o[i], &c, &other));
		}
}

static void test_config_file(void **state)
{
	(void)state;
	int err = parse("\xef\xbb\xbf# a comment\n"
			"[daemon]\r\n"
			"mode = auto-safe ; and a reason\n"
			"  listen=::1\n"
			"[remediate]\n"
			"cooldown = 5s\n"
			"protected = db, auth payment\n"
			"[service db-1]\n"
			"port = 8002\n"
			"supervised = yes\n"
			"[service web]\n"
			"cgroup = /system.slice/web.service");
	if (err)
		fail_msg("%s", p.detail);
	assert_int_equal(c.daemon.mode, CONFIG_MODE_AUTO_SAFE);
	assert_string_equal(c.daemon.listen, "::1");
	assert_true(c.remediate.cooldown_ns == 5 * NSEC_PER_SEC);
	assert_int_equal(c.remediate.protect.nr, 3);
	assert_true(config_list_has(&c.remediate.protect, "payment"));
	assert_false(config_list_has(&c.remediate.protect, "pay"));
	assert_int_equal(c.nr_services, 2);
	assert_string_equal(c.services[0].name, "db-1");
	assert_int_equal(c.services[0].port, 8002);
	assert_true(c.services[0].supervised);
	assert_string_equal(c.services[1].cgroup, "/system.slice/web.service");
	assert_int_equal(config_check(&c, &p), 0);
}

static void test_config_file_errors_name_the_line(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "[daemon]\nmood = good\n", "x.conf:2: unknown option mood" },
		{ "\n[demon]\n", "x.conf:2: unknown section demon" },
		{ "[demon]", "x.conf:1: unknown section demon" },
		{ "mode = auto\n", "x.conf:1: an option before the first section: mode" },
		{ "[daemon]\nmode = wild\n", "x.conf:2: mode is wild; it must be one of observe|" },
		{ "[daemon]\nmode =\n", "x.conf:2: mode is empty" },
		{ "[daemon]\nrun_dir = here\n",
		  "x.conf:2: run_dir is here; it must be an absolute path" },
		{ "[ports]\noperator = 70000\n",
		  "x.conf:2: operator is 70000; it must be a whole number from 1" },
		{ "[ports]\noperator = 80x\n", "x.conf:2: operator is 80x" },
		{ "[observe]\ntick = 1ms\n", "x.conf:2: tick is 1ms; it must be a time from" },
		{ "[observe]\ndiscover = maybe\n", "it must be yes or no" },
		{ "[detect]\nstatic_errors = 1.5\n", "it must be a number from 0 to 1" },
		{ "[daemon]\nmode = auto\nmode = observe\n", "x.conf:3: given twice: mode" },
		{ "[daemon]\n\nnonsense\n", "x.conf:3: neither a section" },
		{ "[daemon\n", "x.conf:1: not a section" },
		{ "[service ../x]\n", "x.conf:1: not a service name: ../x" },
		{ "[service a]\n[service a]\n", "x.conf:2: this service has a section already: a" },
		{ "[service a]\nport = 0\n", "x.conf:2: port is 0; it must be a port" },
		{ "[service a]\nport = 1\nport = 2\n", "x.conf:3: port is unknown or given twice" },
		{ "[service a]\ncgroup = up\n", "x.conf:2: cgroup is up" },
		{ "[service a]\nsupervised = 7\n", "x.conf:2: supervised is 7" },
		{ "[service a]\ncolour = red\n", "x.conf:2: colour is unknown" },
		{ "[llm]\nmodel = \xff\n", "x.conf:2: the line is not UTF-8" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		if (parse(cases[i].text) != -EINVAL)
			fail_msg("taken: %s", cases[i].text);
		if (!strstr(p.detail, cases[i].says))
			fail_msg("%s: says %s", cases[i].text, p.detail);
	}
}

static void test_config_file_refuses_a_long_line(void **state)
{
	char text[600] = "[llm]\nmodel = ";

	(void)state;
	memset(text + strlen(text), 'x', 400);
	assert_int_equal(parse(text), -EINVAL);
	assert_non_null(strstr(p.detail, "x.conf:2: the line is longer than"));
}

static void test_config_file_bounds_the_services(void **state)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	for (int i = 0; i <= CONFIG_SERVICES_MAX; i++)
		fprintf(f, "[service s%d]\nport = %d\n", i, 1000 + i);
	fclose(f);
	assert_int_equal(parse(text), -EINVAL);
	assert_int_equal(c.nr_services, CONFIG_SERVICES_MAX);
	assert_non_null(strstr(p.detail, "too many [service] sections"));
}

static void test_config_precedence(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);
	static const char text[] = "[daemon]\nmode = observe\n[observe]\ntick = 2s\nslow = 2s\n"
				   "[prometheus]\nurl = http://file\n";
	char env_config[64];
	const char *env[] = { env_config,
			      "ARCHAIC_TICK=3s",
			      "ARCHAIC_SLOW=3s",
			      "PROMETHEUS_URL=http://env",
			      "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318",
			      NULL };
	const char *argv[] = { "--slow=4s", "--no-discover", "--faults-enabled", "--port-operator",
			       "9005" };

	(void)state;
	snprintf(env_config, sizeof(env_config), "ARCHAIC_CONFIG=%s", path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	int err = load_all((int)ARRAY_SIZE(argv), argv, env);
	unlink(path);
	if (err)
		fail_msg("%s", p.detail);
	assert_string_equal(c.file, path);
	assert_int_equal(c.daemon.mode, CONFIG_MODE_OBSERVE); /* file over default */
	assert_true(c.observe.tick_ns == 3 * NSEC_PER_SEC);   /* environment over file */
	assert_true(c.observe.slow_ns == 4 * NSEC_PER_SEC);   /* command line over both */
	assert_string_equal(c.prometheus.url, "http://env");
	assert_string_equal(c.otlp.endpoint, "http://collector:4318");
	assert_false(c.observe.discover);
	assert_true(c.faults.enabled);
	assert_int_equal(c.ports.operator_port, 9005);
	assert_int_equal(c.ports.detector_port, 8006);
}

static void test_config_command_line_errors(void **state)
{
	static const struct {
		const char *word, *says;
	} cases[] = {
		{ "--mood", "unknown option --mood" },
		{ "--no-tick", "unknown option --no-tick" },
		{ "--tick", "--tick needs a value" },
		{ "--tick=soon", "--tick is soon" },
		{ "stray", "unexpected argument stray" },
		{ "--", "unexpected argument --" },
		{ "--config=/nonexistent/x.conf",
		  "cannot read the configuration /nonexistent/x.conf" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		struct config before = c;
		const char *argv[] = { cases[i].word };
		assert_int_equal(load(1, argv, no_env), -EINVAL);
		if (!strstr(p.detail, cases[i].says))
			fail_msg("%s: says %s", cases[i].word, p.detail);
		assert_memory_equal(&before, &c, sizeof(c)); /* untouched on failure */
	}
	const char *env[] = { "ARCHAIC_MODE=wild", "ARCHAIC_UNKNOWN=x", NULL };
	assert_int_equal(load(0, NULL, env), -EINVAL);
	assert_non_null(strstr(p.detail, "ARCHAIC_MODE is wild"));
}

static void test_config_checks_the_whole(void **state)
{
	static const struct {
		const char *argv[2], *says;
	} cases[] = {
		{ { "--listen=0.0.0.0", "--tick=1s" }, "a loopback address, or token_file" },
		{ { "--listen=localhost", "--tick=1s" }, "a numeric IPv4 or IPv6 address" },
		{ { "--port-operator=8006", "--tick=1s" }, "they must differ" },
		{ { "--port-chaos=7000", "--tick=1s" }, "dashboard and chaos are both 7000" },
		{ { "--pages-listen=0.0.0.0", "--tick=1s" }, "token_file must be set" },
		{ { "--pages-listen=box", "--tick=1s" }, "a numeric IPv4 or IPv6 address" },
		{ { "--tls-cert=/c.pem", "--tick=1s" }, "belong together" },
		{ { "--warmup-tick=2s", "--tick=1s" }, "warmup_tick is longer" },
		{ { "--namespace=a b", "--tick=1s" }, "namespace is a b" },
		{ { "--shadow=300", "--baseline=200" }, "shadow is 300" },
		{ { "--prometheus-url=ftp://x", "--tick=1s" }, "an http:// or https:// URL" },
		{ { "--otlp-endpoint=collector:4318", "--tick=1s" }, "an http:// or https:// URL" },
	};
	static char long_dir[160] = "--run-dir=/";

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		reset(state);
		assert_int_equal(load(2, cases[i].argv, no_env), -EINVAL);
		if (!strstr(p.detail, cases[i].says))
			fail_msg("%s: says %s", cases[i].argv[0], p.detail);
	}
	const char *with_token[] = { "--listen=0.0.0.0", "--token-file=/etc/token" };
	assert_int_equal(load(2, with_token, no_env), 0);

	memset(long_dir + strlen(long_dir), 'd', 120);
	const char *argv[] = { long_dir };
	assert_int_equal(load(1, argv, no_env), -EINVAL);
	assert_non_null(strstr(p.detail, "too long for a socket"));

	reset(state);
	assert_int_equal(parse("[service a]\nport = 1\npid = 2\n"), 0);
	assert_int_equal(config_check(&c, &p), -EINVAL);
	assert_non_null(
		strstr(p.detail, "exactly one of port, pid, cgroup, container, pod and unit"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_config_defaults, reset),
		cmocka_unit_test_setup(test_config_every_default_is_valid, reset),
		cmocka_unit_test_setup(test_config_printed_defaults_parse_back, reset),
		cmocka_unit_test_setup(test_config_commented_defaults_set_nothing, reset),
		cmocka_unit_test_setup(test_config_values_read_back, reset),
		cmocka_unit_test_setup(test_config_file, reset),
		cmocka_unit_test_setup(test_config_file_errors_name_the_line, reset),
		cmocka_unit_test_setup(test_config_file_refuses_a_long_line, reset),
		cmocka_unit_test_setup(test_config_file_bounds_the_services, reset),
		cmocka_unit_test_setup(test_config_precedence, reset),
		cmocka_unit_test_setup(test_config_command_line_errors, reset),
		cmocka_unit_test_setup(test_config_checks_the_whole, reset),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
