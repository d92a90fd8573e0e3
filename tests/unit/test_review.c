// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whose is an agent's token? The API is a stand-in, whose answers are made to measure; the form of
 * question and answer is authentication.k8s.io/v1's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "run_roles.h"
#include "tests/lib/answerer.h"

static struct answerer api;
static atomic_uint asked, status = 201;
static struct config config;
static struct daemon *d;
static char kubeconfig[64];

static void answer(void *ctx, const struct answerer_request *q, int fd)
{
	char body[400];
	const char *user = strstr(q->body, "agents-own") ? "system:serviceaccount:archaics:agent" :
							   "system:serviceaccount:archaics:other";

	(void)ctx;
	/* kube.h asks everything with dryRun first. */
	if (!strstr(q->path, "dryRun"))
		atomic_fetch_add(&asked, 1);
	assert_int_equal(strncmp(q->path, "/apis/authentication.k8s.io/v1/tokenreviews", 43), 0);
	snprintf(
		body, sizeof(body),
		"{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":%s,\"user\":{\"username\":\"%s\"}}}",
		strstr(q->body, "forged") ? "false" : "true", user);
	answer_whole(fd, (int)atomic_load(&status), body);
}

static int setup(void **state)
{
	(void)state;
	answerer_tcp(&api, answer, NULL);
	snprintf(kubeconfig, sizeof(kubeconfig), "/tmp/test-review-%d.conf", getpid());
	FILE *f = fopen(kubeconfig, "we");
	assert_non_null(f);
	fprintf(f,
		"{\"apiVersion\":\"v1\",\"kind\":\"Config\",\"current-context\":\"c\","
		"\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"http://127.0.0.1:%u\"}}],"
		"\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"ours\"}}],"
		"\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\",\"user\":\"u\"}}]}",
		api.port);
	fclose(f);
	setenv("KUBECONFIG", kubeconfig, 1);
	snprintf(config.roles.token_review, sizeof(config.roles.token_review), "archaics:agent");
	d = calloc(1, sizeof(*d));
	d->config = &config;
	return review_open(d);
}

static int teardown(void **state)
{
	(void)state;
	review_close(d);
	free(d);
	answerer_stop(&api);
	unlink(kubeconfig);
	return 0;
}

static void test_review_takes_the_agents_account_alone(void **state)
{
	(void)state;
	assert_true(op_vouched(d, "Bearer agents-own"));
	assert_false(op_vouched(d, "Bearer of-somebody-else"));
	assert_false(op_vouched(d, "Bearer agents-own-forged"));
	assert_false(op_vouched(d, "Basic agents-own"));
	assert_int_equal(atomic_load(&asked), 3);
}

static void test_review_asks_once_for_a_while(void **state)
{
	unsigned before = atomic_load(&asked);

	(void)state;
	assert_true(op_vouched(d, "Bearer agents-own"));
	assert_false(op_vouched(d, "Bearer of-somebody-else"));
	assert_int_equal(atomic_load(&asked), before);
}

static void test_review_without_an_answer_is_a_no_that_is_not_kept(void **state)
{
	(void)state;
	atomic_store(&status, 403);
	assert_false(op_vouched(d, "Bearer agents-own-2"));
	atomic_store(&status, 201);
	assert_true(op_vouched(d, "Bearer agents-own-2"));
}

static void test_review_reads_what_an_api_might_say(void **state)
{
	static const char *const no[] = {
		"{}",
		"{\"status\":{}}",
		"{\"status\":{\"authenticated\":true}}",
		"{\"status\":{\"authenticated\":\"true\",\"user\":{\"username\":\"u\"}}}",
		"{\"status\":{\"user\":{\"username\":\"u\"}}}",
		"{\"status\":{\"authenticated\":true,\"user\":{\"username\":\"u2\"}}}",
		"{\"status\":{\"authenticated\":true,\"user\":{\"username\":7}}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		CLEANUP(json_freep) cJSON *j = cJSON_Parse(no[i]);
		assert_non_null(j);
		assert_false(review_says_yes(j, "u"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_review_takes_the_agents_account_alone),
		cmocka_unit_test(test_review_asks_once_for_a_while),
		cmocka_unit_test(test_review_without_an_answer_is_a_no_that_is_not_kept),
		cmocka_unit_test(test_review_reads_what_an_api_might_say),
	};

	return cmocka_run_group_tests_name("review", tests, setup, teardown);
}
