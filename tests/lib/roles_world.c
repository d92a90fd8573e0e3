// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lib/roles_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <curl/curl.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

/* Each waits for its answer, then up to 3 s: a pause of one length would have all of them ask at once while db is slow. */
#define USERS 32

static char dir[48];
static pid_t nodes[2], services[4], detector;
pid_t roles_agents[2], roles_operators[2];
static pthread_t users[USERS];
static size_t nr_users;
static atomic_bool stop;
atomic_uint roles_answered;
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

void roles_agent(size_t i)
{
	char name[8], address[24], url[40];

	snprintf(name, sizeof(name), "node-%c", (char)('a' + i));
	snprintf(address, sizeof(address), "10.77.%zu.2", i + 1);
	snprintf(url, sizeof(url), "http://10.77.%zu.1:8006", i + 1);
	roles_agents[i] = on_node(i, in_dir("%s.log", name),
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

void roles_operator(size_t i, const char *port)
{
	roles_operators[i] = proc_start(
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
	roles_agent(0);
	roles_agent(1);
	roles_operator(0, "8005");
}

/* ---- asking */

cJSON *roles_ask(const char *method, const char *url, const char *body, const char *const *headers,
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

cJSON *roles_get(const char *url)
{
	int status;

	return roles_ask("GET", url, NULL, BEARER(DAEMON_TOKEN), &status);
}

/* The member of "items" (or of @list) whose @key is @value. Borrowed. */
const cJSON *roles_item(const cJSON *j, const char *list, const char *key, const char *value)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, cJSON_GetObjectItemCaseSensitive(j, list))
		if (!strcmp(json_str(i, key) ?: "", value))
			return i;
	return NULL;
}

static const char *state_of(const cJSON *nodes_json, const char *node)
{
	return json_str(roles_item(nodes_json, "items", "node", node), "state") ?: "unknown";
}

bool roles_node_b_is(void *state)
{
	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/nodes");

	return !strcmp(state_of(j, "node-b"), state);
}

bool roles_both_live(void *ctx)
{
	CLEANUP(json_freep) cJSON *j = roles_get(DETECTOR "/v1/nodes");

	(void)ctx;
	return !strcmp(state_of(j, "node-a"), "live") && !strcmp(state_of(j, "node-b"), "live");
}

const cJSON *roles_edge(const cJSON *graph, const char *client, const char *server)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(graph, "edges"))
		if (!strcmp(json_str(e, "client") ?: "", client) &&
		    !strcmp(json_str(e, "server") ?: "", server))
			return e;
	return NULL;
}

double roles_requests_at(const cJSON *e, const char *roles_end)
{
	return json_num(cJSON_GetObjectItemCaseSensitive(e, roles_end), "requests", 0);
}

void roles_show_logs(void)
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
	unsigned seed = (unsigned)(uintptr_t)ctx;

	while (!atomic_load(&stop)) {
		if (http_status("GET", "http://10.77.1.2:8003/products", NULL, headers) == 200)
			atomic_fetch_add(&roles_answered, 1);
		unsigned ms = 100 + (unsigned)rand_r(&seed) % 2900;
		nanosleep(&(struct timespec){ .tv_sec = ms / 1000,
					      .tv_nsec = ms % 1000 * 1000000L },
			  NULL);
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
	cJSON_Delete(roles_ask("POST", "http://10.77.2.2:8001/signup", who, type, &status));
	CLEANUP(json_freep)
	cJSON *login = roles_ask("POST", "http://10.77.2.2:8001/login", who, type, &status);
	const char *token = json_str(login, "access_token") ?: json_str(login, "token");
	assert_non_null(token);
	snprintf(user_header, sizeof(user_header), "Authorization: Bearer %s", token);
	assert_true(wait_true(shop_answers, NULL, 20000));
	for (; nr_users < USERS; nr_users++)
		assert_int_equal(
			pthread_create(&users[nr_users], NULL, user, (void *)(nr_users + 1)), 0);
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

bool roles_there;

int roles_setup(void **state)
{
	(void)state;
	if (!can_run())
		return 0;
	curl_global_init(CURL_GLOBAL_ALL);
	snprintf(dir, sizeof(dir), "/tmp/test-roles-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	roles_there = true;
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

void roles_end(pid_t *pid, int sig)
{
	if (*pid > 0)
		proc_end(*pid, sig, 10000);
	*pid = 0;
}

int roles_teardown(void **state)
{
	char text[96];

	(void)state;
	if (!roles_there)
		return 0;
	atomic_store(&stop, true);
	for (size_t i = 0; i < nr_users; i++)
		pthread_join(users[i], NULL);
	for (size_t i = 0; i < 2; i++) {
		roles_end(&roles_operators[i], SIGTERM);
		roles_end(&roles_agents[i], SIGTERM);
	}
	roles_end(&detector, SIGTERM);
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		roles_end(&services[i], SIGTERM);
	roles_end(&nodes[0], SIGKILL);
	roles_end(&nodes[1], SIGKILL);
	snprintf(text, sizeof(text), "rm -rf '%s'", dir);
	sh(text);
	return 0;
}
