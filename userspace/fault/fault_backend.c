// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an armed fault consists of: made in the order journal, thing; unmade in
 * the order thing, journal.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "fault/fault_internal.h"
#include "fault/undo.h"
#include "kernel/cgroup.h"
#include "kernel/netfilter.h"
#include "kernel/qdisc.h"

/* ---- the journal */

void faults_publish(struct faults *f)
{
	uint64_t first = UINT64_MAX;
	uint32_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++) {
		const struct armed *a = &f->armed[i];

		if (!a->used || !a->nr_made)
			continue;
		nr += (uint32_t)a->nr_made;
		first = MIN(first, a->f.ends_ns);
	}
	atomic_store(&f->page->first_deadline_ns, first);
	atomic_store(&f->page->outstanding, nr);
	guardian_poke(&f->guardian);
}

/* Written down, and the guardian told, before it is made. */
static int note(struct faults *f, struct armed *a, enum journal_kind kind,
		const struct tc_device *dev, uint64_t arg, uint64_t arg2)
{
	struct journal_entry e = {
		.kind = kind,
		.ifindex = dev ? dev->ifindex : 0,
		.arg = arg,
		.arg2 = arg2,
		.deadline_ns = a->f.ends_ns,
		.netns_ino = journal_netns(),
	};

	if (a->nr_made == MADE_MAX)
		return -ENOSPC;
	snprintf(e.id, sizeof(e.id), "%s", a->f.id);
	snprintf(e.name, sizeof(e.name), "%s", dev ? dev->name : "-");
	journal_boot_id(e.boot);
	int err = journal_append(f->journal, '+', &e);
	if (err)
		return err;
	a->made[a->nr_made++] = e;
	faults_publish(f);
	return 0;
}

/* ---- making */

static int make_rule(struct faults *f, struct armed *a, struct problem *p)
{
	char why[160];
	struct netfilter_rule rule = {
		.id = a->f.id,
		.ports = a->service.ports,
		.nr_ports = a->service.nr_ports,
		/* The root holds everybody: no use in asking. */
		.cgroup = strcmp(a->service.cgroup, "/") && probe_cached()->cgroup_match ?
			a->service.cgroup :
			NULL,
	};

	int err = nfqueue_start(fault_bpf_conns_fd(a->bpf), fault_bpf_conns_value_size(a->bpf),
				fault_bpf_ctl(a->bpf), &a->queue);
	if (err)
		return problem_set(p, 503, "no netfilter queue could be had (%s)", strerror(-err));
	rule.queue = a->queue.queue;
	err = note(f, a, JOURNAL_RULE, NULL, rule.queue, 0);
	if (err)
		return problem_set(p, 503, "the journal cannot be written (%s)", strerror(-err));
	err = netfilter_add(&rule, why, sizeof(why));
	return err ? problem_set(p, 503, "the netfilter rule was refused: %s", why) : 0;
}

static int make_fq(struct faults *f, struct armed *a, struct problem *p)
{
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);

	for (int i = 0; i < n; i++) {
		struct qdisc_info info;

		int err = qdisc_look(dev[i].ifindex, &info);
		if (err)
			return problem_set(p, 503, "the qdisc of %s cannot be read", dev[i].name);
		if (info.root == QDISC_ROOT_FQ)
			continue;
		err = note(f, a, JOURNAL_FQ, &dev[i], QDISC_HANDLE, 0);
		if (!err && info.root == QDISC_ROOT_DEFAULT)
			err = qdisc_add_fq(dev[i].ifindex, f->cfg.max_delay_ns + 10 * NSEC_PER_SEC);
		if (err)
			return problem_set(p, 503, "fq could not be put on %s (%s)", dev[i].name,
					   strerror(-err));
	}
	return n < 0 ? problem_set(p, 503, "the network devices cannot be listed") : 0;
}

static int make_filters(struct faults *f, struct armed *a, struct problem *p)
{
	struct tc_device dev[TC_DEVICES_MAX];
	bool tcx = !strcmp(a->f.backend, "tcx");
	int n = tc_devices(dev), err = 0;

	if (n < 0)
		return problem_set(p, 503, "the network devices cannot be listed (%s)",
				   strerror(-n));
	for (int i = 0; i < n && !err; i++) {
		uint32_t handle = TC_HANDLE_BASE + (a->number & 0xffff);

		if (tcx) {
			err = fault_bpf_attach_tcx(a->bpf, dev[i].ifindex);
		} else {
			err = note(f, a, JOURNAL_FILTER, &dev[i], handle,
				   !tc_has_clsact(dev[i].ifindex));
			if (!err)
				err = tc_attach_clsact(fault_bpf_payload_fd(a->bpf), dev[i].ifindex,
						       handle);
		}
		if (err)
			problem_set(p, 503, "the program could not be attached to %s (%s)",
				    dev[i].name, strerror(-err));
	}
	return err;
}

static int make_burner(struct faults *f, struct armed *a)
{
	int err =
		burner_prepare(a->service.cgroup, fault_bpf_ctl(a->bpf), a->f.percent, &a->burner);

	if (!err)
		err = note(f, a, JOURNAL_BURNER, NULL, (uint64_t)a->burner.pid,
			   a->burner.start_ticks);
	return err ? err : burner_go(&a->burner);
}

static int make_cpu(struct faults *f, struct armed *a, struct problem *p)
{
	int attached = 0, err = -ESRCH;

	for (size_t i = 0; i < a->service.nr_pids; i++) {
		int n = fault_bpf_attach_tasks(a->bpf, a->service.pids[i]);

		attached += MAX(n, 0);
		err = n < 0 ? n : err;
	}
	if (!attached)
		return problem_set(p, 503, "no thread of %s could be attached to (%s)",
				   a->f.req.service, strerror(-err));
	/* An extra: the service's threads are hurt without it. */
	if (a->service.own_cgroup && a->service.cgroup[0] && strcmp(a->service.cgroup, "/") != 0)
		make_burner(f, a);
	return 0;
}

static int attach_cgroup(struct armed *a, const char *path)
{
	CLEANUP(closep) int fd = cgroup_open_path(path);

	return fd < 0 ? fd : fault_bpf_attach_cgroup(a->bpf, fd);
}

static int load(struct faults *f, struct armed *a, struct problem *p)
{
	const char *keys[FAULT_KEYS_MAX];
	const struct fault_request *r = &a->f.req;

	for (size_t i = 0; i < r->nr_keys; i++)
		keys[i] = r->keys[i];
	struct fault_bpf_spec spec = {
		.type = (uint32_t)
				r->type, /* the same numbers, see FAULT_ABI_TIMEOUT and following */
		.ports = a->service.ports,
		.nr_ports = a->service.nr_ports,
		.netns_ino = a->service.netns_ino,
		.probability = r->probability,
		.seed = r->seed,
		.delay_ns = a->f.delay_ns,
		.status = a->f.status,
		.percent = a->f.percent,
		.keys = keys,
		.nr_keys = r->nr_keys,
		.match_health = r->match_health,
		.use_edt = !strcmp(a->f.backend, "fq"),
	};

	int err = fault_bpf_open(&spec, &a->bpf);
	if (err)
		return problem_set(p, 503, "the kernel refused the program of %s (%s)",
				   fault_types()[r->type].name, strerror(-err));
	/* From now on, and not from before the verifier's work, which can take longer than a lease. Nothing is attached yet. */
	struct fault_ctl *c = fault_bpf_ctl(a->bpf);
	uint64_t now_ns = clock_boot_ns();
	if (!a->again) {
		a->f.armed_ns = now_ns;
		a->f.armed_wall_ms = clock_wall_ms();
		a->f.ends_ns = now_ns + r->duration_ns;
	}
	__atomic_store_n(&c->lease_end_ns, now_ns + FAULT_LEASE_NS, __ATOMIC_RELAXED);
	__atomic_store_n(&c->deadline_ns, a->f.ends_ns, __ATOMIC_RELAXED);
	a->beat = heartbeat_add(f->heart, &c->lease_end_ns);
	return a->beat < 0 ? problem_set(p, 503, "too many faults are armed") : 0;
}

static int make(struct faults *f, struct armed *a, struct problem *p)
{
	int err = load(f, a, p);

	if (err)
		return err;
	if (a->f.req.type == FAULT_CPU)
		return make_cpu(f, a, p);
	if (a->f.req.type == FAULT_TIMEOUT)
		err = a->f.backend[0] == 'f' ? make_fq(f, a, p) : make_rule(f, a, p);
	else if (a->f.req.type == FAULT_ERROR || a->f.req.type == FAULT_BAD_DATA)
		err = make_filters(f, a, p);
	else if (a->f.req.type == FAULT_CRASH && crasher_start(&a->crash, a->bpf, &a->service) < 0)
		err = problem_set(p, 503, "no thread could be started");
	if (err)
		return err;
	/* Last: the draw begins when everything that acts on it is there. */
	err = attach_cgroup(a, a->service.cgroup);
	if (err)
		return problem_set(p, 503, "the programs could not be attached to cgroup %s (%s)",
				   a->service.cgroup, strerror(-err));
	/* We may have been stopped while making: the guardian has undone by then what had been made so far. */
	if (heartbeat_lost(f->heart, a->beat))
		return problem_set(p, 503, "the daemon was stopped while arming; nothing is armed");
	return 0;
}

/* ---- unmaking */

/* Our fq on a device serves every timeout of this daemon. */
static bool in_use_by_others(const struct faults *f, const struct armed *a,
			     const struct journal_entry *e)
{
	for (size_t i = 0; e->kind == JOURNAL_FQ && i < ARRAY_SIZE(f->armed); i++) {
		const struct armed *b = &f->armed[i];

		for (size_t k = 0; b != a && b->used && k < b->nr_made; k++)
			if (b->made[k].kind == JOURNAL_FQ && b->made[k].ifindex == e->ifindex &&
			    b->made[k].netns_ino == e->netns_ino)
				return true;
	}
	return false;
}

struct unmaking {
	struct faults *f;
	struct armed *a;
};

static int unmake_there(void *ctx)
{
	struct unmaking *x = ctx;
	struct faults *f = x->f;
	struct armed *a = x->a;

	for (size_t i = a->nr_made; i-- > 0;) {
		struct journal_entry e = a->made[i];

		/* The burner is our child: burner_stop() has reaped it. */
		if (e.kind != JOURNAL_BURNER && !in_use_by_others(f, a, &e) &&
		    undo_entry(&e, NULL, 0) < 0)
			continue; /* stays in the journal: the next start tries again */
		journal_append(f->journal, '-', &e);
	}
	return 0;
}

static void unmake(struct faults *f, struct armed *a)
{
	struct unmaking x = { f, a };

	fault_there(a, unmake_there, &x);
	a->nr_made = 0;
	/* A file that cannot be made shorter is as good as before; past JOURNAL_BYTES_MAX the sweep does its work. */
	journal_trim(f->journal);
	faults_publish(f);
}

void backend_disarm(struct faults *f, struct armed *a)
{
	/* The programs stop acting first, whatever the rest takes. */
	heartbeat_remove(f->heart, a->beat);
	a->beat = -1;
	if (a->bpf)
		__atomic_store_n(&fault_bpf_ctl(a->bpf)->deadline_ns, 0, __ATOMIC_RELAXED);
	crasher_stop(&a->crash);
	burner_stop(&a->burner);
	if (a->nr_made)
		unmake(f, a);
	/* After the rule is gone, so that nothing new comes; what is held goes at once. */
	if (a->queue.page) {
		f->stats.nfqueue_full_total += atomic_load(&a->queue.page->full);
		nfqueue_stop(&a->queue);
	}
	fault_bpf_close(a->bpf);
	a->bpf = NULL;
	closep(&a->netns_fd);
	a->netns_fd = -1;
}

int backend_arm(struct faults *f, struct armed *a, struct problem *p)
{
	a->beat = -1;
	a->queue.pipe_fd = -1;
	a->burner.pipe_fd = -1;
	int err = make(f, a, p);
	if (err)
		backend_disarm(f, a);
	return err;
}

/* ---- following, counting, telling */

int backend_follow(struct armed *a, const struct service *s)
{
	int err = 0;

	if (a->f.req.type == FAULT_CPU) {
		for (size_t i = 0; i < s->nr_pids; i++)
			fault_bpf_attach_tasks(a->bpf, s->pids[i]);
	} else {
		struct fault_ctl *c = fault_bpf_ctl(a->bpf);

		/* Ports first, then their number: the program sees the old list or the new one's beginning. */
		for (size_t i = 0; i < s->nr_ports && i < FAULT_ABI_PORTS; i++)
			c->ports[i] = s->ports[i];
		if (s->nr_ports)
			__atomic_store_n(&c->nr_ports,
					 (uint32_t)MIN(s->nr_ports, (size_t)FAULT_ABI_PORTS),
					 __ATOMIC_RELEASE);
		/* A cgroup that was made anew under its old path is another one. */
		if (s->cgroup[0] &&
		    (strcmp(s->cgroup, a->service.cgroup) != 0 ||
		     (s->cgroup_id && s->cgroup_id != a->service.cgroup_id)))
			err = attach_cgroup(a, s->cgroup);
		crasher_follow(&a->crash, s);
	}
	if (!err && s != &a->service)
		a->service = *s;
	return err;
}

void backend_counters(struct armed *a)
{
	if (!a->bpf)
		return;
	const struct fault_ctl *c = fault_bpf_ctl(a->bpf);

	a->f.seen_packets = __atomic_load_n(&c->seen_packets, __ATOMIC_RELAXED);
	a->f.touched_requests = __atomic_load_n(&c->touched_requests, __ATOMIC_RELAXED);
	a->f.spared_requests = __atomic_load_n(&c->spared_requests, __ATOMIC_RELAXED);
	a->f.touched_packets = __atomic_load_n(&c->touched_packets, __ATOMIC_RELAXED);
	a->f.out_of_reach = __atomic_load_n(&c->out_of_reach, __ATOMIC_RELAXED);
	if (a->queue.page)
		a->f.touched_packets = atomic_load(&a->queue.page->delayed);
	if (!a->again)
		return;
	a->f.touched_requests += a->before.touched_requests;
	a->f.spared_requests += a->before.spared_requests;
	a->f.touched_packets += a->before.touched_packets;
	a->f.out_of_reach += a->before.out_of_reach;
}

void backend_plan(const struct armed *a, char *says, size_t len)
{
	const struct service *s = &a->service;
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);
	size_t at = strlen(says);

	switch (a->f.req.type) {
	case FAULT_CPU:
		snprintf(says + at, len - at,
			 ". Would open perf events on the threads of %zu processes%s", s->nr_pids,
			 s->own_cgroup ? " and start a burner in its cgroup" : "");
		break;
	case FAULT_CRASH:
		snprintf(says + at, len - at, ". Would send SIGKILL to process %d",
			 s->nr_pids ? s->pids[0] : 0);
		break;
	case FAULT_TIMEOUT:
	case FAULT_ERROR:
	case FAULT_BAD_DATA:
	case FAULT_LOSS:
	case NR_FAULT_TYPES:
		snprintf(says + at, len - at,
			 ". Would attach to cgroup %.80s for port %u%s, back end %s", s->cgroup,
			 s->nr_ports ? s->ports[0] : 0, s->nr_ports > 1 ? " and others" : "",
			 a->f.backend);
		at = strlen(says);
		if (a->f.req.type != FAULT_LOSS && strcmp(a->f.backend, "nfqueue") != 0)
			snprintf(says + at, len - at, " on %d devices", n);
		break;
	}
}
