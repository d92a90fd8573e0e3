// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The quick form of `make test-docker`: the compose file as both composes read it, the Dockerfiles as a real
 * dockerd parses them, and a container of one there that is hurt by its name. The work is tests/docker/quick.sh's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/lib/partner.h"
#include "tests/lib/shop.h"

#define SCRIPT_MS 120000
#define DOCKERD "tests/docker/dockerd.sh"
#define QUICK "tests/docker/quick.sh"

static char dir[] = "/var/tmp/archaic-quick-XXXXXX", lack[512], compose_lack[512];
static bool up;

static int run(const char *script, const char *what, const char *argument, const char **out)
{
	const char *argv[] = { script, what, argument, NULL };

	return proc_run(argv, NULL, SCRIPT_MS, out);
}

static int set_up(void **state)
{
	char path[4096];
	const char *out;

	(void)state;
	if (partner_get("compose", path, sizeof(path), compose_lack, sizeof(compose_lack)))
		partner_get("compose2", path, sizeof(path), compose_lack, sizeof(compose_lack));
	if (!mkdtemp(dir))
		return -1;
	if (geteuid() != 0) {
		snprintf(lack, sizeof(lack), "a container daemon needs root");
	} else if (partner_get("dockerd", path, sizeof(path), lack, sizeof(lack))) {
		up = run(DOCKERD, "up", dir, &out) == 0;
		if (!up)
			snprintf(lack, sizeof(lack), "%.*s", (int)strcspn(out, "\n"), out);
	}
	return 0;
}

static int tear_down(void **state)
{
	const char *out;
	char log[64];

	(void)state;
	if (up && run(DOCKERD, "down", dir, &out) != 0)
		return -1;
	snprintf(log, sizeof(log), "%s/dockerd.log", dir);
	unlink(log);
	return rmdir(dir);
}

static void need(const char *name, const char *missing)
{
	if (*missing) {
		printf("SKIP %s: %s\n", name, missing);
		skip();
	}
}

static void check(const char *what, const char *argument)
{
	const char *out;
	int status = run(QUICK, what, argument, &out);

	if (status != 0)
		fail_msg("%s %s: exit status %d: %s", QUICK, what, status, out);
}

static void test_compose_file(void **state)
{
	(void)state;
	need("test_compose_file", compose_lack);
	check("compose", NULL);
}

static void test_dockerfiles(void **state)
{
	(void)state;
	need("test_dockerfiles", lack);
	check("dockerfiles", dir);
}

static void test_one_container_is_hurt(void **state)
{
	(void)state;
	need("test_one_container_is_hurt", lack);
	check("container", dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compose_file),
		cmocka_unit_test(test_dockerfiles),
		cmocka_unit_test(test_one_container_is_hurt),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
