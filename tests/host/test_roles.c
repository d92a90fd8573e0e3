// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two nodes (network namespaces), each with its agent and two of the four services; a detector and
 * two operators in a third. The tests go on from each other's state, in this order.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/roles_world.h"
#include "tests/lib/shop.h"

#define NEEDS_WORLD()             \
	do {                      \
		if (!roles_there) \
			skip();   \
	} while (0)

/* ---- the tests */

static bool edges_joined(void *ctx)
{
	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/graph");
	const cJSON *db = roles_edge(j, "product", "db"), *auth = roles_edge(j, "product", "auth");

	(void)ctx;
	return roles_requests_at(db, "at_server") > 3 && roles_requests_at(db, "at_client") > 3 &&
		roles_requests_at(auth, "at_server") > 3 &&
		roles_requests_at(auth, "at_client") > 3 &&
		roles_requests_at(roles_edge(j, "outside", "product"), "at_server") > 3 &&
		!roles_edge(j, "outside", "db");
}

static void test_roles_one_graph_of_two_nodes(void **state)
{
	(void)state;
	NEEDS_WORLD();
	if (!wait_true(roles_both_live, NULL, 30000) || !wait_true(edges_joined, NULL, 30000)) {
		roles_show_logs();
		CLEANUP(json_freep) cJSON *graph = roles_get(DETECTOR "/v1/graph");
		CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(graph);
		fail_msg("no edge from both ends: %s", text);
	}
	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/services");
	assert_string_equal(json_str(roles_item(j, "items", "name", "db"), "node"), "node-b");
	assert_string_equal(json_str(roles_item(j, "items", "name", "product"), "node"), "node-a");
	assert_string_equal(json_str(roles_item(j, "items", "name", "db"), "node_state"), "live");

	/* What an agent is not asked, it says it does not have. */
	int status;
	cJSON_Delete(roles_ask("GET", "http://10.77.1.2:8006/v1/scores", NULL, BEARER(AGENTS_TOKEN),
			       &status));
	assert_int_equal(status, 503);
}

static int push(const char *const *token, const char *body)
{
	int status;
	const char *headers[] = { "Content-Type: application/json", token ? token[0] : NULL, NULL };

	cJSON_Delete(roles_ask("POST", DETECTOR "/v1/samples", body, headers, &status));
	return status;
}

static void test_roles_samples_are_let_in_by_their_own_token(void **state)
{
	static const char first[] = "{\"version\":1,\"node\":\"node-c\",\"boot\":5,\"seq\":7}";
	static const char second[] = "{\"version\":1,\"node\":\"node-c\",\"boot\":5,\"seq\":6}";
	int status;

	(void)state;
	NEEDS_WORLD();
	assert_int_equal(push(NULL, first), 401);
	assert_int_equal(push(BEARER("a-guess-0123456789"), first), 401);
	assert_int_equal(push(BEARER(DAEMON_TOKEN), first), 401);
	assert_int_equal(push(BEARER(SAMPLES_TOKEN), "{\"version\":1}"), 400);
	assert_int_equal(push(BEARER(SAMPLES_TOKEN), "{\"version\":2}"), 400);
	assert_int_equal(push(BEARER(SAMPLES_TOKEN), first), 200);
	assert_int_equal(push(BEARER(SAMPLES_TOKEN), first), 409);
	assert_int_equal(push(BEARER(SAMPLES_TOKEN), second), 409);
	/* And it opens nothing else. */
	cJSON_Delete(roles_ask("GET", "http://10.77.1.1:8006/v1/services", NULL,
			       BEARER(SAMPLES_TOKEN), &status));
	assert_int_equal(status, 401);

	/* The agent of node-c never comes again, and its clock stood at 1970. */
	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/nodes");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
		roles_item(j, "items", "node", "node-c"), "clock_lies")));
}

static cJSON *newest_incident(const char *url)
{
	char full[80];

	snprintf(full, sizeof(full), "%s/v1/incidents?limit=1", url);
	CLEANUP(json_freep) cJSON *j = roles_get(full);
	return cJSON_DetachItemFromArray(cJSON_GetObjectItemCaseSensitive(j, "items"), 0);
}

static bool is_repaired(void *ctx)
{
	CLEANUP(json_freep) cJSON *i = newest_incident(OPERATOR);

	(void)ctx;
	return !strcmp(json_str(i, "state") ?: "", "repaired");
}

static bool stands_by(void *ctx)
{
	CLEANUP(json_freep) cJSON *j = roles_get(STANDBY "/v1/health");
	CLEANUP(json_textp) char *text = j ? cJSON_PrintUnformatted(j) : NULL;

	(void)ctx;
	return text && strstr(text, "stands by");
}

static void test_roles_db_is_found_and_repaired_by_one_operator(void **state)
{
	static const char *const headers[] = { "Authorization: Bearer " AGENTS_TOKEN,
					       "Content-Type: application/json",
					       "X-Archaic-Request: 1", NULL };
	int status;

	(void)state;
	NEEDS_WORLD();
	roles_operator(1, "8015");
	assert_true(wait_true(stands_by, NULL, 20000));
	uint64_t armed_ns = clock_mono_ns();
	cJSON_Delete(roles_ask("POST", DB_AGENT "/v1/faults",
			       "{\"service\":\"db\",\"type\":\"timeout\",\"delay_ms\":3000}",
			       headers, &status));
	assert_int_equal(status, 201);
	if (!wait_true(is_repaired, NULL, 60000)) {
		roles_show_logs();
		fail_msg("the operator has repaired nothing after 60 s");
	}
	print_message("from arming to verified repair: %.1f s\n",
		      (double)(clock_mono_ns() - armed_ns) / 1e9);
	CLEANUP(json_freep) cJSON *i = newest_incident(OPERATOR);
	const cJSON *root = cJSON_GetObjectItemCaseSensitive(i, "root_cause");
	assert_string_equal(json_str(root, "service"), "db");
	const cJSON *actions = cJSON_GetObjectItemCaseSensitive(i, "actions");
	assert_int_equal(cJSON_GetArraySize(actions), 1);
	assert_string_equal(json_str(cJSON_GetArrayItem(actions, 0), "kind"), "reset_fault");

	CLEANUP(json_freep)
	cJSON *faults = roles_ask("GET", DB_AGENT "/v1/faults", NULL, headers, &status);
	assert_int_equal(status, 200);
	assert_null(roles_item(faults, "items", "state", "armed"));
	assert_non_null(roles_item(faults, "items", "state", "reset"));

	/* The one that stood by has begun nothing. */
	CLEANUP(json_freep) cJSON *other = newest_incident(STANDBY);
	assert_null(other);
}

static const char *const names[] = { "db", "auth", "product", "payment" };

/* The first that is anomalous; NULL: nobody. */
static const char *somebody_is_ill(void)
{
	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/scores");

	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
			    roles_item(j, "items", "service", names[k]), "anomalous")))
			return names[k];
	return NULL;
}

static bool all_are_well(void *ctx)
{
	(void)ctx;
	return !somebody_is_ill();
}

static bool standby_took_over(void *ctx)
{
	(void)ctx;
	return !stands_by(NULL) && http_status("GET", STANDBY "/v1/health", NULL, NULL) == 200;
}

static void test_roles_the_other_operator_takes_over(void **state)
{
	(void)state;
	NEEDS_WORLD();
	roles_end(&roles_operators[0], SIGKILL);
	assert_true(wait_true(standby_took_over, NULL, 10000));
}

static void test_roles_a_gone_node_is_said_and_nobody_blamed(void **state)
{
	int status;

	(void)state;
	NEEDS_WORLD();
	/* What the test before has left has to be over: an anomaly ends after twelve calm ticks. */
	assert_true(wait_true(all_are_well, NULL, 60000));
	CLEANUP(json_freep) cJSON *before = newest_incident(STANDBY);
	roles_end(&roles_agents[1], SIGKILL);
	assert_true(wait_true(roles_node_b_is, (void *)(uintptr_t)"gone", 30000));
	unsigned answers = atomic_load(&roles_answered);

	/* A while of silence; the services go on, only nobody looks at them. */
	uint64_t until_ns = clock_mono_ns() + 8 * NSEC_PER_SEC;
	while (clock_mono_ns() < until_ns) {
		const char *ill = somebody_is_ill();
		if (ill)
			fail_msg("%s is anomalous while nobody looks at node-b", ill);
		nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
	assert_true(atomic_load(&roles_answered) > answers + 10);

	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/services");
	assert_string_equal(json_str(roles_item(j, "items", "name", "db"), "node_state"), "gone");
	assert_string_equal(json_str(roles_item(j, "items", "name", "auth"), "node_state"), "gone");
	assert_string_equal(json_str(roles_item(j, "items", "name", "product"), "node_state"),
			    "live");
	CLEANUP(json_freep) cJSON *health = roles_get(DETECTOR "/v1/health");
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(health);
	assert_non_null(strstr(text, "node node-b is gone"));
	struct http_answer metrics;
	http("GET", DETECTOR "/metrics", NULL, BEARER(DAEMON_TOKEN), &metrics);
	assert_non_null(
		strstr(metrics.body, "archaic_node_state{node=\"node-b\",state=\"gone\"} 1"));
	http_release(&metrics);

	/* No incident of anybody's since; and node-b is taken back as what it was. */
	CLEANUP(json_freep) cJSON *after = newest_incident(STANDBY);
	assert_string_equal(json_str(after, "id") ?: "none", json_str(before, "id") ?: "none");
	roles_agent(1);
	assert_true(wait_true(roles_node_b_is, (void *)(uintptr_t)"live", 30000));
	assert_true(wait_true(edges_joined, NULL, 30000));
	cJSON_Delete(
		roles_ask("GET", DETECTOR "/v1/services/db", NULL, BEARER(DAEMON_TOKEN), &status));
	assert_int_equal(status, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles_one_graph_of_two_nodes),
		cmocka_unit_test(test_roles_samples_are_let_in_by_their_own_token),
		cmocka_unit_test(test_roles_db_is_found_and_repaired_by_one_operator),
		cmocka_unit_test(test_roles_the_other_operator_takes_over),
		cmocka_unit_test(test_roles_a_gone_node_is_said_and_nobody_blamed),
	};

	return cmocka_run_group_tests_name("roles", tests, roles_setup, roles_teardown);
}
