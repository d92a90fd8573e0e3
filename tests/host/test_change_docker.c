// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Docker client, and the restart of a container, against a real Engine of the test's own
 * (tests/docker/dockerd.sh): one container that stands still, and one beside it of the same image.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "docker/docker.h"
#include "partner.h"
#include "remediate/change.h"

#define SCRIPT "tests/docker/dockerd.sh"
#define CANNOT 77

static char folder[] = "/tmp/archaic-dk-XXXXXX", sock[64];
static char says[2048];
static bool up;
static struct docker *docker;
static struct docker_container box, other;

/* The command's exit status; what it said is in says. */
static int run(const char *verb, const char *a, const char *b, const char *c, const char *d)
{
	const char *const argv[] = { SCRIPT, verb, folder, a, b, c, d, NULL };
	struct child child;

	child_start(&child, argv, true);
	child_close_input(&child);
	child_read(&child, says, sizeof(says));
	return child_end(&child);
}

static int engine(const char *command)
{
	return run("in", "sh", "-c", command, NULL);
}

static int group_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(sock, sizeof(sock), "%s/docker.sock", folder);
	int status = run("up", NULL, NULL, NULL, NULL);
	if (status == CANNOT)
		return 0;
	up = true;
	if (status)
		print_message("%s\n", says);
	assert_int_equal(status, 0);
	assert_int_equal(run("image", "t:1", "/bin/sleep", NULL, NULL), 0);
	assert_int_equal(
		engine("docker run -d --name box --label app=shop --restart always --network none "
		       "t:1 /bin/sleep 1000 && "
		       "docker run -d --name other --network none t:1 /bin/sleep 1000"),
		0);
	assert_int_equal(docker_new(sock, NULL, &docker), 0);
	assert_int_equal(docker_inspect(docker, "box", &box), 0);
	assert_int_equal(docker_inspect(docker, "other", &other), 0);
	return 0;
}

static int group_teardown(void **state)
{
	char log[64];

	(void)state;
	docker_free(docker);
	if (up && run("down", NULL, NULL, NULL, NULL))
		return -1;
	snprintf(log, sizeof(log), "%s/dockerd.log", folder);
	unlink(log);
	return rmdir(folder);
}

static void need(void)
{
	if (up)
		return;
	print_message("SKIP test_change_docker: %s", says);
	skip();
}

static void test_docker_engine_list(void **state)
{
	struct docker_list l = { 0 };
	const struct docker_container *found = NULL;

	(void)state;
	need();
	assert_int_equal(docker_list(docker, &l), 0);
	assert_int_equal(l.nr, 2);
	assert_int_equal(l.dropped, 0);
	for (size_t i = 0; i < l.nr; i++)
		if (!strcmp(l.items[i].name, "box"))
			found = &l.items[i];
	assert_non_null(found);
	assert_string_equal(found->id, box.id);
	assert_string_equal(found->image, "t:1");
	assert_int_equal(found->state, DOCKER_RUNNING);
	assert_string_equal(docker_label(found, "app"), "shop");
	assert_int_equal(found->pid, 0);
	docker_list_release(&l);
}

static void test_docker_engine_inspect(void **state)
{
	struct docker_container c;
	char path[32], comm[32] = "";

	(void)state;
	need();
	assert_true(box.pid > 1);
	assert_true(box.restarts);
	assert_false(other.restarts);
	assert_int_equal(box.health, DOCKER_NO_HEALTH);
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)box.pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(comm, sizeof(comm), f));
	fclose(f);
	assert_string_equal(comm, "sleep\n");
	assert_int_equal(docker_inspect(docker, "nobody", &c), -ENOENT);
	assert_non_null(strstr(docker_why(docker), "nobody"));
}

static struct service_facts facts(void)
{
	struct service_facts f = { .service = 1, .name = "shop", .replicas = 1 };

	facts_workload(&f, FACTS_REACH_DOCKER, "", "", box.id, "");
	return f;
}

/* The one that stands still is another process afterwards; the one beside it is the same. */
static void test_change_container_real(void **state)
{
	struct changer_config config = { .docker = sock };
	CLEANUP(changer_freep) struct changer *changer = NULL;
	const struct service_facts f = facts();
	struct docker_container now, still;
	struct change c;

	(void)state;
	need();
	assert_int_equal(changer_new(&config, &changer), 0);
	assert_int_equal(kill(box.pid, SIGSTOP), 0);
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 0);
	int err = change_do(changer, &c, 0, says, sizeof(says));
	print_message("%s\n", says);
	assert_int_equal(err, 0);
	assert_int_equal(docker_inspect(docker, box.id, &now), 0);
	assert_string_equal(now.id, box.id);
	assert_int_equal(now.state, DOCKER_RUNNING);
	assert_true(now.pid > 1 && now.pid != box.pid);
	assert_string_not_equal(now.started_at, box.started_at);
	assert_int_equal(kill(box.pid, 0), -1);
	assert_int_equal(docker_inspect(docker, other.id, &still), 0);
	assert_int_equal(still.pid, other.pid);
	assert_string_equal(still.started_at, other.started_at);
	/* Not twice on the word of the first look. */
	assert_int_equal(change_do(changer, &c, 0, says, sizeof(says)), -EBUSY);
}

static void test_change_container_real_refused(void **state)
{
	struct changer_config config = { .docker = sock };
	CLEANUP(changer_freep) struct changer *changer = NULL;
	const struct service_facts f = facts();
	struct change c;

	(void)state;
	need();
	assert_int_equal(changer_new(&config, &changer), 0);
	assert_int_equal(engine("docker stop -t 0 box"), 0);
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 1);
	assert_string_equal(says, "the container box is exited");
	assert_int_equal(engine("docker rm box"), 0);
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 1);
	assert_int_equal(docker_restart(docker, box.id), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docker_engine_list),
		cmocka_unit_test(test_docker_engine_inspect),
		cmocka_unit_test(test_change_container_real),
		cmocka_unit_test(test_change_container_real_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
