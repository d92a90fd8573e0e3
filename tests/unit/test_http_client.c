// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Against a server of a few lines that answers each connection with given
 * bytes, or not at all: what the client makes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/http_client.h"

#define SILENT NULL /* take the request, never answer */

static struct {
	int fd;
	pthread_t thread;
	uint16_t port;
	char socket_path[64];
	const char *answer;
	size_t pad;          /* bytes of body after the answer's text */
	char request[65536]; /* the last one */
	atomic_int connections;
} server;

static struct http_client *client;

static void answer_one(int fd)
{
	static char block[4096];
	size_t len = 0;

	/* One read loop until the head and its announced body are there. */
	for (;;) {
		ssize_t n = recv(fd, server.request + len, sizeof(server.request) - 1 - len, 0);
		if (n <= 0)
			return;
		len += (size_t)n;
		server.request[len] = '\0';
		/* 0x16 opens a TLS handshake: answer it as a plain server would. */
		if (server.request[0] == 0x16)
			break;
		const char *head_end = strstr(server.request, "\r\n\r\n");
		const char *length = strstr(server.request, "Content-Length: ");
		size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
		if (head_end && len >= (size_t)(head_end + 4 - server.request) + body)
			break;
	}
	if (server.answer == SILENT) {
		/* Until the client gives up. */
		while (recv(fd, block, sizeof(block), 0) > 0)
			;
		return;
	}
	memset(block, 'x', sizeof(block));
	send(fd, server.answer, strlen(server.answer), MSG_NOSIGNAL);
	for (size_t left = server.pad; left;) {
		ssize_t n = send(fd, block, MIN(left, sizeof(block)), MSG_NOSIGNAL);
		if (n <= 0)
			return;
		left -= (size_t)n;
	}
}

static void *serve(void *ctx)
{
	(void)ctx;
	for (;;) {
		int fd = accept(server.fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		atomic_fetch_add(&server.connections, 1);
		answer_one(fd);
		close(fd);
	}
}

static int start(int fd, const char *answer)
{
	server.fd = fd;
	server.answer = answer;
	server.pad = 0;
	server.request[0] = '\0';
	atomic_store(&server.connections, 0);
	if (http_client_new(&client))
		return -1;
	return listen(fd, 8) || pthread_create(&server.thread, NULL, serve, NULL) ? -1 : 0;
}

static void start_tcp(const char *answer)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	server.port = ntohs(a.sin_port);
	assert_int_equal(start(fd, answer), 0);
}

static void stop(void)
{
	http_client_free(client);
	client = NULL;
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

static const char *url(const char *path)
{
	static char text[128];

	snprintf(text, sizeof(text), "http://127.0.0.1:%u%s", server.port, path);
	return text;
}

static void test_http_client_get(void **state)
{
	struct http_client_request req = { 0 };
	struct http_client_response r;
	const char *value;
	size_t len;

	(void)state;
	start_tcp("HTTP/1.1 404 Not Found\r\nX-Trace-ID:  abc \r\nContent-Length: 5\r\n"
		  "Content-Type: text/plain\r\nConnection: close\r\n\r\nnope!");
	req.url = url("/a?b=c");
	assert_int_equal(http_client_do(client, &req, &r), 0);
	assert_int_equal(r.error, HTTP_CLIENT_OK);
	assert_int_equal(r.status, 404);
	assert_string_equal(buf_str(&r.body), "nope!");
	assert_true(r.seconds > 0 && r.seconds < 10);
	assert_true(http_client_header(&r, "x-trace-id", &value, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(value, "abc", 3);
	assert_false(http_client_header(&r, "Content", &value, &len));
	http_client_response_release(&r);
	stop();
	assert_memory_equal(server.request, "GET /a?b=c HTTP/1.1\r\n", 21);
}

static void test_http_client_sends_method_headers_and_body(void **state)
{
	static const char *const headers[] = { "Content-Type: application/json", "X-One: 1", NULL };
	struct http_client_request req = { .headers = headers, .body = "{\"a\":1}", .body_len = 7 };
	struct http_client_response r;

	(void)state;
	start_tcp("HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	req.url = url("/x");
	assert_int_equal(http_client_do(client, &req, &r), 0);
	assert_int_equal(r.status, 201);
	assert_string_equal(buf_str(&r.body), "");
	http_client_response_release(&r);
	assert_memory_equal(server.request, "POST /x HTTP/1.1\r\n", 18);
	assert_non_null(strstr(server.request, "X-One: 1\r\n"));
	assert_null(strstr(server.request, "Expect:"));
	assert_string_equal(strstr(server.request, "\r\n\r\n") + 4, "{\"a\":1}");

	/* Nothing of the last call is left for the next. */
	req = (struct http_client_request){ .url = url("/y"), .method = "DELETE" };
	assert_int_equal(http_client_do(client, &req, &r), 0);
	http_client_response_release(&r);
	stop();
	assert_memory_equal(server.request, "DELETE /y HTTP/1.1\r\n", 20);
	assert_null(strstr(server.request, "X-One"));
}

static void test_http_client_refuses_a_header_with_a_line_break(void **state)
{
	static const char *const headers[] = { "X-Trace-ID: a\r\nX-Evil: 1", NULL };
	struct http_client_request req = { .headers = headers };
	struct http_client_response r;

	(void)state;
	start_tcp("");
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), -EINVAL);
	assert_int_equal(r.error, HTTP_CLIENT_INTERNAL);
	http_client_response_release(&r);
	stop();
	assert_int_equal(atomic_load(&server.connections), 0);
}

static void test_http_client_does_not_follow_redirects(void **state)
{
	struct http_client_request req = { 0 };
	struct http_client_response r;

	(void)state;
	start_tcp(
		"HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), 0);
	assert_int_equal(r.status, 302);
	http_client_response_release(&r);
	stop();
	assert_int_equal(atomic_load(&server.connections), 1);
}

static void check_error(const char *answer, size_t pad, enum http_client_error want, int err)
{
	struct http_client_request req = { .timeout_ms = 5000, .body_max = 10000 };
	struct http_client_response r;

	start_tcp(answer);
	server.pad = pad;
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), err);
	assert_int_equal(r.error, want);
	assert_int_equal(r.status, 0);
	assert_string_equal(buf_str(&r.body), "");
	assert_true(r.why[0] != '\0');
	http_client_response_release(&r);
	http_client_response_release(&r);
	stop();
}

static void test_http_client_caps_the_body(void **state)
{
	(void)state;
	check_error("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 10001, HTTP_CLIENT_TOO_LARGE,
		    -EMSGSIZE);
	check_error("HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n", 20000,
		    HTTP_CLIENT_TOO_LARGE, -EMSGSIZE);
}

static void test_http_client_takes_a_body_of_exactly_the_cap(void **state)
{
	struct http_client_request req = { .body_max = 10000 };
	struct http_client_response r;

	(void)state;
	start_tcp("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
	server.pad = 10000;
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), 0);
	assert_int_equal(r.body.len, 10000);
	http_client_response_release(&r);
	stop();
}

static void test_http_client_protocol_errors(void **state)
{
	(void)state;
	check_error("", 0, HTTP_CLIENT_PROTOCOL, -EPROTO);
	check_error("SSH-2.0-OpenSSH\r\n", 0, HTTP_CLIENT_PROTOCOL, -EPROTO);
	check_error("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", 0, HTTP_CLIENT_PROTOCOL,
		    -EPROTO);
	check_error("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", 0, HTTP_CLIENT_PROTOCOL,
		    -EPROTO);
}

static void test_http_client_timeout(void **state)
{
	struct http_client_request req = { .timeout_ms = 50 };
	struct http_client_response r;

	(void)state;
	start_tcp(SILENT);
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), -ETIMEDOUT);
	assert_int_equal(r.error, HTTP_CLIENT_TIMEOUT);
	http_client_response_release(&r);
	stop();
}

static void test_http_client_cancel(void **state)
{
	atomic_bool cancel = true;
	struct http_client_request req = { .cancel = &cancel };
	struct http_client_response r;

	(void)state;
	start_tcp(SILENT);
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), -ECANCELED);
	assert_int_equal(r.error, HTTP_CLIENT_CANCELLED);
	http_client_response_release(&r);
	stop();
}

static void check_dead(const char *where, const char *unix_socket, enum http_client_error want)
{
	struct http_client_request req = { .url = where, .unix_socket = unix_socket };
	struct http_client_response r;

	assert_int_equal(http_client_new(&client), 0);
	assert_true(http_client_do(client, &req, &r) < 0);
	if (r.error != want)
		fail_msg("%s: %s (%s)", where, http_client_error_name(r.error), r.why);
	http_client_response_release(&r);
	http_client_free(client);
}

static void test_http_client_unreachable_and_bad_urls(void **state)
{
	(void)state;
	/* Port 1 of loopback: nobody's. */
	check_dead("http://127.0.0.1:1/", NULL, HTTP_CLIENT_UNREACHABLE);
	check_dead("http://localhost/", "/nonexistent/control.sock", HTTP_CLIENT_UNREACHABLE);
	check_dead("file:///etc/passwd", NULL, HTTP_CLIENT_INTERNAL);
	check_dead("http://", NULL, HTTP_CLIENT_INTERNAL);
}

static void test_http_client_tls_error(void **state)
{
	struct http_client_request req = { .timeout_ms = 5000 };
	struct http_client_response r;
	char text[64];

	(void)state;
	start_tcp("HTTP/1.1 400 This is not TLS\r\nConnection: close\r\n\r\n");
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/", server.port);
	req.url = text;
	assert_int_equal(http_client_do(client, &req, &r), -EBADE);
	assert_int_equal(r.error, HTTP_CLIENT_TLS);
	http_client_response_release(&r);
	stop();
}

static void test_http_client_unix_socket(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct http_client_request req = { .url = "http://localhost/v1/health" };
	struct http_client_response r;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(server.socket_path, sizeof(server.socket_path), "/tmp/test_http_client.%d",
		 getpid());
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", server.socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(
		start(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
		0);
	req.unix_socket = server.socket_path;
	assert_int_equal(http_client_do(client, &req, &r), 0);
	assert_string_equal(buf_str(&r.body), "ok");
	http_client_response_release(&r);
	stop();
	unlink(server.socket_path);
}

static void test_http_client_ignores_proxies_unless_asked(void **state)
{
	struct http_client_request req = { 0 };
	struct http_client_response r;

	(void)state;
	start_tcp("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("no_proxy", "", 1);
	req.url = url("/");
	assert_int_equal(http_client_do(client, &req, &r), 0);
	http_client_response_release(&r);
	req.use_proxy = true;
	assert_int_equal(http_client_do(client, &req, &r), -EHOSTUNREACH);
	http_client_response_release(&r);
	unsetenv("http_proxy");
	unsetenv("no_proxy");
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_client_get),
		cmocka_unit_test(test_http_client_sends_method_headers_and_body),
		cmocka_unit_test(test_http_client_refuses_a_header_with_a_line_break),
		cmocka_unit_test(test_http_client_does_not_follow_redirects),
		cmocka_unit_test(test_http_client_caps_the_body),
		cmocka_unit_test(test_http_client_takes_a_body_of_exactly_the_cap),
		cmocka_unit_test(test_http_client_protocol_errors),
		cmocka_unit_test(test_http_client_timeout),
		cmocka_unit_test(test_http_client_cancel),
		cmocka_unit_test(test_http_client_unreachable_and_bad_urls),
		cmocka_unit_test(test_http_client_tls_error),
		cmocka_unit_test(test_http_client_unix_socket),
		cmocka_unit_test(test_http_client_ignores_proxies_unless_asked),
	};

	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
