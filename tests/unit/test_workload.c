// SPDX-License-Identifier: GPL-2.0-or-later
/* Cgroup paths as container run times and systemd make them, and as an enemy might. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "discover/workload.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_workload_of_cgroup(void **state)
{
	static const struct {
		const char *path, *container, *unit;
	} cases[] = {
		{ "/", "", "" },
		{ "", "", "" },
		{ "/docker/" ID, ID, "" },
		{ "/system.slice/docker-" ID ".scope", ID, "" },
		{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-" ID
		  ".scope",
		  ID, "" },
		{ "/kubepods/besteffort/pod7d9f/" ID, ID, "" },
		{ "/machine.slice/libpod-" ID ".scope", ID, "" },
		{ "/kubepods.slice/crio-" ID ".scope", ID, "" },
		{ "/docker/" ID "/system.slice/nginx.service", ID, "nginx.service" },
		{ "/system.slice/nginx.service", "", "nginx.service" },
		{ "/user.slice/user-0.slice/user@0.service/app.slice/shop.service", "",
		  "shop.service" },
		{ "/user.slice/user-1000.slice/session-3.scope", "", "session-3.scope" },
		{ "/system.slice/nginx.service/workers", "", "nginx.service" },
		/* what only looks like one */
		{ "/docker/" ID "0", "", "" },
		{ "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "",
		  "" },
		{ "/docker-" ID, "", "" },
		{ "/evil-" ID ".scope", "", "evil-" ID ".scope" },
		{ "/.service", "", "" },
		{ "/nginx.services", "", "" },
		{ "//a//b.service//", "", "b.service" },
	};
	struct workload w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		workload_of_cgroup(cases[i].path, &w);
		if (strcmp(w.container_id, cases[i].container) != 0 ||
		    strcmp(w.systemd_unit, cases[i].unit) != 0)
			fail_msg("%s: container '%s', unit '%s'", cases[i].path, w.container_id,
				 w.systemd_unit);
	}
}

static void test_workload_of_the_longest_path(void **state)
{
	char path[SERVICE_CGROUP_MAX * 2];
	struct workload w;

	(void)state;
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	snprintf(path + sizeof(path) - 10, 10, "%s", ".service");
	workload_of_cgroup(path, &w);
	assert_int_equal(strlen(w.systemd_unit), SERVICE_CGROUP_MAX - 1);
	assert_string_equal(w.container_id, "");
}

static void test_workload_of_pods_and_units(void **state)
{
	static const struct {
		const char *path, *uid, *pod, *container;
		bool unit;
	} cases[] = {
		{ "/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc/" ID,
		  "12345678-1234-1234-1234-123456789abc",
		  "/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc",
		  "/kubepods/burstable/pod12345678-1234-1234-1234-123456789abc/" ID, false },
		{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod12345678_1234_1234_1234_123456789abc.slice/cri-containerd-" ID
		  ".scope/deeper",
		  "12345678-1234-1234-1234-123456789abc",
		  "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod12345678_1234_1234_1234_123456789abc.slice",
		  "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod12345678_1234_1234_1234_123456789abc.slice/cri-containerd-" ID
		  ".scope",
		  false },
		{ "/kubepods/podX/" ID, "", "", "/kubepods/podX/" ID, false },
		{ "/system.slice/nginx.service", "", "", "", true },
		{ "/system.slice/nginx.service/workers", "", "", "", false },
		{ "/user.slice/user-0.slice/user@0.service/app.slice/nginx.service", "", "", "",
		  false },
		{ "/user.slice/user-0.slice/session-3.scope", "", "", "", false },
	};
	struct workload w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		workload_of_cgroup(cases[i].path, &w);
		assert_string_equal(w.pod_uid, cases[i].uid);
		assert_string_equal(w.pod_cgroup, cases[i].pod);
		assert_string_equal(w.container_cgroup, cases[i].container);
		assert_int_equal(w.is_unit, cases[i].unit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workload_of_cgroup),
		cmocka_unit_test(test_workload_of_pods_and_units),
		cmocka_unit_test(test_workload_of_the_longest_path),
	};

	return cmocka_run_group_tests_name("workload", tests, NULL, NULL);
}
