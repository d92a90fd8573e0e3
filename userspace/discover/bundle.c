// SPDX-License-Identifier: GPL-2.0-or-later
#include "discover/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/text.h"
#include "base/util.h"
#include "discover/workload.h"
#include "kernel/cgroup.h"
#include "kernel/procs.h"

#define FOLDERS_MAX 16 /* of bundles: one a run time and namespace */
#define ID_LEN (SERVICE_CONTAINER_MAX - 1)
#define CMDLINE_MAX 8192

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* ---- config.json */

/* One of several names for the same; what is too long or not printable is none. */
static void take(const cJSON *annotations, const char *const *names, char *to, size_t size)
{
	for (; *names; names++) {
		const char *v = json_str(annotations, *names);
		size_t len = v ? strlen(v) : 0;

		if (!len || len >= size)
			continue;
		if (strspn(v,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") !=
		    len)
			continue;
		memcpy(to, v, len + 1);
		return;
	}
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* CRI-O keeps labels as JSON in an annotation. */
static void take_labels(const cJSON *annotations, struct target *t)
{
	const char *text = json_str(annotations, "io.kubernetes.cri-o.Labels");
	CLEANUP(json_freep) cJSON *labels = NULL;
	const char *why;

	if (text && json_parse(text, strlen(text), &labels, &why) == 0)
		take(labels, NAMES("app.kubernetes.io/name", "app"), t->app, sizeof(t->app));
}

int bundle_parse(const char *json, size_t len, struct target *t)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	struct target got = *t;
	const char *why;

	if (json_parse(json, len, &j, &why) < 0)
		return -EINVAL;
	const cJSON *a = cJSON_GetObjectItemCaseSensitive(j, "annotations");
	const char *type = json_str(a, "io.kubernetes.cri.container-type") ?:
		json_str(a, "io.kubernetes.cri-o.ContainerType");
	if (type && !strcmp(type, "sandbox"))
		return -ENODATA;
	take(a,
	     NAMES("io.kubernetes.cri.container-name", "io.kubernetes.container.name",
		   "nerdctl/name"),
	     got.container, sizeof(got.container));
	take(a, NAMES("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"), got.pod,
	     sizeof(got.pod));
	take(a, NAMES("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
	     got.namespace, sizeof(got.namespace));
	take_labels(a, &got);
	if (!*got.container && !*got.pod)
		return -ENODATA;
	/* Half a pod is none: its key would be another's. */
	if (!*got.pod != !*got.namespace)
		return -EINVAL;
	*t = got;
	return 0;
}

/* A regular file, not a pipe that would let us wait. */
static int read_at(int dir, const char *path, char *to, size_t size, size_t *len)
{
	CLEANUP(closep) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size >= size)
		return -EFBIG;
	while (at < size - 1) {
		ssize_t n = read(fd, to + at, size - 1 - at);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	to[at] = '\0';
	*len = at;
	return 0;
}

/* ---- looking */

struct look {
	const struct target *(*known)(void *ctx, const char *id);
	void (*cb)(void *ctx, const struct target *t);
	void *ctx;
	struct bundles_stats *stats;
	char *json; /* BUNDLE_BYTES_MAX of room */
	struct {
		dev_t dev;
		ino_t ino;
	} folders[FOLDERS_MAX];
	size_t nr_folders;
};

void target_locate(struct target *t)
{
	char path[SERVICE_CGROUP_MAX];
	struct workload w = { 0 };

	t->cgroup[0] = '\0';
	if (t->pid > 0 && cgroup_of_pid(t->pid, path) == 0)
		workload_of_cgroup(path, &w);
	if (!*w.container_id || strcmp(w.container_id, t->id) != 0)
		t->pid = 0;
	else
		memcpy(t->cgroup, w.container_cgroup, sizeof(t->cgroup));
}

static bool is_id(const char *s)
{
	return strlen(s) == ID_LEN && strspn(s, "0123456789abcdef") == ID_LEN;
}

/* @at: the folder of config.json; @pid_file: there, the number of its first process. */
static void look_at(struct look *l, int at, const char *id, const char *pid_file)
{
	const struct target *before = l->known(l->ctx, id);
	struct target t = { 0 };
	char text[32];
	size_t len;
	uint64_t pid;

	if (l->stats->looked_at == BUNDLES_MAX) {
		l->stats->over_max++;
		return;
	}
	l->stats->looked_at++;
	memcpy(t.id, id, ID_LEN);
	if (before) {
		t = *before;
	} else {
		int err = read_at(at, "config.json", l->json, BUNDLE_BYTES_MAX, &len) ?:
			bundle_parse(l->json, len, &t);
		l->stats->broken += err && err != -ENODATA;
		if (err)
			return;
	}
	t.pid = 0;
	if (pid_file && read_at(at, pid_file, text, sizeof(text), &len) == 0) {
		text[strcspn(text, "\n")] = '\0';
		/* Of its own pid namespace, where the run time lives in one: target_locate() sees that it is another's. */
		if (text_to_u64(text, 1, INT32_MAX, &pid) == 0)
			t.pid = (pid_t)pid;
	}
	target_locate(&t);
	l->cb(l->ctx, &t);
}

static bool seen_before(struct look *l, int dir)
{
	struct stat st;

	if (fstat(dir, &st) < 0)
		return true;
	for (size_t i = 0; i < l->nr_folders; i++)
		if (l->folders[i].dev == st.st_dev && l->folders[i].ino == st.st_ino)
			return true;
	if (l->nr_folders == FOLDERS_MAX) {
		l->stats->over_max++;
		return true;
	}
	l->folders[l->nr_folders].dev = st.st_dev;
	l->folders[l->nr_folders++].ino = st.st_ino;
	return false;
}

/* containerd: the folder of all bundles is the one above the shim's. */
static void look_beside_shim(struct look *l, pid_t pid)
{
	char path[64], bundle[512];

	snprintf(path, sizeof(path), "/proc/%d/cwd", pid);
	ssize_t len = readlink(path, bundle, sizeof(bundle) - 1);
	if (len <= 0)
		return;
	bundle[len] = '\0';
	if (strstr(bundle, "/moby/"))
		return;
	snprintf(path, sizeof(path), "/proc/%d/cwd/..", pid);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d || seen_before(l, dirfd(d)))
		return;
	for (struct dirent *e; (e = readdir(d));) {
		if (!is_id(e->d_name))
			continue;
		CLEANUP(closep) int at = openat(dirfd(d), e->d_name,
						O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (at >= 0)
			look_at(l, at, e->d_name, "init.pid");
	}
}

/* The word after @option in a command line; NULL where there is none. */
static const char *option_of(const char *cmdline, size_t len, const char *option)
{
	for (const char *s = cmdline; s < cmdline + len; s += strlen(s) + 1)
		if (!strcmp(s, option) && s + strlen(s) + 1 < cmdline + len)
			return s + strlen(s) + 1;
	return NULL;
}

/* CRI-O: conmon -c ID -b BUNDLE -p PIDFILE, which lies in the bundle. */
static void look_at_conmon(struct look *l, pid_t pid)
{
	char path[1024], cmdline[CMDLINE_MAX];
	const char *id, *bundle;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, cmdline, sizeof(cmdline) - 1);
	if (len <= 0)
		return;
	cmdline[len] = '\0';
	id = option_of(cmdline, (size_t)len, "-c");
	bundle = option_of(cmdline, (size_t)len, "-b");
	if (!id || !is_id(id) || !bundle || *bundle != '/' ||
	    snprintf(path, sizeof(path), "/proc/%d/root%s", pid, bundle) >= (int)sizeof(path))
		return;
	CLEANUP(closep) int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at >= 0)
		look_at(l, at, id, "pidfile");
}

/* Anybody may call himself so: only root's count. */
static bool is_roots(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return stat(path, &st) == 0 && st.st_uid == 0;
}

int bundles_each(const struct target *(*known)(void *ctx, const char *id),
		 void (*cb)(void *ctx, const struct target *t), void *ctx,
		 struct bundles_stats *stats)
{
	struct look l = { .known = known, .cb = cb, .ctx = ctx, .stats = stats };
	CLEANUP(closedirp) DIR *d = opendir("/proc");
	CLEANUP(freep) char *json = malloc(BUNDLE_BYTES_MAX);

	*stats = (struct bundles_stats){ 0 };
	if (!d || !json)
		return d ? -ENOMEM : -errno;
	l.json = json;
	for (struct dirent *e; (e = readdir(d));) {
		struct proc_stat st;
		uint64_t pid;

		if (text_to_u64(e->d_name, 1, INT32_MAX, &pid) < 0 ||
		    proc_stat((pid_t)pid, &st) < 0 || !is_roots((pid_t)pid))
			continue;
		if (!strncmp(st.comm, "containerd-shim", 15))
			look_beside_shim(&l, (pid_t)pid);
		else if (!strcmp(st.comm, "conmon"))
			look_at_conmon(&l, (pid_t)pid);
	}
	return 0;
}
