// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two nodes (network namespaces), each with its agent and two of the four services; a detector and
 * two operators in a third. The tests go on from each other's state, in this order.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

#define DAEMON_TOKEN "daemon-token-0123456789"
#define SAMPLES_TOKEN "samples-token-0123456789"
#define AGENTS_TOKEN "agents-token-0123456789"
#define BEARER(token) ((const char *const[]){ "Authorization: Bearer " token, NULL })
#define DETECTOR "http://127.0.0.1:8006"
#define OPERATOR "http://127.0.0.1:8005"
#define STANDBY "http://127.0.0.1:8015"
#define DB_AGENT "http://10.77.2.2:8080"
#define USERS 24 /* each waits for its answer, then half a second: as many ask while db is slow */

static char dir[48];
static pid_t nodes[2], services[4], agents[2], detector, operators[2];
static pthread_t users[USERS];
static size_t nr_users;
static atomic_bool stop;
static atomic_uint answered;
static char user_header[2048];

static const char *in_dir(const char *fmt, ...) PRINTF_LIKE(1, 2);
static const char *in_dir(const char *fmt, ...)
{
	static char paths[32][128];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)], name[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

/* ---- the world */

static void sh(const char *command)
{
	const char *out;

	if (proc_run((const char *const[]){ "/bin/sh", "-ec", command, NULL }, NULL, 10000, &out))
		fail_msg("%s: %s", command, out);
}

static void make_node(size_t i)
{
	char text[700];
	unsigned n = (unsigned)i + 1;

	nodes[i] = proc_start(
		NULL, (const char *const[]){ "/usr/bin/unshare", "-n", "sleep", "1000", NULL },
		NULL);
	snprintf(text, sizeof(text),
		 "a=$(readlink /proc/self/ns/net); n=0; "
		 "until b=$(readlink /proc/%d/ns/net) && [ \"$a\" != \"$b\" ]; do "
		 "n=$((n+1)); [ $n -lt 100 ]; sleep .05; done; "
		 "ip link add v%u type veth peer name eth0 netns %d; "
		 "ip addr add 10.77.%u.1/24 dev v%u; ip link set v%u up; "
		 "nsenter --net=/proc/%d/ns/net sh -ec 'ip link set lo up; "
		 "ip addr add 10.77.%u.2/24 dev eth0; ip link set eth0 up; "
		 "ip route add default via 10.77.%u.1'",
		 nodes[i], n, nodes[i], n, n, n, nodes[i], n, n);
	sh(text);
}

/* Starts a program on a node; nsenter becomes it, so the pid is its own. */
static pid_t on_node(size_t i, const char *log, const char *const *argv, const char *const *env)
{
	char net[48];
	const char *words[40] = { "/usr/bin/nsenter", net, "--" };
	size_t nr = 3;

	snprintf(net, sizeof(net), "--net=/proc/%d/ns/net", nodes[i]);
	while (*argv && nr < ARRAY_SIZE(words) - 1)
		words[nr++] = *argv++;
	return proc_start(log, words, env);
}

static pid_t start_service(size_t node, const char *name, const char *port)
{
	static const char *const env[] = { "AUTH_JWT_SECRET=0123456789abcdef0123456789abcdef",
					   "ARCHAIC_TOKEN=0123456789abcdef0123456789abcdef",
					   "AUTH_SERVICE_URL=http://10.77.2.2:8001",
					   "DB_SERVICE_URL=http://10.77.2.2:8002", NULL };
	char binary[32];

	snprintf(binary, sizeof(binary), "%s-service", name);
	return on_node(node, in_dir("%s.log", name),
		       (const char *const[]){ shop_path(binary), "--listen", "0.0.0.0", "--port",
					      port, NULL },
		       env);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fchmod(fileno(f), 0600);
	fprintf(f, "%s\n", text);
	fclose(f);
}

static void start_agent(size_t i)
{
	char name[8], address[24], url[40];

	snprintf(name, sizeof(name), "node-%c", (char)('a' + i));
	snprintf(address, sizeof(address), "10.77.%zu.2", i + 1);
	snprintf(url, sizeof(url), "http://10.77.%zu.1:8006", i + 1);
	agents[i] = on_node(i, in_dir("%s.log", name),
			    (const char *const[]){ shop_path("archaic-ebpf"),
						   "agent",
						   "--config",
						   in_dir("%s.conf", name),
						   "--run-dir",
						   in_dir("%s", name),
						   "--state-dir",
						   in_dir("%s", name),
						   "--node",
						   name,
						   "--listen",
						   address,
						   "--token-file",
						   in_dir("agents"),
						   "--detector-url",
						   url,
						   "--samples-token-file",
						   in_dir("samples"),
						   "--no-discover",
						   NULL },
			    NULL);
}

static void start_operator(size_t i, const char *port)
{
	operators[i] = proc_start(
		in_dir("operator-%zu.log", i),
		(const char *const[]){ shop_path("archaic-ebpf"), "operator", "--mode", "auto-safe",
				       "--run-dir", in_dir("operator-%zu", i), "--state-dir",
				       in_dir("operator-%zu", i), "--port-operator", port,
				       "--lock-file", in_dir("lock"), "--detector-url", DETECTOR,
				       "--detector-token-file", in_dir("token"),
				       "--agents-token-file", in_dir("agents"), NULL },
		NULL);
}

static void start_daemons(void)
{
	write_file(in_dir("token"), DAEMON_TOKEN);
	write_file(in_dir("samples"), SAMPLES_TOKEN);
	write_file(in_dir("agents"), AGENTS_TOKEN);
	write_file(in_dir("node-a.conf"),
		   "[service product]\nport = 8003\n[service payment]\nport = 8004");
	write_file(in_dir("node-b.conf"), "[service auth]\nport = 8001\n[service db]\nport = 8002");
	detector = proc_start(
		in_dir("detector.log"),
		(const char *const[]){ shop_path("archaic-ebpf"), "detector", "--run-dir",
				       in_dir("detector"), "--state-dir", in_dir("detector"),
				       "--listen", "0.0.0.0", "--token-file", in_dir("token"),
				       "--samples-token-file", in_dir("samples"), NULL },
		NULL);
	start_agent(0);
	start_agent(1);
	start_operator(0, "8005");
}

/* ---- asking */

static cJSON *ask(const char *method, const char *url, const char *body, const char *const *headers,
		  int *status)
{
	struct http_answer a;
	CLEANUP(json_freep) cJSON *copy = NULL;

	http(method, url, body, headers, &a);
	*status = a.status;
	copy = a.json ? cJSON_Duplicate(a.json, true) : NULL;
	http_release(&a);
	return TAKE_PTR(copy);
}

static cJSON *get(const char *url)
{
	int status;

	return ask("GET", url, NULL, BEARER(DAEMON_TOKEN), &status);
}

/* The member of "items" (or of @list) whose @key is @value. Borrowed. */
static const cJSON *item(const cJSON *j, const char *list, const char *key, const char *value)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, cJSON_GetObjectItemCaseSensitive(j, list))
		if (!strcmp(json_str(i, key) ?: "", value))
			return i;
	return NULL;
}

static const char *state_of(const cJSON *nodes_json, const char *node)
{
	return json_str(item(nodes_json, "items", "node", node), "state") ?: "unknown";
}

static bool node_b_is(void *state)
{
	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/nodes");

	return !strcmp(state_of(j, "node-b"), state);
}

static bool both_live(void *ctx)
{
	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/nodes");

	(void)ctx;
	return !strcmp(state_of(j, "node-a"), "live") && !strcmp(state_of(j, "node-b"), "live");
}

static const cJSON *edge(const cJSON *graph, const char *client, const char *server)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(graph, "edges"))
		if (!strcmp(json_str(e, "client") ?: "", client) &&
		    !strcmp(json_str(e, "server") ?: "", server))
			return e;
	return NULL;
}

static double requests_at(const cJSON *e, const char *end)
{
	return json_num(cJSON_GetObjectItemCaseSensitive(e, end), "requests", 0);
}

static void show_logs(void)
{
	file_show(in_dir("detector.log"));
	file_show(in_dir("operator-0.log"));
	file_show(in_dir("node-a.log"));
	file_show(in_dir("node-b.log"));
}

/* ---- traffic */

static void *user(void *ctx)
{
	const char *headers[] = { user_header, NULL };

	(void)ctx;
	while (!atomic_load(&stop)) {
		if (http_status("GET", "http://10.77.1.2:8003/products", NULL, headers) == 200)
			atomic_fetch_add(&answered, 1);
		nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
	return NULL;
}

static bool auth_answers(void *ctx)
{
	(void)ctx;
	return http_status("GET", "http://10.77.2.2:8001/health", NULL, NULL) == 200;
}

static bool shop_answers(void *ctx)
{
	const char *headers[] = { user_header, NULL };

	(void)ctx;
	return http_status("GET", "http://10.77.1.2:8003/products", NULL, headers) == 200;
}

static void start_traffic(void)
{
	static const char who[] = "{\"email\":\"u1@example.org\",\"password\":\"password1\"}";
	static const char *const type[] = { "Content-Type: application/json", NULL };
	int status;

	assert_true(wait_true(auth_answers, NULL, 20000));
	cJSON_Delete(ask("POST", "http://10.77.2.2:8001/signup", who, type, &status));
	CLEANUP(json_freep)
	cJSON *login = ask("POST", "http://10.77.2.2:8001/login", who, type, &status);
	const char *token = json_str(login, "access_token") ?: json_str(login, "token");
	assert_non_null(token);
	snprintf(user_header, sizeof(user_header), "Authorization: Bearer %s", token);
	assert_true(wait_true(shop_answers, NULL, 20000));
	for (; nr_users < USERS; nr_users++)
		assert_int_equal(pthread_create(&users[nr_users], NULL, user, NULL), 0);
}

static bool can_run(void)
{
	static const char *const needs[] = { "archaic-ebpf", "auth-service", "db-service",
					     "product-service", "payment-service" };

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (access(shop_path(needs[i]), X_OK)) {
			printf("SKIP roles: %s is not built\n", needs[i]);
			return false;
		}
	if (geteuid() || netns_enter()) {
		printf("SKIP roles: a network namespace needs root\n");
		return false;
	}
	return true;
}

static bool there; /* the world was made */

static int setup(void **state)
{
	(void)state;
	if (!can_run())
		return 0;
	curl_global_init(CURL_GLOBAL_ALL);
	snprintf(dir, sizeof(dir), "/tmp/test-roles-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	there = true;
	make_node(0);
	make_node(1);
	sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
	services[0] = start_service(1, "auth", "8001");
	services[1] = start_service(1, "db", "8002");
	services[2] = start_service(0, "product", "8003");
	services[3] = start_service(0, "payment", "8004");
	start_daemons();
	start_traffic();
	return 0;
}

static void end(pid_t *pid, int sig)
{
	if (*pid > 0)
		proc_end(*pid, sig, 10000);
	*pid = 0;
}

static int teardown(void **state)
{
	char text[96];

	(void)state;
	if (!there)
		return 0;
	atomic_store(&stop, true);
	for (size_t i = 0; i < nr_users; i++)
		pthread_join(users[i], NULL);
	for (size_t i = 0; i < 2; i++) {
		end(&operators[i], SIGTERM);
		end(&agents[i], SIGTERM);
	}
	end(&detector, SIGTERM);
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		end(&services[i], SIGTERM);
	end(&nodes[0], SIGKILL);
	end(&nodes[1], SIGKILL);
	snprintf(text, sizeof(text), "rm -rf '%s'", dir);
	sh(text);
	return 0;
}

#define NEEDS_WORLD()           \
	do {                    \
		if (!there)     \
			skip(); \
	} while (0)

/* ---- the tests */

static bool edges_joined(void *ctx)
{
	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/graph");
	const cJSON *db = edge(j, "product", "db"), *auth = edge(j, "product", "auth");

	(void)ctx;
	return requests_at(db, "at_server") > 3 && requests_at(db, "at_client") > 3 &&
		requests_at(auth, "at_server") > 3 && requests_at(auth, "at_client") > 3 &&
		requests_at(edge(j, "outside", "product"), "at_server") > 3 &&
		!edge(j, "outside", "db");
}

static void test_roles_one_graph_of_two_nodes(void **state)
{
	(void)state;
	NEEDS_WORLD();
	if (!wait_true(both_live, NULL, 30000) || !wait_true(edges_joined, NULL, 30000)) {
		show_logs();
		CLEANUP(json_freep) cJSON *graph = get(DETECTOR "/v1/graph");
		CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(graph);
		fail_msg("no edge from both ends: %s", text);
	}
	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/services");
	assert_string_equal(json_str(item(j, "items", "name", "db"), "node"), "node-b");
	assert_string_equal(json_str(item(j, "items", "name", "product"), "node"), "node-a");
	assert_string_equal(json_str(item(j, "items", "name", "db"), "node_state"), "live");

	/* What an agent is not asked, it says it does not have. */
	int status;
	cJSON_Delete(
		ask("GET", "http://10.77.1.2:8006/v1/scores", NULL, BEARER(AGENTS_TOKEN), &status));
	assert_int_equal(status, 503);
}

static int push(const char *const *token, const char *body)
{
	int status;
	const char *headers[] = { "Content-Type: application/json", token ? token[0] : NULL, NULL };

	cJSON_Delete(ask("POST", DETECTOR "/v1/samples", body, headers, &status));
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
	cJSON_Delete(ask("GET", "http://10.77.1.1:8006/v1/services", NULL, BEARER(SAMPLES_TOKEN),
			 &status));
	assert_int_equal(status, 401);

	/* The agent of node-c never comes again, and its clock stood at 1970. */
	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/nodes");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
		item(j, "items", "node", "node-c"), "clock_lies")));
}

static cJSON *newest_incident(const char *url)
{
	char full[80];

	snprintf(full, sizeof(full), "%s/v1/incidents?limit=1", url);
	CLEANUP(json_freep) cJSON *j = get(full);
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
	CLEANUP(json_freep) cJSON *j = get(STANDBY "/v1/health");
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
	start_operator(1, "8015");
	assert_true(wait_true(stands_by, NULL, 20000));
	uint64_t armed_ns = clock_mono_ns();
	cJSON_Delete(ask("POST", DB_AGENT "/v1/faults",
			 "{\"service\":\"db\",\"type\":\"timeout\",\"delay_ms\":3000}", headers,
			 &status));
	assert_int_equal(status, 201);
	if (!wait_true(is_repaired, NULL, 60000)) {
		show_logs();
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
	cJSON *faults = ask("GET", DB_AGENT "/v1/faults", NULL, headers, &status);
	assert_int_equal(status, 200);
	assert_null(item(faults, "items", "state", "armed"));
	assert_non_null(item(faults, "items", "state", "reset"));

	/* The one that stood by has begun nothing. */
	CLEANUP(json_freep) cJSON *other = newest_incident(STANDBY);
	assert_null(other);
}

static const char *const names[] = { "db", "auth", "product", "payment" };

/* The first that is anomalous; NULL: nobody. */
static const char *somebody_is_ill(void)
{
	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/scores");

	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
			    item(j, "items", "service", names[k]), "anomalous")))
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
	end(&operators[0], SIGKILL);
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
	end(&agents[1], SIGKILL);
	assert_true(wait_true(node_b_is, (void *)(uintptr_t)"gone", 30000));
	unsigned answers = atomic_load(&answered);

	/* A while of silence; the services go on, only nobody looks at them. */
	uint64_t until_ns = clock_mono_ns() + 8 * NSEC_PER_SEC;
	while (clock_mono_ns() < until_ns) {
		const char *ill = somebody_is_ill();
		if (ill)
			fail_msg("%s is anomalous while nobody looks at node-b", ill);
		nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
	assert_true(atomic_load(&answered) > answers + 10);

	CLEANUP(json_freep) cJSON *j = get(DETECTOR "/v1/services");
	assert_string_equal(json_str(item(j, "items", "name", "db"), "node_state"), "gone");
	assert_string_equal(json_str(item(j, "items", "name", "auth"), "node_state"), "gone");
	assert_string_equal(json_str(item(j, "items", "name", "product"), "node_state"), "live");
	CLEANUP(json_freep) cJSON *health = get(DETECTOR "/v1/health");
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
	start_agent(1);
	assert_true(wait_true(node_b_is, (void *)(uintptr_t)"live", 30000));
	assert_true(wait_true(edges_joined, NULL, 30000));
	cJSON_Delete(ask("GET", DETECTOR "/v1/services/db", NULL, BEARER(DAEMON_TOKEN), &status));
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

	return cmocka_run_group_tests_name("roles", tests, setup, teardown);
}
