// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SIGHUP with the real daemon: every request is counted while it reloads, what can change does,
 * what cannot says that it needs a restart, and a file that is wrong changes nothing.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

#define REQUESTS 6000
#define REQUESTS_TEXT "6000"
#define RELOADS 25

static const char observe[] = "[observe]\ndiscover = no\n";
static const char shop[] = "[service auth]\nport = 8001\nsupervised = yes\n"
			   "[service db]\nport = 8002\nsupervised = yes\n"
			   "[service product]\nport = 8003\nsupervised = yes\n"
			   "[service payment]\nport = 8004\nsupervised = yes\n";
static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	if (scene_open(&scene, "test_daemon_reload"))
		scene_daemon(&scene, "suggest", observe);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

static void need_scene(void)
{
	if (!*scene.dir)
		skip();
}

/* Another file in the place of the daemon's; replaced at once, as an editor would. */
static void write_conf(const char *options, const char *services)
{
	char path[96], fresh[96];

	snprintf(path, sizeof(path), "%s/daemon.conf", scene.dir);
	snprintf(fresh, sizeof(fresh), "%s/daemon.conf.new", scene.dir);
	FILE *f = fopen(fresh, "we");
	assert_non_null(f);
	fprintf(f, "%s%s", options, services);
	fclose(f);
	assert_int_equal(rename(fresh, path), 0);
}

static unsigned said(const char *text)
{
	CLEANUP(fclosep) FILE *f = fopen(scene.log, "re");
	char line[2048];
	unsigned nr = 0;

	while (f && fgets(line, sizeof(line), f))
		nr += !!strstr(line, text);
	return nr;
}

static unsigned ended; /* reloads that were, before */

static bool reload_ended(void *ctx)
{
	(void)ctx;
	return said("reload: done") + said("reload: nothing is changed") > ended;
}

static void reload(void)
{
	ended = said("reload: done") + said("reload: nothing is changed");
	assert_int_equal(kill(scene.daemon, SIGHUP), 0);
	if (!wait_true(reload_ended, NULL, 15000)) {
		scene_show_log(&scene);
		fail_msg("no reload within 15 s");
	}
}

static double requests_of(const char *service)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	char target[64];

	snprintf(target, sizeof(target), "/v1/services/%s", service);
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &j), 200);
	return cJSON_GetObjectItemCaseSensitive(j, "requests_total")->valuedouble;
}

static int status_of(const char *method, const char *target, const char *body)
{
	CLEANUP(json_freep) cJSON *j = NULL;

	return scene_api(&scene, method, target, body, &j);
}

struct expected {
	const char *service;
	double requests;
};

static bool counted(void *ctx)
{
	const struct expected *e = ctx;

	return requests_of(e->service) >= e->requests;
}

static void test_reload_counts_every_request(void **state)
{
	const char *argv[] = { shop_path("archaic-load"),
			       "http",
			       scene_url("db", "/products"),
			       "-n",
			       REQUESTS_TEXT,
			       "-c",
			       "4",
			       "--rate",
			       "1500",
			       "--json",
			       NULL };
	char log[96], level[64];

	(void)state;
	need_scene();
	struct expected e = { "db", requests_of("db") + REQUESTS };
	snprintf(log, sizeof(log), "%s/load.json", scene.dir);
	pid_t load = proc_start(log, argv, NULL);
	unsigned reloads = 0;
	while (reloads < RELOADS && waitpid(load, NULL, WNOHANG) == 0) {
		/* Something differs each time: options that are taken over, and one that is not. */
		snprintf(level, sizeof(level), "slow = %us\n[remediate]\ncooldown = %us\n",
			 reloads % 7 + 1, reloads + 10);
		char conf[160];
		snprintf(conf, sizeof(conf), "%s%s", observe, level);
		write_conf(conf, shop);
		reload();
		reloads++;
	}
	print_message("%u reloads under load\n", reloads);
	assert_true(reloads >= 3);
	proc_end(load, 0, 60000);
	if (!wait_true(counted, &e, 5000))
		scene_show_log(&scene);
	assert_true(requests_of("db") == e.requests);
}

static void test_reload_says_what_it_takes(void **state)
{
	CLEANUP(json_freep) cJSON *mode = NULL;

	(void)state;
	need_scene();
	write_conf(
		"[observe]\ndiscover = no\ntick = 2s\nnamespace = shop\n[faults]\nmax_delay = 30s\n[remediate]\ncooldown = 77s\n"
		"[ports]\noperator = 9005\n",
		shop);
	reload();
	assert_int_equal(said("reload: [remediate] cooldown = 77s; it was"), 1);
	assert_int_equal(said("reload: [faults] max_delay = 30s; it was"), 1);
	assert_int_equal(
		said("reload: [observe] tick = 2s needs a restart; until then it is \\\"1s\\\""),
		1);
	assert_int_equal(said("reload: [ports] operator = 9005 needs a restart"), 1);
	/* --mode stands on the command line, which wins as it did at the start. */
	assert_int_equal(scene_api(&scene, "GET", "/v1/mode", NULL, &mode), 200);
	assert_string_equal(json_str(mode, "mode"), "suggest");

	/* It was not taken, so it is told again; what was taken is not. */
	reload();
	assert_int_equal(said("[observe] tick = 2s needs a restart"), 2);
	assert_int_equal(said("cooldown = 77s; it was"), 1);
}

static void test_reload_refuses_a_wrong_file_whole(void **state)
{
	(void)state;
	need_scene();
	write_conf("[observe]\ndiscover = no\n[remediate]\ncooldown = 5s\nsettel = 1s\n", shop);
	unsigned taken = said("cooldown = 5s; it was");
	reload();
	if (!said("reload: nothing is changed: ") ||
	    !said("daemon.conf:5: unknown option settel")) {
		scene_show_log(&scene);
		fail_msg("the wrong line is not named");
	}
	assert_int_equal(said("cooldown = 5s; it was"), taken);
	assert_true(requests_of("db") >= 0);
}

static void test_reload_forbids_faults_and_ends_them(void **state)
{
	CLEANUP(json_freep) cJSON *fault = NULL, *now = NULL;
	char target[64];

	(void)state;
	need_scene();
	write_conf(observe, shop);
	reload();
	assert_int_equal(scene_api(&scene, "POST", "/v1/faults",
				   "{\"service\":\"db\",\"type\":\"error\",\"duration_s\":60}",
				   &fault),
			 201);
	char conf[160];
	snprintf(conf, sizeof(conf), "%s[faults]\ntypes = timeout\n", observe);
	write_conf(conf, shop);
	reload();
	snprintf(target, sizeof(target), "/v1/faults/%s", json_str(fault, "id"));
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &now), 200);
	assert_string_equal(json_str(now, "state"), "reset");
	assert_non_null(strstr(json_str(now, "says"), "the configuration allows it no more"));
	assert_int_equal(status_of("POST", "/v1/faults",
				   "{\"service\":\"db\",\"type\":\"error\",\"duration_s\":60}"),
			 422);
}

static void test_reload_follows_the_sections(void **state)
{
	(void)state;
	need_scene();
	write_conf(observe, shop);
	reload();
	double before = requests_of("auth");
	write_conf(observe,
		   "[service auth]\nport = 8001\nsupervised = yes\n"
		   "[service till]\nport = 8004\nsupervised = yes\n");
	reload();
	assert_int_equal(status_of("GET", "/v1/services/till", NULL), 200);
	assert_int_equal(status_of("GET", "/v1/services/payment", NULL), 404);
	assert_int_equal(status_of("GET", "/v1/services/db", NULL), 404);
	/* A section that did not change keeps its service and its counts. */
	assert_true(requests_of("auth") >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_counts_every_request),
		cmocka_unit_test(test_reload_says_what_it_takes),
		cmocka_unit_test(test_reload_refuses_a_wrong_file_whole),
		cmocka_unit_test(test_reload_forbids_faults_and_ends_them),
		cmocka_unit_test(test_reload_follows_the_sections),
	};

	return cmocka_run_group_tests_name("daemon_reload", tests, set_up, tear_down);
}
