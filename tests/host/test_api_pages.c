// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The two pages' ports, with a real server and a client that sends exactly what it
 * is told: who is let in, what a browser is told, and streams that hold nobody up.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "api_rig.h"
#include "base/clock.h"
#include "base/util.h"
#include "serve/assets.h"

#define OURS "X-Archaic-Request: 1\r\n"
#define TOKEN "0123456789abcdef-chaos"
#define ARM "{\"service\":\"db\",\"type\":\"timeout\"}"

static struct server_stats stats(void)
{
	struct server_stats s;

	server_stats(server, &s);
	return s;
}

/* ---- what a browser is told */

static void assert_hardened(void)
{
	static const char *const lines[] = {
		"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
		"connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; "
		"form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options: nosniff",
		"X-Frame-Options: DENY",
		"Referrer-Policy: no-referrer",
		"Cross-Origin-Opener-Policy: same-origin",
		"Cross-Origin-Resource-Policy: same-origin",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!answer_has(lines[i]))
			fail_msg("no %s in\n%s", lines[i], answer);
	assert_null(strstr(answer, "Access-Control-"));
	assert_null(strstr(answer, "unsafe-"));
}

static void test_pages_harden_whatever_they_answer(void **state)
{
	static const char *const targets[] = { "/", "/v1/health", "/nothing", "/v1/services/db" };

	rig_need(state);
	rig_start(rig_config());
	for (int part = SERVER_DASHBOARD; part <= SERVER_CHAOS; part <<= 1)
		for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
			assert_int_equal(get((enum server_part)part, targets[i], ""),
					 i == 2 ? 404 : 200);
			assert_hardened();
		}
	assert_int_equal(get(SERVER_CHAOS, "/v1/health", "Host: evil.example\r\n"), 403);
	assert_hardened();
}

static void test_pages_serve_their_index(void **state)
{
	char tag[128] = "", header[160];
	const char *at;

	rig_need(state);
	rig_start(rig_config());
	assert_int_equal(get(SERVER_CHAOS, "/", ""), 200);
	assert_true(answer_has("Content-Type: text/html; charset=utf-8"));
	assert_true(answer_has("Cache-Control: no-cache"));
	assert_true(answer_has("Vary: Accept-Encoding"));
	assert_null(strstr(answer, "Content-Encoding"));
	assert_non_null(strstr(answer, "<html"));
	at = strstr(answer, "ETag: ");
	assert_non_null(at);
	sscanf(at, "ETag: %100s", tag);
	snprintf(header, sizeof(header), "If-None-Match: %s\r\n", tag);
	assert_int_equal(get(SERVER_CHAOS, "/", header), 304);
	assert_true(answer_has("Vary: Accept-Encoding"));

	assert_int_equal(raw(SERVER_DASHBOARD,
			     "HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
			 200);
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	assert_null(strstr(answer, "Content-Length: 0"));
	assert_int_equal(post(SERVER_CHAOS, "/", OURS, "{}"), 404);
	assert_int_equal(get(SERVER_DETECTOR, "/", ""), 404);
}

/* A bundle is sent as it was embedded, once for a year. */
static void test_pages_send_assets_compressed(void **state)
{
	char line[64];
	size_t i = 0;

	rig_need(state);
	while (i < nr_web_assets &&
	       !(web_assets[i].immutable && !strcmp(web_assets[i].page, "chaos") &&
		 web_assets[i].gz_size < sizeof(answer) / 2))
		i++;
	if (i == nr_web_assets) {
		printf("SKIP test_pages_send_assets_compressed: built without the pages\n");
		skip();
	}
	rig_start(rig_config());
	assert_int_equal(get(SERVER_CHAOS, web_assets[i].path, "Accept-Encoding: gzip\r\n"), 200);
	assert_true(answer_has("Content-Encoding: gzip"));
	assert_true(answer_has("Cache-Control: public, max-age=31536000, immutable"));
	snprintf(line, sizeof(line), "Content-Length: %zu", web_assets[i].gz_size);
	assert_true(answer_has(line));
	assert_int_equal(get(SERVER_CHAOS, web_assets[i].path, ""), 200);
	snprintf(line, sizeof(line), "Content-Length: %zu", web_assets[i].size);
	assert_true(answer_has(line));
}

/* ---- who is let in */

static void test_pages_refuse_a_rebound_name(void **state)
{
	static const struct {
		const char *host;
		int status;
	} cases[] = {
		{ "Host: localhost:8080\r\n", 200 },
		{ "Host: 127.0.0.1\r\n", 200 },
		{ "Host: [::1]:8080\r\n", 200 },
		{ "Host: box.lan:8080\r\n", 200 },
		{ "Host: evil.example\r\n", 403 },
		{ "Host: localhost.evil.example\r\n", 403 },
		{ "Host: 127.0.0.1.evil.example\r\n", 403 },
		{ "Host: 203.0.113.9\r\n", 403 },
		{ "Host:\r\n", 403 },
	};
	struct server_config c = rig_config();

	rig_need(state);
	c.names[0] = "box.lan";
	rig_start(c);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (get(SERVER_CHAOS, "/v1/services", cases[i].host) != cases[i].status)
			fail_msg("%s: %.30s", cases[i].host, answer);
		/* The page itself too: its script would be ours in their origin. */
		if (get(SERVER_DASHBOARD, "/", cases[i].host) != cases[i].status)
			fail_msg("%s: %.30s", cases[i].host, answer);
	}
	assert_int_equal(stats().refused_origin, 10);
}

static void test_pages_refuse_forged_requests(void **state)
{
	rig_need(state);
	rig_start(rig_config());
	/* What another site's form or script could send without being asked. */
	assert_int_equal(post(SERVER_CHAOS, "/v1/faults", "", ARM), 403);
	assert_int_equal(post(SERVER_CHAOS, "/v1/faults", "X-Archaic-Request: yes\r\n", ARM), 403);
	assert_int_equal(post(SERVER_DASHBOARD, "/v1/incidents/i-0001/approve", "", ""), 403);
	assert_int_equal(raw(SERVER_CHAOS,
			     "DELETE /v1/faults HTTP/1.1\r\nHost: localhost\r\n"
			     "Connection: close\r\n\r\n"),
			 403);
	assert_int_equal(stats().refused_forged, 4);
	/* With our header it would have had to ask first, which is never granted. */
	assert_int_equal(
		post(SERVER_CHAOS, "/v1/faults", OURS "Origin: http://evil.example\r\n", ARM), 403);
	assert_int_equal(post(SERVER_CHAOS, "/v1/faults", OURS "Origin: null\r\n", ARM), 403);
	assert_int_equal(
		raw(SERVER_CHAOS,
		    "OPTIONS /v1/faults HTTP/1.1\r\nHost: localhost\r\n"
		    "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
		    "Connection: close\r\n\r\n"),
		403);
	assert_null(strstr(answer, "Access-Control-Allow"));
	assert_int_equal(fake.calls, 0);
	assert_int_equal(post(SERVER_CHAOS, "/v1/faults", OURS "Origin: http://localhost\r\n", ARM),
			 201);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.who.transport, TRANSPORT_TCP);
	/* A form's media type is refused whatever else is right. */
	assert_int_equal(
		raw(SERVER_CHAOS,
		    "POST /v1/faults HTTP/1.1\r\nHost: localhost\r\n" OURS
		    "Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"),
		415);
}

static void test_pages_answer_their_part_only(void **state)
{
	rig_need(state);
	rig_start(rig_config());
	assert_int_equal(post(SERVER_DASHBOARD, "/v1/faults", OURS, ARM), 405);
	assert_int_equal(post(SERVER_DASHBOARD, "/v1/loads", OURS, "{\"shape\":\"spike\"}"), 405);
	assert_int_equal(post(SERVER_CHAOS, "/v1/services", OURS, "{\"name\":\"x\",\"port\":1}"),
			 405);
	assert_int_equal(post(SERVER_CHAOS, "/v1/mode", OURS, "{\"mode\":\"auto\"}"), 404);
	assert_int_equal(post(SERVER_CHAOS, "/v1/incidents/i-0001/approve", OURS, ""), 404);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(post(SERVER_DASHBOARD, "/v1/incidents/i-0001/approve", OURS, ""), 200);
	assert_int_equal(post(SERVER_CHAOS, "/v1/loads", OURS,
			      "{\"shape\":\"spike\",\"with_failures\":true}"),
			 201);
	assert_non_null(strstr(answer, "Location: /v1/loads/l-0001"));
	assert_string_equal(fake.load.shape, "spike");
	assert_true(fake.load.with_failures);
	assert_int_equal(fake.calls, 2);
}

static void test_pages_tell_of_every_act(void **state)
{
	rig_need(state);
	rig_start(rig_config());
	get(SERVER_CHAOS, "/v1/faults", "");
	post(SERVER_CHAOS, "/v1/faults?dry_run=true", OURS, ARM);
	assert_int_equal(fake.acts, 0);
	post(SERVER_CHAOS, "/v1/faults", OURS, ARM);
	assert_int_equal(fake.acts, 1);
	assert_int_equal(fake.act_status, 201);
	assert_non_null(strstr(fake.act, "POST /v1/faults: "));
	/* Refused, and written down as refused. */
	post(SERVER_CHAOS, "/v1/loads", OURS, "{\"shape\":\"huge\"}");
	assert_int_equal(fake.acts, 2);
	assert_int_equal(fake.act_status, 400);
	assert_non_null(strstr(fake.act, "shape is huge"));
	raw(SERVER_CHAOS,
	    "DELETE /v1/faults/f-db HTTP/1.1\r\nHost: localhost\r\n" OURS
	    "Connection: close\r\n\r\n");
	assert_int_equal(fake.acts, 3);
	assert_non_null(strstr(fake.act, "DELETE /v1/faults/f-db: "));
	post(SERVER_OPERATOR, "/v1/analyze", "", "{\"service\":\"db\"}");
	assert_int_equal(fake.acts, 3);
}

static void test_pages_read_only_change_nothing(void **state)
{
	struct server_config c = rig_config();

	rig_need(state);
	c.read_only = true;
	rig_start(c);
	assert_int_equal(post(SERVER_CHAOS, "/v1/faults", OURS, ARM), 403);
	assert_non_null(strstr(answer, "read-only"));
	assert_int_equal(post(SERVER_DASHBOARD, "/v1/incidents/i-0001/approve", OURS, ""), 403);
	assert_int_equal(raw(SERVER_CHAOS,
			     "DELETE /v1/faults HTTP/1.1\r\nHost: localhost\r\n" OURS
			     "Connection: close\r\n\r\n"),
			 403);
	assert_int_equal(get(SERVER_CHAOS, "/v1/faults", ""), 200);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(stats().refused_read_only, 3);
	/* The operator's own port is no page. */
	assert_int_equal(post(SERVER_OPERATOR, "/v1/incidents/i-0001/approve", "", ""), 200);
}

static void test_pages_ask_for_a_token(void **state)
{
	struct server_config c = rig_config();

	rig_need(state);
	c.chaos_token = TOKEN;
	rig_start(c);
	/* The page's files hold no secret, and the browser has no token before it has them. */
	assert_int_equal(get(SERVER_CHAOS, "/", ""), 200);
	assert_int_equal(get(SERVER_CHAOS, "/v1/faults", ""), 401);
	assert_non_null(strstr(answer, "WWW-Authenticate: Bearer"));
	assert_int_equal(get(SERVER_CHAOS, "/v1/faults?token=" TOKEN, ""), 401);
	assert_int_equal(get(SERVER_CHAOS, "/v1/faults", "Authorization: Bearer " TOKEN "\r\n"),
			 200);
	assert_int_equal(post(SERVER_CHAOS, "/v1/faults",
			      OURS "Authorization: Bearer " TOKEN "\r\n", ARM),
			 201);
	/* A token is no cure for a forged request: the browser does not add it by itself, but nor is it needed. */
	assert_int_equal(
		post(SERVER_CHAOS, "/v1/faults", "Authorization: Bearer " TOKEN "\r\n", ARM), 403);
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/faults", ""), 200);
}

static void test_pages_slow_wrong_tokens_down(void **state)
{
	struct server_config c = rig_config();
	uint64_t start, took[3];

	rig_need(state);
	c.chaos_token = TOKEN;
	rig_start(c);
	for (int i = 0; i < 3; i++) {
		start = clock_mono_ns();
		assert_int_equal(get(SERVER_CHAOS, "/v1/faults",
				     "Authorization: Bearer wrong-wrong-wrong\r\n"),
				 401);
		took[i] = clock_mono_ns() - start;
	}
	assert_true(took[0] >= 250 * NSEC_PER_MSEC);
	assert_true(took[1] >= 500 * NSEC_PER_MSEC);
	assert_true(took[2] >= 1000 * NSEC_PER_MSEC);
	assert_int_equal(stats().refused_token, 3);
	assert_int_equal(stats().slowed_addresses, 1);
	/* The right one is at once let in, and forgives. */
	assert_int_equal(get(SERVER_CHAOS, "/v1/faults", "Authorization: Bearer " TOKEN "\r\n"),
			 200);
	assert_int_equal(stats().slowed_addresses, 0);
}

/* A phone comes by the address: that is no name that could be rebound. All of /v1 asks for the token then. */
static void test_pages_off_loopback(void **state)
{
	struct server_config c = rig_config();
	struct problem p;

	rig_need(state);
	c.listen_pages = "0.0.0.0";
	assert_int_equal(server_start(&c, &fake_control_ops, &fake, &server, &p), -EACCES);
	assert_non_null(strstr(p.detail, "--token-file"));
	c.token = TOKEN;
	rig_start(c);
	assert_int_equal(get(SERVER_DASHBOARD, "/", "Host: 192.0.2.7:7000\r\n"), 200);
	assert_int_equal(get(SERVER_DASHBOARD, "/v1/services", "Host: 192.0.2.7:7000\r\n"), 401);
	assert_int_equal(get(SERVER_CHAOS, "/v1/services",
			     "Host: [2001:db8::7]:8080\r\n"
			     "Authorization: Bearer " TOKEN "\r\n"),
			 200);
	assert_int_equal(get(SERVER_CHAOS, "/v1/services",
			     "Host: evil.example:8080\r\n"
			     "Authorization: Bearer " TOKEN "\r\n"),
			 403);
	assert_int_equal(get(SERVER_CHAOS, "/", "Host: evil.example:8080\r\n"), 403);
	assert_int_equal(get(SERVER_CHAOS, "/v1/events", ""), 401);
	/* The other ports stay where they were. */
	assert_int_equal(get(SERVER_DETECTOR, "/v1/services", ""), 200);
}

/* ---- TLS */

static bool make_certificate(const char *key, const char *cert)
{
	const char *const argv[] = { "openssl",
				     "req",
				     "-x509",
				     "-newkey",
				     "ec",
				     "-pkeyopt",
				     "ec_paramgen_curve:prime256v1",
				     "-nodes",
				     "-keyout",
				     key,
				     "-out",
				     cert,
				     "-days",
				     "2",
				     "-subj",
				     "/CN=localhost",
				     "-addext",
				     "subjectAltName=DNS:localhost,IP:127.0.0.1",
				     NULL };
	posix_spawn_file_actions_t quiet;
	pid_t pid;
	int status = -1;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, "openssl", &quiet, NULL, (char *const *)argv, environ) == 0)
		waitpid(pid, &status, 0);
	posix_spawn_file_actions_destroy(&quiet);
	return status == 0;
}

static char *slurp(const char *path)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	char *text = calloc(1, 65536);

	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, 65535, f) > 100);
	return text;
}

static size_t swallow(char *data, size_t size, size_t nr, void *ctx)
{
	(void)data;
	(void)ctx;
	return size * nr;
}

static CURLcode fetch(const char *url, const char *ca, long *status)
{
	CURL *curl = curl_easy_init();

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
	CURLcode err = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
	curl_easy_cleanup(curl);
	return err;
}

static void test_pages_speak_tls(void **state)
{
	struct server_config c = rig_config();
	char key[128], cert[128], url[64];
	long status = 0;

	rig_need(state);
	snprintf(key, sizeof(key), "%s/key.pem", rig_folder);
	snprintf(cert, sizeof(cert), "%s/cert.pem", rig_folder);
	if (!make_certificate(key, cert)) {
		printf("SKIP test_pages_speak_tls: openssl(1) makes no certificate here\n");
		skip();
	}
	CLEANUP(freep) char *key_text = slurp(key);
	CLEANUP(freep) char *cert_text = slurp(cert);
	c.tls_key = key_text;
	c.tls_cert = cert_text;
	rig_start(c);
	snprintf(url, sizeof(url), "https://localhost:%u/v1/health",
		 server_port(server, SERVER_CHAOS));
	assert_int_equal(fetch(url, cert, &status), CURLE_OK);
	assert_int_equal(status, 200);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server_port(server, SERVER_DASHBOARD));
	assert_int_equal(fetch(url, cert, &status), CURLE_OK);
	assert_int_equal(status, 200);
	/* Plain HTTP on that port is no way in; the detector's port speaks it as before. */
	assert_int_equal(get(SERVER_CHAOS, "/v1/health", ""), 0);
	assert_int_equal(get(SERVER_DETECTOR, "/v1/health", ""), 200);
	unlink(key);
	unlink(cert);

	server_stop(server);
	server = NULL;
	struct problem p;
	c.tls_key = "-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n";
	assert_true(server_start(&c, &fake_control_ops, &fake, &server, &p) < 0);
	assert_true(*p.detail);
	server = NULL;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_pages_harden_whatever_they_answer),
		CASE(test_pages_serve_their_index),
		CASE(test_pages_send_assets_compressed),
		CASE(test_pages_refuse_a_rebound_name),
		CASE(test_pages_refuse_forged_requests),
		CASE(test_pages_answer_their_part_only),
		CASE(test_pages_tell_of_every_act),
		CASE(test_pages_read_only_change_nothing),
		CASE(test_pages_ask_for_a_token),
		CASE(test_pages_slow_wrong_tokens_down),
		CASE(test_pages_off_loopback),
		CASE(test_pages_speak_tls),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
