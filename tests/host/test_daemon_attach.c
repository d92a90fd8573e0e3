// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A service of one's own, attached with the command line in each way there is: by a
 * process, by a cgroup, by a port that nobody listens on yet. Each request counts
 * under the name that was given, over a restart too, and none after the detach.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "kernel/cgroup.h"
#include "tests/lib/httpd.h"
#include "tests/lib/load.h"
#include "tests/lib/scene.h"
#include "tests/lib/scrape.h"
#include "tests/lib/shop.h"

#define PORT 9480
#define REQUESTS 60 /* a multiple of 1, 2 and 3 connections */

static const char conf[] = "[observe]\ndiscover = no\n";
static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	return scene_set_up(&scene, "test_daemon_attach", conf);
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

static void cli(const char *const *words)
{
	const char *says;

	if (scene_cli(&scene, words, &says))
		fail_msg("%s %s: %s", words[0], words[1], says);
}

#define CLI(...) cli((const char *const[]){ __VA_ARGS__, NULL })

/* One connection that is older than the attach, and one that is younger. */
static void ask(uint16_t port, struct load *l, bool again)
{
	static const char *const lines[] = { "GET /200/5", "GET /404/3", NULL };

	if (!again)
		assert_int_equal(load_start(l, port), 0);
	assert_int_equal(load_connect(l, 1, false), 0);
	assert_int_equal(load_run(l, lines, 1, REQUESTS), 0);
}

struct wanted {
	const char *service;
	double requests;
};

static bool is_counted(void *ctx)
{
	const struct wanted *w = ctx;
	CLEANUP(freep) char *text = scrape(false);
	char name[96];

	snprintf(name, sizeof(name), "service_name=\"%s\"", w->service);
	return scrape_find(text, "http_server_request_duration_seconds_count", PARTS(name)).sum ==
		w->requests;
}

static void assert_counted(const char *service, double requests)
{
	struct wanted w = { service, requests };
	char name[96];

	if (wait_true(is_counted, &w, 5000))
		return;
	CLEANUP(freep) char *text = scrape(false);
	snprintf(name, sizeof(name), "service_name=\"%s\"", service);
	fail_msg("%s: %.0f requests are counted, there were %.0f", service,
		 scrape_find(text, "http_server_request_duration_seconds_count", PARTS(name)).sum,
		 requests);
}

static double service_num(const char *service, const char *member)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	char target[96];

	snprintf(target, sizeof(target), "/v1/services/%s", service);
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &j), 200);
	return json_num(j, member, -1);
}

static void test_daemon_attaches_by_process(void **state)
{
	(void)state;
	char pid[16];
	struct httpd server;
	struct load client;
	scene_need(&scene);

	assert_int_equal(httpd_start(&server, 0, false), 0);
	snprintf(pid, sizeof(pid), "%d", server.pid);
	/* A connection that is older than the attach counts from then on. */
	ask(server.port, &client, false);
	CLI("attach", "by-pid", "--pid", pid);
	ask(server.port, &client, true);
	assert_counted("by-pid", REQUESTS);
	assert_int_equal(service_num("by-pid", "requests_total"), REQUESTS);

	CLI("detach", "by-pid");
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(scene_api(&scene, "GET", "/v1/services/by-pid", NULL, &j), 404);
	ask(server.port, &client, true);
	assert_counted("by-pid", 0);
	load_stop(&client);
	httpd_stop(&server);
}

static bool has_process(void *pid)
{
	CLEANUP(json_freep) cJSON *j = NULL;

	return scene_api(&scene, "GET", "/v1/services/by-cgroup", NULL, &j) == 200 &&
		cJSON_GetArraySize(cJSON_GetObjectItem(j, "ports")) == 1 &&
		cJSON_GetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItem(j, "pids"), 0)) ==
		*(const pid_t *)pid;
}

static void test_daemon_attaches_by_cgroup(void **state)
{
	(void)state;
	char root[PATH_MAX], name[64], dir[PATH_MAX], procs[PATH_MAX + 16];
	struct httpd server;
	struct load client;
	scene_need(&scene);

	assert_int_equal(cgroup_root(root), 0);
	snprintf(name, sizeof(name), "/archaic-test-attach-%d", getpid());
	snprintf(dir, sizeof(dir), "%.1000s%s", root, name);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
	assert_int_equal(mkdir(dir, 0755), 0);
	CLI("attach", "by-cgroup", "--cgroup", name);
	/* Nobody lives there yet; two servers in turn do. */
	for (int life = 1; life <= 2; life++) {
		char pid[16];
		CLEANUP(closep) int fd = open(procs, O_WRONLY | O_CLOEXEC);

		assert_int_equal(httpd_start(&server, PORT, false), 0);
		int len = snprintf(pid, sizeof(pid), "%d", server.pid);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, pid, (size_t)len), len);
		if (!wait_true(has_process, &server.pid, 5000))
			fail_msg("the daemon does not see process %d in %s", server.pid, name);
		ask(PORT, &client, false);
		assert_counted("by-cgroup", REQUESTS * life);
		load_stop(&client);
		httpd_stop(&server);
	}
	CLI("detach", "by-cgroup");
	while (rmdir(dir) < 0 && errno == EBUSY)
		sched_yield();
	assert_int_equal(access(dir, F_OK), -1);
}

static void test_daemon_attaches_a_port_before_its_listener(void **state)
{
	(void)state;
	struct httpd server;
	struct load client;
	scene_need(&scene);

	CLI("attach", "by-port", "--port", "9481", "--supervised");
	for (int life = 1; life <= 2; life++) {
		/* No wait: the very first request counts. */
		assert_int_equal(httpd_start(&server, 9481, false), 0);
		ask(9481, &client, false);
		assert_counted("by-port", REQUESTS * life);
		load_stop(&client);
		httpd_stop(&server);
	}
	CLI("detach", "by-port");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_attaches_by_process),
		cmocka_unit_test(test_daemon_attaches_by_cgroup),
		cmocka_unit_test(test_daemon_attaches_a_port_before_its_listener),
	};

	return cmocka_run_group_tests_name("daemon_attach", tests, set_up, tear_down);
}
