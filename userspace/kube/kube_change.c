// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube_change.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "kube/kube_rollback.h"

#define STEP_NS (500 * NSEC_PER_MSEC)
#define BUSY_TRIES 3
#define OTHERS_READY 2 /* so many stay, whatever goes */

struct says {
	char *text;
	size_t size;
};

static int say(const struct says *s, int ret, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int say(const struct says *s, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->text, s->size, fmt, ap);
	va_end(ap);
	return ret;
}

/* What the client says where a call has failed; a sentence of ours stands where it was a no of ours. */
static int explain(struct kube *k, const struct says *s, int err)
{
	return err < 0 ? say(s, err, "%s", kube_why(k)[0] ? kube_why(k) : strerror(-err)) : err;
}

/* ---- prepare: each gets the pod and its workload, and answers 0, 1 or an error */

static int prepare_restart_pod(struct kube *k, struct kube_change *c, const struct says *s)
{
	const struct kube_workload *w = &c->workload;
	unsigned others = 0;
	int err = kube_pods_ready(k, c->pod.namespace_, w->selector, c->pod.owner_uid, c->pod.uid,
				  &others);

	if (err)
		return err;
	c->before = others + c->pod.ready;
	if (c->pod.ready && w->replicas > 1 && others < OTHERS_READY)
		return say(s, 1, "only %u other pods of %s are ready, and %s is ready itself",
			   others, w->name, c->pod.name);
	return say(s, 0, "%s %s keeps %u of %s; %u others are ready", w->kind, w->name, w->replicas,
		   c->pod.name, others);
}

static int check_rollout(const struct kube_workload *w, const struct says *s)
{
	if (!strcmp(w->kind, "ReplicaSet"))
		return say(s, 1, "a ReplicaSet without a Deployment makes no rollout");
	if (w->paused)
		return say(s, 1, "%s is paused", w->name);
	if (!w->rolling)
		return say(s, 1, "%s does not replace its pods one after the other", w->name);
	if (w->unavailable_max * 4 > w->replicas)
		return say(s, 1,
			   "a rollout of %s may take away %u of %u at once: more than a quarter",
			   w->name, w->unavailable_max, w->replicas);
	return 0;
}

static int prepare_rollout(struct kube_change *c, const struct says *s)
{
	const struct kube_workload *w = &c->workload;
	int no = check_rollout(w, s);

	if (no)
		return no;
	if (!w->replicas)
		return say(s, 1, "%s has no replicas", w->name);
	return say(s, 0, "%s %s replaces %u of %u at once at most", w->kind, w->name,
		   w->unavailable_max, w->replicas);
}

static int prepare_scale(struct kube *k, struct kube_change *c, const struct says *s)
{
	const struct kube_workload *w = &c->workload;
	bool owned = false;

	if (strcmp(w->kind, "Deployment") != 0 && strcmp(w->kind, "StatefulSet") != 0)
		return say(s, 1, "a %s has no number of replicas to change", w->kind);
	if (!w->replicas || w->replicas >= KUBE_SCALE_MAX)
		return say(s, 1, "%s has %u replicas: it is not scaled from there", w->name,
			   w->replicas);
	int err = kube_autoscaled(k, w, &owned);
	if (err)
		return err;
	if (owned)
		return say(s, 1, "an autoscaler owns the number of replicas of %s", w->name);
	c->before = w->replicas;
	c->after = MIN(w->replicas + (w->replicas + 1) / 2, (unsigned)KUBE_SCALE_MAX);
	return say(s, 0, "%s %s has %u replicas, and no autoscaler", w->kind, w->name, w->replicas);
}

static int prepare_rollback(struct kube *k, struct kube_change *c, int64_t wall_ms,
			    const struct says *s)
{
	const struct kube_workload *w = &c->workload;

	if (strcmp(w->kind, "Deployment") != 0 || !w->revision)
		return say(s, 1, "only a Deployment keeps revisions that can be gone back to");
	int no = check_rollout(w, s);
	return no ? no : kube_rollback_find(k, c, wall_ms, s->text, s->size);
}

int kube_change_prepare(struct kube *k, enum kube_change_kind kind, const char *namespace_,
			const char *pod, int64_t wall_ms, struct kube_change *ret, char *says,
			size_t size)
{
	const struct says s = { says, size };
	struct kube_change c = { .kind = kind };
	int err = kube_pod_read(k, namespace_, pod, &c.pod);

	if (err == -ENOENT)
		return say(&s, 1, "the pod %s is not there any more", pod);
	if (err)
		return explain(k, &s, err);
	if (c.pod.ending)
		return say(&s, 1, "the pod %s is ending already", pod);
	err = kube_workload_of(k, &c.pod, &c.workload);
	if (err == -ENOENT)
		return say(&s, 1, "nothing that we know keeps the pod %s running", pod);
	if (err)
		return explain(k, &s, err);
	switch (kind) {
	case KUBE_RESTART_POD:
		err = prepare_restart_pod(k, &c, &s);
		break;
	case KUBE_ROLLOUT_RESTART:
		err = prepare_rollout(&c, &s);
		break;
	case KUBE_SCALE:
		err = prepare_scale(k, &c, &s);
		break;
	case KUBE_ROLLBACK:
		err = prepare_rollback(k, &c, wall_ms, &s);
		break;
	}
	if (!err)
		*ret = c;
	return explain(k, &s, err);
}

/* ---- do */

static int restart_pod(struct kube *k, const struct kube_change *c)
{
	const struct kube_ref ref = { "/api/v1", c->pod.namespace_, "pods", c->pod.name, NULL };

	return kube_delete(k, &ref, c->pod.uid, c->pod.version, KUBE_POD_GRACE_S);
}

static int rollout_restart(struct kube *k, const struct kube_change *c, int64_t wall_ms)
{
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	const struct kube_workload *w = &c->workload;
	const struct kube_ref ref = { KUBE_API_APPS, w->namespace_, w->plural, w->name, NULL };
	time_t at = (time_t)(wall_ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	cJSON *spec = cJSON_AddObjectToObject(body, "spec");
	cJSON *meta =
		cJSON_AddObjectToObject(cJSON_AddObjectToObject(spec, "template"), "metadata");
	cJSON *notes = cJSON_AddObjectToObject(meta, "annotations");
	if (!cJSON_AddStringToObject(notes, "kubectl.kubernetes.io/restartedAt", text))
		return -ENOMEM;
	return kube_patch(k, &ref, body, w->version, false, NULL);
}

static int set_replicas(struct kube *k, const struct kube_workload *w, unsigned n)
{
	CLEANUP(json_freep) cJSON *body = cJSON_CreateObject();
	const struct kube_ref ref = { KUBE_API_APPS, w->namespace_, w->plural, w->name, "scale" };

	if (!cJSON_AddNumberToObject(cJSON_AddObjectToObject(body, "spec"), "replicas", n))
		return -ENOMEM;
	return kube_patch(k, &ref, body, w->version, false, NULL);
}

/* ---- wait */

/* Through: 0; not yet: 1; or an error of the question. */
static int through(struct kube *k, const struct kube_change *c)
{
	const struct kube_workload *was = &c->workload;
	struct kube_workload w;
	unsigned ready = 0;
	int err;

	if (c->kind == KUBE_RESTART_POD) {
		err = kube_pods_ready(k, c->pod.namespace_, was->selector, c->pod.owner_uid,
				      c->pod.uid, &ready);
		return err ? err : ready < MAX(c->before, 1U);
	}
	err = kube_workload_read(k, was->namespace_, was->kind, was->name, &w);
	return err ? err : !w.settled;
}

/* One that fails to answer is asked again: that is no reason to call a change undone. */
static int wait_through(struct kube *k, const struct kube_change *c, uint64_t until_ns)
{
	const struct timespec step = { .tv_nsec = (long)STEP_NS };

	for (;;) {
		if (kube_cancelled(k))
			return -ECANCELED;
		int err = through(k, c);
		if (!err)
			return 0;
		if (clock_mono_ns() >= until_ns)
			return -ETIMEDOUT;
		nanosleep(&step, NULL);
	}
}

static int describe(const struct kube_change *c, const struct says *s, double took)
{
	const struct kube_workload *w = &c->workload;

	switch (c->kind) {
	case KUBE_RESTART_POD:
		return say(s, 0, "the pod %s was deleted; %u of %s are ready again after %.1f s",
			   c->pod.name, MAX(c->before, 1U), w->name, took);
	case KUBE_ROLLOUT_RESTART:
		return say(s, 0, "every pod of %s was replaced, %.1f s", w->name, took);
	case KUBE_SCALE:
		return say(s, 0, "%s has %u replicas instead of %u, ready after %.1f s", w->name,
			   c->after, c->before, took);
	case KUBE_ROLLBACK:
		return say(s, 0, "%s runs the template of %s again instead of %s, %.1f s", w->name,
			   c->to, c->from, took);
	}
	return -EINVAL;
}

static int change(struct kube *k, const struct kube_change *c, int64_t wall_ms,
		  const struct says *s)
{
	switch (c->kind) {
	case KUBE_RESTART_POD:
		return restart_pod(k, c);
	case KUBE_ROLLOUT_RESTART:
		return rollout_restart(k, c, wall_ms);
	case KUBE_SCALE:
		return set_replicas(k, &c->workload, c->after);
	case KUBE_ROLLBACK:
		return kube_rollback_to(k, &c->workload, c->to, s->text, s->size);
	}
	return -EINVAL;
}

/* Only its status was written since, which a sick one's is all the time? Then from its new version. */
static bool same_but_version(struct kube *k, struct kube_change *c)
{
	struct kube_pod p;
	struct kube_workload w;

	if (c->kind == KUBE_RESTART_POD) {
		if (kube_pod_read(k, c->pod.namespace_, c->pod.name, &p) || p.ending ||
		    strcmp(p.uid, c->pod.uid) != 0 || p.ready != c->pod.ready)
			return false;
		memcpy(c->pod.version, p.version, sizeof(p.version));
		return true;
	}
	if (kube_workload_read(k, c->workload.namespace_, c->workload.kind, c->workload.name, &w) ||
	    strcmp(w.uid, c->workload.uid) != 0 || w.generation != c->workload.generation)
		return false;
	memcpy(c->workload.version, w.version, sizeof(w.version));
	return true;
}

static int change_anew(struct kube *k, const struct kube_change *c, int64_t wall_ms,
		       const struct says *s)
{
	struct kube_change now = *c;
	int err = change(k, &now, wall_ms, s);

	for (int i = 0; err == -EBUSY && i < BUSY_TRIES && same_but_version(k, &now); i++)
		err = change(k, &now, wall_ms, s);
	return err;
}

int kube_change_do(struct kube *k, const struct kube_change *c, int64_t wall_ms, uint64_t wait_ns,
		   char *says, size_t size)
{
	const struct says s = { says, size };
	uint64_t start = clock_mono_ns();
	int err = change_anew(k, c, wall_ms, &s);

	if (err > 0)
		return -EBUSY;
	if (err == -EBUSY)
		return say(&s, err, "%s was changed since it was looked at: it is left alone",
			   c->workload.name);
	if (err)
		return explain(k, &s, err);
	err = wait_through(k, c, start + wait_ns);
	double took = (double)(clock_mono_ns() - start) / 1e9;
	if (err)
		return say(&s, err, "%s was changed, but it is not ready after %.1f s",
			   c->workload.name, took);
	return describe(c, &s, took);
}

/* ---- undo */

bool kube_change_undoes(enum kube_change_kind kind)
{
	return kind == KUBE_SCALE || kind == KUBE_ROLLBACK;
}

static int undo_scale(struct kube *k, const struct kube_change *c, const struct kube_workload *w,
		      const struct says *s)
{
	if (w->replicas != c->after)
		return say(s, 1, "%s has %u replicas by now, not our %u: it is left alone", w->name,
			   w->replicas, c->after);
	int err = set_replicas(k, w, c->before);
	return err ? err : say(s, 0, "%s has %u replicas again", w->name, c->before);
}

static int undo_rollback(struct kube *k, const struct kube_change *c, const struct kube_workload *w,
			 const struct says *s)
{
	bool ours = false;
	int err = kube_rollback_is(k, w, c->to, &ours);

	if (err)
		return err;
	if (!ours)
		return say(s, 1, "%s runs another revision than ours by now: it is left alone",
			   w->name);
	err = kube_rollback_to(k, w, c->from, s->text, s->size);
	return err ? err : say(s, 0, "%s has the template of %s again", w->name, c->from);
}

int kube_change_undo(struct kube *k, const struct kube_change *c, char *says, size_t size)
{
	const struct says s = { says, size };
	struct kube_workload w;
	int err;

	if (!kube_change_undoes(c->kind))
		return say(&s, 1, "nothing to undo");
	err = kube_workload_read(k, c->workload.namespace_, c->workload.kind, c->workload.name, &w);
	if (!err && strcmp(w.uid, c->workload.uid) != 0)
		return say(&s, 1, "%s is another one by now: it is left alone", w.name);
	if (!err)
		err = c->kind == KUBE_SCALE ? undo_scale(k, c, &w, &s) :
					      undo_rollback(k, c, &w, &s);
	return explain(k, &s, err);
}
