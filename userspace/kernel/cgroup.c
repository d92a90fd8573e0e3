// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

/* Octal escapes of mountinfo: space, tab, newline and backslash. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		unsigned int c;
		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
			*to = (char)c;
			s += 3;
		} else {
			*to = *s;
		}
	}
	*to = '\0';
}

int cgroup_root(char ret[static PATH_MAX])
{
	CLEANUP(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
	CLEANUP(freep) char *line = NULL;
	size_t cap = 0;

	if (!f)
		return -errno;
	/* "36 35 98:0 /root /mount/point options - fstype source options" */
	while (getline(&line, &cap, f) > 0) {
		char root[PATH_MAX], point[PATH_MAX];
		const char *dash = strstr(line, " - cgroup2 ");

		if (!dash || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2 ||
		    strcmp(root, "/") != 0)
			continue;
		unescape(point);
		memcpy(ret, point, strlen(point) + 1);
		return 0;
	}
	return -ENOENT;
}

bool cgroup_path_valid(const char *path)
{
	if (path[0] != '/' || strlen(path) >= SERVICE_CGROUP_MAX)
		return false;
	if (!path[1])
		return true;
	for (const char *c = path; *c; c += strcspn(c + 1, "/") + 1) {
		size_t len = strcspn(c + 1, "/");
		if (!len || (len == 1 && c[1] == '.') || (len == 2 && c[1] == '.' && c[2] == '.'))
			return false;
	}
	return true;
}

int cgroup_open_path(const char *path)
{
	char dir[PATH_MAX + SERVICE_CGROUP_MAX];

	if (!cgroup_path_valid(path))
		return -EINVAL;
	int err = cgroup_root(dir);
	if (err)
		return err;
	size_t len = strlen(dir);
	snprintf(dir + len, sizeof(dir) - len, "%s", path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_path_id(const char *path, uint64_t *ret)
{
	CLEANUP(closep) int fd = cgroup_open_path(path);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* kernfs: the inode number is the id on 64-bit kernels. */
	*ret = st.st_ino;
	return 0;
}

int cgroup_of_pid(pid_t pid, char ret[static SERVICE_CGROUP_MAX])
{
	char name[64];
	CLEANUP(freep) char *line = NULL;
	size_t cap = 0;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
	CLEANUP(fclosep) FILE *f = fopen(name, "re");
	while (f && getline(&line, &cap, f) > 0) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		const char *path = line + 3;
		if (strlen(path) >= SERVICE_CGROUP_MAX)
			return -ENAMETOOLONG;
		memcpy(ret, path, strlen(path) + 1);
		return 0;
	}
	return -ENOENT;
}

ssize_t cgroup_procs(const char *path, pid_t *ret, size_t max)
{
	CLEANUP(closep) int dir = cgroup_open_path(path);
	if (dir < 0)
		return dir;

	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	CLEANUP(fclosep) FILE *f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	ssize_t nr = 0;
	for (int pid; fscanf(f, "%d", &pid) == 1; nr++)
		if ((size_t)nr < max)
			ret[nr] = pid;
	return nr;
}
