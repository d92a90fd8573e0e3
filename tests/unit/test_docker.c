// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The Docker client against a server whose answers are written here: what an Engine says,
 * and what a broken or hostile one might. tests/host/test_docker_engine.c asks a real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "answerer.h"
#include "docker/docker.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static struct answerer server;
static struct docker *docker;
static char folder[32], path[64];

/* What the server does with the next requests, and what it heard. */
static struct {
	int status;
	const char *body; /* NULL: nothing, ever */
	const char *raw;
	size_t huge;
	char method[16], path[1024];
} script;

static void on_request(void *ctx, const struct answerer_request *q, int fd)
{
	(void)ctx;
	memcpy(script.method, q->method, sizeof(script.method));
	memcpy(script.path, q->path, sizeof(script.path));
	if (script.huge)
		answer_huge(fd, script.huge);
	else if (script.raw)
		answer_raw(fd, script.raw);
	else if (script.body)
		answer_whole(fd, script.status, script.body);
	else
		answer_silence(fd);
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/docker-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	memset(&script, 0, sizeof(script));
	answerer_unix(&server, path, on_request, NULL);
	assert_int_equal(docker_new(path, NULL, &docker), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	docker_free(docker);
	answerer_stop(&server);
	unlink(path);
	rmdir(folder);
	return 0;
}

static void say(int status, const char *body)
{
	memset(&script, 0, sizeof(script));
	script.status = status;
	script.body = body;
}

static void test_docker_list(void **state)
{
	struct docker_list l = { 0 };

	(void)state;
	say(200,
	    "[{\"Id\":\"" ID "\",\"Names\":[\"/web/alias\",\"/web\"],\"Image\":\"nginx:1\","
	    "\"State\":\"running\",\"Labels\":{\"app\":\"shop\",\"com.docker.compose.service\":\"web\"}},"
	    "{\"Id\":\"" OTHER "\",\"Names\":null,\"State\":\"strange\",\"Labels\":null}]");
	assert_int_equal(docker_list(docker, &l), 0);
	assert_string_equal(script.method, "GET");
	assert_string_equal(script.path, "/containers/json");
	assert_int_equal(l.nr, 2);
	assert_int_equal(l.dropped, 0);
	assert_string_equal(l.items[0].id, ID);
	assert_string_equal(l.items[0].name, "web");
	assert_string_equal(l.items[0].image, "nginx:1");
	assert_int_equal(l.items[0].state, DOCKER_RUNNING);
	assert_string_equal(docker_label(&l.items[0], "app"), "shop");
	assert_string_equal(docker_label(&l.items[0], "com.docker.compose.service"), "web");
	assert_null(docker_label(&l.items[0], "ap"));
	assert_string_equal(l.items[1].name, "");
	assert_int_equal(l.items[1].state, DOCKER_UNKNOWN);
	docker_list_release(&l);

	say(200, "[]");
	assert_int_equal(docker_list(docker, &l), 0);
	assert_int_equal(l.nr, 0);
	docker_list_release(&l);
}

/* Ids that are none, labels that are too long or move the cursor: left out, and counted. */
static void test_docker_list_hostile(void **state)
{
	struct docker_list l = { 0 };
	char body[4096], text[300];

	(void)state;
	memset(text, 'v', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	snprintf(body, sizeof(body),
		 "[{\"Id\":\"../../etc\"},{\"Id\":7},17,{\"Id\":\"" ID "x\"},{\"Id\":\"" ID
		 "\",\"Names\":[\"/../x\",\"/-rm\",5],\"Labels\":{"
		 "\"a\":\"%s\",\"b\":\"x\\u001b[2J\",\"c\":3,\"ok\":\"1\"}}]",
		 text);
	say(200, body);
	assert_int_equal(docker_list(docker, &l), 0);
	assert_int_equal(l.nr, 1);
	assert_int_equal(l.dropped, 4);
	assert_string_equal(l.items[0].name, "");
	assert_int_equal(l.items[0].nr_labels, 1);
	assert_int_equal(l.items[0].labels_dropped, 3);
	assert_string_equal(docker_label(&l.items[0], "ok"), "1");
	docker_list_release(&l);
}

static void add(char *body, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void add(char *body, size_t size, const char *fmt, ...)
{
	size_t used = strlen(body);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body + used, size - used, fmt, ap);
	va_end(ap);
}

static void test_docker_list_full(void **state)
{
	static char body[1 << 17];
	struct docker_list l = { 0 };

	(void)state;
	snprintf(body, sizeof(body), "[{\"Id\":\"" ID "\",\"Labels\":{");
	for (int i = 0; i < DOCKER_LABELS_MAX + 5; i++)
		add(body, sizeof(body), "%s\"k%d\":\"v\"", i ? "," : "", i);
	add(body, sizeof(body), "}}");
	for (int i = 1; i < DOCKER_CONTAINERS_MAX + 9; i++)
		add(body, sizeof(body), ",{\"Id\":\"%064x\"}", i);
	add(body, sizeof(body), "]");
	say(200, body);
	assert_int_equal(docker_list(docker, &l), 0);
	assert_int_equal(l.nr, DOCKER_CONTAINERS_MAX);
	assert_int_equal(l.dropped, 9);
	assert_int_equal(l.items[0].nr_labels, DOCKER_LABELS_MAX);
	assert_int_equal(l.items[0].labels_dropped, 5);
	docker_list_release(&l);
}

static void test_docker_inspect(void **state)
{
	struct docker_container c;

	(void)state;
	say(200,
	    "{\"Id\":\"" ID "\",\"Name\":\"/web\",\"State\":{\"Status\":\"running\",\"Pid\":4711,"
	    "\"StartedAt\":\"2024-01-15T10:30:00.123456789Z\",\"Health\":{\"Status\":\"unhealthy\"}},"
	    "\"HostConfig\":{\"RestartPolicy\":{\"Name\":\"unless-stopped\"}},"
	    "\"Config\":{\"Image\":\"nginx:1\",\"Labels\":{\"app\":\"shop\"}}}");
	assert_int_equal(docker_inspect(docker, "web", &c), 0);
	assert_string_equal(script.path, "/containers/web/json");
	assert_string_equal(c.id, ID);
	assert_string_equal(c.name, "web");
	assert_int_equal(c.pid, 4711);
	assert_int_equal(c.state, DOCKER_RUNNING);
	assert_int_equal(c.health, DOCKER_UNHEALTHY);
	assert_true(c.restarts);
	assert_string_equal(c.started_at, "2024-01-15T10:30:00.123456789Z");
	assert_string_equal(docker_label(&c, "app"), "shop");

	say(200, "{\"Id\":\"" ID "\",\"State\":{\"Pid\":-3,\"Status\":9},\"HostConfig\":[]}");
	assert_int_equal(docker_inspect(docker, ID, &c), 0);
	assert_int_equal(c.pid, 0);
	assert_false(c.restarts);
	say(200, "{\"Id\":\"" ID "\",\"State\":{\"Pid\":1e300}}");
	assert_int_equal(docker_inspect(docker, ID, &c), 0);
	assert_int_equal(c.pid, 0);
	say(200, "{\"Id\":\"short\"}");
	assert_int_equal(docker_inspect(docker, ID, &c), -EPROTO);
}

static void test_docker_names(void **state)
{
	static const char *const bad[] = { "",    "../x", "a/b",   "a b",     "a?b",
					   "-rm", ".",    "a%2fb", "\xc3\xa9" };
	struct docker_container c;
	char longest[DOCKER_NAME_MAX + 1];

	(void)state;
	say(200, "{}");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(docker_inspect(docker, bad[i], &c), -EINVAL);
		assert_int_equal(docker_restart(docker, bad[i]), -EINVAL);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(docker_inspect(docker, longest, &c), -EINVAL);
	/* A name or half an id may mean another one by now. */
	assert_int_equal(docker_restart(docker, "web"), -EINVAL);
	assert_int_equal(docker_restart(docker, "0123456789ab"), -EINVAL);
	assert_int_equal(atomic_load(&server.connections), 0);
}

static void test_docker_restart(void **state)
{
	(void)state;
	say(204, "");
	assert_int_equal(docker_restart(docker, ID), 0);
	assert_string_equal(script.method, "POST");
	assert_string_equal(script.path, "/containers/" ID "/restart?t=5");
	say(404, "{\"message\":\"No such container: x\"}");
	assert_int_equal(docker_restart(docker, ID), -ENOENT);
	assert_string_equal(docker_why(docker),
			    "the Docker Engine answers 404: No such container: x");
	/* Only what the Engine says of a restart is a restart. */
	say(200, "{}");
	assert_int_equal(docker_restart(docker, ID), -EIO);
}

static void test_docker_failures(void **state)
{
	static const struct {
		int status, err;
		const char *body;
	} cases[] = {
		{ 401, -EACCES, "" },
		{ 403, -EACCES, "{\"message\":\"authz denied\"}" },
		{ 409, -EBUSY, "{\"message\":\"removal is in progress\"}" },
		{ 500, -EIO, "<html>oops</html>" },
		{ 301, -EIO, "" },
		{ 200, -EPROTO, "{\"Id\":1}" },
		{ 200, -EPROTO, "[{\"Id\":" },
		{ 200, -EPROTO, "\xff\xfe" },
		{ 200, -EPROTO, "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]" },
	};
	struct docker_list l = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		say(cases[i].status, cases[i].body);
		assert_int_equal(docker_list(docker, &l), cases[i].err);
		assert_null(l.items);
		assert_string_not_equal(docker_why(docker), "");
	}
	say(403, "{\"message\":\"x\\u001b[31mred\"}");
	assert_int_equal(docker_list(docker, &l), -EACCES);
	assert_string_equal(docker_why(docker), "the Docker Engine answers 403");

	say(0, "");
	script.raw = "SSH-2.0-OpenSSH_9.2\r\n";
	assert_int_equal(docker_list(docker, &l), -EPROTO);
	say(0, "");
	script.huge = DOCKER_BODY_MAX + 1;
	assert_int_equal(docker_list(docker, &l), -EMSGSIZE);
	say(0, NULL);
	docker_timeout(docker, 100);
	assert_int_equal(docker_list(docker, &l), -ETIMEDOUT);
	assert_non_null(strstr(docker_why(docker), path));
}

static void test_docker_no_engine(void **state)
{
	struct docker *d = NULL;
	struct docker_list l = { 0 };
	char longest[200];

	(void)state;
	assert_int_equal(docker_new("/nowhere/docker.sock", NULL, &d), 0);
	assert_int_equal(docker_list(d, &l), -EHOSTUNREACH);
	docker_free(d);
	d = NULL;
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(docker_new(longest, NULL, &d), -EINVAL);
	assert_int_equal(docker_new("", NULL, &d), -EINVAL);
	assert_null(d);
}

static void test_docker_cancel(void **state)
{
	atomic_bool cancel = true;
	struct docker *d = NULL;

	(void)state;
	say(0, NULL);
	assert_int_equal(docker_new(path, &cancel, &d), 0);
	assert_int_equal(docker_restart(d, ID), -ECANCELED);
	docker_free(d);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_docker_list),      TEST(test_docker_list_hostile),
		TEST(test_docker_list_full), TEST(test_docker_inspect),
		TEST(test_docker_names),     TEST(test_docker_restart),
		TEST(test_docker_failures),  TEST(test_docker_no_engine),
		TEST(test_docker_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
