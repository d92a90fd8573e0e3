// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What must hold before Kubernetes is asked to do something, against a stand-in that keeps the few
 * objects that count. tests/host/test_kube_cluster.c does all of it on a real cluster.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answerer.h"
#include "base/util.h"
#include "kube/kube_change.h"

#define NOW_MS 1705312200000 /* 2024-01-15T09:50:00Z */

static struct answerer server;
static struct kube *kube;

/* One Deployment "web" with a pod "web-1"; a test changes what it is about. */
static struct {
	const char *owner;    /* the pod's ownerReferences */
	const char *pod_more; /* of its metadata */
	bool pod_ready;
	unsigned others; /* further ready pods */
	unsigned replicas;
	const char *strategy, *spec_more;
	const char *autoscalers; /* items; NULL: 403 */
	const char *made;        /* the present ReplicaSet's creationTimestamp */
	const char *before;      /* the earlier one's template */
	unsigned version;        /* of the Deployment and the pod */
	unsigned generation;
	bool writes_status; /* between our reading and our writing, the first time */
	int refuse;         /* every change is answered so */
	unsigned changes, dry;
	char path[256], body[1024];
} world;

#define TEMPLATE(v, more)                                                              \
	"{\"metadata\":{\"labels\":{\"app\":\"web\",\"pod-template-hash\":\"x\"}" more \
	"},\"spec\":{\"v\":" v "}}"
#define OWNED \
	"\"ownerReferences\":[{\"kind\":\"Deployment\",\"name\":\"web\",\"uid\":\"d-1\",\"controller\":true}]"

static void say_pod(int fd, const char *name, const char *uid, bool list)
{
	char text[2048];

	snprintf(
		text, sizeof(text),
		"%s{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%u\"%s%s},\"status\":"
		"{\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}",
		list ? "," : "", name, uid, world.version, world.owner, list ? "" : world.pod_more,
		list || world.pod_ready ? "True" : "False");
	if (list)
		answer_raw(fd, text);
	else
		answer_whole(fd, 200, text);
}

static void say_pods(int fd)
{
	answer_raw(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"items\":[{}");
	for (unsigned i = 0; i < world.others; i++)
		say_pod(fd, "other", "u-other", true);
	answer_raw(fd, "]}");
}

static void say_deployment(int fd)
{
	char text[2048];
	unsigned n = world.replicas;

	snprintf(
		text, sizeof(text),
		"{\"metadata\":{\"name\":\"web\",\"uid\":\"d-1\",\"resourceVersion\":\"%u\",\"generation\":%u,"
		"\"annotations\":{\"deployment.kubernetes.io/revision\":\"3\"}},\"spec\":{\"replicas\":%u,"
		"\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"strategy\":%s%s},\"status\":{"
		"\"observedGeneration\":%u,\"replicas\":%u,\"updatedReplicas\":%u,\"readyReplicas\":%u,"
		"\"availableReplicas\":%u}}",
		world.version, world.generation, n, world.strategy, world.spec_more,
		world.generation, n, n, n, n);
	answer_whole(fd, 200, text);
}

static void say_sets(int fd)
{
	char text[4096];

	snprintf(
		text, sizeof(text),
		"{\"items\":["
		"{\"metadata\":{\"name\":\"web-c\",\"creationTimestamp\":\"%s\",\"annotations\":{"
		"\"deployment.kubernetes.io/revision\":\"3\"}," OWNED
		"},\"spec\":{\"template\":" TEMPLATE(
			"2",
			"") "}},"
			    "{\"metadata\":{\"name\":\"web-b\",\"annotations\":{\"deployment.kubernetes.io/revision\":"
			    "\"2\"}," OWNED "},\"spec\":{\"template\":%s}},"
			    "{\"metadata\":{\"name\":\"stranger\",\"annotations\":{\"deployment.kubernetes.io/revision\":"
			    "\"2\"}},\"spec\":{\"template\":" TEMPLATE("9", "") "}}]}",
		world.made, world.before);
	answer_whole(fd, 200, text);
}

static void on_change(const struct answerer_request *q, int fd)
{
	snprintf(world.path, sizeof(world.path), "%.255s", q->path);
	snprintf(world.body, sizeof(world.body), "%.1023s", q->body);
	if (world.refuse) {
		answer_whole(fd, world.refuse, "{\"message\":\"forbidden\"}");
	} else if (world.writes_status) {
		world.writes_status = false;
		world.version++;
		answer_whole(fd, 409, "{\"message\":\"the object has been modified\"}");
	} else {
		world.dry += strstr(q->path, "dryRun=All") != NULL;
		world.changes += strstr(q->path, "dryRun=All") == NULL;
		answer_whole(fd, 200, "{}");
	}
}

static void on_request(void *ctx, const struct answerer_request *q, int fd)
{
	(void)ctx;
	if (strcmp(q->method, "GET") != 0) {
		on_change(q, fd);
	} else if (strstr(q->path, "/pods/web-1")) {
		say_pod(fd, "web-1", "u-1", false);
	} else if (strstr(q->path, "/pods?")) {
		say_pods(fd);
	} else if (strstr(q->path, "/replicasets/web-c")) {
		answer_whole(fd, 200, "{\"metadata\":{\"name\":\"web-c\"," OWNED "}}");
	} else if (strstr(q->path, "/replicasets/web-b")) {
		answer_whole(fd, 200,
			     "{\"metadata\":{" OWNED
			     "},\"spec\":{\"template\":" TEMPLATE("1", "") "}}");
	} else if (strstr(q->path, "/replicasets?")) {
		say_sets(fd);
	} else if (strstr(q->path, "/deployments/web")) {
		say_deployment(fd);
	} else if (strstr(q->path, "horizontalpodautoscalers") && world.autoscalers) {
		answer_whole(fd, 200, world.autoscalers);
	} else if (strstr(q->path, "horizontalpodautoscalers")) {
		answer_whole(fd, 403, "{\"message\":\"may not be listed\"}");
	} else {
		answer_whole(fd, 404, "{\"message\":\"not found\"}");
	}
}

static int setup(void **state)
{
	struct kube_config c = { 0 };

	(void)state;
	memset(&world, 0, sizeof(world));
	world.owner =
		",\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"web-c\",\"uid\":\"r-1\","
		"\"controller\":true}]";
	world.pod_more = world.spec_more = "";
	world.pod_ready = true;
	world.others = 2;
	world.replicas = 3;
	world.strategy =
		"{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"25%\"}}";
	world.autoscalers = "{\"items\":[]}";
	world.made = "2024-01-15T08:50:00Z";
	world.before = TEMPLATE("1", "");
	world.version = 100;
	world.generation = 7;
	answerer_tcp(&server, on_request, NULL);
	snprintf(c.server, sizeof(c.server), "http://127.0.0.1:%u", server.port);
	assert_int_equal(kube_new(&c, NULL, &kube), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kube_free(kube);
	answerer_stop(&server);
	return 0;
}

static char says[400];
static struct kube_change change;

static void asked(enum kube_change_kind kind, int want, const char *words)
{
	int err =
		kube_change_prepare(kube, kind, "ns", "web-1", NOW_MS, &change, says, sizeof(says));

	if (err != want || !strstr(says, words))
		fail_msg("%d: %s", err, says);
	assert_int_equal(world.changes + world.dry, 0);
}

static int done(void)
{
	return kube_change_do(kube, &change, NOW_MS, 0, says, sizeof(says));
}

static void test_restart_pod_needs(void **state)
{
	(void)state;
	asked(KUBE_RESTART_POD, 0, "2 others are ready");
	world.others = 1;
	asked(KUBE_RESTART_POD, 1, "only 1 other");
	/* It gives nothing that would be missed. */
	world.pod_ready = false;
	asked(KUBE_RESTART_POD, 0, "1 others are ready");
	world.pod_ready = true;
	world.others = 0;
	world.replicas = 1;
	asked(KUBE_RESTART_POD, 0, "0 others");
	world.pod_more = ",\"deletionTimestamp\":\"2024-01-15T09:49:00Z\"";
	asked(KUBE_RESTART_POD, 1, "ending already");
	world.pod_more = "";
	world.owner = "";
	asked(KUBE_RESTART_POD, 1, "nothing that we know keeps");
	world.owner =
		",\"ownerReferences\":[{\"kind\":\"Job\",\"name\":\"j\",\"uid\":\"j\",\"controller\":true}]";
	asked(KUBE_RESTART_POD, 1, "nothing that we know keeps");
	assert_int_equal(kube_change_prepare(kube, KUBE_RESTART_POD, "ns", "../x", NOW_MS, &change,
					     says, sizeof(says)),
			 -EINVAL);
}

static void test_restart_pod_is_bound(void **state)
{
	(void)state;
	asked(KUBE_RESTART_POD, 0, "");
	world.others = 3;
	assert_int_equal(done(), 0);
	assert_int_equal(world.dry, 1);
	assert_int_equal(world.changes, 1);
	assert_string_equal(world.path, "/api/v1/namespaces/ns/pods/web-1");
	assert_non_null(strstr(world.body,
			       "\"preconditions\":{\"uid\":\"u-1\",\"resourceVersion\":\"100\"}"));
	assert_non_null(strstr(world.body, "\"gracePeriodSeconds\":5"));
}

static void test_rollout_needs(void **state)
{
	(void)state;
	asked(KUBE_ROLLOUT_RESTART, 0, "0 of 3 at once");
	world.strategy = "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":1}}";
	asked(KUBE_ROLLOUT_RESTART, 1, "more than a quarter");
	world.replicas = 4;
	asked(KUBE_ROLLOUT_RESTART, 0, "1 of 4");
	world.strategy = "{\"type\":\"Recreate\"}";
	asked(KUBE_ROLLOUT_RESTART, 1, "one after the other");
	world.strategy =
		"{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"900%\"}}";
	world.spec_more = ",\"paused\":true";
	asked(KUBE_ROLLOUT_RESTART, 1, "paused");
}

static void test_scale_needs(void **state)
{
	(void)state;
	asked(KUBE_SCALE, 0, "no autoscaler");
	assert_int_equal(change.after, 5);
	world.replicas = 1;
	asked(KUBE_SCALE, 0, "");
	assert_int_equal(change.after, 2);
	world.replicas = 19;
	asked(KUBE_SCALE, 0, "");
	assert_int_equal(change.after, KUBE_SCALE_MAX);
	world.replicas = 20;
	asked(KUBE_SCALE, 1, "not scaled from there");
	world.replicas = 0;
	asked(KUBE_SCALE, 1, "not scaled from there");
	world.replicas = 2;
	world.autoscalers =
		"{\"items\":[{\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"web\"}}}]}";
	asked(KUBE_SCALE, 1, "an autoscaler owns");
	/* Whoever may not see it does not guess. */
	world.autoscalers = NULL;
	asked(KUBE_SCALE, -EACCES, "may not be listed");
}

static void test_scale_undone(void **state)
{
	(void)state;
	asked(KUBE_SCALE, 0, "");
	assert_int_equal(done(), 0);
	assert_string_equal(world.path, "/apis/apps/v1/namespaces/ns/deployments/web/scale");
	assert_string_equal(
		world.body,
		"{\"spec\":{\"replicas\":5},\"metadata\":{\"resourceVersion\":\"100\"}}");
	world.replicas = 4;
	assert_int_equal(kube_change_undo(kube, &change, says, sizeof(says)), 1);
	assert_int_equal(world.changes, 1);
	world.replicas = 5;
	world.version = 200;
	assert_int_equal(kube_change_undo(kube, &change, says, sizeof(says)), 0);
	assert_string_equal(
		world.body,
		"{\"spec\":{\"replicas\":3},\"metadata\":{\"resourceVersion\":\"200\"}}");
	assert_int_equal(world.changes, 2);
}

static void test_rollback_needs(void **state)
{
	(void)state;
	asked(KUBE_ROLLBACK, 0, "revision 3 of web is 60 min old; revision 2 differs");
	assert_string_equal(change.from, "web-c");
	assert_string_equal(change.to, "web-b");
	/* A restart of all, and what every rollout changes, is no other template. */
	world.before =
		TEMPLATE("2", ",\"annotations\":{\"kubectl.kubernetes.io/restartedAt\":\"x\"}");
	asked(KUBE_ROLLBACK, 1, "no earlier revision that differs");
	world.before = TEMPLATE("1", "");
	world.made = "2024-01-15T03:00:00Z";
	asked(KUBE_ROLLBACK, 1, "longer than 6 h");
	world.made = "yesterday";
	asked(KUBE_ROLLBACK, 1, "longer than 6 h");
}

static void test_rollback_to_the_template_alone(void **state)
{
	(void)state;
	asked(KUBE_ROLLBACK, 0, "");
	assert_int_equal(done(), 0);
	/* Without the hash, which the controller makes anew. */
	assert_string_equal(
		world.body,
		"[{\"op\":\"replace\",\"path\":\"/spec/template\",\"value\":{\"metadata\":{\"labels\":{\"app\":"
		"\"web\"}},\"spec\":{\"v\":1}}},{\"op\":\"replace\",\"path\":\"/metadata/resourceVersion\","
		"\"value\":\"100\"}]");
}

static void test_change_meanwhile(void **state)
{
	(void)state;
	/* Its controller wrote its status. */
	asked(KUBE_ROLLOUT_RESTART, 0, "");
	world.writes_status = true;
	assert_int_equal(done(), 0);
	assert_int_equal(world.changes, 1);
	assert_non_null(strstr(world.body, "\"resourceVersion\":\"101\""));
	/* Somebody changed what it shall be. */
	world.changes = world.dry = 0;
	asked(KUBE_ROLLOUT_RESTART, 0, "");
	world.writes_status = true;
	world.generation++;
	assert_int_equal(done(), -EBUSY);
	assert_int_equal(world.changes, 0);
	assert_non_null(strstr(says, "left alone"));
	/* And for ever is not tried. */
	world.refuse = 409;
	asked(KUBE_ROLLOUT_RESTART, 0, "");
	assert_int_equal(done(), -EBUSY);
}

static void test_change_denied(void **state)
{
	static const enum kube_change_kind kinds[] = { KUBE_RESTART_POD, KUBE_ROLLOUT_RESTART,
						       KUBE_SCALE, KUBE_ROLLBACK };

	(void)state;
	world.refuse = 403;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		asked(kinds[i], 0, "");
		assert_int_equal(done(), -EACCES);
		assert_non_null(strstr(says, "forbidden"));
		assert_non_null(strstr(world.path, "dryRun=All"));
	}
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_restart_pod_needs),
		TEST(test_restart_pod_is_bound),
		TEST(test_rollout_needs),
		TEST(test_scale_needs),
		TEST(test_scale_undone),
		TEST(test_rollback_needs),
		TEST(test_rollback_to_the_template_alone),
		TEST(test_change_meanwhile),
		TEST(test_change_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
