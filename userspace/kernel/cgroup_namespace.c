// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/cgroup_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/util.h"

int cgroup_namespace_join(pid_t pid)
{
	struct stat own, other;
	char name[48];

	snprintf(name, sizeof(name), "/proc/%d/ns/cgroup", pid);
	CLEANUP(closep) int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &other) < 0 || stat("/proc/self/ns/cgroup", &own) < 0)
		return -errno;
	if (own.st_ino == other.st_ino && own.st_dev == other.st_dev)
		return 0;
	return setns(fd, CLONE_NEWCGROUP) < 0 ? -errno : 0;
}
