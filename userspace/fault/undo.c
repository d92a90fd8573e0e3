// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault/undo.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "kernel/netfilter.h"
#include "kernel/netns.h"
#include "kernel/procs.h"
#include "kernel/qdisc.h"
#include "kernel/tc.h"

PRINTF_LIKE(3, 4) static void say(char *says, size_t len, const char *fmt, ...)
{
	size_t used = says && len ? strnlen(says, len) : 0;
	va_list ap;

	if (!says || used + 1 >= len)
		return;
	if (used)
		says[used++] = '\n';
	va_start(ap, fmt);
	vsnprintf(says + used, len - used, fmt, ap);
	va_end(ap);
}

uint64_t undo_start_ticks(pid_t pid)
{
	struct proc_stat st;

	return proc_stat(pid, &st) < 0 ? 0 : st.start_ticks;
}

/* The pidfd is opened before the ticks are compared: a pid that is reused in between is not hit. */
static int kill_if_same(pid_t pid, uint64_t start_ticks)
{
	CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (undo_start_ticks(pid) != start_ticks)
		return 0;
	if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0)
		return errno == ESRCH ? 0 : -errno;
	return 1;
}

static int undo_fq(const struct journal_entry *e)
{
	struct qdisc_info info;

	if (!tc_device_exists(e->ifindex, e->name))
		return 0;
	int err = qdisc_look(e->ifindex, &info);
	if (err)
		return err;
	if (info.root != QDISC_ROOT_OURS)
		return 0;
	err = qdisc_remove_fq(e->ifindex);
	return err ? err : 1;
}

static int undo_filter(const struct journal_entry *e)
{
	if (!tc_device_exists(e->ifindex, e->name) || !tc_has_clsact(e->ifindex))
		return 0;
	return tc_detach_clsact(e->ifindex, (uint32_t)e->arg, e->arg2 == 1);
}

static int undo_here(const struct journal_entry *e, char *says, size_t len)
{
	int ret = 0;

	switch (e->kind) {
	case JOURNAL_RULE:
		ret = netfilter_remove(e->id);
		if (ret > 0)
			say(says, len, "removed the netfilter rules of fault %s", e->id);
		break;
	case JOURNAL_FQ:
		ret = undo_fq(e);
		if (ret > 0)
			say(says, len, "gave %s its default queue back (fault %s)", e->name, e->id);
		break;
	case JOURNAL_FILTER:
		ret = undo_filter(e);
		if (ret > 0)
			say(says, len, "removed the tc filter of fault %s from %s", e->id, e->name);
		break;
	case JOURNAL_BURNER:
		ret = kill_if_same((pid_t)e->arg, e->arg2);
		if (ret > 0)
			say(says, len, "ended the burner process %d of fault %s", (int)e->arg,
			    e->id);
		break;
	case NR_JOURNAL_KINDS:
		return -EINVAL;
	}
	if (ret < 0)
		say(says, len, "could not undo what fault %s made (%s)", e->id, strerror(-ret));
	return MIN(ret, 1);
}

struct undoing {
	const struct journal_entry *e;
	char *says;
	size_t len;
};

static int undo_there(void *ctx)
{
	struct undoing *x = ctx;

	return undo_here(x->e, x->says, x->len);
}

int undo_entry(const struct journal_entry *e, char *says, size_t len)
{
	char boot[JOURNAL_BOOT_MAX];
	struct undoing x = { e, says, len };

	journal_boot_id(boot);
	if (strcmp(boot, e->boot) != 0)
		return 0;
	if (e->kind == JOURNAL_BURNER || !e->netns_ino || e->netns_ino == journal_netns())
		return undo_here(e, says, len);
	CLEANUP(closep) int fd = netns_open((uint32_t)e->netns_ino, 0);
	/* Nobody lives there any more: it took with it what was made in it. */
	if (fd == -ENOENT)
		return 0;
	int ret = fd < 0 ? fd : netns_run(fd, undo_there, &x);
	if (ret == -EPERM)
		say(says, len,
		    "what fault %s made stands in another network namespace, and entering one takes CAP_SYS_ADMIN",
		    e->id);
	return ret;
}

/* ---- by our own marks */

static int sweep_qdiscs(void)
{
	int nr = 0, err = 0;
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *i = list; i && i->if_index; i++) {
		struct qdisc_info info;

		if (qdisc_look((int)i->if_index, &info) < 0 || info.root != QDISC_ROOT_OURS)
			continue;
		int e = qdisc_remove_fq((int)i->if_index);
		nr += !e;
		err = err ? err : e;
	}
	if (list)
		if_freenameindex(list);
	return err ? err : nr;
}

/* Ours by name, root's, and in this network namespace: another daemon's in its own are its own business. */
static bool is_our_child(const char *pid)
{
	char path[64], comm[32] = "";
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.10s/ns/net", pid);
	if (stat(path, &st) < 0 || st.st_ino != journal_netns())
		return false;
	snprintf(path, sizeof(path), "/proc/%.10s/comm", pid);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	if (!f || fstat(fileno(f), &st) < 0 || st.st_uid != 0 || !fgets(comm, sizeof(comm), f))
		return false;
	comm[strcspn(comm, "\n")] = '\0';
	return !strcmp(comm, UNDO_BURNER_NAME) || !strcmp(comm, UNDO_VERDICT_NAME);
}

static int sweep_children(void)
{
	int nr = 0;
	DIR *proc = opendir("/proc");

	if (!proc)
		return -errno;
	for (struct dirent *d; (d = readdir(proc));) {
		if (!isdigit((unsigned char)d->d_name[0]) || !is_our_child(d->d_name))
			continue;
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		if (kill_if_same(pid, undo_start_ticks(pid)) > 0)
			nr++;
	}
	closedir(proc);
	return nr;
}

int undo_sweep(char *says, size_t len)
{
	static const struct {
		const char *what;
		int (*sweep)(void);
	} steps[] = {
		{ "fq queues", sweep_qdiscs },
		{ "helper processes", sweep_children },
	};
	int nr = 0, err = 0;

	int ret = netfilter_remove(NULL);
	if (ret > 0)
		say(says, len, "removed %d netfilter rules by their comment %s…", ret,
		    NETFILTER_COMMENT);
	nr += MAX(ret, 0);
	err = ret < 0 ? ret : 0;

	ret = tc_sweep(true);
	if (ret > 0)
		say(says, len, "removed %d tc filters by our handle", ret);
	nr += MAX(ret, 0);
	err = ret < 0 && !err ? ret : err;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		ret = steps[i].sweep();
		if (ret > 0)
			say(says, len, "removed %d %s of ours", ret, steps[i].what);
		nr += MAX(ret, 0);
		err = ret < 0 && !err ? ret : err;
	}
	if (err)
		say(says, len, "not everything could be removed (%s)", strerror(-err));
	return err ? err : nr;
}
