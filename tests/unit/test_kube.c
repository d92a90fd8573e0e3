// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Kubernetes client against a stand-in whose answers are written here: what an API says on
 * its bad days. tests/host/test_kube_api.c asks a real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answerer.h"
#include "base/json.h"
#include "base/util.h"
#include "kube/kube.h"

#define HEARD_MAX 16

static struct answerer server;
static atomic_bool cancel;

static struct {
	int status; /* of every answer */
	const char *body;
	const char *raw;
	size_t huge;
	int dry_status;       /* of a dry run, where it differs */
	const char *pages[8]; /* of a list, one after the other */
	unsigned nr;
	struct answerer_request heard[HEARD_MAX];
} script;

static void on_request(void *ctx, const struct answerer_request *q, int fd)
{
	unsigned n = script.nr++;

	(void)ctx;
	if (n < HEARD_MAX)
		script.heard[n] = *q;
	if (script.pages[0])
		answer_whole(fd, 200, script.pages[n < 8 && script.pages[n] ? n : 0]);
	else if (script.dry_status && strstr(q->path, "dryRun=All"))
		answer_whole(fd, script.dry_status, script.body);
	else if (script.huge)
		answer_huge(fd, script.huge);
	else if (script.raw)
		answer_raw(fd, script.raw);
	else if (script.body)
		answer_whole(fd, script.status, script.body);
	else
		answer_silence(fd);
}

static void say(int status, const char *body)
{
	memset(&script, 0, sizeof(script));
	script.status = status;
	script.body = body;
}

static struct kube *client(const char *token_file)
{
	struct kube_config c = { .namespace_ = "archaics" };
	struct kube *k = NULL;

	snprintf(c.server, sizeof(c.server), "http://127.0.0.1:%u", server.port);
	snprintf(c.token_file, sizeof(c.token_file), "%s", token_file);
	assert_int_equal(kube_new(&c, &cancel, &k), 0);
	assert_string_equal(c.server, "");
	return k;
}

static int setup(void **state)
{
	atomic_store(&cancel, false);
	say(200, "{}");
	answerer_tcp(&server, on_request, NULL);
	*state = client("");
	return 0;
}

static int teardown(void **state)
{
	kube_free(*state);
	answerer_stop(&server);
	return 0;
}

static const struct kube_ref pod = { "/api/v1", "archaics", "pods", "db-1", NULL };
static const struct kube_ref pods = { "/api/v1", "archaics", "pods", NULL, NULL };

static void test_kube_paths(void **state)
{
	static const struct kube_ref bad[] = {
		{ "/api/v1", "a/b", "pods", "x", NULL },
		{ "/api/v1", "ns", "pods", "..", NULL },
		{ "/api/v1", "ns", "pods", "x?y", NULL },
		{ "/api/v1", "ns", "pods", "", NULL },
		{ "/api/v1", "ns", "pods", "X", NULL },
		{ "/api/v1", "ns", "pods", "-x", NULL },
		{ "/api/v1", "ns", "pods", "a..b", NULL },
		{ "/api/v1", "ns", "pods", "a.", NULL },
		{ "/api/v1", "ns", "pods", "a-.b", NULL },
		{ "/api/../x", "ns", "pods", "a", NULL },
		{ "/secret", "ns", "pods", "a", NULL },
		{ "/api/v1", "ns", "pods", NULL, "scale" },
		{ "/api/v1", "ns", NULL, "a", NULL },
		{ NULL, "ns", "pods", "a", NULL },
	};
	char path[256], small[8];
	cJSON *j = NULL;

	assert_int_equal(kube_path(&pod, path, sizeof(path)), 0);
	assert_string_equal(path, "/api/v1/namespaces/archaics/pods/db-1");
	assert_int_equal(kube_path(&(struct kube_ref){ "/apis/apps/v1", "ns", "deployments",
						       "a.b-c", "scale" },
				   path, sizeof(path)),
			 0);
	assert_string_equal(path, "/apis/apps/v1/namespaces/ns/deployments/a.b-c/scale");
	assert_int_equal(kube_path(&(struct kube_ref){ "/api/v1", NULL, "nodes", NULL, NULL }, path,
				   sizeof(path)),
			 0);
	assert_string_equal(path, "/api/v1/nodes");
	assert_int_equal(kube_path(&pod, small, sizeof(small)), -EMSGSIZE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(kube_path(&bad[i], path, sizeof(path)), -EINVAL);
		assert_int_equal(kube_get(*state, &bad[i], &j), -EINVAL);
	}
	assert_int_equal(script.nr, 0);
}

static void test_kube_failures(void **state)
{
	static const struct {
		int status, err;
		const char *body;
	} cases[] = {
		{ 400, -EINVAL, "{\"message\":\"bad\"}" },
		{ 401, -EACCES, "{\"message\":\"Unauthorized\"}" },
		{ 403, -EACCES, "{\"message\":\"pods \\\"db-1\\\" is forbidden\"}" },
		{ 404, -ENOENT, "404 page not found" },
		{ 409, -EBUSY, "{}" },
		{ 410, -ESTALE, "[]" },
		{ 422, -EINVAL, "" },
		{ 429, -EAGAIN, "slow down" },
		{ 500, -EIO, "\xff" },
		{ 503, -EIO, "" },
		{ 301, -EIO, "" },
		{ 200, -EPROTO, "" },
		{ 200, -EPROTO, "[]" },
		{ 200, -EPROTO, "{\"a\":1" },
		{ 200, -EPROTO, "{\"a\":1,\"a\":2}" },
	};
	cJSON *j = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		say(cases[i].status, cases[i].body);
		assert_int_equal(kube_get(*state, &pod, &j), cases[i].err);
		assert_int_equal(kube_status(*state), cases[i].status);
		assert_null(j);
		assert_string_not_equal(kube_why(*state), "");
	}
	say(403, "{\"message\":\"pods \\\"db-1\\\" is \\u001b[31mforbidden\"}");
	assert_int_equal(kube_get(*state, &pod, &j), -EACCES);
	assert_string_equal(kube_why(*state),
			    "the API answers 403 to GET: pods \"db-1\" is ?[31mforbidden");
	say(0, "");
	script.raw = "220 smtp ready\r\n\r\n";
	assert_int_equal(kube_get(*state, &pod, &j), -EPROTO);
	say(0, "");
	script.huge = KUBE_BODY_MAX + 1;
	assert_int_equal(kube_get(*state, &pod, &j), -EMSGSIZE);
	say(0, NULL);
	kube_timeout(*state, 100);
	assert_int_equal(kube_get(*state, &pod, &j), -ETIMEDOUT);
	assert_int_equal(kube_status(*state), 0);
	kube_timeout(*state, 10000);
	atomic_store(&cancel, true);
	assert_int_equal(kube_get(*state, &pod, &j), -ECANCELED);
}

/* Nested deeper than the limit: refused before it is parsed. */
static void test_kube_deep(void **state)
{
	char body[256], open[KUBE_DEPTH_MAX + 1] = "", close[KUBE_DEPTH_MAX + 1] = "";
	cJSON *j = NULL;

	memset(open, '[', KUBE_DEPTH_MAX);
	memset(close, ']', KUBE_DEPTH_MAX);
	snprintf(body, sizeof(body), "{\"a\":%s%s}", open, close);
	say(200, body);
	assert_int_equal(kube_get(*state, &pod, &j), -EPROTO);
}

static void test_kube_token_rotates(void **state)
{
	char path[] = "/tmp/token-XXXXXX";
	int fd = mkstemp(path);
	struct kube *k = client(path);
	cJSON *j = NULL;

	(void)state;
	assert_int_equal(write(fd, "one\n", 4), 4);
	assert_int_equal(kube_get(k, &pod, &j), 0);
	cJSON_Delete(j);
	assert_non_null(strstr(script.heard[0].head, "Authorization: Bearer one\r\n"));
	assert_int_equal(pwrite(fd, "two\n", 4, 0), 4);
	assert_int_equal(kube_get(k, &pod, &j), 0);
	cJSON_Delete(j);
	assert_non_null(strstr(script.heard[1].head, "Authorization: Bearer two\r\n"));
	/* Gone: nothing is asked without it. */
	close(fd);
	unlink(path);
	assert_int_equal(kube_get(k, &pod, &j), -ENOENT);
	assert_int_equal(script.nr, 2);
	kube_free(k);
}

static void test_kube_patch(void **state)
{
	CLEANUP(json_freep)
	cJSON *body = cJSON_Parse("{\"spec\":{\"replicas\":3},\"metadata\":{\"x\":1}}");
	CLEANUP(json_freep) cJSON *ret = NULL;

	say(200, "{\"kind\":\"Pod\"}");
	assert_int_equal(kube_patch(*state, &pod, body, "", false, NULL), -EINVAL);
	assert_int_equal(script.nr, 0);
	assert_int_equal(kube_patch(*state, &pod, body, "77", false, &ret), 0);
	assert_int_equal(script.nr, 2);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(script.heard[i].method, "PATCH");
		assert_string_equal(
			script.heard[i].body,
			"{\"spec\":{\"replicas\":3},\"metadata\":{\"x\":1,\"resourceVersion\":\"77\"}}");
		assert_non_null(strstr(script.heard[i].head,
				       "Content-Type: application/merge-patch+json\r\n"));
	}
	assert_string_equal(script.heard[0].path,
			    "/api/v1/namespaces/archaics/pods/db-1?dryRun=All");
	assert_string_equal(script.heard[1].path, "/api/v1/namespaces/archaics/pods/db-1");
	assert_string_equal(json_str(ret, "kind"), "Pod");

	/* Only the dry run. */
	say(200, "{}");
	assert_int_equal(kube_patch(*state, &pod, body, "78", true, NULL), 0);
	assert_int_equal(script.nr, 1);
	assert_non_null(strstr(script.heard[0].body, "\"resourceVersion\":\"78\""));
	/* The dry run is denied: that was all. */
	say(200, "{\"message\":\"forbidden by webhook\"}");
	script.dry_status = 403;
	assert_int_equal(kube_patch(*state, &pod, body, "78", false, NULL), -EACCES);
	assert_int_equal(script.nr, 1);
}

static void test_kube_delete(void **state)
{
	assert_int_equal(kube_delete(*state, &pod, "", "5", -1), -EINVAL);
	assert_int_equal(kube_delete(*state, &pod, "u", "", -1), -EINVAL);
	assert_int_equal(kube_delete(*state, &pods, "u", "5", -1), -EINVAL);
	assert_int_equal(script.nr, 0);
	assert_int_equal(kube_delete(*state, &pod, "u-1", "5", -1), 0);
	assert_int_equal(script.nr, 2);
	assert_string_equal(script.heard[1].method, "DELETE");
	/* In the body: beside one the API does not look at the query, and would delete. */
	assert_non_null(strstr(script.heard[0].body, "\"dryRun\":[\"All\"]"));
	assert_null(strstr(script.heard[1].body, "dryRun"));
	assert_non_null(strstr(script.heard[1].body,
			       "\"preconditions\":{\"uid\":\"u-1\",\"resourceVersion\":\"5\"}"));
	say(409, "{\"message\":\"the UID in the precondition does not match\"}");
	assert_int_equal(kube_delete(*state, &pod, "u-1", "5", -1), -EBUSY);
	assert_int_equal(script.nr, 1);
}

static void test_kube_replace_needs_a_version(void **state)
{
	CLEANUP(json_freep) cJSON *body = cJSON_Parse("{\"metadata\":{}}");

	assert_int_equal(kube_replace(*state, &pod, body, NULL), -EINVAL);
	assert_int_equal(script.nr, 0);
}

static int count(void *ctx, const cJSON *item)
{
	int *n = ctx;

	assert_true(cJSON_IsObject(item));
	return ++*n == 100 ? -EXFULL : 0;
}

static void test_kube_list_pages(void **state)
{
	char version[KUBE_VERSION_MAX] = "";
	int n = 0;

	script.pages[0] = "{\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"a b&c\"},"
			  "\"items\":[{\"a\":1},{\"a\":2}]}";
	script.pages[1] = "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[{\"a\":3}]}";
	assert_int_equal(kube_list(*state, &pods, "app=db,x!=y", count, &n, version), 0);
	assert_int_equal(n, 3);
	assert_string_equal(version, "9");
	assert_string_equal(
		script.heard[0].path,
		"/api/v1/namespaces/archaics/pods?limit=200&labelSelector=app%3Ddb%2Cx%21%3Dy");
	assert_string_equal(script.heard[1].path,
			    "/api/v1/namespaces/archaics/pods?limit=200&labelSelector="
			    "app%3Ddb%2Cx%21%3Dy&continue=a%20b%26c");
}

static void test_kube_list_without_end(void **state)
{
	int n = 0;

	/* Pages without an item would go round for ever. */
	script.pages[0] = "{\"metadata\":{\"continue\":\"x\"},\"items\":[]}";
	assert_int_equal(kube_list(*state, &pods, NULL, count, &n, NULL), -EPROTO);
	assert_int_equal(script.nr, 1);
	/* And with items the taker's no ends it. */
	say(200, "");
	script.pages[0] =
		"{\"metadata\":{\"continue\":\"x\"},\"items\":[{},{},{},{},{},{},{},{},{},{}]}";
	assert_int_equal(kube_list(*state, &pods, NULL, count, &n, NULL), -EXFULL);
	assert_int_equal(script.nr, 10);
	say(200, "");
	script.pages[0] = "{\"items\":7}";
	assert_int_equal(kube_list(*state, &pods, NULL, count, &n, NULL), -EPROTO);
}

static void test_kube_unreachable(void **state)
{
	struct kube_config c = { .server = "http://127.0.0.1:1" };
	struct kube *k = NULL;
	cJSON *j = NULL;

	(void)state;
	assert_int_equal(kube_new(&c, NULL, &k), 0);
	assert_int_equal(kube_get(k, &pod, &j), -EHOSTUNREACH);
	assert_non_null(strstr(kube_why(k), "http://127.0.0.1:1"));
	kube_free(k);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kube_paths),
		TEST(test_kube_failures),
		TEST(test_kube_deep),
		TEST(test_kube_token_rotates),
		TEST(test_kube_patch),
		TEST(test_kube_delete),
		TEST(test_kube_replace_needs_a_version),
		TEST(test_kube_list_pages),
		TEST(test_kube_list_without_end),
		TEST(test_kube_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
