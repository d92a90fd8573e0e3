// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/fault_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/util.h"

bool fault_spawn_find(const char *name, char path[static FAULT_SPAWN_PATH_MAX])
{
	static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		int n = snprintf(path, FAULT_SPAWN_PATH_MAX, "%s/%s", folders[i], name);

		if (n > 0 && n < FAULT_SPAWN_PATH_MAX && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void actions_destroyp(posix_spawn_file_actions_t **a)
{
	if (*a)
		posix_spawn_file_actions_destroy(*a);
}

static void attr_destroyp(posix_spawnattr_t **a)
{
	if (*a)
		posix_spawnattr_destroy(*a);
}

/* The tool must not inherit the daemon's blocked or ignored signals, nor its descriptors. */
static int start(const char *const *argv, int out_fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions_store;
	posix_spawnattr_t attr_store;
	static char *const env[] = { (char *)"PATH=/usr/sbin:/sbin:/usr/bin:/bin",
				     (char *)"LC_ALL=C", NULL };
	sigset_t all, none;

	if (posix_spawn_file_actions_init(&actions_store))
		return -ENOMEM;
	CLEANUP(actions_destroyp) posix_spawn_file_actions_t *actions = &actions_store;

	if (posix_spawnattr_init(&attr_store))
		return -ENOMEM;
	CLEANUP(attr_destroyp) posix_spawnattr_t *attr = &attr_store;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

	int err = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
	if (!err && out_fd >= 0)
		err = posix_spawn_file_actions_adddup2(actions, out_fd, 1);
	else if (!err)
		err = posix_spawn_file_actions_addopen(actions, 1, "/dev/null", O_WRONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(actions, 1, 2);
	if (!err)
		err = posix_spawn_file_actions_addclosefrom_np(actions, 3);
	if (!err)
		err = posix_spawn(ret, argv[0], actions, attr, (char *const *)argv, env);
	return -err;
}

/* Read until the end of the output or the deadline. */
static int drain(int fd, uint64_t until_ns, struct buf *out)
{
	char block[4096];

	for (;;) {
		uint64_t now = clock_mono_ns();
		if (now >= until_ns)
			return -ETIME;

		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct timespec left = {
			.tv_sec = (time_t)((until_ns - now) / NSEC_PER_SEC),
			.tv_nsec = (long)((until_ns - now) % NSEC_PER_SEC),
		};
		int n = ppoll(&p, 1, &left, NULL);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;

		ssize_t got = read(fd, block, sizeof(block));
		if (got == 0)
			return 0;
		if (got < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (got > 0) {
			int err = buf_add(out, block, (size_t)got);
			if (err)
				return err;
		}
	}
}

int fault_spawn(const char *const *argv, uint64_t timeout_ns, struct buf *out)
{
	uint64_t until = clock_mono_ns() + timeout_ns;
	int p[2] = { -1, -1 };
	struct buf dropped;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	CLEANUP(closep) int rd = p[0];
	CLEANUP(closep) int wr = p[1];

	pid_t pid;
	int err = start(argv, wr, &pid);
	if (err)
		return err;
	close(TAKE_FD(wr));

	/* Output is read even when nobody wants it: a full pipe would hang the tool. */
	buf_init(&dropped, FAULT_SPAWN_OUTPUT_MAX);
	err = drain(rd, until, out ? out : &dropped);
	buf_release(&dropped);
	if (err)
		kill(pid, SIGKILL);

	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (err)
		return err;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}
