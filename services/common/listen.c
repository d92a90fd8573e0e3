// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/listen.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"

#define BACKLOG 1024
#define TCP_LISTEN_STATE 0x0a

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void addrinfop(struct addrinfo **a)
{
	if (*a)
		freeaddrinfo(*a);
}

/* The inode of the socket that listens on @port, in this network namespace; 0: none. */
static unsigned long listener_inode(const char *table, uint16_t port)
{
	CLEANUP(fclosep) FILE *f = fopen(table, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned int local, state;
		unsigned long inode;

		if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &local, &state,
			   &inode) == 3 &&
		    local == port && state == TCP_LISTEN_STATE)
			return inode;
	}
	return 0;
}

static bool holds(int proc, const char *pid, unsigned long inode)
{
	char path[64], want[64], link[64];

	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	snprintf(path, sizeof(path), "%.16s/fd", pid);
	int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *e; d && (e = readdir(d));) {
		ssize_t len = readlinkat(fd, e->d_name, link, sizeof(link) - 1);
		if (len > 0) {
			link[len] = '\0';
			if (!strcmp(link, want))
				return true;
		}
	}
	return false;
}

static void describe_holder(uint16_t port, char *ret, size_t size)
{
	unsigned long inode = listener_inode("/proc/net/tcp", port) ?: listener_inode("/proc/net/tcp6", port);
	CLEANUP(closedirp) DIR *proc = inode ? opendir("/proc") : NULL;

	snprintf(ret, size, "another process");
	for (struct dirent *e; proc && (e = readdir(proc));) {
		if (!isdigit((unsigned char)e->d_name[0]) || !holds(dirfd(proc), e->d_name, inode))
			continue;

		char path[64], comm[32] = "";
		snprintf(path, sizeof(path), "/proc/%.16s/comm", e->d_name);
		CLEANUP(fclosep) FILE *f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = '\0';
		snprintf(ret, size, "%s (pid %.16s)", *comm ? comm : "a process", e->d_name);
		return;
	}
}

static struct addrinfo *resolve(const char *address, uint16_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *ai = NULL;
	char text[8];

	snprintf(text, sizeof(text), "%u", port);
	return getaddrinfo(address, text, &hints, &ai) ? NULL : ai;
}

int listen_open(const char *address, uint16_t port, int *ret, char *why, size_t size)
{
	CLEANUP(addrinfop) struct addrinfo *ai = resolve(address, port);
	if (!ai) {
		snprintf(why, size, "%.64s is not an IPv4 or IPv6 address", address);
		return -EINVAL;
	}

	CLEANUP(closep) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
		int err = errno;
		char holder[80];
		if (err == EADDRINUSE) {
			describe_holder(port, holder, sizeof(holder));
			snprintf(why, size, "port %u is taken by %s; choose another with --port", port, holder);
		} else {
			snprintf(why, size, "cannot listen on %.64s port %u: %s", address, port, strerror(err));
		}
		return -err;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

bool listen_is_loopback(const char *address)
{
	struct in_addr four;
	struct in6_addr six;

	if (inet_pton(AF_INET, address, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}
