// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole daemon beside what its users run: Prometheus and Alertmanager (Debian's), an OpenTelemetry
 * collector, Jaeger and VictoriaLogs, each with the files of tools/deploy/observability. Minutes, and
 * programs that take longer to build: make test-observability.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "export/sender.h"
#include "tests/lib/partner.h"
#include "tests/lib/scene.h"
#include "tests/lib/scrape.h"
#include "tests/lib/shop.h"

#define HOME "tools/deploy/observability"
#define PROMETHEUS "http://127.0.0.1:9090"
#define ALERTMANAGER "http://127.0.0.1:9093"
#define JAEGER "http://127.0.0.1:16686"
#define JAEGER_OTLP "http://127.0.0.1:14318"
#define LOGS "http://127.0.0.1:9428"
#define TRACE_UUID "7f3c2a10-1111-4222-8333-944455556666"
#define TRACE "7f3c2a10111142228333944455556666"
#define START_MS 60000

static const char conf[] = "[observe]\nsample_every = 1\nnamespace = shop\n"
			   "[otlp]\nendpoint = http://127.0.0.1:4318\n"
			   "[prometheus]\nurl = " PROMETHEUS "\n";

enum { JAEGER_AT, COLLECTOR_AT, VICTORIA_AT, PROMETHEUS_AT, ALERTMANAGER_AT, PYTHON_AT, NR_AT };
static const char *const names[NR_AT] = { "jaeger",     "otelcol",      "victorialogs",
					  "prometheus", "alertmanager", "pyyaml" };
static char paths[NR_AT][256];
static pid_t running[NR_AT];
static struct scene scene;
static char bearer[2048];

/* ---- start and end */

static bool answers(void *url)
{
	return http_status("GET", url, NULL, NULL) == 200;
}

static const char *in_scene(const char *name)
{
	static char text[16][128];
	static unsigned next;
	char *to = text[next++ % ARRAY_SIZE(text)];

	snprintf(to, sizeof(text[0]), "%s/%s", scene.dir, name);
	return to;
}

static void start(int which, const char *const *argv, const char *const *env, const char *url)
{
	char log[32];

	snprintf(log, sizeof(log), "%s.log", names[which]);
	running[which] = proc_start(in_scene(log), argv, env);
	uint64_t from_ns = clock_mono_ns();
	if (!wait_true(answers, (void *)(uintptr_t)url, START_MS)) {
		file_show(in_scene(log));
		fail_msg("%s does not answer at %s", names[which], url);
	}
	print_message("%s answers after %.1f s\n", names[which],
		      (double)(clock_mono_ns() - from_ns) / 1e9);
}

#define START(which, env, url, ...) \
	start(which, (const char *const[]){ paths[which], __VA_ARGS__, NULL }, env, url)

/* The files as they are, but for times: a second for fifteen, five for a minute of patience. */
static void copy_files(void)
{
	const char *said;
	char command[1024];

	snprintf(
		command, sizeof(command),
		"cp -r " HOME "/prometheus " HOME "/alertmanager '%s' && cd '%s' && "
		"sed -i 's/_interval: 15s/_interval: 1s/; s/_timeout: 10s/_timeout: 1s/' prometheus/prometheus.yml && "
		"sed -i 's/for: 1m/for: 5s/' prometheus/rules/alerts.yml && "
		"sed -i 's/group_wait: 5s/group_wait: 1s/' alertmanager/alertmanager.yml",
		scene.dir, scene.dir);
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	if (proc_run(argv, NULL, 5000, &said))
		fail_msg("%s", said);
}

/*
 * Debian's has the place of its templates built in: where it is not installed, it gets a mount
 * namespace in which that place is the unpacked package's.
 */
static void start_alertmanager(const char *config, const char *data)
{
	static const char inside[] = "mount --make-rprivate / && mount --bind \"$0\" /usr/share && "
				     "exec \"$@\"";
	const char *argv[] = { "/usr/bin/unshare",
			       "-m",
			       "/bin/sh",
			       "-c",
			       inside,
			       NULL,
			       paths[ALERTMANAGER_AT],
			       config,
			       data,
			       "--web.listen-address=127.0.0.1:9093",
			       "--cluster.listen-address=",
			       NULL };
	char share[300];
	char *bin;

	snprintf(share, sizeof(share), "%s", paths[ALERTMANAGER_AT]);
	bin = strstr(share, "/bin/prometheus-alertmanager");
	assert_non_null(bin);
	snprintf(bin, sizeof(share) - (size_t)(bin - share), "/share");
	argv[5] = share;
	start(ALERTMANAGER_AT, strcmp(share, "/usr/share") != 0 ? argv : argv + 6, NULL,
	      ALERTMANAGER "/-/ready");
}

static void start_partners(void)
{
	static const char *const collector_env[] = { "OTLP_LISTEN=127.0.0.1:4318",
						     "JAEGER_OTLP=" JAEGER_OTLP, NULL };
	char data[160], config[160], storage[160];

	copy_files();
	START(JAEGER_AT, NULL, JAEGER "/api/services",
	      "--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:14318",
	      "--set=receivers.otlp.protocols.grpc.endpoint=127.0.0.1:14317");
	snprintf(data, sizeof(data), "--storage.tsdb.path=%s", in_scene("tsdb"));
	snprintf(config, sizeof(config), "--config.file=%s", in_scene("prometheus/prometheus.yml"));
	START(PROMETHEUS_AT, NULL, PROMETHEUS "/-/ready", config, data,
	      "--web.listen-address=127.0.0.1:9090");
	snprintf(data, sizeof(data), "--storage.path=%s", in_scene("alerts"));
	snprintf(config, sizeof(config), "--config.file=%s",
		 in_scene("alertmanager/alertmanager.yml"));
	start_alertmanager(config, data);
	snprintf(storage, sizeof(storage), "-storageDataPath=%s", in_scene("logs"));
	START(VICTORIA_AT, NULL, LOGS "/health", storage, "-httpListenAddr=127.0.0.1:9428");
	/* Its port says 404 or 405 to a GET: that it takes what is sent is seen by what arrives. */
	running[COLLECTOR_AT] =
		proc_start(in_scene("otelcol.log"),
			   (const char *const[]){ paths[COLLECTOR_AT], "--config",
						  HOME "/otel-collector/config.yml", NULL },
			   collector_env);
}

static int set_up(void **state)
{
	char lack[512];

	(void)state;
	/* Before the namespace: what is missing is fetched. */
	for (int i = 0; i < NR_AT; i++)
		if (!partner_get(names[i], paths[i], sizeof(paths[i]), lack, sizeof(lack))) {
			printf("SKIP test_partners: %s\n", lack);
			return 0;
		}
	if (!scene_open(&scene, "test_partners"))
		return 0;
	start_partners();
	scene_daemon(&scene, "suggest", conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < NR_AT; i++)
		if (running[i] > 0)
			proc_end(running[i], SIGTERM, 10000);
	scene_close(&scene);
	return 0;
}

static void log_in(void)
{
	static const char who[] = "{\"email\":\"kim@example.com\",\"password\":\"correct horse\"}";
	struct http_answer a;

	http_status("POST", scene_url("auth", "/signup"), who, NULL);
	http("POST", scene_url("auth", "/login"), who, NULL, &a);
	assert_int_equal(a.status, 200);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
		 json_str(a.json, "access_token"));
	http_release(&a);
}

/* ---- Jaeger, through the collector */

struct trace {
	cJSON *json; /* owned */
	size_t spans;
};

static bool trace_is_whole(void *trace)
{
	struct trace *t = trace;
	struct http_answer a;

	http("GET", JAEGER "/api/traces/" TRACE, NULL, NULL, &a);
	cJSON_Delete(t->json);
	t->json = a.json;
	a.json = NULL;
	int status = a.status;
	http_release(&a);
	if (status != 200)
		return false;
	const cJSON *one = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(t->json, "data"), 0);
	t->spans = (size_t)cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(one, "spans"));
	return t->spans >= 5;
}

static const char *tag(const cJSON *span, const char *key)
{
	const cJSON *t;

	cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(span, "tags")) {
		if (!strcmp(json_str(t, "key"), key))
			return json_str(t, "value") ?: "";
	}
	return "";
}

/* The span of @service and @kind ("server", "client") that asks @server. */
static const cJSON *span_of(const cJSON *one, const char *service, const char *kind,
			    const char *server)
{
	const cJSON *s;

	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(one, "spans")) {
		const cJSON *process = cJSON_GetObjectItemCaseSensitive(
			cJSON_GetObjectItemCaseSensitive(one, "processes"),
			json_str(s, "processID"));
		if (!strcmp(json_str(process, "serviceName"), service) &&
		    !strcmp(tag(s, "span.kind"), kind) && !strcmp(tag(s, "server.address"), server))
			return s;
	}
	fail_msg("no %s span of %s to %s", kind, service, server);
	return NULL;
}

static void test_partner_jaeger_has_the_trace(void **state)
{
	const char *headers[] = { bearer, "X-Trace-ID: " TRACE_UUID, NULL };
	struct trace t = { 0 };

	(void)state;
	scene_need(&scene);
	log_in();
	assert_int_equal(http_status("GET", scene_url("product", "/products"), NULL, headers), 200);
	if (!wait_true(trace_is_whole, &t, 30000)) {
		file_show(in_scene("otelcol.log"));
		scene_show_log(&scene);
		fail_msg("Jaeger has %zu spans of the trace", t.spans);
	}
	const cJSON *one = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(t.json, "data"), 0);
	span_of(one, "product", "server", "product");
	span_of(one, "auth", "server", "auth");
	const cJSON *call = span_of(one, "product", "client", "db"),
		    *db = span_of(one, "db", "server", "db");
	const cJSON *parent =
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(db, "references"), 0);
	assert_string_equal(json_str(parent, "refType"), "CHILD_OF");
	assert_string_equal(json_str(parent, "spanID"), json_str(call, "spanID"));
	assert_string_equal(json_str(db, "operationName"), "GET");
	assert_string_equal(tag(db, "url.path"), "/products");
	assert_string_equal(tag(db, "http.request.method"), "GET");
	/* Wall time, in us: it happened within the last minute. */
	double age_s = (double)clock_wall_ms() / 1e3 - json_num(db, "startTime", 0) / 1e6;
	assert_true(age_s > 0 && age_s < 60);
	print_message("Jaeger has %zu spans of the trace\n", t.spans);
	cJSON_Delete(t.json);
}

/* Without a collector between: Jaeger takes our own JSON. */
static void test_partner_jaeger_takes_our_json(void **state)
{
	CLEANUP(sender_freep) struct sender *s = NULL;
	CLEANUP(buf_release) struct buf body = { 0 };
	struct request r = { .seq = 1,
			     .server = 1,
			     .status = 503,
			     .method = ABI_METHOD_GET,
			     .path = "/direct",
			     .start_ns = clock_mono_ns() };
	struct otlp_answer a = { 0 };
	atomic_bool cancel = false;
	struct span span;

	(void)state;
	scene_need(&scene);
	span_make(&r, clock_wall_offset_ns(), 42, &span);
	snprintf(span.server, sizeof(span.server), "direct");
	buf_init(&body, 1 << 16);
	assert_int_equal(otlp_encode(&span, 1, &(struct otlp_resource){ "", "" }, &body), 0);
	assert_int_equal(sender_new(JAEGER_OTLP, "", &s, NULL), 0);
	sender_send(s, body.data, body.len, &cancel, &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.rejected, 0);
	/* It tells a bad one from a good one: the 200 is worth something. */
	static const char bad[] =
		"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"xyz\"}]}]}]}";
	sender_send(s, bad, sizeof(bad) - 1, &cancel, &a);
	assert_int_equal(otlp_judge(&a), OTLP_REFUSED);
}

/* ---- Prometheus, Alertmanager, the operator */

/* What breaks the answer does so behind the server's end: it is product that sees it. */
static void ask_product(int times)
{
	const char *headers[] = { bearer, NULL };

	for (int i = 0; i < times; i++)
		http_status("GET", scene_url("product", "/products"), NULL, headers);
}

static bool has_incident(void *ret)
{
	CLEANUP(json_freep) cJSON *list = scene_incidents(&scene, 0);
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(list);

	ask_product(2);
	usleep(100000);
	*(bool *)ret = strstr(text, "\"alertmanager\"") && strstr(text, "ArchaicCallsFail: ");
	return *(bool *)ret;
}

static void test_partner_alert_becomes_an_incident(void **state)
{
	bool found = false;

	(void)state;
	scene_need(&scene);
	ask_product(20);
	scene_fault("db", "type=error&probability=0.5&duration=120");
	uint64_t from_ns = clock_mono_ns();
	if (!wait_true(has_incident, &found, 90000)) {
		file_show(in_scene("alertmanager.log"));
		file_show(in_scene("prometheus.log"));
		scene_show_log(&scene);
		fail_msg("no incident that names Alertmanager");
	}
	print_message("from the fault to the incident by way of Alertmanager: %.1f s\n",
		      (double)(clock_mono_ns() - from_ns) / 1e9);
}

static void test_partner_queries_are_answered(void **state)
{
	const char *const argv[] = { paths[PYTHON_AT], "tests/observability/check.py", "ask",
				     PROMETHEUS, NULL };
	const char *said;

	(void)state;
	scene_need(&scene);
	int status = proc_run(argv, NULL, 60000, &said);
	print_message("%s", said);
	assert_int_equal(status, 0);
}

/* What the detector passes on is what Prometheus says. */
static void test_partner_prometheus_behind_the_detector(void **state)
{
	struct http_answer a;

	(void)state;
	scene_need(&scene);
	http("GET", "http://127.0.0.1:8006/api/v1/query?query=up", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "archaic-ebpf"));
	http_release(&a);
}

/* ---- logs */

static bool log_is_found(void *unused)
{
	struct http_answer a;

	(void)unused;
	http("GET",
	     LOGS "/select/logsql/query?query=trace_id%3A%3D%22" TRACE_UUID
		  "%22%20service%3A%3D%22product-service%22",
	     NULL, NULL, &a);
	bool ret = a.status == 200 && strstr(a.body, TRACE_UUID);
	http_release(&a);
	return ret;
}

static void test_partner_logs_are_found_by_trace(void **state)
{
	char command[512];
	const char *said;

	(void)state;
	scene_need(&scene);
	snprintf(command, sizeof(command),
		 "cat '%s' '%s'/services/*.log | " HOME "/loki-push.sh '" LOGS
		 "/insert/loki/api/v1/push?_msg_field=message'",
		 scene.log, scene.dir);
	const char *const argv[] = { "/bin/sh", "-c", command, NULL };
	int status = proc_run(argv, NULL, 20000, &said);
	if (status)
		fail_msg("loki-push.sh: status %d, %s", status, said);
	assert_true(wait_true(log_is_found, NULL, 15000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_partner_jaeger_has_the_trace),
		cmocka_unit_test(test_partner_jaeger_takes_our_json),
		cmocka_unit_test(test_partner_alert_becomes_an_incident),
		cmocka_unit_test(test_partner_queries_are_answered),
		cmocka_unit_test(test_partner_prometheus_behind_the_detector),
		cmocka_unit_test(test_partner_logs_are_found_by_trace),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
