// SPDX-License-Identifier: GPL-2.0-or-later
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

#define LINES_MAX 32
#define LINE_MAX_BYTES 64
#define PIPELINE_MAX 64
#define TIMEOUT_S 10

enum kind { LOAD_CONNECT, LOAD_RUN, LOAD_ASK, LOAD_HANG_UP };

struct order {
	enum kind kind;
	unsigned int nr, pipeline, nr_lines;
	bool late_ack;
	uint64_t requests;
	char lines[LINES_MAX][LINE_MAX_BYTES];
};

/* The client's own; one thread. */
static int fds[LOAD_CONNECTIONS_MAX];
static unsigned int nr_fds;
static uint16_t server_port;
static struct load_count *count;
static char in[4 << 20];

static int connect_one(unsigned int way, bool late_ack)
{
	static const char *const hosts[] = { "127.0.0.1", "::1", "::ffff:127.0.0.1" };
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	const int one = 1, zero = 0;
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(server_port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(server_port) };
	bool v4 = way == 0;
	CLEANUP(closep) int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(v4 ? AF_INET : AF_INET6, hosts[way],
		  v4 ? (void *)&a4.sin_addr : (void *)&a6.sin6_addr);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    (late_ack && setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero))) ||
	    connect(fd, v4 ? (void *)&a4 : (void *)&a6, v4 ? sizeof(a4) : sizeof(a6)))
		return -errno;
	return TAKE_FD(fd);
}

static int open_connections(const struct order *o)
{
	for (unsigned int i = 0; i < o->nr; i++) {
		int fd = nr_fds < LOAD_CONNECTIONS_MAX ? connect_one(nr_fds % 3, o->late_ack) :
							 -E2BIG;
		if (fd < 0)
			return fd;
		fds[nr_fds++] = fd;
	}
	return 0;
}

static size_t write_request(char *to, size_t size, const char *line)
{
	bool body = !strncmp(line, "POST", 4);

	return (size_t)snprintf(
		to, size,
		"%s HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: load/1.0\r\nAccept: */*\r\n"
		"X-Trace-ID: 550e8400-e29b-41d4-a716-446655440000\r\n%s\r\n%s",
		line, body ? "Content-Length: 11\r\n" : "", body ? "hello world" : "");
}

static int send_text(int fd, const char *text, size_t len)
{
	if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -EIO;
	count->sent_bytes += len;
	return 0;
}

/* Length of the whole answer that @text begins with; 0: not whole yet; -EIO: rubbish. */
static ssize_t answer_length(const char *text, size_t len, bool head, unsigned int *status)
{
	const char *end = memmem(text, len, "\r\n\r\n", 4);

	if (!end)
		return 0;
	if (sscanf(text, "HTTP/1.1 %3u", status) != 1 || *status >= LOAD_STATUS_MAX)
		return -EIO;
	end += 4;
	if (*status < 200) {
		ssize_t n = answer_length(end, len - (size_t)(end - text), head, status);
		return n > 0 ? end - text + n : n;
	}

	size_t head_len = (size_t)(end - text);
	const char *length = memmem(text, head_len, "Content-Length: ", 16);

	if (head || *status == 204 || *status == 304)
		return (ssize_t)head_len;
	if (memmem(text, head_len, "chunked", 7)) {
		const char *last = memmem(end, len - head_len, "0\r\n\r\n", 5);

		/* Bodies are 'x' alone, sizes are no multiple of 16: this is the last chunk's. */
		return last ? last + 5 - text : 0;
	}
	size_t total = head_len + (length ? strtoul(length + 16, NULL, 10) : 0);
	return len >= total ? (ssize_t)total : 0;
}

/* Read one answer to @line; @held bytes of `in` are there already, and are updated. */
static int hear(int fd, const char *line, size_t *held)
{
	unsigned int asked = 0, status = 0;
	ssize_t n;

	while (!(n = answer_length(in, *held, !strncmp(line, "HEAD", 4), &status))) {
		ssize_t got = recv(fd, in + *held, sizeof(in) - *held, 0);
		if (got <= 0)
			return -EIO;
		*held += (size_t)got;
		count->read_bytes += (size_t)got;
	}
	if (n < 0 || sscanf(line, "%*s /%3u", &asked) != 1 || asked != status)
		return -EIO;
	*held -= (size_t)n;
	memmove(in, in + n, *held);
	count->requests++;
	count->status[status]++;
	return 0;
}

/* One round: every connection sends, then every connection reads. */
static int round_trip(const struct order *o, uint64_t *next)
{
	char text[PIPELINE_MAX * 512];
	uint64_t from = *next;

	for (unsigned int c = 0; c < nr_fds; c++) {
		size_t len = 0;

		for (unsigned int i = 0; i < o->pipeline; i++)
			len += write_request(text + len, sizeof(text) - len,
					     o->lines[(*next)++ % o->nr_lines]);
		int err = send_text(fds[c], text, len);
		if (err)
			return err;
	}
	for (unsigned int c = 0; c < nr_fds; c++) {
		size_t held = 0;

		for (unsigned int i = 0; i < o->pipeline; i++) {
			int err = hear(fds[c], o->lines[from++ % o->nr_lines], &held);
			if (err)
				return err;
		}
		if (held)
			return -EIO;
	}
	return 0;
}

static int run(const struct order *o)
{
	uint64_t next = 0;
	int err = nr_fds && o->requests % ((uint64_t)nr_fds * o->pipeline) == 0 ? 0 : -EINVAL;

	while (!err && next < o->requests)
		err = round_trip(o, &next);
	if (err)
		count->broken++;
	return err;
}

static int ask(const struct order *o)
{
	char text[512];
	size_t len = write_request(text, sizeof(text), o->lines[0]);
	int err = 0;

	for (unsigned int c = 0; c < nr_fds && !err; c++)
		err = send_text(fds[c], text, len);
	return err;
}

static int hang_up(void)
{
	while (nr_fds)
		close(fds[--nr_fds]);
	return 0;
}

static int obey(const struct order *o)
{
	switch (o->kind) {
	case LOAD_CONNECT:
		return open_connections(o);
	case LOAD_RUN:
		return run(o);
	case LOAD_ASK:
		return ask(o);
	case LOAD_HANG_UP:
		return hang_up();
	}
	return -EINVAL;
}

static void client(int orders, int done)
{
	static struct order o;

	while (read(orders, &o, sizeof(o)) == sizeof(o)) {
		int err = obey(&o);

		if (write(done, &err, sizeof(err)) != sizeof(err))
			break;
	}
	_exit(0);
}

int load_start(struct load *l, uint16_t port)
{
	int orders[2], done[2];
	pid_t parent = getpid();

	l->count = mmap(NULL, sizeof(*l->count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	/* Whole orders, or none: a packet pipe keeps them apart. */
	if (l->count == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, done))
		return -errno;
	l->pid = fork();
	if (l->pid < 0)
		return -errno;
	if (!l->pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		close(orders[1]);
		close(done[0]);
		server_port = port;
		count = l->count;
		client(orders[0], done[1]);
	}
	close(orders[0]);
	close(done[1]);
	l->order = orders[1];
	l->done = done[0];
	return 0;
}

static int give(struct load *l, const struct order *o)
{
	int err;

	if (write(l->order, o, sizeof(*o)) != sizeof(*o) ||
	    read(l->done, &err, sizeof(err)) != sizeof(err))
		return -EPIPE;
	return err;
}

int load_connect(struct load *l, unsigned int nr, bool late_ack)
{
	const struct order o = { .kind = LOAD_CONNECT, .nr = nr, .late_ack = late_ack };

	return give(l, &o);
}

int load_run(struct load *l, const char *const *lines, unsigned int pipeline, uint64_t requests)
{
	struct order o = { .kind = LOAD_RUN, .pipeline = pipeline, .requests = requests };

	if (!pipeline || pipeline > PIPELINE_MAX)
		return -EINVAL;
	for (; lines[o.nr_lines]; o.nr_lines++) {
		if (o.nr_lines == LINES_MAX || strlen(lines[o.nr_lines]) >= LINE_MAX_BYTES)
			return -E2BIG;
		snprintf(o.lines[o.nr_lines], LINE_MAX_BYTES, "%s", lines[o.nr_lines]);
	}
	return give(l, &o);
}

int load_ask(struct load *l, const char *line)
{
	struct order o = { .kind = LOAD_ASK };

	snprintf(o.lines[0], sizeof(o.lines[0]), "%s", line);
	return give(l, &o);
}

int load_hang_up(struct load *l)
{
	const struct order o = { .kind = LOAD_HANG_UP };

	return give(l, &o);
}

void load_stop(struct load *l)
{
	if (l->pid <= 0)
		return;
	kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	close(l->order);
	close(l->done);
	munmap(l->count, sizeof(*l->count));
	memset(l, 0, sizeof(*l));
}
