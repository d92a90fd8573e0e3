// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The dead man's switches of the whole daemon: killed, and stopped for twice its
 * lease, with each kind of fault armed on db under light traffic. The next
 * request after the lease (2 s) is unhurt, also when the daemon goes on; nothing
 * is left; and what a killed guardian could not undo, the next start or
 * `reset --all` undoes and says. test_fault_deadman.c tries the module and its
 * back ends. Real time: leases are what is tested.
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "fault/journal.h"
#include "guardian.h"
#include "tests/lib/remains.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

#define LEASE_MS 2000
#define STOPPED_MS 4000
#define SLOW_MS 1500 /* the fault's delay is 2 s, and this machine is busy */

/* Only what is armed acts: no plan is carried out behind the test's back. */
static const char conf[] = "[observe]\ndiscover = no\n";

static const struct kind {
	const char *name, *params;
	bool shows; /* in the very next request */
} kinds[] = {
	{ "timeout", "\"params\":{\"intensity\":1}", true },
	{ "error", "\"params\":{}", true },
	{ "bad_data", "\"params\":{}", true },
	{ "cpu", "\"params\":{\"intensity\":3}", false },
	{ "loss", "\"params\":{\"percent\":100}", true },
	{ "crash", "\"probability\":0.2", false },
};

static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	if (scene_open(&scene, "test_daemon_deadman"))
		scene.traffic = scene_traffic(&scene, "4", "20");
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
	/* A test that failed may have left one. */
	if (scene.daemon > 0) {
		kill(scene.daemon, SIGCONT);
		scene_daemon_end(&scene, SIGKILL);
	}
}

static void sleep_until(uint64_t at_ns)
{
	uint64_t now_ns = clock_mono_ns();

	if (at_ns > now_ns)
		usleep((useconds_t)((at_ns - now_ns) / 1000));
}

/* ---- db's answers */

static bool is_malformed(const cJSON *products)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, products)
		if (!cJSON_IsString(cJSON_GetObjectItem(p, "name")) || json_num(p, "price", -1) < 0)
			return true;
	return false;
}

/* One request to db on a connection of its own: as if there were no fault? */
static bool is_unhurt(void)
{
	struct http_answer a;

	http("GET", scene_url("db", "/products"), NULL, NULL, &a);
	bool unhurt = a.status == 200 && a.took_ms < SLOW_MS &&
		!is_malformed(cJSON_GetObjectItem(a.json, "products"));
	if (!unhurt)
		print_message("    db: status %d after %.0f ms: %.80s\n", a.status, a.took_ms,
			      a.body);
	http_release(&a);
	return unhurt;
}

static bool db_answers(void *ctx)
{
	(void)ctx;
	return http_status("GET", scene_url("db", "/health"), NULL, NULL) == 200;
}

static bool db_is_another(void *pid)
{
	pid_t now = scene_service_pid(&scene, "db");

	return now && now != *(pid_t *)pid;
}

/* Slow and failed requests of the users' own, older connections that began after @from_ms. */
static size_t users_hurt_since(double from_ms)
{
	CLEANUP(fclosep) FILE *f = fopen(scene.traffic_log, "re");
	char line[2048];
	size_t nr = 0;
	const char *why;

	while (f && fgets(line, sizeof(line), f)) {
		CLEANUP(json_freep) cJSON *j = NULL;
		if (json_parse(line, strlen(line), &j, &why))
			continue;
		bool failed = !strcmp(json_str(j, "type") ?: "", "failed");
		if (json_num(j, "started_wall_ms", 0) > from_ms &&
		    (failed || json_num(j, "took_ms", 0) >= SLOW_MS)) {
			print_message("    a user's: %s", line);
			nr++;
		}
	}
	return nr;
}

/* ---- arming */

static void arm(const struct kind *k)
{
	char body[160];
	CLEANUP(json_freep) cJSON *j = NULL;

	snprintf(body, sizeof(body), "{\"service\":\"db\",\"type\":\"%s\",%s,\"duration_s\":60}",
		 k->name, k->params);
	int status = scene_api(&scene, "POST", "/v1/faults", body, &j);
	if (status != 201)
		fail_msg("%s is not armed: %d %s", k->name, status, json_str(j, "detail") ?: "");
}

/* Armed, and seen to work where a single request shows it. */
static void arm_and_see(const struct kind *k)
{
	pid_t pid = scene_service_pid(&scene, "db");

	arm(k);
	/* A request whose every packet is lost would be waited for until its end. */
	if (!strcmp(k->name, "loss"))
		usleep(300000);
	else if (k->shows)
		assert_false(is_unhurt());
	if (!strcmp(k->name, "crash"))
		assert_true(wait_true(db_is_another, &pid, 20000));
}

/* The next request, and the ones after it; nobody kills db any more either. */
static void assert_unhurt(const struct kind *k)
{
	if (!strcmp(k->name, "crash"))
		assert_true(wait_true(db_answers, NULL, 8000)); /* its supervisor's own delay */
	pid_t pid = scene_service_pid(&scene, "db");
	for (size_t i = 0; i < 30; i++)
		assert_true(is_unhurt());
	assert_true(scene_service_pid(&scene, "db") == pid);
}

static void assert_users_unhurt(const struct kind *k, double from_ms)
{
	/* Who is being started again by its supervisor answers nobody. */
	if (strcmp(k->name, "crash") != 0)
		assert_int_equal(users_hurt_since(from_ms), 0);
}

static const char *fault_state(const char *wanted_says)
{
	static char state[16];
	CLEANUP(json_freep) cJSON *j = NULL;

	assert_int_equal(scene_api(&scene, "GET", "/v1/faults", NULL, &j), 200);
	/* Newest first or last: one alone is judged, the others ended before. */
	const cJSON *items = cJSON_GetObjectItem(j, "items"), *f, *newest = NULL;
	cJSON_ArrayForEach(f, items)
		if (!newest ||
		    scene_ms(json_str(f, "armed_at")) > scene_ms(json_str(newest, "armed_at")))
			newest = f;
	assert_non_null(newest);
	snprintf(state, sizeof(state), "%s", json_str(newest, "state"));
	if (!strstr(json_str(newest, "says"), wanted_says))
		fail_msg("%s is not in: %s", wanted_says, json_str(newest, "says"));
	return state;
}

/* Below the services' parent, on whichever mount has it: one each, and none of the daemon's. */
static size_t nr_cgroups(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s%s", mounts[i], scene.cgroup);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));)
			nr += e->d_type == DT_DIR && e->d_name[0] != '.';
		if (d)
			closedir(d);
	}
	return nr;
}

static void test_daemon_killed(void **state)
{
	(void)state;
	static struct remains remains;
	need_scene();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		print_message("kill -9 with %s armed\n", k->name);
		scene_daemon(&scene, "observe", conf);
		arm_and_see(k);
		remains = (struct remains){ 0 };
		remains_note(&remains, scene.daemon);
		assert_true(remains.nr_progs > 4 && remains.nr_links > 2);

		double killed_ms = scene_now_ms();
		uint64_t killed_ns = clock_mono_ns();
		scene_daemon_end(&scene, SIGKILL);
		sleep_until(killed_ns + LEASE_MS * NSEC_PER_MSEC);
		assert_unhurt(k);
		assert_true(remains_wait(&remains, 0, 3000));
		assert_int_equal(nr_cgroups(), SCENE_SERVICES);
		assert_users_unhurt(k, killed_ms + LEASE_MS);
	}
}

static void test_daemon_stopped_and_going_on(void **state)
{
	(void)state;
	static struct remains remains;
	need_scene();

	scene_daemon(&scene, "observe", conf);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];

		print_message("SIGSTOP with %s armed\n", k->name);
		arm_and_see(k);
		remains_note(&remains, scene.daemon);
		double stopped_ms = scene_now_ms();
		uint64_t stopped_ns = clock_mono_ns();
		kill(scene.daemon, SIGSTOP);
		sleep_until(stopped_ns + LEASE_MS * NSEC_PER_MSEC);
		assert_unhurt(k);
		sleep_until(stopped_ns + STOPPED_MS * NSEC_PER_MSEC);
		assert_true(remains_wait(&remains, scene.daemon, 0));

		kill(scene.daemon, SIGCONT);
		assert_unhurt(k);
		usleep(500000);
		assert_unhurt(k);
		assert_string_equal(fault_state("lease was lost"), "failed");
		assert_true(remains_wait(&remains, scene.daemon, 2000));
		assert_users_unhurt(k, stopped_ms + LEASE_MS);
	}
	assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);
	assert_true(remains_wait(&remains, 0, 3000));
}

/* ---- when the guardian dies too */

static void spoil_journal(const char *how)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/" JOURNAL_FILE, scene.dir);
	if (!strcmp(how, "torn"))
		assert_int_equal(truncate(path, 25), 0);
	if (!strcmp(how, "missing"))
		assert_int_equal(unlink(path), 0);
	if (!strcmp(how, "garbled")) {
		CLEANUP(fclosep) FILE *f = fopen(path, "we");
		assert_non_null(f);
		for (unsigned i = 0; i < 4096; i++)
			fputc((int)(i * 167 % 256), f);
	}
}

/* Daemon and guardian dead with a time-out armed: rules are left. */
static void leave_something(struct remains *r, const char *journal)
{
	scene_daemon(&scene, "observe", conf);
	arm(&kinds[0]);
	*r = (struct remains){ 0 };
	remains_note(r, scene.daemon);
	pid_t guardian = remains_child(scene.daemon, GUARDIAN_NAME);
	assert_true(guardian > 0);
	kill(scene.daemon, SIGSTOP); /* or it would start another */
	kill(guardian, SIGKILL);
	scene_daemon_end(&scene, SIGKILL);
	assert_true(remains_left(r, 0));
	print_message("left, journal %s:\n%s", journal, r->text);
	spoil_journal(journal);
}

static const char *const journals[] = { "whole", "torn", "garbled", "missing" };

static void test_daemon_reset_all_with_nothing_running(void **state)
{
	(void)state;
	static struct remains remains;
	const char *reset[] = { "reset", "--all", "--run-dir", scene.dir, NULL }, *says;
	need_scene();

	for (size_t i = 0; i < ARRAY_SIZE(journals); i++) {
		leave_something(&remains, journals[i]);
		assert_int_equal(scene_cli(&scene, reset, &says), 0);
		print_message("reset --all: %s", says);
		assert_non_null(strstr(says, "netfilter rules"));
		assert_true(remains_wait(&remains, 0, 3000));
		assert_true(is_unhurt());
	}
	assert_int_equal(scene_cli(&scene, reset, &says), 0);
	assert_non_null(strstr(says, "nothing of a dead daemon was left"));
}

static long log_size(void)
{
	struct stat st;

	return stat(scene.log, &st) ? 0 : st.st_size;
}

static bool log_says_since(long from, const char *a, const char *b)
{
	CLEANUP(fclosep) FILE *f = fopen(scene.log, "re");
	char line[8192];

	if (!f || fseek(f, from, SEEK_SET))
		return false;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, a) && strstr(line, b)) {
			print_message("next start: %s", line);
			return true;
		}
	return false;
}

static void test_daemon_next_start_says_what_it_found(void **state)
{
	(void)state;
	static struct remains remains;
	need_scene();

	for (size_t i = 0; i < ARRAY_SIZE(journals); i++) {
		leave_something(&remains, journals[i]);
		long before = log_size();
		scene_daemon(&scene, "observe", conf);
		assert_true(log_says_since(before, "an earlier daemon had left something behind",
					   "netfilter rules"));
		assert_true(remains_wait(&remains, scene.daemon, 3000));
		assert_true(is_unhurt());
		assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);
		assert_true(remains_wait(&remains, 0, 3000));
	}
	/* And with nothing to say, nothing is said. */
	long before = log_size();
	scene_daemon(&scene, "observe", conf);
	assert_false(log_says_since(before, "an earlier daemon", ""));
	assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_killed),
		cmocka_unit_test(test_daemon_stopped_and_going_on),
		cmocka_unit_test(test_daemon_reset_all_with_nothing_running),
		cmocka_unit_test(test_daemon_next_start_says_what_it_found),
	};

	return cmocka_run_group_tests_name("daemon_deadman", tests, set_up, tear_down);
}
