// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What `make install` puts on a machine, into a folder: programs that start, a unit that systemd
 * understands, a configuration, man pages and a completion that are in step with the tables they
 * are made from; and uninstall leaves no file. The package itself: make test-deb, make test-systemd.
 */
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/util.h"
#include "cmd/cmd.h"
#include "fault/fault.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

#define METRICS "http://127.0.0.1:8006/metrics"

static char root[64];
static char text[512 * 1024];

static const char *at(const char *path)
{
	static char full[4][256];
	static unsigned next;
	char *to = full[next++ % ARRAY_SIZE(full)];

	snprintf(to, sizeof(full[0]), "%s%s", root, path);
	return to;
}

static const char *read_text(const char *path)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");

	if (!f)
		fail_msg("%s is missing", path);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	return text;
}

static int installer(const char *verb, const char **out)
{
	char dest[96], build[256];
	const char *argv[] = { "tools/deploy/install.sh", verb, NULL };
	const char *env[] = { dest, "PREFIX=/usr", "SYSCONFDIR=/etc", build, NULL };

	snprintf(dest, sizeof(dest), "DESTDIR=%s", root);
	snprintf(build, sizeof(build), "BUILD=%s", getenv("ARCHAIC_BUILD") ?: "build");
	return proc_run(argv, env, 30000, out);
}

static int set_up(void **state)
{
	const char *out;

	(void)state;
	snprintf(root, sizeof(root), "/tmp/test-install-XXXXXX");
	assert_non_null(mkdtemp(root));
	if (installer("install", &out) != 0)
		fail_msg("install failed: %s", out);
	return 0;
}

static unsigned files;

static int count_file(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)f;
	files += kind != FTW_DP && kind != FTW_D;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(root, count_file, 16, FTW_DEPTH | FTW_PHYS);
}

static void test_install_programs_start(void **state)
{
	static const char *const programs[] = { "/usr/bin/archaic-ebpf",
						"/usr/bin/archaic-load",
						"/usr/bin/archaic-supervise",
						"/usr/libexec/archaic-ebpf/auth-service",
						"/usr/libexec/archaic-ebpf/db-service",
						"/usr/libexec/archaic-ebpf/product-service",
						"/usr/libexec/archaic-ebpf/payment-service" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const char *argv[] = { at(programs[i]), "--help", NULL }, *out;
		if (proc_run(argv, NULL, 10000, &out) != 0)
			fail_msg("%s --help: %s", programs[i], out);
	}
	assert_int_equal(access(at("/usr/bin/archaic-bench"), X_OK), 0);
}

/* The unit with the program's place in this folder: verify wants to see it. */
static void make_unit_of_here(char *to, size_t size)
{
	char line[512];
	static const char place[] = "/usr/bin/archaic-ebpf";

	snprintf(to, size, "%s/archaic-ebpf.service", root);
	CLEANUP(fclosep)
	FILE *from = fopen(at("/usr/lib/systemd/system/archaic-ebpf.service"), "re");
	CLEANUP(fclosep) FILE *f = fopen(to, "we");
	assert_non_null(from);
	assert_non_null(f);
	while (fgets(line, sizeof(line), from)) {
		char *p = strstr(line, place);
		if (p)
			fprintf(f, "%.*s%s%s%s", (int)(p - line), line, root, place,
				p + strlen(place));
		else
			fputs(line, f);
	}
}

static void test_install_unit(void **state)
{
	char unit[96];
	const char *out;
	const char *verify[] = { "/usr/bin/systemd-analyze", "verify", "--man=no", unit, NULL };
	const char *security[] = { verify[0],        "security", "--offline=yes",
				   "--threshold=35", unit,       NULL };

	(void)state;
	if (access(verify[0], X_OK)) {
		print_message("SKIP test_install_unit: there is no systemd-analyze\n");
		skip();
	}
	make_unit_of_here(unit, sizeof(unit));
	int status = proc_run(verify, NULL, 20000, &out);
	if (status || strstr(out, "archaic-ebpf.service:"))
		fail_msg("systemd-analyze verify: %s", out);
	status = proc_run(security, NULL, 20000, &out);
	const char *figure = strstr(out, "Overall exposure");
	if (status || !figure)
		fail_msg("systemd-analyze security: %s", out);
	print_message("systemd-analyze security: %s", figure);

	read_text(unit);
	assert_non_null(strstr(text, "\nType=notify\n"));
	assert_non_null(strstr(text, "/usr/bin/archaic-ebpf reset --all\n"));
	assert_non_null(strstr(text,
			       "\nCapabilityBoundingSet=CAP_BPF CAP_PERFMON CAP_NET_ADMIN "
			       "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_KILL\n"));
	assert_null(strstr(text, "CAP_SYS_ADMIN"));
}

static void test_install_configuration_is_the_table(void **state)
{
	CLEANUP(freep) char *wanted = NULL;
	size_t len;
	FILE *f = open_memstream(&wanted, &len);
	const char *conf = at("/etc/archaic-ebpf/archaic-ebpf.conf"), *out;
	const char *argv[] = { at("/usr/bin/archaic-ebpf"), "check-config", "--config", conf,
			       NULL };

	(void)state;
	config_print_defaults(f, true);
	fclose(f);
	assert_string_equal(read_text(conf), wanted);
	if (proc_run(argv, NULL, 10000, &out) != 0)
		fail_msg("%s", out);
}

static void test_install_check_config_names_the_line(void **state)
{
	const char *conf = at("/bad.conf"), *out;
	const char *argv[] = { at("/usr/bin/archaic-ebpf"), "check-config", "--config", conf,
			       NULL };
	FILE *f = fopen(conf, "we");

	(void)state;
	assert_non_null(f);
	fputs("[daemon]\nmode = suggest\n\n[observe]\ntick = tomorrow\n", f);
	fclose(f);
	assert_int_equal(proc_run(argv, NULL, 10000, &out), 2);
	if (!strstr(out, "bad.conf:5: tick"))
		fail_msg("the line is not named: %s", out);
}

/* A word as roff writes it, hyphens escaped. */
static const char *roff(const char *word)
{
	static char to[4][128];
	static unsigned next;
	char *p = to[next++ % ARRAY_SIZE(to)], *begin = p;

	for (; *word && p < begin + sizeof(to[0]) - 3; word++) {
		if (*word == '-')
			*p++ = '\\';
		*p++ = *word;
	}
	*p = '\0';
	return begin;
}

static void test_install_man_pages_name_everything(void **state)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	(void)state;
	read_text(at("/usr/share/man/man5/archaic-ebpf.conf.5"));
	assert_null(strstr(text, "@OPTIONS@"));
	for (size_t i = 0; i < nr; i++) {
		char item[128];
		snprintf(item, sizeof(item), "\n.BR %s \" = ", o[i].key);
		if (!strstr(text, item))
			fail_msg("archaic-ebpf.conf(5) lacks [%s] %s", o[i].section, o[i].key);
	}
	const struct cli_command *c = cli_commands(&nr);
	read_text(at("/usr/share/man/man1/archaic-ebpf.1"));
	for (size_t i = 0; i < nr; i++) {
		char plain[160], quoted[160];
		snprintf(plain, sizeof(plain), "\n.TP\n.B %s\n", roff(c[i].name));
		snprintf(quoted, sizeof(quoted), "\n.TP\n.B");
		bool found = strstr(text, plain) != NULL;
		for (char *p = text; !found && (p = strstr(p, quoted)); p += 4) {
			char *word = strchr(p + 6, ' ');
			word += word ? 1 + (word[1] == '"') : 0;
			size_t n = strlen(roff(c[i].name));
			found = word && !strncmp(word, roff(c[i].name), n) &&
				strchr(" \n\"", word[n]);
		}
		if (!found)
			fail_msg("archaic-ebpf(1) lacks the command %s", c[i].name);
	}
	assert_int_equal(access(at("/usr/share/man/man1/archaic-load.1"), R_OK), 0);
	assert_int_equal(access(at("/usr/share/man/man1/archaic-bench.1"), R_OK), 0);
	assert_int_equal(access(at("/usr/share/man/man8/archaic-supervise.8"), R_OK), 0);
	assert_int_equal(access(at("/usr/share/man/man8/archaic-services.8"), R_OK), 0);
}

/* What bash would offer for the last of @words; blanks between. */
static const char *complete(const char *words)
{
	char script[1024];
	const char *argv[] = { "/bin/bash", "-c", script, NULL }, *out;

	snprintf(script, sizeof(script),
		 ". '%s'; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _archaic_ebpf; "
		 "echo \" ${COMPREPLY[*]} \"",
		 at("/usr/share/bash-completion/completions/archaic-ebpf"), words);
	if (proc_run(argv, NULL, 10000, &out) != 0)
		fail_msg("bash: %s", out);
	return out;
}

static void offers(const char *words, const char *wanted)
{
	char word[80];
	const char *out = complete(words);

	snprintf(word, sizeof(word), " %s ", wanted);
	if (!strstr(out, word))
		fail_msg("for %s bash offers%s, and not %s", words, out, wanted);
}

static void test_install_completion_offers_the_tables(void **state)
{
	size_t nr;
	const struct cli_command *c = cli_commands(&nr);
	const struct cli_option *option;

	(void)state;
	for (size_t i = 0; i < nr; i++) {
		char words[64];
		offers("archaic-ebpf ''", c[i].name);
		snprintf(words, sizeof(words), "archaic-ebpf %s --", c[i].name);
		for (size_t k = 0; !c[i].own_options && (option = cli_option_at(&c[i], k)); k++) {
			char flag[64];
			snprintf(flag, sizeof(flag), "--%s", option->name);
			offers(words, flag);
		}
	}
	for (int t = 0; t < NR_FAULT_TYPES; t++)
		offers("archaic-ebpf inject db ''", fault_types()[t].name);
	offers("archaic-ebpf run --mode au", "auto-safe");
	offers("archaic-ebpf run --max-d", "--max-delay");
	offers("archaic-ebpf incidents a", "approve");
	assert_null(strstr(complete("archaic-ebpf run --mode au"), "suggest"));
}

/* ---- the first start, with a systemd's ear */

/* Where sd_notify() sends to; what it heard is added up in text. */
static int listen_for_words(char *env, size_t size)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", root);
	snprintf(env, size, "NOTIFY_SOCKET=%s", a.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	text[0] = '\0';
	return fd;
}

static bool hears(int fd, const char *word, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t until = clock_mono_ns() + (uint64_t)ms * NSEC_PER_MSEC;

	while (!strstr(text, word) && clock_mono_ns() < until)
		if (poll(&p, 1, 50) > 0) {
			size_t len = strlen(text);
			ssize_t n = recv(fd, text + len, 1024, 0);
			text[len + (size_t)MAX(n, (ssize_t)0)] = '\0';
		}
	return strstr(text, word) != NULL;
}

static bool has_metrics(void *ctx)
{
	(void)ctx;
	return http_status("GET", METRICS, NULL, NULL) == 200;
}

static void test_install_first_start(void **state)
{
	char run_dir[96], state_dir[96], log[96], notify[160];
	const char *argv[] = { at("/usr/bin/archaic-ebpf"),
			       "run",
			       "--run-dir",
			       run_dir,
			       "--state-dir",
			       state_dir,
			       "--config",
			       "/dev/null",
			       NULL };
	const char *env[] = { notify, NULL };

	(void)state;
	if (geteuid() || netns_enter()) {
		print_message("SKIP test_install_first_start: a network namespace needs root\n");
		skip();
	}
	snprintf(run_dir, sizeof(run_dir), "%s/run", root);
	snprintf(state_dir, sizeof(state_dir), "%s/state", root);
	snprintf(log, sizeof(log), "%s/log", root);
	CLEANUP(closep) int fd = listen_for_words(notify, sizeof(notify));

	uint64_t begun = clock_mono_ns();
	pid_t pid = proc_start(log, argv, env);
	if (!wait_true(has_metrics, NULL, 30000)) {
		file_show(log);
		proc_end(pid, SIGTERM, 10000);
		fail_msg("no metrics within 30 s");
	}
	uint64_t metric = clock_mono_ns();
	bool ready = hears(fd, "READY=1", 10000);
	print_message("first start to first metric: %.0f ms\n", (double)(metric - begun) / 1e6);
	text[0] = '\0';
	kill(pid, SIGHUP);
	bool reloading = hears(fd, "RELOADING=1", 10000) && hears(fd, "READY=1", 10000);
	int status = proc_end(pid, SIGTERM, 10000);
	assert_true(ready);
	assert_true(reloading);
	assert_true(hears(fd, "STOPPING=1", 1000));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_install_keeps_a_changed_configuration(void **state)
{
	const char *conf = at("/etc/archaic-ebpf/archaic-ebpf.conf"), *out;
	FILE *f = fopen(conf, "we");

	(void)state;
	assert_non_null(f);
	fputs("[daemon]\nmode = observe\n", f);
	fclose(f);
	assert_int_equal(installer("install", &out), 0);
	assert_non_null(strstr(out, "kept: "));
	assert_int_equal(installer("uninstall", &out), 0);
	assert_non_null(strstr(out, "kept: "));
	assert_string_equal(read_text(conf), "[daemon]\nmode = observe\n");
	assert_int_equal(access(at("/usr/bin/archaic-ebpf"), F_OK), -1);
}

static void test_uninstall_leaves_no_file(void **state)
{
	const char *out;

	(void)state;
	nftw(root, count_file, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(root, 0700), 0);
	assert_int_equal(installer("install", &out), 0);
	assert_int_equal(installer("uninstall", &out), 0);
	files = 0;
	nftw(root, count_file, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(files, 0);
	assert_int_equal(mkdir(root, 0700), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_install_programs_start),
		cmocka_unit_test(test_install_unit),
		cmocka_unit_test(test_install_configuration_is_the_table),
		cmocka_unit_test(test_install_check_config_names_the_line),
		cmocka_unit_test(test_install_man_pages_name_everything),
		cmocka_unit_test(test_install_completion_offers_the_tables),
		cmocka_unit_test(test_install_first_start),
		cmocka_unit_test(test_install_keeps_a_changed_configuration),
		cmocka_unit_test(test_uninstall_leaves_no_file),
	};

	return cmocka_run_group_tests_name("install", tests, set_up, tear_down);
}
