// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which other network namespaces hold listeners that concern us. A process is looked at
 * once, when it is new, and all of them again every FORGET_EVERY scans: one may have moved since, or a
 * pid may be another's. Between the two a scan costs a list of /proc's names.
 */
#include <dirent.h>
#include <string.h>

#include "base/text.h"
#include "base/util.h"
#include "discover/registry_internal.h"
#include "kernel/cgroup.h"
#include "kernel/netns.h"

#define FORGET_EVERY 10
#define LOOK_AGAIN 6

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct seen_proc *)a)->pid, y = ((const struct seen_proc *)b)->pid;

	return x < y ? -1 : x > y;
}

static void ask_for(struct registry *r, uint32_t ino, pid_t pid)
{
	if (!ino || ino == r->netns_ino)
		return;
	for (size_t i = 0; i < r->nr_namespaces; i++)
		if (r->namespaces[i].ino == ino)
			return;
	if (r->nr_namespaces == NAMESPACES_MAX)
		r->stats.namespaces_overflow++;
	else
		r->namespaces[r->nr_namespaces++] = (struct namespace){ ino, pid };
}

bool registry_is_below(const struct registry *r, const char *path)
{
	size_t len = strlen(r->below);

	while (len && r->below[len - 1] == '/')
		len--;
	return !strncmp(path, r->below, len) && (!len || !path[len] || path[len] == '/');
}

/*
 * Other people's namespaces are none of our business: only those with containers in them that may be found,
 * and that hang on our own (see netns_is_neighbour()).
 */
static uint32_t namespace_of(const struct registry *r, pid_t pid, bool *under_construction)
{
	char path[SERVICE_CGROUP_MAX];
	struct workload w;
	uint32_t ino;

	if (proc_netns(pid, &ino) < 0 || ino == r->netns_ino || cgroup_of_pid(pid, path) < 0 ||
	    !registry_is_below(r, path))
		return 0;
	workload_of_cgroup(path, &w);
	*under_construction = *w.container_id && !netns_is_neighbour(pid);
	return *w.container_id && !*under_construction ? ino : 0;
}

static void look_at(const struct registry *r, struct seen_proc *p, uint8_t times)
{
	bool under_construction = false;

	p->netns_ino = namespace_of(r, p->pid, &under_construction);
	p->again = under_construction ? times - 1 : 0;
}

static void look_at_processes(struct registry *r)
{
	CLEANUP(freep) struct seen_proc *now = calloc(PROCS_MAX, sizeof(*now));
	CLEANUP(closedirp) DIR *d = opendir("/proc");
	size_t nr = 0, before = r->scans_to_forget ? r->nr_procs : 0;

	if (!now || !d)
		return;
	r->scans_to_forget = r->scans_to_forget ? r->scans_to_forget - 1 : FORGET_EVERY;
	for (struct dirent *e; (e = readdir(d));) {
		uint64_t pid;

		if (text_to_u64(e->d_name, 1, INT32_MAX, &pid) < 0)
			continue;
		if (nr == PROCS_MAX) {
			r->stats.procs_overflow++;
			break;
		}
		now[nr].pid = (pid_t)pid;
		const struct seen_proc *seen =
			bsearch(&now[nr], r->procs, before, sizeof(*now), by_pid);
		if (seen)
			now[nr] = *seen;
		if (!seen || seen->again)
			look_at(r, &now[nr], seen ? seen->again : LOOK_AGAIN);
		ask_for(r, now[nr].netns_ino, (pid_t)pid);
		nr++;
	}
	/* /proc lists them in the order of their numbers; nobody promises that. */
	qsort(now, nr, sizeof(*now), by_pid);
	free(r->procs);
	r->procs = TAKE_PTR(now);
	r->nr_procs = nr;
}

void registry_namespaces(struct registry *r)
{
	r->nr_namespaces = 0;
	for (size_t i = 0; i < r->nr; i++)
		if (r->entries[i]->s.nr_pids)
			ask_for(r, r->entries[i]->s.netns_ino, r->entries[i]->s.pids[0]);
	if (r->options.discover)
		look_at_processes(r);
}
