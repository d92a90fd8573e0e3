// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

#define CGROUP_FIND_QUEUE 2048

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

/* @max is what @ret holds, @nr what came before: more is counted, not kept. */
static ssize_t procs_of(int dir, pid_t *ret, size_t nr, size_t max)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	CLEANUP(fclosep) FILE *f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	for (int pid; fscanf(f, "%d", &pid) == 1; nr++)
		if (nr < max)
			ret[nr] = pid;
	return (ssize_t)nr;
}

ssize_t cgroup_procs(const char *path, pid_t *ret, size_t max)
{
	CLEANUP(closep) int dir = cgroup_open_path(path);

	return dir < 0 ? dir : procs_of(dir, ret, 0, max);
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static ssize_t procs_below(int dir, int depth, int *left, pid_t *ret, size_t nr, size_t max)
{
	ssize_t got = procs_of(dir, ret, nr, max);

	if (got < 0 || depth == 0)
		return got;
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closedirp) DIR *d = again < 0 ? NULL : fdopendir(again);
	for (struct dirent *e; d && *left > 0 && (e = readdir(d));) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		CLEANUP(closep) int child =
			openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		--*left;
		/* Gone since: nothing of it is left. */
		ssize_t more = child < 0 ?
			got :
			procs_below(child, depth - 1, left, ret, (size_t)got, max);
		got = MAX(more, got);
	}
	return got;
}

ssize_t cgroup_procs_below(const char *path, pid_t *ret, size_t max)
{
	CLEANUP(closep) int dir = cgroup_open_path(path);
	int left = CGROUP_BELOW_MAX;

	return dir < 0 ? dir : procs_below(dir, CGROUP_BELOW_DEPTH, &left, ret, 0, max);
}

/* Paths still to be looked into, in the order of their depth. */
struct search {
	char (*paths)[SERVICE_CGROUP_MAX];
	size_t nr, looked, left;
};

static bool look_into(struct search *q, const char *name, char ret[static SERVICE_CGROUP_MAX])
{
	char here[SERVICE_CGROUP_MAX];

	memcpy(here, q->paths[q->looked++ % CGROUP_FIND_QUEUE], sizeof(here));
	int fd = cgroup_open_path(here);
	CLEANUP(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	for (struct dirent *e; d && q->left && (e = readdir(d));) {
		char path[2 * SERVICE_CGROUP_MAX];

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		q->left--;
		int len = snprintf(path, sizeof(path), "%s/%s", here[1] ? here : "", e->d_name);
		if (len < 0 || len >= SERVICE_CGROUP_MAX)
			continue;
		if (!strcmp(e->d_name, name)) {
			memcpy(ret, path, (size_t)len + 1);
			return true;
		}
		if (q->nr - q->looked < CGROUP_FIND_QUEUE)
			memcpy(q->paths[q->nr++ % CGROUP_FIND_QUEUE], path, (size_t)len + 1);
	}
	return false;
}

int cgroup_find(const char *name, char ret[static SERVICE_CGROUP_MAX])
{
	struct search q = { .nr = 1, .left = CGROUP_FIND_MAX };

	if (!*name || *name == '.' || strchr(name, '/'))
		return -EINVAL;
	CLEANUP(freep) char(*paths)[SERVICE_CGROUP_MAX] = calloc(CGROUP_FIND_QUEUE, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	q.paths = paths;
	memcpy(paths[0], "/", 2);
	while (q.looked < q.nr && q.left)
		if (look_into(&q, name, ret))
			return 0;
	return -ENOENT;
}
