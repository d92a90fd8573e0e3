// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the whole daemon shows and whom it lets in: an injected delay stands at the
 * server's end and at the client's; a second daemon is refused; a caller that is not
 * root may hurt its own service only; and its end leaves nothing.
 */
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/remains.h"
#include "tests/lib/scene.h"
#include "tests/lib/scrape.h"
#include "tests/lib/shop.h"

#define NOBODY 65534
#define DELAY_MS 2000
#define CALLS 6

static const char conf[] = "[observe]\ndiscover = no\n";
static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	return scene_set_up(&scene, "test_daemon_observe", conf);
}

static int tear_down(void **state)
{
	(void)state;
	scene_close(&scene);
	return 0;
}

/* ---- the delay at both ends */

static const char *log_in(void)
{
	static const char who[] = "{\"email\":\"eve@example.com\",\"password\":\"correct horse\"}";
	static char bearer[2048];
	struct http_answer a;

	assert_int_equal(http_status("POST", scene_url("auth", "/signup"), who, NULL), 201);
	http("POST", scene_url("auth", "/login"), who, NULL, &a);
	assert_int_equal(a.status, 200);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
	return bearer;
}

struct counts {
	double all, within_1s, within_2500ms;
};

/* The calls are GETs, what arms the fault is not. */
#define GETS "http_request_method=\"GET\""

/* /metrics is cumulative since the start; over all statuses. @of: whose series. */
static struct counts counts(const char *name, const char *of, const char *and_of)
{
	CLEANUP(freep) char *text = scrape(false);

	return (struct counts){
		.all = scrape_find(text, name, PARTS(of, and_of, GETS, "le=\"+Inf\"")).sum,
		.within_1s = scrape_find(text, name, PARTS(of, and_of, GETS, "le=\"1\"")).sum,
		.within_2500ms = scrape_find(text, name, PARTS(of, and_of, GETS, "le=\"2.5\"")).sum,
	};
}

static struct counts server_counts(void)
{
	return counts("http_server_request_duration_seconds_bucket", "service_name=\"db\"", "");
}

static struct counts client_counts(void)
{
	return counts("http_client_request_duration_seconds_bucket", "service_name=\"product\"",
		      "server_address=\"db\"");
}

static double slow(struct counts c)
{
	return c.all - c.within_1s;
}

/* What a scrape tells is up to a tick old. */
static bool both_have_calls(void *ctx)
{
	(void)ctx;
	return server_counts().all >= CALLS && client_counts().all >= CALLS;
}

static bool both_have_slow_calls(void *ctx)
{
	(void)ctx;
	return slow(server_counts()) >= CALLS && slow(client_counts()) >= CALLS;
}

static const cJSON *edge_of(const cJSON *graph, const char *client, const char *server)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, cJSON_GetObjectItem(graph, "edges"))
		if (!strcmp(json_str(e, "client") ?: "", client) &&
		    !strcmp(json_str(e, "server") ?: "", server))
			return e;
	return NULL;
}

/* p50 of the last seconds at one end; 0: nothing was seen there. */
static double edge_p50_ms(const char *end)
{
	CLEANUP(json_freep) cJSON *graph = NULL;

	assert_int_equal(scene_api(&scene, "GET", "/v1/graph", NULL, &graph), 200);
	return json_num(cJSON_GetObjectItem(edge_of(graph, "product", "db"), end), "p50_ms", 0);
}

static double service_p50_ms(const char *service)
{
	CLEANUP(json_freep) cJSON *s = NULL;
	char target[64];

	snprintf(target, sizeof(target), "/v1/services/%s", service);
	assert_int_equal(scene_api(&scene, "GET", target, NULL, &s), 200);
	return json_num(cJSON_GetObjectItem(s, "latency_ms"), "p50", 0);
}

static pid_t ask_beside(const char *bearer)
{
	pid_t pid = fork();

	if (!pid) {
		const char *headers[] = { bearer, NULL };
		struct http_answer a;
		http("GET", scene_url("product", "/products"), NULL, headers, &a);
		_exit(a.status == 200 && a.took_ms >= DELAY_MS ? 0 : 1);
	}
	return pid;
}

/* A histogram's buckets are an eighth of an octave wide or so. */
static bool is_the_delay(double ms)
{
	return ms > .85 * DELAY_MS && ms < 1.3 * DELAY_MS;
}

static bool shows_everywhere(void *ctx)
{
	(void)ctx;
	return is_the_delay(edge_p50_ms("at_server")) && is_the_delay(edge_p50_ms("at_client")) &&
		is_the_delay(service_p50_ms("db"));
}

static void test_daemon_shows_the_delay_at_both_ends(void **state)
{
	(void)state;
	pid_t asked[CALLS];
	scene_need(&scene);

	const char *bearer = log_in();
	const char *headers[] = { bearer, NULL };
	for (size_t i = 0; i < CALLS; i++)
		assert_int_equal(
			http_status("GET", scene_url("product", "/products"), NULL, headers), 200);
	assert_true(wait_true(both_have_calls, NULL, 3000));
	assert_true(slow(server_counts()) == 0 && slow(client_counts()) == 0);
	assert_true(client_counts().all == CALLS);

	scene_fault("db", "type=timeout&intensity=1&duration=30");
	for (size_t i = 0; i < CALLS; i++)
		asked[i] = ask_beside(bearer);
	for (size_t i = 0; i < CALLS; i++) {
		int status;
		assert_true(waitpid(asked[i], &status, 0) == asked[i]);
		assert_int_equal(status, 0);
	}
	if (!wait_true(shows_everywhere, NULL, 4000))
		fail_msg(
			"product->db takes %.0f ms at the server's end, %.0f ms at the client's; db itself says %.0f ms",
			edge_p50_ms("at_server"), edge_p50_ms("at_client"), service_p50_ms("db"));
	print_message("product->db p50: %.0f ms at the server's end, %.0f ms at the client's\n",
		      edge_p50_ms("at_server"), edge_p50_ms("at_client"));

	/* In db's own server-side histogram and in its client's: above one second and, as a rule, below 2.5. */
	if (!wait_true(both_have_slow_calls, NULL, 3000))
		fail_msg("slow requests: %.0f at db, %.0f at product", slow(server_counts()),
			 slow(client_counts()));
	struct counts at_db = server_counts(), at_product = client_counts();
	assert_true(slow(at_db) == CALLS && slow(at_product) == CALLS);
	assert_true(at_product.all == 2 * CALLS);
	assert_true(at_db.within_2500ms - at_db.within_1s >= CALLS - 1);
	assert_true(at_product.within_2500ms - at_product.within_1s >= CALLS - 1);
	assert_int_equal(http_status("POST", scene_url("db", "/reset"), NULL, NULL), 200);
}

/* ---- who may */

/* The child's exit status: the HTTP status less 200, 250 for no connection. It has moved into @cgroup before. */
static int arm_as(uid_t uid, const char *cgroup, const char *service)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };
		char body[128], text[512], answer[64] = "";

		if (cgroup) {
			int fd = open(cgroup, O_WRONLY | O_CLOEXEC);
			if (fd < 0 || write(fd, "0", 1) != 1)
				_exit(251);
			close(fd);
		}
		if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
			_exit(252);
		snprintf(a.sun_path, sizeof(a.sun_path), "%s", scene.socket);
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
			_exit(250);
		snprintf(body, sizeof(body),
			 "{\"service\":\"%s\",\"type\":\"error\",\"duration_s\":20}", service);
		snprintf(
			text, sizeof(text),
			"POST /v1/faults HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			strlen(body), body);
		if (write(fd, text, strlen(text)) < 0 || read(fd, answer, sizeof(answer) - 1) < 12)
			_exit(253);
		_exit((int)strtol(answer + 9, NULL, 10) - 200);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) + 200 : -1;
}

/* cgroup.procs of db's cgroup, on whichever mount has it. */
static const char *db_procs(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };
	static char path[160];

	for (size_t i = 0; i < ARRAY_SIZE(mounts); i++) {
		snprintf(path, sizeof(path), "%s%s/db/cgroup.procs", mounts[i], scene.cgroup);
		if (!access(path, W_OK))
			return path;
	}
	fail_msg("db has no cgroup below %s", scene.cgroup);
	return NULL;
}

static void test_daemon_lets_a_service_hurt_itself_only(void **state)
{
	(void)state;
	scene_need(&scene);

	/* Not of the group: the socket's own mode keeps it out. */
	assert_int_equal(arm_as(NOBODY, db_procs(), "self"), 450);
	/* As if it were of the group. */
	assert_int_equal(chmod(scene.socket, 0666), 0);
	assert_int_equal(arm_as(NOBODY, db_procs(), "self"), 201);
	assert_int_equal(http_status("GET", scene_url("db", "/products"), NULL, NULL), 500);
	assert_int_equal(http_status("POST", scene_url("auth", "/login"), "{}", NULL), 400);
	assert_int_equal(http_status("POST", scene_url("db", "/reset"), NULL, NULL), 200);

	assert_int_equal(arm_as(NOBODY, db_procs(), "auth"), 403);
	assert_int_equal(arm_as(NOBODY, NULL, "db"), 403);
	int status = arm_as(NOBODY, NULL, "self");
	if (status != 403 && status != 404)
		fail_msg("a process of no service that arms on itself got %d", status);
	assert_int_equal(http_status("POST", scene_url("auth", "/login"), "{}", NULL), 400);
	assert_int_equal(arm_as(0, NULL, "db"), 201);
	CLEANUP(json_freep) cJSON *j = NULL;
	assert_int_equal(scene_api(&scene, "DELETE", "/v1/faults", NULL, &j), 200);
	assert_int_equal(chmod(scene.socket, 0660), 0);
	assert_int_equal(http_status("GET", scene_url("db", "/products"), NULL, NULL), 200);
}

/* ---- one daemon, and its end */

static void test_daemon_is_alone_in_its_namespace(void **state)
{
	(void)state;
	char run[64], store[64];
	const char *args[] = {
		"run",  "--run-dir",       run,    "--state-dir", store, "--port-operator",
		"8015", "--port-detector", "8016", NULL
	};
	const char *says;
	CLEANUP(json_freep) cJSON *j = NULL;
	scene_need(&scene);

	snprintf(run, sizeof(run), "%s/second", scene.dir);
	snprintf(store, sizeof(store), "%s/second-state", scene.dir);
	assert_int_equal(scene_cli(&scene, args, &says), 1);
	print_message("the second: %s", says);
	assert_non_null(
		strstr(says, "another archaic-ebpf run is active in this network namespace"));
	assert_null(strchr(says, '\n')[1] ? says : NULL); /* one line */
	assert_int_equal(scene_api(&scene, "GET", "/v1/health", NULL, &j), 200);
}

static void test_daemon_ends_and_leaves_nothing(void **state)
{
	(void)state;
	static const char *const bodies[] = {
		"{\"service\":\"db\",\"type\":\"timeout\",\"duration_s\":60}",
		"{\"service\":\"auth\",\"type\":\"error\",\"duration_s\":60}",
		"{\"service\":\"product\",\"type\":\"cpu\",\"duration_s\":60}",
		"{\"service\":\"payment\",\"type\":\"loss\",\"params\":{\"percent\":10},\"duration_s\":60}",
	};
	static struct remains remains;
	struct http_answer a;
	scene_need(&scene);

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		CLEANUP(json_freep) cJSON *j = NULL;
		assert_int_equal(scene_api(&scene, "POST", "/v1/faults", bodies[i], &j), 201);
	}
	remains_note(&remains, scene.daemon);
	assert_true(remains_left(&remains, scene.daemon)); /* the check sees what there is to see */
	assert_int_equal(scene_daemon_end(&scene, SIGTERM), 0);
	assert_true(remains_wait(&remains, 0, 3000));
	assert_int_equal(access(scene.socket, F_OK), -1);
	http("GET", scene_url("db", "/products"), NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_true(a.took_ms < 1500);
	http_release(&a);
	assert_int_equal(http_status("GET", scene_url("auth", "/health"), NULL, NULL), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon_shows_the_delay_at_both_ends),
		cmocka_unit_test(test_daemon_lets_a_service_hurt_itself_only),
		cmocka_unit_test(test_daemon_is_alone_in_its_namespace),
		cmocka_unit_test(test_daemon_ends_and_leaves_nothing),
	};

	return cmocka_run_group_tests_name("daemon_observe", tests, set_up, tear_down);
}
