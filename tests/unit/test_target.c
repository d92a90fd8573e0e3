// SPDX-License-Identifier: GPL-2.0-or-later
/* Containers into names and keys, what people ask for into containers, bundles into either; and what an enemy writes there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "discover/bundle.h"
#include "discover/target.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_target_workload_is_what_made_the_pod(void **state)
{
	static const char *const cases[][2] = {
		{ "db-service-7d4b9c6f5-x2x4z", "db-service" }, /* Deployment */
		{ "agent-x2x4z", "agent" },                     /* DaemonSet, Job */
		{ "db-0", "db-0" },                             /* StatefulSet */
		{ "web", "web" },                               /* by hand */
		{ "db-replica", "db-replica" },                 /* a vowel: nobody generated it */
		{ "db-7d4b9c6f5", "db-7d4b9c6f5" },
		{ "x2x4z", "x2x4z" },
		{ "-x2x4z", "-x2x4z" },
		{ "", "" },
	};
	char got[SERVICE_WORKLOAD_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		target_workload(cases[i][0], got);
		assert_string_equal(got, cases[i][1]);
	}
}

static void test_target_names_in_their_order(void **state)
{
	static const struct {
		struct target t;
		const char *first;
	} cases[] = {
		{ { .app = "db",
		    .compose = "c",
		    .pod = "p-7d4b9c6f5-x2x4z",
		    .namespace = "n",
		    .container = "k" },
		  "db" },
		{ { .compose = "db", .container = "shop-db-1" }, "db" },
		{ { .pod = "p-7d4b9c6f5-x2x4z", .namespace = "n", .container = "k" }, "p" },
		{ { .container = "shop-db-1" }, "shop-db-1" },
		{ { .app = "../../../etc" }, "_.._.._etc" },
		{ { .app = "self", .container = "shop" }, "shop" },
		{ { .app = "-\x1b[2J" }, "__2J" },
	};
	char names[TARGET_NAMES_MAX][SERVICE_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t nr = target_names(&cases[i].t, names);
		assert_true(nr > 0);
		assert_string_equal(names[0], cases[i].first);
		for (size_t k = 0; k < nr; k++)
			assert_true(service_name_valid(names[k]));
	}
	assert_int_equal(target_names(&(struct target){ .id = ID }, names), 0);
	/* One that has its name already gets its namespace, then its container. */
	assert_int_equal(target_names(&cases[2].t, names), 4);
	assert_string_equal(names[1], "p.n");
	assert_string_equal(names[2], "p-k");
}

static void test_target_key_outlives_the_container(void **state)
{
	struct target a = {
		.id = ID, .pod = "db-7d4b9c6f5-x2x4z", .namespace = "shop", .container = "db"
	};
	struct target b = { .pod = "db-5c6f7d8b9-99qrt", .namespace = "shop", .container = "db" };
	char ka[TARGET_KEY_MAX], kb[TARGET_KEY_MAX];

	(void)state;
	target_key(&a, ka);
	target_key(&b, kb);
	assert_string_equal(ka, kb);
	snprintf(b.namespace, sizeof(b.namespace), "other");
	target_key(&b, kb);
	assert_string_not_equal(ka, kb);
	target_key(&(struct target){ .id = ID, .container = "shop-db-1" }, ka);
	assert_string_equal(ka, "container/shop-db-1");
	target_key(&(struct target){ .id = ID }, ka);
	assert_string_equal(ka, "id/" ID);
}

static bool meant(enum target_kind kind, const char *text, const struct target *t)
{
	struct target_selector s;
	struct problem p;

	assert_int_equal(target_selector_parse(kind, text, &s, &p), 0);
	return target_matches(&s, t);
}

static void test_target_selectors(void **state)
{
	const struct target t = { .id = ID,
				  .container = "db",
				  .pod = "db-7d4b9c6f5-x2x4z",
				  .namespace = "shop",
				  .app = "store" };
	static const struct {
		enum target_kind kind;
		const char *text;
	} bad[] = {
		{ TARGET_CONTAINER, "" },
		{ TARGET_CONTAINER, "a b" },
		{ TARGET_CONTAINER, "../x" },
		{ TARGET_POD, "db" },
		{ TARGET_POD, "/db" },
		{ TARGET_POD, "shop/" },
		{ TARGET_POD, "shop/app=" },
		{ TARGET_POD, "shop/a/b" },
		{ TARGET_UNIT, "" },
		{ TARGET_UNIT, "a/b.service" },
		{ TARGET_UNIT, "x y.service" },
	};
	struct target_selector s;
	struct problem p;

	(void)state;
	assert_true(meant(TARGET_CONTAINER, "db", &t));
	assert_true(meant(TARGET_CONTAINER, ID, &t));
	assert_true(meant(TARGET_CONTAINER, "0123456789ab", &t));
	assert_false(meant(TARGET_CONTAINER, "0123456789a", &t));
	assert_false(meant(TARGET_CONTAINER, "1123456789ab", &t));
	assert_true(meant(TARGET_POD, "shop/db-7d4b9c6f5-x2x4z", &t));
	assert_true(meant(TARGET_POD, "shop/db", &t));
	assert_true(meant(TARGET_POD, "shop/app=store", &t));
	assert_false(meant(TARGET_POD, "shop/app=db", &t));
	assert_false(meant(TARGET_POD, "other/db", &t));
	assert_false(meant(TARGET_UNIT, "db", &t));
	assert_int_equal(target_selector_parse(TARGET_UNIT, "nginx", &s, &p), 0);
	assert_string_equal(s.name, "nginx.service");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(target_selector_parse(bad[i].kind, bad[i].text, &s, &p), -EINVAL);
		assert_int_equal(p.status, 400);
	}
}

static int parse(const char *json, struct target *t)
{
	*t = (struct target){ .id = ID };
	return bundle_parse(json, strlen(json), t);
}

static void test_bundle_annotations(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(
		parse("{\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
		      "\"io.kubernetes.cri.container-name\":\"db\",\"io.kubernetes.cri.sandbox-name\":\"db-0\","
		      "\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}",
		      &t),
		0);
	assert_string_equal(t.container, "db");
	assert_string_equal(t.pod, "db-0");
	assert_string_equal(t.namespace, "shop");
	/* CRI-O's have the pod's labels. */
	assert_int_equal(
		parse("{\"annotations\":{\"io.kubernetes.cri-o.ContainerType\":\"container\","
		      "\"io.kubernetes.container.name\":\"db\",\"io.kubernetes.pod.name\":\"db-0\","
		      "\"io.kubernetes.pod.namespace\":\"shop\","
		      "\"io.kubernetes.cri-o.Labels\":\"{\\\"app\\\":\\\"store\\\"}\"}}",
		      &t),
		0);
	assert_string_equal(t.app, "store");
	assert_int_equal(parse("{\"annotations\":{\"nerdctl/name\":\"web\"}}", &t), 0);
	assert_string_equal(t.container, "web");
}

static void test_bundle_believes_nothing(void **state)
{
	static const struct {
		const char *json;
		int err;
	} cases[] = {
		{ "", -EINVAL },
		{ "{", -EINVAL },
		{ "[]", -ENODATA },
		{ "{\"annotations\":7}", -ENODATA },
		{ "{\"annotations\":{\"io.kubernetes.cri.container-name\":7}}", -ENODATA },
		{ "{\"annotations\":{\"io.kubernetes.cri.container-name\":\"a/../b\"}}", -ENODATA },
		{ "{\"annotations\":{\"io.kubernetes.cri.container-name\":\"\\u001b[2J\"}}",
		  -ENODATA },
		{ "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\",\"io.kubernetes.cri.sandbox-name\":\"x\"}}",
		  -ENODATA },
		/* half a pod */
		{ "{\"annotations\":{\"io.kubernetes.cri.sandbox-name\":\"x\"}}", -EINVAL },
		{ "{\"annotations\":{\"io.kubernetes.cri.sandbox-namespace\":\"x\",\"nerdctl/name\":\"y\"}}",
		  -EINVAL },
	};
	struct target t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (parse(cases[i].json, &t) != cases[i].err)
			fail_msg("%s", cases[i].json);
		assert_string_equal(t.container, "");
		assert_string_equal(t.pod, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_target_workload_is_what_made_the_pod),
		cmocka_unit_test(test_target_names_in_their_order),
		cmocka_unit_test(test_target_key_outlives_the_container),
		cmocka_unit_test(test_target_selectors),
		cmocka_unit_test(test_bundle_annotations),
		cmocka_unit_test(test_bundle_believes_nothing),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
