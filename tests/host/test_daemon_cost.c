// SPDX-License-Identifier: GPL-2.0-or-later
/* How soon the daemon finds a listener that nobody attached, and what it costs in memory. */
#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/httpd.h"
#include "tests/lib/load.h"
#include "tests/lib/scene.h"
#include "tests/lib/scrape.h"
#include "tests/lib/shop.h"

#define FOUND_WITHIN_MS 3000
#define RSS_MAX_KIB (160 << 10)
#define MAPS_MAX_KIB (64 << 10)
#define GROWTH_MAX_KIB (16 << 10)
#define OPEN_CONNECTIONS 200

static const char conf[] = "[observe]\nsample_every = 1\n";
static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	return scene_set_up(&scene, "test_daemon_cost", conf);
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

/* ---- found by itself */

static bool is_found(void *name)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	char target[160];

	snprintf(target, sizeof(target), "/v1/services/%s", (const char *)name);
	return scene_api(&scene, "GET", target, NULL, &j) == 200;
}

static void test_daemon_finds_a_listener_in_time(void **state)
{
	(void)state;
	static const char *const line[] = { "GET /200/5", NULL };
	char comm[32] = "", name[64];
	struct httpd server;
	struct load client;
	scene_need(&scene);

	assert_int_equal(httpd_start(&server, 0, false), 0);
	uint64_t began = clock_mono_ns();
	CLEANUP(fclosep) FILE *f = fopen("/proc/self/comm", "re");
	assert_non_null(f);
	assert_non_null(fgets(comm, sizeof(comm), f));
	comm[strcspn(comm, "\n")] = '\0';
	snprintf(name, sizeof(name), "%s-%u", comm, server.port);
	if (!wait_true(is_found, name, FOUND_WITHIN_MS))
		fail_msg("%s is not found after %d ms", name, FOUND_WITHIN_MS);
	printf("  %s was found after %.0f ms\n", name,
	       (double)(clock_mono_ns() - began) / NSEC_PER_MSEC);

	CLEANUP(json_freep) cJSON *j = NULL;
	char target[96], label[96];
	snprintf(target, sizeof(target), "/v1/services/%s", name);
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &j), 200);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(j, "found")));
	/* And watched from then on. */
	snprintf(label, sizeof(label), "service_name=\"%s\"", name);
	assert_int_equal(load_start(&client, server.port), 0);
	assert_int_equal(load_connect(&client, 1, false), 0);
	assert_int_equal(load_run(&client, line, 1, 10), 0);
	struct scraped seen = { 0 };
	for (uint64_t end = clock_mono_ns() + 5 * NSEC_PER_SEC;
	     seen.sum < 10 && clock_mono_ns() < end;) {
		CLEANUP(freep) char *text = scrape(false);
		seen = scrape_find(text, "http_server_request_duration_seconds_count",
				   PARTS(label));
	}
	assert_int_equal(seen.sum, 10);
	load_stop(&client);
	httpd_stop(&server);
}

/* ---- what it costs */

/* A line of /proc/PID/status, in KiB. */
static long status_kib(pid_t pid, const char *what)
{
	char path[64], line[256];
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, what, strlen(what)))
			kib = strtol(line + strlen(what) + 1, NULL, 10);
	return kib;
}

/* What the kernel keeps for the BPF maps and programs that @pid holds. */
static long locked_kib(pid_t pid)
{
	char path[PATH_MAX], line[256];
	long bytes = 0;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	DIR *d = opendir(path);

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", pid, e->d_name);
		CLEANUP(fclosep) FILE *f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (!strncmp(line, "memlock:", 8))
				bytes += strtol(line + 8, NULL, 10);
	}
	closedir(d);
	return bytes / 1024;
}

static void test_daemon_memory_is_bounded(void **state)
{
	(void)state;
	static const char *const line[] = { "GET /200/5", NULL };
	struct httpd server;
	struct load client;
	scene_need(&scene);

	long peak = status_kib(scene.daemon, "VmHWM:"), maps = locked_kib(scene.daemon);
	printf("  at most %ld MiB resident since its start; %ld MiB of maps and programs\n",
	       peak >> 10, maps >> 10);
	assert_true(peak > 0 && peak < RSS_MAX_KIB);
	assert_true(maps > 0 && maps < MAPS_MAX_KIB);

	/* Thousands of connections, hundreds at a time: what belongs to one goes with it. */
	assert_int_equal(httpd_start(&server, 0, false), 0);
	assert_int_equal(load_start(&client, server.port), 0);
	long before = status_kib(scene.daemon, "VmRSS:");
	for (int i = 0; i < 15; i++) {
		assert_int_equal(load_connect(&client, OPEN_CONNECTIONS, false), 0);
		assert_int_equal(load_run(&client, line, 1, OPEN_CONNECTIONS), 0);
		assert_int_equal(load_hang_up(&client), 0);
	}
	long grown = status_kib(scene.daemon, "VmRSS:") - before;
	long more = locked_kib(scene.daemon) - maps;
	printf("  after %d connections more: %ld KiB resident, %ld KiB of maps more\n",
	       15 * OPEN_CONNECTIONS, grown, more);
	assert_true(grown < GROWTH_MAX_KIB);
	assert_true(more < GROWTH_MAX_KIB);
	load_stop(&client);
	httpd_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_finds_a_listener_in_time),
		cmocka_unit_test(test_daemon_memory_is_bounded),
	};

	return cmocka_run_group_tests_name("daemon_cost", tests, set_up, tear_down);
}
