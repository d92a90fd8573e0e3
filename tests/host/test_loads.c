// SPDX-License-Identifier: GPL-2.0-or-later
/* Load tests as children: with a generator that does what it is told, also what no generator should. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "load/loads.h"

#define PROGRESS                                                                                     \
	"echo '{\"type\":\"progress\",\"remaining_s\":9,\"vus\":7,\"rate_per_s\":5,\"requests\":11," \
	"\"errors\":1,\"latency_ms\":{\"p50\":1,\"p90\":2,\"p99\":3}}'\n"
#define SUMMARY                                                                   \
	"echo '{\"type\":\"summary\",\"requests\":20,\"errors\":0,\"checks\":[]," \
	"\"thresholds\":[{\"expr\":\"errors\",\"ok\":true}]}'\n"

static char folder[] = "/tmp/archaic-loads-XXXXXX", program[64];
static struct loads *loads;

/* What was told, by how often. */
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned told;
static char told_last[2048];

static void on_change(void *ctx, const char *json)
{
	(void)ctx;
	pthread_mutex_lock(&told_lock);
	told++;
	snprintf(told_last, sizeof(told_last), "%s", json);
	pthread_mutex_unlock(&told_lock);
}

static int group_setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(program, sizeof(program), "%s/archaic-load", folder);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	unlink(program);
	return rmdir(folder);
}

/* The generator is this script. */
static void generator(const char *script)
{
	struct loads_config c = { .program = program, .changed = on_change };
	int fd = open(program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	dprintf(fd, "#!/bin/sh\n%s", script);
	close(fd);
	told = 0;
	assert_int_equal(loads_new(&c, &loads), 0);
}

static int teardown(void **state)
{
	(void)state;
	loads_free(loads);
	loads = NULL;
	return 0;
}

static cJSON *get(const char *id)
{
	struct problem p;
	cJSON *o = NULL;

	assert_int_equal(loads_get(loads, id, &o, &p), 0);
	return o;
}

static void start(const char *shape)
{
	CLEANUP(json_freep) cJSON *o = NULL;
	struct problem p = { 0 };

	if (loads_start(loads, shape, false, &o, &p))
		fail_msg("%s", p.detail);
	assert_string_equal(json_str(o, "state"), "running");
}

static void moment(void)
{
	struct timespec t = { .tv_nsec = 20000000 };

	nanosleep(&t, NULL);
}

/* Until the test is in @state, or 10 s. */
static void await(const char *id, const char *state, const char *says)
{
	uint64_t until = clock_mono_ns() + 10 * NSEC_PER_SEC;

	for (;;) {
		CLEANUP(json_freep) cJSON *o = get(id);
		if (!strcmp(json_str(o, "state"), state)) {
			if (!strstr(json_str(o, "says"), says))
				fail_msg("%s", json_str(o, "says"));
			return;
		}
		if (clock_mono_ns() > until)
			fail_msg("%s is %s: %s", id, json_str(o, "state"), json_str(o, "says"));
		moment();
	}
}

static void test_loads_run_and_pass(void **state)
{
	CLEANUP(json_freep) cJSON *list = NULL;

	(void)state;
	generator("[ \"$1 $2 $3 $#\" = 'run normal --json-lines 3' ] || exit 2\n" PROGRESS SUMMARY);
	start("normal");
	await("l-0001", "passed", "passed: 20 requests, 0 errors");
	assert_int_equal(loads_list(loads, &list), 0);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(list, "items")), 1);
	pthread_mutex_lock(&told_lock);
	/* Started, two lines, ended. */
	assert_int_equal(told, 4);
	assert_non_null(strstr(told_last, "\"state\":\"passed\""));
	pthread_mutex_unlock(&told_lock);
}

static void test_loads_are_told_to_fail(void **state)
{
	(void)state;
	generator(SUMMARY "exit 99\n");
	start("spike");
	await("l-0001", "failed", "thresholds");
	loads_free(loads);
	generator("echo cannot reach anybody >&2\nexit 1\n");
	start("spike");
	await("l-0001", "error", "exit status 1): cannot reach anybody");
	loads_free(loads);
	generator(PROGRESS "kill -SEGV $$\n");
	start("spike");
	await("l-0001", "error", "signal 11");
	loads_free(loads);
	generator("head -c 100000 /dev/zero | tr '\\0' x\necho\n" SUMMARY);
	start("spike");
	await("l-0001", "passed", "20 requests");
}

static void test_loads_go_one_at_a_time_and_stop(void **state)
{
	CLEANUP(json_freep) cJSON *o = NULL;
	struct problem p = { 0 };

	(void)state;
	generator(PROGRESS "exec sleep 60\n");
	start("stress");
	assert_int_equal(loads_start(loads, "normal", false, &o, &p), -EEXIST);
	assert_int_equal(p.status, 409);
	uint64_t begun = clock_mono_ns();
	assert_int_equal(loads_stop(loads, "l-0001", &o, &p), 0);
	assert_true(clock_mono_ns() - begun < 3 * NSEC_PER_SEC);
	assert_string_equal(json_str(o, "state"), "stopped");
	cJSON_Delete(TAKE_PTR(o));
	assert_int_equal(loads_stop(loads, "l-0001", &o, &p), -EEXIST);
	assert_int_equal(loads_stop(loads, "l-0009", &o, &p), -ENOENT);
	assert_int_equal(loads_start(loads, "none", false, &o, &p), -EINVAL);
	start("normal");
	assert_int_equal(loads_stop(loads, "l-0002", &o, &p), 0);
}

static void *look_on(void *stop)
{
	while (!atomic_load((atomic_bool *)stop)) {
		CLEANUP(json_freep) cJSON *o = NULL;
		loads_list(loads, &o);
	}
	return NULL;
}

/* The thread of the one before still tells of its end while the next begins; lookers make it wait for its turn. */
static void test_loads_begin_again_at_once(void **state)
{
	atomic_bool stop = false;
	pthread_t lookers[4];

	(void)state;
	generator("exec sleep 60\n");
	for (size_t i = 0; i < ARRAY_SIZE(lookers); i++)
		assert_int_equal(pthread_create(&lookers[i], NULL, look_on, &stop), 0);
	for (unsigned n = 1; n <= 30; n++) {
		CLEANUP(json_freep) cJSON *o = NULL;
		struct problem p = { 0 };
		char id[16];

		start("normal");
		snprintf(id, sizeof(id), "l-%04u", n);
		assert_int_equal(loads_stop(loads, id, &o, &p), 0);
		assert_string_equal(json_str(o, "state"), "stopped");
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(lookers); i++)
		pthread_join(lookers[i], NULL);
}

static void test_loads_kill_what_will_not_stop(void **state)
{
	CLEANUP(json_freep) cJSON *o = NULL;
	struct problem p = { 0 };

	(void)state;
	generator("trap '' TERM\n" PROGRESS "while :; do sleep .1; done\n");
	start("normal");
	/* Its first line is out: the trap is set. */
	for (int i = 0; i < 500; i++) {
		CLEANUP(json_freep) cJSON *now = get("l-0001");
		if (json_num(now, "vus", 0) == 7)
			break;
		moment();
	}
	uint64_t begun = clock_mono_ns();
	assert_int_equal(loads_stop(loads, "l-0001", &o, &p), 0);
	assert_string_equal(json_str(o, "state"), "stopped");
	assert_true(clock_mono_ns() - begun >= (LOADS_GRACE_S - 1) * NSEC_PER_SEC);
}

/* What it inherits: the services' addresses, and none of our secrets. */
static void test_loads_keep_secrets_from_the_generator(void **state)
{
	CLEANUP(json_freep) cJSON *o = NULL;

	(void)state;
	setenv("GEMINI_API_KEY", "secret", 1);
	setenv("DB_SERVICE_URL", "http://127.0.0.1:9", 1);
	generator("echo \"${GEMINI_API_KEY:-none} $DB_SERVICE_URL\"\nexit 1\n");
	start("normal");
	await("l-0001", "error", ": none http://127.0.0.1:9");
	unsetenv("GEMINI_API_KEY");
	unsetenv("DB_SERVICE_URL");
}

static void test_loads_say_what_is_missing(void **state)
{
	struct loads_config c = { .program = "/nowhere/archaic-load" };
	CLEANUP(json_freep) cJSON *o = NULL;
	struct problem p = { 0 };

	(void)state;
	assert_int_equal(loads_new(&c, &loads), 0);
	assert_int_equal(loads_start(loads, "normal", false, &o, &p), -ENOTSUP);
	assert_int_equal(p.status, 503);
	assert_int_equal(loads_shapes(loads, &o), 0);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(o, "available")));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "items")), 4);
}

/* Each is told apart, and the oldest are forgotten. */
static void test_loads_are_kept_for_a_while(void **state)
{
	CLEANUP(json_freep) cJSON *list = NULL;
	struct problem p;
	cJSON *o = NULL;
	char id[16];

	(void)state;
	generator(SUMMARY);
	for (int i = 1; i <= LOADS_KEPT_MAX + 3; i++) {
		start("normal");
		snprintf(id, sizeof(id), "l-%04d", i);
		await(id, "passed", "");
	}
	assert_int_equal(loads_list(loads, &list), 0);
	cJSON *items = cJSON_GetObjectItem(list, "items");
	assert_int_equal(cJSON_GetArraySize(items), LOADS_KEPT_MAX);
	assert_string_equal(json_str(cJSON_GetArrayItem(items, 0), "id"), id);
	assert_int_equal(loads_get(loads, "l-0001", &o, &p), -ENOENT);
}

static pid_t pid_in(const char *path)
{
	pid_t pid = 0;

	for (int i = 0; i < 500 && !pid; i++) {
		CLEANUP(fclosep) FILE *f = fopen(path, "re");
		if (!f || fscanf(f, "%d", &pid) != 1)
			pid = 0;
		if (!pid)
			moment();
	}
	assert_true(pid > 0);
	return pid;
}

/* kill -9 of the daemon takes the generator with it. */
static void test_loads_die_with_the_daemon(void **state)
{
	char path[96], script[512];
	int status;

	(void)state;
	snprintf(path, sizeof(path), "%s/pid", folder);
	snprintf(script, sizeof(script), "echo $$ > %s.new; mv %s.new %s\nexec sleep 60\n", path,
		 path, path);
	generator(script);
	pid_t daemon = fork();
	if (daemon == 0) {
		cJSON *o;
		struct problem p;
		if (loads_start(loads, "normal", false, &o, &p))
			_exit(1);
		pause();
	}
	pid_t child = pid_in(path);
	assert_int_equal(kill(child, 0), 0);
	kill(daemon, SIGKILL);
	assert_int_equal(waitpid(daemon, &status, 0), daemon);
	for (int i = 0; i < 500 && kill(child, 0) == 0; i++)
		moment();
	assert_int_equal(kill(child, 0), -1);
	unlink(path);
}

static void test_loads_free_ends_what_runs(void **state)
{
	char path[96], script[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/pid", folder);
	snprintf(script, sizeof(script), "echo $$ > %s.new; mv %s.new %s\nexec sleep 60\n", path,
		 path, path);
	generator(script);
	start("normal");
	pid_t child = pid_in(path);
	loads_free(loads);
	loads = NULL;
	assert_int_equal(kill(child, 0), -1);
	unlink(path);
}

#define CASE(test) cmocka_unit_test_teardown(test, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_loads_run_and_pass),
		CASE(test_loads_are_told_to_fail),
		CASE(test_loads_go_one_at_a_time_and_stop),
		CASE(test_loads_begin_again_at_once),
		CASE(test_loads_kill_what_will_not_stop),
		CASE(test_loads_keep_secrets_from_the_generator),
		CASE(test_loads_say_what_is_missing),
		CASE(test_loads_are_kept_for_a_while),
		CASE(test_loads_die_with_the_daemon),
		CASE(test_loads_free_ends_what_runs),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
