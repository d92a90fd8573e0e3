// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/util.h"

#define BACKLOG 256

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static bool parse_address(const char *text, uint16_t port, union address *ret, socklen_t *len)
{
	union address a = { 0 };

	if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1) {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(port);
		*len = sizeof(a.v4);
	} else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(port);
		*len = sizeof(a.v6);
	} else {
		return false;
	}
	*ret = a;
	return true;
}

bool address_is_loopback(const char *address)
{
	union address a;
	socklen_t len;

	if (!parse_address(address, 0, &a, &len))
		return false;
	if (a.any.sa_family == AF_INET)
		return ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr) ||
		(IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr) && a.v6.sin6_addr.s6_addr[12] == 127);
}

static int say_taken(const char *address, uint16_t port, const char *option, struct problem *p)
{
	pid_t pid;
	char name[32], holder[96] = "a process that is not visible from here";

	if (!holder_find(port, &pid, name))
		snprintf(holder, sizeof(holder), "%s (process %d)", name, (int)pid);
	problem_set(p, 503, "port %u on %s is taken by %s; stop it, or choose another with %s",
		    port, address, holder, option);
	return -EADDRINUSE;
}

static int say_failed(const char *address, uint16_t port, int err, struct problem *p)
{
	problem_set(p, 503, "cannot listen on %s port %u: %s", address, port, strerror(err));
	return -err;
}

int listen_tcp(const char *address, uint16_t port, const char *option, int *ret_fd,
	       uint16_t *ret_port, struct problem *p)
{
	union address a;
	socklen_t len;

	if (!parse_address(address, port, &a, &len))
		return problem_parameter(p, 400, "listen", address,
					 "a numeric IPv4 or IPv6 address");

	CLEANUP(closep) int fd =
		socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return say_failed(address, port, errno, p);

	int one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &a.any, len) < 0 || listen(fd, BACKLOG) < 0) {
		if (errno == EADDRINUSE)
			return say_taken(address, port, option, p);
		return say_failed(address, port, errno, p);
	}
	if (getsockname(fd, &a.any, &len) < 0)
		return say_failed(address, port, errno, p);
	*ret_port = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* 0: @path is free now. */
static int clear_stale(const char *path, const struct sockaddr_un *un, struct problem *p)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		problem_set(
			p, 503,
			"%s exists and is not a socket; remove it, or choose another with --socket",
			path);
		return -EEXIST;
	}
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)un, sizeof(*un)) || errno != ECONNREFUSED) {
		problem_set(
			p, 503,
			"another daemon answers on %s; stop it, or choose another with --socket",
			path);
		return -EADDRINUSE;
	}
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static void make_folder_of(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (slash && slash != path) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
		mkdir(folder, 0755); /* where it fails, bind() says why */
	}
}

static void give_to_group(const char *path, const char *name)
{
	const struct group *g = getgrnam(name);

	if (g && !lchown(path, (uid_t)-1, g->gr_gid))
		chmod(path, 0660);
}

int listen_unix(const char *path, const char *group, int *ret_fd, struct problem *p)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (!*path || strlen(path) >= sizeof(un.sun_path)) {
		problem_parameter(p, 400, "socket", path, "a path of 1 to 107 bytes");
		return -EINVAL;
	}
	memcpy(un.sun_path, path, strlen(path) + 1);
	make_folder_of(path);
	int err = clear_stale(path, &un, p);
	if (err) {
		if (p && !p->status)
			problem_set(p, 503, "cannot use %s: %s", path, strerror(-err));
		return err;
	}

	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Nobody but root may connect between bind() and chmod(). */
	mode_t old = umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		err = -errno;
	umask(old);
	if (!err) {
		give_to_group(path, group);
		if (listen(fd, BACKLOG) < 0)
			err = -errno;
	}
	if (err) {
		problem_set(p, 503, "cannot listen on %s: %s", path, strerror(-err));
		return err;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
