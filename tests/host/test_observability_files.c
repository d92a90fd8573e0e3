// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is handed to Prometheus, Alertmanager, Grafana, Loki and people: it is valid, its rules do
 * what they say, and it names only what /metrics can hold. Real servers: make test-observability.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "serve/metrics_family.h"
#include "tests/lib/partner.h"

#define HOME "tools/deploy/observability/"
#define BOARDS HOME "grafana/dashboards/"

static char promtool[256], python[256], amtool[300], tsc[256];

/* false: told why, and to be skipped. */
static bool got(const char *name, const char *test, char *path, size_t size)
{
	char lack[512];

	if (*path || partner_get(name, path, size, lack, sizeof(lack)))
		return true;
	print_message("SKIP %s: %s\n", test, lack);
	return false;
}

/* Runs it; its output, in static memory. Fails where its status is another. */
static const char *run(int status, const char *const argv[])
{
	static char said[1 << 16];
	struct child c;

	child_start(&c, argv, true);
	child_read(&c, said, sizeof(said));
	int was = child_end(&c);
	if (was != status)
		fail_msg("%s %s: status %d\n%s", argv[0], argv[1], was, said);
	return said;
}

#define RUN(status, ...) run(status, (const char *const[]){ __VA_ARGS__, NULL })

static void test_files_prometheus_takes_them(void **state)
{
	(void)state;
	if (!got("promtool", __func__, promtool, sizeof(promtool)))
		skip();
	RUN(0, promtool, "check", "config", HOME "prometheus/prometheus.yml");
	const char *said = RUN(0, promtool, "test", "rules",
			       HOME "prometheus/tests/recording_test.yml",
			       HOME "prometheus/tests/alerts_test.yml");
	assert_null(strstr(said, "FAILED"));
}

/* Every alert has a test in which it fires. */
static void test_files_every_alert_has_a_test(void **state)
{
	static char tests[1 << 16];
	char line[512], name[128], wanted[160];
	size_t alerts = 0;

	(void)state;
	FILE *f = fopen(HOME "prometheus/tests/alerts_test.yml", "re");
	assert_non_null(f);
	tests[fread(tests, 1, sizeof(tests) - 1, f)] = '\0';
	fclose(f);
	f = fopen(HOME "prometheus/rules/alerts.yml", "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, " - alert: %127s", name) != 1)
			continue;
		alerts++;
		bool fires = false;
		snprintf(wanted, sizeof(wanted), "- alertname: %s\n", name);
		for (const char *at = tests; !fires && (at = strstr(at, wanted)); at++) {
			const char *next = strstr(at + 1, "- alertname"),
				   *expected = strstr(at, "exp_alerts:");
			fires = expected && (!next || expected < next);
		}
		if (!fires)
			fail_msg("%s never fires in prometheus/tests/alerts_test.yml", name);
	}
	fclose(f);
	assert_in_range(alerts, 10, 100);
}

static void test_files_alertmanager_takes_them(void **state)
{
	(void)state;
	if (!got("alertmanager", __func__, amtool, sizeof(amtool)))
		skip();
	/* The other program of its package. */
	char *slash = strrchr(amtool, '/');
	assert_non_null(slash);
	snprintf(slash, sizeof(amtool) - (size_t)(slash - amtool), "/amtool");
	RUN(0, amtool, "check-config", HOME "alertmanager/alertmanager.yml");
	const char *said = RUN(0, amtool, "config", "routes", "test",
			       "--config.file=" HOME "alertmanager/alertmanager.yml",
			       "tell=operator", "alertname=ArchaicHighErrorRatio");
	/* Behind a warning about a flag. */
	assert_non_null(strstr(said, "\noperator\n"));
	said = RUN(0, amtool, "config", "routes", "test",
		   "--config.file=" HOME "alertmanager/alertmanager.yml",
		   "alertname=ArchaicAnomaly");
	assert_non_null(strstr(said, "\nnobody\n"));
}

static void write_families(FILE *f)
{
	static const char *const kinds[] = { "counter", "gauge", "histogram" };

	fputc('[', f);
	for (size_t i = 0; i < NR_METRICS; i++) {
		const struct metric_family *m = metric_family((enum metric)i);
		fprintf(f, "%s{\"name\":\"%s\",\"kind\":\"%s\",\"labels\":[", i ? "," : "", m->name,
			kinds[m->kind]);
		for (size_t k = 0; m->labels[k]; k++)
			fprintf(f, "%s\"%s\"", k ? "," : "", m->labels[k]);
		fputs("]}", f);
	}
	fputs("]\n", f);
}

static void test_files_name_only_what_there_is(void **state)
{
	char path[] = "/tmp/test-families-XXXXXX";

	(void)state;
	if (!got("promtool", __func__, promtool, sizeof(promtool)) ||
	    !got("pyyaml", __func__, python, sizeof(python)))
		skip();
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	FILE *f = fdopen(fd, "w");
	write_families(f);
	fclose(f);
	const char *said = RUN(0, python, "tests/observability/check.py", "files", path, promtool);
	print_message("%s", said);

	/* The check can fail: a table that has nothing of it. */
	f = fopen(path, "we");
	fputs("[]", f);
	fclose(f);
	said = RUN(1, python, "tests/observability/check.py", "files", path, promtool);
	assert_non_null(strstr(said, "there is no series archaic_anomaly_active"));
	unlink(path);
}

static void test_files_dashboards_have_grafanas_types(void **state)
{
	char bad[] = "/tmp/test-dashboard-XXXXXX";
	static const char text[] = "{\"title\": 1, \"panels\": []}\n";

	(void)state;
	if (!got("grafana-types", __func__, tsc, sizeof(tsc)))
		skip();
	const char *said = RUN(0, "tests/observability/dashboards.sh", tsc, BOARDS "overview.json",
			       BOARDS "service.json", BOARDS "faults-and-incidents.json",
			       BOARDS "self.json");
	print_message("%s", said);

	/* It can fail. */
	int fd = mkstemp(bad);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	said = RUN(2, "tests/observability/dashboards.sh", tsc, bad);
	assert_non_null(strstr(said, "Type 'number' is not assignable to type 'string'"));
	unlink(bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_prometheus_takes_them),
		cmocka_unit_test(test_files_every_alert_has_a_test),
		cmocka_unit_test(test_files_alertmanager_takes_them),
		cmocka_unit_test(test_files_name_only_what_there_is),
		cmocka_unit_test(test_files_dashboards_have_grafanas_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
