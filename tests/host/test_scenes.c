// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a packet to a verified repair, with the real daemon, services and traffic:
 * a response that leaves late and a process that stands still, with db, with auth,
 * with payment at fault; and a surge from outside and a quiet time with nobody.
 * The right service is named and repaired; and nobody. All share one baseline.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/scene.h"
#include "tests/lib/shop.h"

/* Seven repairs in four minutes are more than anybody wants on a working day. */
static const char conf[] = "[observe]\ndiscover = no\nwarmup_tick = 100ms\ntick = 1s\n"
			   "[detect]\nbaseline = 300\nshadow = 200\n"
			   "[remediate]\ncooldown = 5s\nmax_actions_per_hour = 100\n";

static struct scene scene;

/* Who is at fault, and who must and who must not be called a victim of it. */
struct blame {
	const char *service;
	const char *victims[3], *innocent[3];
};

static const struct blame on_db = { "db", { "product", "payment" }, { "auth" } };
static const struct blame on_auth = { "auth", { "product", "payment" }, { "db" } };
static const struct blame on_payment = { "payment", { NULL }, { "auth", "db" } };

static int set_up(void **state)
{
	(void)state;
	if (!scene_open(&scene, "test_scenes"))
		return 0;
	/* Before the daemon: everybody's first log-in, each a hash, is no part of the shop's normal day. */
	scene.traffic = scene_traffic(&scene, "24", "100");
	usleep(3000000);
	scene_daemon(&scene, "auto-safe", conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

/* All baselines full, and quiet. */
static void need_calm(void)
{
	if (!*scene.dir)
		skip();
	if (!wait_true(scene_learned, &scene, 100000) || !wait_true(scene_calm, &scene, 60000)) {
		scene_show_log(&scene);
		fail_msg("the shop does not become calm");
	}
}

struct waiting {
	unsigned after;
	const char *root;
	cJSON *all; /* owned: the incidents since then */
};

static bool is_ended(const cJSON *incident)
{
	const char *state = json_str(incident, "state") ?: "";

	return !strcmp(state, "repaired") || !strcmp(state, "escalated") ||
		!strcmp(state, "closed");
}

/* An incident about @root has come to an end. */
static bool ended(void *ctx)
{
	struct waiting *w = ctx;
	const cJSON *i;

	cJSON_Delete(w->all);
	w->all = scene_incidents(&scene, w->after);
	cJSON_ArrayForEach(i, w->all) {
		const char *root = scene_root(i);
		if (root && !strcmp(root, w->root) && is_ended(i))
			return true;
	}
	usleep(200000);
	return false;
}

static const cJSON *first_about(const cJSON *all, const char *root)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, all)
		if (scene_root(i) && !strcmp(scene_root(i), root))
			return i;
	return NULL;
}

static void show_all(const cJSON *all, double from_ms)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, all)
		scene_show(i, from_ms);
}

/* Every scorer that spoke: @or_loss: total loss may, too. */
static bool scorers_are_fit(const cJSON *incident, bool or_loss)
{
	const cJSON *e;
	bool any = false;

	cJSON_ArrayForEach(e, cJSON_GetObjectItem(incident, "evidence")) {
		const char *scorer = json_str(e, "scorer") ?: "";
		if (strcmp(scorer, "forest") != 0 &&
		    (!or_loss || strcmp(scorer, "total_loss") != 0))
			return false;
		any = true;
	}
	return any;
}

static double after_s(const cJSON *i, const char *event, bool first, double from_ms)
{
	double at = scene_event_ms(i, event, first);

	return at > 0 ? (at - from_ms) / 1000 : -1;
}

static void check_victims(const cJSON *i, const struct blame *b)
{
	for (size_t k = 0; k < ARRAY_SIZE(b->victims) && b->victims[k]; k++)
		if (!scene_has_victim(i, b->victims[k]))
			fail_msg("%s is not among the victims of %s", b->victims[k], b->service);
	for (size_t k = 0; k < ARRAY_SIZE(b->innocent) && b->innocent[k]; k++)
		if (scene_has_victim(i, b->innocent[k]))
			fail_msg("%s is called a victim of %s", b->innocent[k], b->service);
}

/* Named, nobody else named, repaired by @action and verified. */
static void check_repair(const char *what, const struct blame *b, unsigned before, double hurt_ms,
			 const char *action, bool or_loss)
{
	struct waiting w = { .after = before, .root = b->service };
	bool done = wait_true(ended, &w, 60000);
	const cJSON *i = first_about(w.all, b->service), *other;

	if (!done) {
		show_all(w.all, hurt_ms);
		cJSON_Delete(w.all);
		scene_show_log(&scene);
		fail_msg("no incident about %s has come to an end within 60 s", b->service);
	}
	print_message(
		"TIMING %s of %s: onset %.1f, anomaly %.1f, diagnosis %.1f, action %.1f, recovered %.1f, "
		"verified %.1f s after it began\n",
		what, b->service, after_s(i, "onset", true, hurt_ms),
		after_s(i, "anomaly", true, hurt_ms), after_s(i, "diagnosis", true, hurt_ms),
		after_s(i, "action_started", false, hurt_ms),
		after_s(i, "recovered", false, hurt_ms), after_s(i, "verified", false, hurt_ms));
	show_all(w.all, hurt_ms);

	cJSON_ArrayForEach(other, w.all)
		if (scene_root(other))
			assert_string_equal(scene_root(other), b->service);
	assert_string_equal(json_str(cJSON_GetObjectItem(i, "root_cause"), "resource"),
			    or_loss ? "unresponsive" : "latency");
	assert_string_equal(json_str(i, "state"), "repaired");
	assert_string_equal(json_str(cJSON_GetObjectItem(i, "verification"), "result"), "verified");
	const cJSON *actions = cJSON_GetObjectItem(i, "actions");
	const cJSON *last = cJSON_GetArrayItem(actions, cJSON_GetArraySize(actions) - 1);
	assert_string_equal(json_str(last, "kind"), action);
	assert_string_equal(json_str(last, "target"), b->service);
	assert_true(scorers_are_fit(i, or_loss));
	check_victims(i, b);
	cJSON_Delete(w.all);
}

static size_t armed_faults(void)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *f;
	size_t nr = 0;

	assert_int_equal(scene_api(&scene, "GET", "/v1/faults", NULL, &j), 200);
	cJSON_ArrayForEach(f, cJSON_GetObjectItem(j, "items"))
		nr += !strcmp(json_str(f, "state") ?: "", "armed");
	return nr;
}

static void play_timeout(const struct blame *b)
{
	need_calm();
	unsigned before = scene_last_incident(&scene);
	double hurt_ms = scene_now_ms();

	scene_fault(b->service, "type=timeout&intensity=1");
	check_repair("time-out", b, before, hurt_ms, "reset_fault", false);
	assert_int_equal(armed_faults(), 0);
}

static void play_stop(const struct blame *b)
{
	need_calm();
	unsigned before = scene_last_incident(&scene);
	pid_t pid = scene_service_pid(&scene, b->service);
	double hurt_ms = scene_now_ms();

	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	check_repair("SIGSTOP", b, before, hurt_ms, "restart", true);
	assert_true(scene_service_pid(&scene, b->service) != pid);
	assert_int_equal(http_status("GET", scene_url(b->service, "/health"), NULL, NULL), 200);
}

static void test_scene_timeout_of_db(void **state)
{
	(void)state;
	play_timeout(&on_db);
}

static void test_scene_timeout_of_auth(void **state)
{
	(void)state;
	play_timeout(&on_auth);
}

static void test_scene_timeout_of_payment(void **state)
{
	(void)state;
	play_timeout(&on_payment);
}

static void test_scene_stop_of_db(void **state)
{
	(void)state;
	play_stop(&on_db);
}

static void test_scene_stop_of_auth(void **state)
{
	(void)state;
	play_stop(&on_auth);
}

static void test_scene_stop_of_payment(void **state)
{
	(void)state;
	play_stop(&on_payment);
}

/* Nobody is blamed, and nothing is done, for @s seconds and whatever comes of them. */
static void check_nobody(unsigned before, unsigned s)
{
	double from_ms = scene_now_ms();

	while (scene_now_ms() < from_ms + s * 1000)
		usleep(100000);
	cJSON *all = scene_incidents(&scene, before);
	const cJSON *i;
	bool blamed = false, acted = false;
	show_all(all, from_ms);
	cJSON_ArrayForEach(i, all) {
		blamed = blamed || scene_root(i);
		acted = acted || cJSON_GetArraySize(cJSON_GetObjectItem(i, "actions")) > 0;
	}
	print_message("NOBODY: %d incidents in %u s\n", cJSON_GetArraySize(all), s);
	cJSON_Delete(all);
	assert_false(blamed);
	assert_false(acted);
}

static void test_scene_nobody_in_quiet(void **state)
{
	(void)state;
	need_calm();
	check_nobody(scene_last_incident(&scene), 20);
}

static double rate_of(const char *service)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	char target[64];

	snprintf(target, sizeof(target), "/v1/services/%s", service);
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &j), 200);
	return json_num(j, "rate_per_s", 0);
}

/* Four times the requests for 20 s, by eight more users who come on top. */
static void test_scene_nobody_in_a_surge(void **state)
{
	(void)state;
	need_calm();
	unsigned before = scene_last_incident(&scene);

	double usual = rate_of("product");
	pid_t surge = scene_traffic(&scene, "8", "300");
	usleep(18000000);
	double surging = rate_of("product");
	usleep(2000000);
	proc_end(surge, SIGINT, 5000);
	print_message("product served %.0f requests a second, then %.0f\n", usual, surging);
	assert_true(surging > 2 * usual && usual > 0);
	check_nobody(before, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scene_nobody_in_quiet),
		cmocka_unit_test(test_scene_timeout_of_db),
		cmocka_unit_test(test_scene_stop_of_db),
		cmocka_unit_test(test_scene_timeout_of_auth),
		cmocka_unit_test(test_scene_stop_of_auth),
		cmocka_unit_test(test_scene_timeout_of_payment),
		cmocka_unit_test(test_scene_stop_of_payment),
		cmocka_unit_test(test_scene_nobody_in_a_surge),
	};

	return cmocka_run_group_tests_name("scenes", tests, set_up, tear_down);
}
