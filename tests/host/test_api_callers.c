// SPDX-License-Identifier: GPL-2.0-or-later
/* The control server over real sockets: who may listen, and who may call. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "api_rig.h"
#include "base/clock.h"
#include "base/util.h"
#include "serve/listen.h"

#define TOKEN "a-token-of-more-than-16"

static void test_api_needs_a_token_off_loopback(void **state)
{
	struct server_config c = rig_config();
	struct server_stats s;
	struct problem p;

	rig_need(state);
	c.listen = "0.0.0.0";
	assert_int_equal(server_start(&c, &fake_control_ops, &fake, &server, &p), -EACCES);
	assert_non_null(strstr(p.detail, "--token-file"));
	assert_int_equal(access(rig_path, F_OK), -1);

	c.token = TOKEN;
	rig_start(c);
	assert_int_equal(get(SERVER_DETECTOR, "/health", ""), 401);
	assert_non_null(strstr(answer, "\r\nWWW-Authenticate: Bearer\r\n"));
	uint64_t before = clock_mono_ns();
	assert_int_equal(get(SERVER_DETECTOR, "/health", "Authorization: Bearer wrong\r\n"), 401);
	assert_true(clock_mono_ns() - before >= 250 * NSEC_PER_MSEC);
	assert_int_equal(get(SERVER_DETECTOR, "/health", "Authorization: Bearer " TOKEN "\r\n"),
			 200);
	assert_int_equal(get(SERVER_DETECTOR, "/health",
			     "Host: any.example\r\nAuthorization: Bearer " TOKEN "\r\n"),
			 200);
	assert_int_equal(get(SERVER_DETECTOR, "/health",
			     "Origin: http://evil.example\r\nAuthorization: Bearer " TOKEN "\r\n"),
			 403);
	assert_int_equal(get(SERVER_CONTROL, "/v1/health", ""), 200);
	server_stats(server, &s);
	assert_int_equal(s.refused_token, 2);
}

/* In a child, since there is no way back from setuid(). Exit status: HTTP status / 100. */
static int as_user(uid_t uid, const char *target, const char *body)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (setgid(uid) || setuid(uid))
			_exit(90);
		CLEANUP(closep) int fd = dial_unix();
		if (fd < 0)
			_exit(fd == -EACCES ? 80 : 91);
		char text[1024];
		snprintf(
			text, sizeof(text),
			"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			target, strlen(body), body);
		put(fd, text, strlen(text));
		int http = hear(fd, 8000);
		_exit(http == 403 ? 43 : http / 100);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void test_api_knows_its_unix_callers(void **state)
{
	static const char on_db[] = "{\"service\":\"db\",\"type\":\"timeout\"}";
	static const char on_self[] = "{\"service\":\"self\",\"type\":\"timeout\"}";
	struct stat st;

	rig_need(state);
	rig_start(rig_config());
	assert_int_equal(stat(rig_path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0117, 0);
	assert_int_equal(st.st_uid, 0);

	/* Not of the group: the file itself keeps it out. */
	assert_int_equal(as_user(1234, "/v1/faults", on_db), 80);

	/* As if it were of the group. */
	assert_int_equal(chmod(rig_path, 0666), 0);
	snprintf(fake.self, sizeof(fake.self), "auth");
	assert_int_equal(as_user(1234, "/v1/faults", on_db), 43);
	assert_int_equal(as_user(1234, "/v1/mode", "{\"mode\":\"auto\"}"), 43);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(as_user(1234, "/v1/faults", on_self), 2);
	assert_int_equal(fake.who.uid, 1234);
	assert_true(fake.who.pid > 1);
	assert_string_equal(fake.service, "auth");
	assert_int_equal(as_user(0, "/v1/faults", on_db), 2);
	assert_true(fake.who.is_root);
}

static void test_api_replaces_only_a_stale_socket(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct server *second;
	struct server_config c = rig_config();
	struct problem p;

	rig_need(state);
	c.port_operator = c.port_detector = -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", rig_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
	rig_start(c);
	assert_int_equal(get(SERVER_CONTROL, "/v1/health", ""), 200);

	assert_int_equal(server_start(&c, &fake_control_ops, &fake, &second, &p), -EADDRINUSE);
	assert_non_null(strstr(p.detail, "another daemon answers"));
	assert_int_equal(get(SERVER_CONTROL, "/v1/health", ""), 200);
	server_stop(server);
	server = NULL;
	assert_int_equal(access(rig_path, F_OK), -1);

	FILE *f = fopen(rig_path, "we");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(server_start(&c, &fake_control_ops, &fake, &second, &p), -EEXIST);
	assert_int_equal(access(rig_path, F_OK), 0);
	unlink(rig_path);
}

static void test_api_names_who_holds_a_port(void **state)
{
	CLEANUP(closep) int fd = -1;
	struct server_config c = rig_config();
	struct problem p;
	uint16_t port;
	char wanted[96];

	rig_need(state);
	assert_int_equal(listen_tcp("127.0.0.1", 0, "", &fd, &port, &p), 0);
	c.port_detector = port;
	assert_int_equal(server_start(&c, &fake_control_ops, &fake, &server, &p), -EADDRINUSE);
	snprintf(wanted, sizeof(wanted), "port %u on 127.0.0.1 is taken by %.15s (process %d)",
		 port, program_invocation_short_name, getpid());
	if (!strstr(p.detail, wanted) || !strstr(p.detail, "--port-detector"))
		fail_msg("%s", p.detail);
	/* Nothing of the attempt is left. */
	assert_int_equal(access(rig_path, F_OK), -1);
	c.listen = "localhost";
	assert_int_equal(server_start(&c, &fake_control_ops, &fake, &server, &p), -EINVAL);
}

static void test_api_token_files_are_checked(void **state)
{
	char file[80], *token = NULL;
	struct problem p;

	rig_need(state);
	snprintf(file, sizeof(file), "%s/token", rig_folder);
	assert_true(server_read_token(file, &token, &p) < 0);
	FILE *f = fopen(file, "we");
	assert_non_null(f);
	fputs(TOKEN "\nsecond line\n", f);
	fclose(f);
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(server_read_token(file, &token, &p), -EACCES);
	assert_int_equal(chmod(file, 0640), 0);
	assert_int_equal(server_read_token(file, &token, &p), 0);
	assert_string_equal(token, TOKEN);
	free(token);
	f = fopen(file, "we");
	assert_non_null(f);
	fputs("short\n", f);
	fclose(f);
	assert_int_equal(server_read_token(file, &token, &p), -EINVAL);
	unlink(file);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_api_needs_a_token_off_loopback),   CASE(test_api_knows_its_unix_callers),
		CASE(test_api_replaces_only_a_stale_socket), CASE(test_api_names_who_holds_a_port),
		CASE(test_api_token_files_are_checked),
	};
	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
