// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/util.h"
#include "serve/listen.h"

#define TCP_LISTEN_HEX 0x0A

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The inode of the socket that listens on @port, by one of /proc/net/tcp{,6}; 0 for none. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
	CLEANUP(fclosep) FILE *f = fopen(table, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		unsigned local = 0, state = 0;
		unsigned long inode = 0;
		if (sscanf(line,
			   " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %lu",
			   &local, &state, &inode) == 3 &&
		    local == port && state == TCP_LISTEN_HEX)
			return inode;
	}
	return 0;
}

static bool has_socket(int proc_fd, const char *pid, const char *wanted)
{
	char path[64], target[64];

	snprintf(path, sizeof(path), "%.20s/fd", pid);
	int dir_fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return false;
	CLEANUP(closedirp) DIR *d = fdopendir(dir_fd);
	if (!d) {
		close(dir_fd);
		return false;
	}
	for (struct dirent *e; (e = readdir(d));) {
		ssize_t n = readlinkat(dir_fd, e->d_name, target, sizeof(target) - 1);
		if (n > 0) {
			target[n] = '\0';
			if (!strcmp(target, wanted))
				return true;
		}
	}
	return false;
}

static void read_name(int proc_fd, const char *pid, char name[static 32])
{
	char path[64];

	snprintf(path, sizeof(path), "%.20s/comm", pid);
	CLEANUP(closep) int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, name, 31);

	name[MAX(n, 0)] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (char *c = name; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	if (!*name)
		snprintf(name, 32, "a process");
}

int holder_find(uint16_t port, pid_t *ret, char name[static 32])
{
	unsigned long inode = listening_inode("/proc/self/net/tcp", port) ?:
		listening_inode("/proc/self/net/tcp6", port);
	char wanted[48];

	if (!inode)
		return -ENOENT;
	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);

	CLEANUP(closedirp) DIR *proc = opendir("/proc");
	for (struct dirent *e; proc && (e = readdir(proc));) {
		if (!isdigit((unsigned char)e->d_name[0]) ||
		    !has_socket(dirfd(proc), e->d_name, wanted))
			continue;
		*ret = (pid_t)strtol(e->d_name, NULL, 10);
		read_name(dirfd(proc), e->d_name, name);
		return 0;
	}
	return -ENOENT;
}
