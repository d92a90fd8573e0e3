// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/util.h"

/* /proc/self is the thread group's leader, whose namespace a thread need not share. */
#define HERE "/proc/thread-self/ns/net"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

uint32_t netns_here(void)
{
	struct stat st;

	return stat(HERE, &st) == 0 ? (uint32_t)st.st_ino : 0;
}

/* What is opened is looked at: a process may have moved between two looks, a pid may be another's by now. */
static int open_checked(int dir, const char *path, uint32_t ino)
{
	CLEANUP(closep) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_ino == ino ? TAKE_FD(fd) : -ENOENT;
}

static int of_process(pid_t pid, uint32_t ino)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return open_checked(AT_FDCWD, path, ino);
}

static int among_processes(uint32_t ino)
{
	CLEANUP(closedirp) DIR *d = opendir("/proc");

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));) {
		uint64_t pid;

		if (text_to_u64(e->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		int fd = of_process((pid_t)pid, ino);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

/* Bind mounts keep a namespace that nobody lives in. */
static int among_names(const char *folder, uint32_t ino)
{
	CLEANUP(closedirp) DIR *d = opendir(folder);

	for (struct dirent *e; d && (e = readdir(d));) {
		int fd = open_checked(dirfd(d), e->d_name, ino);
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}

int netns_open(uint32_t ino, pid_t hint)
{
	int fd = hint ? of_process(hint, ino) : -ENOENT;

	if (fd < 0)
		fd = among_processes(ino);
	if (fd < 0)
		fd = among_names("/run/netns", ino);
	if (fd < 0)
		fd = among_names("/run/docker/netns", ino);
	return fd;
}

struct visit {
	int fd;
	int (*fn)(void *ctx);
	void *ctx;
	int ret;
};

static void *visit(void *arg)
{
	struct visit *v = arg;

	v->ret = setns(v->fd, CLONE_NEWNET) < 0 ? -errno : v->fn(v->ctx);
	return NULL;
}

int netns_run(int fd, int (*fn)(void *ctx), void *ctx)
{
	struct visit v = { .fd = fd, .fn = fn, .ctx = ctx };
	sigset_t all, before;
	pthread_t t;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&t, NULL, visit, &v);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_join(t, NULL);
	return v.ret;
}

static int nothing(void *ctx)
{
	(void)ctx;
	return 0;
}

bool netns_can_enter(void)
{
	static _Atomic int can = -1;

	if (atomic_load(&can) < 0) {
		CLEANUP(closep) int fd = open(HERE, O_RDONLY | O_CLOEXEC);
		atomic_store(&can, fd >= 0 && netns_run(fd, nothing, NULL) == 0);
	}
	return atomic_load(&can) > 0;
}

/* ---- neighbours */

static void close_socket(struct mnl_socket **s)
{
	if (*s)
		mnl_socket_close(*s);
}

static int take_id(const struct nlmsghdr *h, void *ctx)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct rtgenmsg))
	{
		if (mnl_attr_get_type(a) == NETNSA_NSID &&
		    mnl_attr_get_payload_len(a) >= sizeof(uint32_t))
			*(int32_t *)ctx = (int32_t)mnl_attr_get_u32(a);
	}
	return MNL_CB_OK;
}

static int32_t id_of(pid_t pid)
{
	char data[1024];
	int32_t id = NETNSA_NSID_NOT_ASSIGNED;
	CLEANUP(close_socket) struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return id;
	struct nlmsghdr *h = mnl_nlmsg_put_header(data);
	h->nlmsg_type = RTM_GETNSID;
	h->nlmsg_flags = NLM_F_REQUEST;
	mnl_nlmsg_put_extra_header(h, sizeof(struct rtgenmsg));
	mnl_attr_put_u32(h, NETNSA_PID, (uint32_t)pid);
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return id;
	ssize_t len = mnl_socket_recvfrom(nl, data, sizeof(data));
	if (len > 0)
		mnl_cb_run(data, (size_t)len, 0, mnl_socket_get_portid(nl), take_id, &id);
	return id;
}

bool netns_is_neighbour(pid_t pid)
{
	if (id_of(pid) >= 0)
		return true;
	/* Ids are given when somebody lists the devices. */
	struct if_nameindex *list = if_nameindex();
	if (list)
		if_freenameindex(list);
	return id_of(pid) >= 0;
}
