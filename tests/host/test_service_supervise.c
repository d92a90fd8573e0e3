// SPDX-License-Identifier: GPL-2.0-or-later
/* archaic-supervise with the real services, in a network namespace of their own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

static char dir[] = "/tmp/test-supervise-XXXXXX";
static char parent[64], config[64], log_file[64];
static bool able;

static int set_up(void **state)
{
	(void)state;
	if (netns_enter() || !mkdtemp(dir)) {
		printf("SKIP test_service_supervise: a network namespace needs root\n");
		return 0;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	snprintf(parent, sizeof(parent), "/archaic-test-%d", getpid());
	snprintf(config, sizeof(config), "%s/supervise.conf", dir);
	snprintf(log_file, sizeof(log_file), "%s/supervise.log", dir);
	able = true;
	return 0;
}

static void empty_dir(void)
{
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static int tear_down(void **state)
{
	(void)state;
	empty_dir();
	rmdir(dir);
	if (able)
		cgroup_sweep(parent);
	return 0;
}

static void write_config(const char *text)
{
	FILE *f = fopen(config, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void write_shop(void)
{
	char text[4096];
	size_t len = 0;
	static const char *const names[] = { "auth", "db", "product", "payment" };

	for (size_t i = 0; i < 4; i++) {
		char binary[32];
		snprintf(binary, sizeof(binary), "%s-service", names[i]);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[%s]\ncommand = %.800s --port %zu\n", names[i],
					shop_path(binary), 8001 + i);
	}
	write_config(text);
}

static pid_t start_with(const char *option, const char *value)
{
	const char *argv[] = { shop_path("archaic-supervise"),
			       "--run-dir",
			       dir,
			       "--cgroup",
			       parent,
			       "--config",
			       config,
			       option,
			       value,
			       NULL };
	const char *env[] = { "ARCHAIC_SOCKET=/nonexistent", NULL };

	return proc_start(log_file, argv, env);
}

static pid_t start(void)
{
	return start_with(NULL, NULL);
}

static pid_t pid_of(const char *name)
{
	char path[128];
	int pid = 0;

	snprintf(path, sizeof(path), "%s/%s.pid", dir, name);
	FILE *f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
	}
	return pid;
}

static bool healthy(void *url)
{
	return http_status("GET", url, NULL, NULL) == 200;
}

static void wait_shop(void)
{
	for (unsigned i = 1; i <= 4; i++) {
		char url[64];
		snprintf(url, sizeof(url), "http://127.0.0.1:800%u/health", i);
		if (!wait_true(healthy, url, 15000))
			fail_msg("%s is not healthy", url);
	}
}

static bool cgroup_of(pid_t pid, char *ret, size_t size)
{
	char path[64], line[PATH_MAX];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3)) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(ret, size, "%s", line + 3);
			found = true;
		}
	if (f)
		fclose(f);
	return found;
}

static void stop(pid_t supervisor)
{
	int status = proc_end(supervisor, SIGTERM, 12000);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_false(cgroup_exists(parent));
	assert_int_equal(pid_of("db"), 0);
	assert_int_equal(http_status("GET", "http://127.0.0.1:8002/health", NULL, NULL), 0);
}

static void test_supervise_gives_each_its_own_cgroup(void **state)
{
	(void)state;
	static const char *const names[] = { "auth", "db", "product", "payment" };

	if (!able)
		skip();
	write_shop();
	pid_t supervisor = start();
	wait_shop();
	for (size_t i = 0; i < 4; i++) {
		char is[PATH_MAX], want[128];
		snprintf(want, sizeof(want), "%s/%s", parent, names[i]);
		assert_true(pid_of(names[i]) > 0);
		assert_true(cgroup_of(pid_of(names[i]), is, sizeof(is)));
		assert_string_equal(is, want);
	}
	stop(supervisor);
}

static bool is_cut(void *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size < 1000;
}

static void test_supervise_keeps_logs_short(void **state)
{
	(void)state;
	static const off_t full = 32 << 20;
	char own[80], others[80], old[96];
	struct stat st;
	static const char line[] = "appended\n";

	if (!able)
		skip();
	write_config("[echo]\ncommand = /bin/sleep 100\n");
	snprintf(own, sizeof(own), "%s/echo.log", dir);
	snprintf(others, sizeof(others), "%s/others.log", dir);
	int fd = open(others, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	assert_true(fd >= 0 && write(fd, line, 9) == 9 && ftruncate(fd, full) == 0);
	int own_fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(own_fd >= 0 && ftruncate(own_fd, full) == 0);
	close(own_fd);

	pid_t supervisor = start_with("--cut", others);
	assert_true(wait_true(is_cut, others, 5000) && wait_true(is_cut, own, 5000));
	assert_int_equal(write(fd, line, 9), 9);
	close(fd);
	assert_true(stat(others, &st) == 0 && st.st_size == 9);
	snprintf(old, sizeof(old), "%s.1", others);
	assert_true(stat(old, &st) == 0 && st.st_size == full && file_has(old, line));
	unlink(old);
	unlink(others);
	snprintf(old, sizeof(old), "%s.1", own);
	assert_true(stat(old, &st) == 0 && st.st_size == full);
	unlink(old);
	int status = proc_end(supervisor, SIGTERM, 5000);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct change {
	pid_t from;
};

static bool changed(void *ctx)
{
	const struct change *c = ctx;
	pid_t now = pid_of("db");

	return now && now != c->from;
}

static void test_supervise_starts_again_what_was_killed(void **state)
{
	(void)state;
	if (!able)
		skip();
	write_shop();
	pid_t supervisor = start();
	wait_shop();

	struct change c = { .from = pid_of("db") };
	uint64_t start_ns = clock_mono_ns();
	kill(c.from, SIGKILL);
	assert_true(wait_true(changed, &c, 2000));
	uint64_t took_ns = clock_mono_ns() - start_ns;
	assert_true(took_ns >=
		    90 * NSEC_PER_MSEC); /* not at once: a program that cannot start would spin */
	assert_true(took_ns < 600 * NSEC_PER_MSEC);
	assert_true(wait_true(healthy, (void *)(uintptr_t)"http://127.0.0.1:8002/health", 5000));
	assert_true(file_has(log_file, "died of signal 9"));

	/* A stopped one is killed and stopped in order all the same. */
	kill(pid_of("db"), SIGSTOP);
	stop(supervisor);
}

static bool backed_off(void *ctx)
{
	(void)ctx;
	return file_has(log_file, "starting again in 400 ms") &&
		file_has(log_file, "exited with 127 after");
}

static void test_supervise_backs_off(void **state)
{
	(void)state;
	if (!able)
		skip();
	write_config("[gone]\ncommand = /bin/false\n[absent]\ncommand = /nonexistent/program\n");
	pid_t supervisor = start();
	bool seen = wait_true(backed_off, NULL, 20000);
	int status = proc_end(supervisor, SIGTERM, 5000);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_true(seen);
	assert_true(file_has(log_file, "exited with 1 after"));
	assert_true(file_has(log_file, "starting again in 100 ms"));
	assert_true(file_has(log_file, "starting again in 200 ms"));
	assert_false(cgroup_exists(parent));
}

static void test_supervise_killed_leaves_no_process(void **state)
{
	(void)state;
	if (!able)
		skip();
	write_shop();
	pid_t supervisor = start();
	wait_shop();
	proc_end(supervisor, SIGKILL, 1000);
	assert_true(http_status("GET", "http://127.0.0.1:8002/health", NULL, NULL) == 0 ||
		    (usleep(300000),
		     http_status("GET", "http://127.0.0.1:8002/health", NULL, NULL) == 0));
	/* The next one takes over what is left: empty cgroups, old pid files. */
	supervisor = start();
	wait_shop();
	stop(supervisor);
}

static void test_supervise_two_of_one_folder_are_refused(void **state)
{
	(void)state;
	if (!able)
		skip();
	write_shop();
	pid_t supervisor = start();
	wait_shop();
	int status = proc_end(start(), 0, 3000);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_true(file_has(log_file, "a supervisor (pid "));
	stop(supervisor);
}

static void test_supervise_bad_configuration(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} bad[] = { { "", "no [NAME] section" },
		    { "[../x]\ncommand = /bin/true\n", "a section is a name" },
		    { "[x]\nrestart = no\n", "the only key is command" },
		    { "[x]\ncommand =\n", "the command is empty" },
		    { "[x]\ncommand = /bin/true\ncommand = /bin/true\n", "stands twice" } };

	if (!able)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		unlink(log_file);
		write_config(bad[i].text);
		int status = proc_end(start(), 0, 3000);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 2);
		if (!file_has(log_file, bad[i].says))
			fail_msg("%s: the log does not say %s", bad[i].text, bad[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_supervise_gives_each_its_own_cgroup),
		cmocka_unit_test(test_supervise_starts_again_what_was_killed),
		cmocka_unit_test(test_supervise_backs_off),
		cmocka_unit_test(test_supervise_keeps_logs_short),
		cmocka_unit_test(test_supervise_killed_leaves_no_process),
		cmocka_unit_test(test_supervise_two_of_one_folder_are_refused),
		cmocka_unit_test(test_supervise_bad_configuration),
	};

	return cmocka_run_group_tests_name("service_supervise", tests, set_up, tear_down);
}
