// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "run_live.h"
#include "run_ops.h"

struct fault_list {
	cJSON *items;
	uint32_t service; /* 0: all */
	bool armed_only;
	uint64_t now_ns;
};

static int add_fault(const struct fault *f, void *ctx)
{
	struct fault_list *l = ctx;

	if ((!l->service || f->service_id == l->service) &&
	    (!l->armed_only || f->state == FAULT_ARMED))
		cJSON_AddItemToArray(l->items, fault_json(f, l->now_ns));
	return 0;
}

int op_faults(void *ctx, const char *service, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	struct fault_list l = { .now_ns = clock_boot_ns() };
	LOCKED(d);

	if (service) {
		const struct service *s = ops_service(d, service, p);
		if (!s)
			return -ENOENT;
		l.service = s->id;
	}
	cJSON *j = ops_list(&l.items);
	faults_tick(d->faults, clock_boot_ns(), NULL, NULL);
	faults_each(d->faults, add_fault, &l);
	return ops_give(j, ret);
}

int op_fault(void *ctx, const char *id, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	struct fault f;
	LOCKED(d);

	if (faults_find(d->faults, id, &f) < 0)
		return problem_set(p, 404, "there is no fault %s; `archaic-ebpf faults` lists them",
				   id);
	return ops_give(fault_json(&f, clock_boot_ns()), ret);
}

int op_fault_types(void *ctx, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	struct faults_config c;

	(void)p;
	run_limits_now(d, &c);
	return ops_give(faults_types_json(&c), ret);
}

int op_arm(void *ctx, const struct caller *who, const struct control_arm *what, cJSON **ret,
	   struct problem *p)
{
	struct daemon *d = ctx;
	struct fault_request req;
	struct fault f;
	LOCKED(d);

	int err = fault_request_parse(what->body, &req, p);
	if (err)
		return err;
	const struct service *s = ops_service(d, what->service, p);
	if (!s)
		return -ENOENT;
	err = faults_arm(d->faults, &req, s, what->dry_run, &f, p);
	if (err)
		return err;
	if (!what->dry_run) {
		log_as(s->name, LOG_LEVEL_WARNING, NULL, "%s", f.log);
		log_info("%s armed fault %s on %s: %s", ops_who(who), f.id, s->name, f.says);
		live_fault(d, &f);
		/* A fault on the root cgroup itself runs after our programs: look behind it again. */
		if (d->observer && !strcmp(s->cgroup, "/"))
			observer_reattach(d->observer);
		if (d->observer)
			observer_both_ends(d->observer, faults_rewrite(d->faults));
	}
	return ops_give(fault_json(&f, clock_boot_ns()), ret);
}

int op_disarm(void *ctx, const struct caller *who, const char *id, cJSON **ret, struct problem *p)
{
	struct daemon *d = ctx;
	struct fault f;
	LOCKED(d);

	if (faults_find(d->faults, id, &f) == 0 && f.state != FAULT_ARMED)
		return problem_set(p, 409, "fault %s has ended already: %s", id,
				   fault_state_name(f.state));
	int err = faults_disarm(d->faults, id, &f, p);
	if (err)
		return err;
	log_info("%s reset fault %s on %s", ops_who(who), f.id, f.req.service);
	live_fault(d, &f);
	return ops_give(fault_json(&f, clock_boot_ns()), ret);
}

/* The ids are taken first: disarming changes the list that is walked. */
struct armed_ids {
	char id[FAULT_ARMED_MAX][FAULT_ID_MAX];
	size_t nr;
	uint32_t service;
};

static int add_armed_id(const struct fault *f, void *ctx)
{
	struct armed_ids *a = ctx;

	if (f->state == FAULT_ARMED && (!a->service || f->service_id == a->service) &&
	    a->nr < FAULT_ARMED_MAX)
		memcpy(a->id[a->nr++], f->id, FAULT_ID_MAX);
	return 0;
}

int op_disarm_all(void *ctx, const struct caller *who, const char *service, cJSON **ret,
		  struct problem *p)
{
	struct daemon *d = ctx;
	struct armed_ids armed = { 0 };
	LOCKED(d);

	if (service) {
		const struct service *s = ops_service(d, service, p);
		if (!s)
			return -ENOENT;
		armed.service = s->id;
	}
	faults_each(d->faults, add_armed_id, &armed);
	cJSON *items, *j = ops_list(&items);
	for (size_t i = 0; i < armed.nr; i++) {
		struct fault f;
		if (faults_disarm(d->faults, armed.id[i], &f, p) < 0)
			continue;
		cJSON_AddItemToArray(items, fault_json(&f, clock_boot_ns()));
		log_info("%s reset fault %s on %s", ops_who(who), f.id, f.req.service);
		live_fault(d, &f);
	}
	return ops_give(j, ret);
}
