// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Kubernetes client, the Lease, the watch and the four repairs against a real cluster, which
 * tests/cluster/executors.sh makes and fills: Deployments web (3 pods), two (2) and one (1) of namespace
 * executors; account "reader", which may look and not touch. Here it is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "kube/kube_change.h"
#include "kube/kube_lease.h"
#include "kube/kube_watch.h"

#define NS "executors"
#define S 1000000000ULL
#define WAIT_NS (60 * S)

static struct kube *kube;
static char says[400];

static struct kube *connect_as(const char *variable)
{
	struct kube_config c = { 0 };
	struct kube *k = NULL;
	const char *path = getenv(variable);
	char why[256];

	assert_non_null(path);
	if (kube_config_file(path, &c, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(kube_new(&c, NULL, &k), 0);
	return k;
}

static int group_setup(void **state)
{
	(void)state;
	if (getenv("ARCHAIC_TEST_KUBECONFIG"))
		kube = connect_as("ARCHAIC_TEST_KUBECONFIG");
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	kube_free(kube);
	return 0;
}

static void need(void)
{
	if (kube)
		return;
	print_message(
		"SKIP test_kube_cluster: there is no cluster here; make test-cluster has one\n");
	skip();
}

/* ---- helpers */

static int take_first(void *ctx, const cJSON *pod)
{
	char *name = ctx;

	if (!*name && !*kube_meta(pod, "deletionTimestamp"))
		snprintf(name, KUBE_NAME_MAX, "%s", kube_meta(pod, "name"));
	return 0;
}

/* One of @app's pods that is not ending. */
static const char *pod_of(const char *app)
{
	static char name[KUBE_NAME_MAX];
	const struct kube_ref ref = { "/api/v1", NS, "pods", NULL, NULL };
	char selector[64];

	name[0] = '\0';
	snprintf(selector, sizeof(selector), "app=%s", app);
	assert_int_equal(kube_list(kube, &ref, selector, take_first, name, NULL), 0);
	assert_string_not_equal(name, "");
	return name;
}

static struct kube_workload workload(const char *app)
{
	struct kube_workload w;

	assert_int_equal(kube_workload_read(kube, NS, "Deployment", app, &w), 0);
	return w;
}

static void settle(const char *app)
{
	const struct timespec step = { .tv_nsec = 200000000 };
	uint64_t until = clock_mono_ns() + WAIT_NS;

	while (!workload(app).settled) {
		assert_true(clock_mono_ns() < until);
		nanosleep(&step, NULL);
	}
}

static int prepare(struct kube *k, enum kube_change_kind kind, const char *app,
		   struct kube_change *c)
{
	int err = kube_change_prepare(k, kind, NS, pod_of(app), clock_wall_ms(), c, says,
				      sizeof(says));

	print_message("  prepare: %d, %s\n", err, says);
	return err;
}

static int carry_out(struct kube *k, const struct kube_change *c)
{
	int err = kube_change_do(k, c, clock_wall_ms(), WAIT_NS, says, sizeof(says));

	print_message("  do:      %d, %s\n", err, says);
	return err;
}

static int take_back(const struct kube_change *c)
{
	int err = kube_change_undo(kube, c, says, sizeof(says));

	print_message("  undo:    %d, %s\n", err, says);
	return err;
}

/* What a person or another controller does meanwhile: a note on the Deployment. */
static void meddle(const char *app, const char *body)
{
	CLEANUP(json_freep) cJSON *j = cJSON_Parse(body);
	const struct kube_ref ref = { KUBE_API_APPS, NS, "deployments", app, NULL };
	const struct timespec step = { .tv_nsec = 200000000 };
	int err = -EBUSY;

	/* Its controller writes its status between our reading and our writing. */
	for (int i = 0; i < 20 && err == -EBUSY; i++) {
		err = kube_patch(kube, &ref, j, workload(app).version, false, NULL);
		if (err)
			nanosleep(&step, NULL);
	}
	assert_int_equal(err, 0);
}

static char *template_env(const char *app)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const struct kube_ref ref = { KUBE_API_APPS, NS, "deployments", app, NULL };

	assert_int_equal(kube_get(kube, &ref, &j), 0);
	const cJSON *first =
		cJSON_GetArrayItem(kube_at(j, "spec", "template", "spec", "containers", NULL), 0);
	return cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(first, "env"));
}

/* ---- the client */

static void test_cluster_trust(void **state)
{
	struct kube_config c = { 0 };
	struct kube *k = NULL;
	cJSON *j = NULL;
	char why[256];
	const struct kube_ref ref = { "/api/v1", NULL, "namespaces", NS, NULL };

	(void)state;
	need();
	assert_int_equal(kube_get(kube, &ref, &j), 0);
	assert_string_equal(kube_meta(j, "name"), NS);
	cJSON_Delete(j);
	j = NULL;
	/* Without the cluster's own authority it is a stranger. */
	assert_int_equal(kube_config_file(getenv("ARCHAIC_TEST_KUBECONFIG"), &c, why, sizeof(why)),
			 0);
	free(c.ca);
	c.ca = NULL;
	assert_int_equal(kube_new(&c, NULL, &k), 0);
	assert_int_equal(kube_get(k, &ref, &j), -EBADE);
	print_message("  %s\n", kube_why(k));
	kube_free(k);
}

static void test_cluster_account(void **state)
{
	struct kube_config c = { 0 };
	struct kube *k = NULL;
	cJSON *j = NULL;
	char why[256];
	const struct kube_ref ref = { KUBE_API_APPS, NS, "deployments", "web", NULL };
	const struct kube_ref secrets = { "/api/v1", NS, "secrets", NULL, NULL };

	(void)state;
	need();
	/* As a pod finds it: token, ca.crt and namespace in a folder. */
	if (kube_config_account(getenv("ARCHAIC_TEST_ACCOUNT"), getenv("ARCHAIC_TEST_HOST"), "6443",
				&c, why, sizeof(why)))
		fail_msg("%s", why);
	assert_string_equal(c.namespace_, NS);
	assert_int_equal(kube_new(&c, NULL, &k), 0);
	assert_int_equal(kube_get(k, &ref, &j), 0);
	cJSON_Delete(j);
	j = NULL;
	assert_int_equal(kube_get(k, &secrets, &j), -EACCES);
	print_message("  %s\n", kube_why(k));
	kube_free(k);
}

static void test_cluster_lease(void **state)
{
	struct kube_lease a, b;
	uint64_t now = clock_mono_ns();

	(void)state;
	need();
	assert_int_equal(kube_lease_init(&a, NS, "operator", "a-1", 15), 0);
	assert_int_equal(kube_lease_init(&b, NS, "operator", "b-2", 15), 0);
	assert_int_equal(kube_lease_step(kube, &a, now, clock_wall_ms()), 0);
	assert_true(kube_lease_held(&a, now));
	assert_int_equal(kube_lease_step(kube, &b, now, clock_wall_ms()), 0);
	assert_false(kube_lease_held(&b, now));
	assert_int_equal(kube_lease_step(kube, &a, now + 2 * S, clock_wall_ms()), 0);
	assert_true(kube_lease_held(&a, now + 11 * S));
	/* b has seen it change, so its time runs anew; then it takes it over. */
	assert_int_equal(kube_lease_step(kube, &b, now + 3 * S, clock_wall_ms()), 0);
	assert_int_equal(kube_lease_step(kube, &b, now + 17 * S, clock_wall_ms()), 0);
	assert_false(kube_lease_held(&b, now + 17 * S));
	assert_int_equal(kube_lease_step(kube, &b, now + 18 * S, clock_wall_ms()), 0);
	assert_true(kube_lease_held(&b, now + 18 * S));
	assert_int_equal(kube_lease_release(kube, &b, now + 19 * S, clock_wall_ms()), 0);
	assert_int_equal(kube_lease_step(kube, &a, now + 20 * S, clock_wall_ms()), 0);
	assert_true(kube_lease_held(&a, now + 20 * S));
}

struct seen {
	atomic_bool cancel;
	atomic_uint present, synced, added, deleted;
	int result;
};

static int on_event(void *ctx, enum kube_watch_event e, const cJSON *object)
{
	struct seen *s = ctx;

	(void)object;
	s->present += e == KUBE_WATCH_PRESENT;
	s->synced += e == KUBE_WATCH_SYNCED;
	s->added += e == KUBE_WATCH_ADDED;
	s->deleted += e == KUBE_WATCH_DELETED;
	return 0;
}

static void *follow(void *ctx)
{
	struct seen *s = ctx;
	struct kube_config c = { 0 };
	struct kube *k = NULL;
	char why[256];
	struct kube_watch w = { .ref = { "/api/v1", NS, "pods", NULL, NULL },
				.selector = "app=web",
				.event = on_event,
				.ctx = s };

	s->result = kube_config_file(getenv("ARCHAIC_TEST_KUBECONFIG"), &c, why, sizeof(why));
	if (!s->result)
		s->result = kube_new(&c, &s->cancel, &k);
	if (!s->result)
		s->result = kube_watch_run(k, &w);
	kube_free(k);
	return NULL;
}

static void until(atomic_uint *n, unsigned at_least)
{
	const struct timespec step = { .tv_nsec = 50000000 };
	uint64_t end = clock_mono_ns() + WAIT_NS;

	while (atomic_load(n) < at_least) {
		assert_true(clock_mono_ns() < end);
		nanosleep(&step, NULL);
	}
}

/* ---- the repairs */

/* With a watch beside it, which sees one go and one come. */
static void test_cluster_restart_pod(void **state)
{
	struct seen s = { 0 };
	struct kube_change c;
	struct kube_pod p;
	pthread_t thread;

	(void)state;
	need();
	settle("web");
	assert_int_equal(pthread_create(&thread, NULL, follow, &s), 0);
	until(&s.synced, 1);
	assert_int_equal(s.present, 3);
	assert_int_equal(prepare(kube, KUBE_RESTART_POD, "web", &c), 0);
	assert_string_equal(c.workload.kind, "Deployment");
	assert_string_equal(c.workload.name, "web");
	assert_int_equal(c.before, 3);
	assert_int_equal(carry_out(kube, &c), 0);
	settle("web");
	assert_int_equal(workload("web").ready, 3);
	int err = kube_pod_read(kube, NS, c.pod.name, &p);
	assert_true(err == -ENOENT || p.ending);
	until(&s.added, 1);
	until(&s.deleted, 1);
	/* Not twice on the word of the first look. */
	err = carry_out(kube, &c);
	assert_true(err == -ENOENT || err == -EBUSY);
	assert_int_equal(take_back(&c), 1);
	atomic_store(&s.cancel, true);
	pthread_join(thread, NULL);
	assert_int_equal(s.result, -ECANCELED);
}

/* One of two that is ready itself would leave one; the only one may go. */
static void test_cluster_restart_pod_of_few(void **state)
{
	struct kube_change c;

	(void)state;
	need();
	settle("two");
	settle("one");
	assert_int_equal(prepare(kube, KUBE_RESTART_POD, "two", &c), 1);
	assert_int_equal(prepare(kube, KUBE_RESTART_POD, "one", &c), 0);
	assert_int_equal(carry_out(kube, &c), 0);
	settle("one");
	assert_int_equal(kube_change_prepare(kube, KUBE_RESTART_POD, NS, "alone", clock_wall_ms(),
					     &c, says, sizeof(says)),
			 1);
	assert_int_equal(kube_change_prepare(kube, KUBE_RESTART_POD, NS, "nobody", clock_wall_ms(),
					     &c, says, sizeof(says)),
			 1);
}

static void test_cluster_rollout(void **state)
{
	struct kube_change c;
	struct kube_pod p;

	(void)state;
	need();
	settle("web");
	assert_int_equal(prepare(kube, KUBE_ROLLOUT_RESTART, "web", &c), 0);
	assert_int_equal(carry_out(kube, &c), 0);
	assert_int_equal(workload("web").ready, 3);
	int err = kube_pod_read(kube, NS, c.pod.name, &p);
	assert_true(err == -ENOENT || p.ending);
	meddle("web", "{\"spec\":{\"paused\":true}}");
	assert_int_equal(prepare(kube, KUBE_ROLLOUT_RESTART, "web", &c), 1);
	meddle("web", "{\"spec\":{\"paused\":false}}");
	settle("web");
}

static void test_cluster_scale(void **state)
{
	struct kube_change c, again;

	(void)state;
	need();
	settle("two");
	assert_int_equal(prepare(kube, KUBE_SCALE, "two", &c), 0);
	assert_int_equal(c.after, 3);
	assert_int_equal(carry_out(kube, &c), 0);
	assert_int_equal(workload("two").ready, 3);
	assert_int_equal(take_back(&c), 0);
	settle("two");
	assert_int_equal(workload("two").replicas, 2);
	/* Somebody else's number is left alone. */
	assert_int_equal(take_back(&c), 1);
	/* What has changed since it was looked at is left alone. */
	assert_int_equal(prepare(kube, KUBE_SCALE, "two", &again), 0);
	meddle("two", "{\"spec\":{\"minReadySeconds\":1}}");
	assert_int_equal(carry_out(kube, &again), -EBUSY);
	assert_int_equal(workload("two").replicas, 2);
	/* web has an autoscaler. */
	assert_int_equal(prepare(kube, KUBE_SCALE, "web", &c), 1);
}

static void test_cluster_rollback(void **state)
{
	struct kube_change c;
	static const char two[] =
		"{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\","
		"\"image\":\"localhost/pause:1\",\"env\":[{\"name\":\"V\",\"value\":\"2\"}]}]}}}}";

	(void)state;
	need();
	settle("one");
	assert_int_equal(prepare(kube, KUBE_ROLLBACK, "one", &c), 1);
	meddle("one", two);
	settle("one");
	/* A restart of all is a revision too, and not one to go back from. */
	assert_int_equal(prepare(kube, KUBE_ROLLOUT_RESTART, "one", &c), 0);
	assert_int_equal(carry_out(kube, &c), 0);
	settle("one");
	assert_int_equal(prepare(kube, KUBE_ROLLBACK, "one", &c), 0);
	assert_int_equal(carry_out(kube, &c), 0);
	CLEANUP(json_textp) char *back = template_env("one");
	assert_string_equal(back, "[{\"name\":\"V\",\"value\":\"1\"}]");
	assert_int_equal(take_back(&c), 0);
	settle("one");
	CLEANUP(json_textp) char *forth = template_env("one");
	assert_string_equal(forth, "[{\"name\":\"V\",\"value\":\"2\"}]");
	assert_int_equal(take_back(&c), 1);
}

/* It may look, so it finds that all is well; and it may not touch: nothing is touched. */
static void test_cluster_denied(void **state)
{
	static const enum kube_change_kind kinds[] = { KUBE_RESTART_POD, KUBE_ROLLOUT_RESTART,
						       KUBE_SCALE };
	struct kube *reader;
	struct kube_change c;

	(void)state;
	need();
	reader = connect_as("ARCHAIC_TEST_READER");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		settle("one");
		const struct kube_workload before = workload("one");
		assert_int_equal(prepare(reader, kinds[i], "one", &c), 0);
		assert_int_equal(carry_out(reader, &c), -EACCES);
		const struct kube_workload after = workload("one");
		assert_string_equal(after.version, before.version);
		assert_int_equal(after.ready, 1);
	}
	kube_free(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cluster_trust),
		cmocka_unit_test(test_cluster_account),
		cmocka_unit_test(test_cluster_lease),
		cmocka_unit_test(test_cluster_restart_pod),
		cmocka_unit_test(test_cluster_restart_pod_of_few),
		cmocka_unit_test(test_cluster_rollout),
		cmocka_unit_test(test_cluster_scale),
		cmocka_unit_test(test_cluster_denied),
		cmocka_unit_test(test_cluster_rollback),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
