// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/fault_bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "kernel/tc.h"
#include "skel/fault_payload.skel.h"
#include "skel/fault_request.skel.h"
#include "skel/fault_task.skel.h"

struct task {
	pid_t tid;
	int fd; /* perf event with the program on it */
};

struct fault_bpf {
	uint32_t type;
	struct fault_request_bpf *request;
	struct fault_payload_bpf *payload;
	struct fault_task_bpf *task;
	struct fault_ctl *ctl;
	size_t ctl_size;
	struct bpf_link *links[3]; /* ingress, egress */
	int tcx[TC_DEVICES_MAX];
	size_t nr_tcx;
	struct ring_buffer *ring;
	struct task *tasks;
	size_t nr_tasks;
};

uint32_t fault_bpf_hash(const char *text, size_t len)
{
	uint32_t h = FAULT_FNV_BASIS;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)text[i]) * FAULT_FNV_PRIME;
	return h;
}

uint64_t fault_bpf_threshold(double share)
{
	if (!(share > 0))
		return 0;
	if (share >= 1)
		return FAULT_ABI_ALWAYS;
	return (uint64_t)llround(share * (double)FAULT_ABI_ALWAYS);
}

static void fill_ctl(struct fault_ctl *c, const struct fault_bpf_spec *s)
{
	*c = (struct fault_ctl){
		.lease_end_ns = s->lease_end_ns,
		.deadline_ns = s->deadline_ns,
		.delay_ns = s->delay_ns,
		.threshold = fault_bpf_threshold(s->probability),
		.loss_threshold = fault_bpf_threshold(s->percent / 100),
		.seed = s->seed,
		.type = s->type,
		.netns_ino = s->netns_ino,
		.status = s->status,
		.match_health = s->match_health,
		.spin_ns = (uint32_t)(s->percent / 100 * FAULT_ABI_TICK_NS),
		.use_edt = s->use_edt,
		.nr_ports = (uint32_t)MIN(s->nr_ports, (size_t)FAULT_ABI_PORTS),
		.nr_keys = (uint32_t)MIN(s->nr_keys, (size_t)FAULT_ABI_KEYS),
	};
	for (uint32_t i = 0; i < c->nr_ports; i++)
		c->ports[i] = s->ports[i];
	for (uint32_t i = 0; i < c->nr_keys; i++) {
		c->keys[i].len = (uint32_t)strlen(s->keys[i]);
		c->keys[i].hash = fault_bpf_hash(s->keys[i], c->keys[i].len);
	}
}

static int on_event(void *ctx, void *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
	return 0;
}

/* The tail calls' tables are the kernel's to follow; they go with the object. */
static int set_jump(int map_fd, uint32_t slot, const struct bpf_program *prog)
{
	int fd = bpf_program__fd(prog);

	return bpf_map_update_elem(map_fd, &slot, &fd, BPF_ANY);
}

static int open_request(struct fault_bpf *b, const struct fault_bpf_spec *spec)
{
	struct fault_request_bpf *r = b->request = fault_request_bpf__open();

	if (!r)
		return -errno;
	bool egress = spec->type == FAULT_ABI_LOSS ||
		(spec->type == FAULT_ABI_TIMEOUT && spec->use_edt);
	bpf_program__set_autoload(r->progs.fault_egress, egress);
	int err = fault_request_bpf__load(r);
	if (err)
		return err;
	err = set_jump(bpf_map__fd(r->maps.jumps), 0, r->progs.fault_read);
	if (err || spec->type != FAULT_ABI_CRASH)
		return err;
	b->ring = ring_buffer__new(bpf_map__fd(r->maps.events), on_event, b, NULL);
	return b->ring ? 0 : -errno;
}

static int open_payload(struct fault_bpf *b)
{
	struct fault_payload_bpf *p = b->payload = fault_payload_bpf__open();

	if (!p)
		return -errno;
	bpf_program__set_autoload(p->progs.fault_payload_scan, b->type == FAULT_ABI_BAD_DATA);
	int err = bpf_map__reuse_fd(p->maps.ctl, bpf_map__fd(b->request->maps.ctl));
	if (!err)
		err = bpf_map__reuse_fd(p->maps.conns, bpf_map__fd(b->request->maps.conns));
	if (!err)
		err = fault_payload_bpf__load(p);
	if (!err)
		err = set_jump(bpf_map__fd(p->maps.payload_jumps), 0, p->progs.fault_payload_read);
	if (!err && b->type == FAULT_ABI_BAD_DATA)
		err = set_jump(bpf_map__fd(p->maps.payload_jumps), 1, p->progs.fault_payload_scan);
	return err;
}

static int open_task(struct fault_bpf *b)
{
	b->task = fault_task_bpf__open_and_load();
	if (!b->task)
		return -errno;
	b->tasks = calloc(FAULT_BPF_TASKS_MAX, sizeof(*b->tasks));
	return b->tasks ? 0 : -ENOMEM;
}

static int map_ctl(struct fault_bpf *b, const struct fault_bpf_spec *spec)
{
	int fd = bpf_map__fd(b->task ? b->task->maps.ctl : b->request->maps.ctl);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (sizeof(struct fault_ctl) + page - 1) / page * page;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	b->ctl = p;
	b->ctl_size = size;
	fill_ctl(b->ctl, spec);
	return 0;
}

int fault_bpf_open(const struct fault_bpf_spec *spec, struct fault_bpf **ret)
{
	CLEANUP(fault_bpf_closep) struct fault_bpf *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->type = spec->type;
	int err = spec->type == FAULT_ABI_CPU ? open_task(b) : open_request(b, spec);
	if (!err && (spec->type == FAULT_ABI_ERROR || spec->type == FAULT_ABI_BAD_DATA))
		err = open_payload(b);
	if (!err)
		err = map_ctl(b, spec);
	if (err)
		return err;
	*ret = TAKE_PTR(b);
	return 0;
}

void fault_bpf_close(struct fault_bpf *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(b->links); i++)
		bpf_link__destroy(b->links[i]);
	for (size_t i = 0; i < b->nr_tcx; i++)
		close(b->tcx[i]);
	for (size_t i = 0; i < b->nr_tasks; i++)
		close(b->tasks[i].fd);
	free(b->tasks);
	ring_buffer__free(b->ring);
	if (b->ctl)
		munmap(b->ctl, b->ctl_size);
	fault_payload_bpf__destroy(b->payload);
	fault_request_bpf__destroy(b->request);
	fault_task_bpf__destroy(b->task);
	free(b);
}

struct fault_ctl *fault_bpf_ctl(struct fault_bpf *b)
{
	return b->ctl;
}

int fault_bpf_conns_fd(const struct fault_bpf *b)
{
	return b->request ? bpf_map__fd(b->request->maps.conns) : -1;
}

size_t fault_bpf_conns_value_size(const struct fault_bpf *b)
{
	return b->request ? bpf_map__value_size(b->request->maps.conns) : 0;
}

int fault_bpf_payload_fd(const struct fault_bpf *b)
{
	return b->payload ? bpf_program__fd(b->payload->progs.fault_payload) : -1;
}

void fault_bpf_program_fds(const struct fault_bpf *b, int ret[static 3])
{
	ret[0] = b->request ? bpf_program__fd(b->request->progs.fault_ingress) : -1;
	ret[1] = b->request ? bpf_program__fd(b->request->progs.fault_read) : -1;
	ret[2] = b->request && bpf_program__autoload(b->request->progs.fault_egress) ?
		bpf_program__fd(b->request->progs.fault_egress) :
		-1;
}

static int attach_one(struct fault_bpf *b, size_t i, const struct bpf_program *prog, int cgroup_fd)
{
	struct bpf_link *link = bpf_program__attach_cgroup(prog, cgroup_fd);

	if (!link)
		return -errno;
	/* The new one is in place before the old one goes: a service that moved is hurt without a gap. */
	bpf_link__destroy(b->links[i]);
	b->links[i] = link;
	return 0;
}

int fault_bpf_attach_cgroup(struct fault_bpf *b, int cgroup_fd)
{
	if (!b->request)
		return -EINVAL;
	int err = attach_one(b, 0, b->request->progs.fault_ingress, cgroup_fd);
	if (!err && bpf_program__autoload(b->request->progs.fault_egress))
		err = attach_one(b, 1, b->request->progs.fault_egress, cgroup_fd);
	return err;
}

int fault_bpf_attach_tcx(struct fault_bpf *b, int ifindex)
{
	if (b->nr_tcx == ARRAY_SIZE(b->tcx))
		return -ENOSPC;
	int err = tc_attach_tcx(fault_bpf_payload_fd(b), ifindex, &b->tcx[b->nr_tcx]);
	if (!err)
		b->nr_tcx++;
	return err;
}

/* ---- cpu: a perf event a thread */

static int attach_task(struct fault_bpf *b, pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = FAULT_ABI_TICK_NS,
		.inherit = 1,
		.disabled = 1,
	};
	CLEANUP(closep) int fd =
		(int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, bpf_program__fd(b->task->progs.fault_burn)) < 0 ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return -errno;
	b->tasks[b->nr_tasks++] = (struct task){ .tid = tid, .fd = TAKE_FD(fd) };
	return 0;
}

static bool is_attached(const struct fault_bpf *b, pid_t tid)
{
	for (size_t i = 0; i < b->nr_tasks; i++)
		if (b->tasks[i].tid == tid)
			return true;
	return false;
}

static void let_gone_ones_go(struct fault_bpf *b)
{
	char path[32];

	for (size_t i = 0; i < b->nr_tasks;) {
		snprintf(path, sizeof(path), "/proc/%d", b->tasks[i].tid);
		if (access(path, F_OK) == 0) {
			i++;
			continue;
		}
		close(b->tasks[i].fd);
		b->tasks[i] = b->tasks[--b->nr_tasks];
	}
}

int fault_bpf_attach_tasks(struct fault_bpf *b, pid_t tgid)
{
	char path[32];
	int nr = 0, seen = 0, err = 0;

	if (!b->task)
		return -EINVAL;
	let_gone_ones_go(b);
	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	DIR *dir = opendir(path);
	if (!dir)
		return -errno;
	/*
	 * A thread that an attached one made has inherited the event, and a second on it
	 * would burn twice: only what was there at the first look is attached.
	 */
	bool first = !is_attached(b, tgid);
	for (struct dirent *d; (d = readdir(dir)) && first;) {
		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		pid_t tid = (pid_t)strtol(d->d_name, NULL, 10);
		seen++;
		if (is_attached(b, tid) || b->nr_tasks == FAULT_BPF_TASKS_MAX)
			continue;
		int e = attach_task(b, tid);
		nr += !e;
		err = e ? e : err;
	}
	closedir(dir);
	return !first || nr || !seen ? nr : err;
}

int fault_bpf_events(struct fault_bpf *b, int timeout_ms)
{
	if (!b->ring)
		return -EINVAL;
	int n = ring_buffer__poll(b->ring, timeout_ms);
	return n == -EINTR ? 0 : n;
}
