// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/observer.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/cgroup.h"
#include "kernel/observer_internal.h"
#include "kernel/procs.h"
#include "skel/observe_request.skel.h"
#include "skel/observe_request_lock.skel.h"

#define SLOW_NS (500 * NSEC_PER_MSEC)

/* The program that libbpf complained of last: it says so in words only. One load at a time. */
static char complained[64];

PRINTF_LIKE(2, 0) static int note_complaint(enum libbpf_print_level level, const char *fmt,
					    va_list ap)
{
	char text[256];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(text, sizeof(text), fmt, ap);
	sscanf(text, "libbpf: prog '%63[^']'", complained);
	return 0;
}

struct optional {
	const char *name;
	size_t lacks; /* offset in struct observer_can */
	const char *why;
};

static const struct optional optionals[] = {
	{ "note_connect4", offsetof(struct observer_can, clients),
	  "clients that share a cgroup are told apart by their open connections only: cgroup/connect programs do not load" },
	{ "note_connect6", offsetof(struct observer_can, clients),
	  "clients that share a cgroup are told apart by their open connections only: cgroup/connect programs do not load" },
	{ "sock_state", offsetof(struct observer_can, aborted),
	  "connections that vanish without a packet are not counted as aborted: socket storage is not to be had in tracepoints" },
	{ "in_flight", offsetof(struct observer_can, in_flight),
	  "requests in flight are not known: the socket storage iterator does not load" },
};

static void set_lack(struct observer *o, size_t offset, const char *why)
{
	*(const char **)((char *)&o->can + offset) = why;
}

/* @lock: the form for kernels without atomics that have a result; its maps and programs are the same. */
static int open_skeleton(bool lock, struct observe_request_bpf **ret)
{
	struct observe_request_bpf *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	int err = observe_request_bpf__create_skeleton(r);
	if (!err && lock)
		r->skeleton->data =
			(void *)observe_request_lock_bpf__elf_bytes(&r->skeleton->data_sz);
	err = err ?: bpf_object__open_skeleton(r->skeleton, NULL);
	if (err)
		observe_request_bpf__destroy(r);
	else
		*ret = r;
	return err;
}

static int open_programs(struct observer *o, bool lock)
{
	uint32_t netns;
	int err = open_skeleton(lock, &o->request) ?: proc_netns(getpid(), &netns);

	if (err)
		return err;
	o->request->bss->config = (struct abi_config){
		.epoch = o->epoch,
		.netns_ino = netns,
		.sample_every = o->options.sample_every,
		.slow_ns = o->options.slow_ns,
		.both_ends = o->both_ends,
	};
	for (size_t i = 0; i < ARRAY_SIZE(optionals); i++) {
		const char *lack = *(const char **)((char *)&o->can + optionals[i].lacks);
		bpf_program__set_autoload(bpf_object__find_program_by_name(o->request->obj,
									   optionals[i].name),
					  !lack);
	}
	return 0;
}

static const struct optional *complained_optional(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(optionals); i++)
		if (!strcmp(optionals[i].name, complained))
			return &optionals[i];
	return NULL;
}

/* Load what loads: an optional program that this kernel refuses is left out, and said. */
static int load_programs(struct observer *o)
{
	libbpf_print_fn_t printed = libbpf_set_print(note_complaint);
	bool lock = false;
	int err = -EINVAL;

	for (size_t i = 0; err && i <= ARRAY_SIZE(optionals) + 1; i++) {
		*complained = '\0';
		err = open_programs(o, lock) ?: observe_request_bpf__load(o->request);
		if (!err)
			break;
		observe_request_bpf__destroy(o->request);
		o->request = NULL;
		const struct optional *bad = complained_optional();
		if (bad)
			set_lack(o, bad->lacks, bad->why);
		else if (lock)
			break;
		else
			lock = true;
	}
	libbpf_set_print(printed);
	return err;
}

static int attach_cgroup(struct observer *o, struct bpf_program *p, struct bpf_link **ret)
{
	struct bpf_link *l = bpf_program__attach_cgroup(p, o->cgroup_fd);

	if (!l)
		return -errno;
	*ret = l;
	return 0;
}

static void attach_optionals(struct observer *o)
{
	if (!o->can.clients &&
	    (attach_cgroup(o, o->request->progs.note_connect4, &o->connect4) ||
	     attach_cgroup(o, o->request->progs.note_connect6, &o->connect6)))
		o->can.clients =
			"clients that share a cgroup are told apart by their open connections only: "
			"cgroup/connect programs cannot be attached to the root cgroup";
	o->request->bss->config.notes = !o->can.clients;
	if (!o->can.aborted) {
		o->state = bpf_program__attach(o->request->progs.sock_state);
		if (!o->state)
			o->can.aborted =
				"connections that vanish without a packet are not counted as aborted: "
				"tp_btf/inet_sock_set_state cannot be attached";
	}
	if (!o->can.in_flight) {
		union bpf_iter_link_info info = { .map.map_fd = (__u32)bpf_map__fd(
							  o->request->maps.conns) };
		LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info,
			    .link_info_len = sizeof(info));

		o->flight = bpf_program__attach_iter(o->request->progs.in_flight, &opts);
		if (!o->flight)
			o->can.in_flight =
				"requests in flight are not known: the socket storage iterator cannot be attached";
	}
}

static int on_ring(void *ctx, void *data, size_t len)
{
	struct observer *o = ctx;

	if (o->on_request && len >= sizeof(struct abi_request))
		o->on_request(o->on_request_ctx, data);
	return 0;
}

/* What finds no room in the series' table goes here; it must be there before the first packet. */
static int make_overflow_series(struct observer *o)
{
	struct abi_series_key key = { .server = ABI_SERIES_OTHER, .client = ABI_SERIES_OTHER };
	int fd = bpf_map__fd(o->request->maps.series);

	memset(o->values, 0, sizeof(struct abi_series) * (size_t)o->nr_cpus);
	key.side = ABI_SIDE_SERVER;
	int err = bpf_map_update_elem(fd, &key, o->values, BPF_ANY);
	key.side = ABI_SIDE_CLIENT;
	return err ?: bpf_map_update_elem(fd, &key, o->values, BPF_ANY);
}

static int open_root(struct observer *o, struct problem *p)
{
	o->cgroup_fd = cgroup_open_path("/");
	if (o->cgroup_fd >= 0)
		return 0;
	problem_set(
		p, 503,
		"cgroup v2 is not mounted; mount it: mount -t cgroup2 none /sys/fs/cgroup/unified");
	return -ENOTSUP;
}

static int attach_packets(struct observer *o)
{
	int err = attach_cgroup(o, o->request->progs.observe_ingress, &o->ingress);

	return err ?: attach_cgroup(o, o->request->progs.observe_egress, &o->egress);
}

int observer_open(const struct observer_options *options, struct observer **ret, struct problem *p)
{
	CLEANUP(observer_closep) struct observer *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->options = *options;
	if (!o->options.slow_ns)
		o->options.slow_ns = SLOW_NS;
	o->cgroup_fd = o->stats_fd = -1;
	o->epoch = 1;
	o->nr_cpus = libbpf_num_possible_cpus();
	if (o->nr_cpus < 1)
		return -EIO;
	o->values = calloc((size_t)o->nr_cpus, sizeof(struct abi_series));
	if (!o->values)
		return -ENOMEM;
	int err = open_root(o, p);
	if (err)
		return err;

	err = load_programs(o) ?: make_overflow_series(o);
	if (!err)
		err = attach_packets(o);
	if (err) {
		problem_set(
			p, 503,
			"the observing programs cannot be %s (%s)%s%s; BTF and CAP_BPF, CAP_PERFMON and "
			"CAP_NET_ADMIN are needed",
			o->request ? "attached to the root cgroup" : "loaded", strerror(-err),
			*complained ? ": " : "", complained);
		return err;
	}
	attach_optionals(o);
	o->ring = ring_buffer__new(bpf_map__fd(o->request->maps.ring), on_ring, o, NULL);
	if (!o->ring)
		return -errno;
	if (o->options.run_stats)
		o->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	observer_tasks_open(o);
	*ret = TAKE_PTR(o);
	return 0;
}

static void free_tables(struct observer *o)
{
	struct series_node *s, *s_next;
	struct tasks_node *t, *t_next;
	struct watched *w, *w_next;

	HASH_ITER(hh, o->series, s, s_next) {
		HASH_DEL(o->series, s);
		free(s);
	}
	HASH_ITER(hh, o->tasks_seen, t, t_next) {
		HASH_DEL(o->tasks_seen, t);
		free(t);
	}
	HASH_ITER(hh, o->services, w, w_next) {
		HASH_DEL(o->services, w);
		free(w);
	}
}

void observer_close(struct observer *o)
{
	if (!o)
		return;
	observer_tasks_close(o);
	ring_buffer__free(o->ring);
	bpf_link__destroy(o->flight);
	bpf_link__destroy(o->state);
	bpf_link__destroy(o->connect6);
	bpf_link__destroy(o->connect4);
	bpf_link__destroy(o->egress);
	bpf_link__destroy(o->ingress);
	observe_request_bpf__destroy(o->request);
	closep(&o->stats_fd);
	closep(&o->cgroup_fd);
	free_tables(o);
	free(o->flights);
	free(o->values);
	free(o);
}

void observer_closep(struct observer **o)
{
	observer_close(*o);
}

const struct observer_can *observer_can(const struct observer *o)
{
	return &o->can;
}

int observer_reattach(struct observer *o)
{
	struct bpf_link *again = NULL;
	int err = attach_cgroup(o, o->request->progs.observe_egress, &again);

	if (err)
		return err;
	bpf_link__destroy(o->egress);
	o->egress = again;
	return 0;
}

int observer_requests(struct observer *o, void (*cb)(void *ctx, const struct abi_request *r),
		      void *ctx)
{
	o->on_request = cb;
	o->on_request_ctx = ctx;
	int n = ring_buffer__consume(o->ring);
	o->on_request = NULL;
	return n;
}

/* ---- ourselves */

void observer_add_program(struct observer_self *self, const struct bpf_program *p)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (self->nr_programs == OBSERVER_PROGRAMS_MAX || bpf_program__fd(p) < 0 ||
	    bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len) < 0)
		return;
	self->programs[self->nr_programs].name = bpf_program__name(p);
	self->programs[self->nr_programs].runs = info.run_cnt;
	self->programs[self->nr_programs++].run_ns = info.run_time_ns;
}

void observer_add_map(struct observer_self *self, const struct bpf_map *m, uint64_t entries)
{
	if (self->nr_maps == OBSERVER_MAPS_MAX)
		return;
	self->maps[self->nr_maps].name = bpf_map__name(m);
	self->maps[self->nr_maps].entries = entries;
	self->maps[self->nr_maps++].max_entries = bpf_map__max_entries(m);
}

int observer_self(struct observer *o, struct observer_self *ret)
{
	struct observer_self self = { .stats = o->request->bss->stats };
	struct bpf_program *p;
	uint64_t ports = 0, pids = 0;

	self.stats.parsed = o->finished;
	bpf_object__for_each_program(p, o->request->obj)
		observer_add_program(&self, p);
	for (struct watched *w = o->services; w; w = w->hh.next) {
		ports += w->s.nr_ports;
		pids += w->s.nr_pids;
	}
	observer_add_map(&self, o->request->maps.series, HASH_COUNT(o->series));
	observer_add_map(&self, o->request->maps.ports, ports);
	observer_add_map(&self, o->request->maps.tgids, pids);
	if (o->sched)
		observer_tasks_self(o, &self);
	*ret = self;
	return 0;
}
