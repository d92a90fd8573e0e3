// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Lease against a stand-in that keeps one, with resourceVersions and conflicts as the API has them.
 * Time is given in. tests/host/test_kube_api.c holds two candidates against a real API server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answerer.h"
#include "base/json.h"
#include "base/util.h"
#include "kube/kube_lease.h"

#define S 1000000000ULL

static struct answerer server;
static struct {
	pthread_mutex_t lock;
	cJSON *lease; /* NULL: there is none */
	unsigned version;
	int refuse;           /* every call is answered with this status */
	bool meddle;          /* somebody writes between our reading and our writing */
	unsigned writes, dry; /* writes in earnest, and others */
} store = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void stamp(cJSON *lease)
{
	char text[16];
	cJSON *meta = cJSON_GetObjectItemCaseSensitive(lease, "metadata");

	snprintf(text, sizeof(text), "%u", ++store.version);
	cJSON_DeleteItemFromObjectCaseSensitive(meta, "resourceVersion");
	cJSON_AddStringToObject(meta, "resourceVersion", text);
}

static void answer_lease(int fd, int status)
{
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(store.lease);

	answer_whole(fd, status, text);
}

static void on_post(const struct answerer_request *q, cJSON *body, int fd)
{
	if (strstr(q->path, "dryRun=All")) {
		store.dry++;
		answer_whole(fd, 201, q->body);
		cJSON_Delete(body);
	} else if (store.lease) {
		answer_whole(fd, 409, "{\"message\":\"leases \\\"l\\\" already exists\"}");
		cJSON_Delete(body);
	} else {
		store.writes++;
		stamp(body);
		store.lease = body;
		answer_lease(fd, 201);
	}
}

static void on_put(cJSON *body, int fd)
{
	if (store.meddle)
		stamp(store.lease);
	if (strcmp(kube_meta(body, "resourceVersion"), kube_meta(store.lease, "resourceVersion"))) {
		answer_whole(fd, 409, "{\"message\":\"the object has been modified\"}");
		cJSON_Delete(body);
		return;
	}
	store.writes++;
	cJSON_Delete(store.lease);
	store.lease = body;
	stamp(body);
	answer_lease(fd, 200);
}

static void on_request(void *ctx, const struct answerer_request *q, int fd)
{
	cJSON *body = NULL;
	const char *why;

	(void)ctx;
	pthread_mutex_lock(&store.lock);
	if (q->body_len)
		(void)json_parse(q->body, q->body_len, &body, &why);
	if (store.refuse) {
		cJSON_Delete(body);
		answer_whole(fd, store.refuse, "{\"message\":\"no\"}");
	} else if (!strcmp(q->method, "POST")) {
		on_post(q, body, fd);
	} else if (!store.lease) {
		cJSON_Delete(body);
		answer_whole(fd, 404, "{\"message\":\"leases \\\"l\\\" not found\"}");
	} else if (!strcmp(q->method, "PUT")) {
		on_put(body, fd);
	} else {
		answer_lease(fd, 200);
	}
	pthread_mutex_unlock(&store.lock);
}

static struct kube *client(void)
{
	struct kube_config c = { 0 };
	struct kube *k = NULL;

	snprintf(c.server, sizeof(c.server), "http://127.0.0.1:%u", server.port);
	assert_int_equal(kube_new(&c, NULL, &k), 0);
	return k;
}

static int setup(void **state)
{
	answerer_tcp(&server, on_request, NULL);
	*state = client();
	return 0;
}

static int teardown(void **state)
{
	kube_free(*state);
	answerer_stop(&server);
	cJSON_Delete(store.lease);
	store.lease = NULL;
	store.refuse = 0;
	store.meddle = false;
	store.writes = store.dry = 0;
	return 0;
}

static struct kube_lease candidate(const char *identity)
{
	struct kube_lease l;

	assert_int_equal(kube_lease_init(&l, "archaics", "operator", identity, 15), 0);
	return l;
}

static void test_kube_lease_one_of_two(void **state)
{
	struct kube_lease a = candidate("a-1"), b = candidate("b-2");
	const uint64_t t = 100 * S;

	assert_false(kube_lease_held(&a, t));
	assert_int_equal(kube_lease_step(*state, &a, t, 1700000000123), 0);
	assert_true(kube_lease_held(&a, t));
	assert_int_equal(store.dry, 1);
	assert_string_equal(json_str(kube_at(store.lease, "spec", NULL), "renewTime"),
			    "2023-11-14T22:13:20.123000Z");
	assert_int_equal(kube_lease_step(*state, &b, t + S, 0), 0);
	assert_false(kube_lease_held(&b, t + S));

	/* Renewed in time, for as long as one likes. */
	for (uint64_t at = t + 2 * S; at < t + 60 * S; at += 2 * S) {
		assert_int_equal(kube_lease_step(*state, &a, at, 0), 0);
		assert_int_equal(kube_lease_step(*state, &b, at + S, 0), 0);
		assert_true(kube_lease_held(&a, at + S));
		assert_false(kube_lease_held(&b, at + S));
	}
	assert_int_equal(json_num(kube_at(store.lease, "spec", NULL), "leaseTransitions", -1), 0);
}

/* The old leader has stopped taking itself for one before the new one may begin. */
static void test_kube_lease_taken_over(void **state)
{
	struct kube_lease a = candidate("a-1"), b = candidate("b-2");
	const uint64_t t = 100 * S;

	assert_int_equal(kube_lease_step(*state, &a, t, 0), 0);
	assert_int_equal(kube_lease_step(*state, &b, t + S, 0), 0);
	assert_true(kube_lease_held(&a, t + 9 * S));
	assert_false(kube_lease_held(&a, t + 10 * S));
	assert_int_equal(kube_lease_step(*state, &b, t + 15 * S, 0), 0);
	assert_false(kube_lease_held(&b, t + 15 * S)); /* seen for 14 s only */
	assert_int_equal(kube_lease_step(*state, &b, t + 16 * S, 0), 0);
	assert_true(kube_lease_held(&b, t + 16 * S));
	assert_int_equal(json_num(kube_at(store.lease, "spec", NULL), "leaseTransitions", -1), 1);
	/* It comes back, and finds itself out. */
	assert_int_equal(kube_lease_step(*state, &a, t + 17 * S, 0), 0);
	assert_false(kube_lease_held(&a, t + 17 * S));
}

static void test_kube_lease_release(void **state)
{
	struct kube_lease a = candidate("a-1"), b = candidate("b-2");
	const uint64_t t = 100 * S;

	assert_int_equal(kube_lease_step(*state, &a, t, 0), 0);
	/* Another's is not ours to give back. */
	assert_int_equal(kube_lease_release(*state, &b, t + S, 0), 0);
	assert_string_equal(json_str(kube_at(store.lease, "spec", NULL), "holderIdentity"), "a-1");
	assert_int_equal(kube_lease_release(*state, &a, t + S, 0), 0);
	assert_false(kube_lease_held(&a, t + S));
	assert_int_equal(kube_lease_step(*state, &b, t + 2 * S, 0), 0);
	assert_true(kube_lease_held(&b, t + 2 * S));
}

static void test_kube_lease_conflict(void **state)
{
	struct kube_lease a = candidate("a-1");
	const uint64_t t = 100 * S;

	assert_int_equal(kube_lease_step(*state, &a, t, 0), 0);
	store.meddle = true;
	assert_int_equal(kube_lease_step(*state, &a, t + 5 * S, 0), -EBUSY);
	/* As long as it was, not longer. */
	assert_true(kube_lease_held(&a, t + 9 * S));
	assert_false(kube_lease_held(&a, t + 10 * S));
}

static void test_kube_lease_refused(void **state)
{
	struct kube_lease a = candidate("a-1");
	const uint64_t t = 100 * S;

	store.refuse = 403;
	assert_int_equal(kube_lease_step(*state, &a, t, 0), -EACCES);
	assert_false(kube_lease_held(&a, t));
	store.refuse = 0;
	assert_int_equal(kube_lease_step(*state, &a, t, 0), 0);
	store.refuse = 500;
	assert_int_equal(kube_lease_step(*state, &a, t + 2 * S, 0), -EIO);
	assert_true(kube_lease_held(&a, t + 9 * S));
	assert_false(kube_lease_held(&a, t + 10 * S));
}

/* Whatever stands in a Lease: nobody leads because of it, nothing breaks. */
static void test_kube_lease_strange(void **state)
{
	static const char *const leases[] = {
		"{\"metadata\":{\"resourceVersion\":\"1\"}}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":7}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"holderIdentity\":\"x\","
		"\"leaseDurationSeconds\":-5,\"leaseTransitions\":1e300}}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"holderIdentity\":\"x\","
		"\"leaseDurationSeconds\":1e300}}",
		"{\"spec\":{\"holderIdentity\":\"a-1\"}}",
	};
	static const bool leads[] = { true, true, false, false, false };
	const uint64_t t = 100 * S;

	for (size_t i = 0; i < ARRAY_SIZE(leases); i++) {
		struct kube_lease a = candidate("a-1");

		cJSON_Delete(store.lease);
		store.lease = cJSON_Parse(leases[i]);
		(void)kube_lease_step(*state, &a, t, 0);
		assert_int_equal(kube_lease_held(&a, t), leads[i]);
	}
}

static void test_kube_lease_names(void **state)
{
	struct kube_lease l;

	(void)state;
	assert_int_equal(kube_lease_init(&l, "../x", "l", "a", 15), -EINVAL);
	assert_int_equal(kube_lease_init(&l, "ns", "L", "a", 15), -EINVAL);
	assert_int_equal(kube_lease_init(&l, "ns", "l", "", 15), -EINVAL);
	assert_int_equal(kube_lease_init(&l, "ns", "l", "a", 1000000), -EINVAL);
	assert_int_equal(kube_lease_init(&l, "ns", "l", "a", 0), 0);
	assert_int_equal(l.duration_s, KUBE_LEASE_DURATION_S);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kube_lease_one_of_two), TEST(test_kube_lease_taken_over),
		TEST(test_kube_lease_release),    TEST(test_kube_lease_conflict),
		TEST(test_kube_lease_refused),    TEST(test_kube_lease_strange),
		TEST(test_kube_lease_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
