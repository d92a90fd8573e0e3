// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The running daemon, with the shop behind it, held against its own description by
 * schemathesis: no 5xx, and no answer that openapi.json does not describe.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/util.h"
#include "tests/lib/partner.h"
#include "tests/lib/scene.h"

#define NAME "test_schema_describes_every_answer"

/* What kills for good, or slows the whole machine, is left out: it would be our own test that suffers. */
static const char conf[] = "[observe]\ndiscover = no\n"
			   "[prometheus]\nurl = http://127.0.0.1:9090\n"
			   "[faults]\ntypes = timeout, error, bad_data, loss\n";
static struct scene scene;
static char python[256];

static int set_up(void **state)
{
	char lack[256];

	(void)state;
	if (!partner_get("schemathesis", python, sizeof(python), lack, sizeof(lack))) {
		printf("SKIP " NAME ": %s\n", lack);
		*python = '\0';
		return 0;
	}
	if (scene_open(&scene, NAME))
		scene_daemon(&scene, "suggest", conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

static void test_schema_describes_every_answer(void **state)
{
	static char said[1 << 18];
	char command[512];
	struct child c;

	(void)state;
	if (!*scene.dir)
		skip();
	/* What it writes goes with it. */
	snprintf(
		command, sizeof(command),
		"f=$(mktemp -d) && trap 'rm -rf \"$f\"' EXIT && '%s' tests/api/schema.py '%s' \"$f\"",
		python, scene.socket);
	const char *const argv[] = { "sh", "-c", command, NULL };
	child_start(&c, argv, true);
	child_read(&c, said, sizeof(said));
	int status = child_end(&c);
	if (status) {
		print_message("%s\n", said);
		scene_show_log(&scene);
		fail_msg("tests/api/schema.py: status %d", status);
	}
	assert_non_null(strstr(said, "every answer is described"));
	/* It did not only survive: it still ends as it should. */
	assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_describes_every_answer),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
