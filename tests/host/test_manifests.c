// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Kubernetes manifests, rendered by kustomize: each object fits Kubernetes' own schema, and what we promise of
 * them holds. A real cluster that takes them and acts on them: make test-cluster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/lib/partner.h"

#define HOME "tools/deploy/kubernetes/"

static char dir[] = "/tmp/test-manifests-XXXXXX", kubectl[512], python[512], lack[512];

/* Runs it; what it said, in static memory. */
static const char *run(int *status, const char *const argv[], bool errors_too)
{
	static char said[1 << 20];
	struct child c;

	child_start(&c, argv, errors_too);
	child_read(&c, said, sizeof(said));
	*status = child_end(&c);
	return said;
}

static bool works(const char *program)
{
	int status;

	run(&status, (const char *const[]){ program, "version", "--client", NULL }, true);
	return status == 0;
}

/* The cluster's own where it is built, else any: kubectl carries kustomize. */
static int set_up(void **state)
{
	int status;
	const char *said = run(
		&status, (const char *const[]){ "tools/cluster/build.sh", "--where", NULL }, false);

	(void)state;
	if (status || !mkdtemp(dir))
		return -1;
	snprintf(kubectl, sizeof(kubectl), "%.*s/kubectl", (int)strcspn(said, "\n"), said);
	if (access(kubectl, X_OK) && works("kubectl"))
		snprintf(kubectl, sizeof(kubectl), "kubectl");
	else if (access(kubectl, X_OK))
		*kubectl = '\0';
	if (!partner_get("kubernetes-validate", python, sizeof(python), lack, sizeof(lack)))
		*python = '\0';
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

static bool lacking(const char *test)
{
	if (!*kubectl)
		printf("SKIP %s: no kubectl to render with: neither installed, nor built by tools/cluster/build.sh\n",
		       test);
	else if (!*python)
		printf("SKIP %s: %s\n", test, lack);
	return !*kubectl || !*python;
}

static void check(const char *folder, const char *how)
{
	char path[256], from[256];
	int status;

	snprintf(from, sizeof(from), HOME "%s", folder);
	const char *text =
		run(&status, (const char *const[]){ kubectl, "kustomize", from, NULL }, false);
	if (status)
		fail_msg("kustomize %s: status %d", from, status);
	snprintf(path, sizeof(path), "%s/rendered.yaml", dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	const char *const argv[] = { python, "tests/cluster/manifests.py", how ?: path,
				     how ? path : NULL, NULL };
	text = run(&status, argv, true);
	unlink(path);
	if (status)
		fail_msg("%s:\n%s", from, text);
}

static void test_manifests_keep_their_promises(void **state)
{
	static const char *const folders[] = { "base", "observability", "overlays/demo",
					       "overlays/kind", "overlays/minikube" };

	(void)state;
	if (lacking(__func__))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		check(folders[i], NULL);
}

static void test_manifests_a_spoiled_one_is_found(void **state)
{
	(void)state;
	if (lacking(__func__))
		skip();
	check("base", "--spoiled");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manifests_keep_their_promises),
		cmocka_unit_test(test_manifests_a_spoiled_one_is_found),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
