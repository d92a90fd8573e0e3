// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lib/scene.h"

#include <dirent.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/util.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

static const char *const names[SCENE_SERVICES] = { "auth", "db", "product", "payment" };

const char *scene_url(const char *service, const char *path)
{
	static char urls[8][256];
	static unsigned next;
	char *url = urls[next++ % ARRAY_SIZE(urls)];
	unsigned port = 8001;

	for (size_t i = 0; i < ARRAY_SIZE(names) && strcmp(names[i], service) != 0; i++)
		port++;
	snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%u%s", port, path);
	return url;
}

/* ---- start and end */

static bool service_answers(void *url)
{
	return http_status("GET", url, NULL, NULL) == 200;
}

static void start_services(struct scene *s)
{
	static char conf[96], services[80], env_socket[112];
	const char *argv[] = { shop_path("archaic-supervise"),
			       "--run-dir",
			       services,
			       "--cgroup",
			       s->cgroup,
			       "--config",
			       conf,
			       NULL };
	/* Tokens outlive a restart of auth, as in tools/up.sh. */
	const char *env[] = { env_socket, "AUTH_JWT_SECRET=0123456789abcdef0123456789abcdef",
			      NULL };

	snprintf(services, sizeof(services), "%s/services", s->dir);
	snprintf(conf, sizeof(conf), "%s/supervise.conf", services);
	snprintf(env_socket, sizeof(env_socket), "ARCHAIC_SOCKET=%s", s->socket);
	mkdir(services, 0755);
	CLEANUP(fclosep) FILE *f = fopen(conf, "we");
	assert_non_null(f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char binary[32];

		snprintf(binary, sizeof(binary), "%s-service", names[i]);
		fprintf(f, "[%s]\ncommand = %s --port %zu\n", names[i], shop_path(binary),
			8001 + i);
	}
	fflush(f);
	s->supervisor = proc_start(s->log, argv, env);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!wait_true(service_answers, (void *)(uintptr_t)scene_url(names[i], "/health"),
			       20000)) {
			file_show(s->log);
			fail_msg("%s is not healthy after 20 s", names[i]);
		}
}

bool scene_open(struct scene *s, const char *name)
{
	static const char *const needs[] = { "archaic-ebpf",   "archaic-supervise",
					     "archaic-load",   "auth-service",
					     "db-service",     "product-service",
					     "payment-service" };

	*s = (struct scene){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (access(shop_path(needs[i]), X_OK)) {
			printf("SKIP %s: %s is not built\n", name, needs[i]);
			return false;
		}
	if (geteuid() || netns_enter()) {
		printf("SKIP %s: a network namespace needs root\n", name);
		return false;
	}
	curl_global_init(CURL_GLOBAL_ALL);
	snprintf(s->dir, sizeof(s->dir), "/tmp/test-scene-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	chmod(s->dir, 0755);
	snprintf(s->cgroup, sizeof(s->cgroup), "/archaic-test-%d", getpid());
	snprintf(s->socket, sizeof(s->socket), "%s/control.sock", s->dir);
	snprintf(s->log, sizeof(s->log), "%s/daemon.log", s->dir);
	snprintf(s->traffic_log, sizeof(s->traffic_log), "%s/traffic.jsonl", s->dir);
	start_services(s);
	return true;
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);

	for (struct dirent *e; d && (e = readdir(d));) {
		char child[PATH_MAX];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(child, sizeof(child), "%.1000s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_tree(child);
		else
			unlink(child);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

void scene_close(struct scene *s)
{
	if (!*s->dir)
		return;
	if (s->traffic > 0)
		proc_end(s->traffic, SIGINT, 5000);
	s->traffic = 0;
	if (s->daemon > 0) {
		kill(s->daemon, SIGCONT);
		scene_daemon_end(s, SIGTERM);
	}
	if (s->supervisor > 0)
		proc_end(s->supervisor, SIGTERM, 15000);
	s->supervisor = 0;
	cgroup_sweep(s->cgroup);
	if (getenv("ARCHAIC_KEEP"))
		printf("kept: %s\n", s->dir);
	else
		remove_tree(s->dir);
	s->dir[0] = '\0';
}

static bool daemon_decided(void *scene)
{
	const struct scene *s = scene;
	CLEANUP(json_freep) cJSON *j = NULL;
	siginfo_t info = { 0 };

	if (!waitid(P_PID, (id_t)s->daemon, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid)
		return true;
	return scene_api(s, "GET", "/v1/health", NULL, &j) == 200;
}

void scene_daemon(struct scene *s, const char *mode, const char *conf)
{
	char path[80], state[80];
	const char *argv[] = { shop_path("archaic-ebpf"),
			       "run",
			       "--config",
			       path,
			       "--run-dir",
			       s->dir,
			       "--state-dir",
			       state,
			       "--mode",
			       mode,
			       NULL };
	CLEANUP(json_freep) cJSON *j = NULL;

	snprintf(path, sizeof(path), "%s/daemon.conf", s->dir);
	snprintf(state, sizeof(state), "%s/state", s->dir);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%s", conf);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		fprintf(f, "[service %s]\nport = %zu\nsupervised = yes\n", names[i], 8001 + i);
	fclose(f);
	print_message("daemon: run --mode %s, four services by port, and:\n%s", mode, conf);
	s->daemon = proc_start(s->log, argv, NULL);
	wait_true(daemon_decided, s, 30000);
	if (scene_api(s, "GET", "/v1/health", NULL, &j) != 200) {
		scene_show_log(s);
		fail_msg("the daemon does not answer");
	}
}

int scene_set_up(struct scene *s, const char *name, const char *conf)
{
	if (scene_open(s, name))
		scene_daemon(s, "observe", conf);
	return 0;
}

void scene_need(const struct scene *s)
{
	if (!*s->dir)
		skip();
}

int scene_daemon_end(struct scene *s, int sig)
{
	pid_t pid = s->daemon;

	s->daemon = 0;
	return pid > 0 ? proc_end(pid, sig, 10000) : -1;
}

pid_t scene_traffic(const struct scene *s, const char *users, const char *rate)
{
	const char *argv[] = { shop_path("archaic-load"),
			       "run",
			       "steady",
			       "--json-lines",
			       "--slow",
			       "500ms",
			       "--users",
			       users,
			       "--rate",
			       rate,
			       "--duration",
			       "15m",
			       NULL };

	return proc_start(s->traffic_log, argv, NULL);
}

/* ---- asking */

int scene_api(const struct scene *s, const char *method, const char *target, const char *body,
	      cJSON **ret)
{
	static struct http_client *client;
	static const char *const headers[] = { "Content-Type: application/json", NULL };
	struct http_client_response r;
	char url[256];
	const char *why;

	if (!client)
		assert_int_equal(http_client_new(&client), 0);
	snprintf(url, sizeof(url), "http://localhost%s", target);
	struct http_client_request q = { .url = url,
					 .method = method,
					 .unix_socket = s->socket,
					 .body = body,
					 .body_len = body ? strlen(body) : 0,
					 .headers = body ? headers : NULL,
					 .body_max = 8 << 20 };
	int err = http_client_do(client, &q, &r), status = err ? 0 : r.status;
	cJSON *j = NULL;
	if (!err && json_parse(buf_str(&r.body), r.body.len, &j, &why))
		j = NULL;
	http_client_response_release(&r);
	cJSON_Delete(*ret);
	*ret = j;
	return status;
}

int scene_run(const struct scene *s, const char *const *argv, const char **out)
{
	char socket[112];
	const char *env[] = { socket, NULL };

	snprintf(socket, sizeof(socket), "ARCHAIC_SOCKET=%s", s->socket);
	int status = proc_run(argv, env, 20000, out);
	return status < 128 ? status : -1;
}

int scene_cli(const struct scene *s, const char *const *args, const char **out)
{
	const char *argv[16] = { shop_path("archaic-ebpf") };

	for (size_t i = 0; args[i]; i++) {
		assert_true(i + 2 < ARRAY_SIZE(argv));
		argv[i + 1] = args[i];
	}
	return scene_run(s, argv, out);
}

pid_t scene_service_pid(const struct scene *s, const char *name)
{
	char path[96];
	int pid = 0;

	snprintf(path, sizeof(path), "%s/services/%s.pid", s->dir, name);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	return f && fscanf(f, "%d", &pid) == 1 && !kill(pid, 0) ? pid : 0;
}

void scene_fault(const char *service, const char *query)
{
	char path[192];
	struct http_answer a;

	snprintf(path, sizeof(path), "/inject-failure?%s", query);
	http("POST", scene_url(service, path), NULL, NULL, &a);
	if (a.status != 200 || !json_str(a.json, "id") || !json_str(a.json, "says"))
		fail_msg("POST %s of %s: status %d, body %s", path, service, a.status, a.body);
	http_release(&a);
}

bool scene_learned(void *scene)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	const cJSON *det;

	if (scene_api(scene, "GET", "/v1/health", NULL, &j) != 200)
		return false;
	det = cJSON_GetObjectItem(j, "detector");
	return cJSON_IsTrue(cJSON_GetObjectItem(det, "warm")) &&
		cJSON_GetArraySize(cJSON_GetObjectItem(det, "services")) == SCENE_SERVICES;
}

/* An escalated one lives on until its members are calm: what comes meanwhile is still its story. */
static bool is_over(const cJSON *incident)
{
	return json_str(incident, "closed_at") != NULL;
}

bool scene_calm(void *scene)
{
	CLEANUP(json_freep) cJSON *scores = NULL;
	CLEANUP(json_freep) cJSON *incidents = NULL;
	const cJSON *x;

	/* The detector's own page, on TCP. */
	struct http_answer a;
	http("GET", "http://127.0.0.1:8006/scores", NULL, NULL, &a);
	scores = TAKE_PTR(a.json);
	http_release(&a);
	if (a.status != 200 ||
	    cJSON_GetArraySize(cJSON_GetObjectItem(scores, "items")) != SCENE_SERVICES)
		return false;
	cJSON_ArrayForEach(x, cJSON_GetObjectItem(scores, "items"))
		if (cJSON_IsTrue(cJSON_GetObjectItem(x, "anomalous")) ||
		    strcmp(json_str(x, "scorer") ?: "", "none") != 0)
			return false;
	if (scene_api(scene, "GET", "/v1/incidents?limit=10", NULL, &incidents) != 200)
		return false;
	cJSON_ArrayForEach(x, cJSON_GetObjectItem(incidents, "items"))
		if (!is_over(x))
			return false;
	return true;
}

/* ---- incidents */

static unsigned number_of(const cJSON *incident)
{
	unsigned nr = 0;

	return sscanf(json_str(incident, "id") ?: "", "i-%u", &nr) == 1 ? nr : 0;
}

cJSON *scene_incidents(const struct scene *s, unsigned after)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	cJSON *newer = cJSON_CreateArray(), *x;

	if (scene_api(s, "GET", "/v1/incidents?limit=100", NULL, &j) != 200)
		fail_msg("GET /v1/incidents fails");
	cJSON *items = cJSON_GetObjectItem(j, "items");
	for (int i = cJSON_GetArraySize(items) - 1; i >= 0; i--) {
		x = cJSON_GetArrayItem(items, i);
		if (number_of(x) > after)
			cJSON_AddItemToArray(newer, cJSON_DetachItemViaPointer(items, x));
	}
	return newer;
}

unsigned scene_last_incident(const struct scene *s)
{
	CLEANUP(json_freep) cJSON *all = scene_incidents(s, 0);

	return number_of(cJSON_GetArrayItem(all, cJSON_GetArraySize(all) - 1));
}

const char *scene_root(const cJSON *incident)
{
	return json_str(cJSON_GetObjectItem(incident, "root_cause"), "service");
}

bool scene_has_victim(const cJSON *incident, const char *service)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItem(incident, "victims"))
		if (cJSON_IsString(v) && !strcmp(v->valuestring, service))
			return true;
	return false;
}

double scene_ms(const char *time)
{
	struct tm tm = { 0 };
	unsigned ms = 0;

	if (!time ||
	    sscanf(time, "%d-%d-%dT%d:%d:%d.%u", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &ms) < 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (double)timegm(&tm) * 1000 + ms;
}

double scene_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

double scene_event_ms(const cJSON *incident, const char *event, bool first)
{
	const cJSON *e;
	double at = 0;

	cJSON_ArrayForEach(e, cJSON_GetObjectItem(incident, "timeline"))
		if (!strcmp(json_str(e, "event") ?: "", event) && (!first || at == 0))
			at = scene_ms(json_str(e, "at"));
	return at;
}

void scene_show(const cJSON *incident, double from_ms)
{
	const cJSON *e;

	print_message("  incident %s: %s, root cause %s\n", json_str(incident, "id"),
		      json_str(incident, "state"), scene_root(incident) ?: "unknown");
	cJSON_ArrayForEach(
		e, cJSON_GetObjectItem(cJSON_GetObjectItem(incident, "root_cause"), "reasons"))
		print_message("           because     %s\n", cJSON_GetStringValue(e) ?: "?");
	cJSON_ArrayForEach(e, cJSON_GetObjectItem(incident, "timeline"))
		print_message("  %+7.1f  %-14s %s\n",
			      (scene_ms(json_str(e, "at")) - from_ms) / 1000, json_str(e, "event"),
			      json_str(e, "text"));
}

void scene_show_log(const struct scene *s)
{
	CLEANUP(fclosep) FILE *f = fopen(s->log, "re");
	CLEANUP(json_freep) cJSON *j = NULL;
	char line[900];
	const cJSON *x;

	if (f && fseek(f, -8000, SEEK_END))
		rewind(f);
	while (f && fgets(line, sizeof(line), f))
		print_message("  log: %.800s%s", line, strchr(line, '\n') ? "" : "\n");
	if (scene_api(s, "GET", "/v1/faults", NULL, &j) != 200)
		return;
	cJSON_ArrayForEach(x, cJSON_GetObjectItem(j, "items"))
		print_message("  fault %s of %s: %s: %s\n", json_str(x, "id"),
			      json_str(x, "service"), json_str(x, "state"), json_str(x, "says"));
}
