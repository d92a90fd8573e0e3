// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A watch against a stand-in that lists and streams as the script says, connection after connection.
 * The waits between failures are real, of a millisecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answerer.h"
#include "base/util.h"
#include "kube/kube_watch.h"

static struct answerer server;
static atomic_bool cancel;

static struct {
	const char *answers[12]; /* raw, one a connection; NULL: silence */
	unsigned nr;
	char paths[12][1024];
	char told[2048];     /* what event() was told, in short */
	unsigned stop_after; /* events; then the taker says -EXFULL. 0: never */
	unsigned nr_told, troubles;
	int trouble;
} script;

#define LIST(items)                                                                                                \
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" items \
	"]}"
#define STREAM(lines) "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" lines
#define OBJECT(name, version) \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"

static void on_request(void *ctx, const struct answerer_request *q, int fd)
{
	unsigned n = script.nr++;

	(void)ctx;
	if (n < ARRAY_SIZE(script.paths))
		snprintf(script.paths[n], sizeof(script.paths[n]), "%s", q->path);
	if (n < ARRAY_SIZE(script.answers) && script.answers[n])
		answer_raw(fd, script.answers[n]);
	else
		answer_silence(fd);
}

static int on_event(void *ctx, enum kube_watch_event e, const cJSON *object)
{
	static const char *const names[] = { "list", "=", "synced", "+", "~", "-" };
	size_t used = strlen(script.told);

	(void)ctx;
	snprintf(script.told + used, sizeof(script.told) - used, "%s%s ", names[e],
		 object ? kube_meta(object, "name") : "");
	return script.stop_after && ++script.nr_told == script.stop_after ? -EXFULL : 0;
}

static void on_trouble(void *ctx, int err, const char *why)
{
	(void)ctx;
	assert_string_not_equal(why, "");
	script.troubles++;
	script.trouble = err;
}

static int setup(void **state)
{
	struct kube_config c = { 0 };
	struct kube *k = NULL;

	memset(&script, 0, sizeof(script));
	atomic_store(&cancel, false);
	answerer_tcp(&server, on_request, NULL);
	snprintf(c.server, sizeof(c.server), "http://127.0.0.1:%u", server.port);
	assert_int_equal(kube_new(&c, &cancel, &k), 0);
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	kube_free(*state);
	answerer_stop(&server);
	return 0;
}

static struct kube_watch watch(void)
{
	return (struct kube_watch){ .ref = { "/apis/archaic.dev/v1", NULL, "faults", NULL, NULL },
				    .selector = "app=db",
				    .event = on_event,
				    .trouble = on_trouble,
				    .retry_ms = 1 };
}

static void test_kube_watch_goes_on(void **state)
{
	struct kube_watch w = watch();

	script.answers[0] = LIST(OBJECT("a", "7") "," OBJECT("b", "8"));
	script.answers[1] = STREAM(EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "12")
					   EVENT("BOOKMARK", "", "20"));
	script.answers[2] = STREAM(EVENT("DELETED", "b", "21"));
	script.stop_after = 7;
	assert_int_equal(kube_watch_run(*state, &w), -EXFULL);
	assert_string_equal(script.told, "list =a =b synced +c ~a -b ");
	assert_string_equal(script.paths[0],
			    "/apis/archaic.dev/v1/faults?limit=200&labelSelector=app%3Ddb");
	assert_non_null(strstr(script.paths[1], "resourceVersion=10&labelSelector=app%3Ddb"));
	/* A bookmark is no news, but where it goes on. */
	assert_non_null(strstr(script.paths[2], "resourceVersion=20&"));
	assert_int_equal(w.lists, 1);
	assert_int_equal(w.streams, 2);
	assert_int_equal(w.failures, 0);
}

/* Too old: what is there now is told anew, so that nothing deleted meanwhile is kept. */
static void test_kube_watch_too_old(void **state)
{
	struct kube_watch w = watch();

	script.answers[0] = LIST(OBJECT("a", "7"));
	script.answers[1] =
		STREAM("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n");
	script.answers[2] = LIST(OBJECT("b", "9"));
	script.answers[3] = "HTTP/1.1 410 Gone\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
	script.answers[4] = LIST("");
	script.stop_after = 8;
	assert_int_equal(kube_watch_run(*state, &w), -EXFULL);
	assert_string_equal(script.told, "list =a synced list =b synced list synced ");
	assert_int_equal(w.failures, 2);
	assert_int_equal(script.trouble, -ESTALE);
}

static void test_kube_watch_garbage(void **state)
{
	struct kube_watch w = watch();

	script.answers[0] = LIST("");
	script.answers[1] = STREAM(EVENT("ADDED", "a", "11") "{\"type\":\n");
	script.answers[2] = LIST(OBJECT("a", "11"));
	script.answers[3] = STREAM("{\"type\":\"ADDED\",\"object\":7}\n");
	script.answers[4] = "HTTP/1.1 500 X\r\nConnection: close\r\n\r\n";
	script.answers[5] = LIST("");
	script.stop_after = 9;
	assert_int_equal(kube_watch_run(*state, &w), -EXFULL);
	/* The list that failed told that one begins, and not that it ended. */
	assert_string_equal(script.told, "list synced +a list =a synced list list synced ");
	assert_int_equal(w.lines_bad, 2);
	assert_int_equal(w.failures, 3);
	assert_int_equal(script.troubles, 3);
}

static void test_kube_watch_denied(void **state)
{
	struct kube_watch w = watch();

	script.answers[0] =
		"HTTP/1.1 403 X\r\nConnection: close\r\n\r\n{\"message\":\"forbidden\"}";
	assert_int_equal(kube_watch_run(*state, &w), -EACCES);
	assert_int_equal(w.lists, 0);
	assert_non_null(strstr(kube_why(*state), "forbidden"));
}

static void *cancel_soon(void *ctx)
{
	(void)ctx;
	while (script.nr < 2) /* until it streams */
		usleep(1000);
	atomic_store(&cancel, true);
	return NULL;
}

static void test_kube_watch_cancelled(void **state)
{
	struct kube_watch w = watch();
	pthread_t thread;

	script.answers[0] = LIST("");
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
	assert_int_equal(kube_watch_run(*state, &w), -ECANCELED);
	pthread_join(thread, NULL);
	assert_string_equal(script.told, "list synced ");
}

/* Bytes may come in any pieces. */
static void test_kube_watch_feed(void **state)
{
	static const char text[] = EVENT("ADDED", "a", "1") "\n" EVENT("DELETED", "a", "2");
	struct kube_watch w = watch();
	static char big[KUBE_WATCH_LINE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < strlen(text); i++)
		assert_int_equal(kube_watch_feed(&w, text + i, 1), 0);
	assert_string_equal(script.told, "+a -a ");
	assert_string_equal(w.version, "2");
	assert_int_equal(w.events, 2);
	memset(big, ' ', sizeof(big));
	assert_int_equal(kube_watch_feed(&w, big, sizeof(big)), -EPROTO);
	assert_int_equal(w.lines_bad, 1);
	buf_release(&w.line);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kube_watch_goes_on),   TEST(test_kube_watch_too_old),
		TEST(test_kube_watch_garbage),   TEST(test_kube_watch_denied),
		TEST(test_kube_watch_cancelled), TEST(test_kube_watch_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
