// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/supervise/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/util.h"

static int parent_of(const char *dir, char ret[static PATH_MAX])
{
	char copy[PATH_MAX];

	if (strlen(dir) >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, dir, strlen(dir) + 1);
	const char *parent = dirname(copy);
	memcpy(ret, parent, strlen(parent) + 1);
	return 0;
}

static FILE *open_members(const char *dir)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	return fopen(path, "re");
}

static bool populated(const char *dir)
{
	CLEANUP(fclosep) FILE *f = open_members(dir);
	char line[32];

	return f && fgets(line, sizeof(line), f);
}

int cgroup_make(const char *dir)
{
	char parent[PATH_MAX];

	int err = parent_of(dir, parent);
	if (err)
		return err;
	if ((mkdir(parent, 0755) && errno != EEXIST) || (mkdir(dir, 0755) && errno != EEXIST))
		return -errno;
	return populated(dir) ? -EBUSY : 0;
}

int cgroup_open_procs(const char *dir)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_kill(const char *dir)
{
	CLEANUP(fclosep) FILE *f = open_members(dir);
	int nr = 0, pid;

	if (!f)
		return -errno;
	while (fscanf(f, "%d", &pid) == 1)
		if (pid > 0 && !kill(pid, SIGKILL))
			nr++;
	return nr;
}

int cgroup_remove(const char *dir)
{
	char parent[PATH_MAX];

	int err = parent_of(dir, parent);
	if (err)
		return err;
	if (rmdir(dir) && errno != ENOENT)
		return -errno;
	/* Another supervisor's children may still be there. */
	if (rmdir(parent) && errno != ENOENT && errno != EBUSY && errno != ENOTEMPTY)
		return -errno;
	return 0;
}
