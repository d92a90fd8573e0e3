// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault/fault.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "fault/fault_internal.h"
#include "fault/undo.h"

void faults_config_default(struct faults_config *ret)
{
	*ret = (struct faults_config){
		.run_dir = "/run/archaic-ebpf",
		.max_duration_ns = 3600 * NSEC_PER_SEC,
		.max_intensity = 100,
		.max_delay_ns = 60 * NSEC_PER_SEC,
		.allowed_types = (1u << NR_FAULT_TYPES) - 1,
		.max_armed = FAULT_ARMED_MAX,
	};
}

int faults_new(const struct faults_config *cfg, struct faults **ret)
{
	CLEANUP(faults_freep) struct faults *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->cfg = *cfg;
	f->cfg.max_armed = MIN(f->cfg.max_armed, (uint32_t)FAULT_ARMED_MAX);
	f->guardian.pipe_fd = -1;
	snprintf(f->journal, sizeof(f->journal), "%s/" JOURNAL_FILE, cfg->run_dir);
	if (mkdir(cfg->run_dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	faults_recover(cfg->run_dir, f->recovered, sizeof(f->recovered));

	f->page = guardian_page_new();
	if (!f->page)
		return -ENOMEM;
	int err = guardian_start(f->page, f->journal, &f->guardian);
	if (!err)
		err = heartbeat_start(f->page, &f->heart);
	if (err)
		return err;
	*ret = TAKE_PTR(f);
	return 0;
}

void faults_free(struct faults *f)
{
	if (!f)
		return;
	if (f->heart)
		faults_disarm_all(f);
	heartbeat_stop(f->heart);
	guardian_stop(&f->guardian);
	guardian_page_free(f->page);
	free(f);
}

const char *faults_recovered(const struct faults *f)
{
	return f->recovered;
}

/* ---- ending */

void fault_end(struct faults *f, struct armed *a, enum fault_state state, const char *why)
{
	backend_counters(a);
	backend_disarm(f, a);
	if (a->f.req.type == FAULT_CRASH && a->crash.bpf)
		a->f.touched_requests = atomic_load(&a->crash.kills);
	says_traffic(&a->f);
	if (why) {
		size_t n = strlen(a->f.says);

		snprintf(a->f.says + n, sizeof(a->f.says) - n, "; %s", why);
	}
	a->f.state = state;
	a->f.ends_ns = MIN(a->f.ends_ns, clock_boot_ns());
	f->stats.failed_total += state == FAULT_FAILED;
	f->ended[f->nr_ended++ % FAULT_ENDED_MAX] = a->f;
	*a = (struct armed){ .used = false };
}

/* ---- arming */

static bool id_taken(const struct faults *f, const char *id)
{
	struct fault found;

	return faults_find((struct faults *)f, id, &found) == 0;
}

static void new_id(const struct faults *f, char id[static FAULT_ID_MAX])
{
	static const char digits[] =
		"23456789abcdefghjkmnpqrstuvwxyz"; /* none that is mistaken for another */
	unsigned char r[4];

	do {
		if (getrandom(r, sizeof(r), 0) != sizeof(r))
			memset(r, (int)clock_mono_ns(), sizeof(r));
		snprintf(id, FAULT_ID_MAX, "f-%c%c%c%c", digits[r[0] % 31], digits[r[1] % 31],
			 digits[r[2] % 31], digits[r[3] % 31]);
	} while (id_taken(f, id));
}

static struct armed *in_slot(struct faults *f, const struct fault_request *r, uint32_t service_id)
{
	for (size_t i = 0; r->slot[0] && i < ARRAY_SIZE(f->armed); i++) {
		struct armed *a = &f->armed[i];

		if (a->used && a->f.service_id == service_id && !strcmp(a->f.req.slot, r->slot))
			return a;
	}
	return NULL;
}

static int check_conflict(struct faults *f, const struct fault *want, const struct armed *replaced,
			  struct problem *p)
{
	uint32_t armed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++) {
		const struct armed *a = &f->armed[i];

		if (!a->used || a == replaced)
			continue;
		armed++;
		if (a->f.service_id == want->service_id && a->f.req.type == want->req.type)
			return problem_set(p, 409,
					   "%s is armed on %s already (%s): disarm it first",
					   fault_types()[want->req.type].name, want->req.service,
					   a->f.id);
	}
	if (armed >= f->cfg.max_armed)
		return problem_set(p, 422, "%u faults are armed, the daemon's limit max_armed",
				   armed);
	return 0;
}

static struct armed *free_place(struct faults *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (!f->armed[i].used)
			return &f->armed[i];
	return NULL;
}

/* Nothing to hold: it is over as soon as it is done. */
static int crash_at_once(struct faults *f, struct armed *a, struct problem *p)
{
	int err = crash_now(a->service.pids[0], a->service.main_start_ticks);

	if (err)
		return problem_set(p, 503, "process %d of %s could not be killed (%s)",
				   a->service.pids[0], a->f.req.service, strerror(-err));
	a->f.state = FAULT_SPENT;
	a->f.ends_ns = a->f.armed_ns;
	snprintf(a->f.says, sizeof(a->f.says), "Process %d of %s was killed", a->service.pids[0],
		 a->f.req.service);
	f->ended[f->nr_ended++ % FAULT_ENDED_MAX] = a->f;
	return 0;
}

static int check(struct faults *f, struct armed *a, const struct armed *replaced, struct problem *p)
{
	int err = fault_check_limits(&f->cfg, &a->f, p);

	if (!err)
		err = fault_check_service(&a->f, &a->service, p);
	if (!err)
		err = check_conflict(f, &a->f, replaced, p);
	if (err)
		return err;
	a->f.backend = backend_choose(&a->f.req, &a->service, &f->cfg, p);
	return a->f.backend ? 0 : -ENOTSUP;
}

static void fill(struct faults *f, struct armed *a, const struct fault_request *req,
		 const struct service *s)
{
	*a = (struct armed){ .service = *s, .beat = -1, .number = ++f->numbers, .netns_fd = -1 };
	a->f.req = *req;
	snprintf(a->f.req.service, sizeof(a->f.req.service), "%s", s->name);
	a->f.service_id = s->id;
	a->f.backend = "";
	fault_resolve(&f->cfg, &a->f);
	a->f.armed_ns = clock_boot_ns();
	a->f.armed_wall_ms = clock_wall_ms();
	a->f.ends_ns = a->f.armed_ns + a->f.req.duration_ns;
	says_armed(&a->f);
}

/* What looks at devices, queues and rules, where they are to be made. */
struct arming {
	struct faults *f;
	struct armed *a;
	const struct armed *replaced;
	bool dry_run;
	struct problem *p;
};

static int look_there(void *ctx)
{
	struct arming *x = ctx;
	int err = check(x->f, x->a, x->replaced, x->p);

	if (!err && x->dry_run)
		backend_plan(x->a, x->a->f.says, sizeof(x->a->f.says));
	return err;
}

static int make_there(void *ctx)
{
	struct arming *x = ctx;

	return backend_arm(x->f, x->a, x->p);
}

int faults_arm(struct faults *f, const struct fault_request *req, const struct service *s,
	       bool dry_run, struct fault *ret, struct problem *p)
{
	struct armed *replaced = in_slot(f, req, s->id);
	static struct armed a; /* large; the caller's mutex guards it as it guards *f */
	struct arming x = { f, &a, replaced, dry_run, p };

	fill(f, &a, req, s);
	int err = fault_find_place(&a, p);
	CLEANUP(closep) int netns_fd = a.netns_fd;
	err = err ?: fault_there(&a, look_there, &x);
	if (err) {
		f->stats.refused_total++;
		return err;
	}
	if (dry_run) {
		*ret = a.f;
		return 0;
	}
	if (!guardian_alive(&f->guardian))
		return problem_set(
			p, 503,
			"the guardian process is gone; it is started again within a second");

	new_id(f, a.f.id);
	if (replaced)
		fault_end(f, replaced, FAULT_RESET, "replaced by another");
	says_log(&a.f, s->nr_pids ? s->pids[0] : 0);
	f->stats.armed_total++;
	if (req->type == FAULT_CRASH && req->probability >= 1) {
		err = crash_at_once(f, &a, p);
		if (!err)
			*ret = a.f;
		return err;
	}

	struct armed *place = free_place(f);
	if (!place)
		return problem_set(p, 422, "too many faults are armed");
	*place = a;
	place->used = true;
	x.a = place;
	TAKE_FD(netns_fd);
	err = fault_there(place, make_there, &x);
	if (err) {
		*place = (struct armed){ .used = false };
		faults_publish(f);
		return err;
	}
	says_traffic(&place->f);
	*ret = place->f;
	return 0;
}

/* ---- disarming and looking */

static struct armed *armed_by_id(struct faults *f, const char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (f->armed[i].used && !strcmp(f->armed[i].f.id, id))
			return &f->armed[i];
	return NULL;
}

int faults_find(struct faults *f, const char *id, struct fault *ret)
{
	struct armed *a = armed_by_id(f, id);

	if (a) {
		backend_counters(a);
		says_traffic(&a->f);
		*ret = a->f;
		return 0;
	}
	for (size_t i = 0; i < MIN(f->nr_ended, (size_t)FAULT_ENDED_MAX); i++)
		if (!strcmp(f->ended[i].id, id)) {
			*ret = f->ended[i];
			return 0;
		}
	return -ENOENT;
}

int faults_disarm(struct faults *f, const char *id, struct fault *ret, struct problem *p)
{
	struct armed *a = armed_by_id(f, id);
	struct fault found;

	if (a)
		fault_end(f, a, FAULT_RESET, NULL);
	if (faults_find(f, id, &found) < 0)
		return problem_set(p, 404, "there is no fault %.32s", id);
	if (ret)
		*ret = found;
	return 0;
}

static size_t disarm_where(struct faults *f, uint32_t service_id, const char *why)
{
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (f->armed[i].used && (!service_id || f->armed[i].f.service_id == service_id)) {
			fault_end(f, &f->armed[i], FAULT_RESET, why);
			nr++;
		}
	return nr;
}

size_t faults_disarm_service(struct faults *f, uint32_t service_id)
{
	return service_id ? disarm_where(f, service_id, NULL) : 0;
}

size_t faults_disarm_all(struct faults *f)
{
	return disarm_where(f, 0, NULL);
}

size_t faults_set_limits(struct faults *f, const struct faults_config *cfg)
{
	size_t nr = 0;

	f->cfg.max_duration_ns = cfg->max_duration_ns;
	f->cfg.max_intensity = cfg->max_intensity;
	f->cfg.max_delay_ns = cfg->max_delay_ns;
	f->cfg.allowed_types = cfg->allowed_types;
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (f->armed[i].used && !(cfg->allowed_types & 1U << f->armed[i].f.req.type)) {
			fault_end(f, &f->armed[i], FAULT_RESET,
				  "the configuration allows it no more");
			nr++;
		}
	return nr;
}

void faults_drop_service(struct faults *f, uint32_t service_id)
{
	if (service_id)
		disarm_where(f, service_id, "the service was detached");
}

int faults_each(struct faults *f, int (*cb)(const struct fault *fault, void *ctx), void *ctx)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(f->armed) && !r; i++) {
		if (!f->armed[i].used)
			continue;
		backend_counters(&f->armed[i]);
		says_traffic(&f->armed[i].f);
		r = cb(&f->armed[i].f, ctx);
	}
	size_t kept = MIN(f->nr_ended, (size_t)FAULT_ENDED_MAX);
	for (size_t i = 0; i < kept && !r; i++)
		r = cb(&f->ended[(f->nr_ended - 1 - i) % FAULT_ENDED_MAX], ctx);
	return r;
}

static void follow(struct faults *f, struct armed *a, const struct service *s)
{
	struct problem p = { 0 };

	switch (fault_turn(a, s)) {
	case FAULT_TURN_FOLLOW:
		if (!a->f.waiting && backend_follow(a, s) < 0)
			fault_end(f, a, FAULT_FAILED,
				  "the service moved to a cgroup that cannot be attached to");
		break;
	case FAULT_TURN_END:
		fault_end(f, a, FAULT_RESET,
			  "what it hurt was replaced or ended, and it was not to follow");
		break;
	case FAULT_TURN_WAIT:
		if (!a->f.waiting)
			fault_suspend(f, a);
		break;
	case FAULT_TURN_AGAIN:
		if (fault_again(f, a, s, &p) < 0)
			fault_end(f, a, FAULT_FAILED, p.detail);
		break;
	}
}

void faults_service(struct faults *f, const struct service *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (f->armed[i].used && f->armed[i].f.service_id == s->id)
			follow(f, &f->armed[i], s);
}

bool faults_rewrite(const struct faults *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		if (f->armed[i].used &&
		    (f->armed[i].f.req.type == FAULT_ERROR ||
		     f->armed[i].f.req.type == FAULT_BAD_DATA))
			return true;
	return false;
}

void faults_stats(const struct faults *f, struct faults_stats *ret)
{
	*ret = f->stats;
	ret->lease_lost_total = heartbeat_lost_total(f->heart);
	ret->armed = 0;
	for (size_t i = 0; i < ARRAY_SIZE(f->armed); i++)
		ret->armed += f->armed[i].used;
}
