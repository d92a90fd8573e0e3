// SPDX-License-Identifier: GPL-2.0-or-later
#include "caller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

struct call {
	bool v6;
	uint16_t port;
	struct in_addr address4;
	struct in6_addr address6;
};

/* What is sent for it: an error, and a socket where there is none. */
union rights {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int begin(const struct call *call)
{
	const struct timeval timeout = { .tv_sec = 5 };
	const int one = 1;
	const struct sockaddr_in a4 = { .sin_family = AF_INET,
					.sin_port = htons(call->port),
					.sin_addr = call->address4 };
	const struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
					 .sin6_port = htons(call->port),
					 .sin6_addr = call->address6 };
	CLEANUP(closep) int fd = socket(call->v6 ? AF_INET6 : AF_INET,
					SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)))
		return -errno;
	if (connect(fd, call->v6 ? (const struct sockaddr *)&a6 : (const struct sockaddr *)&a4,
		    call->v6 ? sizeof(a6) : sizeof(a4)) &&
	    errno != EINPROGRESS)
		return -errno;
	return fcntl(fd, F_SETFL, 0) ? -errno : TAKE_FD(fd);
}

static void serve(int line)
{
	struct call call;

	while (read(line, &call, sizeof(call)) == sizeof(call)) {
		CLEANUP(closep) int fd = begin(&call);
		int err = fd < 0 ? fd : 0;
		struct iovec v = { .iov_base = &err, .iov_len = sizeof(err) };
		union rights r = { 0 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

		if (fd >= 0) {
			m.msg_control = &r;
			m.msg_controllen = sizeof(r.space);
			struct cmsghdr *h = CMSG_FIRSTHDR(&m);
			*h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS,
					       .cmsg_len = CMSG_LEN(sizeof(fd)) };
			memcpy(CMSG_DATA(h), &fd, sizeof(fd));
		}
		if (sendmsg(line, &m, MSG_NOSIGNAL) != sizeof(err))
			break;
	}
	_exit(0);
}

int caller_start(struct caller *c)
{
	pid_t parent = getpid();
	int line[2];

	/* Whole messages, or none. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line))
		return -errno;
	c->pid = fork();
	if (c->pid < 0) {
		int err = -errno;

		close(line[0]);
		close(line[1]);
		return err;
	}
	if (!c->pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
			_exit(1);
		close(line[1]);
		serve(line[0]);
	}
	close(line[0]);
	c->line = line[1];
	return 0;
}

int caller_connect(struct caller *c, const char *address, uint16_t port)
{
	struct call call = { .v6 = strchr(address, ':'), .port = port };
	int err = -EPROTO, fd = -1;
	struct iovec v = { .iov_base = &err, .iov_len = sizeof(err) };
	union rights r = { 0 };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &r, .msg_controllen = sizeof(r.space)
	};

	if (inet_pton(call.v6 ? AF_INET6 : AF_INET, address,
		      call.v6 ? (void *)&call.address6 : (void *)&call.address4) != 1)
		return -EINVAL;
	if (write(c->line, &call, sizeof(call)) != sizeof(call) ||
	    recvmsg(c->line, &m, MSG_CMSG_CLOEXEC) != sizeof(err))
		return -EPIPE;
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (err || !h || h->cmsg_type != SCM_RIGHTS)
		return err ?: -EPROTO;
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

void caller_stop(struct caller *c)
{
	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	close(c->line);
	c->pid = 0;
}
