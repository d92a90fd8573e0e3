// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lib/remains.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "fault/undo.h"
#include "guardian.h"
#include "tests/lib/netns.h"
#include "tests/lib/shop.h"

/* ---- programs and links */

static void add_id(uint32_t *ids, size_t *nr, uint32_t id)
{
	for (size_t i = 0; i < *nr; i++)
		if (ids[i] == id)
			return;
	assert_true(*nr < REMAINS_IDS_MAX);
	ids[(*nr)++] = id;
}

static void note_fd(struct remains *r, const char *path)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	char line[256];
	uint32_t id;

	/* A link's own description names its program too. */
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "link_id: %u", &id) == 1)
			add_id(r->links, &r->nr_links, id);
		else if (sscanf(line, "prog_id: %u", &id) == 1)
			add_id(r->progs, &r->nr_progs, id);
	}
}

void remains_note(struct remains *r, pid_t pid)
{
	char dir[64], path[400];

	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", pid);
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		note_fd(r, path);
	}
	if (d)
		closedir(d);
}

PRINTF_LIKE(2, 3) static void found(struct remains *r, const char *fmt, ...)
{
	size_t used = strlen(r->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->text + used, sizeof(r->text) - used, fmt, ap);
	va_end(ap);
}

static void look_at_bpf(struct remains *r)
{
	for (size_t i = 0; i < r->nr_progs; i++) {
		CLEANUP(closep) int fd = bpf_prog_get_fd_by_id(r->progs[i]);
		if (fd >= 0)
			found(r, "BPF program %u\n", r->progs[i]);
	}
	for (size_t i = 0; i < r->nr_links; i++) {
		CLEANUP(closep) int fd = bpf_link_get_fd_by_id(r->links[i]);
		if (fd >= 0)
			found(r, "BPF link %u\n", r->links[i]);
	}
}

/* ---- rules and queues, as their own programs tell them */

/* Its output, whose lines are judged one by one. @must: it has to succeed. */
static void look_at_output(struct remains *r, const char *const *argv, const char *ours,
			   const char * not, bool must)
{
	char path[] = "/tmp/test-remains-XXXXXX", line[512];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	int status = proc_end(proc_start(path, argv, NULL), 0, 10000);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	unlink(path);
	if (!f || (must && status != 0))
		fail_msg("%s fails: wait status %d", argv[0], status);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, ours, strlen(ours)) && !(not&&strstr(line, not)))
			found(r, "%s", line);
}

static void look_at_rules(struct remains *r)
{
	static const char *const v4[] = { "/usr/sbin/iptables-save", NULL };
	static const char *const v6[] = { "/usr/sbin/ip6tables-save", NULL };
	static const char *const queue[] = { "/usr/sbin/tc", "qdisc", "show", "dev", "lo", NULL };
	static const char *const ingress[] = { "/usr/sbin/tc", "filter",  "show", "dev",
					       "lo",           "ingress", NULL };
	static const char *const egress[] = { "/usr/sbin/tc", "filter", "show", "dev",
					      "lo",           "egress", NULL };

	look_at_output(r, v4, "-A", NULL, true);
	look_at_output(r, v6, "-A", NULL, true);
	look_at_output(r, queue, "qdisc", "noqueue", true);
	/* Without a clsact there is nothing to ask. */
	look_at_output(r, ingress, "filter", NULL, false);
	look_at_output(r, egress, "filter", NULL, false);
}

/* ---- processes */

static bool in_our_netns(const char *pid)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.200s/ns/net", pid);
	return !stat(path, &st) && st.st_ino == netns_ino();
}

/* Name, state and parent; false: gone. */
static bool look_at(const char *pid, char comm[static 32], char *state, int *parent)
{
	char path[300], text[512] = "";

	snprintf(path, sizeof(path), "/proc/%.200s/stat", pid);
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	return f && fgets(text, sizeof(text), f) &&
		sscanf(text, "%*d (%31[^)]) %c %d", comm, state, parent) == 3;
}

static bool is_helper(const char *comm)
{
	return !strncmp(comm, GUARDIAN_NAME, 15) || !strncmp(comm, UNDO_BURNER_NAME, 15) ||
		!strncmp(comm, UNDO_VERDICT_NAME, 15) || !strcmp(comm, "archaic-ebpf");
}

/*
 * The daemon, its guardian; and, while it is stopped and cannot say so, its holder of packets, which
 * has nothing to hold any more.
 */
static bool may_live_on(pid_t pid, pid_t parent, const char *comm, pid_t daemon)
{
	char id[16], name[32], state = 0;
	int its_parent;

	if (pid == daemon)
		return true;
	if (parent != daemon)
		return false;
	snprintf(id, sizeof(id), "%d", daemon);
	bool stopped = look_at(id, name, &state, &its_parent) && state == 'T';
	return !strncmp(comm, GUARDIAN_NAME, 15) ||
		(stopped && !strncmp(comm, UNDO_VERDICT_NAME, 15));
}

static void look_at_processes(struct remains *r, pid_t daemon)
{
	DIR *proc = opendir("/proc");

	for (struct dirent *d; proc && (d = readdir(proc));) {
		char comm[32] = "", state = 'Z';
		int parent = 0;

		if (!isdigit((unsigned char)d->d_name[0]) || !in_our_netns(d->d_name) ||
		    !look_at(d->d_name, comm, &state, &parent) || state == 'Z' || !is_helper(comm))
			continue;
		if (!(daemon &&
		      may_live_on((pid_t)strtol(d->d_name, NULL, 10), parent, comm, daemon)))
			found(r, "process %s (%s)\n", d->d_name, comm);
	}
	if (proc)
		closedir(proc);
}

pid_t remains_child(pid_t parent, const char *name)
{
	DIR *proc = opendir("/proc");
	pid_t child = 0;

	for (struct dirent *d; proc && (d = readdir(proc));) {
		char comm[32] = "", state = 'Z';
		int p = 0;

		if (isdigit((unsigned char)d->d_name[0]) && look_at(d->d_name, comm, &state, &p) &&
		    p == parent && state != 'Z' && !strcmp(comm, name))
			child = (pid_t)strtol(d->d_name, NULL, 10);
	}
	if (proc)
		closedir(proc);
	return child;
}

bool remains_left(struct remains *r, pid_t daemon)
{
	r->text[0] = '\0';
	look_at_rules(r);
	if (!daemon)
		look_at_bpf(r);
	look_at_processes(r, daemon);
	return r->text[0] != '\0';
}

bool remains_wait(struct remains *r, pid_t daemon, unsigned ms)
{
	uint64_t until_ns = clock_mono_ns() + ms * NSEC_PER_MSEC;

	while (remains_left(r, daemon)) {
		if (clock_mono_ns() > until_ns) {
			print_error("left after %u ms:\n%s", ms, r->text);
			return false;
		}
		usleep(50000);
	}
	return true;
}
