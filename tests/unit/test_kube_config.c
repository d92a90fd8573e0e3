// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/util.h"
#include "kube/kube_config.h"
#include "kube/kube_yaml.h"

static char why[256];

/* As kubectl writes it, byte for byte but for the certificates. */
static const char kubeconfig[] = "apiVersion: v1\n"
				 "clusters:\n"
				 "- cluster:\n"
				 "    certificate-authority-data: Q0E=\n"
				 "    server: https://127.0.0.1:6443/\n"
				 "  name: kind\n"
				 "- cluster:\n"
				 "    server: https://other:6443\n"
				 "  name: other\n"
				 "contexts:\n"
				 "- context:\n"
				 "    cluster: kind\n"
				 "    namespace: archaics\n"
				 "    user: admin\n"
				 "  name: kind\n"
				 "current-context: kind\n"
				 "kind: Config\n"
				 "preferences: {}\n"
				 "users:\n"
				 "- name: admin\n"
				 "  user:\n"
				 "    client-certificate-data: Q0VSVA==\n"
				 "    client-key-data: S0VZ\n"
				 "    token: abc.def-ghi\n";

static int parse(const char *text, struct kube_config *c)
{
	why[0] = '\0';
	return kube_config_parse(text, strlen(text), "", c, why, sizeof(why));
}

static void test_kube_config_kubectl(void **state)
{
	struct kube_config c = { 0 };

	(void)state;
	assert_int_equal(parse(kubeconfig, &c), 0);
	assert_string_equal(c.server, "https://127.0.0.1:6443");
	assert_string_equal(c.namespace_, "archaics");
	assert_string_equal(c.ca, "CA");
	assert_string_equal(c.cert, "CERT");
	assert_string_equal(c.key, "KEY");
	assert_string_equal(c.token, "abc.def-ghi");
	assert_string_equal(c.token_file, "");
	kube_config_release(&c);
	assert_null(c.token);
	kube_config_release(&c);
}

static void test_kube_config_json(void **state)
{
	struct kube_config c = { 0 };

	(void)state;
	assert_int_equal(
		parse(" {\"clusters\":[{\"name\":\"k\",\"cluster\":{\"server\":\"http://127.0.0.1:1\"}}],"
		      "\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"k\",\"user\":\"u\"}}],"
		      "\"current-context\":\"c\",\"users\":[{\"name\":\"u\",\"user\":{\"tokenFile\":\"/t\","
		      "\"token\":\"x\"}}]}",
		      &c),
		0);
	assert_string_equal(c.server, "http://127.0.0.1:1");
	assert_string_equal(c.namespace_, "default");
	assert_string_equal(c.token_file, "/t");
	assert_null(c.token);
	kube_config_release(&c);
}

/* What another tool would take for something else than we could do. */
static void test_kube_config_refused(void **state)
{
	static const struct {
		const char *find, *put, *why;
	} cases[] = {
		{ "    token: abc.def-ghi\n", "    exec:\n      command: aws\n", "exec" },
		{ "    token: abc.def-ghi\n", "    auth-provider:\n      name: gcp\n",
		  "auth-provider" },
		{ "    token: abc.def-ghi\n", "    username: a\n    password: b\n", "username" },
		{ "    token: abc.def-ghi\n", "    as: root\n", "as is not" },
		{ "    token: abc.def-ghi\n", "    token: a b\n", "token" },
		{ "certificate-authority-data: Q0E=", "insecure-skip-tls-verify: true",
		  "insecure" },
		{ "certificate-authority-data: Q0E=", "certificate-authority-data: '*'", "base64" },
		{ "certificate-authority-data: Q0E=", "certificate-authority: /nowhere",
		  "/nowhere" },
		{ "certificate-authority-data: Q0E=", "proxy-url: http://x", "proxy-url" },
		{ "https://127.0.0.1:6443/", "http://10.0.0.1:6443", "https" },
		{ "https://127.0.0.1:6443/", "http://127.0.0.1.evil.org", "https" },
		{ "https://127.0.0.1:6443/", "https://u:p@host", "address" },
		{ "https://127.0.0.1:6443/", "file:///etc/passwd", "https" },
		{ "current-context: kind", "current-context: nobody", "current-context" },
		{ "    user: admin\n", "    user: nobody\n", "user" },
		{ "    cluster: kind\n", "    cluster: nobody\n", "cluster" },
		{ "    namespace: archaics\n", "    namespace: ../x\n", "namespace" },
		{ "    client-key-data: S0VZ\n", "", "client-key" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[sizeof(kubeconfig) + 128];
		struct kube_config c = { 0 };
		const char *at = strstr(kubeconfig, cases[i].find);

		assert_non_null(at);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - kubeconfig), kubeconfig,
			 cases[i].put, at + strlen(cases[i].find));
		assert_int_equal(parse(text, &c), -EINVAL);
		if (!strstr(why, cases[i].why))
			fail_msg("case %zu: %s", i, why);
		assert_null(c.token);
	}
}

static void test_kube_yaml_accepted(void **state)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	CLEANUP(json_textp) char *text = NULL;
	static const char yaml[] = "---\n"
				   "# a comment\n"
				   "a: plain text # and a comment\n"
				   "b: \"quoted: \\\"x\\\" \\\\ # no comment\" # one\n"
				   "c: 'it''s'\n"
				   "\"d e\": ~\n"
				   "f:\n"
				   "g: true\n"
				   "h: 007\n"
				   "list:\n"
				   "  - one\n"
				   "  -   x: 1\n"
				   "      y: http://h:1/#z\n"
				   "  -\n"
				   "    deep:\n"
				   "    - - in\n"
				   "      - out\n"
				   "empty: []\r\n";

	(void)state;
	if (kube_yaml_parse(yaml, strlen(yaml), &j, why, sizeof(why)))
		fail_msg("%s", why);
	text = cJSON_PrintUnformatted(j);
	assert_string_equal(
		text,
		"{\"a\":\"plain text\",\"b\":\"quoted: \\\"x\\\" \\\\ # no comment\",\"c\":\"it's\","
		"\"d e\":null,\"f\":null,\"g\":true,\"h\":\"007\",\"list\":[\"one\",{\"x\":\"1\",\"y\":"
		"\"http://h:1/#z\"},{\"deep\":[[\"in\",\"out\"]]}],\"empty\":[]}");
}

static void test_kube_yaml_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "empty" },
		{ "# only\n", "empty" },
		{ "a: &x 1\n", "line 1" },
		{ "a: *x\n", "line 1" },
		{ "a: !!str 1\n", "line 1" },
		{ "a: |\n  text\n", "line 1" },
		{ "a: {b: 1}\n", "line 1" },
		{ "a: [1, 2]\n", "line 1" },
		{ "a: 1\n\tb: 2\n", "line 2: a tab" },
		{ "a: 1\na: 2\n", "line 2: the key a" },
		{ "a: 1\n  b: 2\n", "fits nothing" },
		{ "  a: 1\nb: 2\n", "fits nothing" },
		{ "a:\n    b: 1\n  c: 2\n", "fits nothing" },
		{ "a: 1\nword\n", "line 2" },
		{ "a: \"open\n", "line 1" },
		{ "a: \"x\" y\n", "line 1" },
		{ "a: \"\\x41\"\n", "line 1" },
		{ "a: 1\n---\nb: 2\n", "line 2: only one" },
		{ "%YAML 1.2\n", "line 1" },
		{ "a: \xff\n", "UTF-8" },
		{ "{\"a\":1,\"a\":2}", "twice" },
		{ "- - - - - - - - - - - - - - x\n", "nested" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cJSON *j = NULL;
		int err =
			kube_yaml_parse(cases[i].text, strlen(cases[i].text), &j, why, sizeof(why));

		assert_int_equal(err, -EINVAL);
		assert_null(j);
		if (!strstr(why, cases[i].why))
			fail_msg("case %zu: %s", i, why);
	}
}

static void test_kube_yaml_bounds(void **state)
{
	static char text[KUBE_YAML_MAX + 2];
	cJSON *j = NULL;

	(void)state;
	memset(text, '#', sizeof(text) - 1);
	assert_int_equal(kube_yaml_parse(text, sizeof(text) - 1, &j, why, sizeof(why)), -EMSGSIZE);
	text[0] = '\0';
	for (size_t i = 0; i <= KUBE_YAML_LINES_MAX; i++)
		snprintf(text + 4 * i, sizeof(text) - 4 * i, "- x\n");
	assert_int_equal(kube_yaml_parse(text, strlen(text), &j, why, sizeof(why)), -EMSGSIZE);
	assert_null(j);
}

static void put(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static void drop(const char *folder, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
}

static void test_kube_config_account(void **state)
{
	char folder[] = "/tmp/kube-XXXXXX";
	struct kube_config c = { 0 };

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(kube_config_account(folder, "", "", &c, why, sizeof(why)), -ENOENT);
	assert_int_equal(kube_config_account(folder, "10.96.0.1", "443", &c, why, sizeof(why)),
			 -ENOENT);
	put(folder, "token", "t1\n");
	assert_int_equal(kube_config_account(folder, "10.96.0.1", "443", &c, why, sizeof(why)),
			 -ENOENT);
	put(folder, "ca.crt", "CA");
	put(folder, "namespace", "archaics\n");
	assert_int_equal(kube_config_account(folder, "fd00::1", "443", &c, why, sizeof(why)), 0);
	assert_string_equal(c.server, "https://[fd00::1]:443");
	assert_string_equal(c.namespace_, "archaics");
	assert_string_equal(c.ca, "CA");
	assert_non_null(strstr(c.token_file, "/token"));
	kube_config_release(&c);
	put(folder, "namespace", "Not A Namespace");
	assert_int_equal(kube_config_account(folder, "10.96.0.1", "443", &c, why, sizeof(why)),
			 -EINVAL);
	drop(folder, "token");
	drop(folder, "ca.crt");
	drop(folder, "namespace");
	assert_int_equal(rmdir(folder), 0);
}

/* Names of files are relative to the kubeconfig, as kubectl takes them. */
static void test_kube_config_files(void **state)
{
	char folder[] = "/tmp/kube-XXXXXX", path[64], want[64];
	struct kube_config c = { 0 };

	(void)state;
	assert_non_null(mkdtemp(folder));
	put(folder, "ca.pem", "THE CA");
	put(folder, "config",
	    "clusters:\n- name: k\n  cluster:\n    server: https://h\n    certificate-authority: ca.pem\n"
	    "contexts:\n- name: c\n  context: \n    cluster: k\n    user: u\ncurrent-context: c\n"
	    "users:\n- name: u\n  user:\n    tokenFile: tok\n");
	snprintf(path, sizeof(path), "%s/config", folder);
	snprintf(want, sizeof(want), "%s/tok", folder);
	if (kube_config_file(path, &c, why, sizeof(why)))
		fail_msg("%s", why);
	assert_string_equal(c.ca, "THE CA");
	assert_string_equal(c.token_file, want);
	kube_config_release(&c);
	assert_int_equal(kube_config_load("/nowhere/config", &c, why, sizeof(why)), -ENOENT);
	drop(folder, "ca.pem");
	drop(folder, "config");
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kube_config_kubectl),
		cmocka_unit_test(test_kube_config_json),
		cmocka_unit_test(test_kube_config_refused),
		cmocka_unit_test(test_kube_config_account),
		cmocka_unit_test(test_kube_config_files),
		cmocka_unit_test(test_kube_yaml_accepted),
		cmocka_unit_test(test_kube_yaml_refused),
		cmocka_unit_test(test_kube_yaml_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
