// SPDX-License-Identifier: GPL-2.0-or-later
#include "httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#define CONNECTIONS 1024
#define REQUESTS_MAX 65536

struct connection {
	int fd;
	size_t len;
	char in[REQUESTS_MAX + 1];
};

static char body[HTTPD_BODY_MAX];
static int body_fd = -1;

/* Sockets block: a test's client reads what it asked for. */
static int send_all(int fd, const void *data, size_t len, bool more)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_split(int fd, const char *data, size_t len)
{
	int err = 0;

	for (size_t at = 0; at < len && !err; at += 7)
		err = send_all(fd, data + at, MIN(len - at, (size_t)7), false);
	return err;
}

static int send_chunked(int fd, size_t len)
{
	int err = 0;

	while (len && !err) {
		char size[16];
		size_t n = MIN(len, (size_t)1000);
		int digits = snprintf(size, sizeof(size), "%zx\r\n", n);

		err = send_all(fd, size, (size_t)digits, true) ?:
			send_all(fd, body, n, true)            ?:
								 send_all(fd, "\r\n", 2, true);
		len -= n;
	}
	return err ?: send_all(fd, "0\r\n\r\n", 5, false);
}

static int send_file(int fd, size_t len)
{
	off_t at = 0;

	while ((size_t)at < len)
		if (sendfile(fd, body_fd, &at, len - (size_t)at) < 0)
			return -errno;
	return 0;
}

static int send_splice(int fd, size_t len)
{
	int ends[2], err = 0;
	loff_t at = 0;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	while ((size_t)at < len && !err) {
		ssize_t held = splice(body_fd, &at, ends[1], NULL,
				      MIN(len - (size_t)at, (size_t)65536), 0);
		if (held <= 0)
			err = -EIO;
		while (held > 0 && !err) {
			ssize_t n = splice(ends[0], NULL, fd, NULL, (size_t)held, SPLICE_F_MORE);
			if (n <= 0)
				err = -EIO;
			held -= n;
		}
	}
	close(ends[0]);
	close(ends[1]);
	return err;
}

/* 0: keep the connection. */
static int answer(int fd, bool head, unsigned int status, size_t len, const char *how)
{
	bool chunked = !strcmp(how, "chunked"), until_close = !strcmp(how, "close");
	bool bodyless = head || status == 204 || status == 304;
	char text[256], framing[64] = "";

	if (!status)
		return 0;
	if (chunked)
		snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
	else if (!until_close && status != 204)
		snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", len);
	int n = snprintf(
		text, sizeof(text),
		"%sHTTP/1.1 %u Whatever\r\nServer: test\r\nContent-Type: text/plain\r\n%s\r\n",
		!strcmp(how, "continue") ? "HTTP/1.1 100 Continue\r\n\r\n" : "", status, framing);
	int err;

	if (!strcmp(how, "split"))
		return send_split(fd, text, (size_t)n) ?: bodyless ? 0 : send_split(fd, body, len);
	err = send_all(fd, text, (size_t)n,
		       !bodyless && len > 0 && strcmp(how, "file") != 0 &&
			       strcmp(how, "splice") != 0);
	if (err || bodyless)
		return err;
	if (chunked)
		return send_chunked(fd, len);
	if (!strcmp(how, "file"))
		return send_file(fd, len);
	if (!strcmp(how, "splice"))
		return send_splice(fd, len);
	return send_all(fd, body, len, false) ?: until_close ? -ECONNRESET : 0;
}

/* Answer the first whole request in @text; its length, 0: not whole yet, -errno: close. */
static ssize_t serve_one(int fd, const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");
	char method[16], how[16] = "";
	unsigned int status;
	size_t len, sent = 0;

	if (!end)
		return 0;
	const char *length = strcasestr(text, "\r\nContent-Length:");
	if (length && length < end)
		sent = strtoul(length + 17, NULL, 10);
	end += 4;
	if (strlen(end) < sent)
		return 0;
	if (sscanf(text, "%15s /%3u/%zu/%15[a-z]", method, &status, &len, how) < 3 ||
	    len > sizeof(body))
		return -EINVAL;
	int err = answer(fd, !strcmp(method, "HEAD"), status, len, how);
	return err ? err : end + sent - text;
}

static int serve(struct connection *c)
{
	ssize_t n = recv(c->fd, c->in + c->len, REQUESTS_MAX - c->len, 0);
	size_t at = 0;

	if (n <= 0)
		return -ECONNRESET;
	c->len += (size_t)n;
	c->in[c->len] = '\0';
	while ((n = serve_one(c->fd, c->in + at)) > 0)
		at += (size_t)n;
	c->len -= at;
	memmove(c->in, c->in + at, c->len);
	return n < 0 || c->len == REQUESTS_MAX ? -ECONNRESET : 0;
}

static void take(int epoll, int listener)
{
	const int one = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	struct connection *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if (!c)
		_exit(1);
	c->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
		_exit(1);
}

static void loop(int listener)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN }, events[64];

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev))
		_exit(1);
	for (;;) {
		int n = epoll_wait(epoll, events, ARRAY_SIZE(events), -1);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (!c) {
				take(epoll, listener);
			} else if (serve(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}

static int listen_on(uint16_t *port, bool defer)
{
	const int one = 1, zero = 0, seconds = 5;
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(*port) };
	socklen_t len = sizeof(a);
	CLEANUP(closep) int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) ||
	    (defer && setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds))) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, CONNECTIONS) ||
	    getsockname(fd, (struct sockaddr *)&a, &len))
		return -errno;
	*port = ntohs(a.sin6_port);
	return TAKE_FD(fd);
}

int httpd_start(struct httpd *h, uint16_t port, bool defer)
{
	CLEANUP(closep) int fd = listen_on(&port, defer);
	pid_t parent = getpid();

	if (fd < 0)
		return fd;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		memset(body, 'x', sizeof(body));
		body_fd = memfd_create("body", MFD_CLOEXEC);
		if (body_fd < 0 || write(body_fd, body, sizeof(body)) != sizeof(body))
			_exit(1);
		loop(fd);
		_exit(1);
	}
	h->pid = pid;
	h->port = port;
	return 0;
}

void httpd_stop(struct httpd *h)
{
	if (h->pid <= 0)
		return;
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	h->pid = 0;
}
