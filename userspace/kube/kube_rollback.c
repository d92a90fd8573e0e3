// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube_rollback.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"
#include "base/util.h"

#define REVISION "deployment.kubernetes.io/revision"
#define RESTARTED "kubectl.kubernetes.io/restartedAt"
#define HASH "pod-template-hash"

static unsigned revision_of(const cJSON *set)
{
	uint64_t n = 0;
	const char *text =
		cJSON_GetStringValue(kube_at(set, "metadata", "annotations", REVISION, NULL));

	return text && !text_to_u64(text, 1, 1U << 31, &n) ? (unsigned)n : 0;
}

static bool owned_by(const cJSON *set, const char *uid)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, kube_at(set, "metadata", "ownerReferences", NULL)) {
		const char *text = json_str(o, "uid");
		if (text && !strcmp(text, uid) &&
		    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "controller")))
			return true;
	}
	return false;
}

/* The template without what each rollout changes by itself; owned. NULL: no memory, or none. */
static cJSON *template_of(const cJSON *set, bool without_restart)
{
	cJSON *t = cJSON_Duplicate(kube_at(set, "spec", "template", NULL), true);
	cJSON *meta = cJSON_GetObjectItemCaseSensitive(t, "metadata");

	cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(meta, "labels"),
						HASH);
	if (!without_restart)
		return t;
	cJSON *notes = cJSON_GetObjectItemCaseSensitive(meta, "annotations");
	cJSON_DeleteItemFromObjectCaseSensitive(notes, RESTARTED);
	if (notes && !notes->child)
		cJSON_DeleteItemFromObjectCaseSensitive(meta, "annotations");
	return t;
}

struct finding {
	const struct kube_workload *w;
	cJSON *present;      /* its ReplicaSet, owned */
	cJSON *before;       /* the best so far, owned */
	const cJSON *wanted; /* present's template */
};

static int keep(cJSON **to, const cJSON *set)
{
	cJSON *copy = cJSON_Duplicate(set, true);

	if (!copy)
		return -ENOMEM;
	cJSON_Delete(*to);
	*to = copy;
	return 0;
}

static int find_present(void *ctx, const cJSON *set)
{
	struct finding *f = ctx;

	return owned_by(set, f->w->uid) && revision_of(set) == f->w->revision ?
		keep(&f->present, set) :
		0;
}

static int find_before(void *ctx, const cJSON *set)
{
	struct finding *f = ctx;
	unsigned n = revision_of(set);
	CLEANUP(json_freep) cJSON *t = NULL;

	if (!n || n >= f->w->revision || !owned_by(set, f->w->uid) ||
	    (f->before && n <= revision_of(f->before)))
		return 0;
	t = template_of(set, true);
	return t && !cJSON_Compare(t, f->wanted, true) ? keep(&f->before, set) : 0;
}

/* "2024-01-15T10:30:00Z"; 0: not so written. */
static int64_t seconds_of(const char *text)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	return end && !*end ? (int64_t)timegm(&tm) : 0;
}

static int judge(struct kube_change *c, const struct finding *f, int64_t wall_ms, char *says,
		 size_t size)
{
	int64_t made = seconds_of(kube_meta(f->present, "creationTimestamp"));
	int64_t age = wall_ms / 1000 - made;

	if (!made || age > KUBE_ROLLBACK_WITHIN_S) {
		snprintf(
			says, size,
			"revision %u of %s has run for longer than %d h: a newer one is not the cause",
			c->workload.revision, c->workload.name, KUBE_ROLLBACK_WITHIN_S / 3600);
		return 1;
	}
	if (!f->before) {
		snprintf(says, size, "%s has no earlier revision that differs from its present one",
			 c->workload.name);
		return 1;
	}
	snprintf(c->from, sizeof(c->from), "%s", kube_meta(f->present, "name"));
	snprintf(c->to, sizeof(c->to), "%s", kube_meta(f->before, "name"));
	snprintf(says, size, "revision %u of %s is %lld min old; revision %u differs from it",
		 c->workload.revision, c->workload.name, (long long)(age / 60),
		 revision_of(f->before));
	return 0;
}

int kube_rollback_find(struct kube *k, struct kube_change *c, int64_t wall_ms, char *says,
		       size_t size)
{
	CLEANUP(json_freep) cJSON *wanted = NULL;
	const struct kube_workload *w = &c->workload;
	const struct kube_ref ref = { KUBE_API_APPS, w->namespace_, "replicasets", NULL, NULL };
	const char *selector = w->selector[0] ? w->selector : NULL;
	struct finding f = { .w = w };

	/* Two passes: the order of a list is nobody's promise. */
	int err = kube_list(k, &ref, selector, find_present, &f, NULL);
	if (!err && !f.present) {
		snprintf(says, size, "the present revision of %s is not to be found", w->name);
		err = 1;
	}
	if (!err) {
		f.wanted = wanted = template_of(f.present, true);
		err = wanted ? kube_list(k, &ref, selector, find_before, &f, NULL) : -ENOMEM;
	}
	if (!err)
		err = judge(c, &f, wall_ms, says, size);
	cJSON_Delete(f.present);
	cJSON_Delete(f.before);
	return err;
}

static int read_set(struct kube *k, const struct kube_workload *w, const char *name, cJSON **ret)
{
	const struct kube_ref ref = { KUBE_API_APPS, w->namespace_, "replicasets", name, NULL };

	return kube_get(k, &ref, ret);
}

int kube_rollback_is(struct kube *k, const struct kube_workload *w, const char *name, bool *ret)
{
	CLEANUP(json_freep) cJSON *set = NULL;
	int err = read_set(k, w, name, &set);

	/* A ReplicaSet that is taken up again gets the new revision's number. */
	if (!err)
		*ret = owned_by(set, w->uid) && w->revision && revision_of(set) == w->revision;
	return err;
}

int kube_rollback_to(struct kube *k, const struct kube_workload *w, const char *name, char *says,
		     size_t size)
{
	CLEANUP(json_freep) cJSON *set = NULL;
	CLEANUP(json_freep) cJSON *patch = cJSON_CreateArray();
	const struct kube_ref ref = { KUBE_API_APPS, w->namespace_, w->plural, w->name, NULL };
	int err = read_set(k, w, name, &set);

	if (err)
		return err;
	if (!owned_by(set, w->uid)) {
		snprintf(says, size, "the ReplicaSet %s is not one of %s", name, w->name);
		return 1;
	}
	cJSON *t = template_of(set, false);
	cJSON *op = cJSON_CreateObject();
	cJSON_AddStringToObject(op, "op", "replace");
	cJSON_AddStringToObject(op, "path", "/spec/template");
	if (!t || !cJSON_AddItemToObject(op, "value", t)) {
		cJSON_Delete(t);
		cJSON_Delete(op);
		return -ENOMEM;
	}
	if (!cJSON_AddItemToArray(patch, op)) {
		cJSON_Delete(op);
		return -ENOMEM;
	}
	return kube_patch(k, &ref, patch, w->version, false, NULL);
}
