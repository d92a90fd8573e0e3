// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "base/util.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	/* The name ends at the last ')': it may hold any number of them. */
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	struct proc_stat s = { 0 };
	unsigned long long start;

	if (!open || !close || close < open || sscanf(text, "%d", &s.pid) != 1)
		return -EINVAL;
	snprintf(s.comm, sizeof(s.comm), "%.*s", (int)(close - open - 1), open + 1);
	/* Fields 3, 4 and 22; 5 to 21 are skipped. */
	if (sscanf(close + 1,
		   " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		   &s.state, &s.ppid, &start) != 3)
		return -EINVAL;
	s.start_ticks = start;
	*ret = s;
	return 0;
}

int proc_stat(pid_t pid, struct proc_stat *ret)
{
	char name[64], text[1024];

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	CLEANUP(closep) int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	ssize_t len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return -ENOENT;
	text[len] = '\0';
	return proc_stat_parse(text, ret);
}

int proc_netns(pid_t pid, uint32_t *ret)
{
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "/proc/%d/ns/net", pid);
	if (stat(name, &st) < 0)
		return -errno;
	*ret = (uint32_t)st.st_ino;
	return 0;
}

static int each_socket_of(pid_t pid, int (*cb)(void *ctx, uint64_t inode, pid_t pid), void *ctx)
{
	char name[64], target[64];

	snprintf(name, sizeof(name), "/proc/%d/fd", pid);
	CLEANUP(closedirp) DIR *d = opendir(name);
	int err = 0;
	/* It may be gone, or not ours to look at: both mean nothing to report. */
	for (struct dirent *e; d && !err && (e = readdir(d));) {
		unsigned long long inode;
		ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		if (len <= 0)
			continue;
		target[len] = '\0';
		if (sscanf(target, "socket:[%llu]", &inode) == 1)
			err = cb(ctx, inode, pid);
	}
	return err;
}

int proc_each_socket(pid_t only, int (*cb)(void *ctx, uint64_t inode, pid_t pid), void *ctx)
{
	if (only)
		return each_socket_of(only, cb, ctx);

	CLEANUP(closedirp) DIR *d = opendir("/proc");
	if (!d)
		return -errno;
	int err = 0;
	for (struct dirent *e; !err && (e = readdir(d));) {
		uint64_t pid;
		if (text_to_u64(e->d_name, 1, INT32_MAX, &pid) == 0)
			err = each_socket_of((pid_t)pid, cb, ctx);
	}
	return err;
}
